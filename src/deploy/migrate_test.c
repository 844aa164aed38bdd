/* Prisma's history: what is read from it, who has the turn, and what is resolved by hand. */
#include "deploy/migrate_fixture.h"

static const char one[] = "20240101000000_one", two[] = "20240201000000_two";

static int64_t number(struct scene *s, const char *sql)
{
    return product_number(s->product, sql);
}

static void test_table(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    assert_string_equal(
        scene_text(s, "SELECT string_agg(column_name || ' ' || data_type || ' ' ||"
                      " coalesce(character_maximum_length::text, '') || ' ' || is_nullable || ' '"
                      " || coalesce(column_default, ''), ', ' ORDER BY ordinal_position)"
                      " FROM information_schema.columns WHERE table_name = '_prisma_migrations'"),
        "id character varying 36 NO , checksum character varying 64 NO , "
        "finished_at timestamp with time zone  YES , migration_name character varying 255 NO , "
        "logs text  YES , rolled_back_at timestamp with time zone  YES , "
        "started_at timestamp with time zone  NO now(), applied_steps_count integer  NO 0");
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE migration_name ="
                               " '20240101000000_one' AND finished_at >= started_at"
                               " AND rolled_back_at IS NULL AND logs IS NULL AND length(id) = 36"
                               " AND applied_steps_count = 1"),
                     1);
    assert_string_equal(scene_text(s, "SELECT checksum FROM _prisma_migrations"),
                        s->files.all[0].checksum);
}

static void test_schema(void **state)
{
    struct scene *s = *state;

    s->options.schema = "my app";
    scene_put(s, one, "CREATE TABLE a (id int);");
    assert_int_equal(scene_deploy(s), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM \"my app\"._prisma_migrations"), 1);
    assert_int_equal(number(s, "SELECT count(*) FROM \"my app\".a"), 0);
}

static void put_row(struct scene *s, const char *name, const char *checksum, const char *times)
{
    char sql[500];
    static int id;

    snprintf(sql, sizeof sql,
             "INSERT INTO _prisma_migrations (id, migration_name, checksum, finished_at,"
             " rolled_back_at) VALUES ('row %d', '%s', '%s', %s)",
             id++, name, checksum, times);
    product_run(s->product, sql);
}

static void test_states(void **state)
{
    struct scene *s = *state;
    struct migrate *m _cleanup_migrate_ = NULL;

    scene_put(s, "a", "SELECT 1;");
    assert_int_equal(scene_deploy(s), 0);
    const char *good = s->files.all[0].checksum;
    scene_put(s, "again", "SELECT 1;");
    scene_put(s, "edited", "SELECT 1;");
    scene_put(s, "failed", "SELECT 1;");
    scene_put(s, "new", "SELECT 1;");
    scene_put(s, "twice", "SELECT 1;");
    put_row(s, "again", good, "NULL, now()");
    put_row(s, "edited", "0123", "now(), NULL");
    put_row(s, "failed", good, "NULL, NULL");
    put_row(s, "failed", good, "NULL, now()");
    put_row(s, "gone", good, "now(), NULL");
    put_row(s, "gone and undone", good, "now(), now()");
    put_row(s, "twice", good, "NULL, now()");
    put_row(s, "twice", good, "now(), NULL");
    m = scene_session(s, false);
    scene_look(s, m);
    assert_int_equal(s->view.count, 7);
    assert_int_equal(scene_state(s, "a"), MIGRATE_APPLIED);
    assert_int_equal(scene_state(s, "again"), MIGRATE_ROLLED_BACK);
    assert_int_equal(scene_state(s, "edited"), MIGRATE_IS_EDITED);
    assert_int_equal(scene_state(s, "failed"), MIGRATE_IS_FAILED);
    assert_int_equal(scene_state(s, "gone"), MIGRATE_IS_MISSING);
    assert_int_equal(scene_state(s, "new"), MIGRATE_PENDING);
    assert_int_equal(scene_state(s, "twice"), MIGRATE_APPLIED);
    assert_int_equal(s->view.pending, 2);
    assert_int_equal(migrate_ready(&s->view), MIGRATE_BROKEN);
    assert_holds(fault_message(), "failed failed, and nothing is applied");
    product_run(s->product, "DELETE FROM _prisma_migrations WHERE migration_name = 'failed'");
    scene_look(s, m);
    assert_int_equal(migrate_ready(&s->view), MIGRATE_EDITED);
    assert_holds(fault_message(), "edited was edited");
    assert_holds(fault_message(), good);
    assert_holds(fault_message(), "had 0123");
    product_run(s->product, "DELETE FROM _prisma_migrations WHERE migration_name = 'edited'");
    scene_look(s, m);
    assert_int_equal(migrate_ready(&s->view), 0); /* what is missing here stops nothing */
}

