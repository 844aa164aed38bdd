#include "base/log.h"

#include "base/fault.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CAPTURE_MAX = 16 * 1024 * 1024 };

/* Standard error, while it is captured into a file without a name. */
static int real_stderr, capture_file;

static int capture_begin(void **state)
{
    capture_file = memfd_create("log", MFD_CLOEXEC);
    real_stderr = dup(STDERR_FILENO);
    return capture_file < 0 || dup2(capture_file, STDERR_FILENO) < 0;
}

static int capture_end(void **state)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(capture_file);
    return 0;
}

/* What was written since the test began. */
static void read_back(struct buf *out)
{
    char part[4096];
    off_t at = 0;

    for (ssize_t n; (n = pread(capture_file, part, sizeof part, at)) > 0; at += n)
        assert_int_equal(buf_add(out, part, (size_t)n), 0);
    assert_non_null(buf_cstr(out));
}

static json_t *next_line(struct str *rest)
{
    struct str line;
    json_error_t error;

    if (!str_next(rest, '\n', &line))
        return NULL;
    json_t *value = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!value)
        fail_msg("not JSON (%s): %.*s", error.text, (int)(line.n < 300 ? line.n : 300), line.p);
    return value;
}

static const char *text_of(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static void writes_json_lines(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    struct log_line l;
    struct uuid nil = {{0}};

    log_configure(LOG_INFO, LOG_JSON);
    log_begin(&l, LOG_WARN, "an \"event\"\n");
    log_field_str(&l, "text", STR("a\0b\n\xFF"));
    log_field_int(&l, "number", -5);
    log_field_uuid(&l, "id", &nil);
    log_end(&l);
    read_back(&b);
    struct str rest = buf_str(&b);
    json_t *line = next_line(&rest);
    assert_int_equal(rest.n, 0);
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "event"), "an \"event\"\n");
    assert_int_equal(strlen(text_of(line, "time")), 24);
    assert_int_equal(json_string_length(json_object_get(line, "text")), 7);
    assert_memory_equal(text_of(line, "text"), "a\0b\n\xEF\xBF\xBD", 7);
    assert_int_equal(json_integer_value(json_object_get(line, "number")), -5);
    assert_string_equal(text_of(line, "id"), "00000000-0000-0000-0000-000000000000");
    json_decref(line);
}

static void writes_lines_for_people(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    struct log_line l;

    log_configure(LOG_INFO, LOG_HUMAN);
    log_begin(&l, LOG_ERROR, "it happened");
    log_field_str(&l, "plain", STR("/a/b?c"));
    log_field_str(&l, "quoted", STR("a b"));
    log_field_str(&l, "empty", STR(""));
    log_end(&l);
    read_back(&b);
    assert_string_equal(b.p + 9, "error it happened plain=/a/b?c quoted=\"a b\" empty=\"\"\n");
}

/* Whoever chooses a name or a path must not forge a line or reach the terminal. */
static void no_control_character_reaches_a_terminal(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    struct log_line l;

    log_configure(LOG_INFO, LOG_HUMAN);
    log_begin(&l, LOG_INFO, "event");
    log_field_str(&l, "path", STR("/\n00:00:00 info forged\x1B[2J\r\x7F"));
    log_end(&l);
    log_message(LOG_INFO, "refused %s", "x\ny\x1B[0m");
    read_back(&b);
    int lines = 0;
    for (size_t i = 0; i < b.n; i++) {
        lines += b.p[i] == '\n';
        assert_true(b.p[i] == '\n' || (b.p[i] >= ' ' && b.p[i] != 0x7F));
    }
    assert_int_equal(lines, 2);
}

static void keeps_to_its_level(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);

    log_configure(LOG_WARN, LOG_JSON);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    log_info("hidden");
    log_warn("shown");
    read_back(&b);
    assert_null(strstr(b.p, "hidden"));
    assert_non_null(strstr(b.p, "shown"));
}

/* A reload may change the level while lines are under construction. */
static void a_level_that_changes_midway_breaks_no_line(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    struct log_line hidden, shown;

    log_configure(LOG_WARN, LOG_JSON);
    log_begin(&hidden, LOG_INFO, "hidden");
    log_begin(&shown, LOG_WARN, "shown");
    log_configure(LOG_INFO, LOG_JSON);
    log_field_int(&hidden, "a", 1);
    log_configure(LOG_ERROR, LOG_JSON);
    log_field_int(&shown, "a", 1);
    log_end(&hidden);
    log_end(&shown);
    read_back(&b);
    struct str rest = buf_str(&b);
    json_t *line = next_line(&rest);
    assert_int_equal(rest.n, 0);
    assert_string_equal(text_of(line, "event"), "shown");
    assert_int_equal(json_integer_value(json_object_get(line, "a")), 1);
    json_decref(line);
}

