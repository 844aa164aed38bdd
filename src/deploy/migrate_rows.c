#include "deploy/migrate_rows.h"

#include "base/fault.h"

static const char columns[] = "id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL,"
                              " finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL,"
                              " logs TEXT, rolled_back_at TIMESTAMPTZ,"
                              " started_at TIMESTAMPTZ NOT NULL DEFAULT now(),"
                              " applied_steps_count INTEGER NOT NULL DEFAULT 0";

void migrate_new_id(char ret_id[UUID_TEXT_SIZE])
{
    struct uuid id = uuid_new();

    uuid_format(&id, ret_id);
}

static int make_schema(struct migrate *m)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *schema = pg_identifier(m->a, m->schema);
    int result =
        pg_query(m->pg, "SELECT 1 FROM pg_namespace WHERE nspname = $1", &m->schema, 1, &rows);

    /* Asked first: to make one takes a right that who migrates need not have. */
    if (result || pg_rows_count(rows) > 0)
        return result;
    const char *sql = schema ? arena_printf(m->a, "CREATE SCHEMA IF NOT EXISTS %s", schema) : NULL;
    return sql ? pg_run(m->pg, sql) : FAULT_MEMORY;
}

int migrate_make_history(struct migrate *m)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int result = make_schema(m);

    if (result == 0)
        result = pg_query(m->pg, "SELECT to_regclass($1) IS NOT NULL", &m->table, 1, &rows);
    if (result || pg_text(rows, 0, 0)[0] == 't')
        return result;
    const char *sql = arena_printf(m->a, "CREATE TABLE %s (%s)", m->table, columns);
    return sql ? pg_run(m->pg, sql) : FAULT_MEMORY;
}

/* Runs a statement about the table, which stands for %s in it. */
static int run(struct migrate *m, struct pg *pg, const char *before, const char *after,
               const char *const *params, int n)
{
    char sql[1200];

    snprintf(sql, sizeof sql, "%s %s %s", before, m->table, after);
    return pg_query(pg, sql, params, n, NULL);
}

int migrate_begin_row(struct migrate *m, struct pg *pg, const char *id, const struct migration *f)
{
    const char *params[] = {id, f->checksum, f->name};

    return run(m, pg, "INSERT INTO",
               "(id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())",
               params, 3);
}

int migrate_finish_row(struct migrate *m, struct pg *pg, const char *id)
{
    return run(m, pg, "UPDATE",
               "SET finished_at = clock_timestamp(), applied_steps_count = applied_steps_count + 1"
               " WHERE id = $1",
               &id, 1);
}

int migrate_log_row(struct migrate *m, struct pg *pg, const char *id, const char *logs)
{
    const char *params[] = {id, logs};

    return run(m, pg, "UPDATE", "SET logs = $2 WHERE id = $1", params, 2);
}

int migrate_undo_row(struct migrate *m, struct pg *pg, const char *id)
{
    return run(m, pg, "UPDATE", "SET rolled_back_at = clock_timestamp() WHERE id = $1", &id, 1);
}

int migrate_rolled_back_row(struct migrate *m, struct pg *pg, const char *id,
                            const struct migration *f, int64_t started, const char *logs)
{
    char ms[24];
    const char *params[] = {id, f->checksum, f->name, ms, logs};

    snprintf(ms, sizeof ms, "%lld", (long long)started);
    return run(m, pg, "INSERT INTO",
               "(id, checksum, migration_name, started_at, logs, rolled_back_at) VALUES"
               " ($1, $2, $3, to_timestamp($4::bigint / 1000.0), $5, clock_timestamp())",
               params, 5);
}

int migrate_has_row(struct migrate *m, struct pg *pg, const char *id, bool *ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char sql[400];

    snprintf(sql, sizeof sql, "SELECT 1 FROM %s WHERE id = $1", m->table);
    int result = pg_query(pg, sql, &id, 1, &rows);
    if (result == 0)
        *ret = pg_rows_count(rows) > 0;
    return result;
}

