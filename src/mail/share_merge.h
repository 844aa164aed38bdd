/*
 * Groups put together by name: the counters of many buckets, summed.
 *
 * Rooms: mail. Ownership: all lives in the merge's arena. Threads: one at a time.
 */
#ifndef HOLDFAST_MAIL_SHARE_MERGE_H
#define HOLDFAST_MAIL_SHARE_MERGE_H

#include "mail/metrics.h"

enum { SHARE_MERGE_MAX = 10000 /* groups */ };

/* Outcome: so many are there already. */
enum { SHARE_MERGE_FULL = 1 };

struct share_slot;

/* Begins with all but these two 0; key is that of all hashes that it is given. */
struct share_merge {
    struct arena *arena;
    const uint8_t *key;
    struct share_slot *slots;
    size_t n, cap;
};

/* A name's under the merge's key, so that nobody chooses domains that get in each other's way. */
uint32_t share_merge_hash(const struct share_merge *m, struct str name);

/*
 * The group of a name with this hash, with counters of 0 where it is new; valid until the next
 * call. Returns 0, SHARE_MERGE_FULL or a fault.
 */
int share_merge_find(struct share_merge *m, struct str name, uint32_t hash,
                     struct mail_share **ret);

/* The first of all, in order. Returns 0 or a fault. */
int share_merge_rank(const struct share_merge *m, const struct mail_ranking *by,
                     struct mail_share **ret_shares, size_t *ret_n);

#endif
