/*
 * What became of one message: its recipients, what was told of them, and what it still waits for.
 * Rooms: mail and below. Ownership: everything lives in the caller's arena. Threads: inside a job.
 */
#ifndef HOLDFAST_MAIL_FATE_H
#define HOLDFAST_MAIL_FATE_H

#include "mail/log.h"
#include "mail/person.h"

enum { FATE_EVENTS_MAX = 1000 /* the oldest */ };

struct mail_fate {
    struct mail_log_entry *recipients; /* by address */
    size_t n;
    struct mail_event_entry *events; /* of all of them, oldest first */
    size_t n_events;
    bool waits;         /* it is in the outbox */
    int64_t attempts;   /* how often it was tried */
    int64_t next_at;    /* not before; 0: it is being handed over */
    struct str problem; /* why the last attempt did not end it */
};

/* tenant is the caller's bound; NULL: any. Returns 0, MAIL_LOG_UNKNOWN or a fault. */
int mail_fate_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                   const struct uuid *message_id, struct mail_fate *ret_fate);

/*
 * The message's own state: queued while any recipient is, else what all of them have in common,
 * else "mixed". n is at least 1.
 */
struct str mail_fate_status(const struct mail_log_entry *recipients, size_t n);

#endif
