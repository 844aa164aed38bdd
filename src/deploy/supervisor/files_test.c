/* Small files: whole or not there, bounded, and read from the end. */
#include "deploy/supervisor/files.h"

#include "base/fault.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static int directory;

static int setup(void **state)
{
    snprintf(path, sizeof path, "/tmp/holdfast-files.XXXXXX");
    assert_non_null(mkdtemp(path));
    return files_directory(path, &directory);
}

static int teardown(void **state)
{
    char command[128];

    close(directory);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static void put(const char *name, struct str text)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    close(fd);
}

static int64_t size_of(const char *name)
{
    struct stat s;

    return fstatat(directory, name, &s, 0) ? -1 : s.st_size;
}

static void test_written_is_read(void **state)
{
    json_t *value = json_pack("{s:i}", "n", 1), *back;
    struct stat s;

    assert_int_equal(files_read(directory, "a.json", &back), FILES_NONE);
    for (int n = 1; n <= 2; n++) {
        json_object_set_new(value, "n", json_integer(n));
        assert_int_equal(files_write(directory, "a.json", value), 0);
        assert_int_equal(files_read(directory, "a.json", &back), 0);
        assert_true(json_equal(value, back));
        json_decref(back);
    }
    assert_int_equal(fstatat(directory, "a.json", &s, 0), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(size_of("a.json.new"), -1);
    assert_int_equal(files_remove(directory, "a.json"), 0);
    assert_int_equal(files_remove(directory, "a.json"), 0);
    json_decref(value);
}

static void test_damaged_is_said(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"a\":1,\"a\":2}", "null"};
    json_t *back;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put("b.json", str_of(texts[i]));
        assert_int_equal(files_read(directory, "b.json", &back), FAULT_IO);
        assert_string_equal(fault_message(), "b.json holds no JSON object");
    }
}

static void test_directories_are_made(void **state)
{
    char deep[128], where[160];
    int fd;

    snprintf(deep, sizeof deep, "%s/x/y/z", path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(files_directory(deep, &fd), 0);
        close(fd);
    }
    put("plain", STR("x"));
    snprintf(where, sizeof where, "%s/plain/z", path);
    assert_int_equal(files_directory(where, &fd), FAULT_IO);
}

enum { MAX = 100000 };

static void test_trimming(void **state)
{
    static char text[5 * MAX];
    char last[4];

    memset(text, 'a', sizeof text);
    put("log", (struct str){text, MAX});
    files_trim(directory, "log", MAX);
    assert_int_equal(size_of("log"), MAX);
    assert_int_equal(size_of("log.1"), -1);
    put("log", (struct str){text, MAX + 1});
    files_trim(directory, "log", MAX);
    assert_int_equal(size_of("log"), 0);
    assert_int_equal(size_of("log.1"), MAX + 1);
    memcpy(text + sizeof text - 4, "end\n", 4);
    put("log", (struct str){text, sizeof text});
    files_trim(directory, "log", MAX);
    assert_int_equal(size_of("log.1"), MAX);
    int fd = openat(directory, "log.1", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, last, 4, MAX - 4), 4);
    assert_memory_equal(last, "end\n", 4);
    close(fd);
    files_trim(directory, "no-such-log", MAX);
}

static void test_tail(void **state)
{
    struct buf out _cleanup_buf_ = buf_init(1000);

    assert_int_equal(files_tail(directory, "none", 10, &out), 0);
    assert_int_equal(out.n, 0);
    put("tail", STR("first\nsecond\nthird\n"));
    assert_int_equal(files_tail(directory, "tail", 100, &out), 0);
    assert_true(str_eq(buf_str(&out), STR("first\nsecond\nthird\n")));
    buf_reset(&out);
    assert_int_equal(files_tail(directory, "tail", 10, &out), 0);
    assert_true(str_eq(buf_str(&out), STR("third\n")));
    buf_reset(&out);
    put("tail", STR("no line at all, but long"));
    assert_int_equal(files_tail(directory, "tail", 4, &out), 0);
    assert_int_equal(out.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_damaged_is_said),
        cmocka_unit_test(test_directories_are_made),
        cmocka_unit_test(test_trimming),
        cmocka_unit_test(test_tail),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
