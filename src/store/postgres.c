#include "store/postgres.h"
#include "base/clock.h"
#include "base/fault.h"

#include <unistd.h>

/*
 * An advisory lock is the whole database's, so its key tells ours from an application's ("Holdfast"
 * in ASCII), and from those of an installation in another of the database's schemas.
 */
#define LOCK_SPACE 0x486f6c6466617374

/* A NULL as the key would lock nothing; without a schema there are no tables of ours either. */
static const char lock_sql[] = "SELECT pg_advisory_xact_lock("
                               "$1 # hashtextextended(coalesce(current_schema(), ''), 0))";

static int pg_open(const struct store_options *options, struct store **ret)
{
    struct pg_store *s = calloc(1, sizeof *s);

    if (!s || !(s->url = strdup(options->url))) {
        free(s);
        return fault_set(FAULT_MEMORY, "no memory for the store");
    }
    s->base = (struct store){
        .driver = &store_postgres,
        .pool = options->pool,
        .timeout_ms = options->timeout_ms,
        .statement_ms = options->statement_ms ? options->statement_ms : STORE_STATEMENT_MS,
    };
    pg_pool_init(s);
    pg_group_init(&s->reading, false);
    pg_group_init(&s->writing, true);
    *ret = &s->base;
    return 0;
}

static void pg_close(struct store *base)
{
    struct pg_store *s = (struct pg_store *)base;

    pg_pool_release(s);
    pg_group_release(&s->reading);
    pg_group_release(&s->writing);
    explicit_bzero(s->url, strlen(s->url)); /* it may hold a password */
    free(s->url);
    free(s);
}

/* Sends the end without waiting for the answer; a fault keeps its message. */
static void end_unheard(struct pg_txn *t, const char *sql)
{
    char why[STORE_MESSAGE_MAX];

    if (t->conn->broken)
        return;
    snprintf(why, sizeof why, "%s", fault_message());
    if (pg_send_sql(t->conn, sql) != 0 || pg_sync(t->conn) != 0)
        t->conn->broken = true;
    fault_set(FAULT_INTERNAL, "%s", why);
}

static int commit(struct pg_txn *t)
{
    PGresult *result;
    int r = t->wake ? pg_send_sql(t->conn, "NOTIFY holdfast") : 0;

    if (r == 0)
        r = pg_bulk_empty(t);
    if (r == 0)
        r = pg_send_sql(t->conn, "COMMIT");
    if (r == 0)
        r = pg_round(t->conn, &result);
    if (r != 0) {
        /* Whether it took effect is not known, so the job must not run again. */
        if (t->conn->why == PG_WHY_LOST)
            t->conn->why = PG_WHY_NONE;
        end_unheard(t, "ROLLBACK");
        return r;
    }
    bool committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    return committed ? 0 : fault_set(FAULT_INTERNAL, "the server rolled a commit back");
}

/* One run of a job, with bulk tables if need_bulk. *why tells whether another one can help. */
static int attempt(struct pg_store *s, bool writing, bool need_bulk, store_job *job, void *arg,
                   enum pg_why *why)
{
    struct pg_txn t = {.base = {.store = &s->base, .writing = writing}};
    int r = pg_pool_borrow(s, PG_NO_END, &t.conn);

    *why = PG_WHY_NONE;
    if (r != 0)
        return r;
    if (need_bulk)
        r = pg_bulk_prepare(t.conn);
    if (r == 0)
        r = store_call_job(&t.base, job, arg);
    *why = r < 0 ? t.conn->why : PG_WHY_NONE;
    if (t.begun && writing && r == 0) {
        r = commit(&t);
        *why = r < 0 ? t.conn->why : PG_WHY_NONE;
    } else if (t.begun) {
        /* With it goes what a reading job put into a bulk table. */
        bool filled =
            t.filled[STORE_BULK_IDS] || t.filled[STORE_BULK_TEXTS] || t.filled[STORE_BULK_ROWS];
        end_unheard(&t, writing || filled ? "ROLLBACK" : "COMMIT");
    }
    t.conn->unlimited = false;
    pg_pool_return(s, t.conn);
    return r;
}

