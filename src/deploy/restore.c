#include "deploy/restore.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "crypto/sha256.h"
#include "deploy/backup_tools.h"
#include "deploy/restore_internal.h"

#include <unistd.h>

enum { FINDINGS_MAX = 1 << 16 };

static const char *const stages[] = {"create",       "fill",       "compare", "ready", "fence",
                                     "end_sessions", "carry_over", "swap",    "done"};

const char *restore_stage_name(enum restore_stage stage)
{
    return stages[stage];
}

int restore_enter(struct restoring *r, enum restore_stage stage)
{
    return r->options->on_stage ? r->options->on_stage(r->options->context, stage) : 0;
}

/* One restore of a database at a time: the lock of its name's number. */
static int lock_database(struct restoring *r)
{
    uint8_t digest[SHA256_SIZE];
    char id8[2 * SHA256_SIZE + 1];
    struct str of = str_of(r->live);
    int result = sha256_parts(STR("holdfast restore "), &of, 1, digest);

    if (result)
        return result;
    hex_encode(digest, 4, id8);
    result = twin_lock(r->server, id8);
    if (result == BACKUP_LOCKED)
        fault_keep("%s is being restored already: %s", r->live, fault_message());
    return result;
}

static int set_mark(struct restoring *r, enum restore_mark mark)
{
    const char *names[] = {r->twin.name, restore_comment(r->a, mark, r->twin.backup, r->live)};

    if (!names[1])
        return FAULT_MEMORY;
    r->twin.mark = mark;
    return twin_run(r->server, "the stage could not be marked", "COMMENT ON DATABASE %1$I IS %2$L",
                    names, 2);
}

/* Whether the live database is there at all. */
static int look_for_live(struct restoring *r)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {r->live};
    int result = pg_query(r->server, "SELECT datallowconn FROM pg_database WHERE datname = $1",
                          params, 1, &rows);

    if (result)
        return backup_pg(result, "the databases");
    r->there = pg_rows_count(rows) > 0;
    if (r->there && pg_text(rows, 0, 0)[0] != 't') {
        fault_keep("%s accepts no connections, and it was no restore of ours that closed it: ALTER "
                   "DATABASE ... ALLOW_CONNECTIONS true opens it",
                   r->live);
        return BACKUP_FAILED;
    }
    return 0;
}

static int check_writes(struct restoring *r)
{
    struct pg *live _cleanup_pg_ = NULL;
    struct backup_place product = *r->place;

    if (!r->there)
        return 0;
    progress_say(r->place->progress, "Looking for what was written since the backup");
    product.admin_url = NULL; /* who owns the tables may read them */
    int result = twin_open(&product, r->live, "holdfast restore", r->place->cancel, &live);
    if (result == 0)
        result = writes_since(live, &r->report->backup.manifest, r->a, &r->report->writes);
    if (result || r->report->writes.none || r->options->accept_data_loss)
        return result;
    fault_keep("%s was written to since the backup; restoring it would lose that", r->live);
    return BACKUP_WRITTEN;
}

/* Takes up what a killed run had restored of this backup; what one had of another is dropped. */
static int find_ready(struct restoring *r)
{
    struct restore_twin *twins;
    size_t n;
    int result = restore_twins(r->server, r->a, r->live, &twins, &n);

    for (size_t i = 0; result == 0 && i < n; i++) {
        bool same = strcmp(twins[i].backup, r->twin.backup) == 0;
        if (twins[i].mark != MARK_READY || (result = twin_lock(r->server, twins[i].id8)))
            continue;
        if (same && !r->report->resumed) {
            r->twin = twins[i];
            r->report->resumed = true;
            progress_say(r->place->progress,
                         "%s was restored by a run that did not end: taking it up", r->twin.name);
        } else {
            result = twin_drop(r->server, twins[i].name);
        }
    }
    return result;
}

static int create(struct restoring *r)
{
    struct uuid id = uuid_new();
    int result;

    backup_id8(&id, r->twin.id8);
    snprintf(r->twin.name, sizeof r->twin.name, TWIN_RESTORE "%s", r->twin.id8);
    result = twin_lock(r->server, r->twin.id8);
    if (result == 0)
        result = restore_enter(r, RESTORE_CREATE);
    if (result)
        return result;
    progress_say(r->place->progress, "Restoring into %s, beside %s", r->twin.name, r->live);
    result = twin_create(r->server, r->live, &r->report->backup.manifest, r->twin.name);
    return result ? result : set_mark(r, MARK_RESTORING);
}

