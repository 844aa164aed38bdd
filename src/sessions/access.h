/*
 * Access: from a bearer token to who calls, by the gate alone.
 * Rooms: sessions and below. Ownership: the principal copies. Threads: any; access_check never
 * blocks, access_load reads the store and belongs on a worker.
 */
#ifndef HOLDFAST_SESSIONS_ACCESS_H
#define HOLDFAST_SESSIONS_ACCESS_H

#include "sessions/sessions.h"

enum access_outcome {
    ACCESS_INVALID = 1, /* not a token of ours */
    ACCESS_EXPIRED,
    ACCESS_REVOKED, /* its session was ended, or its account disabled or deleted */
    ACCESS_MISS,    /* the account is not in memory: access_load, then check again */
    ACCESS_STALE    /* the feed was not read lately: nothing can be said */
};

struct access {
    struct jwt_claims claims;
    struct gate_account account;
};

/* Returns 0, an outcome, or FAULT_CRYPTO. On ACCESS_MISS ret->claims is set. */
int access_check(struct sessions *s, struct str token, int64_t now, struct access *ret);

/* Reads the account into the gate and into *ret. Returns 0, ACCESS_REVOKED (gone) or a fault. */
int access_load(struct sessions *s, const struct uuid *user_id, struct gate_account *ret);

/* access_check, reading the store where the account is not in memory. */
int access_check_blocking(struct sessions *s, struct str token, int64_t now, struct access *ret);

#endif
