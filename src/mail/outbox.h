/*
 * The outbox: what was accepted for sending and is on disk, until the transport has taken it or
 * will not.
 *
 * Rooms: mail and below. Ownership: outbox_start makes and outbox_stop ends a sender with its
 * threads. Threads: outbox_check any; outbox_accept and outbox_reap inside a writing job;
 * outbox_wake and outbox_stats any; the rest from one thread.
 *
 * Each recipient gets a copy of its own, which names no other recipient and carries its own link to
 * unsubscribe. A copy is handed over at most once, as far as can be known: it is marked on disk
 * before its handover, and where the answer was lost, or the process died in between, a product's
 * message is not tried again but rejected as "uncertain". A security notice is: there a second copy
 * (with the same Message-ID) does less harm than none.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_H
#define HOLDFAST_MAIL_OUTBOX_H

#include "base/clock.h"
#include "mail/mail.h"
#include "mail/mime.h"
#include "mail/transport.h"

enum {
    OUTBOX_KEY_MAX = 200,          /* bytes of an idempotency key */
    OUTBOX_KEY_MS = 4 * CLOCK_DAY, /* how long a key is known: longer than its message is tried */
    OUTBOX_GIVE_UP_MS = 3 * CLOCK_DAY,
    OUTBOX_RETRY_MS = 30 * CLOCK_SECOND, /* until the second attempt; doubled for each further */
    OUTBOX_RETRY_MAX_MS = CLOCK_HOUR,
    OUTBOX_PAUSE_MAX_MS = CLOCK_MINUTE, /* between looks at a transport that does not work */
    OUTBOX_COPIES = 5, /* of one message in a row, while another one comes before it */
    /* Longer than a handover takes, and clocks differ. */
    OUTBOX_LEASE_MS = TRANSPORT_TIME_MS + 90 * CLOCK_SECOND
};

/* Codes of what was rejected by the outbox itself. */
#define OUTBOX_CODE_UNCERTAIN "uncertain" /* it may have arrived, and was not tried again */
#define OUTBOX_CODE_EXPIRED "expired"     /* not taken within OUTBOX_GIVE_UP_MS */
#define OUTBOX_CODE_SANDBOX "sandbox"     /* accepted for the sandbox, which is no more */

enum outbox_outcome {
    OUTBOX_REPEATED = 1, /* the same request under the same key: *ret_id is its message */
    OUTBOX_CONFLICT,     /* another request under the same key */
    OUTBOX_SUPPRESSED,   /* every recipient is suppressed; it is logged so, and nothing is sent */
    OUTBOX_OFF,          /* EMAIL_TRANSPORT is none */
    OUTBOX_FULL          /* of outbox_submit: so much of the tenant's mail waits already */
};

struct outbox_request {
    struct uuid tenant_id;
    struct str to[MAIL_RECIPIENTS_MAX]; /* normalised, different */
    size_t n;
    struct str subject, text, html;   /* text or html or both */
    struct str template_name;         /* for figures; empty: none */
    struct str key;                   /* idempotency key; empty: none */
    enum unsubscribe_purpose purpose; /* what List-Unsubscribe ends */
    bool automatic;                   /* written by Holdfast itself */
};

/*
 * Whether the request makes messages. Returns 0, an enum mime_outcome with *ret_problem, or a
 * fault. An address that it names is "to[i].address".
 */
int outbox_check(const struct mail *m, const struct outbox_request *request,
                 struct mime_problem *ret_problem);

/*
 * Accepts a message that outbox_check let through: log rows, outbox and key in the caller's
 * transaction, which the caller commits whatever the outcome. Takes no lock. Returns 0 or an
 * outcome with *ret_id set (but for OUTBOX_CONFLICT, OUTBOX_OFF), or a fault.
 */
int outbox_accept(struct store_txn *t, struct mail *m, const struct outbox_request *request,
                  int64_t now, struct uuid *ret_id);

/* One of several requests that are accepted together. */
struct outbox_acceptance {
    const struct outbox_request *request;
    int64_t now;
    int outcome; /* out: 0 or an enum outbox_outcome */
    struct uuid id;
};

enum { OUTBOX_ACCEPT_MAX = 64 };

/*
 * As outbox_accept for each of n, at most OUTBOX_ACCEPT_MAX, of which a fault befalls all. Several
 * that have keys come in the order of outbox_compare: so no two transactions wait for each other.
 */
int outbox_accept_all(struct store_txn *t, struct mail *m, struct outbox_acceptance *items,
                      size_t n);

/* By tenant, then by key. */
int outbox_compare(const struct outbox_request *a, const struct outbox_request *b);

/* Removes at most limit keys that are not known any more. Returns 0 or a fault. */
int outbox_reap(struct store_txn *t, int64_t now, int64_t limit, int64_t *ret_removed);

struct outbox;

/* Starts `senders` threads that hand messages over, and one that gives them work. Returns 0 or a
 * fault. */
int outbox_start(struct mail *m, struct transport *transport, size_t senders, struct outbox **ret);

/* Something was accepted: look now rather than at the next tick. Never blocks. NULL is allowed. */
void outbox_wake(struct outbox *o);

/* Begins no further handovers. Never blocks. NULL is allowed. */
void outbox_drain(struct outbox *o);

/* Lets handovers in flight end (within TRANSPORT_TIME_MS), and ends the threads. NULL is allowed.
 */
void outbox_stop(struct outbox *o);

enum outbox_result {
    OUTBOX_ACCEPTED,
    OUTBOX_TEMPORARY,
    OUTBOX_PERMANENT,
    OUTBOX_UNCERTAIN,
    OUTBOX_RESULTS
};

struct outbox_stats {
    uint64_t handovers[OUTBOX_RESULTS]; /* copies, by this node */
    uint64_t put_aside;                 /* messages that this node could not work on */
    uint64_t in_flight;                 /* of this node */
    uint64_t waiting;                   /* messages, of all nodes; some seconds old */
    int64_t oldest_at;                  /* when the oldest of them was accepted; 0: none */
};

void outbox_stats(struct outbox *o, struct outbox_stats *ret_stats);

#endif
