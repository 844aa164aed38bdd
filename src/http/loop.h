/*
 * An event loop: one thread, one epoll set, one listening socket, and the connections it accepted.
 * Rooms: http (the engine's files). Ownership: the engine owns its loops, a loop its connections.
 * Threads: the loop's own, but for loop_post and loop_wake: any.
 */
#ifndef HOLDFAST_HTTP_LOOP_H
#define HOLDFAST_HTTP_LOOP_H

#include "http/exchange.h"
#include "http/lanes.h"
#include "http/peers.h"
#include "http/timers.h"
#include "http/wire.h"

/* Bytes taken from a socket in one call. */
enum { READ_SIZE = 32 * 1024 };

struct loop {
    struct http_engine *engine;
    pthread_t thread;
    int epoll, listener, wake;
    int64_t now, now_us, wall; /* read once a batch: ms and us of clock_mono, ms of clock_now */
    struct timers timers;      /* every connection is in one class */
    struct wire_date date;
    char *in;       /* what was just received; a connection keeps only what it could not use */
    struct buf out; /* replies of the connection that is being served, sent together */

    struct exchange *spare; /* for reuse */
    int spares;
    struct conn *dead;  /* closed in this batch; freed behind it, when no event can name them */
    struct conn *again; /* with more to do than one turn allows */
    size_t open, on_lanes;
    bool draining;
    int64_t accept_at; /* accepting is paused until then; 0 where it is not */
    int64_t warn_at;   /* when such a pause may be logged again */
    size_t cut_off;

    pthread_mutex_t post_lock;
    struct exchange *posts, **posts_last;

    uint8_t random[1024]; /* for ids, so that not each one costs a system call */
    size_t random_left;
    struct metric_counter requests, accepted, refused, timeouts, parse_errors;
};

struct http_engine {
    struct http_options options;
    struct http_app app;
    int port, loop_count, loops_running;
    struct loop *loops;
    struct lane lanes[LANES]; /* LANE_EVENT's stays empty */
    struct peers *peers;
    _Atomic size_t connections;
    atomic_bool stopping;
    int64_t drain_deadline; /* set before stopping */

    pthread_mutex_t later_lock;
    pthread_cond_t later_done; /* there is none any more */
    size_t later;              /* requests that somebody else finishes */
};

/* Somebody else is to finish a request, or has done so. */
void engine_later(struct http_engine *e, bool done);

/* Opens the descriptors; listener is owned from here on. Returns 0 or a fault. */
int loop_init(struct loop *loop, struct http_engine *engine, int listener);
void loop_release(struct loop *loop);

/* The thread. */
void *loop_run(void *loop);
void loop_wake(struct loop *loop);

/* Tells the loop of POST_ bits for x. */
void loop_post(struct exchange *x, unsigned bits);

/* A spare or new exchange (NULL without memory), and its return. */
struct exchange *loop_take_exchange(struct loop *loop);
void loop_give_exchange(struct loop *loop, struct exchange *x);

struct uuid loop_new_id(struct loop *loop);

#endif
