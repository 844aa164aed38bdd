/*
 * Whether mail is well: rates against thresholds, and what is behind a rate that is not.
 *
 * Rooms: mail and below. Ownership: texts live in the caller's arena. Threads: inside a job.
 */
#ifndef HOLDFAST_MAIL_HEALTH_H
#define HOLDFAST_MAIL_HEALTH_H

#include "mail/share_cache.h"

enum mail_status { MAIL_HEALTHY, MAIL_WARNING, MAIL_CRITICAL, MAIL_INSUFFICIENT_DATA };

/* "healthy", "warning", "critical", "insufficient_data". */
struct str mail_status_name(enum mail_status status);

/*
 * Shares in parts of a million, so that a rate at a boundary is told exactly. Healthy is strictly
 * below (bounces, complaints) or strictly above (deliveries); critical is at the second bound or
 * beyond, where the provider may pause sending.
 */
struct mail_thresholds {
    int64_t bounce, bounce_critical;
    int64_t complaint, complaint_critical;
    int64_t delivery, delivery_critical;
    int64_t messages; /* fewer are too few to tell */
};

/* 5 and 10 %, 0.1 and 0.5 %, 95 and 90 %, 100 messages. */
extern const struct mail_thresholds mail_thresholds_default;

/* A share; unknown where there is nothing to take it of. */
struct mail_rate {
    bool known;
    int64_t part, of;
};

/* As a number from 0 to 1; 0 where it is unknown. */
double mail_rate_value(struct mail_rate rate);

struct mail_health {
    enum mail_status status;
    struct mail_window window;
    struct mail_counts counts;
    int64_t sent;
    struct mail_rate bounce, complaint, delivery;
};

/*
 * What the counts say; deliveries_known: whether deliveries are told of at all. Without that the
 * rate of deliveries is unknown, and not looked at.
 */
struct mail_health mail_health_of(const struct mail_counts *counts, bool deliveries_known,
                                  const struct mail_thresholds *thresholds);

enum { MAIL_ADVICE_MAX = 5 };

/*
 * The health of a window, and for people what to do: a text for each rate that is not well, naming
 * the domains, templates and error codes behind it, and for what is not known. cache may be NULL.
 * ret_advice has MAIL_ADVICE_MAX elements. Returns 0 or a fault.
 */
int mail_health_check(struct store_txn *t, struct arena *a, struct share_kept *cache,
                      const struct mail_window *window, const struct mail_thresholds *thresholds,
                      struct mail_health *ret_health, struct str *ret_advice, size_t *ret_n);

#endif
