/*
 * Counters and histograms for /metrics, in the Prometheus text format (version 0.0.4).
 * Rooms: any. Ownership: the caller's, mostly static. Threads: any, without locks.
 */
#ifndef HOLDFAST_METRICS_H
#define HOLDFAST_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>

struct metric_counter {
    _Atomic uint64_t value;
};

static inline void metric_add(struct metric_counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

static inline uint64_t metric_value(const struct metric_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* Upper bounds run from 50 us to 10 s; the last bucket is +Inf. */
enum { METRIC_BUCKETS = 17 };

struct metric_histogram {
    _Atomic uint64_t buckets[METRIC_BUCKETS];
    _Atomic uint64_t sum_us;
};

void metric_observe_us(struct metric_histogram *h, int64_t us);

/* "# HELP" and "# TYPE"; type is counter, gauge or histogram. */
void metric_write_head(struct buf *out, const char *name, const char *type, const char *help);

/* One sample; labels is "" or a list such as route="/health",status="200", already escaped. */
void metric_write(struct buf *out, const char *name, const char *labels, uint64_t value);

/* The histogram's buckets, sum (in seconds) and count. */
void metric_write_histogram(struct buf *out, const char *name, const char *labels,
                            const struct metric_histogram *h);

#endif
