/* A directory of migrations is read as Prisma reads it, and what is wrong with it is named. */
#include "deploy/migrations.h"

#include "base/fault.h"
#include "deploy/product_url.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARENA_MAX = 256 * 1024 * 1024 };

struct place {
    char directory[64];
    struct arena a;
};

static int place_new(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    snprintf(p->directory, sizeof p->directory, "/tmp/holdfast-migrations.XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    p->a = arena_init(ARENA_MAX);
    *state = p;
    return 0;
}

static int place_release(void **state)
{
    struct place *p = *state;
    char command[100];

    snprintf(command, sizeof command, "rm -rf '%s'", p->directory);
    arena_free(&p->a);
    free(p);
    return system(command);
}

/* Writes a file at a path within the directory, whose own directory is made. */
static void put(struct place *p, const char *name, struct str text)
{
    char path[200];
    const char *slash = strrchr(name, '/');

    if (slash) {
        snprintf(path, sizeof path, "%s/%.*s", p->directory, (int)(slash - name), name);
        mkdir(path, 0700);
    }
    snprintf(path, sizeof path, "%s/%s", p->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    close(fd);
}

static int look(struct place *p, struct migrations *ret)
{
    return migrations_read(&p->a, p->directory, ret);
}

static void test_order_and_files(void **state)
{
    struct place *p = *state;
    struct migrations m;

    put(p, "20240201000000_b/migration.sql", STR("SELECT 2;"));
    put(p, "20240101000000_a/migration.sql", STR("SELECT 1;\n"));
    put(p, "20240101000000_a/down.sql", STR("SELECT 0;"));
    put(p, "20240101000000_a/README.md", STR("\xFF"));
    put(p, "migration_lock.toml", STR("# yes\nprovider = \"postgresql\"\n"));
    put(p, "note.sql", STR("\xFF"));
    assert_int_equal(look(p, &m), 0);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.all[0].name, "20240101000000_a");
    assert_true(str_eq(m.all[0].sql, STR("SELECT 1;\n")));
    assert_true(str_eq(m.all[0].down, STR("SELECT 0;")));
    assert_null(m.all[1].down.p);
    assert_ptr_equal(migrations_find(&m, "20240201000000_b"), &m.all[1]);
    assert_null(migrations_find(&m, "20240201000000"));
    /* printf 'SELECT 1;\n' | sha256sum */
    assert_string_equal(m.all[0].checksum,
                        "b4e0497804e46e0a0b0b8c31975b062152d551bac49c3c2e80932567b4085dcd");
}

/* A checkout on another system changes line ends, and nothing else. */
static void test_line_ends(void **state)
{
    struct place *p = *state;
    struct migrations m;

    put(p, "a/migration.sql", STR("SELECT 1;\n-- x\n"));
    put(p, "b/migration.sql", STR("SELECT 1;\r\n-- x\r\n"));
    put(p, "c/migration.sql", STR("SELECT 1;\r\n-- x\n"));
    put(p, "d/migration.sql", STR("SELECT 1;\n-- y\n"));
    assert_int_equal(look(p, &m), 0);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            assert_true(migration_has_checksum(&m.all[i], m.all[j].checksum));
    assert_false(migration_has_checksum(&m.all[0], m.all[2].checksum)); /* mixed: only its own */
    assert_true(migration_has_checksum(&m.all[2], m.all[2].checksum));
    assert_false(migration_has_checksum(&m.all[3], m.all[0].checksum));
}

static void assert_wrong(struct place *p, int outcome, const char *says)
{
    struct migrations m;

    assert_int_equal(look(p, &m), outcome);
    if (!strstr(fault_message(), says))
        fail_msg("no \"%s\" in: %s", says, fault_message());
}

static void test_wrong_files(void **state)
{
    struct place *p = *state;
    struct migrations m;

    assert_int_equal(migrations_read(&p->a, "/nowhere/at/all", &m), MIGRATIONS_MISSING);
    assert_string_equal(fault_message(),
                        "/nowhere/at/all: cannot be read: No such file or directory");
    put(p, "a/migration.sql", STR("\xFF\xFES\0E\0"));
    assert_wrong(p, MIGRATIONS_WRONG, "/a/migration.sql: is UTF-16; save it as UTF-8");
    put(p, "a/migration.sql", STR("\xEF\xBB\xBFSELECT 1"));
    assert_wrong(p, MIGRATIONS_WRONG, "begins with a byte order mark");
    put(p, "a/migration.sql", STR("SELECT\0 1"));
    assert_wrong(p, MIGRATIONS_WRONG, "holds a NUL byte");
    put(p, "a/migration.sql", STR("SELECT '\xE4'"));
    assert_wrong(p, MIGRATIONS_WRONG, "is not UTF-8");
    put(p, "a/migration.sql", STR("SELECT 1"));
    put(p, "a/down.sql", STR("\xE4"));
    assert_wrong(p, MIGRATIONS_WRONG, "/a/down.sql: is not UTF-8");
    put(p, "a/down.sql", STR(""));
    assert_int_equal(look(p, &m), 0);
    assert_non_null(m.all[0].down.p);
    put(p, "b/other.sql", STR("SELECT 1"));
    assert_wrong(p, MIGRATIONS_NO_SCRIPT, "/b/migration.sql: is not there");
    put(p, "b/migration.sql/x", STR(""));
    assert_wrong(p, MIGRATIONS_WRONG, "/b/migration.sql: is no file");
}

static void test_provider(void **state)
{
    struct place *p = *state;
    struct migrations m;

    put(p, "a/migration.sql", STR(""));
    put(p, "migration_lock.toml", STR("provider = \"mysql\""));
    assert_wrong(p, MIGRATIONS_PROVIDER,
                 "migration_lock.toml: the migrations are written for mysql");
    put(p, "migration_lock.toml", STR("# provider = \"mysql\"\r\nprovider=\"postgresql\"\r\n"));
    assert_int_equal(look(p, &m), 0);
    put(p, "migration_lock.toml", STR("providers\nprovider = 7"));
    assert_int_equal(look(p, &m), 0);
}

static void test_longest_file(void **state)
{
    struct place *p = *state;
    struct migrations m;
    struct buf text _cleanup_buf_ = buf_init(MIGRATION_BYTES_MAX + 1);

    assert_int_equal(buf_reserve(&text, MIGRATION_BYTES_MAX + 1), 0);
    memset(text.p, ' ', MIGRATION_BYTES_MAX + 1);
    put(p, "a/migration.sql", (struct str){text.p, MIGRATION_BYTES_MAX});
    assert_int_equal(look(p, &m), 0);
    put(p, "a/migration.sql", (struct str){text.p, MIGRATION_BYTES_MAX + 1});
    assert_wrong(p, MIGRATIONS_WRONG, "a/migration.sql: is longer than 16777216 bytes");
}

static const struct {
    const char *sql;
    size_t count;
    int line; /* of the statement that does not go into a transaction; 0: all do */
    const char *why;
} scripts[] = {
    {"-- nothing", 0, 0, NULL},
    {"CREATE TABLE a ();\nCREATE INDEX i ON a (x);", 2, 0, NULL},
    {"SELECT 1;\nCREATE INDEX CONCURRENTLY i ON a (x);", 2, 2, "cannot run in a transaction"},
    {"BEGIN;\nCREATE TABLE a ();\nCOMMIT;\n", 1, 0, NULL},
    {"BEGIN;\nCOMMIT", 0, 0, NULL},
    {"BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;", 4, 1, "begins or ends a transaction"},
    {"BEGIN;\nVACUUM;\nCOMMIT;", 3, 1, "begins or ends a transaction"},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT", 3, 1, "begins or ends"},
    {"ALTER TYPE r ADD VALUE 'X';\nSELECT 1", 2, 0, NULL},
    {"ALTER TYPE r ADD VALUE 'X';\nALTER TABLE t ALTER a SET DEFAULT 'X'", 2, 1, "takes a commit"},
    {"CREATE TYPE r AS ENUM ();\nALTER TYPE r ADD VALUE 'X';\nSELECT 'X'", 3, 0, NULL},
    {"SELECT 1;\nCALL p()", 2, 2, "or may"},
};

static void test_scripts(void **state)
{
    struct place *p = *state;

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct script s;
        assert_int_equal(script_read(&p->a, "x", str_of(scripts[i].sql), &s), 0);
        int line = s.atomic ? 0 : s.apart->at.line;
        if (s.count != scripts[i].count || line != scripts[i].line ||
            (line && !strstr(s.why, scripts[i].why)))
            fail_msg("%s: %zu, line %d, %s", scripts[i].sql, s.count, line, s.why ? s.why : "");
    }
    struct script s;
    assert_int_equal(script_read(&p->a, "a/migration.sql", STR("SELECT 1;\n\\x"), &s),
                     MIGRATIONS_WRONG);
    assert_non_null(strstr(fault_message(), "a/migration.sql: line 2: a backslash"));
}

