/* Migrations are applied whole or not at all, where that can be; and what became of them is known.
 */
#include "deploy/migrate_fixture.h"

#include "base/clock.h"

#include <pthread.h>
#include <unistd.h>

static const char one[] = "20240101000000_one", two[] = "20240201000000_two";

static int64_t number(struct scene *s, const char *sql)
{
    return product_number(s->product, sql);
}

static const struct migrate_result *result_of(struct scene *s, size_t i)
{
    assert_true(i < s->report.count);
    return &s->report.all[i];
}

static void test_in_order_and_once(void **state)
{
    struct scene *s = *state;

    scene_put(s, two, "ALTER TABLE a ADD b int; INSERT INTO a VALUES (1, 2);");
    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(s->report.applied, 2);
    assert_int_equal(result_of(s, 1)->fate, MIGRATE_FATE_APPLIED);
    assert_int_equal(result_of(s, 1)->statements_done, 2);
    assert_holds(buf_cstr(&s->said), "20240101000000_one: applied in ");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(s->report.count, 0);
    assert_int_equal(number(s, "SELECT count(*) FROM a"), 1);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations"), 2);
}

/* What fails in a transaction leaves nothing but a row that says so. */
static void test_failure_is_undone(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int);");
    scene_put(s, two,
              "CREATE TABLE b (id int);\nINSERT INTO a VALUES (1);\n\n"
              "ALTER TABLE a\n  ADD COLUMN \xc3\xa4 int, ADD c nosuchtype;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(s->report.applied, 1);
    const struct migrate_result *r = result_of(s, 1);
    assert_int_equal(r->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_int_equal(r->statements_done, 2);
    assert_string_equal(r->failure.sqlstate, "42704");
    assert_string_equal(r->failure.message, "type \"nosuchtype\" does not exist");
    assert_int_equal(r->failure.line, 5);
    assert_int_equal(r->failure.column, 27);
    assert_int_equal(number(s, "SELECT count(*) FROM a"), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM pg_class WHERE relname = 'b'"), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE migration_name ="
                               " '20240201000000_two' AND rolled_back_at >= started_at"
                               " AND finished_at IS NULL AND applied_steps_count = 0"),
                     1);
    assert_holds(scene_text(s, "SELECT logs FROM _prisma_migrations WHERE logs <> ''"),
                 "line 5, column 27: type \"nosuchtype\" does not exist (42704)");
    scene_put(s, two, "CREATE TABLE b (id int);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations"), 3);
}

/* A constraint that is looked at when the transaction ends fails it there. */
static void test_failure_of_commit(void **state)
{
    struct scene *s = *state;

    scene_put(s, one,
              "CREATE TABLE a (id int PRIMARY KEY, b int REFERENCES a (id) DEFERRABLE"
              " INITIALLY DEFERRED);\nINSERT INTO a VALUES (1, 2);");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_string_equal(result_of(s, 0)->failure.sqlstate, "23503");
    assert_int_equal(result_of(s, 0)->failure.line, 0);
    assert_int_equal(number(s, "SELECT count(*) FROM pg_class WHERE relname = 'a'"), 0);
}

/* What a file sets for its session is not the next one's. */
static void test_settings_end(void **state)
{
    struct scene *s = *state;

    scene_put(s, one,
              "SELECT pg_catalog.set_config('search_path', '', false);\n"
              "SET statement_timeout = 1; SET statement_timeout = 0;\n"
              "CREATE TABLE public.a (id int); CREATE ROLE holdfast_other;"
              "SET ROLE holdfast_other;");
    scene_put(s, two, "CREATE TABLE b (id int); DROP ROLE holdfast_other;");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM public.b"), 0);
}

static void test_frame(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "BEGIN;\nCREATE TABLE a (id int);\nSELECT 1/0;\nCOMMIT;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    scene_put(s, one, "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM a"), 0);
}

static void test_apart(void **state)
{
    struct scene *s = *state;

    scene_put(s, one,
              "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (id);\n"
              "ALTER TABLE a ADD b int;");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(result_of(s, 0)->statements_done, 3);
    const char *logs = scene_text(s, "SELECT logs FROM _prisma_migrations");
    assert_holds(logs, "line 1: done in ");
    assert_holds(logs, "line 2: done in ");
    assert_holds(logs, ": CREATE INDEX CONCURRENTLY i ON a (id)\nline 3: done in ");
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT"
                               " NULL AND applied_steps_count = 1"),
                     1);
}

