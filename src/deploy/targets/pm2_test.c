/* What PM2 lists, however it prints it, and the link that names a release. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/targets/pm2_cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 1500, LIMIT_MS = 30000 };

#define ID "01a20000-0000-7000-8000-00000000000a"

static void test_the_list_is_found(void **state)
{
    static const char *const texts[] = {
        "[]",
        "[]\n",
        ("\n>>>> In-memory PM2 is out-of-date\n[PM2] Spawning PM2 daemon with pm2_home=/x\n"
         "[PM2] PM2 Successfully daemonized\n[]"),
        "[1, 2]\n[]\n",
        "[]\n[PM2][WARN] something\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *list;
        assert_int_equal(pm2_parse(str_of(texts[i]), &list), 0);
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
    }
}

static void test_no_list_is_said(void **state)
{
    static const char *const texts[] = {"", "\n\n", "[", "{}", "[PM2] Spawning PM2 daemon"};
    json_t *list;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(pm2_parse(str_of(texts[i]), &list), TARGET_FAILED);
    assert_string_equal(fault_message(), "pm2 jlist printed no list");
}

static json_t *process(const char *name, int pid, const char *status, const char *release,
                       int restarts)
{
    return json_pack("{s:s, s:i, s:{s:s, s:s, s:i, s:i, s:o}}", "name", name, "pid", pid, "pm2_env",
                     "status", status, "exec_mode", "cluster_mode", "restart_time", restarts,
                     "pm_uptime", pid, "env",
                     release ? json_pack("{s:s}", "RELEASE", release) : json_object());
}

static void test_state_of_an_app(void **state)
{
    json_t *list = json_array();

    json_array_append_new(list, process("shop", 10, "online", "v1", 2));
    json_array_append_new(list, process("shop-canary", 11, "errored", "v2", 9));
    json_array_append_new(list, process("shop", 12, "online", "v1", 1));
    struct pm2_state s = pm2_state_of(list, "shop");
    assert_int_equal(s.n, 2);
    assert_int_equal(s.online, 2);
    assert_int_equal(s.restarts, 3);
    assert_int_equal(s.pids, 22);
    assert_int_equal(s.youngest, 12);
    assert_true(s.clustered);
    assert_false(s.mixed);
    assert_null(s.bad);
    assert_string_equal(s.release, "v1");
    json_array_append_new(list, process("shop", 0, "launching", "v2", 0));
    s = pm2_state_of(list, "shop");
    assert_int_equal(s.online, 2);
    assert_true(s.mixed);
    assert_string_equal(s.bad, "launching");
    assert_int_equal(pm2_state_of(list, "none").n, 0);
    json_array_clear(list);
    json_array_append_new(list, process("shop", 10, "online", NULL, 0));
    json_array_append_new(list, json_object());
    assert_string_equal(pm2_state_of(list, "shop").release, "");
    json_decref(list);
}

static char path[64];

static int setup(void **state)
{
    snprintf(path, sizeof path, "/tmp/holdfast-pm2.XXXXXX");
    return mkdtemp(path) ? 0 : 1;
}

static int teardown(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static void make(const char *name)
{
    char full[160];

    snprintf(full, sizeof full, "%s/%s", path, name);
    assert_int_equal(mkdir(full, 0700), 0);
}

static void test_link(void **state)
{
    struct arena a = arena_init(1 << 20);
    struct conf_environment e = {.target.directory = path};
    const struct target t = {.environment = &e, .id = ID, .a = &a};
    const char *names;
    char absolute[160], full[160];

    assert_int_equal(pm2_link_for(&t, "v1", &names), 0);
    assert_null(names);
    make("releases");
    make("releases/v1");
    make("releases/v2");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pm2_link_set(&t, "releases/v1"), 0);
        assert_int_equal(pm2_link_now(&t, &names), 0);
        assert_string_equal(names, "releases/v1");
    }
    assert_int_equal(pm2_link_for(&t, "v2", &names), 0);
    assert_string_equal(names, "releases/v2");
    assert_int_equal(pm2_link_for(&t, "v3", &names), TARGET_FAILED);
    assert_int_equal(pm2_link_for(&t, "../releases/v2", &names), TARGET_FAILED);
    assert_int_equal(pm2_link_for(&t, "..", &names), TARGET_FAILED);
    snprintf(absolute, sizeof absolute, "%s/releases/v1", path);
    assert_int_equal(pm2_link_set(&t, absolute), 0);
    assert_int_equal(pm2_link_for(&t, "v2", &names), 0);
    snprintf(absolute, sizeof absolute, "%s/releases/v2", path);
    assert_string_equal(names, absolute);
    /* A directory of that name is no link: then the variable alone names the release. */
    snprintf(full, sizeof full, "%s/current", path);
    assert_int_equal(unlink(full), 0);
    make("current");
    assert_int_equal(pm2_link_for(&t, "v1", &names), 0);
    assert_null(names);
    arena_free(&a);
}

/* A program `pm2` that prints the list. */
static void install(json_t *list)
{
    char full[160], search[200];
    FILE *f;

    snprintf(full, sizeof full, "%s/pm2", path);
    f = fopen(full, "we");
    assert_non_null(f);
    fputs("#!/bin/sh\necho '", f);
    json_dumpf(list, f, JSON_COMPACT);
    fputs("'\n", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(full, 0700), 0);
    snprintf(search, sizeof search, "%s:/usr/bin:/bin", path);
    setenv("PATH", search, 1);
    json_decref(list);
}

static void assert_awaits(json_t *list, const char *release, int outcome, const char *why)
{
    struct arena a = arena_init(1 << 20);
    struct conf_environment e = {.target.directory = path};
    const struct target t = {.environment = &e,
                             .id = ID,
                             .release = "v2",
                             .logs = path,
                             .deadline =
                                 clock_mono() + (outcome == TARGET_TIMEOUT ? TIMEOUT_MS : LIMIT_MS),
                             .a = &a};

    install(list);
    assert_int_equal(pm2_await(&t, "shop", 2, release, 100), outcome);
    if (why)
        assert_string_equal(fault_message(), why);
    arena_free(&a);
}

/* What is said of one that never comes is what was seen last. */
static void test_what_was_waited_for(void **state)
{
    assert_awaits(json_pack("[o, o]", process("shop", 1, "online", "v2", 0),
                            process("shop", 2, "online", "v2", 0)),
                  "v2", 0, NULL);
    assert_awaits(json_pack("[o, o]", process("shop", 1, "online", "v2", 0),
                            process("shop", 2, "launching", "v2", 0)),
                  "v2", TARGET_TIMEOUT, "shop has 1 processes online of 2, one is launching");
    assert_awaits(json_pack("[o, o]", process("shop", 1, "online", "v1", 0),
                            process("shop", 2, "online", "v1", 0)),
                  "v2", TARGET_TIMEOUT, "shop runs release v1");
    assert_awaits(json_pack("[o]", process("shop", 1, "errored", "v2", 16)), "v2", TARGET_FAILED,
                  "shop is errored");
    assert_awaits(json_array(), "v2", TARGET_FAILED, "shop is not there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_is_found),
        cmocka_unit_test(test_no_list_is_said),
        cmocka_unit_test(test_state_of_an_app),
        cmocka_unit_test_setup_teardown(test_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_waited_for, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