static int compare(struct restoring *r)
{
    struct pg *c _cleanup_pg_ = NULL;
    struct buf findings _cleanup_buf_ = buf_init(FINDINGS_MAX);
    struct survey found;
    int result = twin_open(r->place, r->twin.name, "holdfast restore", r->place->cancel, &c);

    if (result == 0)
        result = backup_survey(c, "the restored database", r->a, &found);
    if (result)
        return result;
    size_t n = survey_compare(&r->report->backup.manifest.survey, &found, &findings);
    if (n) {
        fault_keep("%s does not restore to what was backed up: %.*s", r->options->path,
                   (int)str_find(buf_str(&findings), '\n'), findings.p);
        return BACKUP_DAMAGED;
    }
    /* Without statistics its first minutes would be slow ones. */
    progress_say(r->place->progress, "Gathering statistics");
    return backup_pg(pg_run(c, "ANALYZE"), "the statistics");
}

static int fill(struct restoring *r)
{
    int result = create(r);

    if (result == 0)
        result = restore_enter(r, RESTORE_FILL);
    if (result == 0)
        result = backup_tool_restore(r->place, r->twin.name, r->options->path, false, r->a);
    if (result == 0)
        result = restore_enter(r, RESTORE_COMPARE);
    if (result == 0)
        result = compare(r);
    if (result == 0)
        result = restore_enter(r, RESTORE_READY);
    return result;
}

/* What will not be swapped in goes, even if we were told to stop. */
static void drop_twin(struct restoring *r)
{
    struct pg *server _cleanup_pg_ = NULL;
    char why[400];

    snprintf(why, sizeof why, "%s", fault_message());
    if (twin_open_server(r->place, "holdfast restore", NULL, &server) ||
        twin_drop(server, r->twin.name))
        progress_say(r->place->progress, "%s stays until the next run: %s", r->twin.name,
                     fault_message());
    fault_keep("%s", why);
}

static int make_ready(struct restoring *r)
{
    int result = r->report->resumed ? 0 : fill(r);

    if (result == 0 && r->there)
        result = twin_dress(r->server, r->live, r->twin.name);
    return result ? result : set_mark(r, MARK_READY);
}

static int restore_beside(struct restoring *r)
{
    int result = find_ready(r);

    if (result == 0)
        result = make_ready(r);
    if (result == 0)
        result = restore_swap(r);
    if (result && result != BACKUP_STUCK && *r->twin.name)
        drop_twin(r);
    return result;
}

/* What need not wait for the database is known before it is touched. */
static int check(struct restoring *r)
{
    struct backup *b = &r->report->backup;
    const char *text;
    int major, fd;

    progress_say(r->place->progress, "Reading %s", r->options->path);
    int result = backup_check_file(r->place, b, &fd);

    if (result)
        return result;
    close(fd);
    uuid_format(&b->manifest.id, r->twin.backup);
    return backup_tool_version(r->place, "pg_restore", r->a, &text, &major);
}

static int run_postgres(struct restoring *r)
{
    bool lifted;
    int result = backup_pg(pg_database_name(r->a, r->place->url, &r->live), "the database");

    if (result == 0)
        result = check(r);
    if (result == 0)
        result = twin_open_server(r->place, "holdfast restore", r->place->cancel, &r->server);
    if (result == 0)
        result = lock_database(r);
    if (result == 0)
        result = restore_recover(r->place, r->a, &lifted);
    if (result == 0)
        result = look_for_live(r);
    r->report->database = r->live;
    if (result == 0)
        result = check_writes(r);
    if (result == 0)
        result = restore_beside(r);
    pg_close(r->server);
    return result;
}

int restore_run(const struct backup_place *place, const struct restore *options, struct arena *a,
                struct restore_report *ret_report)
{
    struct restoring r = {.place = place, .options = options, .a = a, .report = ret_report};
    int64_t began = clock_mono();

    *ret_report = (struct restore_report){.database = "", .failed = "", .restored = "", .late = ""};
    int result = backup_open(options->path, a, &ret_report->backup);
    if (result)
        return result;
    bool sqlite = strcmp(ret_report->backup.manifest.engine, "sqlite") == 0;
    if (sqlite != backup_is_sqlite(place->url)) {
        fault_keep("%s is of another kind of database than the one that is set", options->path);
        return BACKUP_FAILED;
    }
    result = sqlite ? restore_run_sqlite(place, options, a, ret_report) : run_postgres(&r);
    ret_report->ms = clock_mono() - began;
    return result;
}
