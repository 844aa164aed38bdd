#include "sessions/feed.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BATCH = 5000, WAIT_MS = 500, RETRY_MS = 200, REAP_EVERY_MS = 5000 };

/* Also taken by the trail: see the header. */
static int append(struct store_txn *t, struct str kind, const struct uuid *subject, int64_t now,
                  int64_t expires_at)
{
    int r = store_lock(t, STORE_LOCK_TRAIL);

    if (r == 0)
        r = store_exec(
            t,
            "INSERT INTO feed (at, kind, subject_id, expires_at) "
            "VALUES ($1, $2, $3, $4)",
            NULL,
            PARAMS(P_INT(now), P_TEXT(kind), subject ? P_ID(subject) : P_NULL, P_INT(expires_at)));
    return r ? r : store_wake(t);
}

int feed_family(struct store_txn *t, const struct uuid *family_id, int64_t now, int64_t expires_at)
{
    return append(t, STR("family"), family_id, now, expires_at);
}

int feed_user(struct store_txn *t, const struct uuid *user_id, int64_t now, int64_t expires_at)
{
    return append(t, STR("user"), user_id, now, expires_at);
}

int feed_all(struct store_txn *t, int64_t now, int64_t expires_at)
{
    return append(t, STR("all"), NULL, now, expires_at);
}

int feed_families_of(struct store_txn *t, const struct uuid *user_id, int64_t revoked_at,
                     int64_t expires_at)
{
    int r = store_lock(t, STORE_LOCK_TRAIL);

    if (r == 0)
        r = store_exec(t,
                       "INSERT INTO feed (at, kind, subject_id, expires_at) "
                       "SELECT revoked_at, 'family', id, $3 + "
                       "CASE WHEN issued_at > $2 THEN issued_at - $2 ELSE 0 END FROM families "
                       "WHERE user_id = $1 AND revoked_at = $2 "
                       "AND (issued_at > $4 OR (expires_at > $4 AND idle_expires_at > $4))",
                       NULL,
                       PARAMS(P_ID(user_id), P_INT(revoked_at), P_INT(expires_at),
                              P_INT(revoked_at - (expires_at - revoked_at))));
    return r ? r : store_wake(t);
}

int feed_users_bulk(struct store_txn *t, int64_t now, int64_t expires_at)
{
    int r = store_lock(t, STORE_LOCK_TRAIL);

    if (r == 0)
        r = store_exec(t,
                       "INSERT INTO feed (at, kind, subject_id, expires_at) "
                       "SELECT $1, 'user', id, $2 FROM bulk_ids ORDER BY id",
                       NULL, PARAMS(P_INT(now), P_INT(expires_at)));
    return r ? r : store_wake(t);
}

struct reap_work {
    const struct feed_reaper *reaper;
    const struct feed_reaping *what;
    int64_t newest, deleted;
    bool known; /* what the reaper has seen is still what is there */
};

static int delete_expired(struct store_txn *t, struct reap_work *w)
{
    const struct feed_mark *first = &w->reaper->first, *latest = &w->reaper->latest;

    /* The newest entry stays, whatever its age: numbers must never begin again. */
    return store_exec(t,
                      "DELETE FROM feed WHERE seq IN "
                      "(SELECT seq FROM feed WHERE expires_at <= $1 AND seq < $2 AND "
                      "((seq <= $3 AND expires_at - at <= $4) OR "
                      "(seq <= $5 AND expires_at - at <= $6)) ORDER BY expires_at LIMIT $7)",
                      &w->deleted,
                      PARAMS(P_INT(w->what->now), P_INT(w->newest), P_INT(first->seq),
                             P_INT(w->what->mono - first->at), P_INT(latest->seq),
                             P_INT(w->what->mono - latest->at), P_INT(w->what->limit)));
}

static int reap_job(struct store_txn *t, void *arg)
{
    struct reap_work *w = arg;
    int r = store_number(t, "SELECT coalesce(max(seq), 0) FROM feed", &w->newest, NO_PARAMS);

    w->deleted = 0;
    /* Numbers below what was seen mean that an older feed was put in place. */
    w->known = w->reaper->begun && w->newest >= w->reaper->latest.seq;
    return r == 0 && w->known ? delete_expired(t, w) : r;
}

int feed_reap(struct store *s, struct feed_reaper *reaper, const struct feed_reaping *what,
              int64_t *ret_deleted)
{
    struct reap_work w = {.reaper = reaper, .what = what};
    int r = store_write(s, reap_job, &w);

    if (r != 0)
        return r;
    struct feed_mark mark = {w.newest, what->mono};
    if (!w.known)
        *reaper = (struct feed_reaper){true, mark, mark};
    else if (w.deleted < what->limit && mark.at - reaper->latest.at > what->life)
        reaper->latest = mark;
    *ret_deleted = w.deleted;
    return 0;
}

struct feed_follower {
    struct store *store;
    struct gate *gate;
    struct feed_listener listener;
    struct store_watch *watch;
    pthread_t thread;
    atomic_bool stopping, failing;
    _Atomic int64_t read_at; /* monotonic ms */
    int64_t last;            /* the highest number applied */
};

