/* What was written since a backup is never overlooked, and what was not is not made up. */
#include "deploy/backup_scene.h"
#include "deploy/writes.h"

#include <string.h>

static struct writes look(struct scene *s, const struct backup *b)
{
    struct writes w;

    if (writes_since(s->p->pg, &b->manifest, &s->a, &w))
        fail_msg("%s", fault_message());
    return w;
}

/* Runs the statements after a backup, and gives the list that is made of it. */
static const char *written_by(struct scene *s, const char *sql)
{
    struct backup b = scene_backup(s);
    struct buf list = buf_init(1 << 16);

    product_run(s->p, sql);
    struct writes w = look(s, &b);
    writes_print(&w, &list);
    assert_int_equal(w.none, list.n == 0);
    const char *text = arena_str(&s->a, buf_str(&list)).p;
    buf_free(&list);
    return text;
}

static void test_written(void **state)
{
    struct scene *s = *state;
    static const char *const cases[][2] = {
        {"UPDATE customers SET kind = 'b' WHERE id = 1",
         "table public.customers: 1000 rows, there were 1000; 1 written since\n"},
        {"DELETE FROM customers WHERE id = 2",
         "table public.customers: 999 rows, there were 1000; 0 written since\n"},
        {"DELETE FROM customers WHERE id = 3; INSERT INTO customers (id, name) VALUES (2, 'n')",
         "table public.customers: 999 rows, there were 999; 1 written since\n"},
        {"INSERT INTO parts VALUES (99, '2026-05-05')",
         "table public.parts_1: 21 rows, there were 20; 1 written since\n"},
        {"TRUNCATE \"Odd name\"", "table public.\"Odd name\": 0 rows, there were 50; 0 written"},
        {"SELECT setval('down', -40)", "sequence public.down: from -2 to -40\n"},
        {"CREATE TABLE t (n int); INSERT INTO t VALUES (1)", "table public.t: new, 1 rows\n"},
        {"DROP TABLE t", "table public.t: dropped, 1 rows\n"},
        {"ALTER TABLE customers ALTER kind SET DEFAULT 'b'", "schema: columns were changed"},
        {"CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 3 * n'",
         "schema: functions were changed"},
        {"GRANT SELECT ON customers TO PUBLIC", "schema: relations were changed"},
        {"DROP VIEW good; DROP INDEX by_kind", "schema: indexes were changed"},
        {"SELECT lo_from_bytea(0, 'x')", "large objects: 1 pages written\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *list = written_by(s, cases[i][0]);
        if (!strstr(list, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], list);
    }
}

static void test_not_written(void **state)
{
    struct scene *s = *state;
    static const char *const cases[] = {
        "SELECT 1",
        "BEGIN; INSERT INTO customers (id, name) VALUES (5000, 'x'); ROLLBACK",
        "CREATE TEMP TABLE t AS SELECT * FROM customers",
        "VACUUM FREEZE customers",
        "ANALYZE",
        "VACUUM FULL",
        "BEGIN; SELECT * FROM customers FOR UPDATE; COMMIT",
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *list = written_by(s, cases[i]);
        if (*list)
            fail_msg("%s: %s", cases[i], list);
    }
}

/* A transaction that had begun, and a part of it, are not in the snapshot though their numbers are
 * below its end. */
static void test_in_progress(void **state)
{
    struct scene *s = *state;
    struct pg_options options = {.url = s->p->url};
    struct pg *other _cleanup_pg_ = NULL;

    assert_int_equal(pg_open(&options, &other), 0);
    assert_int_equal(pg_run(other, "BEGIN; UPDATE customers SET kind = 'b' WHERE id = 1;"
                                   "SAVEPOINT a; UPDATE customers SET kind = 'b' WHERE id = 2;"
                                   "RELEASE a"),
                     0);
    product_run(s->p, "CREATE TABLE later (n int)");
    struct backup b = scene_backup(s);
    assert_int_equal(pg_run(other, "COMMIT"), 0);
    struct writes w = look(s, &b);
    assert_false(w.none);
    assert_int_equal(w.n_tables, 1);
    assert_string_equal(w.tables[0].name, "public.customers");
    assert_int_equal(w.tables[0].newer, 2);
}

static void test_another_database(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);

    b.manifest.oid = "1";
    struct writes w = look(s, &b);
    assert_false(w.none);
    assert_int_equal(w.n_others, 1);
    b.manifest.snapshot = "nonsense";
    assert_int_equal(writes_since(s->p->pg, &b.manifest, &s->a, &w), BACKUP_DAMAGED);
}

/* What is written after the look is seen by the server's counters alone. */
static void test_more(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct buf names _cleanup_buf_ = buf_init(1 << 16);
    struct pg_options options = {.url = s->p->url};
    struct pg *other;
    struct writes w;
    bool more = true;

    /* What was done before is counted before the look, once its session has ended. */
    pg_close(s->p->pg);
    s->p->pg = NULL;
    scene_reconnect(s);
    w = look(s, &b);
    assert_int_equal(writes_more(s->p->pg, &w, &s->a, &names, &more), 0);
    assert_false(more);
    assert_int_equal(pg_open(&options, &other), 0);
    assert_int_equal(pg_run(other, "BEGIN; SELECT * FROM customers FOR UPDATE; COMMIT"), 0);
    pg_close(other);
    assert_int_equal(writes_more(s->p->pg, &w, &s->a, &names, &more), 0);
    assert_false(more);
    assert_int_equal(pg_open(&options, &other), 0);
    assert_int_equal(pg_run(other, "DELETE FROM parts WHERE id = 1"), 0);
    pg_close(other);
    while (product_number(s->p, "SELECT count(*) FROM pg_stat_activity WHERE datname ="
                                " current_database() AND backend_type = 'client backend'") > 1)
        ;
    assert_int_equal(writes_more(s->p->pg, &w, &s->a, &names, &more), 0);
    assert_true(more);
    assert_true(str_eq(buf_str(&names), STR("public.parts_1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_written),     SCENE_TEST(test_not_written),
        SCENE_TEST(test_in_progress), SCENE_TEST(test_another_database),
        SCENE_TEST(test_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