static void test_not_empty(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE b (id int);");
    product_run(s->product, "CREATE TABLE a (id int)");
    assert_int_equal(scene_deploy(s), MIGRATE_NOT_EMPTY);
    assert_string_equal(migrate_code(MIGRATE_NOT_EMPTY), "P3005");
    assert_false(s->view.has_history);
    product_run(s->product, "DROP TABLE a; CREATE SCHEMA other; CREATE TABLE other.a (id int)");
    assert_int_equal(scene_deploy(s), 0);
}

static void test_resolve_applied(void **state)
{
    struct scene *s = *state;
    struct migrate *m _cleanup_migrate_ = NULL;

    scene_put(s, one, "CREATE TABLE a (id int);");
    scene_put(s, two, "CREATE TABLE b (id int);");
    product_run(s->product, "CREATE TABLE a (id int)");
    m = scene_session(s, true);
    scene_look(s, m);
    assert_int_equal(migrate_resolve_applied(m, &s->files, "one"), MIGRATE_NO_FILE);
    assert_string_equal(migrate_code(MIGRATE_NO_FILE), "P3017");
    assert_int_equal(migrate_resolve_applied(m, &s->files, one), 0);
    assert_int_equal(migrate_resolve_applied(m, &s->files, one), MIGRATE_ALREADY);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT"
                               " NULL AND applied_steps_count = 0"),
                     1);
    /* A failed attempt is taken for rolled back. */
    put_row(s, two, "0", "NULL, NULL");
    assert_int_equal(migrate_resolve_applied(m, &s->files, two), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS NOT"
                               " NULL AND finished_at IS NULL"),
                     1);
    scene_look(s, m);
    assert_int_equal(s->view.counts[MIGRATE_APPLIED], 2);
}

static void test_resolve_rolled_back(void **state)
{
    struct scene *s = *state;
    struct migrate *m _cleanup_migrate_ = scene_session(s, true);

    assert_int_equal(migrate_resolve_rolled_back(m, one), MIGRATE_NEVER);
    scene_put(s, one, "SELECT 1;");
    scene_look(s, m);
    assert_int_equal(migrate_resolve_applied(m, &s->files, one), 0);
    assert_int_equal(migrate_resolve_rolled_back(m, two), MIGRATE_NEVER);
    assert_int_equal(migrate_resolve_rolled_back(m, one), MIGRATE_NOT_FAILED);
    put_row(s, two, "0", "NULL, NULL");
    scene_look(s, m);
    assert_int_equal(scene_state(s, two), MIGRATE_IS_FAILED);
    assert_int_equal(migrate_resolve_rolled_back(m, two), 0);
    assert_int_equal(migrate_resolve_rolled_back(m, two), 0);
    scene_look(s, m);
    assert_int_equal(s->view.count, 1);
}

static void test_turn(void **state)
{
    struct scene *s = *state;

    s->options.statement_ms = 100; /* is of a migration's statements, not of the turn */
    struct migrate *second _cleanup_migrate_ = scene_session(s, false);
    struct migrate *first = scene_session(s, true);

    assert_int_equal(migrate_lock(second), MIGRATE_LOCKED);
    assert_holds(fault_message(), "1 s passed: process ");
    assert_holds(fault_message(), "(holdfast migrate, user holdfast at 127.0.0.1, idle");
    assert_string_equal(migrate_code(MIGRATE_LOCKED), "P1002");
    migrate_close(first);
    assert_int_equal(migrate_lock(second), 0);
    /* It is the lock that Prisma takes. */
    assert_string_equal(scene_text(s, "SELECT pg_try_advisory_lock(72707369)"), "f");
}

