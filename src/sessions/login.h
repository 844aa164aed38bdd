/*
 * Signing in: limits, password, second factor, and the family that begins.
 *
 * Unknown, wrong, locked and disabled accounts take the same path: one lookup, one Argon2id, no
 * write; so neither body nor time tells them apart.
 *
 * Rooms: sessions and below. Ownership: the grant's texts live in the arena. Threads: the password
 * lane (each call hashes once), but for login_admit, which any thread may call.
 */
#ifndef HOLDFAST_SESSIONS_LOGIN_H
#define HOLDFAST_SESSIONS_LOGIN_H

#include "sessions/sessions.h"

enum login_outcome {
    LOGIN_REFUSED = 1,  /* unknown, wrong, locked or disabled */
    LOGIN_MFA_REQUIRED, /* the password is right and a code is missing */
    LOGIN_LIMITED       /* too many attempts: *ret_state says for how long */
};

struct login_input {
    struct str email; /* normalised */
    struct str password, code;
    struct in6_addr address;
    struct str ip, user_agent;
    struct uuid request_id;
    int64_t now;
};

/*
 * Counts an attempt against the address, the account's minute and the account's hour. Returns 0,
 * LOGIN_LIMITED with the state of the limit that refused, or FAULT_MEMORY. On 0 the state is that
 * of the tightest per-minute limit.
 */
int login_admit(struct sessions *s, const struct in6_addr *address, struct str email,
                struct limiter_state *ret_state);

/* Signs in after login_admit. Returns 0 with the session on disk, an outcome, or a fault. */
int login_run(struct sessions *s, struct arena *a, const struct login_input *input,
              struct session_grant *ret);

/*
 * Begins a session inside a caller's transaction, for a user who has just been verified: notes the
 * device, tells of a new one, inserts the family and records it in the trail (so: last).
 */
struct login_session {
    struct user user;
    unsigned amr;
    struct session_family family; /* filled */
};
int login_begin(struct sessions *s, struct store_txn *t, struct arena *a,
                const struct login_input *input, struct login_session *session);

/*
 * Whether this is the user's password: counted as a sign-in attempt, for changing a password or
 * removing a factor. Returns 0, LOGIN_REFUSED, LOGIN_LIMITED or a fault.
 */
int login_verify_password(struct sessions *s, const struct user *user, struct str password,
                          const struct in6_addr *address, struct limiter_state *ret_state);

/* Writes the failures counted in memory; called each second by the server. 0 or a fault. */
int login_flush_failures(struct sessions *s, int64_t now);

#endif
