/* Programs are run, heard, fed and ended, and take all they started with them. */
#include "deploy/child.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEARD_MAX = 1 << 20, LONG_MS = 60000 };

#define SHELL(script)                                                                              \
    (const char *const[])                                                                          \
    {                                                                                              \
        "sh", "-c", (script), NULL                                                                 \
    }

static int run(const char *script, struct buf *heard, struct child_end *end)
{
    struct child c = {
        .argv = SHELL(script), .out = child_into_buf, .context = heard, .timeout_ms = LONG_MS};

    return child_run(&c, end);
}

static bool says(const struct buf *b, const char *text)
{
    return str_eq(buf_str(b), str_of(text));
}

static void test_code_and_output(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);
    struct child_end end;

    assert_int_equal(run("echo one; echo two >&2", &heard, &end), 0);
    assert_true(says(&heard, "one\ntwo\n"));
    assert_int_equal(end.code, 0);
    assert_int_equal(run("exit 7", &heard, &end), CHILD_FAILED);
    assert_int_equal(end.code, 7);
    assert_string_equal(fault_message(), "sh ended with code 7");
    assert_int_equal(run("kill -SEGV $$", &heard, &end), CHILD_FAILED);
    assert_int_equal(end.signal, SIGSEGV);
    assert_int_equal(end.code, -1);
}

static void count_tick(void *context)
{
    ++*(int *)context;
}

/* Who watches is called although the program says nothing. */
static void test_tick(void **state)
{
    int ticks = 0;
    struct child c = {.argv = SHELL("sleep 0.35"), .tick = count_tick, .context = &ticks};

    assert_int_equal(child_run(&c, NULL), 0);
    assert_true(ticks >= 3);
}

static void test_missing(void **state)
{
    struct child_end end;
    struct child none = {.argv = (const char *const[]){"no-such-program", NULL}},
                 nowhere = {.argv = SHELL("true"), .directory = "/no/such/place"};

    assert_int_equal(child_run(&none, &end), CHILD_MISSING);
    assert_string_equal(fault_message(), "cannot run no-such-program: No such file or directory");
    assert_int_equal(child_run(&nowhere, NULL), CHILD_MISSING);
}

static void test_environment(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);
    struct child c = {.argv = SHELL("echo $HF_A $HF_AB $HF_NEW; pwd"),
                      .environment = (const char *const[]){"HF_A=over", "HF_NEW=new", NULL},
                      .directory = "/",
                      .out = child_into_buf,
                      .context = &heard};

    setenv("HF_A", "ours", 1);
    setenv("HF_AB", "kept", 1);
    assert_int_equal(child_run(&c, NULL), 0);
    assert_true(says(&heard, "over kept new\n/\n"));
}

/* More than pipes hold, both ways at once. */
static void test_input(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX), fed _cleanup_buf_ = buf_init(HEARD_MAX);
    struct child c = {
        .argv = (const char *const[]){"cat", NULL}, .out = child_into_buf, .context = &heard};

    while (fed.n < HEARD_MAX - 16)
        buf_printf(&fed, "%zu\n", fed.n);
    c.input = buf_str(&fed);
    assert_int_equal(child_run(&c, NULL), 0);
    assert_true(str_eq(buf_str(&heard), buf_str(&fed)));
    c.argv = (const char *const[]){"true", NULL};
    assert_int_equal(child_run(&c, NULL), 0);
}

static int refuse(void *context, const char *p, size_t n)
{
    return 42;
}

static void test_a_sink_ends_it(void **state)
{
    struct child c = {.argv = SHELL("echo; sleep 1000"), .out = refuse};
    int64_t began = clock_mono();

    assert_int_equal(child_run(&c, NULL), 42);
    assert_true(clock_mono() - began < LONG_MS);
}

static void test_timeout(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);
    struct child_end end;
    struct child c = {.argv = SHELL("trap 'echo bye; exit 3' TERM; sleep 1000 & wait"),
                      .out = child_into_buf,
                      .context = &heard,
                      .timeout_ms = 300};

    assert_int_equal(child_run(&c, &end), CHILD_TIMEOUT);
    assert_true(says(&heard, "bye\n"));
    assert_int_equal(end.code, 3);
    c.argv = SHELL("trap '' TERM; while :; do sleep 1000; done");
    c.grace_ms = 100;
    assert_int_equal(child_run(&c, &end), CHILD_TIMEOUT);
    assert_int_equal(end.signal, SIGKILL);
}

static atomic_int cancel;

/* Cancels once the program is known to run. */
static int cancel_when_heard(void *context, const char *p, size_t n)
{
    atomic_store(&cancel, 1);
    return 0;
}

static void test_cancel(void **state)
{
    struct child c = {
        .argv = SHELL("echo; sleep 1000"), .out = cancel_when_heard, .cancel = &cancel};

    assert_int_equal(child_run(&c, NULL), CHILD_CANCELLED);
    assert_string_equal(fault_message(), "sh was interrupted");
}

/* A number that the program printed, once the process of that number is gone. */
static void await_end_of(const struct buf *heard)
{
    pid_t pid = (pid_t)strtol(heard->p, NULL, 10);

    assert_true(pid > 1);
    while (kill(pid, 0) == 0)
        usleep(1000);
    assert_int_equal(errno, ESRCH);
}

static void test_what_it_leaves_behind_ends(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);

    assert_int_equal(run("sleep 1000 & echo $!", &heard, NULL), 0);
    buf_cstr(&heard);
    await_end_of(&heard);
}

/* One that has left the group keeps the output open. */
static void test_waits_for_no_daemon(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);
    int64_t began = clock_mono();

    assert_int_equal(run("setsid sleep 90 & echo $!", &heard, NULL), 0);
    assert_true(clock_mono() - began < LONG_MS);
    pid_t daemon = (pid_t)strtol(buf_cstr(&heard), NULL, 10);
    assert_true(daemon > 1);
    kill(daemon, SIGKILL);
}

/* Writes what a process prints while another that runs it is killed. */
static void test_dies_with_us(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(HEARD_MAX);
    int pipes[2];
    char number[32];

    assert_int_equal(pipe(pipes), 0);
    pid_t runner = fork();
    if (runner == 0) {
        struct child c = {.argv = SHELL("trap '' TERM; sleep 1000 & echo $!; wait"),
                          .out_fd = pipes[1]};
        _exit(child_run(&c, NULL));
    }
    ssize_t n = read(pipes[0], number, sizeof number);
    assert_true(n > 0);
    buf_add(&heard, number, (size_t)n);
    buf_cstr(&heard);
    kill(runner, SIGKILL);
    assert_int_equal(waitpid(runner, NULL, 0), runner);
    await_end_of(&heard);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_into_buf_leaves_out(void **state)
{
    struct buf heard _cleanup_buf_ = buf_init(4);

    assert_int_equal(run("printf 123456", &heard, NULL), 0);
    assert_true(says(&heard, "1234"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_and_output),
        cmocka_unit_test(test_tick),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_a_sink_ends_it),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_what_it_leaves_behind_ends),
        cmocka_unit_test(test_waits_for_no_daemon),
        cmocka_unit_test(test_dies_with_us),
        cmocka_unit_test(test_into_buf_leaves_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
