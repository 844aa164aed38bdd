#include "base/metrics.h"

/* In microseconds. */
static const int64_t bounds[METRIC_BUCKETS - 1] = {
    50,    100,   250,    500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

void metric_observe_us(struct metric_histogram *h, int64_t us)
{
    int i = 0;

    while (i < METRIC_BUCKETS - 1 && us > bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us > 0 ? (uint64_t)us : 0, memory_order_relaxed);
}

void metric_write_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_write(struct buf *out, const char *name, const char *labels, uint64_t value)
{
    if (*labels)
        buf_printf(out, "%s{%s} %llu\n", name, labels, (unsigned long long)value);
    else
        buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

void metric_write_histogram(struct buf *out, const char *name, const char *labels,
                            const struct metric_histogram *h)
{
    const char *comma = *labels ? "," : "";
    uint64_t count = 0;

    for (int i = 0; i < METRIC_BUCKETS; i++) {
        count += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (i < METRIC_BUCKETS - 1)
            buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                       (double)bounds[i] / 1e6, (unsigned long long)count);
        else
            buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
                       (unsigned long long)count);
    }
    double sum = (double)atomic_load_explicit(&h->sum_us, memory_order_relaxed) / 1e6;
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s %.6f\n", name, open, labels, close, sum);
    buf_printf(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)count);
}
