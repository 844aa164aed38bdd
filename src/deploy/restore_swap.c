/* The fence and the swap: the only part of a restore that the product notices. */
#include "deploy/restore_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <poll.h>

enum { SESSIONS_MS = 5000, LOOK_MS = 1, LIFT_MS = 20000, LIFT_EACH_MS = 200, NAMES_MAX = 4096 };

/* Connections that know of no cancelling: a fence is left only by one of its two ends. */
struct swap {
    struct restoring *r;
    struct pg *server, *live, *twin;
    int64_t fenced_us;
};

/* Nobody can be asked to end a prepared transaction, and none may be in a database that is renamed.
 */
static int check_prepared(struct swap *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {s->r->live};
    int r = pg_query(s->server,
                     "SELECT count(*), string_agg(gid, ', ') FROM pg_prepared_xacts WHERE"
                     " database = $1",
                     params, 1, &rows);

    if (r)
        return backup_pg(r, "the prepared transactions");
    if (pg_int(rows, 0, 0) == 0)
        return 0;
    fault_keep("%s has prepared transactions, which have to be committed or rolled back first: %s",
               s->r->live, pg_text(rows, 0, 1));
    return BACKUP_FAILED;
}

/* A slot is the database's, not its name's: who reads from it has to be set up anew. */
static int tell_of_slots(struct swap *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {s->r->live};
    int r = pg_query(s->server, "SELECT slot_name FROM pg_replication_slots WHERE database = $1",
                     params, 1, &rows);

    for (int i = 0; r == 0 && i < pg_rows_count(rows); i++)
        progress_say(s->r->place->progress,
                     "The replication slot %s stays with the database that is set aside",
                     pg_text(rows, i, 0));
    return backup_pg(r, "the replication slots");
}

static int open_all(struct swap *s)
{
    const struct backup_place *place = s->r->place;
    int r = twin_open_server(place, "holdfast restore", NULL, &s->server);

    if (r == 0 && s->r->there)
        r = check_prepared(s);
    if (r == 0 && s->r->there)
        r = tell_of_slots(s);
    if (r == 0 && s->r->there)
        r = twin_open(place, s->r->live, "holdfast restore", NULL, &s->live);
    if (r == 0)
        r = twin_open(place, s->r->twin.name, "holdfast restore", NULL, &s->twin);
    return r;
}

static void close_databases(struct swap *s)
{
    pg_close(s->live);
    pg_close(s->twin);
    s->live = s->twin = NULL;
}

static int fence(struct swap *s)
{
    struct restoring *r = s->r;
    const char *names[] = {r->live, r->twin.name,
                           restore_comment(r->a, MARK_FENCED, r->twin.backup, r->live)};

    s->fenced_us = clock_mono_us();
    if (!names[2])
        return FAULT_MEMORY;
    return twin_run(s->server, "the database could not be fenced",
                    "COMMENT ON DATABASE %2$I IS %3$L;"
                    " ALTER DATABASE %1$I ALLOW_CONNECTIONS false",
                    names, 3);
}

/* Asks all sessions of both databases but ours to end, and says how many there still are. A worker
 * of autovacuum is only a superuser's to end; a rename ends it. */
static int end_some(struct swap *s, int64_t *ret_left)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char live[16] = "0", twin[16] = "0";
    const char *params[] = {s->r->live, s->r->twin.name, live, twin};

    if (s->live)
        snprintf(live, sizeof live, "%d", pg_backend(s->live));
    if (s->twin)
        snprintf(twin, sizeof twin, "%d", pg_backend(s->twin));
    int r = pg_query(s->server,
                     "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname"
                     " IN ($1, $2) AND pid <> $3::int AND pid <> $4::int AND"
                     " (current_setting('is_superuser')::bool OR"
                     "  backend_type <> 'autovacuum worker')",
                     params, 4, &rows);
    if (r)
        return backup_pg(r, "the sessions could not be ended");
    *ret_left = pg_int(rows, 0, 0);
    return 0;
}

static int end_sessions(struct swap *s)
{
    int64_t left = 0, deadline = clock_mono() + SESSIONS_MS;
    int r;

    while ((r = end_some(s, &left)) == 0 && left > 0) {
        if (clock_mono() > deadline) {
            fault_keep("%lld session%s of %s did not end within %d s", (long long)left,
                       left == 1 ? "" : "s", s->r->live, SESSIONS_MS / 1000);
            return BACKUP_FAILED;
        }
        poll(NULL, 0, LOOK_MS); /* the server has nothing to wait by but asking again */
    }
    return r;
}

/* Since writes were looked for, and until the fence. */
static int check_late(struct swap *s)
{
    struct restoring *r = s->r;
    struct buf names _cleanup_buf_ = buf_init(NAMES_MAX);
    bool more = false;

    if (!s->live)
        return 0;
    int result = writes_more(s->live, &r->report->writes, r->a, &names, &more);
    if (result || !more)
        return result;
    r->report->late = arena_str(r->a, buf_str(&names)).p;
    if (!r->report->late)
        return FAULT_MEMORY;
    if (r->options->accept_data_loss)
        return 0;
    fault_keep("%s was written to while the backup was restored: %s", r->live,
               *r->report->late ? r->report->late : "some transaction");
    return BACKUP_WRITTEN;
}

static int carry_over(struct swap *s, bool fenced)
{
    const struct restore *o = s->r->options;

    return o->carry_over ? o->carry_over(o->context, s->live, s->twin, fenced) : 0;
}

