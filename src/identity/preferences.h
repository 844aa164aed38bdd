/*
 * What a user wishes to receive.
 * Rooms: identity and below. Threads: inside a job.
 */
#ifndef HOLDFAST_PREFERENCES_H
#define HOLDFAST_PREFERENCES_H

#include "identity/user.h"

struct preferences {
    bool email_security; /* security notices by mail */
    bool email_product;  /* everything else by mail */
    int64_t updated_at;  /* 0: never set, these are the defaults (both true) */
};

/* Returns 0 or a fault. */
int preferences_get(struct store_txn *t, const struct uuid *user_id,
                    struct preferences *ret_preferences);

/*
 * updated_at is when. The user is held (user_hold) first: who deletes them has the lock of the
 * trail before these rows, and who calls this may take it behind them. Returns 0, USER_UNKNOWN or a
 * fault.
 */
int preferences_put(struct store_txn *t, const struct uuid *user_id,
                    const struct preferences *preferences);

/* No mail at all, for every user in bulk_ids, who all exist. Returns 0 or a fault. */
int preferences_refuse_bulk(struct store_txn *t, int64_t now);

#endif
