/* What has to be so before a deployment changes anything: a table of questions, all of them asked.
 */
#include "deploy/deployment_data.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_file.h"
#include "deploy/backup_tools.h"
#include "deploy/deployment_steps.h"
#include "deploy/pg.h"
#include "deploy/probe.h"

#include <sys/stat.h>

enum { CHECK_MS = 30000, LEAST_ROOM = 64 << 20, NAMES_MAX = 300, WHY_MAX = 1000 };

/* Since when a transaction counts as long, in seconds. */
static const char long_transaction[] = "60";

/* One check under way. */
struct check {
    struct deployment *d;
    struct pg *pg;    /* the product's database; NULL: it has none, or is out of reach */
    json_t *pending;  /* names of migrations */
    json_t *sums;     /* of their files, by name */
    json_t *breaking; /* those of them that the release before may not live with */
    char release[DEPLOYMENT_RELEASE_MAX + 1]; /* that runs; "" where there is none */
    bool well;                                /* it answers */
};

/* Outcome: the question makes no sense here, or rests on one that was answered with no. */
enum { CHECK_SKIPPED = 50 };

static int ask_target(struct check *c)
{
    struct target t = deployment_target(c->d, CHECK_MS);

    return deployment_target_outcome(c->d->target->check(&t));
}

static int ask_health(struct check *c)
{
    char why[PROBE_WHY_SIZE] = "";
    struct probe_http http = {.url = c->d->e->health.url,
                              .timeout_ms = c->d->e->health.timeout_ms,
                              .ca_file = c->d->options.ca_file};
    struct target t = deployment_target(c->d, CHECK_MS);
    json_t *state = NULL;
    bool runs;
    int result = c->d->target->snapshot(&t, &state);

    if (result)
        return deployment_target_outcome(result);
    runs = !json_is_false(json_object_get(state, "runs"));
    const char *release = json_string_value(json_object_get(state, "release"));
    snprintf(c->release, sizeof c->release, "%s", release ? release : "");
    json_decref(state);
    if (!runs)
        return CHECK_SKIPPED; /* the first deployment: there is no release before */
    result = probe_ask_http(&http, why);
    c->well = result == 0;
    if (result <= 0)
        return result;
    fault_keep("the release that runs is not well (%s): there would be no way back to it; "
               "--from-unhealthy goes on all the same",
               why);
    return c->d->options.from_unhealthy ? CHECK_SKIPPED : STEP_FAILED;
}

static int pg_step_outcome(int outcome)
{
    return outcome == PG_UNREACHABLE || outcome == PG_REFUSED ? STEP_UNREACHABLE
           : outcome == PG_CANCELLED                          ? STEP_CANCELLED
           : outcome > 0                                      ? STEP_FAILED
                                                              : outcome;
}

static int ask_database(struct check *c)
{
    struct backup_place place;
    struct stat st;
    int result;

    if (!c->d->e->database.url)
        return CHECK_SKIPPED;
    result = deployment_place(c->d, &place);
    if (result)
        return result;
    if (backup_is_sqlite(place.url)) {
        if (stat(place.url + strlen("sqlite:"), &st) == 0)
            return 0;
        fault_keep("%s is not there", place.url);
        return STEP_UNREACHABLE;
    }
    struct pg_options options = {.url = place.url,
                                 .name = "holdfast deploy",
                                 .statement_ms = CHECK_MS,
                                 .cancel = c->d->cancel};
    return pg_step_outcome(pg_open(&options, &c->pg));
}

static int ask_tools(struct check *c)
{
    struct backup_place place;
    const char *version;
    int result;

    if (!c->pg)
        return CHECK_SKIPPED;
    result = deployment_place(c->d, &place);
    if (result == 0)
        result = deployment_backup_outcome(backup_tool_check(&place, c->pg, c->d->a, &version));
    return result;
}

static int database_size(struct check *c, int64_t *ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct backup_place place;
    struct stat st = {.st_size = 0};
    int result;

    if (c->pg) {
        result = pg_query(c->pg, "SELECT pg_database_size(current_database())", NULL, 0, &rows);
        if (result == 0)
            *ret = pg_int(rows, 0, 0);
        return pg_step_outcome(result);
    }
    result = deployment_place(c->d, &place);
    if (result == 0) {
        stat(place.url + strlen("sqlite:"), &st);
        *ret = st.st_size;
    }
    return result;
}