/* What takes long is done while the live database serves, and so is finding that it cannot be. */
static int carry_ahead(struct swap *s)
{
    const atomic_int *cancel = s->r->place->cancel;
    int r = carry_over(s, false);

    if (r == 0 && cancel && atomic_load(cancel)) {
        fault_keep("interrupted");
        r = BACKUP_CANCELLED;
    }
    return r;
}

/* What the comment of the live database was becomes that of the new one. */
static int read_comment(struct swap *s, const char **ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {s->r->live};
    int r = pg_query(s->server,
                     "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname"
                     " = $1",
                     params, 1, &rows);

    if (r)
        return backup_pg(r, "the database's comment");
    *ret = NULL;
    if (pg_rows_count(rows) && !pg_is_null(rows, 0, 0)) {
        *ret = arena_str(s->r->a, str_of(pg_text(rows, 0, 0))).p;
        if (!*ret)
            return FAULT_MEMORY;
    }
    return 0;
}

static int rename_both(struct swap *s, const char *comment)
{
    struct restoring *r = s->r;
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_now(), now);
    const char *aside =
        arena_printf(r->a, "Set aside by Holdfast at %s, when %s took the place of %s", now,
                     r->report->backup.manifest.file, r->live);
    const char *names[] = {r->live, r->twin.name, r->failed, comment, aside};
    if (!aside)
        return FAULT_MEMORY;
    if (!r->there)
        return twin_run(s->server, "the database could not be renamed",
                        "ALTER DATABASE %2$I RENAME TO %1$I;"
                        " COMMENT ON DATABASE %1$I IS NULL",
                        names, 2);
    return twin_run(s->server, "the databases could not be renamed",
                    "ALTER DATABASE %1$I RENAME TO %3$I; ALTER DATABASE %2$I RENAME TO %1$I;"
                    " COMMENT ON DATABASE %1$I IS %4$L; COMMENT ON DATABASE %3$I IS %5$L;"
                    " ALTER DATABASE %3$I ALLOW_CONNECTIONS true",
                    names, 5);
}

static int fenced(struct swap *s)
{
    const char *comment = NULL;
    int r = restore_enter(s->r, RESTORE_END_SESSIONS);

    if (r == 0)
        r = end_sessions(s);
    if (r == 0)
        r = check_late(s);
    if (r == 0)
        r = restore_enter(s->r, RESTORE_CARRY_OVER);
    if (r == 0)
        r = carry_over(s, true);
    if (r == 0)
        r = read_comment(s, &comment);
    if (r == 0)
        r = restore_enter(s->r, RESTORE_SWAP);
    close_databases(s);
    if (r == 0)
        r = end_sessions(s); /* ours take their moment too */
    return r ? r : rename_both(s, comment);
}

/* Whether the names have changed, whatever the client was told. */
static int look(struct pg *server, struct restoring *r, bool *ret_swapped)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {r->twin.name};
    int result = pg_query(server, "SELECT FROM pg_database WHERE datname = $1", params, 1, &rows);

    if (result)
        return backup_pg(result, "the databases");
    *ret_swapped = pg_rows_count(rows) == 0;
    return 0;
}

/* One of the two ends, by a connection of its own: the last may be what failed. */
static int settle_once(struct restoring *r, bool *ret_swapped)
{
    struct pg *server _cleanup_pg_ = NULL;
    int result = twin_open_server(r->place, "holdfast restore", NULL, &server);

    if (result == 0)
        result = look(server, r, ret_swapped);
    return result || *ret_swapped || !r->there ? result : restore_lift(server, r->live, &r->twin);
}

/* After a failure behind the fence. Returns what it failed by, where that can be said. */
static int settle(struct restoring *r, int failure)
{
    int64_t deadline = clock_mono() + LIFT_MS;
    char why[300];
    bool swapped = false;

    snprintf(why, sizeof why, "%s", fault_message());
    while (settle_once(r, &swapped)) {
        if (clock_mono() > deadline) {
            fault_keep("%s; and %s may accept no connections (%.200s): run this again, or ALTER "
                       "DATABASE ... ALLOW_CONNECTIONS true",
                       why, r->live, fault_message());
            return BACKUP_STUCK;
        }
        poll(NULL, 0, LIFT_EACH_MS);
    }
    if (swapped)
        return 0;
    fault_keep("%s", why);
    return failure == BACKUP_FAILED || failure == BACKUP_UNREACHABLE ? BACKUP_UNDONE : failure;
}

static int swap_names(struct swap *s)
{
    struct restoring *r = s->r;
    int result = restore_enter(r, RESTORE_FENCE);

    if (result)
        return result;
    s->fenced_us = clock_mono_us();
    if (r->there)
        result = fence(s);
    if (result == 0)
        result = fenced(s);
    return result ? settle(r, result) : 0;
}

int restore_swap(struct restoring *r)
{
    struct swap s = {.r = r};
    int result;

    twin_failed_name(r->live, r->twin.id8, r->failed);
    r->report->restored = arena_str(r->a, str_of(r->twin.name)).p;
    progress_say(r->place->progress, "Putting %s in the place of %s", r->twin.name, r->live);
    result = open_all(&s);
    if (result == 0)
        result = carry_ahead(&s);
    if (result == 0)
        result = swap_names(&s);
    close_databases(&s);
    pg_close(s.server);
    if (result)
        return result;
    r->report->interruption_us = clock_mono_us() - s.fenced_us;
    r->report->swapped = true;
    r->report->restored = "";
    r->report->failed = r->there ? arena_str(r->a, str_of(r->failed)).p : "";
    return restore_enter(r, RESTORE_DONE);
}
