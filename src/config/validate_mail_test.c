/* Each reason for which mail's settings stop a start, where they do and where they do not. */
#include "config/validate.h"

#include "config/fixture.h"

#include <stdlib.h>

enum { ROW_MAX = 4 };

enum where { DEVELOPMENT = 1, STAGING = 2, PRODUCTION_TOO = 4, OUTSIDE = 6, EVERYWHERE = 7 };

/* With these settings there is this problem, and no other, in these environments alone. */
struct row {
    const char *settings[ROW_MAX + 1];
    const char *problem;
    enum where where;
};

#define LONG_SECRET SECRET_64
#define SHORT_SECRET "0123456789abcdef0123456789abcde" /* 31 characters */
#define SMTP "EMAIL_TRANSPORT=smtp", "SMTP_URL=smtp://mx.example.com", "EMAIL_FROM=a@example.com"
#define SES "EMAIL_TRANSPORT=ses", "AWS_REGION=eu-west-1", "EMAIL_FROM=a@example.com"
#define PUBLIC "PUBLIC_URL=https://h.example.com"

#define A_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A_61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HOST_253 A_63 "." A_63 "." A_63 "." A_61
#define HOST_254 HOST_253 "a"

static const struct row rows[] = {
    /* Who could guess the secret could end the mail of anyone. */
    {{"EMAIL_TRANSPORT=none", "SES_WEBHOOK_SECRET=" SHORT_SECRET},
     "SES_WEBHOOK_SECRET: is shorter than 32 characters\n",
     OUTSIDE},
    {{"EMAIL_TRANSPORT=none", "SES_WEBHOOK_SECRET=" SHORT_SECRET "f"}, NULL, EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "SES_WEBHOOK_SECRET="}, NULL, EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "SES_WEBHOOK_RETIRED_SECRETS=" LONG_SECRET ", " SHORT_SECRET},
     "SES_WEBHOOK_RETIRED_SECRETS: is shorter than 32 characters\n",
     OUTSIDE},
    {{"EMAIL_TRANSPORT=none", "SES_WEBHOOK_RETIRED_SECRETS=" LONG_SECRET "," LONG_SECRET},
     NULL,
     EVERYWHERE},

    {{SMTP, PUBLIC}, NULL, EVERYWHERE},
    {{"EMAIL_TRANSPORT=smtp", "EMAIL_FROM=a@example.com", PUBLIC},
     "SMTP_URL: is not set, but EMAIL_TRANSPORT is smtp\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "SMTP_URL=https://mx.example.com"},
     "SMTP_URL: begins with neither smtp:// nor smtps://\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "SMTP_URL=smtps://mx.example.com"}, NULL, EVERYWHERE},

    {{SES, PUBLIC}, NULL, EVERYWHERE},
    {{"EMAIL_TRANSPORT=ses", "EMAIL_FROM=a@example.com", PUBLIC},
     "AWS_REGION: is not set, but EMAIL_TRANSPORT is ses\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_REGION=eu_west-1"},
     "AWS_REGION: is not a region such as eu-west-1\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_REGION=eu.example.com/"},
     "AWS_REGION: is not a region such as eu-west-1\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_REGION=abcdefghijklmnopqrstuvwxyz0123456"},
     "AWS_REGION: is not a region such as eu-west-1\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_REGION=abcdefghijklmnopqrstuvwxyz012345"}, NULL, EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE"},
     "AWS_SECRET_ACCESS_KEY: is not set, but AWS_ACCESS_KEY_ID is\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"},
     NULL,
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "AWS_ENDPOINT_URL=http://127.0.0.1:5000"},
     "AWS_ENDPOINT_URL: is for tests, not for production\n",
     PRODUCTION_TOO},

    {{"EMAIL_TRANSPORT=none", "PUBLIC_URL=https://h.example.com/x"},
     "PUBLIC_URL: is not an origin such as https://holdfast.example.com\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "PUBLIC_URL=ftp://h.example.com"},
     "PUBLIC_URL: is not an origin such as https://holdfast.example.com\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "PUBLIC_URL=http://h.example.com"},
     "PUBLIC_URL: does not begin with https://\n",
     PRODUCTION_TOO},
    {{"EMAIL_TRANSPORT=none", "PUBLIC_URL=https://" HOST_254 ":65535"},
     "PUBLIC_URL: is longer than a host's name may be\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "PUBLIC_URL=https://" HOST_253 ":65535"}, NULL, EVERYWHERE},
    {{SMTP}, "PUBLIC_URL: is not set, but messages are sent\n", OUTSIDE},
    {{SES}, "PUBLIC_URL: is not set, but messages are sent\n", OUTSIDE},

    {{"EMAIL_TRANSPORT=none", "EMAIL_FROM=Holdfast"}, "EMAIL_FROM: holds no address\n", EVERYWHERE},
    {{"EMAIL_TRANSPORT=none", "EMAIL_FROM="}, "EMAIL_FROM: holds no address\n", EVERYWHERE},
    {{"EMAIL_TRANSPORT=smtp", "SMTP_URL=smtp://mx.example.com", PUBLIC},
     "EMAIL_FROM: is not set to an address of yours\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=smtp", "SMTP_URL=smtp://mx.example.com", PUBLIC, "EMAIL_FROM=me@localhost"},
     "EMAIL_FROM: is not set to an address of yours\n",
     EVERYWHERE},
    {{"EMAIL_TRANSPORT=ses", "AWS_REGION=eu-west-1", PUBLIC},
     "EMAIL_FROM: is not set to an address of yours\n",
     EVERYWHERE},

    {{"EMAIL_TRANSPORT=sandbox"},
     "EMAIL_TRANSPORT: sandbox delivers nothing, so it is not for production; use smtp, ses or "
     "none\n",
     PRODUCTION_TOO},
    {{NULL}, NULL, EVERYWHERE},
};

