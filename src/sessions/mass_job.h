/*
 * What the parts of a mass revocation share: mass.c, mass_beside.c and mass_resolve.c.
 * Rooms: sessions, of these files alone. Ownership: arrays belong to mass_revoke. Threads: a job is
 * one thread's.
 */
#ifndef HOLDFAST_SESSIONS_MASS_JOB_H
#define HOLDFAST_SESSIONS_MASS_JOB_H

#include "identity/notification.h"
#include "sessions/mass.h"

/* $n and $n+1 of a statement that is bound to a tenant: 1 for an operator, who has no bound. */
#define P_ANY(tenant) P_INT((tenant) ? 0 : 1)
#define P_TENANT(tenant) ((tenant) ? P_ID(tenant) : P_BLOB("", 0))

struct mass_job {
    struct sessions *s;
    const struct trail_actor *actor;
    const struct mass_options *options;
    const struct uuid *ids; /* ascending */
    size_t n;
    struct mass_result *results;         /* in the order of ids */
    struct uuid *users, *others;         /* n of each: a choice of ids */
    struct notification_addressee *told; /* n */
    size_t held;                         /* of ids, in bulk_ids */
    bool set_based;                      /* one statement over bulk_ids adds rows, not store_add */
    bool alone;                          /* with the lock of the trail from the start */
    int64_t until;                       /* not_before of the epochs: now, or a ms later */
    int64_t last_entry;                  /* of the feed, when this began */
    int64_t newest; /* when the newest of the sessions began, by whichever node's clock */
    struct mass_totals totals;
};

/* NULL: not one of those who were named. */
struct mass_result *mass_result_of(struct mass_job *j, const struct uuid *id);

/* Nothing is known of the user yet; what was counted is taken back. */
void mass_forget(struct mass_job *j, struct mass_result *result);

/* One more session, which began then. */
void mass_count_session(struct mass_job *j, struct mass_result *result, int64_t began);

/* Has bulk_ids hold n different ones of ids. Returns 0 or a fault. */
int mass_hold(struct store_txn *t, struct mass_job *j, const struct uuid *ids, size_t n);

/*
 * Counts, of n users, in bulk_ids then, who are known, and the sessions that began up to a time;
 * but none that an epoch has ended, other than one of exactly own. Returns 0 or a fault.
 */
int mass_count(struct store_txn *t, struct mass_job *j, const struct uuid *ids, size_t n,
               int64_t until, int64_t own);

/* Tells the n of j->users. Returns 0 or a fault. */
int mass_tell(struct store_txn *t, struct mass_job *j, size_t n);

/*
 * Behind the lock of the trail: puts right what was counted and told of users that others acted on
 * meanwhile, one by one. Returns 0 or a fault.
 */
int mass_settle(struct store_txn *t, struct mass_job *j);

/* Behind the lock of the trail: ends, counts and tells what began after until. Returns 0 or a
 * fault. */
int mass_end_late(struct store_txn *t, struct mass_job *j);

#endif
