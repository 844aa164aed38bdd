/*
 * Where events come in: those of many requests are applied together, one transaction a batch,
 * because all that changes mail takes one lock, and a durable commit serves all who wait for it.
 *
 * Whoever comes while nobody is at work leads: it applies its own request with those that wait,
 * hands the lead to the next in line and wakes the others.
 * Rooms: mail and below. Ownership: an intake is made and freed by mail_new and mail_free; none may
 * wait in it then. Threads: intake_submit from any worker, which it blocks until its events are on
 * disk.
 */
#ifndef HOLDFAST_MAIL_INTAKE_H
#define HOLDFAST_MAIL_INTAKE_H

#include "base/metrics.h"
#include "mail/event.h"

enum {
    INTAKE_BATCH_EVENTS = 2000, /* of one transaction, unless a single request has more */
    INTAKE_BATCH_REQUESTS = 512,
    INTAKE_WAITING_MAX = 50000, /* events that may wait */
    INTAKE_LEADERS_MAX = 4,     /* at once: more than one only where one is stuck */
    INTAKE_PATIENCE_MS = 1000   /* how long a request waits before it leads beside another */
};

struct intake;

/* What one request holds: all of it is taken, or nothing. */
struct intake_request {
    const struct mail_event *events; /* at most SES_RECIPIENTS_MAX; there may be none */
    size_t n;
    struct str sns_message_id; /* empty: it did not come by SNS */
};

struct intake_result {
    int64_t accepted, duplicates, unmatched; /* events; unmatched ones are accepted too */
    bool seen; /* this message of SNS was taken before: nothing was done, all are duplicates */
};

enum intake_outcome {
    INTAKE_BUSY = 1 /* too many events wait already: it may be sent again soon */
};

/* Returns 0 or FAULT_MEMORY. */
int intake_new(struct store *store, struct intake **ret);
void intake_free(struct intake *i);

/*
 * Returns 0 when all is on disk; INTAKE_BUSY; or a fault, also one of what it was applied together
 * with only where the store is out of reach. Then nothing was taken (or, where a connection was
 * lost during the commit, that is unknown), and it may be sent again: nothing counts twice.
 */
int intake_submit(struct intake *i, const struct intake_request *request, int64_t now,
                  struct intake_result *ret);

/* For /metrics. */
struct intake_counters {
    struct metric_counter accepted, duplicates, unmatched; /* events */
    struct metric_counter suppressed;                      /* addresses */
    struct metric_counter invalidated, unsubscribed;       /* users */
    struct metric_counter alerts;                          /* events that the operator must see */
    struct metric_counter batches, busy;
};
const struct intake_counters *intake_counters(const struct intake *i);

/* How many events wait. */
size_t intake_waiting(struct intake *i);

#endif
