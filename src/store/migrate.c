#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/internal.h"

/*
 * All that is missing is applied in one transaction, so a migration that fails leaves nothing
 * behind, and under a lock, so that processes that start together do not meet.
 */
enum { SCRIPT_MAX = 1 << 20 };

struct migration_run {
    const struct store_schema *schema;
    int version; /* the newest one that is there */
};

/* Migrations are numbered from 1 without gaps; embed.py sees to it. */
static int check_applied(const struct store_schema *schema, int version, struct str checksum)
{
    const struct store_migration *m = &schema->migrations[version - 1];

    if (str_eq(checksum, str_of(m->checksum)))
        return 0;
    return fault_set(FAULT_STORE, "migration %s was changed after it had been applied", m->name);
}

static int read_applied(struct store_txn *t, struct migration_run *run)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, "SELECT version, checksum FROM schema_migrations ORDER BY version",
                        &rows, NO_PARAMS);

    if (r != 0)
        return r;
    run->version = 0;
    while ((r = store_rows_next(rows)) == 1) {
        int64_t version = store_col_int(rows, 0);
        if (version > run->schema->count)
            return STORE_NEWER;
        if (version != run->version + 1)
            return fault_set(FAULT_STORE, "migration %d was never applied", run->version + 1);
        r = check_applied(run->schema, (int)version, store_col_text(rows, 1));
        if (r != 0)
            return r;
        run->version = (int)version;
    }
    return r;
}

static const char serial_mark[] = "{{serial}}", end_mark[] = ":}}";

static const struct only {
    const struct store_driver *driver;
    const char *mark;
} onlys[] = {{&store_postgres, "{{postgresql:"}, {&store_sqlite, "{{sqlite:"}};

static const struct only *find_only(const char *sql)
{
    for (size_t i = 0; i < sizeof onlys / sizeof *onlys; i++)
        if (str_has_prefix(str_of(sql), str_of(onlys[i].mark)))
            return &onlys[i];
    return NULL;
}

/* A part of the script that is for one engine alone; *sql moves past it. */
static int expand_only(const struct store_driver *driver, const struct only *only, const char **sql,
                       struct buf *out)
{
    const char *from = *sql + strlen(only->mark), *end = strstr(from, end_mark);

    if (!end)
        return fault_set(FAULT_INTERNAL, "a migration's %s does not end", only->mark);
    if (driver == only->driver)
        buf_add(out, from, (size_t)(end - from));
    *sql = end + strlen(end_mark);
    return 0;
}

/* The script in the engine's words. */
static int expand(const struct store_driver *driver, const char *sql, struct buf *out)
{
    const char *at;
    int r = 0;

    while (r == 0 && (at = strstr(sql, "{{")) != NULL) {
        buf_add(out, sql, (size_t)(at - sql));
        const struct only *only = find_only(at);
        sql = at;
        if (str_has_prefix(str_of(at), str_of(serial_mark))) {
            buf_add_str(out, str_of(driver->serial));
            sql += strlen(serial_mark);
        } else if (only) {
            r = expand_only(driver, only, &sql, out);
        } else {
            r = fault_set(FAULT_INTERNAL, "a migration holds an unknown mark: %.20s", at);
        }
    }
    buf_add_str(out, str_of(sql));
    return r != 0 ? r : buf_cstr(out) ? 0 : buf_fault(out);
}

static int apply(struct store_txn *t, const struct store_migration *m)
{
    _cleanup_buf_ struct buf script = buf_init(SCRIPT_MAX);
    int r = expand(t->store->driver, m->sql, &script);

    if (r != 0)
        return r;
    r = t->store->driver->script(t, buf_cstr(&script));
    if (r != 0) {
        char why[STORE_MESSAGE_MAX];
        snprintf(why, sizeof why, "%s", fault_message());
        return fault_set(r < 0 ? (enum fault)r : FAULT_STORE, "migration %s: %s", m->name, why);
    }
    return store_exec(t,
                      "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
                      " VALUES ($1, $2, $3, $4)",
                      NULL,
                      PARAMS(P_INT(m->version), P_TEXT(str_of(m->name)),
                             P_TEXT(str_of(m->checksum)), P_INT(clock_now())));
}

static int migrate_job(struct store_txn *t, void *arg)
{
    struct migration_run *run = arg;
    int r = t->store->driver->migrating(t);

    if (r == 0)
        r = store_lock(t, STORE_LOCK_SCHEMA);
    if (r == 0)
        r = t->store->driver->script(t, "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                        "version BIGINT PRIMARY KEY, name TEXT NOT NULL, "
                                        "checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)");
    if (r == 0)
        r = read_applied(t, run);
    while (r == 0 && run->version < run->schema->count) {
        r = apply(t, &run->schema->migrations[run->version]);
        if (r == 0)
            run->version++;
    }
    return r;
}

int store_migrate(struct store *s, const struct store_schema *schema)
{
    struct migration_run run = {.schema = schema};
    int r = store_write(s, migrate_job, &run);

    if (r == 0)
        s->schema_version = run.version;
    return r;
}
