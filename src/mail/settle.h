/*
 * The end of log rows' time in the outbox: what was handed over, and what will not be.
 *
 * Rooms: mail and below. Ownership: the caller's. Threads: inside a writing job; takes
 * STORE_LOCK_MAIL, so it comes before anything of the job that takes the trail's lock.
 */
#ifndef HOLDFAST_MAIL_SETTLE_H
#define HOLDFAST_MAIL_SETTLE_H

#include "base/uuid.h"
#include "mail/state.h"
#include "store/store.h"

/* What became of a log row. */
struct mail_settlement {
    struct uuid log_id;
    enum mail_state state;   /* MAIL_SENT; MAIL_SUPPRESSED, MAIL_REJECTED: it will not be sent */
    struct str provider_id;  /* MAIL_SENT: what it will be called in events */
    struct str code, detail; /* of the others; cut at MAIL_CODE_MAX, MAIL_DETAIL_MAX */
    int64_t at;
};

/*
 * Settles those of the rows (each named once) that are still queued, and takes up the events that
 * came before what was sent. A constant number of statements, whatever n is. *ret_rows (may be
 * NULL): how many were queued. Returns 0, FAULT_INTERNAL for another state, or another fault.
 */
int mail_settle(struct store_txn *t, const struct mail_settlement *items, size_t n,
                int64_t *ret_rows);

#endif
