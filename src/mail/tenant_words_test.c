/* What a tenant reads of why its mail was not taken, and what it does not. */
#include "mail/tenant_words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_words(struct str words, const char *wanted)
{
    assert_int_equal(words.n, strlen(wanted));
    assert_true(str_eq(words, str_of(wanted)));
}

static void test_error(void **state)
{
    static const struct {
        const char *error, *words;
    } cases[] = {
        {"451 4.7.1 come back later", "451 4.7.1 come back later"},
        {"550", "550"},
        {"smtp_connect mail.internal (10.0.0.5): refused", "smtp_connect"},
        {"AccessDenied User: arn:aws:iam::1:user/x is not authorized", "AccessDenied"},
        {"mail.internal refused", ""},
        {"arn:aws:iam::1:user/x", ""},
        {"4512 queued at mail.internal", "4512"},
        {"45x mail.internal", "45x"},
        {" mail.internal", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_words(tenant_words_error(str_of(cases[i].error)), cases[i].words);
}

static void test_detail(void **state)
{
    static const struct {
        enum mail_state state;
        const char *code, *detail, *words;
    } cases[] = {
        {MAIL_REJECTED, "550", "no such user", "no such user"},
        {MAIL_REJECTED, "sandbox", "accepted for the sandbox", "accepted for the sandbox"},
        {MAIL_REJECTED, "MessageRejected", "not verified: acme.example", ""},
        {MAIL_REJECTED, "uncertain", "mail.internal fell silent", ""},
        {MAIL_REJECTED, "", "mail.internal", ""},
        {MAIL_REJECTED, "expired", "given up after 9 attempts; the last: 451 later",
         "given up after 9 attempts; the last: 451 later"},
        {MAIL_REJECTED, "expired", "given up after 9 attempts; the last: smtp_connect 10.0.0.5",
         "given up after 9 attempts; the last: smtp_connect"},
        {MAIL_REJECTED, "expired",
         "given up after 9 attempts; the last: ", "given up after 9 attempts; the last: "},
        {MAIL_REJECTED, "expired", "cut:", ""},
        {MAIL_REJECTED, "expired", "", ""},
        {MAIL_BOUNCED, "5.1.1", "smtp; 550 no such user", "smtp; 550 no such user"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mail_mark mark = {.state = cases[i].state,
                                 .code = str_of(cases[i].code),
                                 .detail = str_of(cases[i].detail)};
        assert_words(tenant_words_detail(&mark), cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_error), cmocka_unit_test(test_detail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
