/*
 * Where events come in: those of many requests are applied together, one transaction a batch,
 * because all that changes mail takes one lock, and a durable commit serves all who wait for it.
 *
 * Threads of the intake's own write: one takes what waits, and while it tells who had waited the
 * next one takes the next batch. So nobody has to wait but for the disk, and none of the requests
 * needs a thread meanwhile.
 * Rooms: mail and below. Ownership: an intake is made and freed by mail_new and mail_free; what
 * waits then is still written. Threads: intake_begin any, it does not block; intake_submit any
 * worker.
 */
#ifndef HOLDFAST_MAIL_INTAKE_H
#define HOLDFAST_MAIL_INTAKE_H

#include "base/metrics.h"
#include "mail/event.h"

enum {
    INTAKE_BATCH_EVENTS = 2000, /* of one transaction, unless a single request has more */
    INTAKE_BATCH_REQUESTS = 512,
    INTAKE_WAITING_MAX = 50000, /* events that may wait */
    INTAKE_THREADS = 4,         /* one writes, others only beside one that is stuck */
    INTAKE_PATIENCE_MS = 1000,  /* when it seems so: a connection that does not answer, say */
    INTAKE_MESSAGE_MAX = 400
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

/* A request on its way; the caller's memory, in which it lies until done is called. */
struct intake_ticket {
    struct intake_request request;
    int64_t now;
    /*
     * Called once on a thread of the intake, which it must not block; the ticket is the caller's
     * again. outcome: 0 with result, when all is on disk; or a fault, also one of what it was
     * applied together with only where the store is out of reach. Then nothing was taken (or,
     * where a connection was lost during the commit, that is unknown), and it may be sent again:
     * nothing counts twice.
     */
    void (*done)(struct intake_ticket *ticket);
    int outcome;
    struct intake_result result;

    char message[INTAKE_MESSAGE_MAX]; /* of the fault: the thread's when done is called */
    struct intake_ticket *next;
};

/* Returns 0 or a fault. */
int intake_new(struct store *store, struct intake **ret);
void intake_free(struct intake *i);

/* Puts a request in line. Returns 0, INTAKE_BUSY or FAULT_LIMIT; done is called only for 0. */
int intake_begin(struct intake *i, struct intake_ticket *ticket);

/* The same and waits for it. Returns the ticket's outcome, INTAKE_BUSY or FAULT_LIMIT. */
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
