/*
 * Whom an entry of the installation concerns: a tenant that has written to its address, or tried
 * to, or whose user it is of. Kept beside the entries, so that a tenant's list is read along its
 * own rows: of all that the installation has, which concerns it cannot be told by an index.
 *
 * A user that comes later than the entry brings no row: their tenant finds the entry by its
 * address, and in the list once it has written to it.
 *
 * Rooms: mail. Threads: inside a writing job.
 */
#ifndef HOLDFAST_MAIL_SUPPRESSION_REACH_H
#define HOLDFAST_MAIL_SUPPRESSION_REACH_H

#include "base/uuid.h"
#include "store/store.h"

/*
 * A condition on suppressions s: within a bound. Numbers of parameters: 1 where there is none, the
 * tenant, the nil id.
 */
#define SUPPRESSION_WITHIN(any, tenant, nil)                                                       \
    "(" any " = 1 OR s.tenant_id = " tenant " OR (s.tenant_id = " nil " AND (EXISTS (SELECT 1"     \
    " FROM suppression_tenants c WHERE c.tenant_id = " tenant " AND c.address = s.address"         \
    " AND c.reason = s.reason) OR EXISTS (SELECT 1 FROM users u WHERE u.email = s.address"         \
    " AND u.tenant_id = " tenant "))))"

/*
 * Entries of the installation that were made at now: of an address, or of those in t1 of bulk_rows.
 * Return 0 or a fault.
 */
int suppression_reach_address(struct store_txn *t, struct str address, int64_t now);
int suppression_reach_bulk(struct store_txn *t, int64_t now);

/* Log rows whose message was not sent because of entries. bulk_ids is used. Likewise. */
int suppression_reach_logs(struct store_txn *t, const struct uuid *ids, size_t n);

/* Forgets what is of entries that are no more. Likewise. */
int suppression_reach_forget(struct store_txn *t, struct str address);
int suppression_reach_forget_bulk(struct store_txn *t);

#endif
