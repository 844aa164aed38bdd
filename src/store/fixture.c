#include "store/fixture.h"

#include "base/buf.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { NODE_POOL = 8, NODE_TIMEOUT_MS = 20000, THREADS_MAX = 64 };

static const struct store_migration migrations[] = {
    {1, "0001_things.sql", "a1",
     "CREATE TABLE things (id BYTEA PRIMARY KEY, name TEXT, n BIGINT, body BYTEA);"
     "CREATE TABLE log (seq {{serial}}, n BIGINT NOT NULL)"}};

const struct store_schema fixture_schema = {migrations, 1};

bool fixture_has_postgres(void)
{
    return getenv("HOLDFAST_TEST_POSTGRES") != NULL;
}

void fixture_admin(const char *sql)
{
    PGconn *pg = PQconnectdb(getenv("HOLDFAST_TEST_POSTGRES"));
    PQclear(PQexec(pg, "SET client_min_messages = warning"));
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
}

struct fixture *fixture_new(bool postgres)
{
    static int serial;
    const char *parent = getenv("TMPDIR");
    struct fixture *f = calloc(1, sizeof *f);
    char sql[200];

    assert_non_null(f);
    f->postgres = postgres;
    if (!parent || strlen(parent) > sizeof f->place - sizeof "/holdfast-test.XXXXXX")
        parent = "/tmp";
    snprintf(f->place, sizeof f->place, "%s/holdfast-test.XXXXXX", parent);
    assert_non_null(mkdtemp(f->place));
    snprintf(f->url, sizeof f->url, "sqlite:%s/sub/test.db", f->place);
    if (postgres) {
        snprintf(f->schema, sizeof f->schema, "test_%d_%d", (int)getpid(), ++serial);
        snprintf(f->url, sizeof f->url, "%s?options=-csearch_path%%3D%s",
                 getenv("HOLDFAST_TEST_POSTGRES"), f->schema);
        snprintf(sql, sizeof sql, "CREATE SCHEMA %s", f->schema);
        fixture_admin(sql);
    }
    return f;
}

void fixture_free(struct fixture *f)
{
    char command[200];

    store_close(f->s);
    if (f->postgres) {
        snprintf(command, sizeof command, "DROP SCHEMA %s CASCADE", f->schema);
        fixture_admin(command);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", f->place);
    assert_int_equal(system(command), 0);
    free(f);
}

int fixture_empty_sqlite(void **state)
{
    *state = fixture_new(false);
    return 0;
}

int fixture_empty_postgres(void **state)
{
    *state = fixture_new(true);
    return 0;
}

int fixture_empty_release(void **state)
{
    return fixture_release(state);
}

static int make(void **state, bool postgres)
{
    struct fixture *f = fixture_new(postgres);

    f->s = fixture_open(f, 4, 2000);
    *state = f;
    return 0;
}

int fixture_sqlite(void **state)
{
    return make(state, false);
}

int fixture_postgres(void **state)
{
    return make(state, true);
}

int fixture_release(void **state)
{
    fixture_free(*state);
    return 0;
}

struct store *fixture_node(const struct fixture *f)
{
    struct store_options o = {.url = f->url, .pool = NODE_POOL, .timeout_ms = NODE_TIMEOUT_MS};
    struct store *s = NULL;

    assert_done(store_open(&o, &s));
    return s;
}

struct store *fixture_open(const struct fixture *f, int pool, int timeout_ms)
{
    struct store_options o = {.url = f->url, .pool = pool, .timeout_ms = timeout_ms};
    struct store *s = NULL;

    assert_done(store_open_schema(&o, &fixture_schema, &s));
    return s;
}

struct number {
    const char *sql;
    int64_t value;
};

static int number_job(struct store_txn *t, void *arg)
{
    struct number *number = arg;
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, number->sql, &rows, NO_PARAMS);

    if (r != 0)
        return r;
    r = store_rows_next(rows);
    number->value = r == 1 ? store_col_int(rows, 0) : -1;
    return r < 0 ? r : 0;
}

int64_t fixture_number(struct store *s, const char *sql)
{
    struct number number = {sql, -1};

    assert_done(store_read(s, number_job, &number));
    return number.value;
}

int64_t fixture_run(struct store *s, const char *sql, const struct store_param *params, size_t n)
{
    int64_t changed = -1;

    assert_done(store_run(s, sql, &changed, params, n));
    return changed;
}

void fixture_parallel(size_t n, void *(*thread)(void *arg), void *arg)
{
    pthread_t threads[THREADS_MAX];

    assert_true(n <= THREADS_MAX);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread, arg), 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

void fixture_pause(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}