/* The rows of a migration. */
static int find_rows(struct migrate *m, struct arena *a, const char *name,
                     struct migrate_row **ret_rows, size_t *ret_count)
{
    struct migrate_row *all;
    size_t count, kept = 0;
    int result = migrate_rows(m, a, &all, &count);

    if (result)
        return result;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            all[kept++] = all[i];
    *ret_rows = all;
    *ret_count = kept;
    return 0;
}

static size_t count_finished(const struct migrate_row *rows, size_t count)
{
    size_t finished = 0;

    for (size_t i = 0; i < count; i++)
        finished += rows[i].finished != 0;
    return finished;
}

static bool one_is_applied(const struct migrate_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].finished && !rows[i].rolled_back)
            return true;
    return false;
}

static int undo_failed(struct migrate *m, const struct migrate_row *rows, size_t count)
{
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        if (rows[i].finished == 0 && rows[i].rolled_back == 0)
            result = migrate_undo_row(m, m->pg, rows[i].id);
    return result;
}

/* As Prisma writes it: no step of it was run. */
static int insert_applied(struct migrate *m, const struct migration *f)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id, f->checksum, f->name};

    migrate_new_id(id);
    return run(m, m->pg, "INSERT INTO",
               "(id, checksum, migration_name, started_at, finished_at) VALUES"
               " ($1, $2, $3, clock_timestamp(), clock_timestamp())",
               params, 3);
}

/* Runs within a transaction, which a failure undoes. */
static int in_transaction(struct migrate *m, int (*work)(struct migrate *m, const void *what),
                          const void *what)
{
    int result = pg_run(m->pg, "BEGIN");

    if (result == 0)
        result = work(m, what);
    if (result == 0)
        return pg_run(m->pg, "COMMIT");
    pg_run(m->pg, "ROLLBACK"); /* where it fails the connection is gone, and so is its work */
    return result;
}

static int apply_by_hand(struct migrate *m, const void *what)
{
    struct arena a _cleanup_arena_ = arena_init(64 << 20);
    const struct migration *f = what;
    struct migrate_row *rows;
    size_t count;
    int result = find_rows(m, &a, f->name, &rows, &count);

    if (result)
        return result;
    if (one_is_applied(rows, count)) {
        fault_keep("%s is applied already", f->name);
        return MIGRATE_ALREADY;
    }
    result = undo_failed(m, rows, count);
    return result ? result : insert_applied(m, f);
}

int migrate_resolve_applied(struct migrate *m, const struct migrations *files, const char *name)
{
    const struct migration *f = migrations_find(files, name);

    if (!f) {
        fault_keep("%s: holds no migration %s; give the whole name of its directory",
                   files->directory, name);
        return MIGRATE_NO_FILE;
    }
    int result = migrate_make_history(m);
    return result ? result : in_transaction(m, apply_by_hand, f);
}

static int roll_back_by_hand(struct migrate *m, const void *what)
{
    struct arena a _cleanup_arena_ = arena_init(64 << 20);
    const char *name = what;
    struct migrate_row *rows;
    size_t count;
    int result = find_rows(m, &a, name, &rows, &count);

    if (result)
        return result;
    if (count == 0) {
        fault_keep("%s was never applied to this database; give the whole name", name);
        return MIGRATE_NEVER;
    }
    if (count_finished(rows, count) == count) {
        fault_keep("%s did not fail: it is applied", name);
        return MIGRATE_NOT_FAILED;
    }
    return undo_failed(m, rows, count);
}

int migrate_resolve_rolled_back(struct migrate *m, const char *name)
{
    static const struct migrations none = {.directory = ""};
    struct arena a _cleanup_arena_ = arena_init(64 << 20);
    struct migrate_view view;
    int result = migrate_look(m, &a, &none, &view);

    if (result)
        return result;
    if (!view.has_history) {
        fault_keep("%s was never applied to this database: it has no history", name);
        return MIGRATE_NEVER;
    }
    return in_transaction(m, roll_back_by_hand, name);
}
