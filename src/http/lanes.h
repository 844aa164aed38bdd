/*
 * Lanes: pools of worker threads with bounded queues.
 * Rooms: http (the engine's files). Ownership: a queued exchange stays its loop's.
 * Threads: any may submit; the run function is called on the lane's threads.
 */
#ifndef HOLDFAST_HTTP_LANES_H
#define HOLDFAST_HTTP_LANES_H

#include "http/exchange.h"

/* Enough for straight-line handlers; the sanitizers' instrumented frames need more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HTTP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HTTP_SANITIZED 1
#endif
#endif
#ifdef HTTP_SANITIZED
enum { THREAD_STACK = 4 * 1024 * 1024 };
#else
enum { THREAD_STACK = 256 * 1024 };
#endif

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t wanted, ended;
    struct exchange *first, **last;
    size_t queued, queue_max, busy;
    uint64_t refused;
    bool stopping;
    int threads, alive;
    pthread_t *ids;
    void (*run)(struct exchange *x);
};

/* Starts the threads. Returns 0, FAULT_MEMORY or FAULT_IO; call lane_stop in any case. */
int lane_start(struct lane *lane, int threads, size_t queue_max, void (*run)(struct exchange *x));

/* Queues x. Returns 0, or 1 where the queue is full. */
int lane_submit(struct lane *lane, struct exchange *x);

/*
 * Lets each thread finish what it runs and joins it; what is still queued is given back through
 * drop. Returns 0, or 1 where a thread was not back by the deadline (ms of clock_mono): the lane
 * must then stay in memory.
 */
int lane_stop(struct lane *lane, int64_t deadline, void (*drop)(struct exchange *x));

/* Starts a thread with the small stack and all signals blocked. Returns 0 or FAULT_IO. */
int http_thread_start(void *(*run)(void *arg), void *arg, pthread_t *ret);

#endif