static void test_codes(void **state)
{
    assert_string_equal(migrate_code(MIGRATE_BROKEN), "P3009");
    assert_string_equal(migrate_code(MIGRATE_ALREADY), "P3008");
    assert_string_equal(migrate_code(MIGRATE_NEVER), "P3011");
    assert_string_equal(migrate_code(MIGRATE_NOT_FAILED), "P3012");
    assert_string_equal(migrate_code(MIGRATE_FAILED), "P3018");
    assert_string_equal(migrate_code(MIGRATIONS_PROVIDER), "P3019");
    assert_string_equal(migrate_code(MIGRATIONS_NO_SCRIPT), "P3015");
    assert_null(migrate_code(MIGRATE_EDITED));
    assert_null(migrate_code(PG_REFUSED));
}

static bool warns(const struct scene *s, const char *what, const char *facts, bool destroys)
{
    for (const struct migrate_danger *d = s->plan.dangers; d; d = d->next)
        if (strcmp(d->what, what) == 0 && strstr(d->facts, facts) && d->destroys == destroys)
            return true;
    for (const struct migrate_danger *d = s->plan.dangers; d; d = d->next)
        print_message("%d: %s (%s) %d\n", d->line, d->what, d->facts, d->destroys);
    return false;
}

static const char product_tables[] =
    "CREATE TABLE full_one (id int, name varchar(20), age int, note text, big bigint);"
    "INSERT INTO full_one SELECT n, 'x', n, CASE WHEN n > 1 THEN 'x' END, n"
    " FROM generate_series(1, 1234) n; ANALYZE full_one;"
    "CREATE TABLE empty_one (id int, name text); CREATE TYPE mood AS ENUM ('a');"
    "CREATE SCHEMA extra; CREATE TABLE extra.t (id int)";

static void plan(struct scene *s, const char *sql)
{
    struct migrate *m _cleanup_migrate_ = scene_session(s, false);

    scene_put(s, one, sql);
    scene_look(s, m);
    if (migrate_plan(m, &s->a, &s->files, &s->view, &s->plan))
        fail_msg("%s", fault_message());
}

static void test_dangers(void **state)
{
    struct scene *s = *state;

    product_run(s->product, product_tables);
    plan(s, "DROP TABLE full_one, empty_one;\nDROP SCHEMA extra CASCADE;\nDROP TYPE mood CASCADE;"
            "ALTER TABLE full_one DROP COLUMN age, ALTER name TYPE varchar(10),\n"
            " ALTER big TYPE int, ADD must int NOT NULL, ADD key uuid DEFAULT gen_random_uuid(),"
            " ADD n serial, ALTER note SET NOT NULL;\n"
            "TRUNCATE full_one; DELETE FROM full_one; UPDATE full_one SET age = 1;\n"
            "ALTER TABLE full_one RENAME note TO remark; DO $$ BEGIN DELETE FROM x; END $$;");
    assert_true(warns(s, "drops the table full_one", "about 1,234 rows, ", true));
    assert_true(warns(s, "drops the table empty_one", "the table is empty", true));
    assert_true(warns(s, "drops the schema extra", "1 table", true));
    assert_true(warns(s, "drops the type mood and what depends on it", "", true));
    assert_true(warns(s, "drops the column full_one.age", "about 1,234 rows", true));
    assert_true(warns(s,
                      "changes full_one.name from character varying(20) to varchar(10): which "
                      "holds less; rewrites the table",
                      "rows", true));
    assert_true(warns(s,
                      "changes full_one.big from bigint to int: which holds less; rewrites the "
                      "table",
                      "rows", true));
    assert_true(warns(s,
                      "adds full_one.must, required and without a default: fails where there are "
                      "rows",
                      "rows", true));
    assert_true(warns(s, "adds full_one.key with a default that differs by row: rewrites the table",
                      "rows", true));
    assert_true(warns(s, "adds full_one.n as serial: rewrites the table", "rows", true));
    assert_true(warns(s,
                      "requires full_one.note, which is NULL in some rows: fails unless they are "
                      "filled before",
                      "rows", true));
    assert_true(warns(s, "empties the table full_one", "rows", true));
    assert_true(warns(s, "deletes every row of full_one", "rows", true));
    assert_true(warns(s, "changes every row of full_one", "rows", false));
    assert_true(warns(s, "renames full_one.note to remark", "the release that serves", false));
    assert_true(warns(s, "runs code that holds DROP, TRUNCATE or DELETE", "", true));
    assert_int_equal(s->plan.danger_count, 16);
    assert_int_equal(s->plan.destroying, 14);
    assert_int_equal(s->plan.dangers->line, 1);
}

