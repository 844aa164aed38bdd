/*
 * Events: what a provider says became of messages. A batch is appended, and all that follows from
 * it is done, in one transaction: states, counters, suppressions, users and what they are told.
 *
 * Rooms: mail and below. Ownership: the caller's. Threads: inside a writing job, which may be run
 * again.
 *
 * What an event means is its maker's to say (mail/ses_rules.h for SES); here it is carried out.
 */
#ifndef HOLDFAST_MAIL_EVENT_H
#define HOLDFAST_MAIL_EVENT_H

#include "base/uuid.h"
#include "mail/state.h"
#include "store/store.h"

enum { MAIL_EVENTS_MAX = 10000 /* of one batch */ };

/* What is done about the recipient, besides the message's state. */
enum mail_action {
    MAIL_ACTION_NONE,
    MAIL_ACTION_INVALIDATE,  /* the address is dead: suppress it; its user is told and not mailed */
    MAIL_ACTION_SUPPRESS,    /* suppress it; where it is already, the reason stays as it is */
    MAIL_ACTION_SOFT_COUNT,  /* one message more that could not be delivered just now */
    MAIL_ACTION_SOFT_RESET,  /* a delivery: forget those that were before it */
    MAIL_ACTION_UNSUBSCRIBE, /* it wants no mail: suppress it; its user is told and not mailed */
    MAIL_ACTION_ALERT        /* nothing about the recipient; it is counted for the operator */
};

/* The kind whose events are deliveries. */
#define MAIL_KIND_DELIVERY "delivery"

/* One thing that happened to a message to one recipient. Texts are UTF-8 without NUL, or empty. */
struct mail_event {
    struct str kind;        /* such as "bounce" */
    struct str subtype;     /* the provider's words, such as "Permanent/General" */
    struct str provider_id; /* of the message; without one it belongs to no log row */
    struct str feedback_id;
    struct str recipient;    /* normalised (identity/email_address.h) */
    struct str code, detail; /* such as "5.1.1" and what a server said; cut to fit,
                              * and controls become spaces */
    int64_t at;              /* by the provider's clock, ms since 1970 */
    enum mail_state state;   /* what it makes of the message; MAIL_NO_STATE: nothing */
    bool counted;            /* in the rate of bounces or of complaints */
    enum mail_action action;
};

struct mail_event_policy {
    int64_t soft_limit;       /* so many messages that bounced softly suppress the address */
    int64_t soft_suppress_ms; /* for so long */
};

/* What became of one event of a batch. */
enum mail_event_fate {
    MAIL_EVENT_DUPLICATE, /* known already, or earlier in the batch */
    MAIL_EVENT_MATCHED,   /* new, and of a log row */
    MAIL_EVENT_UNMATCHED  /* new, of no log row so far */
};

struct mail_event_result {
    int64_t accepted;                  /* new ones, of which */
    int64_t unmatched;                 /* are of no log row, so far */
    int64_t duplicates;                /* known already, or twice in the batch; they do nothing */
    int64_t suppressed;                /* entries that are new, or last longer now */
    int64_t invalidated, unsubscribed; /* users whose state changed */
    int64_t alerts;
};

/*
 * ret_fates (may be NULL) has room for n. Of equal events of a batch the first is the new one.
 *
 * Two events are the same where kind, recipient and feedback_id are; without a feedback_id, where
 * kind, recipient, provider_id and time are. The order in which events come, and whether before or
 * after mail_settle, makes no difference to the states, counters and suppressions.
 *
 * A constant number of statements, whatever n is. Takes STORE_LOCK_MAIL first and STORE_LOCK_TRAIL
 * last (where users changed). Returns 0, FAULT_LIMIT for more than MAIL_EVENTS_MAX, or another
 * fault.
 */
int mail_event_apply(struct store_txn *t, const struct mail_event *events, size_t n,
                     const struct mail_event_policy *policy, int64_t now,
                     struct mail_event_result *ret_result, enum mail_event_fate *ret_fates);

#endif
