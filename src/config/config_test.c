/* Where settings come from, what wins, and what is refused: all of it at once. */
#include "config/config.h"

#include "base/fault.h"
#include "config/fixture.h"
#include "config/options.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every row of the table can be used as it stands. */
static void test_the_table(void **state)
{
    struct config c = {0};
    struct buf problems = buf_init(4096);

    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        assert_ptr_equal(option_find(str_of(o->key)), o);
        assert_true(o->help && *o->help);
        if (o->by_default)
            assert_int_equal(option_set(o, &c, str_of(o->by_default), &problems), 0);
        if (o->production)
            assert_int_equal(option_set(o, &c, str_of(o->production), &problems), 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(o->offset, config_options[j].offset);
    }
    assert_int_equal(problems.n, 0);
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].type == OPTION_TEXT)
            free(*option_text(&config_options[i], &c));
    assert_null(option_find(STR("")));
    assert_null(option_find(STR("port")));
    buf_free(&problems);
}

static void test_describe(void **state)
{
    struct buf out = buf_init(64 * 1024);

    assert_int_equal(config_describe(&out), 0);
    for (size_t i = 0; i < config_option_count; i++) {
        assert_non_null(strstr(buf_cstr(&out), config_options[i].key));
        assert_non_null(strstr(buf_cstr(&out), config_options[i].help));
    }
    assert_non_null(strstr(buf_cstr(&out), "Default: 3000; 0 to 65535"));
    buf_free(&out);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, NULL), 0);
    assert_int_equal(f->config->env, ENV_DEVELOPMENT);
    assert_int_equal(f->config->port, 3000);
    assert_string_equal(f->config->database_url, "sqlite:data/holdfast.db");
    assert_int_equal(f->config->login_per_minute, 5);
    assert_int_equal(f->config->rate_limit_per_minute, 0);
    assert_true(f->config->registration_enabled);
    assert_false(f->config->admin_mfa_required);
    assert_int_equal(strlen(f->config->jwt_secret), 128);
    assert_int_equal(strlen(f->config->encryption_key), 64);
}

static void test_environment_over_file_over_default(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "PORT=2001\nWORKER_THREADS=3\nPORT=2002\n");
    assert_int_equal(fixture_load(f, f->file, false, "WORKER_THREADS=5", NULL), 0);
    assert_int_equal(f->config->port, 2002);
    assert_int_equal(f->config->worker_threads, 5);
    assert_int_equal(f->config->password_queue, 256);
    /* Of two in the environment the later one counts. */
    assert_int_equal(fixture_load(f, NULL, false, "PORT=1", "PORT=2", NULL), 0);
    assert_int_equal(f->config->port, 2);
}

/* A value the environment replaces is not looked at, so it is no reason either. */
static void test_overridden_problem(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "PORT=none\n");
    assert_int_equal(fixture_load(f, f->file, false, "PORT=7", NULL), 0);
    assert_int_equal(f->config->port, 7);
}

static void test_the_implied_file(void **state)
{
    struct fixture *f = *state;

    snprintf(f->file, sizeof f->file, "%s/.env", f->place);
    fixture_write(f, "PORT=2001\n");
    assert_int_equal(fixture_load(f, NULL, false, NULL), 0);
    assert_int_equal(f->config->port, 2001);
    /* Outside development it is not read. */
    assert_int_equal(fixture_load(f, NULL, false, "HOLDFAST_ENV=staging", NULL), 0);
    assert_int_equal(f->config->port, 3000);
    /* What it says the installation is counts for the defaults as well. */
    fixture_write(f, "HOLDFAST_ENV=production\n");
    assert_int_equal(fixture_load(f, NULL, false, NULL), 0);
    assert_int_equal(f->config->env, ENV_PRODUCTION);
    assert_int_equal(f->config->rate_limit_per_minute, 6000);
}

static void test_a_named_file_must_exist(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, f->file, false, NULL), CONFIG_INVALID);
    assert_problem(f, "--config: there is no file");
    assert_problem(f, f->file);
}

