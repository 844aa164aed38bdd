/* What SIGHUP takes over, and what it keeps. */
#include "config/config.h"

#include "base/fault.h"
#include "config/fixture.h"
#include "config/options.h"

/* The tests own what they published. */
static struct config *running(void)
{
    return (struct config *)(uintptr_t)config_current();
}

static int publish(void **state)
{
    fixture_init(state);
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, "PORT=2001", "LOGIN_ATTEMPTS_PER_MINUTE=5",
                                  "FRONTEND_URL=https://a.example.com", NULL),
                     0);
    config_publish(f->config);
    return 0;
}

/* The published one owns those before it. */
static int withdraw(void **state)
{
    struct fixture *f = *state;

    f->config = running();
    config_publish(NULL);
    return fixture_release(state);
}

static int reload(struct fixture *f, const char *text, int *ret_changed)
{
    char *environment[] = {f->data_dir, NULL};
    struct config_source source = {f->file, environment, true};

    fixture_write(f, text);
    buf_reset(&f->problems);
    return config_reload(&source, &f->problems, ret_changed);
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    const struct config *old = config_current();
    int changed = -1;

    assert_int_equal(reload(f,
                            "PORT=2001\nLOGIN_ATTEMPTS_PER_MINUTE=9\n"
                            "FRONTEND_URL=https://b.example.com,https://c.example.com\n",
                            &changed),
                     0);
    assert_int_equal(changed, 2);
    assert_string_equal(fixture_problems(f), "");
    const struct config *now = config_current();
    assert_int_equal(now->login_per_minute, 9);
    assert_int_equal(now->origin_count, 2);
    assert_true(str_eq(now->origins[0], STR("https://b.example.com")));
    /* Who holds the old one reads on. */
    assert_int_equal(old->login_per_minute, 5);
    assert_true(str_eq(old->origins[0], STR("https://a.example.com")));
}

static void test_nothing_changed(void **state)
{
    struct fixture *f = *state;
    int changed = -1;

    assert_int_equal(reload(f, "PORT=2001\nFRONTEND_URL=https://a.example.com\n", &changed), 0);
    assert_int_equal(changed, 0);
}

static void test_what_needs_a_restart_is_kept(void **state)
{
    struct fixture *f = *state;
    char secret[129];
    int changed = -1;

    snprintf(secret, sizeof secret, "%s", config_current()->jwt_secret);
    assert_int_equal(reload(f,
                            "PORT=2002\nJWT_ISSUER=other\nADMIN_ROLE_REQUIRED=false\n"
                            "JWT_ALGORITHM=EdDSA\n" JWT_SECRET "\nREFRESH_GRACE_SECONDS=0\n"
                            "FRONTEND_URL=https://a.example.com\n",
                            &changed),
                     0);
    assert_int_equal(changed, 1);
    assert_int_equal(config_current()->port, 2001);
    assert_string_equal(config_current()->jwt_issuer, "holdfast");
    assert_true(config_current()->admin_role_required);
    assert_int_equal(config_current()->jwt_algorithm, 0);
    assert_string_equal(config_current()->jwt_secret, secret);
    assert_int_equal(config_current()->refresh_grace_s, 0);
    assert_int_equal(fixture_problem_count(f), 5);
    assert_problem(f, "PORT: the change needs a restart\n");
    assert_problem(f, "JWT_SECRET: the change needs a restart\n");
    assert_null(strstr(fixture_problems(f), SECRET_64));
}

/* Every row that is not marked keeps its value, whatever its type. */
static void test_each_row(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        struct config *now = running();
        char text[100];
        int changed;
        if (o->type != OPTION_INT)
            continue;
        int64_t old = *option_int(o, now), other = old == o->max ? o->min : o->max;
        snprintf(text, sizeof text, "%s=%lld\nPORT=%d\n", o->key, (long long)other,
                 strcmp(o->key, "PORT") == 0 ? 65535 : 2001);
        assert_int_equal(reload(f, text, &changed), 0);
        now = running();
        assert_int_equal(*option_int(o, now), o->flags & OPTION_RELOAD ? other : old);
    }
}

static void test_invalid_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct config *old = config_current();
    int changed = -1;

    assert_int_equal(
        reload(f, "LOGIN_ATTEMPTS_PER_MINUTE=9\nLOGIN_ATTEMPTS_PER_HOUR=0\n", &changed),
        CONFIG_INVALID);
    assert_ptr_equal(config_current(), old);
    assert_int_equal(changed, -1);
}

/* An option that had no value has none after the reload either. */
static void test_unset_stays_unset(void **state)
{
    struct fixture *f = *state;
    char *environment[] = {f->data_dir, NULL};
    struct config_source source = {f->file, environment, false};
    int changed;

    assert_int_equal(fixture_load(f, NULL, false, "HOLDFAST_ENV=staging", NULL), 0);
    assert_null(f->config->jwt_secret);
    config_publish(f->config);
    fixture_write(f, "HOLDFAST_ENV=staging\n" JWT_SECRET "\n");
    buf_reset(&f->problems);
    assert_int_equal(config_reload(&source, &f->problems, &changed), 0);
    assert_string_equal(fixture_problems(f), "JWT_SECRET: the change needs a restart\n");
    assert_null(config_current()->jwt_secret);
}

#define PUBLISHED(f) cmocka_unit_test_setup_teardown(f, publish, withdraw)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PUBLISHED(test_reload),
        PUBLISHED(test_nothing_changed),
        PUBLISHED(test_what_needs_a_restart_is_kept),
        PUBLISHED(test_each_row),
        PUBLISHED(test_invalid_changes_nothing),
        cmocka_unit_test_setup_teardown(test_unset_stays_unset, fixture_init, withdraw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
