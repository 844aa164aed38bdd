/*
 * Reaping in rounds: each looks at the next rows after a cursor of users.
 * Rooms: identity and below. Ownership: the caller's. Threads: inside a job.
 */
#ifndef HOLDFAST_IDENTITY_REAP_H
#define HOLDFAST_IDENTITY_REAP_H

#include "store/store.h"

/*
 * The user up to whom this round goes, and whether there are more behind; past the end, the
 * greatest id there can be. sql gives the id of the row that is $2 rows behind the first after $1.
 * Returns 0 or a fault.
 */
int reap_last(struct store_txn *t, const char *sql, const struct uuid *cursor, int64_t max_rows,
              struct uuid *ret_last, bool *ret_more);

#endif
