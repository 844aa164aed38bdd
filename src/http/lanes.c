#include "http/lanes.h"

#include "base/clock.h"
#include "base/fault.h"

#include <signal.h>

int http_thread_start(void *(*run)(void *arg), void *arg, pthread_t *ret)
{
    pthread_attr_t attr;
    sigset_t all, old;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(ret, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r ? fault_errno(FAULT_IO, r, "cannot start a thread") : 0;
}

/* The next exchange, or NULL when the lane stops. */
static struct exchange *take(struct lane *lane)
{
    while (!lane->first && !lane->stopping)
        pthread_cond_wait(&lane->wanted, &lane->lock);
    struct exchange *x = lane->stopping ? NULL : lane->first;
    if (x) {
        lane->first = x->next;
        if (!lane->first)
            lane->last = &lane->first;
        lane->queued--;
        lane->busy++;
    }
    return x;
}

static void *work(void *arg)
{
    struct lane *lane = arg;
    struct exchange *x;

    pthread_mutex_lock(&lane->lock);
    while ((x = take(lane))) {
        pthread_mutex_unlock(&lane->lock);
        lane->run(x); /* x is the loop's again behind this */
        pthread_mutex_lock(&lane->lock);
        lane->busy--;
    }
    lane->alive--;
    pthread_cond_signal(&lane->ended);
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

int lane_start(struct lane *lane, int threads, size_t queue_max, void (*run)(struct exchange *x))
{
    pthread_condattr_t monotonic;

    *lane = (struct lane){.queue_max = queue_max, .run = run};
    lane->last = &lane->first;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->wanted, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    lane->ids = calloc((size_t)threads, sizeof *lane->ids);
    if (!lane->ids)
        return fault_set(FAULT_MEMORY, "no memory for %d threads", threads);
    for (int r = 0; lane->threads < threads; lane->threads++) {
        pthread_mutex_lock(&lane->lock);
        r = http_thread_start(work, lane, &lane->ids[lane->threads]);
        lane->alive += r == 0;
        pthread_mutex_unlock(&lane->lock);
        if (r)
            return r;
    }
    return 0;
}

int lane_submit(struct lane *lane, struct exchange *x)
{
    pthread_mutex_lock(&lane->lock);
    bool full = lane->queued >= lane->queue_max;
    if (full) {
        lane->refused++;
    } else {
        x->next = NULL;
        *lane->last = x;
        lane->last = &x->next;
        lane->queued++;
    }
    pthread_mutex_unlock(&lane->lock);
    if (!full)
        pthread_cond_signal(&lane->wanted);
    return full;
}

int lane_stop(struct lane *lane, int64_t deadline, void (*drop)(struct exchange *x))
{
    struct timespec until = {.tv_sec = deadline / CLOCK_SECOND,
                             .tv_nsec = deadline % CLOCK_SECOND * 1000000};
    int r = 0;

    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    struct exchange *x = lane->first;
    lane->first = NULL;
    lane->last = &lane->first;
    lane->queued = 0;
    pthread_mutex_unlock(&lane->lock);
    pthread_cond_broadcast(&lane->wanted);
    for (struct exchange *next; x; x = next) {
        next = x->next;
        drop(x);
    }
    pthread_mutex_lock(&lane->lock);
    while (lane->alive > 0 && r == 0)
        r = pthread_cond_timedwait(&lane->ended, &lane->lock, &until);
    bool stuck = lane->alive > 0;
    pthread_mutex_unlock(&lane->lock);
    if (stuck)
        return 1;
    for (int i = 0; i < lane->threads; i++)
        pthread_join(lane->ids[i], NULL);
    free(lane->ids);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->wanted);
    pthread_cond_destroy(&lane->ended);
    return 0;
}
