#include "bench/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_nothing_added(void **state)
{
    struct latency l = {0};
    assert_int_equal(latency_quantile(&l, 0.5), 0);
}

static void test_small_times_are_exact(void **state)
{
    struct latency l = {0};
    for (int us = 1; us <= 50; us++)
        latency_add(&l, us);
    assert_int_equal(latency_quantile(&l, 0.5), 25);
    assert_int_equal(latency_quantile(&l, 0.9), 45);
    assert_int_equal(latency_quantile(&l, 1), 50);
}

static void test_each_time_is_within_its_bucket(void **state)
{
    for (int64_t us = 1; us < (int64_t)1 << 36; us = us * 5 / 4 + 1) {
        struct latency l = {0};
        latency_add(&l, us);
        latency_add(&l, (int64_t)1 << 36);
        uint64_t end = latency_quantile(&l, 0.5);
        assert_true(end >= (uint64_t)us);
        assert_true((double)end <= (double)us * 1.016);
    }
}

static void test_beyond_the_scale(void **state)
{
    struct latency l = {0};
    latency_add(&l, -5);
    assert_int_equal(latency_quantile(&l, 1), 0);
    latency_add(&l, INT64_MAX);
    assert_int_equal(latency_quantile(&l, 0.5), 0);
    assert_true(latency_quantile(&l, 1) > (uint64_t)1 << 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_added),
        cmocka_unit_test(test_small_times_are_exact),
        cmocka_unit_test(test_each_time_is_within_its_bucket),
        cmocka_unit_test(test_beyond_the_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