static int apply(struct feed_follower *f, struct store_rows *rows)
{
    struct str kind = store_col_text(rows, 1);
    struct uuid id = store_col_id(rows, 2);

    if (str_eq(kind, STR("family"))) {
        /* As long as it lives from now on, too: today's clock may be ahead, and be put back. */
        int64_t expires_at = store_col_int(rows, 3);
        int64_t until = clock_now() + expires_at - store_col_int(rows, 4);
        int r = gate_end_family(f->gate, &id, until > expires_at ? until : expires_at);
        if (r == 0 && f->listener.family_ended)
            f->listener.family_ended(f->listener.context, &id);
        return r;
    }
    /* Anything unknown comes from a newer node: looking at all again is right for all of them. */
    bool one = str_eq(kind, STR("user"));
    if (one)
        gate_account_forget(f->gate, &id);
    else
        gate_forget_all(f->gate);
    if (f->listener.user_changed)
        f->listener.user_changed(f->listener.context, one ? &id : NULL);
    return 0;
}

struct reading {
    struct feed_follower *follower;
    int64_t after, count;
    bool restored;
};

/*
 * The newest entry is never reaped, so numbers below what was read mean that an older feed was put
 * in place: what is added to it now has numbers that would not be looked at again.
 */
static int check_newest(struct store_txn *t, struct reading *reading)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, "SELECT coalesce(max(seq), 0) FROM feed", &rows, NO_PARAMS);

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    reading->restored = store_col_int(rows, 0) < reading->follower->last;
    return 0;
}

static int read_job(struct store_txn *t, void *arg)
{
    struct reading *reading = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t,
                        "SELECT seq, kind, subject_id, expires_at, at FROM feed "
                        "WHERE seq > $1 ORDER BY seq LIMIT $2",
                        &rows, PARAMS(P_INT(reading->follower->last), P_INT(BATCH)));

    reading->after = reading->follower->last;
    reading->count = 0;
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        reading->count++;
        reading->after = store_col_int(rows, 0);
        r = apply(reading->follower, rows);
    }
    reading->restored = false;
    return r == 0 && reading->count == 0 ? check_newest(t, reading) : r;
}

/* Reads what is new to the end, in batches. */
static int read_on(struct feed_follower *f)
{
    struct reading reading = {.follower = f};
    int r;

    do {
        r = store_read(f->store, read_job, &reading);
        if (r == 0)
            f->last = reading.restored ? 0 : reading.after;
        if (r == 0 && reading.restored) {
            log_warn("the revocation feed was put back; it is read anew");
            gate_forget_all(f->gate);
        }
    } while (r == 0 && (reading.restored || reading.count == BATCH));
    if (r == 0)
        atomic_store(&f->read_at, clock_mono());
    return r;
}

static void wait_a_little(void)
{
    struct timespec t = {0, RETRY_MS * 1000000L};

    nanosleep(&t, NULL);
}

static void *follow(void *arg)
{
    struct feed_follower *f = arg;
    int64_t reaped_at = clock_mono();

    while (!atomic_load(&f->stopping)) {
        int r = store_watch_wait(f->watch, WAIT_MS);
        if (r == 0)
            r = read_on(f);
        bool failed = atomic_exchange(&f->failing, r < 0);
        if (r < 0 && !failed)
            log_fault("the revocation feed cannot be read", r);
        if (r == 0 && failed)
            log_info("the revocation feed is read again");
        if (r < 0 && !atomic_load(&f->stopping))
            wait_a_little();
        if (clock_mono() - reaped_at >= REAP_EVERY_MS) {
            gate_reap(f->gate, clock_now());
            reaped_at = clock_mono();
        }
    }
    return NULL;
}

int feed_follow(struct store *s, struct gate *g, const struct feed_listener *listener,
                struct feed_follower **ret)
{
    struct feed_follower *f = calloc(1, sizeof *f);

    if (!f)
        return fault_set(FAULT_MEMORY, "no memory for the feed's follower");
    *f = (struct feed_follower){.store = s, .gate = g};
    if (listener)
        f->listener = *listener;
    /* The watch opens before the first read, so that no commit falls between them. */
    int r = store_watch_open(s, &f->watch);
    if (r == 0)
        r = read_on(f);
    if (r == 0) {
        int error = pthread_create(&f->thread, NULL, follow, f);
        if (error)
            r = fault_errno(FAULT_INTERNAL, error, "cannot start the feed's follower");
    }
    if (r) {
        store_watch_close(f->watch);
        free(f);
        return r;
    }
    *ret = f;
    return 0;
}

void feed_follower_stop(struct feed_follower *f)
{
    if (!f)
        return;
    atomic_store(&f->stopping, true);
    store_watch_stop(f->watch);
    pthread_join(f->thread, NULL);
    store_watch_close(f->watch);
    free(f);
}

int64_t feed_follower_lag(const struct feed_follower *f)
{
    return clock_mono() - atomic_load(&f->read_at);
}

bool feed_follower_failing(const struct feed_follower *f)
{
    return atomic_load(&f->failing);
}
