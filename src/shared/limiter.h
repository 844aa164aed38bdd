/*
 * Rate limits: at most so many events in any window of time, for each of many keys.
 *
 * Limits up to LIMITER_EXACT_MAX are exact over a sliding window: the times of the latest events
 * are kept. Higher ones weigh the previous fixed window by what of it is still in sight. Refused
 * events do not count. Keys are bounded: past the maximum the one unused for longest is forgotten.
 *
 * Rooms: below shared. Ownership: the caller's. Threads: any; never blocks on I/O.
 */
#ifndef HOLDFAST_SHARED_LIMITER_H
#define HOLDFAST_SHARED_LIMITER_H

#include "base/str.h"

#include <netinet/in.h>

struct limiter;

enum { LIMITER_EXACT_MAX = 64 };

/* Outcome of limiter_take. */
enum { LIMITER_REFUSED = 1 };

struct limiter_key {
    uint64_t kind; /* keeps different limits' keys apart */
    uint8_t subject[16];
};

struct limiter_rule {
    int64_t limit, window_ms;
};

/* What is left, for the RateLimit headers. */
struct limiter_state {
    int64_t limit;
    int64_t remaining;
    int64_t reset_ms; /* until another event is possible (refused), or the window is clear */
};

/* One IPv4 address, or one IPv6 /64: a single customer holds all of it. */
struct limiter_key limiter_key_of_address(uint64_t kind, const struct in6_addr *address);

/* Returns 0 or FAULT_MEMORY. */
int limiter_new(size_t keys_max, struct limiter **ret);
void limiter_free(struct limiter *l);

/*
 * Counts one event of key at now (monotonic ms) unless the rule's limit is reached. Returns 0,
 * LIMITER_REFUSED (*ret_state is then set too) or FAULT_MEMORY.
 */
int limiter_take(struct limiter *l, const struct limiter_key *key, struct limiter_rule rule,
                 int64_t now, struct limiter_state *ret_state);

/*
 * Whether limiter_take would refuse, without counting: for what is counted only once it is known.
 * Returns 0, or LIMITER_REFUSED with *ret_state.
 */
int limiter_look(struct limiter *l, const struct limiter_key *key, struct limiter_rule rule,
                 int64_t now, struct limiter_state *ret_state);

/* Forgets a key. */
void limiter_clear(struct limiter *l, const struct limiter_key *key);

/* How many keys are held. */
size_t limiter_size(struct limiter *l);

#endif
