#include "cli/housekeeping.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "identity/notification.h"
#include "mail/erasure.h"
#include "mail/outbox.h"
#include "mail/retention.h"
#include "mail/sns_seen.h"
#include "sessions/lockout.h"
#include "sessions/login.h"
#include "sessions/overview.h"
#include "trail/checkpoint.h"

#include <pthread.h>

enum { REAP_ROWS = 2000, REAP_USERS = 500, REAP_MAIL = 500, REAP_MAIL_MS = 250, REAP_SEEN = 50000 };

/* How long an ended session can still be looked at. */
static const int64_t keep_families_ms = 30 * (int64_t)CLOCK_DAY;

struct housekeeping {
    struct sessions *sessions;
    struct dispatch *dispatch;
    struct mail *mail;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct uuid cursor, epochs_cursor; /* where the reaping of notices and of epochs is */
    int64_t mail_reaped_at;            /* when nothing of mail was left to be removed; clock_mono */
    struct erasure erasure;
    struct feed_reaper feed;
};

static int flush_failures(struct housekeeping *h)
{
    return login_flush_failures(h->sessions, clock_now());
}

static int flush_refusals(struct housekeeping *h)
{
    pthread_mutex_lock(&h->lock);
    bool last = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return dispatch_flush(h->dispatch, last);
}

static int lift_locks(struct housekeeping *h)
{
    return lockout_lift(h->sessions, clock_now());
}

static int write_checkpoint(struct housekeeping *h)
{
    int r = trail_checkpoint_write(h->sessions->trail);

    /* That the store was put back is in the log already. */
    return r > 0 ? 0 : r;
}

static int reap_feed(struct housekeeping *h)
{
    int64_t now = clock_now(), deleted;
    struct feed_reaping what = {now, clock_mono(), session_access_horizon(now) - now, REAP_ROWS};

    return feed_reap(h->sessions->store, &h->feed, &what, &deleted);
}

static int reap_families(struct housekeeping *h)
{
    int64_t deleted;

    return overview_reap(h->sessions->store, clock_now(), keep_families_ms, REAP_ROWS, &deleted);
}

static int reap_failures_job(struct store_txn *t, void *arg)
{
    return failures_reap(t, clock_now(), REAP_ROWS, NULL);
}

static int reap_failures(struct housekeeping *h)
{
    return store_write(h->sessions->store, reap_failures_job, h);
}

static int reap_notices_job(struct store_txn *t, void *arg)
{
    struct housekeeping *h = arg;
    struct uuid cursor = h->cursor;
    int r = notification_reap(t, NOTIFICATION_KEEP, REAP_USERS, &cursor, NULL);

    if (r == 0)
        h->cursor = cursor;
    return r;
}

static int reap_notices(struct housekeeping *h)
{
    return store_write(h->sessions->store, reap_notices_job, h);
}

static int reap_epochs_job(struct store_txn *t, void *arg)
{
    struct housekeeping *h = arg;
    struct uuid cursor = h->epochs_cursor;
    int r = user_reap_epochs(t, clock_now() - keep_families_ms, REAP_ROWS, &cursor, NULL);

    if (r == 0)
        h->epochs_cursor = cursor;
    return r;
}

static int reap_epochs(struct housekeeping *h)
{
    return store_write(h->sessions->store, reap_epochs_job, h);
}

/* A share of each few seconds while there is much, so that the other chores have theirs. */
static int reap_mail(struct housekeeping *h)
{
    struct retention_limits limits = {.log_ms = config_current()->email_retention_days * CLOCK_DAY,
                                      .batch = REAP_MAIL,
                                      .budget_ms = REAP_MAIL_MS};
    bool done = false;

    if (h->mail_reaped_at && clock_mono() - h->mail_reaped_at < CLOCK_MINUTE)
        return 0;
    int r = retention_run(h->mail->store, &limits, clock_now(), &done);
    h->mail_reaped_at = r == 0 && done ? clock_mono() : 0;
    return r;
}

static int erase_persons(struct housekeeping *h)
{
    return erasure_run(&h->erasure, h->mail->store, h->mail->trail,
                       config_current()->email_retention_days * CLOCK_DAY, clock_now());
}

