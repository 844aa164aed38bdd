/*
 * Figures by time, domain or template, without reading again what has not changed.
 *
 * What a bucket consists of is kept with the bucket's sum as it was then. States only rise and
 * messages are only added (mail/state.h), so a sum never comes back to what it was: as long as it
 * is the same, so are its parts. Of a window's days and hours only the few in which something still
 * happens are read.
 *
 * Rooms: mail and below. Ownership: a cache holds copies of its own; what is read lives in the
 * caller's arena. Threads: any; inside a job.
 */
#ifndef HOLDFAST_MAIL_SHARE_CACHE_H
#define HOLDFAST_MAIL_SHARE_CACHE_H

#include "mail/metrics.h"
#include "mail/share_kept.h"

/* As mail_metrics_shares, which it is where k is NULL or the groups are over SHARE_MERGE_MAX. */
int share_cache_read(struct share_kept *k, struct store_txn *t, struct arena *a,
                     const struct mail_window *window, const struct mail_ranking *by,
                     struct mail_share **ret_shares, size_t *ret_n);

/* As mail_metrics_series, which it is where k is NULL. */
int share_cache_series(struct share_kept *k, struct store_txn *t, struct arena *a,
                       const struct mail_window *window, int64_t bucket_ms,
                       struct mail_point **ret_points, size_t *ret_n);

#endif