static void test_production_defaults(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY, NULL), 0);
    assert_false(f->config->registration_enabled);
    assert_true(f->config->admin_mfa_required);
    assert_int_equal(f->config->rate_limit_per_minute, 6000);
    assert_int_equal(f->config->drain_notice_s, 5);
    /* They are defaults: both file and environment go before them. */
    fixture_write(f, "ADMIN_MFA_REQUIRED=false\n");
    assert_int_equal(fixture_load(f, f->file, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY,
                                  "RATE_LIMIT_PER_MINUTE=0", NULL),
                     0);
    assert_false(f->config->admin_mfa_required);
    assert_int_equal(f->config->rate_limit_per_minute, 0);
    assert_false(f->config->registration_enabled);
}

static void test_every_problem_at_once(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "WORKER_THREADS=0\nnonsense\nHOLDFAST_PROT=1\nOTHER=1\n");
    assert_int_equal(fixture_load(f, f->file, true, PRODUCTION, "PORT=65536",
                                  "ADMIN_ROLE_REQUIRED=false", "LOG_LEVEL=loud",
                                  "FRONTEND_URL=*,ftp://a", "TRUSTED_PROXIES=10.0.0.0/33",
                                  "DATABASE_URL=postgresql://db/app", NULL),
                     CONFIG_INVALID);
    assert_null(f->config);
    assert_problem(f, "PORT: \"65536\" is not a whole number from 0 to 65535\n");
    assert_problem(f, "WORKER_THREADS: \"0\"");
    assert_problem(f, "line 2: not KEY=VALUE\n");
    assert_problem(f, "HOLDFAST_PROT: there is no such option\n");
    assert_problem(f, "ADMIN_ROLE_REQUIRED: false works in development only\n");
    assert_problem(f, "LOG_LEVEL: \"loud\" is none of debug, info, warn, error\n");
    assert_problem(f, "FRONTEND_URL: a wildcard origin is refused");
    assert_problem(f, "FRONTEND_URL: \"ftp://a\" is not an origin");
    assert_problem(f, "TRUSTED_PROXIES: \"10.0.0.0/33\" is neither");
    assert_problem(f, "DATABASE_URL: the connection's TLS is not verified");
    assert_problem(f, "JWT_SECRET: is not set");
    assert_problem(f, "ENCRYPTION_KEY: is not set");
    assert_int_equal(fixture_problem_count(f), 12);
}

/* A mistake elsewhere does not make development's own secrets a second one. */
static void test_one_mistake_is_one_problem(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, "PORT=x", NULL), CONFIG_INVALID);
    assert_string_equal(fixture_problems(f), "PORT: \"x\" is not a whole number from 0 to 65535\n");
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {"PORT=",     "PORT=+1",  "PORT=-1",
                                      "PORT= 1",   "PORT=1 ",  "PORT=65536",
                                      "PORT=0x10", "PORT=1e3", "PORT=99999999999999999999"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fixture_load(f, NULL, false, bad[i], NULL) != CONFIG_INVALID)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(fixture_load(f, NULL, false, "PORT=65535", "DRAIN_SECONDS=0", NULL), 0);
    assert_int_equal(f->config->port, 65535);
    assert_int_equal(f->config->drain_s, 0);
}

static void test_switches_and_choices(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, false, "REGISTRATION_ENABLED=False",
                                  "ADMIN_MFA_REQUIRED=1", "ADMIN_ROLE_REQUIRED=0",
                                  "JWT_ALGORITHM=ES256", NULL),
                     0);
    assert_false(f->config->registration_enabled);
    assert_true(f->config->admin_mfa_required);
    assert_false(f->config->admin_role_required);
    assert_int_equal(f->config->jwt_algorithm, 2);
    assert_int_equal(fixture_load(f, NULL, false, "REGISTRATION_ENABLED=yes", "JWT_ALGORITHM=es256",
                                  "HOLDFAST_ENV=prod", NULL),
                     CONFIG_INVALID);
    assert_int_equal(fixture_problem_count(f), 3);
}

