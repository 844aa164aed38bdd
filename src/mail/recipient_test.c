#include "mail/recipient.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static void test_accepted(void **state)
{
    static const struct {
        const char *text, *address;
    } cases[] = {
        {"a@x.example", "a@x.example"},
        {"Ann.Lee+News@X.Example", "ann.lee+news@x.example"},
        {"  a@x.example\t", "a@x.example"},
        {"<a@x.example>", "a@x.example"},
        {"Ann <Ann@x.example>", "ann@x.example"},
        {"Ann Lee<ann@x.example>", "ann@x.example"},
        {"\"Lee, Ann\" <ann@x.example>", "ann@x.example"},
        {"\"a \\\" <b@y.example> \" <ann@x.example>", "ann@x.example"},
        {"ann@x.example <ann@x.example>", "ann@x.example"},
        {"\xC3\x84nne <ann@x.example>", "ann@x.example"},
        {"=?UTF-8?Q?=C3=84nne?= <ann@x.example>", "ann@x.example"},
    };
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(recipient_parse(str_of(cases[i].text), address, &n), 0);
        assert_string_equal(address, cases[i].address);
        assert_int_equal(n, strlen(cases[i].address));
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "  ",
        "ann",
        "@x.example",
        "ann@",
        "<>",
        "ann@x.example>",
        "Ann <ann@x.example",
        "Ann <ann@x.example> more",
        "<a@x.example> <b@x.example>",
        "a@x.example, b@x.example",
        "a@x.example, Ben <b@x.example>",
        "friends: Ben <b@x.example>;",
        "x> <b@x.example>",
        "Ann < ann@x.example>",
        "Ann <<ann@x.example>>",
        "\"Ann <ann@x.example>",
        "Ann\n <ann@x.example>",
        "Ann\x7F <ann@x.example>",
        "\xC3 <ann@x.example>",
        "\xC3\x84nne@x.example",
        "\"quoted local\"@x.example",
        "ann@[127.0.0.1]",
    };
    char address[EMAIL_ADDRESS_SIZE] = "untouched";
    size_t n = 7;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(recipient_parse(str_of(cases[i]), address, &n), 1);
    assert_int_equal(recipient_parse((struct str){"a@x.example\0", 12}, address, &n), 1);
    assert_string_equal(address, "untouched");
    assert_int_equal(n, 7);
}

static void test_longest(void **state)
{
    char text[RECIPIENT_TEXT_MAX + 2], address[EMAIL_ADDRESS_SIZE];
    const char *end = " <a@x.example>";
    size_t n;

    memset(text, 'A', sizeof text);
    memcpy(text + RECIPIENT_TEXT_MAX - strlen(end), end, strlen(end));
    assert_int_equal(recipient_parse((struct str){text, RECIPIENT_TEXT_MAX}, address, &n), 0);
    assert_string_equal(address, "a@x.example");
    memset(text, 'A', sizeof text);
    memcpy(text + RECIPIENT_TEXT_MAX + 1 - strlen(end), end, strlen(end));
    assert_int_equal(recipient_parse((struct str){text, RECIPIENT_TEXT_MAX + 1}, address, &n), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
