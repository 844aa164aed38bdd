/*
 * Failed sign-ins of existing accounts, counted in memory and written in batches, so that the
 * sign-in path itself writes nothing when it fails: known and unknown accounts cost the same.
 * Rooms: identity and below. Ownership: failures_free. Threads: any, except that one thread at a
 * time flushes; the functions on a transaction run inside a job.
 *
 * An attempt is admitted before its password is verified and settled after it, and what is not yet
 * settled counts as failed: however many guesses run in parallel, no more than the limit's worth
 * of consecutive ones is verified on this node before the account is locked. Other nodes' counts
 * are seen as of their last flush. A crash loses what was not flushed.
 *
 * In order: user_find_by_email -> failures_admit -> verify (or the dummy, where refused) ->
 * failures_settle exactly once for each admission. On success the transaction that begins the
 * session also calls user_clear_failures.
 */
#ifndef HOLDFAST_FAILURES_H
#define HOLDFAST_FAILURES_H

#include "base/uuid.h"
#include "identity/user.h"
#include "store/store.h"

/* Accounts with failures between two flushes; past it attempts are refused as if locked. */
enum { FAILURES_ACCOUNTS = 65536 };

/*
 * How long failures lock an account: long enough to bound guessing, and no longer, because whoever
 * knows an address can bring the lock about.
 */
enum { FAILURES_LOCK_MS = 15 * 60 * 1000 };

enum failures_outcome { FAILURES_LOCKED = 1 };

enum failures_result {
    FAILURES_SUCCESS,  /* everything right: the consecutive count begins anew */
    FAILURES_FAILURE,  /* wrong password or code */
    FAILURES_ABANDONED /* nothing was learnt: a fault, or a code is still missing */
};

struct failures;

/* limit: consecutive failures that lock (LOGIN_LOCK_AFTER; 0: never). Returns 0 or FAULT_MEMORY. */
int failures_new(int64_t limit, struct failures **ret);
void failures_free(struct failures *f);

/* A reloaded configuration's limit. */
void failures_set_limit(struct failures *f, int64_t limit);

/*
 * Whether the user's password may be verified now. Returns 0 (to be settled), FAILURES_LOCKED where
 * the user is locked or would be once what is in memory is written, or FAULT_MEMORY.
 */
int failures_admit(struct failures *f, const struct user *user);

/* The end of an admitted attempt. */
void failures_settle(struct failures *f, const struct uuid *user_id, enum failures_result result);

/* Forgets the consecutive failures held in memory: for users who were unlocked. */
void failures_forget(struct failures *f, const struct uuid *user_id);

/*
 * Forgets what the store was known to hold of them, for users whom the feed says have changed. What
 * is not yet written stays: changing an account in another way gives nobody more guesses.
 */
void failures_reread(struct failures *f, const struct uuid *user_id);

/* One user's part of a flush. */
struct failures_note {
    struct uuid user_id, tenant_id;
    int64_t count; /* failures since the flush before */
    bool locked;   /* this flush locked the account */
};

/*
 * Called inside the flush's transaction, so that the lock's feed entry, trail record and notice are
 * written with it; may run more than once. A fault rolls all back.
 */
typedef int failures_told(struct store_txn *t, const struct failures_note *notes, size_t n,
                          void *arg);

/*
 * Writes what was counted since the last flush: login_failures of now's hour, users.failed_logins,
 * users.locked_at. told may be NULL; it is not called where there is nothing. On a fault
 * (forwarded) the counts are kept for the next flush; where a lost connection hid that the commit
 * took effect, they count twice. Returns 0 or a fault.
 */
int failures_flush(struct failures *f, struct store *s, int64_t now, failures_told *told,
                   void *arg);

/* A lock that has passed. */
struct failures_lifted {
    struct uuid user_id, tenant_id;
};

/*
 * Lifts at most max locks that have passed, or that a clock which was put back since has set too
 * far off, and begins their counts anew: in the store only, failures_forget is for afterwards. What
 * hangs on it (feed, trail, notice) is the caller's. ret has room for max. Returns 0 or a fault.
 */
int failures_lift(struct store_txn *t, int64_t now, size_t max, struct failures_lifted *ret,
                  size_t *ret_n);

/* Whether there is anything to lift, without a write. Returns 0 or a fault. */
int failures_liftable(struct store_txn *t, int64_t now, bool *ret_any);

/* How many accounts are held in memory: for /metrics. */
size_t failures_held(struct failures *f);

/* Flushed failures of the user in the last 24 hours, by whole hours. Returns 0 or a fault. */
int failures_24h(struct store_txn *t, const struct uuid *user_id, int64_t now, int64_t *ret_count);

/* Removes at most max rows older than 48 hours. ret_removed may be NULL. Returns 0 or a fault. */
int failures_reap(struct store_txn *t, int64_t now, int64_t max, int64_t *ret_removed);

#endif
