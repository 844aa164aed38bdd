/*
 * Ending sessions: one, all of a user, all but one, and one whose used token came back.
 *
 * Each writes rows, feed, notice and trail in one transaction, and then this node's gate: when 0 is
 * returned, no token of what was ended passes here, and other nodes follow within a second.
 *
 * Rooms: sessions and below. Threads: workers. tenant is the caller's bound (NULL: any): what is
 * another tenant's is unknown.
 */
#ifndef HOLDFAST_SESSIONS_REVOKE_H
#define HOLDFAST_SESSIONS_REVOKE_H

#include "sessions/sessions.h"

/* Outcome: there is no such family or user within the bound. */
enum { REVOKE_UNKNOWN = 1 };

/*
 * *ret_ended: 1, or 0 where it had ended before, or was over. Returns 0, REVOKE_UNKNOWN or a fault.
 */
int session_revoke_family(struct sessions *s, const struct trail_actor *actor,
                          const struct uuid *tenant, const struct uuid *family_id,
                          struct str reason, int64_t now, int64_t *ret_ended);

/* As above for a user's own session: "logout", no notice. Another user's is unknown. */
int session_logout(struct sessions *s, const struct trail_actor *actor,
                   const struct uuid *family_id, int64_t now, int64_t *ret_ended);

/* Ends all sessions of a user, and any that a slow sign-in may still be about to begin. */
int session_revoke_user(struct sessions *s, const struct trail_actor *actor,
                        const struct uuid *tenant, const struct uuid *user_id, struct str reason,
                        int64_t now, int64_t *ret_ended);

/*
 * Inside a caller's transaction: ends all sessions of the user but keep (NULL: none), with feed
 * entries and without trail or notice. Those that were over leave no entry of their own: an epoch
 * ends them, and for what is left a mark in the row. With keep, the caller has user_hold or changed
 * the user before; without, this takes the user before the families. After the commit the caller
 * calls session_settle_user.
 */
int session_end_all(struct store_txn *t, const struct uuid *user_id, const struct uuid *keep,
                    struct str reason, int64_t now, int64_t *ret_ended);

/*
 * Whether a session has not been ended. A mass revocation holds no user: only behind the lock of
 * the trail the answer stays true. Returns 0, REVOKE_UNKNOWN where it was ended, or a fault.
 */
int session_check_alive(struct store_txn *t, const struct uuid *family_id);

/* Takes what was committed about a user into this node's gate, without waiting for the feed. */
int session_settle_user(struct sessions *s, const struct uuid *user_id, int64_t revoked_at);

/*
 * Ends the family of a used token that came back, and nothing else of the user. from (address and
 * device) is told to them.
 */
int session_revoke_reused(struct sessions *s, const struct trail_actor *actor,
                          const struct uuid *family_id, struct str from, int64_t now);

#endif
