/*
 * What the functions of this room share: the process's keys, gate, counters, and the grant that a
 * sign-in or a rotation gives.
 *
 * Rooms: sessions and below. Ownership: sessions_new makes and sessions_free ends what it holds,
 * but store and trail are the caller's and outlive it. Threads: any; functions that take a struct
 * sessions block on the store unless their header says otherwise.
 */
#ifndef HOLDFAST_SESSIONS_SESSIONS_H
#define HOLDFAST_SESSIONS_SESSIONS_H

#include "base/arena.h"
#include "base/metrics.h"
#include "config/config.h"
#include "crypto/jwt.h"
#include "crypto/seal.h"
#include "identity/failures.h"
#include "identity/mfa.h"
#include "identity/user.h"
#include "sessions/feed.h"
#include "sessions/gate.h"
#include "sessions/refresh_token.h"
#include "shared/limiter.h"
#include "trail/trail.h"

enum {
    SESSION_REASON_MAX = 200,   /* code points of a revocation's reason */
    SESSION_AGENT_MAX = 300,    /* bytes kept of a user agent */
    SESSION_STALE_MS = 5000,    /* a feed unread for longer closes what is not public */
    SESSION_SKEW_MS = 60 * 1000 /* nodes' clocks may differ by this much */
};

struct session_counters {
    struct metric_counter logins, login_failures, login_limited, refreshes, refresh_graces,
        refresh_forwards, reuses, refresh_refusals, revocations;
};

struct sessions {
    struct store *store;
    struct trail *trail;
    struct jwt_keys *jwt;
    struct mac_ring refresh;
    struct seal_keys seal;
    struct mfa_keys mfa;
    struct mac_ring device_keys;
    struct gate *gate;
    struct failures *failures;
    struct limiter *limiter;
    struct feed_follower *follower; /* NULL in commands, which end after their work */
    struct session_counters counters;
};

/* Keys from the configuration. Returns 0 or a fault. */
int sessions_new(const struct config *config, struct store *store, struct trail *trail,
                 struct sessions **ret);
void sessions_free(struct sessions *s);

/* Reads the feed and follows it, as a server does. Returns 0 or a fault. */
int sessions_follow(struct sessions *s, const struct feed_listener *listener);

/* Whether the store answers: the feed's follower asks it at least twice a second. */
bool sessions_reachable(const struct sessions *s);

/* Whether the feed was read lately; without that nothing but public routes may be answered. */
bool sessions_fresh(const struct sessions *s);

/* The raw keys behind a list of hexadecimal secrets (ENCRYPTION_KEY and its retired ones). */
struct encryption_secrets {
    uint8_t active[SEAL_KEY_SIZE];
    uint8_t retired[SEAL_RETIRED_MAX][SEAL_KEY_SIZE];
    size_t n_retired;
};

/* Returns 0 or FAULT_LIMIT, FAULT_INTERNAL (the configuration was not checked). Wiped by caller. */
int encryption_secrets_read(const struct config *config, struct encryption_secrets *ret);

/*
 * SQL: a family (a table or alias of families) that was not ended, neither by itself nor with all
 * of its user; and one that is active: not ended, and not over at a time.
 */
#define SESSION_NOT_ENDED(f)                                                                       \
    f ".revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM epochs e WHERE e.user_id = " f            \
      ".user_id AND e.not_before >= " f ".created_at)"
#define SESSION_ACTIVE(f, now)                                                                     \
    f ".expires_at > " now " AND " f ".idle_expires_at > " now " AND " SESSION_NOT_ENDED(f)

/*
 * When the access tokens issued up to now, on any node, have surely expired; of a family, now is
 * its issued_at where that lies ahead: by a clock that was put back since.
 */
int64_t session_access_horizon(int64_t now);

/* What a sign-in or a rotation gives; the texts live in the caller's arena. */
struct session_grant {
    struct str access_token, refresh_token;
    int64_t expires_in; /* seconds of the access token */
    struct uuid session_id;
    struct user user;
};

/* A family's row, as far as it takes part in granting. */
struct session_family {
    struct uuid id, user_id, tenant_id;
    uint32_t generation;
    uint8_t seed[REFRESH_SEED_SIZE];
    unsigned amr;
    int64_t created_at, rotated_at, expires_at, idle_expires_at, revoked_at;
};

/* Issues both tokens for a family at a generation. Returns 0 or a fault. */
int session_grant_make(struct sessions *s, struct arena *a, const struct session_family *family,
                       uint32_t generation, const struct user *user, int64_t now,
                       struct session_grant *ret);

/* "192.0.2.7 (Firefox ...)": where a sign-in or a token came from, for people. Never NULL. */
struct str session_device_text(struct arena *a, struct str ip, struct str user_agent);

#endif
