/*
 * What there is: a user's own sessions, and the security audit of one user.
 * Rooms: sessions and below. Ownership: results live in the arena. Threads: workers.
 */
#ifndef HOLDFAST_SESSIONS_OVERVIEW_H
#define HOLDFAST_SESSIONS_OVERVIEW_H

#include "sessions/sessions.h"

enum { OVERVIEW_FAMILIES_MAX = 200, OVERVIEW_EVENTS_MAX = 50 };

struct overview_family {
    struct uuid id;
    int64_t created_at, last_used_at, expires_at, generation, revoked_at;
    struct str ip, user_agent, revoked_reason;
    bool active;
};

struct overview_event {
    int64_t at;
    struct str action, actor, ip, detail; /* detail: a JSON object */
};

/* A user's active sessions, newest first. */
int overview_sessions(struct sessions *s, struct arena *a, const struct uuid *user_id,
                      const struct uuid *before, size_t limit, int64_t now,
                      struct overview_family **ret, size_t *ret_n);

struct overview {
    struct user user;
    int64_t active_sessions, failed_logins_24h, reuse_detections;
    struct overview_family *families; /* newest first, ended ones too */
    size_t n_families;
    struct overview_event *events; /* newest first */
    size_t n_events;
};

/* Outcome: no such user within the bound. */
enum { OVERVIEW_UNKNOWN = 1 };

/* The security audit view; counts include what is still only in this node's memory. */
int overview_audit(struct sessions *s, struct arena *a, const struct uuid *tenant,
                   const struct uuid *user_id, int64_t now, struct overview *ret);

/* Deletes at most limit families that were over for keep_ms; *ret_deleted says how many. */
int overview_reap(struct store *s, int64_t now, int64_t keep_ms, int64_t limit,
                  int64_t *ret_deleted);

#endif
