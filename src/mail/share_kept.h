/*
 * What a bucket's counters are made of, kept with their sum: its groups, or its shorter buckets.
 *
 * Rooms: mail. Ownership: copies of its own; what is shown to add is valid during the call.
 * Threads: any.
 */
#ifndef HOLDFAST_MAIL_SHARE_KEPT_H
#define HOLDFAST_MAIL_SHARE_KEPT_H

#include "mail/metrics.h"

enum { SHARE_KEPT_BYTES = 32 << 20 /* past it all is forgotten */ };

struct share_kept;

/* Of what a bucket is kept. */
enum kept_parts { KEPT_DOMAINS, KEPT_TEMPLATES, KEPT_HOURS, KEPT_FINE };

struct kept_key {
    struct uuid tenant; /* nil: all */
    int64_t bucket, span;
    enum kept_parts parts;
};

struct kept_share {
    struct str name;
    uint32_t which; /* of a group, its name's hash; of a shorter bucket, its number from 0 */
    uint32_t counts[MAIL_STATES + 2];
};

/* Returns 0 or FAULT_MEMORY. */
int share_kept_new(struct share_kept **ret);
void share_kept_free(struct share_kept *k);

/* The key of its hashes of names. */
const uint8_t *share_kept_key(const struct share_kept *k);

/* Sets the counts; says whether they fit. */
bool share_kept_pack(const struct mail_counts *counts, struct kept_share *ret);
struct mail_counts share_kept_counts(const struct kept_share *share);

typedef int share_kept_add(void *arg, const struct kept_share *shares, size_t n);

/*
 * Shows what is kept of a bucket to add, where that had the same sum; others wait meanwhile.
 * *ret_kept: whether it had. Returns what add does, or 0.
 */
int share_kept_take(struct share_kept *k, const struct kept_key *key, const struct mail_counts *sum,
                    share_kept_add *add, void *arg, bool *ret_kept);

/* Keeps them in place of what was; without memory nothing. */
void share_kept_put(struct share_kept *k, const struct kept_key *key, const struct mail_counts *sum,
                    const struct kept_share *shares, size_t n);

/* How many buckets were found, and how many were not, so far. */
void share_kept_stats(struct share_kept *k, uint64_t *ret_kept, uint64_t *ret_read);

#endif
