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
        {"550 5.1.1 no such user", "550 5.1.1 no such user"},
        {"452 4.2.2 mailbox full", "452 4.2.2 mailbox full"},
        {"552 5.3.4 message too large", "552 5.3.4 message too large"},
        {"550 5.1.1", "550 5.1.1"},
        {"550", "550"},
        {"550 ", "550"},
        {"451 4.7.1 come back later", "451 4.7.1"},
        {"535 5.7.8 acme-mail@operator.example: wrong password", "535 5.7.8"},
        {"530 5.7.0 Must issue STARTTLS to relay.operator.example", "530 5.7.0"},
        {"554 5.7.1 <ada@example.com>: Relay access denied for [10.0.0.5]", "554 5.7.1"},
        {"553 5.1.8 <mail@acme.example>: not yours, acme-mail", "553 5.1.8"},
        {"553 5.1.7 <mail@acme.example>: not yours, acme-mail", "553 5.1.7"},
        {"451 4.3.0 relay.operator.example is out of disk", "451 4.3.0"},
        {"421 relay.operator.example is going down", "421"},
        {"550 5.1.1x at relay.operator.example", "550"},
        {"550 5.1.1234 at relay.operator.example", "550"},
        {"550 5.1 at relay.operator.example", "550"},
        {"550 9.1.1 at relay.operator.example", "550"},
        {"550 5..1 at relay.operator.example", "550"},
        {"550 .1.1", "550"},
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
        {MAIL_REJECTED, "550", "5.1.1 no such user", "5.1.1 no such user"},
        {MAIL_REJECTED, "550", "5.7.1 acme-mail may not relay", "5.7.1"},
        {MAIL_REJECTED, "550", "acme-mail may not relay", ""},
        {MAIL_REJECTED, "550", "", ""},
        {MAIL_REJECTED, "sandbox", "accepted for the sandbox", "accepted for the sandbox"},
        {MAIL_REJECTED, "MessageRejected", "not verified: acme.example", ""},
        {MAIL_REJECTED, "uncertain", "mail.internal fell silent", ""},
        {MAIL_REJECTED, "", "mail.internal", ""},
        {MAIL_REJECTED, "expired", "given up after 9 attempts; the last: 452 4.2.2 mailbox full",
         "given up after 9 attempts; the last: 452 4.2.2 mailbox full"},
        {MAIL_REJECTED, "expired", "given up after 9 attempts; the last: 535 5.7.8 acme-mail",
         "given up after 9 attempts; the last: 535 5.7.8"},
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
