/*
 * Mass revocation: the sessions of a list of users, in chunks, each one transaction of a few
 * set-based statements. A run that was cut off is completed by running it again: what has ended
 * is not ended twice, and nobody is told twice.
 *
 * Rooms: sessions and below. Ownership: the caller's arrays. Threads: workers.
 */
#ifndef HOLDFAST_SESSIONS_MASS_H
#define HOLDFAST_SESSIONS_MASS_H

#include "sessions/sessions.h"

/*
 * A long list is cut into a number of chunks, so that it can be followed and stopped; each is large
 * enough that pages shared by many users are written once, and small enough that others' writes
 * wait for about a second at most.
 */
enum { MASS_CHUNKS = 16, MASS_CHUNK_MIN = 10000, MASS_CHUNK = 100000 };

struct mass_result {
    struct uuid id;
    int64_t sessions;      /* active ones that were (or, with dry_run, would be) ended */
    struct uuid tenant_id; /* of one who is known */
    bool known;            /* there is such a user within the bound */
    bool late;             /* one of the sessions began after now, or a ms later */
};

struct mass_totals {
    int64_t requested, matched, unknown, sessions, users_with_sessions;
};

struct mass_options {
    const struct uuid *tenant; /* NULL: any */
    struct str reason;
    bool dry_run; /* counts, and changes nothing */
    int threads;  /* that run chunks at the same time; 0 is 1, and so is any number on SQLite */
    int64_t now;
};

/*
 * One chunk: at most MASS_CHUNK different ids. The n results come in ascending order of the ids;
 * totals are added to.
 * When 0 is returned the chunk is on disk and in this node's gate. Returns 0 or a fault.
 */
int mass_revoke(struct sessions *s, const struct trail_actor *actor,
                const struct mass_options *options, const struct uuid *ids, size_t n,
                struct mass_result *results, struct mass_totals *totals);

/*
 * The ids of a tenant's users (NULL: of any) by their normalised addresses, which may repeat:
 * ret_ids[i] is nil where addresses[i] is unknown. Returns 0 or a fault.
 */
int mass_resolve(struct sessions *s, const struct uuid *tenant, const struct str *addresses,
                 size_t n, struct uuid *ret_ids);

#endif
