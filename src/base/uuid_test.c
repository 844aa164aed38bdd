#include "base/uuid.h"

#include "base/clock.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void carries_its_time_version_and_variant(void **state)
{
    struct uuid u = uuid_at(0x0123456789AB);

    assert_true(uuid_time(&u) == 0x0123456789AB);
    assert_int_equal(u.b[6] >> 4, 7);
    assert_int_equal(u.b[8] >> 6, 2);
    int64_t before = clock_now();
    u = uuid_new();
    assert_in_range(uuid_time(&u) - before, 0, CLOCK_MINUTE);
}

static void differs_within_a_millisecond(void **state)
{
    struct uuid a = uuid_at(1), b = uuid_at(1);

    assert_false(uuid_eq(&a, &b));
    assert_true(uuid_eq(&a, &a));
}

static void sorts_by_time(void **state)
{
    struct uuid a = uuid_at(255), b = uuid_at(256);

    assert_true(memcmp(a.b, b.b, sizeof a.b) < 0);
}

static void round_trips(void **state)
{
    char text[UUID_TEXT_SIZE];

    for (int i = 0; i < 1000; i++) {
        struct uuid u = uuid_new(), back = {0};
        uuid_format(&u, text);
        assert_int_equal(strlen(text), UUID_TEXT);
        assert_int_equal(uuid_parse(str_of(text), &back), 0);
        assert_true(uuid_eq(&u, &back));
    }
    static const struct uuid known = {{0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0, 0x7C, 0xC3, 0x98, 0xC4,
                                       0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F}};
    struct uuid u;
    uuid_format(&known, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_int_equal(uuid_parse(STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &u), 0);
    assert_true(uuid_eq(&u, &known));
}

static void refuses_what_is_no_id(void **state)
{
    static const char *const bad[] = {"",
                                      "017f22e279b07cc398c4dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
                                      "017f22e2x79b0-7cc3-98c4-dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
                                      "{17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                                      "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c0739 f"};
    struct uuid u = {{7}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(uuid_parse(str_of(bad[i]), &u), 1);
    assert_int_equal(u.b[0], 7);
}

static void knows_nil(void **state)
{
    struct uuid u = {{0}};

    assert_true(uuid_is_nil(&u));
    u.b[15] = 1;
    assert_false(uuid_is_nil(&u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(carries_its_time_version_and_variant),
                                       cmocka_unit_test(differs_within_a_millisecond),
                                       cmocka_unit_test(sorts_by_time),
                                       cmocka_unit_test(round_trips),
                                       cmocka_unit_test(refuses_what_is_no_id),
                                       cmocka_unit_test(knows_nil)};

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
