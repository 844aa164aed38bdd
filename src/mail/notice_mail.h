/*
 * Mails users what they are told in the application, where their address is good and they want it.
 *
 * Who writes a notice knows nothing of this: notices are found afterwards, by their ascending ids,
 * and become messages in the outbox a few at a time. So a mass revocation, which tells a million
 * users, is no slower for it. Its notices have a lane of their own, so that what is urgent does not
 * wait behind them.
 *
 * Rooms: mail and below. Ownership: notice_mail_start makes and notice_mail_stop ends it with its
 * thread. Threads: start and stop from one; notice_mail_turn blocks on the store.
 */
#ifndef HOLDFAST_MAIL_NOTICE_MAIL_H
#define HOLDFAST_MAIL_NOTICE_MAIL_H

#include "mail/outbox.h"

enum notice_mail_lane { NOTICE_MAIL_URGENT, NOTICE_MAIL_BULK };

enum {
    NOTICE_MAIL_BATCH = 50,                /* messages of a transaction */
    NOTICE_MAIL_SCAN = 5000,               /* notices that are looked at for one */
    NOTICE_MAIL_GAP_MS = 60 * 1000,        /* how long a missing id may still be committed */
    NOTICE_MAIL_AGE_MS = 24 * 3600 * 1000, /* an older notice is not mailed any more */
    NOTICE_MAIL_BULK_AGE_MS = 3 * 24 * 3600 * 1000 /* of a mass revocation */
};

/* What one node remembers from turn to turn: which missing ids it waits for. */
struct notice_mail_memory {
    int64_t horizon; /* those below; 0: none */
    int64_t since;   /* since when, of clock_mono */
};

/* What a turn did. */
struct notice_mail_result {
    int64_t seen;     /* notices up to this id were looked at */
    int64_t accepted; /* messages */
    bool more;        /* there was more to look at, and it may be looked at now */
};

/*
 * One turn of a lane at now (ms since 1970) and mono (ms of clock_mono), at most per_minute
 * messages a minute on all nodes together. What it accepts and how far it came are one transaction,
 * so each notice is mailed once, however many nodes there are. Returns 0 or a fault.
 *
 * On PostgreSQL ids can be committed in another order than their own. A missing one is waited for,
 * NOTICE_MAIL_GAP_MS from when it was first missed: a notice that comes even later stays in the
 * application.
 */
int notice_mail_turn(struct mail *m, enum notice_mail_lane lane, struct notice_mail_memory *memory,
                     int64_t per_minute, int64_t now, int64_t mono,
                     struct notice_mail_result *ret_result);

struct notice_mail;

/* Starts the thread; outbox (may be NULL) is woken when there is something for it, and outlives it.
 * Returns 0 or a fault. */
int notice_mail_start(struct mail *m, struct outbox *outbox, struct notice_mail **ret);

/* Ends the thread after the turn that it is in. NULL is allowed. */
void notice_mail_stop(struct notice_mail *n);

#endif
