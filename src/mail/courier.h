/*
 * Brings back what becomes of messages in the sandbox: for each that SES's simulator has a fate for
 * (mail/simulator.h), the events are posted to a webhook, signed as a stranger's would have to be.
 *
 * Rooms: mail and below. Ownership: courier_start makes and courier_stop ends it with its thread
 * and all it still holds. Threads: courier_take from any, and it never blocks; the rest from one.
 *
 * What waits is in memory, for this is development: it is lost with the process. Nothing is lost
 * without a line in the log.
 */
#ifndef HOLDFAST_MAIL_COURIER_H
#define HOLDFAST_MAIL_COURIER_H

#include "crypto/mac.h"
#include "mail/sandbox.h"
#include "net/guard.h"

enum { COURIER_PATH_MAX = 254, COURIER_SUBJECT_MAX = 200 /* bytes kept of them */ };

struct courier_options {
    const char *url;     /* where events are posted to; http:// is allowed */
    struct guard guard;  /* what may be connected to for it */
    struct mac_key key;  /* of the webhook's secret */
    size_t queue_max;    /* recipients whose events wait; 0: 10,000 */
    int64_t patience_ms; /* how long one event is tried; 0: 30 s */
};

struct courier;

/* Copies the options, and starts the thread. Returns 0 or a fault. */
int courier_start(const struct courier_options *options, struct courier **ret);

/*
 * Takes up what the simulator has to tell of a message: a sandbox_listener's function. Without a
 * courier (NULL), which is ending or none, it says in the log what is lost.
 */
void courier_take(void *courier, const struct sandbox_message *m);

struct courier_stats {
    uint64_t posted, dropped; /* events that the webhook took; that were given up */
    size_t waiting;           /* recipients */
};
void courier_stats(struct courier *c, struct courier_stats *ret);

/*
 * Posts what waits for at most drain_ms, then ends the thread; one call may be in flight and take
 * some seconds more. NULL is allowed. Nothing calls courier_take any more.
 */
void courier_stop(struct courier *c, int64_t drain_ms);

#endif