void pg_nap(int tries)
{
    static _Thread_local unsigned seed;

    if (!seed)
        seed = (unsigned)clock_mono_us() ^ (unsigned)(uintptr_t)&seed;
    seed = seed * 1664525 + 1013904223;
    usleep((seed >> 16) % (2000u << tries));
}

static int run_job(struct store *base, bool writing, store_job *job, void *arg)
{
    struct pg_store *s = (struct pg_store *)base;
    enum pg_why why = PG_WHY_NONE;
    int serial = 0, others = 0;
    bool need_bulk = false;

    for (;;) {
        int r = attempt(s, writing, need_bulk, job, arg, &why);
        if (why == PG_WHY_NONE)
            return r;
        /* From then on: each run may have another connection. */
        need_bulk = need_bulk || why == PG_WHY_BULK;
        if (why == PG_WHY_SERIAL ? ++serial >= PG_RETRIES : ++others > 2)
            return r;
        if (why == PG_WHY_SERIAL)
            pg_nap(serial);
    }
}

static int pg_read(struct store *s, store_job *job, void *arg)
{
    return run_job(s, false, job, arg);
}

static int pg_write(struct store *s, store_job *job, void *arg)
{
    return run_job(s, true, job, arg);
}

static int pg_run(struct store *base, const struct store_call *call, int64_t *ret_changed)
{
    struct pg_store *s = (struct pg_store *)base;
    PGresult *result;
    int r = pg_group_run(s, &s->writing, call, &result);

    if (r == 0) {
        *ret_changed = postgres_changed(result);
        PQclear(result);
    }
    return r;
}

static int begin_now(struct pg_txn *t)
{
    int r;

    if (t->begun)
        return 0;
    r = pg_begin(t);
    return r != 0 ? r : pg_round(t->conn, NULL);
}

static int pg_script_in(struct store_txn *t, const char *sql)
{
    struct pg_txn *p = (struct pg_txn *)t;

    t->failed = begin_now(p);
    if (t->failed == 0)
        t->failed = pg_script(p->conn, sql);
    return t->failed;
}

static int pg_lock(struct store_txn *t, int64_t number)
{
    struct store_param key = P_INT(number ^ LOCK_SPACE);
    struct store_call call = {lock_sql, &key, 1};
    int64_t changed;

    return pg_exec(t, &call, &changed);
}

/* Sent together with the commit. */
static int pg_wake(struct store_txn *t)
{
    ((struct pg_txn *)t)->wake = true;
    return 0;
}

static int pg_migrating(struct store_txn *t)
{
    char sql[96];

    snprintf(sql, sizeof sql, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = %d",
             PG_MIGRATION_MS);
    ((struct pg_txn *)t)->conn->unlimited = true;
    return pg_script_in(t, sql);
}

const struct store_driver store_postgres = {
    .name = "postgresql",
    .serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    .parallel = true,
    .open = pg_open,
    .close = pg_close,
    .read = pg_read,
    .write = pg_write,
    .run = pg_run,
    .find = pg_find,
    .exec = pg_exec,
    .query = postgres_query,
    .script = pg_script_in,
    .lock = pg_lock,
    .wake = pg_wake,
    .migrating = pg_migrating,
    .bulk = pg_bulk,
    .bulk_rows = pg_bulk_rows,
    .add = pg_add,
    .look_up = pg_look_up,
    .rows_next = pg_rows_next,
    .rows_free = postgres_rows_free,
    .col_is_null = pg_col_is_null,
    .col_int = pg_col_int,
    .col_bytes = pg_col_bytes,
    .watch_open = pg_watch_open,
    .watch_close = pg_watch_close,
    .watch_wait = pg_watch_wait,
};
