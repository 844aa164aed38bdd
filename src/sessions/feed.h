/*
 * The revocation feed: the ordered list of what was ended or changed, and the thread that follows
 * it into this node's gate.
 *
 * Appending takes the lock that the trail takes, until the transaction ends, so the order of the
 * numbers is the order of the commits: who has seen number n has seen all before it.
 *
 * Rooms: sessions and below. Threads: appending, in a job; the follower has a thread of its own.
 */
#ifndef HOLDFAST_SESSIONS_FEED_H
#define HOLDFAST_SESSIONS_FEED_H

#include "sessions/gate.h"
#include "store/store.h"

/* Appends inside a transaction; expires_at is when the entry may be forgotten. */
int feed_family(struct store_txn *t, const struct uuid *family_id, int64_t now, int64_t expires_at);
int feed_user(struct store_txn *t, const struct uuid *user_id, int64_t now, int64_t expires_at);
int feed_all(struct store_txn *t, int64_t now, int64_t expires_at);

/* An entry of each user in bulk_ids, in one statement. */
int feed_users_bulk(struct store_txn *t, int64_t now, int64_t expires_at);

/*
 * The families of a user that were ended at exactly this time, in one statement; expires_at is for
 * those whose tokens were issued before that, and later for others. One that was over for longer
 * than from then to expires_at, as its tokens are, is left out.
 */
int feed_families_of(struct store_txn *t, const struct uuid *user_id, int64_t revoked_at,
                     int64_t expires_at);

/*
 * Reaping. That an entry's time is over is believed when the clock says so and when this process
 * has seen as much time pass since it saw the entry, by the monotonic clock: a clock that leaps
 * ahead and is put back again makes no node forget what was ended, even one that starts afterwards.
 */
struct feed_mark {
    int64_t seq, at; /* the newest number there was; monotonic ms */
};

/* What one process has seen; zero at first. One thread uses it. */
struct feed_reaper {
    bool begun;
    struct feed_mark first, latest;
};

struct feed_reaping {
    int64_t now, mono; /* ms UTC; monotonic ms */
    int64_t life;      /* how long an entry lives today, in ms: latest is renewed as often */
    int64_t limit;     /* of rows */
};

/* Deletes at most limit expired entries; *ret_deleted says how many. Returns 0 or a fault. */
int feed_reap(struct store *s, struct feed_reaper *reaper, const struct feed_reaping *what,
              int64_t *ret_deleted);

struct feed_follower;

/*
 * What a follower tells besides filling the gate: sockets are closed by it. May be NULL members.
 */
struct feed_listener {
    void *context;
    void (*family_ended)(void *context, const struct uuid *family_id);
    void (*user_changed)(void *context, const struct uuid *user_id); /* NULL id: all */
};

/* Reads what is there and starts following. Returns 0 or a fault. */
int feed_follow(struct store *s, struct gate *g, const struct feed_listener *listener,
                struct feed_follower **ret);
void feed_follower_stop(struct feed_follower *f);

/* Milliseconds since the feed was last read to its end. */
int64_t feed_follower_lag(const struct feed_follower *f);

/* Whether the last attempt to read it failed. */
bool feed_follower_failing(const struct feed_follower *f);

#endif
