/* The lock of an environment: one holder, who is named, and nobody once they are dead. */
#include "deploy/lock.h"

#include "deploy/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID "01a20467-422d-76fb-a666-f1d44e91a40b"

struct scene {
    struct product *product;
    struct conf_environment e;
    char one[40], two[40]; /* directories: two machines */
};

static void make_directory(char path[40])
{
    snprintf(path, 40, "/tmp/holdfast-lock.XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void remove_directory(const char *path)
{
    char file[64];

    snprintf(file, sizeof file, "%s/prod.lock", path);
    unlink(file);
    assert_int_equal(rmdir(path), 0);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    void *product;

    assert_int_equal(product_new(&product), 0);
    s->product = product;
    s->e.name = "prod";
    s->e.database.url = s->product->url;
    make_directory(s->one);
    make_directory(s->two);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    void *product = s->product;

    remove_directory(s->one);
    remove_directory(s->two);
    free(s);
    return product_release(&product);
}

static int take(struct scene *s, const char *directory, struct deploy_lock **ret)
{
    return deploy_lock_take(&s->e, directory, ID, ret);
}

/* On the same machine the file tells, on another one the database. */
static void test_one_holder(void **state)
{
    struct scene *s = *state;
    struct deploy_lock *l, *other;

    assert_int_equal(take(s, s->one, &l), 0);
    assert_int_equal(take(s, s->one, &other), DEPLOY_LOCK_HELD);
    assert_non_null(strstr(fault_message(), "another deployment is under way: 01a20467 by "));
    assert_int_equal(take(s, s->two, &other), DEPLOY_LOCK_HELD);
    assert_non_null(strstr(fault_message(), "another deployment is under way: holdfast 01a20467 "));
    assert_int_equal(deploy_lock_check(l), 0);
    deploy_lock_release(l);
    assert_int_equal(take(s, s->two, &l), 0);
    deploy_lock_release(l);
}

static void test_other_environments(void **state)
{
    struct scene *s = *state;
    struct conf_environment staging = s->e;
    struct deploy_lock *l, *other;
    char file[64];

    staging.name = "staging";
    assert_int_equal(take(s, s->one, &l), 0);
    assert_int_equal(deploy_lock_take(&staging, s->one, ID, &other), 0);
    deploy_lock_release(other);
    deploy_lock_release(l);
    snprintf(file, sizeof file, "%s/staging.lock", s->one);
    unlink(file);
}

static void test_dies_with_its_holder(void **state)
{
    struct scene *s = *state;
    struct deploy_lock *l;
    int pipes[2], result;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    pid_t holder = fork();
    if (holder == 0) {
        if (take(s, s->one, &l) == 0 && write(pipes[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(take(s, s->two, &l), DEPLOY_LOCK_HELD);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    while ((result = take(s, s->one, &l)) == DEPLOY_LOCK_HELD)
        usleep(1000); /* the server notes the end of a connection when it looks */
    assert_int_equal(result, 0);
    deploy_lock_release(l);
    close(pipes[0]);
    close(pipes[1]);
}

static void end_sessions(struct scene *s)
{
    product_run(s->product, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                            " WHERE application_name LIKE 'holdfast 01a20467%'");
}

/* A lost connection is a lost lock: it is taken again, unless another one was quicker. */
static void test_lost_connection(void **state)
{
    struct scene *s = *state;
    struct deploy_lock *l, *other;

    assert_int_equal(take(s, s->one, &l), 0);
    end_sessions(s);
    assert_int_equal(deploy_lock_check(l), 0);
    assert_int_equal(take(s, s->two, &other), DEPLOY_LOCK_HELD);
    end_sessions(s);
    assert_int_equal(take(s, s->two, &other), 0);
    assert_int_equal(deploy_lock_check(l), DEPLOY_LOCK_HELD);
    assert_int_equal(deploy_lock_check(l), DEPLOY_LOCK_HELD); /* still */
    deploy_lock_release(other);
    assert_int_equal(deploy_lock_check(l), 0); /* it is free, and taken again */
    deploy_lock_release(l);
}

static void test_without_postgres(void **state)
{
    struct scene *s = *state;
    struct deploy_lock *l, *other;

    s->e.database.url = "sqlite:shop.db";
    assert_int_equal(take(s, s->one, &l), 0);
    assert_int_equal(take(s, s->one, &other), DEPLOY_LOCK_HELD);
    assert_int_equal(deploy_lock_check(l), 0);
    deploy_lock_release(l);
    s->e.database.url = "postgresql://u:secret@127.0.0.1:1/d";
    assert_int_equal(take(s, s->one, &l), DEPLOY_LOCK_UNREACHABLE);
    assert_null(strstr(fault_message(), "secret"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_holder),      TEST(test_other_environments), TEST(test_dies_with_its_holder),
        TEST(test_lost_connection), TEST(test_without_postgres),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
