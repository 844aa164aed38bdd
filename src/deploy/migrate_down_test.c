/* The reviewed way back of migrations: all of it, or nothing. */
#include "deploy/migrate_down.h"

#include "base/fault.h"
#include "deploy/migrate_fixture.h"

#include <sys/stat.h>

static const char one[] = "20240101000000_one", two[] = "20240201000000_two";

static void put_down(struct scene *s, const char *name, const char *sql)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s/down.sql", s->directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(sql, f);
    fclose(f);
}

static void deploy_two(struct scene *s)
{
    scene_put(s, one, "CREATE TABLE a (id int);");
    scene_put(s, two, "CREATE TABLE b (id int);");
    assert_int_equal(scene_deploy(s), 0);
}

/* Takes these back in a session of its own. */
static int go_back(struct scene *s, const char *const *names, size_t n)
{
    struct migrate *m = scene_session(s, true);

    scene_look(s, m);
    int result = migrate_down(m, &s->a, &s->files, &s->view, names, n);
    migrate_close(m);
    m = scene_session(s, false);
    scene_look(s, m);
    migrate_close(m);
    return result;
}

static const char *tables(struct scene *s)
{
    return scene_text(s, "SELECT coalesce(string_agg(tablename, ',' ORDER BY tablename), '') FROM"
                         " pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_%'");
}

static void test_back(void **state)
{
    struct scene *s = *state;

    deploy_two(s);
    put_down(s, one, "DROP TABLE a;");
    put_down(s, two, "-- the last one first\nSELECT * FROM a;\nDROP TABLE b;");
    assert_int_equal(go_back(s, (const char *const[]){one, two}, 2), 0);
    assert_string_equal(tables(s), "");
    assert_int_equal(scene_state(s, one), MIGRATE_ROLLED_BACK);
    assert_int_equal(scene_state(s, two), MIGRATE_ROLLED_BACK);
    assert_int_equal(go_back(s, (const char *const[]){one, two}, 2), 0); /* again: nothing */
    assert_int_equal(scene_deploy(s), 0);
    assert_string_equal(tables(s), "a,b");
}

static void test_missing(void **state)
{
    struct scene *s = *state;

    deploy_two(s);
    put_down(s, two, "DROP TABLE b;");
    assert_int_equal(go_back(s, (const char *const[]){one, two}, 2), MIGRATE_NO_FILE);
    assert_holds(fault_message(), "20240101000000_one has no down.sql");
    assert_string_equal(tables(s), "a,b");
    assert_int_equal(go_back(s, (const char *const[]){two}, 1), 0);
    assert_string_equal(tables(s), "a");
    assert_int_equal(scene_state(s, one), MIGRATE_APPLIED);
}

static void test_failing(void **state)
{
    struct scene *s = *state;

    deploy_two(s);
    put_down(s, two, "DROP TABLE b;\nDROP TABLE c;");
    assert_int_equal(go_back(s, (const char *const[]){two}, 1), MIGRATE_FAILED);
    assert_holds(fault_message(), "20240201000000_two/down.sql:2: table \"c\" does not exist");
    assert_string_equal(tables(s), "a,b");
    assert_int_equal(scene_state(s, two), MIGRATE_APPLIED);
}

static void test_apart(void **state)
{
    struct scene *s = *state;

    scene_put(s, one, "CREATE TABLE a (id int); CREATE INDEX i ON a (id);");
    assert_int_equal(scene_deploy(s), 0);
    put_down(s, one, "DROP INDEX CONCURRENTLY i;\nDROP TABLE a;");
    assert_int_equal(go_back(s, (const char *const[]){one}, 1), 0);
    assert_string_equal(tables(s), "");
    assert_int_equal(scene_state(s, one), MIGRATE_ROLLED_BACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_back),
        SCENE_TEST(test_missing),
        SCENE_TEST(test_failing),
        SCENE_TEST(test_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
