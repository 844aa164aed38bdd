#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int64_t parsed(const char *text)
{
    int64_t ms = -1;

    assert_int_equal(clock_parse(str_of(text), &ms), 0);
    return ms;
}

static void assert_formats(int64_t ms, const char *expected)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(ms, text);
    assert_string_equal(text, expected);
}

static void formats(void **state)
{
    assert_formats(0, "1970-01-01T00:00:00.000Z");
    assert_formats(-1, "1969-12-31T23:59:59.999Z");
    assert_formats(-1000, "1969-12-31T23:59:59.000Z");
    assert_formats(951782400000, "2000-02-29T00:00:00.000Z");
    assert_formats(253402300799999, "9999-12-31T23:59:59.999Z");
    assert_formats(-62167219200000, "0000-01-01T00:00:00.000Z");
}

static void formats_the_nearest_year_it_can_write(void **state)
{
    assert_formats(253402300800000, "9999-12-31T23:59:59.999Z");
    assert_formats(INT64_MAX, "9999-12-31T23:59:59.999Z");
    assert_formats(-62167219200001, "0000-01-01T00:00:00.000Z");
    assert_formats(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

static void round_trips(void **state)
{
    /* A prime number of ms a little over 100 days: all months, both ends of the range. */
    for (int64_t ms = -62167219200000; ms <= 253402300799999; ms += 8640000011) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(ms, text);
        assert_int_equal(parsed(text), ms);
    }
}

static void parses(void **state)
{
    assert_int_equal(parsed("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(parsed("1970-01-01t00:00:00.5z"), 500);
    assert_int_equal(parsed("1970-01-01T00:00:00.123456789Z"), 123);
    assert_int_equal(parsed("1970-01-01T02:00:00+02:00"), 0);
    assert_int_equal(parsed("1969-12-31T18:29:00-05:31"), 0);
    assert_int_equal(parsed("2024-02-29T00:00:00Z"), 1709164800000);
    assert_int_equal(parsed("2000-02-29T00:00:00Z"), 951782400000);
}

static void refuses_what_is_no_time(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-01-02",
                                      "2026-01-02T03:04:05",
                                      "2026-01-02 03:04:05Z",
                                      "2026-1-02T03:04:05Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:60Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00.1234567890Z",
                                      "2026-01-01T00:00:00,5Z",
                                      "2026-01-01T00:00:00+24:00",
                                      "2026-01-01T00:00:00+01:60",
                                      "2026-01-01T00:00:00+0100",
                                      "2026-01-01T00:00:00+01",
                                      "2026-01-01T00:00:00ZZ",
                                      "2026-01-01T00:00:00Z ",
                                      " 2026-01-01T00:00:00Z",
                                      "+026-01-01T00:00:00Z",
                                      "2026-01-01T-1:00:00Z",
                                      "0000-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01"};
    int64_t ms = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (clock_parse(str_of(bad[i]), &ms) != 1)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(clock_parse(STR("2026-01-01T00:00:00Z\0"), &ms), 1);
    assert_int_equal(ms, 7);
}

static void shifts(void **state)
{
    int64_t before = clock_now();

    clock_shift(CLOCK_DAY);
    int64_t after = clock_now();
    clock_shift(-CLOCK_DAY);
    assert_in_range(after - before, CLOCK_DAY, CLOCK_DAY + CLOCK_MINUTE);
    assert_in_range(clock_now() - before, 0, CLOCK_MINUTE);
}

static void durations_never_go_back(void **state)
{
    int64_t last = clock_mono_us();

    for (int i = 0; i < 100000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
    int64_t ms = clock_mono();
    assert_in_range(clock_mono_us() / 1000 - ms, 0, CLOCK_MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats),
                                       cmocka_unit_test(formats_the_nearest_year_it_can_write),
                                       cmocka_unit_test(round_trips),
                                       cmocka_unit_test(parses),
                                       cmocka_unit_test(refuses_what_is_no_time),
                                       cmocka_unit_test(shifts),
                                       cmocka_unit_test(durations_never_go_back)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
