/* Takes a backup of a PostgreSQL database: one snapshot, counted and dumped. */
#include "deploy/backup_internal.h"
#include "deploy/backup_tools.h"

#include "base/fault.h"

static const char *copy(struct arena *a, const struct pg_rows *rows, int j)
{
    const char *text = arena_str(a, str_of(pg_text(rows, 0, j))).p;

    return text ? text : "";
}

/* What the snapshot is of, read within it. */
static int read_head(struct pg *c, struct arena *a, struct backup_manifest *m,
                     const char **ret_name)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c,
                     "SELECT pg_export_snapshot(), pg_current_snapshot(),"
                     " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                     "  ELSE pg_current_wal_insert_lsn() END,"
                     " (SELECT system_identifier FROM pg_control_system()), oid,"
                     " pg_encoding_to_char(encoding), datcollate, datctype,"
                     " current_setting('server_version'), pg_database_size(oid)"
                     " FROM pg_database WHERE datname = current_database()",
                     NULL, 0, &rows);

    if (r)
        return r;
    *ret_name = copy(a, rows, 0);
    m->snapshot = copy(a, rows, 1);
    m->wal = copy(a, rows, 2);
    m->system = copy(a, rows, 3);
    m->oid = copy(a, rows, 4);
    m->encoding = copy(a, rows, 5);
    m->collate = copy(a, rows, 6);
    m->ctype = copy(a, rows, 7);
    m->server = copy(a, rows, 8);
    m->database_bytes = pg_int(rows, 0, 9);
    return 0;
}

/* A dump holds no indexes, and its rows compressed. */
static int check_room(struct pg *c, const char *directory)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c,
                     "SELECT coalesce(sum(pg_table_size(c.oid)), 0) FROM pg_class c"
                     " JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm')"
                     " AND nspname !~ '^pg_' AND nspname <> 'information_schema'",
                     NULL, 0, &rows);

    return r ? backup_pg(r, "the database's size")
             : backup_check_room(directory, pg_int(rows, 0, 0));
}

static void on_table(void *context, size_t i, size_t n)
{
    const struct backup_place *place = context;

    progress_amount(place->progress, (int64_t)i, (int64_t)n);
}

static int count(const struct backup_place *place, struct pg *c, struct arena *a,
                 struct backup_manifest *m, const char **ret_name)
{
    int r = survey_begin(c);

    if (r == 0)
        r = read_head(c, a, m, ret_name);
    if (r == 0)
        r = survey_postgres(c, a, on_table, (void *)(uintptr_t)place, &m->survey);
    return backup_pg(r, "the tables could not be counted");
}

/* The snapshot lives as long as the connection's transaction. */
static int take(const struct backup_place *place, struct pg *c, struct backup_file *f,
                struct arena *a, struct backup_manifest *m)
{
    const char *snapshot = NULL;
    int r;

    progress_say(place->progress, "Counting the rows of %s", m->database);
    r = count(place, c, a, m, &snapshot);
    if (r)
        return r;
    progress_say(place->progress, "Dumping %zu table%s, %lld row%s", m->survey.n_tables,
                 m->survey.n_tables == 1 ? "" : "s", (long long)survey_rows(&m->survey),
                 survey_rows(&m->survey) == 1 ? "" : "s");
    r = backup_tool_dump(place, snapshot, f->fd, a);
    if (r)
        return r;
    return backup_pg(survey_sequences_later(c, &m->survey), "the sequences could not be read");
}

int backup_take_postgres(const struct backup_place *place, struct backup_file *f, struct arena *a,
                         struct backup_manifest *m)
{
    struct pg *c _cleanup_pg_ = NULL;
    struct pg_options options = {.url = place->url,
                                 .name = "holdfast backup",
                                 .lock_ms = BACKUP_LOCK_WAIT_MS,
                                 .cancel = place->cancel};
    int r = backup_pg(pg_open(&options, &c), "the database");

    if (r == 0)
        r = backup_tool_check(place, c, a, &m->tool);
    if (r == 0)
        r = check_room(c, f->directory);
    return r ? r : take(place, c, f, a, m);
}
