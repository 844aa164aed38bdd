/* holdfast.yml: what it binds, and each thing it refuses, by file and line. */
#include "deploy/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct reading {
    struct arena a;
    struct buf problems;
    struct conf conf;
};

static int setup(void **state)
{
    static struct reading r;

    r = (struct reading){.a = arena_init(1 << 20), .problems = buf_init(1 << 16)};
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    struct reading *r = *state;

    arena_free(&r->a);
    buf_free(&r->problems);
    return 0;
}

static char url[] = "DB=postgresql://u:pw@h/shop", tag[] = "TAG=1.4.2";
static char *const environment[] = {url, tag, NULL};

static int read_for(struct reading *r, const char *text, const char *wanted)
{
    buf_reset(&r->problems);
    return conf_read(&r->a, "h.yml", str_of(text), wanted, environment, &r->problems, &r->conf);
}

#define COMPOSE                                                                                    \
    "environments:\n"                                                                              \
    "  prod:\n"                                                                                    \
    "    target: {kind: compose, services: [api, worker]}\n"                                       \
    "    health: {url: https://shop.example/health}\n"

static void test_defaults(void **state)
{
    struct reading *r = *state;

    assert_int_equal(read_for(r, COMPOSE, "prod"), 0);
    const struct conf_environment *e = conf_environment(&r->conf, "prod");
    assert_non_null(e);
    assert_null(conf_environment(&r->conf, "dev"));
    assert_int_equal(e->target.kind, TARGET_COMPOSE);
    assert_int_equal(e->target.services.n, 2);
    assert_string_equal(e->target.services.items[1], "worker");
    assert_null(e->target.services.items[2]);
    assert_string_equal(e->target.variable, "RELEASE");
    assert_int_equal(e->target.stop_ms, 10000);
    assert_int_equal(e->health.interval_ms, 2000);
    assert_int_equal(e->health.successes, 3);
    assert_true(e->backup.verify);
    assert_false(e->database.fence);
    assert_null(e->database.url);
    assert_null(e->release);
}

static void test_all(void **state)
{
    struct reading *r = *state;

    assert_int_equal(read_for(r,
                              "environments:\n"
                              "  dev:\n"
                              "    release: v${TAG}-${TAG}\n"
                              "    target: {kind: process, command: [node, app.js], port: 8080}\n"
                              "    health: {url: 'http://localhost:8080/health', interval: 250ms,\n"
                              "             within: 2m, retries: 7}\n"
                              "    database: {url: '${DB}', fence: false}\n"
                              "    migrations: {command: [npx, prisma, migrate, deploy]}\n"
                              "    hooks: {after_rollout: [[npm, run, smoke], [\"true\"]]}\n"
                              "    notify: team\n"
                              "notify:\n"
                              "  team: {email: [a@b.example, c@d.example]}\n",
                              "dev"),
                     0);
    const struct conf_environment *e = conf_environment(&r->conf, "dev");
    assert_string_equal(e->release, "v1.4.2-1.4.2");
    assert_string_equal(e->database.url, "postgresql://u:pw@h/shop");
    assert_false(e->database.fence);
    assert_int_equal(e->health.within_ms, 120000);
    assert_int_equal(e->health.interval_ms, 250);
    assert_int_equal(e->health.retries, 7);
    assert_int_equal(e->hooks.after_rollout.n, 2);
    assert_string_equal(e->hooks.after_rollout.items[0].items[2], "smoke");
    assert_string_equal(e->hooks.after_rollout.items[1].items[0], "true");
    assert_int_equal(e->notify.n, 1);
    assert_int_equal(conf_route(&r->conf, "team")->email.n, 2);
}

/* What another environment, and a route that it alone notifies, would need may be missing here. */
static void test_fence(void **state)
{
    struct reading *r = *state;

    assert_int_equal(
        read_for(r, COMPOSE "    database: {url: 'postgresql://h/d', fence: true}\n", "prod"), 0);
    assert_true(conf_environment(&r->conf, "prod")->database.fence);
}

static void test_variables_of_others(void **state)
{
    struct reading *r = *state;
    const char *text = COMPOSE "    database: {url: '${MISSING}'}\n"
                               "    notify: [chat]\n"
                               "  dev:\n"
                               "    target: {kind: compose, services: api}\n"
                               "    health: {url: https://shop.example/health}\n"
                               "notify:\n"
                               "  chat: {slack: '${GONE}'}\n";

    assert_int_equal(read_for(r, text, "dev"), 0);
    assert_int_equal(read_for(r, text, NULL), 0);
    assert_int_equal(read_for(r, text, "prod"), CONF_INVALID);
    assert_string_equal(
        buf_cstr(&r->problems),
        "h.yml:5: environments.prod.database.url: the environment variable MISSING is not set\n"
        "h.yml:11: notify.chat.slack: the environment variable GONE is not set\n");
}