static void test_most_statements(void **state)
{
    struct place *p = *state;
    struct buf text _cleanup_buf_ = buf_init(1 << 20);
    struct script s;

    for (int i = 0; i < MIGRATION_STATEMENTS_MAX; i++)
        buf_add_str(&text, STR("X;"));
    assert_int_equal(script_read(&p->a, "x", buf_str(&text), &s), 0);
    assert_int_equal(s.count, MIGRATION_STATEMENTS_MAX);
    buf_add_char(&text, 'X');
    assert_int_equal(script_read(&p->a, "x", buf_str(&text), &s), MIGRATIONS_WRONG);
}

static const struct {
    const char *url, *out, *schema; /* out NULL: schema is part of what is said against it */
} urls[] = {
    {"postgresql://u:p@h:1/d", "postgresql://u:p@h:1/d", "public"},
    {"postgres://h/d?schema=app", "postgres://h/d", "app"},
    {"postgresql://h/d?schema=a%20b&sslmode=require&connection_limit=5&pool_timeout=0",
     "postgresql://h/d?sslmode=require", "a b"},
    {"postgresql://h/d?connect_timeout=3&pgbouncer=false&sslaccept=accept_invalid_certs&host=/x",
     "postgresql://h/d?connect_timeout=3&host=/x", "public"},
    {"postgresql://h/d?", "postgresql://h/d", "public"},
    {"postgresql://h/d?pgbouncer=true", NULL, "PgBouncer"},
    {"postgresql://h/d?sslaccept=strict", NULL, "verify-full"},
    {"postgresql://h/d?sslidentity=x.p12", NULL, "sslcert"},
    {"postgresql://h/d?schema=", NULL, "schema"},
    {"postgresql://h/d?schema=%zz", NULL, "schema"},
    {"postgresql://h/d?schema=a%2", NULL, "schema"},
    {"postgresql://h/d?schema=a%00", NULL, "schema"},
    {"sqlite:x", NULL, "postgresql://"},
};

static void test_urls(void **state)
{
    struct place *p = *state;

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct product_url u = {NULL, NULL};
        int result = product_url_read(&p->a, urls[i].url, &u);
        if (urls[i].out &&
            (result || strcmp(u.url, urls[i].out) != 0 || strcmp(u.schema, urls[i].schema) != 0))
            fail_msg("%s: %d, %s, %s", urls[i].url, result, u.url, u.schema);
        if (!urls[i].out &&
            (result != PRODUCT_URL_WRONG || !strstr(fault_message(), urls[i].schema)))
            fail_msg("%s: %d, %s", urls[i].url, result, fault_message());
    }
}

#define PLACE_TEST(function) cmocka_unit_test_setup_teardown(function, place_new, place_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_order_and_files), PLACE_TEST(test_line_ends),
        PLACE_TEST(test_wrong_files),     PLACE_TEST(test_provider),
        PLACE_TEST(test_longest_file),    PLACE_TEST(test_scripts),
        PLACE_TEST(test_most_statements), PLACE_TEST(test_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