static int watch_mail(struct housekeeping *h)
{
    if (!config_current()->email_monitoring)
        return 0;
    return mail_watch_check(&h->mail->watch, h->mail->store, h->mail->trail, clock_now());
}

struct reaping {
    int64_t now, removed;
};

static int reap_requests_job(struct store_txn *t, void *arg)
{
    struct reaping *r = arg;

    return outbox_reap(t, r->now, REAP_ROWS, &r->removed);
}

static int reap_requests(struct housekeeping *h)
{
    struct reaping r = {.now = clock_now()};

    return store_write(h->sessions->store, reap_requests_job, &r);
}

static int reap_seen(struct housekeeping *h)
{
    return sns_seen_reap(h->sessions->store, clock_now(), REAP_SEEN, NULL);
}

struct chore {
    const char *failing; /* what the log says when it fails */
    int64_t every_ms;
    int (*run)(struct housekeeping *h);
    bool at_end; /* once more when the server stops */
};

static const struct chore chores[] = {
    {"failed sign-ins cannot be written", CLOCK_SECOND, flush_failures, true},
    {"refused requests cannot be recorded", CLOCK_SECOND, flush_refusals, true},
    {"locks that have passed cannot be lifted", 5 * CLOCK_SECOND, lift_locks, false},
    {"the trail cannot be checkpointed", CLOCK_MINUTE, write_checkpoint, true},
    {"the revocation feed cannot be reaped", CLOCK_MINUTE, reap_feed, false},
    {"old sessions cannot be reaped", CLOCK_MINUTE, reap_families, false},
    {"old sign-in failures cannot be reaped", CLOCK_MINUTE, reap_failures, false},
    {"old notices cannot be reaped", CLOCK_MINUTE, reap_notices, false},
    {"old ends of sessions cannot be reaped", CLOCK_MINUTE, reap_epochs, false},
    {"old mail cannot be reaped", 2 * CLOCK_SECOND, reap_mail, false},
    {"persons cannot be erased from mail", 2 * CLOCK_SECOND, erase_persons, false},
    {"the health of mail cannot be checked", CLOCK_HOUR, watch_mail, false},
    {"old idempotency keys cannot be reaped", CLOCK_MINUTE, reap_requests, false},
    {"messages of SNS cannot be forgotten", 10 * CLOCK_SECOND, reap_seen, false},
};
enum { CHORES = sizeof chores / sizeof *chores };

/* A failing chore is logged when it begins to fail and when it works again. */
static void run_chore(struct housekeeping *h, size_t i, bool failing[CHORES])
{
    int r = chores[i].run(h);

    if (r < 0 && !failing[i])
        log_fault(chores[i].failing, r);
    if (r == 0 && failing[i])
        log_info("works again: %s", chores[i].failing);
    failing[i] = r < 0;
}

static bool wait_a_second(struct housekeeping *h)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&h->lock);
    if (!h->stopping)
        pthread_cond_timedwait(&h->wake, &h->lock, &until);
    bool stopping = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return !stopping;
}

static void *keep_house(void *arg)
{
    struct housekeeping *h = arg;
    int64_t next[CHORES] = {0};
    bool failing[CHORES] = {false};

    while (wait_a_second(h)) {
        for (size_t i = 0; i < CHORES; i++) {
            if (clock_mono() < next[i])
                continue;
            run_chore(h, i, failing);
            next[i] = clock_mono() + chores[i].every_ms;
        }
    }
    for (size_t i = 0; i < CHORES; i++)
        if (chores[i].at_end)
            run_chore(h, i, failing);
    return NULL;
}

int housekeeping_start(struct sessions *s, struct dispatch *d, struct mail *m,
                       struct housekeeping **ret)
{
    struct housekeeping *h = calloc(1, sizeof *h);

    if (!h)
        return fault_set(FAULT_MEMORY, "no memory for housekeeping");
    h->sessions = s;
    h->dispatch = d;
    h->mail = m;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, NULL);
    int error = pthread_create(&h->thread, NULL, keep_house, h);
    if (error) {
        free(h);
        return fault_errno(FAULT_INTERNAL, error, "cannot start housekeeping");
    }
    *ret = h;
    return 0;
}

void housekeeping_stop(struct housekeeping *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    free(h);
}
