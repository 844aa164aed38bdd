/*
 * Removes what mail need not keep any more: log rows and events by EMAIL_RETENTION_DAYS, old
 * buckets of figures, suppressions that have expired.
 *
 * Rooms: mail and below. Ownership: the caller's. Threads: one.
 */
#ifndef HOLDFAST_MAIL_RETENTION_H
#define HOLDFAST_MAIL_RETENTION_H

#include "base/clock.h"
#include "store/store.h"

/* How long an expired suppression can still be looked at. */
#define RETENTION_EXPIRED_MS (30 * (int64_t)CLOCK_DAY)

struct retention_limits {
    int64_t log_ms;    /* how long log rows, events and soft bounces are kept */
    int64_t batch;     /* rows of each kind a transaction, during which all that is mail waits */
    int64_t budget_ms; /* begins no further transaction then */
};

/*
 * Goes on in transactions of its own until nothing is left or the time is over. *ret_done: nothing
 * is left. Returns 0 or a fault.
 */
int retention_run(struct store *store, const struct retention_limits *limits, int64_t now,
                  bool *ret_done);

#endif
