#include "mail/notice_mail.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

enum { TICK_MS = CLOCK_SECOND };

struct notice_mail {
    struct mail *m;
    struct outbox *outbox;
    struct notice_mail_memory memory;
    bool failing;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ending;
    bool stopping;
};

static bool is_stopping(struct notice_mail *n)
{
    pthread_mutex_lock(&n->lock);
    bool stopping = n->stopping;
    pthread_mutex_unlock(&n->lock);
    return stopping;
}

/* Returns whether to go on. */
static bool wait_a_tick(struct notice_mail *n)
{
    int64_t until = clock_mono() + TICK_MS;
    struct timespec t = {until / 1000, until % 1000 * 1000000};

    pthread_mutex_lock(&n->lock);
    while (!n->stopping && pthread_cond_timedwait(&n->ending, &n->lock, &t) != ETIMEDOUT)
        ;
    bool stopping = n->stopping;
    pthread_mutex_unlock(&n->lock);
    return !stopping;
}

/* A store that fails is told of when it begins to, and when it works again. */
static void tell(struct notice_mail *n, int r)
{
    if (r && !n->failing)
        log_fault("notices cannot be mailed", r);
    if (r == 0 && n->failing)
        log_info("works again: notices are mailed");
    n->failing = r != 0;
}

/* As long as a lane has more that may go out now. Returns 0 or a fault. */
static int work(struct notice_mail *n, enum notice_mail_lane lane)
{
    struct notice_mail_result result = {.more = true};
    int64_t rate = config_current()->notices_per_minute;
    int r = 0;

    while (r == 0 && rate > 0 && result.more && !is_stopping(n)) {
        r = notice_mail_turn(n->m, lane, &n->memory, rate, clock_now(), clock_mono(), &result);
        if (r == 0 && result.accepted)
            outbox_wake(n->outbox);
    }
    return r;
}

static void *keep_going(void *arg)
{
    struct notice_mail *n = arg;

    do {
        int r = work(n, NOTICE_MAIL_URGENT);
        if (r == 0)
            r = work(n, NOTICE_MAIL_BULK);
        tell(n, r);
    } while (wait_a_tick(n));
    return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct notice_mail *n)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&n->thread, NULL, keep_going, n);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? fault_errno(FAULT_INTERNAL, error, "no thread for notices") : 0;
}

static void notice_mail_free(struct notice_mail *n)
{
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->ending);
    free(n);
}

int notice_mail_start(struct mail *m, struct outbox *outbox, struct notice_mail **ret)
{
    struct notice_mail *n = calloc(1, sizeof *n);
    pthread_condattr_t monotonic;

    if (!n)
        return fault_set(FAULT_MEMORY, "no memory for notices");
    n->m = m;
    n->outbox = outbox;
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->ending, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int r = start_thread(n);
    if (r) {
        notice_mail_free(n);
        return r;
    }
    *ret = n;
    return 0;
}

void notice_mail_stop(struct notice_mail *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_signal(&n->ending);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    notice_mail_free(n);
}
