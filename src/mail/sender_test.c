/* Who messages are from. */
#include "mail/sender.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_accepted(void **state)
{
    static const struct {
        const char *text, *name, *address, *domain;
    } rows[] = {
        {"a@x.example", "", "a@x.example", "x.example"},
        {"<a@x.example>", "", "a@x.example", "x.example"},
        {" Ann  <A@X.example> ", "Ann", "a@x.example", "x.example"},
        {"\"Ann, \\\"of\\\" X <\" <a@x.example>", "Ann, \"of\" X <", "a@x.example", "x.example"},
        {"Grüße <a@x.example>", "Grüße", "a@x.example", "x.example"},
        {"Holdfast <holdfast@localhost>", "Holdfast", "holdfast@localhost", "localhost"},
    };
    struct sender s;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(sender_parse(str_of(rows[i].text), &s), 0);
        assert_string_equal(s.name, rows[i].name);
        assert_string_equal(s.address, rows[i].address);
        assert_true(str_eq(sender_domain(&s), str_of(rows[i].domain)));
    }
}

static void test_refused(void **state)
{
    static const char *const rows[] = {"",
                                       "Ann",
                                       "Ann a@x.example",
                                       "Ann <a@x.example",
                                       "a@x.example, b@x.example",
                                       "Ann\n <a@x.example>"};
    char text[400], domain[200];
    struct sender s = {.name = "untouched"};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(sender_parse(str_of(rows[i]), &s), 1);
    snprintf(text, sizeof text, "%0200d <a@x.example>", 0);
    assert_int_equal(sender_parse(str_of(text), &s), 0);
    snprintf(text, sizeof text, "%0201d <a@x.example>", 0);
    assert_int_equal(sender_parse(str_of(text), &s), 1);
    snprintf(domain, sizeof domain, "%060d.%060d.%030d.example", 0, 0, 0);
    snprintf(text, sizeof text, "a@%.160s", domain);
    assert_int_equal(strlen(domain), 160);
    assert_int_equal(sender_parse(str_of(text), &s), 0);
    snprintf(text, sizeof text, "a@x%.160s", domain);
    assert_int_equal(sender_parse(str_of(text), &s), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
