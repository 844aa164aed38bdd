/*
 * Figures by domain or template, without reading again what has not changed.
 *
 * A bucket's groups are kept with the bucket's sum as it was then. States only rise and messages
 * are only added (mail/state.h), so a sum never comes back to what it was: as long as it is the
 * same, so are the groups. Of a day's buckets only the few in which something still happens are
 * read.
 *
 * Rooms: mail and below. Ownership: a cache holds copies of its own; what is read lives in the
 * caller's arena. Threads: any; inside a job.
 */
#ifndef HOLDFAST_MAIL_SHARE_CACHE_H
#define HOLDFAST_MAIL_SHARE_CACHE_H

#include "mail/metrics.h"

enum {
    SHARE_CACHE_BYTES = 32 << 20, /* past it all is forgotten */
    SHARE_CACHE_BUCKETS = 31 * 24 /* of longer windows nothing is kept */
};

struct share_cache;

/* Returns 0 or FAULT_MEMORY. */
int share_cache_new(struct share_cache **ret);
void share_cache_free(struct share_cache *c);

/* As mail_metrics_shares, by MAIL_MOST_SENT. */
int share_cache_read(struct share_cache *c, struct store_txn *t, struct arena *a,
                     const struct mail_window *window, enum mail_group group, size_t limit,
                     struct mail_share **ret_shares, size_t *ret_n);

/* How many buckets were found kept, and how many were read, so far. */
void share_cache_stats(struct share_cache *c, uint64_t *ret_kept, uint64_t *ret_read);

#endif
