/*
 * The stretch of time that somebody asks figures of: "24h", or from when to when; and its buckets.
 *
 * Rooms: mail and below. Ownership: views in, static texts out. Threads: any.
 */
#ifndef HOLDFAST_MAIL_WINDOW_H
#define HOLDFAST_MAIL_WINDOW_H

#include "mail/metrics.h"

enum { MAIL_POINTS_MAX = 1000 /* of a series */ };

/* Outcome: *ret_error says what is wrong. */
enum { MAIL_WINDOW_INVALID = 1 };

/* As it was typed; empty texts and 0 are what was not given. */
struct mail_window_request {
    struct str window;    /* "90m", "24h", "7d": how long; 24 hours where nothing says */
    int64_t since, until; /* two of the three at most; until is now where it is not given */
    struct str bucket;    /* "5m" to "30m", "1h", "1d": of the series; by the length by default */
};

struct mail_window_error {
    const char *field, *text;
};

/*
 * What is asked for, at most MAIL_HOURLY_KEPT_MS long and MAIL_POINTS_MAX buckets of a series.
 * ret_bucket may be NULL, where no series is wanted. Returns 0 or MAIL_WINDOW_INVALID.
 */
int mail_window_read(const struct mail_window_request *request, const struct uuid *tenant,
                     int64_t now, struct mail_window *ret_window, int64_t *ret_bucket,
                     struct mail_window_error *ret_error);

/* Reads "90m", "24h" or "7d", at least a minute. Returns 0, or 1 where it is none or over max. */
int mail_duration_parse(struct str text, int64_t max_ms, int64_t *ret_ms);

#endif
