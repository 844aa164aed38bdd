/* The journal: what was written is there, what was torn is not, and two do not write it. */
#include "deploy/journal.h"

#include "base/buf.h"
#include "base/fault.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char parent[64], directory[96], file[128];
};

static int setup(void **state)
{
    static struct place p;

    snprintf(p.parent, sizeof p.parent, "/tmp/holdfast-journal.XXXXXX");
    assert_non_null(mkdtemp(p.parent));
    snprintf(p.directory, sizeof p.directory, "%s/one", p.parent);
    snprintf(p.file, sizeof p.file, "%s/journal.jsonl", p.directory);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    unlink(p->file);
    rmdir(p->directory);
    return rmdir(p->parent);
}

static struct journal *make(const struct place *p)
{
    struct journal *j;

    assert_int_equal(journal_create(p->directory, &j), 0);
    assert_int_equal(journal_write(j, "backup", JOURNAL_BEGIN, NULL), 0);
    assert_int_equal(journal_write(j, "backup", JOURNAL_NOTE, json_pack("{s:s}", "file", "x")), 0);
    return j;
}

static void append(const struct place *p, const char *text)
{
    int fd = open(p->file, O_WRONLY | O_APPEND);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_again(void **state)
{
    struct place *p = *state;
    struct journal *j = make(p), *other;
    struct stat st;

    assert_int_equal(journal_create(p->directory, &other), JOURNAL_EXISTS);
    journal_close(j);
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(journal_open(p->directory, &j), 0);
    assert_int_equal(journal_count(j), 2);
    const struct journal_record *r = journal_at(j, 1);
    assert_string_equal(r->step, "backup");
    assert_int_equal(r->phase, JOURNAL_NOTE);
    assert_string_equal(json_string_value(json_object_get(r->data, "file")), "x");
    assert_false(journal_ended(j));
    assert_int_equal(journal_write(j, "deployment", JOURNAL_END, NULL), 0);
    assert_true(journal_ended(j));
    assert_int_equal(journal_at(j, 2)->seq, 3);
    journal_close(j);
}

static void test_none(void **state)
{
    struct place *p = *state;
    struct journal *j;

    assert_int_equal(journal_open(p->directory, &j), JOURNAL_NONE);
}

static void test_held(void **state)
{
    struct place *p = *state;
    struct journal *j = make(p), *other;

    assert_int_equal(journal_open(p->directory, &other), JOURNAL_HELD);
    assert_int_equal(journal_is_held(p->directory), JOURNAL_HELD);
    assert_int_equal(journal_look(p->directory, &other), 0);
    assert_int_equal(journal_is_held(p->directory), JOURNAL_HELD);
    assert_int_equal(journal_count(other), 2);
    journal_close(other);
    journal_close(j);
    assert_int_equal(journal_is_held(p->directory), 0);
    assert_int_equal(journal_is_held(p->parent), JOURNAL_NONE);
    assert_int_equal(journal_open(p->directory, &j), 0);
    journal_close(j);
}

static void *let_go(void *arg)
{
    poll(NULL, 0, 20);
    close(*(int *)arg);
    return NULL;
}

/* Who looks whether it is held keeps nobody from opening it. */
static void test_looked_at(void **state)
{
    struct place *p = *state;
    struct journal *j = make(p);
    pthread_t thread;

    journal_close(j);
    int fd = open(p->file, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &fd), 0);
    assert_int_equal(journal_open(p->directory, &j), 0);
    pthread_join(thread, NULL);
    journal_close(j);
}

/* A line that ends before its end was never begun, wherever it ends. */
static void test_torn(void **state)
{
    struct place *p = *state;
    static const char line[] =
        "{\"seq\":3,\"at\":1,\"step\":\"migrate\",\"phase\":\"begin\",\"data\":{}}";
    struct journal *j = make(p);

    journal_close(j);
    for (size_t n = 1; n < sizeof line; n++) {
        char part[sizeof line];
        snprintf(part, sizeof part, "%.*s", (int)n, line);
        append(p, part);
        assert_int_equal(journal_look(p->directory, &j), 0);
        assert_int_equal(journal_count(j), 2);
        journal_close(j);
        assert_int_equal(journal_open(p->directory, &j), 0);
        journal_close(j);
    }
    assert_int_equal(journal_open(p->directory, &j), 0);
    assert_int_equal(journal_write(j, "migrate", JOURNAL_BEGIN, NULL), 0);
    journal_close(j);
    assert_int_equal(journal_look(p->directory, &j), 0);
    assert_int_equal(journal_count(j), 3);
    journal_close(j);
}

static const struct {
    const char *line, *message;
} bad[] = {
    {"nonsense\n", "the journal's line 3 is no record"},
    {"{\"seq\":3,\"at\":1,\"step\":\"a\",\"phase\":\"begun\",\"data\":{}}\n",
     "the journal's line 3 is no record"},
    {"{\"seq\":3,\"at\":1,\"step\":\"a\",\"phase\":\"begin\",\"data\":[]}\n",
     "the journal's line 3 is no record"},
    {"{\"seq\":4,\"at\":1,\"step\":\"a\",\"phase\":\"begin\",\"data\":{}}\n",
     "the journal's line 3 has the number 4"},
};

static void test_damaged(void **state)
{
    struct place *p = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct journal *j = make(p);
        journal_close(j);
        append(p, bad[i].line);
        assert_int_equal(journal_open(p->directory, &j), JOURNAL_DAMAGED);
        assert_string_equal(fault_message(), bad[i].message);
        unlink(p->file);
    }
}

/* What could not be written whole is not continued in the same process, and is mended by the next.
 */
static void test_full_disk(void **state)
{
    struct place *p = *state;
    struct rlimit before, limit;
    struct journal *j = make(p);
    struct stat st;

    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)st.st_size + 10;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(journal_write(j, "migrate", JOURNAL_BEGIN, NULL), FAULT_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(journal_write(j, "migrate", JOURNAL_BEGIN, NULL), FAULT_IO);
    assert_int_equal(journal_count(j), 2);
    journal_close(j);
    assert_int_equal(journal_open(p->directory, &j), 0);
    assert_int_equal(journal_count(j), 2);
    assert_int_equal(journal_write(j, "migrate", JOURNAL_BEGIN, NULL), 0);
    journal_close(j);
}

/* Each record that was acknowledged before the death is there. */
static void test_killed(void **state)
{
    struct place *p = *state;
    int pipes[2], acknowledged = 0;
    struct journal *j;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    pid_t writer = fork();
    if (writer == 0) {
        if (journal_create(p->directory, &j))
            _exit(1);
        while (journal_write(j, "s", JOURNAL_NOTE, NULL) == 0 && write(pipes[1], "", 1) == 1)
            ;
        _exit(1);
    }
    close(pipes[1]);
    while (acknowledged < 20 && read(pipes[0], &byte, 1) == 1)
        acknowledged++;
    kill(writer, SIGKILL);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    while (read(pipes[0], &byte, 1) == 1)
        acknowledged++;
    close(pipes[0]);
    assert_int_equal(journal_open(p->directory, &j), 0);
    assert_in_range(journal_count(j), acknowledged, acknowledged + 1);
    journal_close(j);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_again), TEST(test_none),    TEST(test_held),      TEST(test_looked_at),
        TEST(test_torn),  TEST(test_damaged), TEST(test_full_disk), TEST(test_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
