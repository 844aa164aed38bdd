/*
 * Takes persons out of the mail log: who was deleted, and who asked for it.
 *
 * The trail is the list of what is to be done: a record user.delete or mail.erase is written with
 * the deletion or the request, so none is lost, and says up to when. It is looked at again by and
 * by, for what was still to be sent or came later (a late bounce), until EMAIL_RETENTION_DAYS have
 * removed all that it can be about. mail.erased says that it is done.
 *
 * Rooms: mail and below. Ownership: an erasure is plain memory of the caller's. Threads: one;
 * several nodes may do the same.
 */
#ifndef HOLDFAST_MAIL_ERASURE_H
#define HOLDFAST_MAIL_ERASURE_H

#include "base/clock.h"
#include "trail/trail.h"

enum {
    ERASURE_BATCH = 200,                 /* rows a transaction */
    ERASURE_AGAIN_MS = 15 * CLOCK_MINUTE /* how often all requests are looked at again */
};

/* The detail of a record mail.erase that is for all tenants' mail, not only the user's own. */
#define ERASURE_EVERYWHERE "{\"scope\":\"installation\"}"
#define ERASURE_OF_TENANT "{\"scope\":\"tenant\"}"

/* How far the trail was looked at. Zeros: not yet. */
struct erasure {
    int64_t deleted_seq, asked_seq; /* the last record of either action */
    int64_t again_at;               /* by clock_mono */
};

/*
 * Looks at a page of what came since, and at all again once in ERASURE_AGAIN_MS; keep_ms is how
 * long log rows are kept. Returns 0 or a fault.
 */
int erasure_run(struct erasure *e, struct store *store, struct trail *trail, int64_t keep_ms,
                int64_t now);

#endif
