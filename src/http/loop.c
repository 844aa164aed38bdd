#include "http/loop.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "http/conn.h"
#include "http/listen.h"

#include <errno.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    ACCEPT_PAUSE_MS = 100,
    WARN_MS = 10 * CLOCK_SECOND,
    DRAIN_ACCEPTS = 4096, /* as many as the backlog holds */
    LINGER_MS = 2000,
    ID_RANDOM = 10
};

/* Under a sanitizer nothing is reused, so that it sees what outlives its request. */
#ifdef HTTP_SANITIZED
enum { SPARES_MAX = 0 };
#else
enum { SPARES_MAX = 32 };
#endif

static int watch(struct loop *loop, int op, int fd, uint32_t events, void *marker)
{
    struct epoll_event event = {.events = events, .data.ptr = marker};

    return epoll_ctl(loop->epoll, op, fd, &event)
               ? fault_errno(FAULT_IO, errno, "cannot watch a socket")
               : 0;
}

int loop_init(struct loop *loop, struct http_engine *engine, int listener)
{
    const struct http_options *o = &engine->options;

    *loop = (struct loop){.engine = engine, .listener = listener};
    loop->timers.durations[TIMER_IDLE] = o->idle_timeout_ms;
    loop->timers.durations[TIMER_HEAD] = o->head_timeout_ms;
    loop->timers.durations[TIMER_BODY] = o->body_timeout_ms;
    loop->timers.durations[TIMER_WRITE] = o->write_timeout_ms;
    loop->timers.durations[TIMER_LINGER] = LINGER_MS;
    timers_init(&loop->timers);
    loop->posts_last = &loop->posts;
    loop->out = buf_secret(SIZE_MAX / 4);
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->in = malloc(READ_SIZE);
    if (!loop->in)
        return fault_set(FAULT_MEMORY, "no memory for a loop");
    if (loop->epoll < 0 || loop->wake < 0)
        return fault_errno(FAULT_IO, errno, "cannot make an event loop");
    int r = watch(loop, EPOLL_CTL_ADD, listener, EPOLLIN, &loop->listener);
    return r ? r : watch(loop, EPOLL_CTL_ADD, loop->wake, EPOLLIN | EPOLLET, &loop->wake);
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void loop_release(struct loop *loop)
{
    for (struct exchange *x = loop->posts, *next; x; x = next) {
        next = x->post_next;
        exchange_free(x);
    }
    for (struct exchange *x = loop->spare, *next; x; x = next) {
        next = x->next;
        exchange_free(x);
    }
    close_if_open(&loop->listener);
    close_if_open(&loop->epoll);
    close_if_open(&loop->wake);
    buf_free(&loop->out);
    free(loop->in);
    pthread_mutex_destroy(&loop->post_lock);
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    /* Watched by edges: each write is an event, and nobody needs to read it. */
    while (write(loop->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void loop_post(struct exchange *x, unsigned bits)
{
    struct loop *loop = x->loop;
    bool was_empty;

    pthread_mutex_lock(&loop->post_lock);
    was_empty = !loop->posts;
    if (x->posted == 0) {
        x->post_next = NULL;
        *loop->posts_last = x;
        loop->posts_last = &x->post_next;
    }
    x->posted |= bits;
    /* Under the lock, so that the loop is not released before the write is over. */
    if (was_empty)
        loop_wake(loop);
    pthread_mutex_unlock(&loop->post_lock);
}

/* The oldest post, or NULL. */
static struct exchange *take_post(struct loop *loop, unsigned *ret_bits)
{
    pthread_mutex_lock(&loop->post_lock);
    struct exchange *x = loop->posts;
    if (x) {
        loop->posts = x->post_next;
        if (!loop->posts)
            loop->posts_last = &loop->posts;
        *ret_bits = x->posted;
        x->posted = 0;
    }
    pthread_mutex_unlock(&loop->post_lock);
    return x;
}

struct exchange *loop_take_exchange(struct loop *loop)
{
    struct exchange *x = loop->spare;

    if (x) {
        loop->spare = x->next;
        loop->spares--;
        return x;
    }
    int r = exchange_new(loop, &loop->engine->options, &x);
    if (r) {
        log_fault("taking a request", r);
        return NULL;
    }
    exchange_reset(x);
    return x;
}

void loop_give_exchange(struct loop *loop, struct exchange *x)
{
    if (loop->spares >= SPARES_MAX) {
        exchange_free(x);
        return;
    }
    exchange_reset(x);
    x->next = loop->spare;
    loop->spare = x;
    loop->spares++;
}

struct uuid loop_new_id(struct loop *loop)
{
    if (loop->random_left < ID_RANDOM) {
        randombytes_buf(loop->random, sizeof loop->random);
        loop->random_left = sizeof loop->random;
    }
    loop->random_left -= ID_RANDOM;
    return uuid_of(loop->wall, loop->random + loop->random_left);
}

static void read_clocks(struct loop *loop)
{
    loop->now_us = clock_mono_us();
    loop->now = loop->now_us / 1000;
    loop->wall = clock_now();
    wire_date_set(&loop->date, loop->wall);
}

/* Out of descriptors: pending clients wait in the kernel; looking again at once would spin. */
static void pause_accept(struct loop *loop, int error)
{
    if (loop->now >= loop->warn_at) {
        log_warn("cannot accept connections: %s", strerrorname_np(error));
        loop->warn_at = loop->now + WARN_MS;
    }
    loop->accept_at = loop->now + ACCEPT_PAUSE_MS;
    watch(loop, EPOLL_CTL_MOD, loop->listener, 0, &loop->listener);
}

static void resume_accept(struct loop *loop)
{
    if (loop->accept_at == 0 || loop->accept_at > loop->now || loop->listener < 0)
        return;
    loop->accept_at = 0;
    watch(loop, EPOLL_CTL_MOD, loop->listener, EPOLLIN, &loop->listener);
}

static void accept_some(struct loop *loop, int most)
{
    for (int i = 0; i < most; i++) {
        struct accepted a;
        int r = listen_accept(loop, &a);
        if (r == LISTEN_NONE)
            return;
        if (r == LISTEN_EXHAUSTED) {
            pause_accept(loop, a.error);
            return;
        }
        if (r == LISTEN_TAKEN)
            conn_open(loop, a.fd, &a.peer, a.counted);
    }
}

static void start_draining(struct loop *loop)
{
    struct timer *t, *next;

    accept_some(loop, DRAIN_ACCEPTS);
    close_if_open(&loop->listener);
    loop->draining = true;
    for (t = timers_first(&loop->timers, TIMER_IDLE); t; t = next) {
        struct conn *c = (struct conn *)t;
        next = timers_next(&loop->timers, t);
        c->readable = true; /* looks once whether a request has just come */
        conn_settle(c);
    }
}

static void run_posts(struct loop *loop)
{
    struct exchange *x;
    unsigned bits;

    while ((x = take_post(loop, &bits)))
        conn_post(x, bits);
}

static void run_again(struct loop *loop, struct conn *c)
{
    for (struct conn *next; c; c = next) {
        next = c->next_again;
        c->queued_again = false;
        conn_settle(c);
    }
}

static void expire(struct loop *loop)
{
    struct timer *t;

    while ((t = timers_expired(&loop->timers, loop->now)))
        conn_expire((struct conn *)t);
}

/* Frees what was closed, but for what the next turn's list still names. */
static void bury(struct loop *loop)
{
    struct conn *c = loop->dead;

    loop->dead = NULL;
    for (struct conn *next; c; c = next) {
        next = c->next_dead;
        if (c->queued_again) {
            c->next_dead = loop->dead;
            loop->dead = c;
        } else {
            conn_free(c);
        }
    }
}

/* How long epoll may wait: until the next deadline of any kind. */
static int wait_ms(struct loop *loop)
{
    int wait = timers_wait(&loop->timers, loop->now);
    int64_t until = INT64_MAX;

    if (loop->again)
        return 0;
    if (loop->accept_at)
        until = loop->accept_at;
    if (loop->draining && loop->engine->drain_deadline < until)
        until = loop->engine->drain_deadline;
    if (until == INT64_MAX)
        return wait;
    int64_t left = until > loop->now ? until - loop->now : 0;
    return wait >= 0 && wait < left ? wait : (int)left;
}

static void run_batch(struct loop *loop)
{
    struct epoll_event events[EVENTS];
    struct conn *again = loop->again;

    int n = epoll_wait(loop->epoll, events, EVENTS, wait_ms(loop));
    read_clocks(loop);
    loop->again = NULL;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &loop->listener)
            accept_some(loop, 64);
        else if (events[i].data.ptr == &loop->wake)
            run_posts(loop);
        else
            conn_event(events[i].data.ptr, events[i].events);
    }
    run_again(loop, again);
    expire(loop);
    resume_accept(loop);
    if (!loop->draining && atomic_load(&loop->engine->stopping))
        start_draining(loop);
    bury(loop);
}

/* Whether draining is over: all is answered, or the time is. */
static bool drained(struct loop *loop)
{
    if (!loop->draining)
        return false;
    return (loop->open == 0 && loop->on_lanes == 0) || loop->now >= loop->engine->drain_deadline;
}

static void cut_off(struct loop *loop)
{
    struct timer *t;

    for (int class = 0; class < TIMER_CLASSES; class ++) {
        while ((t = timers_first(&loop->timers, (enum timer_class) class))) {
            struct conn *c = (struct conn *)t;
            loop->cut_off += c->x != NULL || c->state == CONN_CLOSING;
            conn_close(c);
        }
    }
    run_again(loop, loop->again);
    bury(loop);
}

void *loop_run(void *arg)
{
    struct loop *loop = arg;

    read_clocks(loop);
    while (!drained(loop))
        run_batch(loop);
    cut_off(loop);
    return NULL;
}
