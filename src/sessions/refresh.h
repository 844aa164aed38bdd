/*
 * Rotation of refresh tokens: one compare-and-swap, a deterministic successor, a fixed window of
 * grace, and the end of a family whose used token comes back (RFC 9700, section 4.14.2).
 *
 * Rooms: sessions and below. Ownership: the grant's texts live in the arena. Threads: workers.
 */
#ifndef HOLDFAST_SESSIONS_REFRESH_H
#define HOLDFAST_SESSIONS_REFRESH_H

#include "sessions/sessions.h"

enum refresh_outcome {
    REFRESH_INVALID = 1, /* not a token of ours; nothing is ended by it */
    REFRESH_EXPIRED,
    REFRESH_REVOKED,
    REFRESH_REUSED /* an authentic, used token: its family has just been ended */
};

struct refresh_input {
    struct str token;
    struct str ip, user_agent;
    struct uuid request_id;
    int64_t now;       /* when the request came: the token is judged by it */
    int64_t rotate_at; /* from when the grace counts, where the request had to wait; else 0 */
};

/*
 * Exchanges a refresh token for a grant. When 0 is returned the rotation is on disk. Returns 0, an
 * enum refresh_outcome or a fault.
 */
int session_refresh(struct sessions *s, struct arena *a, const struct refresh_input *input,
                    struct session_grant *ret);

/* What a refresh token stands for, without using it. */
struct refresh_status {
    struct session_family family;
    struct user user;
};

/*
 * Looks a token up. Only the newest of a live session, or its predecessor within the grace, is
 * active. Returns 0, an enum refresh_outcome (REFRESH_REUSED ends nothing here) or a fault.
 */
int session_refresh_inspect(struct sessions *s, struct arena *a, struct str token, int64_t now,
                            struct refresh_status *ret);

#endif
