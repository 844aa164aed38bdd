/*
 * Accounts: creating, changing and deleting users together with what hangs on it: sessions, feed,
 * notices, trail. The API and the command line both come through here.
 *
 * Rooms: sessions and below. Ownership: results live in the arena. Threads: workers; hashing is the
 * caller's, on the password lane.
 */
#ifndef HOLDFAST_SESSIONS_ACCOUNT_H
#define HOLDFAST_SESSIONS_ACCOUNT_H

#include "sessions/sessions.h"

enum account_outcome {
    ACCOUNT_UNKNOWN = 1,
    ACCOUNT_EXISTS,
    ACCOUNT_FORBIDDEN,     /* an administrator of a tenant touches or makes an operator */
    ACCOUNT_LAST_OPERATOR, /* one enabled operator always stays */
    ACCOUNT_NO_TENANT
};

/* With what power somebody acts on accounts. */
struct account_power {
    const struct trail_actor *actor;
    const struct uuid *tenant; /* the bound; NULL: any */
    bool operator_;            /* may touch and make operators */
};

/* Creates a user in an existing tenant. Returns 0, an outcome or a fault. */
int account_create(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct user_new *user, int64_t now, struct user *ret);

/* As above in a transaction of the caller's; the trail's record is its last statement. */
int account_create_in(struct sessions *s, struct store_txn *t, struct arena *a,
                      const struct account_power *power, const struct user_new *user, int64_t now,
                      struct user *ret);

/* Changes a user; disabling ends all sessions. Returns 0, an outcome or a fault. */
int account_update(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct uuid *id, const struct user_patch *patch, int64_t now,
                   struct user *ret);

/* Deletes a user and all that is theirs. Returns 0, an outcome or a fault. */
int account_delete(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct uuid *id, int64_t now);

/*
 * Sets a temporary password (its hash), lifts a lock and ends all sessions. Returns 0, an outcome
 * or a fault.
 */
int account_reset_password(struct sessions *s, struct arena *a, const struct account_power *power,
                           const struct uuid *id, struct str hash, int64_t now);

/*
 * The very first operator, in a tenant of this name, where there is no user at all. *ret_made says
 * whether there was none. Returns 0 or a fault.
 */
int account_bootstrap(struct sessions *s, struct arena *a, struct str tenant_name, struct str email,
                      struct str hash, int64_t now, bool *ret_made);

#endif
