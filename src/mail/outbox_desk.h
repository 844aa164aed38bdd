/*
 * Where requests to send are accepted: those that wait at the same time share a transaction.
 *
 * Each changes the counters of its tenant's present minutes, and whoever changes a counter waits
 * for the commit of whoever did before. So of a node one transaction at a time does, for all who
 * wait; whoever finds nobody at work takes it on.
 *
 * Rooms: mail and below. Ownership: struct mail has the one desk. Threads: outbox_submit from any
 * worker, and it blocks; the rest from one.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_DESK_H
#define HOLDFAST_MAIL_OUTBOX_DESK_H

#include "mail/outbox.h"

/* Returns 0 or a fault. */
int outbox_desk_new(struct mail *m, struct outbox_desk **ret);

/* Nobody is in outbox_submit any more. NULL is allowed. */
void outbox_desk_free(struct outbox_desk *d);

/*
 * Accepts a message that outbox_check let through; when it returns what was accepted is on disk.
 * What cannot be written is found by halves, so that it spoils no other request. A request that was
 * accepted before is known by its key also where there is no room for further ones. Returns 0 or an
 * outcome with *ret_id set (but for OUTBOX_CONFLICT, OUTBOX_OFF, OUTBOX_FULL), or a fault.
 */
int outbox_submit(struct mail *m, const struct outbox_request *request, int64_t now,
                  struct uuid *ret_id);

/* Requests in line, but for those that are being written. */
size_t outbox_desk_waiting(struct outbox_desk *d);

#endif
