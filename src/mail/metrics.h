/*
 * Figures of mail, from email_figures alone: how much was sent, and what became of it.
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

/* How long buckets of an hour and of a day are there. */
#define MAIL_HOURLY_KEPT_MS (731 * (int64_t)CLOCK_DAY)

/*
 * A window that begins and ends with a bucket, and is wider than what was asked for by less than
 * one on either side. bucket_ms is what a series will have (0: none), at least five minutes. What
 * began before fine buckets are there is of hours.
 */
struct mail_window mail_window(const struct uuid *tenant, int64_t since, int64_t until,
                               int64_t bucket_ms, int64_t now);

/*
 * A window as it is read: days where it has whole ones, hours before and behind them, and five
 * minutes at its ends.
 */
enum { MAIL_PARTS = 5 };
struct mail_parts {
    int64_t at[MAIL_PARTS + 1]; /* ascending: where each begins, and the end */
};

/* Of each part, in ms. */
extern const int64_t mail_part_spans[MAIL_PARTS];

/* With no longer buckets than coarsest: a day, an hour or five minutes. */
struct mail_parts mail_window_parts(const struct mail_window *window, int64_t coarsest);

/* Returns 0 or a fault. */
int mail_metrics_totals(struct store_txn *t, const struct mail_window *window,
                        struct mail_counts *ret_counts);

struct mail_point {
    int64_t at; /* where its bucket begins */
    struct mail_counts counts;
};

/*
 * One point a bucket in which anything was accepted, in the order of time; bucket_ms is a multiple
 * of the window's span. Together they are the totals. Returns 0 or a fault.
 */
int mail_metrics_series(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        int64_t bucket_ms, struct mail_point **ret_points, size_t *ret_n);

/* A series in the making: rows of its buckets are added in any order. */
struct mail_series {
    struct mail_point *points;
    bool *any;
    size_t n;
    int64_t first, bucket_ms;
};

/* The longest span that buckets of bucket_ms are made of. */
int64_t mail_series_span(int64_t bucket_ms);

/* Returns 0 or a fault, such as FAULT_STORE where at is outside of the window. */
int mail_series_begin(struct mail_series *s, struct arena *a, const struct mail_window *window,
                      int64_t bucket_ms);
int mail_series_add(struct mail_series *s, int64_t at, const struct mail_counts *counts);
void mail_series_end(struct mail_series *s, struct mail_point **ret_points, size_t *ret_n);

/* One point a bucket of the parts of mail_window_parts, with days. Returns 0 or a fault. */
int mail_metrics_sums(struct store_txn *t, struct arena *a, const struct mail_window *window,
                      struct mail_point **ret_points, size_t *ret_n);

enum mail_group { MAIL_BY_DOMAIN, MAIL_BY_TEMPLATE };

/* What a list begins with the most of. */
enum mail_order { MAIL_MOST_SENT, MAIL_MOST_BOUNCED, MAIL_MOST_COMPLAINED, MAIL_MOST_UNDELIVERED };

void mail_counts_add(struct mail_counts *to, const struct mail_counts *more);

int64_t mail_counts_figure(const struct mail_counts *counts, enum mail_order order);

struct mail_share {
    struct str name; /* a domain, or a template ("": none) */
    struct mail_counts counts;
};

/* Which groups, which of them first, and how many at most. */
struct mail_ranking {
    enum mail_group group;
    enum mail_order order;
    size_t limit;
};

/* Returns 0 or a fault. */
int mail_metrics_shares(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        const struct mail_ranking *by, struct mail_share **ret_shares,
                        size_t *ret_n);

struct mail_error_count {
    struct str code;
    int64_t n;
};

/* The codes most seen. Returns 0 or a fault. */
int mail_metrics_errors(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        size_t limit, struct mail_error_count **ret_errors, size_t *ret_n);

/*
 * Whether a delivery had ever been told of before until: without that nothing is known of
 * deliveries. Returns 0 or a fault.
 */
int mail_metrics_knows_deliveries(struct store_txn *t, int64_t until, bool *ret_known);

/*
 * Removes counters of buckets, at most limit of each span: of five minutes before fine_before, of
 * hours before hourly_before, of days when all their hours are. Takes STORE_LOCK_MAIL: a late event
 * may count in the same ones, in another order. Returns 0 or a fault.
 */
int mail_metrics_reap(struct store_txn *t, int64_t fine_before, int64_t hourly_before,
                      int64_t limit, int64_t *ret_removed);

/* What is read from column first on, of MAIL_SQL_COUNTERS or MAIL_SQL_SUMS. */
struct mail_counts mail_counts_read(struct store_rows *rows, int first);

#endif
