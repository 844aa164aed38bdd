#include "store/fixture.h"

#include "base/buf.h"

#include <libpq-fe.h>
#include <unistd.h>

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

int fixture_sqlite_empty(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->place, sizeof f->place, "/tmp/holdfast-store.XXXXXX");
    assert_non_null(mkdtemp(f->place));
    snprintf(f->url, sizeof f->url, "sqlite:%s/sub/test.db", f->place);
    *state = f;
    return 0;
}

int fixture_postgres_empty(void **state)
{
    static int serial;
    struct fixture *f = calloc(1, sizeof *f);
    char sql[200];

    assert_non_null(f);
    f->postgres = true;
    snprintf(f->place, sizeof f->place, "store_%d_%d", (int)getpid(), ++serial);
    snprintf(f->url, sizeof f->url, "%s?options=-csearch_path%%3D%s",
             getenv("HOLDFAST_TEST_POSTGRES"), f->place);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", f->place);
    fixture_admin(sql);
    *state = f;
    return 0;
}

int fixture_sqlite(void **state)
{
    fixture_sqlite_empty(state);
    struct fixture *f = *state;
    f->s = fixture_open(f, 4, 2000);
    return 0;
}

int fixture_postgres(void **state)
{
    fixture_postgres_empty(state);
    struct fixture *f = *state;
    f->s = fixture_open(f, 4, 2000);
    return 0;
}

int fixture_release(void **state)
{
    struct fixture *f = *state;
    char command[200];

    store_close(f->s);
    if (f->postgres) {
        snprintf(command, sizeof command, "DROP SCHEMA %s CASCADE", f->place);
        fixture_admin(command);
    } else {
        snprintf(command, sizeof command, "rm -rf '%s'", f->place);
        assert_int_equal(system(command), 0);
    }
    free(f);
    return 0;
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