static const struct {
    const char *text, *problem;
} bad[] = {
    {COMPOSE "    helth: 1\n", "h.yml:5: environments.prod.helth: there is no such key\n"},
    {COMPOSE "    backup: {kep: 3}\n",
     "h.yml:5: environments.prod.backup.kep: there is no such key\n"},
    {COMPOSE "    backup: {keep: 0}\n",
     "h.yml:5: environments.prod.backup.keep: takes a number from 1 to 10000\n"},
    {COMPOSE "    backup: {keep: many}\n",
     "h.yml:5: environments.prod.backup.keep: takes a number from 1 to 10000\n"},
    {COMPOSE "    backup: {verify: yes}\n",
     "h.yml:5: environments.prod.backup.verify: is to be true or false\n"},
    {COMPOSE "    backup: 3\n", "h.yml:5: environments.prod.backup: is to hold keys and values\n"},
    {COMPOSE "    migrations: {lock_timeout: 5}\n",
     "h.yml:5: environments.prod.migrations.lock_timeout: takes a duration such as 5s, from 1ms to "
     "3600s\n"},
    {COMPOSE "    migrations: {lock_timeout: 99999999999999999999h}\n",
     "h.yml:5: environments.prod.migrations.lock_timeout: takes a duration such as 5s, from 1ms to "
     "3600s\n"},
    {COMPOSE "    database: {url: 'mysql://h/d'}\n",
     "h.yml:5: environments.prod.database.url: is neither postgresql://… nor sqlite:PATH\n"},
    {COMPOSE "    database: {url: '${DB'}\n",
     "h.yml:5: environments.prod.database.url: ${ is not closed by }\n"},
    {COMPOSE "    database: {url: [a]}\n",
     "h.yml:5: environments.prod.database.url: is to be one value\n"},
    {COMPOSE "    hooks: {after_rollout: [npm run smoke]}\n",
     "h.yml:5: environments.prod.hooks.after_rollout: a command is a list of words, such as [npm, "
     "run, smoke]\n"},
    {COMPOSE "    hooks: {after_rollout: [[]]}\n",
     "h.yml:5: environments.prod.hooks.after_rollout: is to be a list of words\n"},
    {COMPOSE "    verify: {token: x}\n",
     "h.yml:5: environments.prod.verify.token: verify.url is missing\n"},
    {COMPOSE "    verify: {login_url: 'https://x.example/login'}\n",
     "h.yml:5: environments.prod.verify.login_url: verify.login_email is missing\n"},
    {COMPOSE "    database: {url: 'postgresql://h/d', fence: true}\n"
             "    migrations: {command: [npx, prisma]}\n",
     "h.yml:2: environments.prod.database.fence: keeps out the writes of migrations.command too: "
     "only one of the two is possible\n"},
    {COMPOSE "    notify: [nobody]\n",
     "h.yml:2: environments.prod.notify: there is no route nobody under notify\n"},
    {COMPOSE "notify:\n  a: {slack: https://s.example, email: [x@y.example]}\n",
     "h.yml:6: notify.a: takes one of slack, webhook, pagerduty and email\n"},
    {COMPOSE
     "notify:\n  a: {pagerduty: k, pagerduty_url: 'https://p.example', webhook: https://x}\n",
     "h.yml:6: notify.a: takes one of slack, webhook, pagerduty and email\n"},
    {COMPOSE "notify:\n  a: {slack: 'https://s.example', pagerduty_url: 'https://p.example'}\n",
     "h.yml:6: notify.a.pagerduty_url: pagerduty is missing\n"},
    {COMPOSE "notify:\n  a: {pagerduty_url: 'https://p.example'}\n",
     "h.yml:6: notify.a: takes one of slack, webhook, pagerduty and email\n"},
    {COMPOSE "notify:\n  a: {slack: s.example}\n",
     "h.yml:6: notify.a.slack: is to begin with https:// or http://\n"},
    {COMPOSE "others: 1\n", "h.yml:5: others: there is no such key\n"},
    {"environments: [prod]\n", "h.yml:1: environments: is to hold names\n"},
    {"environments:\n  prod: 1\n", "h.yml:2: environments.prod: is to hold keys and values\n"},
    {"environments:\n  prod:\n    target: {kind: heroku}\n    health: {url: https://x.example}\n",
     "h.yml:3: environments.prod.target.kind: is to be one of process, compose, ecs, kubernetes, "
     "pm2\n"},
    {"environments:\n  prod:\n    target: {kind: compose, services: api, cluster: c}\n",
     "h.yml:3: environments.prod.target.cluster: is not for a target of the kind compose\n"
     "h.yml:2: environments.prod.health.url: is missing\n"},
    {"environments:\n  prod:\n    target: {kind: ecs}\n    health: {url: https://x.example}\n",
     "h.yml:2: environments.prod.target.cluster: is missing\n"
     "h.yml:2: environments.prod.target.service: is missing\n"
     "h.yml:2: environments.prod.target.container: is missing\n"
     "h.yml:2: environments.prod.target.image: is missing\n"},
    {"environments:\n  prod:\n  prod:\n", "h.yml:3: prod stands twice; the first is in line 2\n"},
};

static void test_refused(void **state)
{
    struct reading *r = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_for(r, bad[i].text, "prod"), CONF_INVALID);
        assert_string_equal(buf_cstr(&r->problems), bad[i].problem);
    }
}

static void test_load(void **state)
{
    struct reading *r = *state;
    char path[] = "/tmp/holdfast-conf.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, COMPOSE, sizeof COMPOSE - 1), sizeof COMPOSE - 1);
    close(fd);
    assert_int_equal(conf_load(&r->a, path, "prod", environment, &r->problems, &r->conf), 0);
    assert_int_equal(r->conf.n_environments, 1);
    unlink(path);
    assert_int_equal(conf_load(&r->a, path, "prod", environment, &r->problems, &r->conf),
                     CONF_INVALID);
    assert_non_null(strstr(buf_cstr(&r->problems), ": No such file or directory\n"));
}

static void test_describe(void **state)
{
    struct reading *r = *state;

    assert_int_equal(conf_describe(&r->problems), 0);
    const char *text = buf_cstr(&r->problems);
    assert_non_null(strstr(text, "target.kind\t(needed)\tWhat the product runs on.\n"));
    assert_non_null(strstr(text, "notify.NAME.email\t\tAddresses.\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variables_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