static void cuts_long_values_and_lines(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    struct log_line l;
    static char control[3000];

    memset(control, 1, sizeof control - 1);
    log_configure(LOG_INFO, LOG_JSON);
    log_begin(&l, LOG_INFO, control);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        log_field_str(&l, key, (struct str){control, sizeof control - 1});
    }
    log_end(&l);
    read_back(&b);
    assert_in_range(b.n, 32 * 1024, 64 * 1024 + 2);
    struct str rest = buf_str(&b);
    json_t *line = next_line(&rest);
    assert_int_equal(json_string_length(json_object_get(line, "event")), 1024);
    size_t fields = json_object_size(line) - 3;
    assert_in_range(fields, 5, 20);
    const char *key;
    json_t *value;
    json_object_foreach(line, key, value) if (key[0] == 'k')
        assert_int_equal(json_string_length(value), 1024);
    json_decref(line);
}

enum { THREADS = 4, ROUNDS = 500 };

static void *write_lines(void *name)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct log_line l;
        log_begin(&l, LOG_INFO, "work");
        log_field_str(&l, "thread", str_of(name));
        log_field_int(&l, "i", i);
        log_end(&l);
    }
    return NULL;
}

/* Every line of every thread arrives whole and in its thread's order. */
static void threads_write_whole_lines_in_order(void **state)
{
    static char names[THREADS][2] = {"0", "1", "2", "3"};
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    pthread_t threads[THREADS];
    int next[THREADS] = {0};

    log_configure(LOG_INFO, LOG_JSON);
    assert_int_equal(log_start(), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    read_back(&b);
    struct str rest = buf_str(&b);
    for (json_t *line; (line = next_line(&rest)); json_decref(line)) {
        int thread = text_of(line, "thread")[0] - '0';
        assert_int_equal(json_integer_value(json_object_get(line, "i")), next[thread]++);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], ROUNDS);
}

/* The log once lost what was written after a second start: the thread saw the first stop. */
static void starts_again_after_a_stop(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);

    log_configure(LOG_INFO, LOG_JSON);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(log_start(), 0);
        log_info("held");
        log_stop();
        log_info("direct");
    }
    log_stop();
    read_back(&b);
    struct str rest = buf_str(&b);
    for (int i = 0; i < 100; i++) {
        json_t *line = next_line(&rest);
        assert_non_null(line);
        assert_string_equal(text_of(line, "event"), i % 2 ? "direct" : "held");
        json_decref(line);
    }
    assert_int_equal(rest.n, 0);
}

static void *drain(void *ret_text)
{
    char part[65536];
    ssize_t n;

    while ((n = read(capture_file, part, sizeof part)) > 0)
        buf_add(ret_text, part, (size_t)n);
    return NULL;
}

/*
 * A reader that stands still costs lines, not callers; how many is told, and a fault that is
 * about to be logged keeps its message.
 */
static void counts_what_it_drops(void **state)
{
    enum { LINES = 8000 };
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);
    static char value[1000];
    int ends[2];
    pthread_t reader;
    struct log_line l;

    memset(value, 'x', sizeof value);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    dup2(ends[0], capture_file);
    close(ends[0]);
    fcntl(capture_file, F_SETFL, 0);
    log_configure(LOG_INFO, LOG_JSON);
    assert_int_equal(log_start(), 0);
    fault_set(FAULT_IO, "kept");
    for (int i = 0; i < LINES; i++) {
        log_begin(&l, LOG_INFO, "flood");
        log_field_str(&l, "value", (struct str){value, sizeof value});
        log_end(&l);
    }
    assert_string_equal(fault_message(), "kept");
    assert_int_equal(pthread_create(&reader, NULL, drain, &b), 0);
    log_stop();
    dup2(real_stderr, STDERR_FILENO);
    pthread_join(reader, NULL);

    int64_t arrived = 0, dropped = 0;
    struct str rest = buf_str(&b);
    for (json_t *line; (line = next_line(&rest)); json_decref(line)) {
        if (strcmp(text_of(line, "event"), "flood") == 0)
            arrived++;
        else
            dropped += json_integer_value(json_object_get(line, "count"));
    }
    assert_in_range(dropped, 1, LINES - 1);
    assert_int_equal(arrived + dropped, LINES);
}

static void logs_faults(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(CAPTURE_MAX);

    log_configure(LOG_INFO, LOG_JSON);
    log_fault("saving", fault_set(FAULT_IO, "disk \"%s\"", "full"));
    read_back(&b);
    struct str rest = buf_str(&b);
    json_t *line = next_line(&rest);
    assert_string_equal(text_of(line, "level"), "error");
    assert_string_equal(text_of(line, "event"), "saving");
    assert_string_equal(text_of(line, "fault"), "io");
    assert_string_equal(text_of(line, "detail"), "disk \"full\"");
    json_decref(line);
}

#define captured(test) cmocka_unit_test_setup_teardown(test, capture_begin, capture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {captured(writes_json_lines),
                                       captured(writes_lines_for_people),
                                       captured(no_control_character_reaches_a_terminal),
                                       captured(keeps_to_its_level),
                                       captured(a_level_that_changes_midway_breaks_no_line),
                                       captured(cuts_long_values_and_lines),
                                       captured(threads_write_whole_lines_in_order),
                                       captured(starts_again_after_a_stop),
                                       captured(counts_what_it_drops),
                                       captured(logs_faults)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