/* Where a part stays a person has to look. */
static void test_apart_fails(void **state)
{
    struct scene *s = *state;

    scene_put(s, one,
              "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1), (1);\n"
              "CREATE UNIQUE INDEX CONCURRENTLY i ON a (id);\nSELECT 4;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    const struct migrate_result *r = result_of(s, 0);
    assert_int_equal(r->fate, MIGRATE_FATE_PARTLY);
    assert_int_equal(r->statements_done, 2);
    assert_int_equal(r->failure.line, 3);
    assert_int_equal(s->report.invalid_count, 1);
    assert_string_equal(s->report.invalid[0].name, "i");
    assert_string_equal(s->report.invalid[0].table, "a");
    assert_true(s->report.invalid[0].ours);
    const char *logs = scene_text(s, "SELECT logs FROM _prisma_migrations");
    assert_holds(logs, "line 2: done in ");
    assert_holds(logs, "line 3, column 1: could not create unique index \"i\" (23505)");
    assert_int_equal(scene_deploy(s), MIGRATE_BROKEN);
    assert_int_equal(number(s, "SELECT count(*) FROM a"), 2);
}

/* Where nothing was done yet, and what failed leaves nothing, it is as good as a transaction. */
static void test_apart_fails_at_once(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "SELECT 1/0;\nVACUUM;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    scene_put(s, one, "BEGIN;\nCREATE TABLE a (id int);\nSELECT 1/0;\nCOMMIT;\nVACUUM;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_int_equal(number(s, "SELECT count(*) FROM pg_class WHERE relname = 'a'"), 0);
    scene_put(s, one, "BEGIN;\nCREATE TABLE a (id int);\n");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_holds(result_of(s, 0)->failure.message, "within a transaction that it began");
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS"
                               " NOT NULL"),
                     3);
    scene_put(s, one, "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\nSELECT 1/0;\n");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_PARTLY);
}

/* A new value of an enumeration is usable behind a commit only. */
static void test_new_value(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TYPE r AS ENUM ('A'); CREATE TABLE a (r r);");
    scene_put(s, two, "ALTER TYPE r ADD VALUE 'B';\nINSERT INTO a VALUES ('B');");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM a WHERE r = 'B'"), 1);
}

/* IF NOT EXISTS passes over an index that is not valid; that is found. */
static void test_invalid_before(void **state)
{
    struct scene *s = *state;

    scene_put(s, one,
              "CREATE TABLE a (id int); CREATE TABLE b (id int);"
              "INSERT INTO a VALUES (1), (1); INSERT INTO b VALUES (1), (1);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(pg_run(s->product->pg, "CREATE UNIQUE INDEX CONCURRENTLY ai ON a (id)"),
                     PG_REFUSED);
    assert_int_equal(pg_run(s->product->pg, "CREATE UNIQUE INDEX CONCURRENTLY bi ON b (id)"),
                     PG_REFUSED);
    scene_put(s, two, "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS bi ON b (id);");
    assert_int_equal(scene_deploy(s), MIGRATE_INVALID_INDEX);
    assert_holds(fault_message(), "the index bi on b is not valid");
    assert_int_equal(s->report.invalid_count, 2);
    assert_false(s->report.invalid[0].ours);
    assert_true(s->report.invalid[1].ours);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_APPLIED);
}

static const struct migrate_held *held(struct scene *s, size_t i, const char *table)
{
    const struct migrate_result *r = result_of(s, i);

    for (size_t j = 0; j < r->held_count; j++)
        if (strcmp(r->held[j].table, table) == 0)
            return &r->held[j];
    return NULL;
}

