/* The product's database: answers, refusals, ends, and where it is. */
#include "deploy/fixture.h"

#include "base/clock.h"

#include <pthread.h>
#include <unistd.h>

static struct pg *open_with(struct product *p, struct pg_options options)
{
    struct pg *pg = NULL;

    options.url = p->url;
    if (pg_open(&options, &pg))
        fail_msg("%s", fault_message());
    return pg;
}

static void test_rows(void **state)
{
    struct product *p = *state;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL, *changed _cleanup_pg_rows_ = NULL;
    const char *params[] = {"7", NULL};

    assert_int_equal(
        pg_query(p->pg, "SELECT $1::int, $2::text, 'x' UNION ALL SELECT 8, '', 'y' ORDER BY 1",
                 params, 2, &rows),
        0);
    assert_int_equal(pg_rows_count(rows), 2);
    assert_int_equal(pg_int(rows, 0, 0), 7);
    assert_true(pg_is_null(rows, 0, 1));
    assert_false(pg_is_null(rows, 1, 1));
    assert_string_equal(pg_text(rows, 1, 2), "y");
    product_run(p, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)");
    assert_int_equal(pg_query(p->pg, "UPDATE t SET n = n + 1", NULL, 0, &changed), 0);
    assert_int_equal(pg_changed(changed), 2);
    assert_true(pg_server_version(p->pg) >= 150000);
}

static void test_refusals(void **state)
{
    struct product *p = *state;

    assert_int_equal(pg_run(p->pg, "SELECT 1; SELECT nothing"), PG_REFUSED);
    assert_string_equal(pg_error(p->pg).sqlstate, "42703");
    assert_string_equal(pg_error(p->pg).message, "column \"nothing\" does not exist");
    assert_int_equal(pg_error(p->pg).position, 18);
    assert_string_equal(fault_message(), "column \"nothing\" does not exist");
    assert_int_equal(product_number(p, "SELECT 5"), 5);

    assert_int_equal(pg_run(p->pg, "BEGIN"), 0);
    assert_true(pg_in_transaction(p->pg));
    assert_int_equal(pg_run(p->pg, "SELECT 1/0"), PG_REFUSED);
    assert_true(pg_in_transaction(p->pg));
    assert_int_equal(pg_run(p->pg, "ROLLBACK"), 0);
    assert_false(pg_in_transaction(p->pg));
}

/* A COPY that nobody serves neither hangs nor loses the connection. */
static void test_copy(void **state)
{
    struct product *p = *state;

    product_run(p, "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)");
    assert_int_equal(pg_run(p->pg, "COPY t FROM STDIN"), PG_REFUSED);
    assert_string_equal(pg_error(p->pg).sqlstate, "57014");
    assert_int_equal(pg_run(p->pg, "COPY t TO STDOUT"), 0);
    assert_int_equal(product_number(p, "SELECT count(*) FROM t"), 1000);
}

static void test_unreachable(void **state)
{
    struct product *p = *state;
    struct pg *pg = NULL;
    struct pg_options nobody = {.url = "postgresql://u:secret@127.0.0.1:1/d"},
                      unknown = {.url = p->url, .database = "no_such_database"},
                      nonsense = {.url = "postgresql://[/"};

    assert_int_equal(pg_open(&nobody, &pg), PG_UNREACHABLE);
    assert_null(strstr(fault_message(), "secret"));
    assert_int_equal(pg_open(&unknown, &pg), PG_REFUSED);
    assert_non_null(strstr(fault_message(), "no_such_database"));
    assert_int_equal(pg_open(&nonsense, &pg), PG_UNREACHABLE);
    assert_null(pg);

    pg = open_with(p, (struct pg_options){.name = "victim"});
    product_run(p, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                   " WHERE application_name = 'victim'");
    assert_int_equal(pg_run(pg, "SELECT 1"), PG_UNREACHABLE);
    assert_int_equal(pg_run(pg, "SELECT 1"), PG_UNREACHABLE);
    pg_close(pg);
}

static void test_limits(void **state)
{
    struct product *p = *state;
    struct pg *pg = open_with(p, (struct pg_options){.statement_ms = 50, .lock_ms = 20});

    assert_int_equal(pg_run(pg, "SELECT pg_sleep(60)"), PG_REFUSED);
    assert_string_equal(pg_error(pg).sqlstate, "57014");
    product_run(p, "CREATE TABLE t (n int)");
    product_run(p, "BEGIN; LOCK TABLE t");
    assert_int_equal(pg_run(pg, "SELECT * FROM t"), PG_REFUSED);
    assert_string_equal(pg_error(pg).sqlstate, "55P03");
    product_run(p, "ROLLBACK");
    pg_close(pg);
}

static atomic_int cancel;

