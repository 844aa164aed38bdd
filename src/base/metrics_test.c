#include "base/metrics.h"

#include <pthread.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void writes_counters(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);

    metric_write_head(&b, "hits", "counter", "Requests.");
    metric_write(&b, "hits", "", 3);
    metric_write(&b, "hits", "route=\"/\"", UINT64_MAX);
    assert_string_equal(buf_cstr(&b), "# HELP hits Requests.\n# TYPE hits counter\nhits 3\n"
                                      "hits{route=\"/\"} 18446744073709551615\n");
}

static void fills_the_right_bucket(void **state)
{
    static struct metric_histogram h;

    metric_observe_us(&h, -1);
    metric_observe_us(&h, 50);
    metric_observe_us(&h, 51);
    metric_observe_us(&h, 10000000);
    metric_observe_us(&h, 10000001);
    assert_int_equal(h.buckets[0], 2);
    assert_int_equal(h.buckets[1], 1);
    assert_int_equal(h.buckets[METRIC_BUCKETS - 2], 1);
    assert_int_equal(h.buckets[METRIC_BUCKETS - 1], 1);
    assert_int_equal(h.sum_us, 20000102);
}

static void writes_cumulative_buckets(void **state)
{
    static struct metric_histogram h;
    _cleanup_buf_ struct buf b = buf_init(8192);

    metric_observe_us(&h, 40);
    metric_observe_us(&h, 100);
    metric_observe_us(&h, 20000000);
    metric_write_histogram(&b, "t", "", &h);
    const char *text = buf_cstr(&b);
    assert_non_null(strstr(text, "t_bucket{le=\"5e-05\"} 1\nt_bucket{le=\"0.0001\"} 2\n"));
    assert_non_null(strstr(text, "t_bucket{le=\"10\"} 2\nt_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "t_sum 20.000140\nt_count 3\n"));
    buf_reset(&b);
    metric_write_histogram(&b, "t", "a=\"b\"", &h);
    text = buf_cstr(&b);
    assert_non_null(strstr(text, "t_bucket{a=\"b\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "t_sum{a=\"b\"} 20.000140\nt_count{a=\"b\"} 3\n"));
}

enum { THREADS = 4, ROUNDS = 10000 };

static struct metric_counter shared;
static struct metric_histogram shared_histogram;

static void *count(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(&shared, 2);
        metric_observe_us(&shared_histogram, 1);
    }
    return NULL;
}

static void loses_nothing_between_threads(void **state)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_value(&shared), THREADS * ROUNDS * 2);
    assert_int_equal(shared_histogram.buckets[0], THREADS * ROUNDS);
    assert_int_equal(shared_histogram.sum_us, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_counters),
                                       cmocka_unit_test(fills_the_right_bucket),
                                       cmocka_unit_test(writes_cumulative_buckets),
                                       cmocka_unit_test(loses_nothing_between_threads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