static void test_locks_are_told(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int);");
    scene_put(s, two,
              "SELECT * FROM c; SELECT pg_sleep(0.1); CREATE INDEX i ON b (id);"
              "CREATE TABLE made (id int); SELECT * FROM a; ALTER TABLE a ADD x int;"
              "SELECT pg_sleep(0.2);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(result_of(s, 0)->held_count, 0);
    assert_int_equal(result_of(s, 1)->held_count, 3);
    assert_int_equal(held(s, 1, "a")->lock, SQL_ACCESS_EXCLUSIVE);
    assert_int_equal(held(s, 1, "b")->lock, SQL_SHARE);
    assert_int_equal(held(s, 1, "c")->lock, SQL_ACCESS_SHARE);
    assert_null(held(s, 1, "made"));
    assert_true(held(s, 1, "a")->ms >= 200 && held(s, 1, "a")->ms <= result_of(s, 1)->ms);
}

static void test_statement_timeout(void **state)
{
    struct scene *s = *state;

    s->options.statement_ms = 100;
    scene_put(s, one, "CREATE TABLE a (id int);\nSELECT pg_sleep(60);");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_string_equal(result_of(s, 0)->failure.sqlstate, "57014");
    assert_holds(result_of(s, 0)->failure.message, "statement timeout");
}

/* Another session of the product's; it holds a lock until it is told to let go. */
static struct pg *open_other(struct scene *s, const char *name)
{
    struct pg_options o = {.url = s->product->url, .name = name};
    struct pg *pg = NULL;

    if (pg_open(&o, &pg))
        fail_msg("%s", fault_message());
    return pg;
}

static struct pg *lock_a(struct scene *s)
{
    struct pg *pg = open_other(s, "the shop's worker");

    assert_int_equal(pg_run(pg, "BEGIN; INSERT INTO a VALUES (0) -- 'secret'"), 0);
    return pg;
}

static void test_lock_not_had(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    struct pg *other = lock_a(s);
    scene_put(s, two, "CREATE TABLE b (id int);\nALTER TABLE a ADD x int;");
    assert_int_equal(scene_deploy(s), MIGRATE_FAILED);
    const struct migrate_result *r = result_of(s, 0);
    assert_int_equal(r->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_int_equal(r->attempts, 2);
    assert_string_equal(r->failure.sqlstate, "55P03");
    assert_int_equal(r->failure.line, 2);
    assert_holds(r->failure.blockers, "a is locked by process ");
    assert_holds(r->failure.blockers, "(the shop's worker, user holdfast at 127.0.0.1, idle in "
                                      "transaction for ");
    assert_holds(r->failure.blockers, "; its last: BEGIN; INSERT INTO a VALUES (…)");
    assert_holds(buf_cstr(&s->said), "waiting for a lock: a is locked by process ");
    assert_holds(buf_cstr(&s->said), "tried again in 50 ms (1 of 1)");
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS"
                               " NOT NULL"),
                     1);
    pg_close(other);
}

static struct pg *holder;

/* Lets go when the first attempt is told to have failed. */
static void let_go(void *context, const char *text)
{
    struct scene *s = context;

    buf_printf(&s->said, "%s\n", text);
    if (strstr(text, "tried again in "))
        assert_int_equal(pg_run(holder, "ROLLBACK"), 0);
}

static void test_lock_had_at_last(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    holder = lock_a(s);
    s->progress.say = let_go;
    scene_put(s, two, "CREATE TABLE b (id int);\nALTER TABLE a ADD x int;");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(result_of(s, 0)->attempts, 2);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations"), 2);

    /* A statement that runs by itself is tried again by itself. */
    assert_int_equal(pg_run(holder, "BEGIN; INSERT INTO a VALUES (0)"), 0);
    scene_put(s, "3", "CREATE TABLE c (id int);\nALTER TABLE a ADD y int;\nVACUUM;");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(result_of(s, 0)->attempts, 2);
    assert_int_equal(result_of(s, 0)->statements_done, 3);
    pg_close(holder);
}

/* What waits concurrently stops nobody, and is not cut short. */
static void let_go_later(void *context, const char *text)
{
    struct scene *s = context;

    buf_printf(&s->said, "%s\n", text);
    if (strstr(text, "waiting for a lock"))
        assert_int_equal(pg_run(holder, "SELECT pg_sleep(0.2); ROLLBACK"), 0);
}

