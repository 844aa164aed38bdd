/*
 * The outbox: what was accepted for sending and is on disk, until the transport has taken it or
 * will not.
 *
 * Rooms: mail and below. Ownership: outbox_start makes and outbox_stop ends a sender with its
 * threads. Threads: outbox_accept inside a writing job; the rest from one thread.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_H
#define HOLDFAST_MAIL_OUTBOX_H

#include "mail/mail.h"
#include "mail/mime.h"
#include "mail/transport.h"

enum { OUTBOX_KEY_MAX = 200 /* bytes of an idempotency key */ };

enum outbox_outcome {
    OUTBOX_REPEATED = 1, /* the same request under the same key: *ret_id is its message */
    OUTBOX_CONFLICT,     /* another request under the same key */
    OUTBOX_SUPPRESSED,   /* every recipient is suppressed; it is logged so, and nothing is sent */
    OUTBOX_OFF           /* EMAIL_TRANSPORT is none */
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
 * Accepts a message: log rows, outbox and key in the caller's transaction. What it holds was
 * checked (mime_write gives the problems) before. Returns 0 or an outcome with *ret_id set (but for
 * OUTBOX_CONFLICT, OUTBOX_OFF), or a fault.
 */
int outbox_accept(struct store_txn *t, struct mail *m, const struct outbox_request *request,
                  int64_t now, struct uuid *ret_id);

struct outbox;

/* Starts the threads that hand messages over. Returns 0 or a fault. */
int outbox_start(struct mail *m, struct transport *transport, struct outbox **ret);

/* Something was accepted: look now rather than at the next tick. Never blocks. */
void outbox_wake(struct outbox *o);

/* Lets handovers in flight end, and ends the threads. NULL is allowed. */
void outbox_stop(struct outbox *o);

#endif
