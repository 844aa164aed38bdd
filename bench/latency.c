#include "bench/latency.h"

static unsigned bucket_of(uint64_t us)
{
    if (us < LATENCY_STEPS)
        return (unsigned)us;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(us) - 5;
    if (doubling >= LATENCY_DOUBLINGS)
        return LATENCY_DOUBLINGS * LATENCY_STEPS - 1;
    return doubling * LATENCY_STEPS + (unsigned)((us >> (doubling - 1)) & (LATENCY_STEPS - 1));
}

/* The greatest time that falls into the bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned doubling = bucket / LATENCY_STEPS;
    uint64_t step = bucket % LATENCY_STEPS;
    if (doubling == 0)
        return step;
    return ((LATENCY_STEPS + step + 1) << (doubling - 1)) - 1;
}

void latency_add(struct latency *l, int64_t us)
{
    uint64_t t = us < 0 ? 0 : (uint64_t)us;
    l->buckets[bucket_of(t)]++;
    l->count++;
    if (t > l->max_us)
        l->max_us = t;
}

uint64_t latency_quantile(const struct latency *l, double share)
{
    uint64_t wanted = (uint64_t)((double)l->count * share + 0.5), seen = 0;
    for (unsigned i = 0; i < LATENCY_DOUBLINGS * LATENCY_STEPS; i++) {
        seen += l->buckets[i];
        if (seen > 0 && seen >= wanted) {
            uint64_t end = bucket_end(i);
            return end < l->max_us ? end : l->max_us;
        }
    }
    return l->max_us;
}