static void test_a_secret_is_never_repeated(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, "JWT_SECRET=hush1",
                                  "JWT_RETIRED_SECRETS=hush2,hush3", "ENCRYPTION_KEY=hush4",
                                  "METRICS_TOKEN=hush5", "OAUTH_CLIENT_SECRET=hush6",
                                  "DATABASE_URL=mysql://root:hush7@db", NULL),
                     CONFIG_INVALID);
    assert_int_equal(fixture_problem_count(f), 7);
    assert_null(strstr(fixture_problems(f), "hush"));
}

static void test_weak_secrets(void **state)
{
    static const char zeros[] = "ENCRYPTION_KEY=000000000000000000000000000000000000000000000000"
                                "0000000000000000";
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, zeros, NULL),
                     CONFIG_INVALID);
    assert_string_equal(fixture_problems(f), "ENCRYPTION_KEY: is not random\n");
    assert_int_equal(fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET "0", ENCRYPTION_KEY, NULL),
                     CONFIG_INVALID);
    assert_string_equal(fixture_problems(f), "JWT_SECRET: is not 128 hexadecimal digits\n");
    assert_int_equal(fixture_load(f, NULL, true, JWT_SECRET, ENCRYPTION_KEY,
                                  "ENCRYPTION_RETIRED_KEYS=" SECRET_64 ", " SECRET_64,
                                  "OAUTH_CLIENT_ID=app", NULL),
                     CONFIG_INVALID);
    assert_string_equal(fixture_problems(f),
                        "OAUTH_CLIENT_SECRET: is not set, but OAUTH_CLIENT_ID is\n");
}

/* Secrets of webhooks: guessable ones in development alone, and no more than are tried. */
static void test_webhook_secrets(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true, JWT_SECRET, ENCRYPTION_KEY,
                                  "SES_WEBHOOK_SECRET=short",
                                  "SES_WEBHOOK_RETIRED_SECRETS=1, 2, 3, 4, 5, 6, 7, 8", NULL),
                     0);
    assert_int_equal(fixture_load(f, NULL, true, JWT_SECRET, ENCRYPTION_KEY,
                                  "SES_WEBHOOK_RETIRED_SECRETS=1, 2, 3, 4, 5, 6, 7, 8, 9", NULL),
                     CONFIG_INVALID);
    assert_string_equal(fixture_problems(f),
                        "SES_WEBHOOK_RETIRED_SECRETS: holds more than 8 secrets\n");
    assert_int_equal(fixture_load(f, NULL, true, "HOLDFAST_ENV=staging", JWT_SECRET, ENCRYPTION_KEY,
                                  "SES_WEBHOOK_SECRET=short", "SES_WEBHOOK_RETIRED_SECRETS=too",
                                  NULL),
                     CONFIG_INVALID);
    assert_string_equal(fixture_problems(f),
                        "SES_WEBHOOK_SECRET: is shorter than 32 characters\n"
                        "SES_WEBHOOK_RETIRED_SECRETS: is shorter than 32 characters\n");
}

static void test_databases(void **state)
{
    static const char *const good[] = {"DATABASE_URL=sqlite:/var/lib/x.db",
                                       "DATABASE_URL=postgresql:///app?host=/run/postgresql",
                                       "DATABASE_URL=postgresql://u@h/app?host=%2Frun%2Fpg",
                                       "DATABASE_URL=postgresql://h/app?a=b&sslmode=verify-full",
                                       "DATABASE_URL=postgres://h/app?sslmode=verify-ca"};
    static const char *const bad[] = {"DATABASE_URL=",
                                      "DATABASE_URL=sqlite:",
                                      "DATABASE_URL=file.db",
                                      "DATABASE_URL=postgresql://h/app",
                                      "DATABASE_URL=postgresql://h/app?sslmode=require",
                                      "DATABASE_URL=postgresql://h/sslmode=verify-full",
                                      "DATABASE_URL=postgresql://h/app?xsslmode=verify-full"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY, good[i], NULL) != 0)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fixture_load(f, NULL, true, PRODUCTION, JWT_SECRET, ENCRYPTION_KEY, bad[i], NULL) !=
            CONFIG_INVALID)
            fail_msg("taken: %s", bad[i]);
    /* TLS is production's demand. */
    assert_int_equal(fixture_load(f, NULL, true, bad[3], NULL), 0);
}