/* Loads with the settings beside all that a server needs. */
static int load(struct fixture *f, const char *env, const char *const *s)
{
    return fixture_load(f, NULL, true, env, JWT_SECRET, ENCRYPTION_KEY, "DATABASE_URL=sqlite:x.db",
                        s[0], s[1], s[2], s[3], NULL);
}

static void check(struct fixture *f, const struct row *row, const char *env, enum where where)
{
    bool wanted = row->problem && (row->where & where);
    int r = load(f, env, row->settings);

    if (r != (wanted ? CONFIG_INVALID : 0) ||
        strcmp(fixture_problems(f), wanted ? row->problem : "") != 0)
        fail_msg("%s %s: wanted \"%s\", got %d \"%s\"", env,
                 row->settings[0] ? row->settings[0] : "", wanted ? row->problem : "", r,
                 fixture_problems(f));
}

static void test_rows(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(f, &rows[i], "HOLDFAST_ENV=development", DEVELOPMENT);
        check(f, &rows[i], "HOLDFAST_ENV=staging", STAGING);
        check(f, &rows[i], PRODUCTION, PRODUCTION_TOO);
    }
}

/* A command needs none of it. */
static void test_a_command(void **state)
{
    assert_int_equal(fixture_load(*state, NULL, false, PRODUCTION, "EMAIL_TRANSPORT=smtp", NULL),
                     0);
}

/* In production both rules speak of such an endpoint. */
static void test_two_reasons(void **state)
{
    static const char *const s[ROW_MAX] = {"EMAIL_TRANSPORT=none",
                                           "AWS_ENDPOINT_URL=http://127.0.0.1:5000/"};
    struct fixture *f = *state;

    assert_int_equal(load(f, "HOLDFAST_ENV=staging", s), CONFIG_INVALID);
    assert_string_equal(fixture_problems(f),
                        "AWS_ENDPOINT_URL: is not an origin such as http://127.0.0.1:5000\n");
    assert_int_equal(load(f, PRODUCTION, s), CONFIG_INVALID);
    assert_int_equal(fixture_problem_count(f), 2);
    assert_problem(f, "AWS_ENDPOINT_URL: is for tests, not for production\n");
    assert_problem(f, "AWS_ENDPOINT_URL: is not an origin");
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    struct buf long_list = buf_init(10000);

    assert_int_equal(fixture_load(f, NULL, false, "SNS_TOPIC_ARNS= arn:a , arn:b",
                                  "EMAIL_DKIM_SELECTORS=one,two,three", NULL),
                     0);
    assert_int_equal(f->config->topic_count, 2);
    assert_true(str_eq(f->config->topics[0], STR("arn:a")));
    assert_true(str_eq(f->config->topics[1], STR("arn:b")));
    assert_int_equal(f->config->selector_count, 3);
    assert_int_equal(fixture_load(f, NULL, false, "SNS_TOPIC_ARNS=a,,b", NULL), CONFIG_INVALID);
    assert_string_equal(fixture_problems(f), "SNS_TOPIC_ARNS: an entry is empty\n");

    buf_printf(&long_list, "EMAIL_DKIM_SELECTORS=s");
    for (int i = 1; i < CONFIG_LIST_MAX; i++)
        buf_printf(&long_list, ",s");
    assert_int_equal(fixture_load(f, NULL, false, buf_cstr(&long_list), NULL), 0);
    assert_int_equal(f->config->selector_count, CONFIG_LIST_MAX);
    buf_printf(&long_list, ",s");
    assert_int_equal(fixture_load(f, NULL, false, buf_cstr(&long_list), NULL), CONFIG_INVALID);
    assert_string_equal(fixture_problems(f), "EMAIL_DKIM_SELECTORS: holds more than 64 entries\n");
    buf_free(&long_list);
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, fixture_init, fixture_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_rows),
        WITH_PLACE(test_a_command),
        WITH_PLACE(test_two_reasons),
        WITH_PLACE(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