static void test_concurrently_waits(void **state)
{
    struct scene *s = *state;

    s->options.lock_ms = 50;
    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    holder = lock_a(s);
    s->progress.say = let_go_later;
    scene_put(s, two, "CREATE INDEX CONCURRENTLY i ON a (id);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(s->report.invalid_count, 0);
    assert_holds(buf_cstr(&s->said), "waiting for a lock: ");
    pg_close(holder);
}

static atomic_int *flag;

/* Cancels once the migration is seen to sleep. */
static void *cancel_later(void *arg)
{
    struct scene *s = arg;

    while (product_number(s->product, "SELECT count(*) FROM pg_stat_activity WHERE"
                                      " application_name = 'holdfast migrate' AND wait_event ="
                                      " 'PgSleep'") == 0)
        usleep(1000);
    atomic_store(flag, 1);
    return NULL;
}

static void test_cancel(void **state)
{
    struct scene *s = *state;
    pthread_t thread;

    flag = &s->cancel;
    scene_put(s, one, "CREATE TABLE a (id int);\nSELECT pg_sleep(600);");
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, s), 0);
    assert_int_equal(scene_deploy(s), PG_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS"
                               " NOT NULL"),
                     1);
    assert_int_equal(number(s, "SELECT count(*) FROM pg_class WHERE relname = 'a'"), 0);
    atomic_store(&s->cancel, 0);
    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
}

/* Ends the migration's backend once it is seen to sleep. */
static void *end_backend(void *arg)
{
    struct scene *s = arg;

    while (product_number(s->product, "SELECT count(pg_terminate_backend(pid)) FROM"
                                      " pg_stat_activity WHERE application_name ="
                                      " 'holdfast migrate' AND wait_event = 'PgSleep'") == 0)
        usleep(1000);
    return NULL;
}

static void test_connection_lost(void **state)
{
    struct scene *s = *state;
    pthread_t thread;

    scene_put(s, one, "CREATE TABLE a (id int);\nSELECT pg_sleep(600);");
    assert_int_equal(pthread_create(&thread, NULL, end_backend, s), 0);
    assert_int_equal(scene_deploy(s), PG_UNREACHABLE);
    pthread_join(thread, NULL);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_ROLLED_BACK);
    assert_int_equal(result_of(s, 0)->failure.line, 2);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS"
                               " NOT NULL"),
                     1);

    /* Statement by statement nobody can tell. */
    scene_put(s, one, "CREATE TABLE a (id int);\nSELECT pg_sleep(600);\nVACUUM;");
    assert_int_equal(pthread_create(&thread, NULL, end_backend, s), 0);
    assert_int_equal(scene_deploy(s), PG_UNREACHABLE);
    pthread_join(thread, NULL);
    assert_int_equal(result_of(s, 0)->fate, MIGRATE_FATE_UNKNOWN);
    assert_holds(scene_text(s, "SELECT logs FROM _prisma_migrations WHERE rolled_back_at IS NULL"),
                 "line 1: done in ");
    assert_int_equal(scene_deploy(s), MIGRATE_BROKEN);
}

/* The same migrations on a scratch database: the rehearsal. */
static void test_rehearsal(void **state)
{
    struct scene *s = *state;
    char scratch[100], sql[200];

    scene_put(s, one, "CREATE TABLE a (id int);");
    snprintf(scratch, sizeof scratch, "%s_scratch", s->product->database);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", scratch);
    product_admin(sql);
    s->options.database = scratch;
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM pg_class WHERE relname = 'a'"), 0);
    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", scratch);
    product_admin(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_in_order_and_once),
        SCENE_TEST(test_failure_is_undone),
        SCENE_TEST(test_failure_of_commit),
        SCENE_TEST(test_settings_end),
        SCENE_TEST(test_frame),
        SCENE_TEST(test_apart),
        SCENE_TEST(test_apart_fails),
        SCENE_TEST(test_apart_fails_at_once),
        SCENE_TEST(test_new_value),
        SCENE_TEST(test_invalid_before),
        SCENE_TEST(test_locks_are_told),
        SCENE_TEST(test_statement_timeout),
        SCENE_TEST(test_lock_not_had),
        SCENE_TEST(test_lock_had_at_last),
        SCENE_TEST(test_concurrently_waits),
        SCENE_TEST(test_cancel),
        SCENE_TEST(test_connection_lost),
        SCENE_TEST(test_rehearsal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
