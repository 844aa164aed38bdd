/*
 * The hourly look at whether mail is well: a change is logged and goes to the trail, the figures to
 * /metrics.
 *
 * Every node looks; the trail's last record of it says what was known, so a change is on record
 * once, whoever sees it first. Too few messages to tell are no change: nothing gets well by being
 * quiet.
 *
 * Rooms: mail and below. Ownership: a watch is part of struct mail. Threads: checks from one
 * thread; its figures are read by any.
 */
#ifndef HOLDFAST_MAIL_WATCH_H
#define HOLDFAST_MAIL_WATCH_H

#include "base/buf.h"
#include "mail/health.h"
#include "trail/trail.h"

#include <pthread.h>

enum { MAIL_WATCH_WINDOW_MS = 24 * CLOCK_HOUR };

struct mail_watch {
    pthread_mutex_t lock;
    int64_t checked_at; /* 0: not yet */
    struct mail_health health;
};

void mail_watch_init(struct mail_watch *w);
void mail_watch_release(struct mail_watch *w);

/* Looks at the whole installation's last 24 hours. Returns 0 or a fault. */
int mail_watch_check(struct mail_watch *w, struct store *store, struct trail *trail, int64_t now);

/* Gauges of the last check, as Prometheus text; nothing before the first. */
void mail_watch_write_metrics(struct mail_watch *w, struct buf *out);

#endif
