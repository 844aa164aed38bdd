/*
 * How many messages of a tenant may wait in the outbox: who floods it fills neither the disk nor
 * the figures of others. Mail of security is counted by itself, so that a newsletter that waits
 * stops no reset of a password.
 *
 * What waits is counted now and then only: as often as the tenant comes nearer to its limit, each
 * ten seconds otherwise, and each second while it is full. So nodes that accept at the same time
 * may pass the limit by some of it.
 *
 * Rooms: mail and below. Ownership: struct mail has the one quota. Threads: any; blocks on the
 * store.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_QUOTA_H
#define HOLDFAST_MAIL_OUTBOX_QUOTA_H

#include "mail/outbox.h"

struct outbox_quota;

/* Returns 0 or FAULT_MEMORY. */
int outbox_quota_new(struct outbox_quota **ret);

/* NULL is allowed. */
void outbox_quota_free(struct outbox_quota *q);

/*
 * Whether EMAIL_WAITING_LIMIT has room for one more; mono is now by the monotonic clock. Returns 0,
 * OUTBOX_FULL or a fault.
 */
int outbox_quota_admit(struct mail *m, const struct uuid *tenant_id, bool security, int64_t mono);

#endif