/* What is empty, new, or changed without loss is nothing to warn of. */
static void test_no_dangers(void **state)
{
    struct scene *s = *state;

    product_run(s->product, product_tables);
    plan(s, "CREATE TABLE new_one (id int); INSERT INTO new_one VALUES (1); DELETE FROM new_one;"
            "ALTER TABLE new_one ADD a int NOT NULL; DROP TABLE new_one;"
            "ALTER TABLE empty_one ADD a int NOT NULL, ALTER id TYPE smallint, ALTER name SET NOT"
            " NULL; TRUNCATE empty_one; DROP TABLE IF EXISTS nothing_here;"
            "ALTER TABLE full_one ALTER name TYPE text, ALTER age SET NOT NULL,"
            " ADD at timestamp DEFAULT now() NOT NULL, ADD made timestamp(3) NOT NULL"
            " DEFAULT CURRENT_TIMESTAMP, DROP COLUMN IF EXISTS never;");
    warns(s, "", "", false);
    assert_int_equal(s->plan.danger_count, 0);
}

static void test_plan(void **state)
{
    struct scene *s = *state;

    product_run(s->product, product_tables);
    plan(s, "CREATE TABLE n (id int);\nALTER TABLE n ADD a int;\nCREATE INDEX i ON full_one (id);");
    assert_int_equal(s->plan.count, 1);
    assert_true(s->plan.all[0].script.atomic);
    assert_int_equal(s->plan.all[0].lock, SQL_SHARE);
    assert_true(str_eq(s->plan.all[0].locked, STR("full_one")));
    plan(s, "\nVACUUM;");
    assert_false(s->plan.all[0].script.atomic);
    assert_int_equal(s->plan.all[0].script.apart->at.line, 2);

    struct migrate *m _cleanup_migrate_ = scene_session(s, false);
    scene_put(s, one, "SELECT 1;\n\\c other");
    scene_look(s, m);
    assert_int_equal(migrate_plan(m, &s->a, &s->files, &s->view, &s->plan), MIGRATIONS_WRONG);
    assert_holds(fault_message(), "/20240101000000_one/migration.sql: line 2: a backslash");
}

/* A look that somebody's lock stops takes a short time, and the table counts as one with rows. */
static void test_locked_table(void **state)
{
    struct scene *s = *state;

    product_run(s->product, product_tables);
    product_run(s->product, "BEGIN; LOCK TABLE empty_one");
    plan(s, "TRUNCATE empty_one");
    product_run(s->product, "ROLLBACK");
    assert_true(warns(s, "empties the table empty_one", "rows not counted", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_table),
        SCENE_TEST(test_schema),
        SCENE_TEST(test_states),
        SCENE_TEST(test_not_empty),
        SCENE_TEST(test_resolve_applied),
        SCENE_TEST(test_resolve_rolled_back),
        SCENE_TEST(test_turn),
        cmocka_unit_test(test_codes),
        SCENE_TEST(test_dangers),
        SCENE_TEST(test_no_dangers),
        SCENE_TEST(test_plan),
        SCENE_TEST(test_locked_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