static int ask_room(struct check *c)
{
    const char *directory = c->d->e->backup.directory;
    int64_t size = 0, room;
    int result;

    if (!deployment_has_database(c->d) || (deploy_on_postgres(c->d->e) && !c->pg))
        return CHECK_SKIPPED;
    result = database_size(c, &size);
    if (result == 0)
        result = backup_file_room(directory, &room);
    if (result)
        return result;
    if (room >= size + LEAST_ROOM)
        return 0;
    fault_keep("the disk of %s has %lld MB left, the database has %lld MB", directory,
               (long long)(room >> 20), (long long)(size >> 20));
    return STEP_FAILED;
}

/* Things that a migration would wait for, or a way back would lose: told, no reason to stop. */
static const struct {
    const char *sql, *what;
} busy[] = {
    {"SELECT format('the session %s (%s, %s) has a transaction open for %s s', pid,"
     " coalesce(nullif(application_name, ''), 'no name'), usename,"
     " extract(epoch FROM now() - xact_start)::bigint) FROM pg_stat_activity"
     " WHERE datname = current_database() AND pid <> pg_backend_pid()"
     " AND xact_start < now() - make_interval(secs => $1) ORDER BY xact_start LIMIT 5",
     "migrations would queue behind it"},
    {"SELECT format('the database refuses writes: %s', array_to_string(setconfig, ', '))"
     " FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setrole = 0"
     " AND datname = current_database() AND $1::int > 0"
     " AND 'default_transaction_read_only=on' = ANY (setconfig)",
     "where a deployment that died elsewhere left that, lift it: SET "
     "default_transaction_read_only = off; ALTER DATABASE ... RESET "
     "default_transaction_read_only"},
    {"SELECT format('the replica %s (%s) is %s MB behind', pid, application_name,"
     " pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint >> 20) FROM pg_stat_replication"
     " WHERE NOT pg_is_in_recovery() AND $1::int > 0"
     " AND pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > 268435456 LIMIT 5",
     "it would fall back further"},
    {"SELECT format('the transaction %L was prepared at %s and is still open', gid, prepared)"
     " FROM pg_prepared_xacts WHERE database = current_database() AND $1::int > 0 LIMIT 5",
     "its locks stay until somebody ends it"},
};

static int ask_busy(struct check *c)
{
    const char *param = long_transaction;
    int result = 0;

    if (!c->pg)
        return CHECK_SKIPPED;
    for (size_t i = 0; result == 0 && i < sizeof busy / sizeof *busy; i++) {
        struct pg_rows *rows _cleanup_pg_rows_ = NULL;
        result = pg_query(c->pg, busy[i].sql, &param, 1, &rows);
        for (int j = 0; result == 0 && j < pg_rows_count(rows); j++)
            progress_say(c->d->progress, "warning: %s: %s", pg_text(rows, j, 0), busy[i].what);
    }
    return pg_step_outcome(result);
}

static bool is_breaking(enum sql_danger_kind kind)
{
    switch (kind) {
    case SQL_DROP:
    case SQL_DROP_COLUMN:
    case SQL_TRUNCATE:
    case SQL_DELETE_ALL:
    case SQL_UPDATE_ALL:
    case SQL_COLUMN_TYPE:
    case SQL_SET_NOT_NULL:
    case SQL_ADD_NOT_NULL:
    case SQL_RENAME:
    case SQL_HIDDEN:
        return true;
    case SQL_ADD_COMPUTED:
    case SQL_REWRITE:
    case SQL_DANGER_KINDS:
        break;
    }
    return false;
}

static int look_for_breaking(void *context, const struct sql_danger *danger)
{
    bool *breaks = context;

    *breaks = *breaks || is_breaking(danger->kind);
    return 0;
}

/* Whether the release before may not live with what the file does, as far as its words tell. */
static int breaks(const struct migrate_planned *planned, bool *ret)
{
    int result = 0;

    *ret = false;
    for (size_t i = 0; result == 0 && i < planned->script.count; i++)
        result = sql_dangers(planned->script.all[i].at.text, look_for_breaking, ret);
    return result;
}

static int add_name(json_t *array, const char *name)
{
    return json_array_append_new(array, json_string(name))
               ? fault_set(FAULT_MEMORY, "no memory for the names of migrations")
               : 0;
}

