/* A process is known again, and no other is taken for it. */
#include "deploy/supervisor/mark.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t sleeper(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void test_is_found_again(void **state)
{
    pid_t pid = sleeper();
    struct mark m;
    json_t *kept = json_object();

    assert_int_equal(mark_of(pid, &m), 0);
    assert_int_equal(m.pid, pid);
    assert_int_equal(mark_put(kept, &m), 0);
    struct mark back = mark_get(kept);
    assert_string_equal(back.start, m.start);
    int fd = mark_open(&back);
    assert_true(fd >= 0);
    kill(pid, SIGKILL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    waitpid(pid, NULL, 0);
    close(fd);
    assert_int_equal(mark_open(&back), -1);
    assert_int_equal(mark_of(pid, &m), 1);
    json_decref(kept);
}

/* The number is the same, the process another. */
static void test_another_is_not_taken_for_it(void **state)
{
    pid_t pid = sleeper();
    struct mark m;

    assert_int_equal(mark_of(pid, &m), 0);
    m.start[strlen(m.start) - 1] ^= 1;
    assert_int_equal(mark_open(&m), -1);
    assert_int_equal(mark_of(pid, &m), 0);
    m.start[0] ^= 1; /* as of another start of the machine */
    assert_int_equal(mark_open(&m), -1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_nothing_marked(void **state)
{
    json_t *empty = json_object(), *half = json_pack("{s:i}", "pid", 1);
    struct mark m = mark_get(empty);

    assert_int_equal(m.pid, 0);
    assert_int_equal(mark_get(half).pid, 0);
    assert_int_equal(mark_open(&m), -1);
    assert_int_equal(mark_of(0, &m), 1);
    assert_int_equal(mark_of(-1, &m), 1);
    json_decref(empty);
    json_decref(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_found_again),
        cmocka_unit_test(test_another_is_not_taken_for_it),
        cmocka_unit_test(test_nothing_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
