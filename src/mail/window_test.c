/* What is asked for is read exactly, and what cannot be told is refused with its field's name. */
#include "mail/window.h"

#include "mail/fixture.h"
#include "mail/moves.h"

#define DAY ((int64_t)CLOCK_DAY)
#define HOUR ((int64_t)CLOCK_HOUR)
#define MINUTE ((int64_t)CLOCK_MINUTE)
#define NEVER INT64_MAX

static struct mail_window read_well(struct mail_window_request q, int64_t *ret_bucket)
{
    struct mail_window w = {0};
    struct mail_window_error error = {0};

    if (mail_window_read(&q, NULL, NOW, &w, ret_bucket, &error))
        fail_msg("%s %s", error.field, error.text);
    return w;
}

/* The field that is refused. */
static const char *refused(struct mail_window_request q)
{
    struct mail_window w = {.span = 7};
    struct mail_window_error error = {0};
    int64_t bucket = 7;

    assert_int_equal(mail_window_read(&q, NULL, NOW, &w, &bucket, &error), MAIL_WINDOW_INVALID);
    assert_true(error.text && *error.text);
    assert_true(w.span == 7 && bucket == 7);
    return error.field;
}

static void test_durations(void **state)
{
    static const char *const bad[] = {"",   "m",   "24",   "24H",  "0h", "-1h",
                                      "1w", "1 h", "1.5h", "731d", "1s", "99999999999999999999m"};
    int64_t ms = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mail_duration_parse(str_of(bad[i]), 730 * DAY, &ms) == 0)
            fail_msg("%s was taken for a duration", bad[i]);
    assert_int_equal(ms, 7);
    assert_int_equal(mail_duration_parse(STR("90m"), DAY, &ms), 0);
    assert_int_equal(ms, 90 * MINUTE);
    assert_int_equal(mail_duration_parse(STR("24h"), DAY, &ms), 0);
    assert_int_equal(ms, DAY);
    assert_int_equal(mail_duration_parse(STR("25h"), DAY, &ms), 1);
    assert_int_equal(mail_duration_parse(STR("730d"), 730 * DAY, &ms), 0);
    assert_int_equal(ms, 730 * DAY);
}

static void test_ranges(void **state)
{
    struct mail_window w = read_well((struct mail_window_request){0}, NULL);

    (void)state;
    assert_true(w.since <= NOW - DAY && w.since > NOW - DAY - w.span);
    assert_true(w.until >= NOW && w.until < NOW + w.span);
    w = read_well((struct mail_window_request){.window = STR("2h"), .until = NOW - 6 * HOUR}, NULL);
    assert_true(w.since <= NOW - 8 * HOUR && w.until < NOW - 5 * HOUR);
    w = read_well((struct mail_window_request){.window = STR("2h"), .since = NOW - 6 * HOUR}, NULL);
    assert_true(w.since <= NOW - 6 * HOUR && w.until < NOW - 3 * HOUR);
    w = read_well((struct mail_window_request){.since = NOW - 6 * HOUR}, NULL);
    assert_true(w.since <= NOW - 6 * HOUR && w.until >= NOW);
    /* What a bucket ends at its beginning is not in it. */
    w = read_well(
        (struct mail_window_request){.since = NOW - NOW % HOUR - HOUR, .until = NOW - NOW % HOUR},
        NULL);
    assert_true(w.since == NOW - NOW % HOUR - HOUR && w.until == NOW - NOW % HOUR);

    assert_string_equal(refused((struct mail_window_request){.window = STR("soon")}), "window");
    assert_string_equal(refused((struct mail_window_request){.window = STR("732d")}), "window");
    assert_string_equal(
        refused((struct mail_window_request){.window = STR("1h"), .since = 1, .until = NOW}),
        "window");
    assert_string_equal(refused((struct mail_window_request){.since = NOW - 5, .until = NOW - 5}),
                        "until");
    assert_string_equal(refused((struct mail_window_request){.since = NOW + 1}), "since");
    assert_string_equal(refused((struct mail_window_request){.since = -5}), "since");
    assert_string_equal(refused((struct mail_window_request){.until = HOUR}), "until");
    assert_string_equal(refused((struct mail_window_request){.until = NOW + 3 * DAY}), "until");
    assert_string_equal(refused((struct mail_window_request){.since = NOW - 732 * DAY}), "since");
    assert_string_equal(refused((struct mail_window_request){.since = NOW - DAY, .until = NEVER}),
                        "since");
}

static void test_buckets(void **state)
{
    static const char *const bad[] = {"4m", "7m", "25m", "45m", "90m", "32d", "x"};
    int64_t bucket = 0;
    struct mail_window w = read_well((struct mail_window_request){0}, &bucket);

    (void)state;
    assert_int_equal(bucket, HOUR);
    assert_int_equal(w.span, MAIL_BUCKET_MS);
    read_well((struct mail_window_request){.window = STR("2h")}, &bucket);
    assert_int_equal(bucket, MAIL_BUCKET_MS);
    w = read_well((struct mail_window_request){.window = STR("30d")}, &bucket);
    assert_int_equal(bucket, DAY);
    assert_int_equal(w.span, HOUR);
    w = read_well((struct mail_window_request){.window = STR("3d"), .bucket = STR("30m")}, &bucket);
    assert_int_equal(bucket, 30 * MINUTE);
    assert_int_equal(w.span, MAIL_BUCKET_MS);
    /* Of what is long past there are hours. */
    read_well((struct mail_window_request){.window = STR("2h"), .until = NOW - 9 * DAY}, &bucket);
    assert_int_equal(bucket, HOUR);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(refused((struct mail_window_request){.bucket = str_of(bad[i])}),
                            "bucket");
    assert_string_equal(
        refused((struct mail_window_request){.window = STR("9d"), .bucket = STR("30m")}), "bucket");
    assert_string_equal(
        refused((struct mail_window_request){.window = STR("42d"), .bucket = STR("1h")}), "bucket");
    read_well((struct mail_window_request){.window = STR("41d"), .bucket = STR("1h")}, &bucket);
    assert_int_equal(bucket, HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_buckets),
    };

    return FIXTURE_RUN(tests);
}