static int note_pending(struct check *c, const struct migrate_plan *plan)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < plan->count; i++) {
        bool breaking;
        result = breaks(&plan->all[i], &breaking);
        if (result == 0)
            result = add_name(c->pending, plan->all[i].file->name);
        if (result == 0 && json_object_set_new(c->sums, plan->all[i].file->name,
                                               json_string(plan->all[i].file->checksum)))
            result = fault_set(FAULT_MEMORY, "no memory for the checksums of migrations");
        if (result == 0 && breaking)
            result = add_name(c->breaking, plan->all[i].file->name);
    }
    return result;
}

/* What the plan destroys is listed before it runs, and needs consent. */
static int ask_consent(struct check *c, const struct migrate_plan *plan)
{
    for (size_t i = 0; i < plan->danger_count; i++) {
        const struct migrate_danger *danger = &plan->dangers[i];
        progress_say(c->d->progress, "%s: %s:%d %s%s%s", danger->destroys ? "destroys" : "note",
                     danger->file->name, danger->line, danger->what, *danger->facts ? ": " : "",
                     danger->facts);
    }
    if (plan->destroying == 0 || c->d->options.destructive)
        return 0;
    if (c->d->consent && c->d->consent(c->d->consent_context, plan->destroying))
        return 0;
    fault_keep("%zu statements of the migrations destroy data, or stop the product: --yes consents",
               plan->destroying);
    return STEP_FAILED;
}

static int ask_migrations(struct check *c)
{
    struct deployment_migrations m;
    int result;

    if (!c->pg || c->d->options.skip_migrations || c->d->e->migrations.command.n)
        return CHECK_SKIPPED;
    result = deployment_open_migrations(c->d, NULL, false, &m);
    if (result == DEPLOYMENT_NO_MIGRATIONS)
        result = CHECK_SKIPPED;
    else if (result == 0)
        result = note_pending(c, &m.plan);
    if (result == 0)
        result = ask_consent(c, &m.plan);
    deployment_close_migrations(&m);
    return result;
}

static const struct {
    const char *title;
    int (*ask)(struct check *c);
} questions[] = {
    {"the target is in reach", ask_target},
    {"the release that runs is well", ask_health},
    {"the database is in reach", ask_database},
    {"pg_dump is as new as the server", ask_tools},
    {"the disk has room for a backup", ask_room},
    {"nothing is in the way of migrations", ask_busy},
    {"the migrations can be applied", ask_migrations},
};

/* All are asked, so that all that is wrong is known at once; the first that failed is the reason.
 */
static int ask_all(struct check *c)
{
    int first = 0;
    char why[WHY_MAX] = "";

    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        int result = questions[i].ask(c);
        if (result == STEP_CANCELLED)
            return result;
        bool failed = result && result != CHECK_SKIPPED;
        progress_say(c->d->progress, "%s: %s%s", questions[i].title,
                     result == 0 ? "yes"
                     : failed    ? "NO, "
                                 : "not asked",
                     failed ? fault_message() : "");
        if (!failed || first)
            continue;
        first = result;
        snprintf(why, sizeof why, "%s", fault_message());
    }
    if (first)
        fault_keep("%s", why);
    return first;
}

static int note_findings(struct check *c)
{
    struct buf names _cleanup_buf_ = buf_init(NAMES_MAX);
    size_t i;
    json_t *name;

    json_array_foreach(c->pending, i, name)
    {
        buf_printf(&names, "%s%s", i ? ", " : "", json_string_value(name));
    }
    const char *text = buf_cstr(&names);
    json_t *show = json_array_size(c->pending)
                       ? json_pack("{s:s}", "Pending migrations", text ? text : "many")
                       : json_object();
    return step_note(&c->d->steps,
                     json_pack("{s:O, s:O, s:O, s:b, s:s, s:o}", "pending", c->pending, "checksums",
                               c->sums, "breaking", c->breaking, "well", c->well, "previousRelease",
                               c->release, "show", show));
}

int step_check(struct steps *s, void *context)
{
    struct check c = {
        .d = context, .pending = json_array(), .sums = json_object(), .breaking = json_array()};
    int result = FAULT_MEMORY;

    if (c.pending && c.sums && c.breaking)
        result = ask_all(&c);
    if (result == 0)
        result = note_findings(&c);
    pg_close(c.pg);
    json_decref(c.pending);
    json_decref(c.sums);
    json_decref(c.breaking);
    return result;
}
