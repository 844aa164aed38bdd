/*
 * A histogram of times: exact below 64 us, then 64 steps to each doubling (at most 1.6 % wide).
 * Used by: the benchmark's programs. Ownership: the caller's, zero-initialised. Threads: one.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_STEPS = 64, LATENCY_DOUBLINGS = 32 };

struct latency {
    uint64_t count, max_us;
    uint64_t buckets[LATENCY_DOUBLINGS * LATENCY_STEPS];
};

/* Adds one time in microseconds; a negative one counts as 0, one past 38 hours as 38 hours. */
void latency_add(struct latency *l, int64_t us);

/*
 * The time in microseconds that the given share (0 to 1) of all did not exceed: the upper end of
 * its bucket, never more than the greatest time added. 0 where none was added.
 */
uint64_t latency_quantile(const struct latency *l, double share);

#endif