/* Cancels once the statement is seen to run. */
static void *cancel_later(void *arg)
{
    struct product *p = arg;

    while (product_number(p, "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                             " 'sleeper' AND wait_event = 'PgSleep'") == 0)
        usleep(1000);
    atomic_store(&cancel, 1);
    return NULL;
}

static void test_cancel(void **state)
{
    struct product *p = *state;
    struct pg *pg = open_with(p, (struct pg_options){.name = "sleeper", .cancel = &cancel});
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, cancel_later, p), 0);
    assert_int_equal(pg_run(pg, "SELECT pg_sleep(600)"), PG_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(pg_run(pg, "SELECT 1"), PG_CANCELLED);
    atomic_store(&cancel, 0);
    assert_int_equal(pg_run(pg, "SELECT 1"), 0);
    pg_close(pg);
}

static void keep_notice(void *context, const char *message)
{
    snprintf(context, 32, "%s", message);
}

static void test_notices(void **state)
{
    struct product *p = *state;
    char said[32] = "";

    pg_on_notice(p->pg, keep_notice, said);
    product_run(p, "DO $$BEGIN RAISE NOTICE 'hear'; END$$");
    assert_string_equal(said, "hear");
}

static bool holds(const char *const *entries, const char *entry)
{
    for (; *entries; entries++)
        if (strcmp(*entries, entry) == 0)
            return true;
    return false;
}

static void test_place(void **state)
{
    struct arena a _cleanup_arena_ = arena_init(1 << 16);
    const char *url = "postgresql://ann:s%40cret@db.example:5433/shop?sslmode=verify-full";
    const char *const *entries, *text;

    assert_int_equal(pg_environment(&a, url, NULL, &entries), 0);
    assert_true(holds(entries, "PGHOST=db.example"));
    assert_true(holds(entries, "PGPORT=5433"));
    assert_true(holds(entries, "PGUSER=ann"));
    assert_true(holds(entries, "PGPASSWORD=s@cret"));
    assert_true(holds(entries, "PGDATABASE=shop"));
    assert_true(holds(entries, "PGSSLMODE=verify-full"));
    assert_int_equal(pg_environment(&a, url, "other", &entries), 0);
    assert_true(holds(entries, "PGDATABASE=other"));
    assert_false(holds(entries, "PGDATABASE=shop"));
    assert_int_equal(pg_database_name(&a, url, &text), 0);
    assert_string_equal(text, "shop");
    assert_int_equal(pg_describe(&a, url, &text), 0);
    assert_string_equal(text, "ann@db.example:5433/shop");
    assert_int_equal(pg_describe(&a, "postgresql://[/", &text), PG_REFUSED);
    assert_string_equal(pg_identifier(&a, "a\"b"), "\"a\"\"b\"");
}

static int64_t copy_into(struct product *p, struct pg *other, const char *out, const char *in,
                         int *ret)
{
    int64_t n = -1;

    *ret = pg_copy(other, out, p->pg, in, &n);
    return n;
}

/* Of whatever size; and where either end fails both connections go on. */
static void test_copy_between(void **state)
{
    static const char out[] = "COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i)"
                              " TO STDOUT (FORMAT binary)";
    static const char in[] = "COPY taken FROM STDIN (FORMAT binary)";
    struct product *p = *state;
    struct pg *other _cleanup_pg_ = open_with(p, (struct pg_options){.name = "other"});
    int r;

    product_run(p, "CREATE TABLE taken (i int, t text)");
    assert_int_equal(copy_into(p, other, out, in, &r), 20000);
    assert_int_equal(r, 0);
    assert_int_equal(product_number(p, "SELECT count(*) FROM taken WHERE length(t) = 1000"), 20000);
    assert_int_equal(copy_into(p, other, "COPY (SELECT 1, 'x' WHERE false) TO STDOUT",
                               "COPY taken FROM STDIN", &r),
                     0);

    assert_int_equal(copy_into(p, other, out, "COPY none FROM STDIN (FORMAT binary)", &r), -1);
    assert_int_equal(r, PG_REFUSED);
    assert_string_equal(pg_error(p->pg).sqlstate, "42P01");
    assert_int_equal(copy_into(p, other, "COPY none TO STDOUT", in, &r), -1);
    assert_int_equal(r, PG_REFUSED);
    assert_string_equal(pg_error(other).sqlstate, "42P01");
    assert_int_equal(copy_into(p, other,
                               "COPY (SELECT 1 / (i - 15000), 'x' FROM generate_series(1, 20000) "
                               "i) TO STDOUT (FORMAT binary)",
                               in, &r),
                     -1);
    assert_int_equal(r, PG_REFUSED);
    assert_non_null(strstr(fault_message(), "division by zero"));
    product_run(p, "ALTER TABLE taken ADD CHECK (i <> 7)  NOT VALID");
    assert_int_equal(copy_into(p, other, out, in, &r), -1);
    assert_int_equal(r, PG_REFUSED);
    assert_string_equal(pg_error(p->pg).sqlstate, "23514");
    assert_int_equal(copy_into(p, other, "SELECT 1", in, &r), -1);
    assert_int_equal(r, PG_REFUSED);
    assert_int_equal(product_number(p, "SELECT count(*) FROM taken"), 20000);
    assert_int_equal(pg_run(other, "SELECT 1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PRODUCT_TEST(test_rows),         PRODUCT_TEST(test_refusals),
        PRODUCT_TEST(test_copy),         PRODUCT_TEST(test_unreachable),
        PRODUCT_TEST(test_limits),       PRODUCT_TEST(test_cancel),
        PRODUCT_TEST(test_notices),      cmocka_unit_test(test_place),
        PRODUCT_TEST(test_copy_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
