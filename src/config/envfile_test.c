/* Files of KEY=VALUE lines: what is read, what is refused and by which line it is named. */
#include "config/envfile.h"

#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What was visited, as "line:KEY=value;" each. */
struct seen {
    struct buf text;
    int fault_at; /* the visit of this line fails */
};

static int visit(void *context, struct str key, struct str value, int line)
{
    struct seen *seen = context;

    if (line == seen->fault_at)
        return FAULT_INTERNAL;
    return buf_printf(&seen->text, "%d:%.*s=%.*s;", line, STR_ARG(key), STR_ARG(value));
}

static void expect(const char *text, const char *want, const char *want_problems)
{
    struct seen seen = {.text = buf_init(1 << 16)};
    struct buf problems = buf_init(1 << 16);
    int r = envfile_parse(str_of(text), "f", visit, &seen, &problems);

    assert_int_equal(r, *want_problems ? ENVFILE_INVALID : 0);
    assert_string_equal(buf_cstr(&seen.text), want);
    assert_string_equal(buf_cstr(&problems), want_problems);
    buf_free(&seen.text);
    buf_free(&problems);
}

static void test_assignments(void **state)
{
    expect("", "", "");
    expect("A=1", "1:A=1;", "");
    expect("A=1\n", "1:A=1;", "");
    expect("A=1\r\nB=2\r\n", "1:A=1;2:B=2;", "");
    expect("\n# note\n  # indented\nA=1\n\nB=\n", "4:A=1;6:B=;", "");
    expect("  A = 1 2 \t\n", "1:A=1 2;", "");
    expect("export A=1\nexport  B=2\nexported=3", "1:A=1;2:B=2;3:exported=3;", "");
    expect("A=b=c#d", "1:A=b=c#d;", "");
    expect("_a9=x", "1:_a9=x;", "");
    expect("A=1\nA=2", "1:A=1;2:A=2;", "");
}

static void test_quotes(void **state)
{
    expect("A=\"a b\"", "1:A=a b;", "");
    expect("A=\" \\n\\\"\\\\ \"", "1:A= \n\"\\ ;", "");
    expect("A=\"\"", "1:A=;", "");
    expect("A=' \\n # '", "1:A= \\n # ;", "");
    expect("A=''", "1:A=;", "");
    expect("A=a\"b'", "1:A=a\"b';", "");
}

static void test_malformed(void **state)
{
    expect("A", "", "f line 1: not KEY=VALUE\n");
    expect("=1", "", "f line 1: not KEY=VALUE\n");
    expect("1A=1", "", "f line 1: not KEY=VALUE\n");
    expect("A-B=1", "", "f line 1: not KEY=VALUE\n");
    expect("A B=1", "", "f line 1: not KEY=VALUE\n");
    expect("export=1\nexport \n", "1:export=1;", "f line 2: not KEY=VALUE\n");
    expect("A=\"", "", "f line 1: not KEY=VALUE\n");
    expect("A=\"b\" c", "", "f line 1: not KEY=VALUE\n");
    expect("A=\"b\\", "", "f line 1: not KEY=VALUE\n");
    expect("A=\"b\\\"", "", "f line 1: not KEY=VALUE\n");
    expect("A='", "", "f line 1: not KEY=VALUE\n");
    expect("A='b'c'", "", "f line 1: not KEY=VALUE\n");
}

/* Every bad line is named, and the good ones between them are read. */
static void test_all_lines_at_once(void **state)
{
    expect("A=1\nbad\n# x\nB='\nC=3\n", "1:A=1;5:C=3;",
           "f line 2: not KEY=VALUE\nf line 4: not KEY=VALUE\n");
}

/* A line that is refused may hold a secret. */
static void test_content_is_not_repeated(void **state)
{
    struct seen seen = {.text = buf_init(100)};
    struct buf problems = buf_init(1000);

    assert_int_equal(envfile_parse(STR("JWT_SECRET='hush"), "f", visit, &seen, &problems),
                     ENVFILE_INVALID);
    assert_null(strstr(buf_cstr(&problems), "hush"));
    buf_free(&seen.text);
    buf_free(&problems);
}

static void test_fault_ends_the_reading(void **state)
{
    struct seen seen = {.text = buf_init(100), .fault_at = 2};
    struct buf problems = buf_init(1000);

    assert_int_equal(envfile_parse(STR("A=1\nB=2\nC=3"), "f", visit, &seen, &problems),
                     FAULT_INTERNAL);
    assert_string_equal(buf_cstr(&seen.text), "1:A=1;");
    buf_free(&seen.text);
    buf_free(&problems);
}

static void write_bytes(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_files(void **state)
{
    struct seen seen = {.text = buf_init(2 << 20)};
    struct buf problems = buf_init(1000);
    char place[] = "/tmp/holdfast-envfile.XXXXXX", path[64];
    size_t big = (1 << 20) + 1;
    char *large = calloc(1, big);

    assert_non_null(mkdtemp(place));
    assert_non_null(large);
    snprintf(path, sizeof path, "%s/env", place);
    assert_int_equal(envfile_read(path, visit, &seen, &problems), ENVFILE_ABSENT);
    write_bytes(path, "A=1\nB", 5);
    assert_int_equal(envfile_read(path, visit, &seen, &problems), ENVFILE_INVALID);
    assert_string_equal(buf_cstr(&seen.text), "1:A=1;");
    assert_non_null(strstr(buf_cstr(&problems), path));
    assert_non_null(strstr(buf_cstr(&problems), "line 2"));

    memset(large, '#', big);
    write_bytes(path, large, big - 1);
    assert_int_equal(envfile_read(path, visit, &seen, &problems), 0);
    write_bytes(path, large, big);
    assert_int_equal(envfile_read(path, visit, &seen, &problems), FAULT_LIMIT);
    assert_int_equal(envfile_read(place, visit, &seen, &problems), FAULT_IO);
    unlink(path);
    rmdir(place);
    free(large);
    buf_free(&seen.text);
    buf_free(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assignments),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_all_lines_at_once),
        cmocka_unit_test(test_content_is_not_repeated),
        cmocka_unit_test(test_fault_ends_the_reading),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
