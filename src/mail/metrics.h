/*
 * Figures of mail, from the rollups alone: how much was sent, and what became of it.
 *
 * Rooms: mail and below. Ownership: strings and arrays live in the caller's arena. Threads: inside
 * a job.
 *
 * A message counts in the bucket in which it was accepted, whenever something became of it.
 */
#ifndef HOLDFAST_MAIL_METRICS_H
#define HOLDFAST_MAIL_METRICS_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "mail/state.h"
#include "store/store.h"

struct mail_counts {
    int64_t in[MAIL_STATES]; /* messages by their present state */
    int64_t bounced_counted, complained_counted;
};

/* Handed over and taken: what rates are of. */
int64_t mail_counts_sent(const struct mail_counts *counts);

/* That reached the recipient's server: also those that were complained about. */
int64_t mail_counts_delivered(const struct mail_counts *counts);

/*
 * since <= accepted < until, in ms since 1970, of a tenant or (NULL) of the whole installation.
 */
struct mail_window {
    const struct uuid *tenant;
    int64_t since, until;
    int64_t span; /* of a bucket: five minutes or an hour */
};

enum {
    MAIL_WINDOW_FINE_MS = 25 * CLOCK_HOUR, /* up to here buckets are of five minutes */
    MAIL_FINE_KEPT_MS = 8 * CLOCK_DAY      /* and so long they are there */
};

/* How long buckets of an hour are there. */
#define MAIL_HOURLY_KEPT_MS (731 * (int64_t)CLOCK_DAY)

/*
 * A window that begins and ends with a bucket, and is wider than what was asked for by less than
 * one on either side. bucket_ms is what a series will have (0: none), at least five minutes. What
 * began before fine buckets are there is of hours.
 */
struct mail_window mail_window(const struct uuid *tenant, int64_t since, int64_t until,
                               int64_t bucket_ms, int64_t now);

/* The whole hours in it; where there is none, both are its end. */
void mail_window_hours(const struct mail_window *window, int64_t *ret_first, int64_t *ret_last);

/* Returns 0 or a fault. */
int mail_metrics_totals(struct store_txn *t, const struct mail_window *window,
                        struct mail_counts *ret_counts);

struct mail_point {
    int64_t at; /* where its bucket begins */
    struct mail_counts counts;
};

/*
 * One point a bucket in which anything was accepted, in the order of time, at most limit; bucket_ms
 * is a multiple of the window's span. Returns 0 or a fault.
 */
int mail_metrics_series(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        int64_t bucket_ms, size_t limit, struct mail_point **ret_points,
                        size_t *ret_n);

enum mail_group { MAIL_BY_DOMAIN, MAIL_BY_TEMPLATE };

/* What a list begins with the most of. */
enum mail_order { MAIL_MOST_SENT, MAIL_MOST_BOUNCED, MAIL_MOST_COMPLAINED, MAIL_MOST_UNDELIVERED };

struct mail_share {
    struct str name; /* a domain, or a template ("": none) */
    struct mail_counts counts;
};

/* At most limit. Returns 0 or a fault. */
int mail_metrics_shares(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        enum mail_group group, enum mail_order order, size_t limit,
                        struct mail_share **ret_shares, size_t *ret_n);

struct mail_error_count {
    struct str code;
    int64_t n;
};

/* The codes most seen, by the hour. Returns 0 or a fault. */
int mail_metrics_errors(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        size_t limit, struct mail_error_count **ret_errors, size_t *ret_n);

/*
 * Whether a delivery had ever been told of before until: without that nothing is known of
 * deliveries. Returns 0 or a fault.
 */
int mail_metrics_knows_deliveries(struct store_txn *t, int64_t until, bool *ret_known);

/*
 * Removes at most limit buckets of five minutes before fine_before, and of an hour (with the
 * errors) before hourly_before. Returns 0 or a fault.
 */
int mail_metrics_reap(struct store_txn *t, int64_t fine_before, int64_t hourly_before,
                      int64_t limit, int64_t *ret_removed);

#endif