static void test_origins(void **state)
{
    static const char *const bad[] = {"FRONTEND_URL=https://",
                                      "FRONTEND_URL=app.example.com",
                                      "FRONTEND_URL=null",
                                      "FRONTEND_URL=https://app.example.com/path",
                                      "FRONTEND_URL=https://u@app.example.com",
                                      "FRONTEND_URL=https://App.example.com",
                                      "FRONTEND_URL=https://*.example.com",
                                      "FRONTEND_URL=https://a.example.com,,https://b.example.com",
                                      "FRONTEND_URL=https://a.example.com//"};
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, true,
                                  "FRONTEND_URL=https://a.example.com/, http://localhost:5173 ,"
                                  "https://[::1]:8443",
                                  NULL),
                     0);
    assert_int_equal(f->config->origin_count, 3);
    assert_true(str_eq(f->config->origins[0], STR("https://a.example.com")));
    assert_true(str_eq(f->config->origins[1], STR("http://localhost:5173")));
    assert_true(str_eq(f->config->origins[2], STR("https://[::1]:8443")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fixture_load(f, NULL, false, bad[i], NULL) != CONFIG_INVALID)
            fail_msg("taken: %s", bad[i]);
}

static void add_list(struct buf *out, const char *key, const char *entry, int n)
{
    buf_reset(out);
    buf_printf(out, "%s=%s", key, entry);
    for (int i = 1; i < n; i++)
        buf_printf(out, ",%s", entry);
}

static void test_longest_lists(void **state)
{
    struct fixture *f = *state;
    struct buf origins = buf_init(4096), proxies = buf_init(4096);

    add_list(&origins, "FRONTEND_URL", "https://a", CONFIG_LIST_MAX);
    add_list(&proxies, "TRUSTED_PROXIES", "10.0.0.1", CONFIG_LIST_MAX);
    assert_int_equal(fixture_load(f, NULL, false, buf_cstr(&origins), buf_cstr(&proxies), NULL), 0);
    assert_int_equal(f->config->origin_count, CONFIG_LIST_MAX);
    assert_int_equal(f->config->proxy_count, CONFIG_LIST_MAX);
    add_list(&origins, "FRONTEND_URL", "https://a", CONFIG_LIST_MAX + 1);
    add_list(&proxies, "TRUSTED_PROXIES", "10.0.0.1", CONFIG_LIST_MAX + 1);
    assert_int_equal(fixture_load(f, NULL, false, buf_cstr(&origins), buf_cstr(&proxies), NULL),
                     CONFIG_INVALID);
    assert_int_equal(fixture_problem_count(f), 2);
    assert_problem(f, "FRONTEND_URL: holds more than 64 origins\n");
    assert_problem(f, "TRUSTED_PROXIES: holds more than 64 ranges\n");
    buf_free(&origins);
    buf_free(&proxies);
}

/* What follows the limit of the problems' buffer is a fault, not a shorter list. */
static void test_problems_are_bounded(void **state)
{
    char port[] = "PORT=x", *environment[] = {port, NULL};
    struct config_source source = {.environment = environment};
    struct buf problems = buf_init(10);
    struct config *c = NULL;

    assert_int_equal(config_load(&source, &problems, &c), FAULT_LIMIT);
    assert_null(c);
    buf_free(&problems);
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, fixture_init, fixture_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_describe),
        WITH_PLACE(test_defaults),
        WITH_PLACE(test_environment_over_file_over_default),
        WITH_PLACE(test_overridden_problem),
        WITH_PLACE(test_the_implied_file),
        WITH_PLACE(test_a_named_file_must_exist),
        WITH_PLACE(test_production_defaults),
        WITH_PLACE(test_every_problem_at_once),
        WITH_PLACE(test_one_mistake_is_one_problem),
        WITH_PLACE(test_numbers),
        WITH_PLACE(test_switches_and_choices),
        WITH_PLACE(test_a_secret_is_never_repeated),
        WITH_PLACE(test_weak_secrets),
        WITH_PLACE(test_databases),
        WITH_PLACE(test_webhook_secrets),
        WITH_PLACE(test_origins),
        WITH_PLACE(test_longest_lists),
        WITH_PLACE(test_problems_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
