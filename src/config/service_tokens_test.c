/* Who may act for a tenant by a token, and what is refused as one. */
#include "config/config.h"

#include "config/fixture.h"

#define ID "01890000-0000-7000-8000-00000000000"
#define TOKEN "0123456789abcdef0123456789abcde"

static void test_service_tokens(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, false, NULL), 0);
    assert_int_equal(f->config->service_token_count, 0);
    assert_int_equal(
        fixture_load(f, NULL, true, "EMAIL_SERVICE_TOKENS=" ID "1:" TOKEN "x, " ID "2:a:b", NULL),
        0);
    assert_int_equal(f->config->service_token_count, 2);
    assert_int_equal(f->config->service_tokens[0].tenant_id.b[15], 1);
    assert_true(str_eq(f->config->service_tokens[0].token, STR(TOKEN "x")));
    assert_int_equal(f->config->service_tokens[1].tenant_id.b[15], 2);
    assert_true(str_eq(f->config->service_tokens[1].token, STR("a:b")));
}

static void test_wrong_service_tokens(void **state)
{
    static const char *const wrong[] = {
        "EMAIL_SERVICE_TOKENS=hush",         "EMAIL_SERVICE_TOKENS=" ID "1",
        "EMAIL_SERVICE_TOKENS=" ID "1:",     "EMAIL_SERVICE_TOKENS=:hush",
        "EMAIL_SERVICE_TOKENS=1:hush",       "EMAIL_SERVICE_TOKENS=" ID ":hush",
        "EMAIL_SERVICE_TOKENS=hush:" ID "1",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(fixture_load(f, NULL, true, wrong[i], NULL), CONFIG_INVALID);
        assert_string_equal(fixture_problems(f),
                            "EMAIL_SERVICE_TOKENS: an entry is not TENANT_ID:TOKEN\n");
    }
    assert_int_equal(
        fixture_load(f, NULL, true, "EMAIL_SERVICE_TOKENS=" ID "1:hush," ID "2:hush", NULL),
        CONFIG_INVALID);
    assert_string_equal(fixture_problems(f),
                        "EMAIL_SERVICE_TOKENS: two entries have the same token\n");
}

/* Outside development a token is not to be guessed. */
static void test_short_service_tokens(void **state)
{
    struct fixture *f = *state;

    fixture_load(f, NULL, true, "HOLDFAST_ENV=production", "EMAIL_SERVICE_TOKENS=" ID "1:" TOKEN,
                 NULL);
    assert_non_null(strstr(fixture_problems(f),
                           "EMAIL_SERVICE_TOKENS: a token is shorter than 32 characters\n"));
    fixture_load(f, NULL, true, "HOLDFAST_ENV=production",
                 "EMAIL_SERVICE_TOKENS=" ID "1:" TOKEN "x", NULL);
    assert_null(strstr(fixture_problems(f), "EMAIL_SERVICE_TOKENS"));
}

#define SET_UP(test) cmocka_unit_test_setup_teardown(test, fixture_init, fixture_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_UP(test_service_tokens),
        SET_UP(test_wrong_service_tokens),
        SET_UP(test_short_service_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
