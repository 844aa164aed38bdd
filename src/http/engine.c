#include "http/engine.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "http/conn.h"
#include "http/listen.h"

#include <sodium.h>
#include <unistd.h>

enum { JOIN_MS = 1000, LOOPS_MAX = 256 };

void http_options_default(struct http_options *ret)
{
    *ret = (struct http_options){.workers = 8,
                                 .password_workers = 2,
                                 .worker_queue_max = 1024,
                                 .password_queue_max = 64,
                                 .request_line_max = 8 * 1024,
                                 .header_bytes_max = 16 * 1024,
                                 .headers_max = 100,
                                 .arena_max = 8 * 1024 * 1024,
                                 .reply_max = 16 * 1024 * 1024,
                                 .connections_max = 20000,
                                 .connections_per_address_max = 256,
                                 .head_timeout_ms = 10 * CLOCK_SECOND,
                                 .body_timeout_ms = 30 * CLOCK_SECOND,
                                 .idle_timeout_ms = 60 * CLOCK_SECOND,
                                 .write_timeout_ms = 30 * CLOCK_SECOND,
                                 .drain_timeout_ms = 10 * CLOCK_SECOND};
}

static int at_least_one(int n)
{
    return n > 0 ? n : 1;
}

/* Opens the listeners and a loop for each. */
static int make_loops(struct http_engine *e)
{
    int fds[LOOPS_MAX];
    int r = listen_open(e->options.host, e->options.port, e->loop_count, fds, &e->port);

    if (r)
        return r;
    for (int i = 0; i < e->loop_count; i++) {
        int failed = loop_init(&e->loops[i], e, fds[i]);
        r = r ? r : failed;
    }
    return r;
}

static int start_threads(struct http_engine *e)
{
    const struct http_options *o = &e->options;

    int r = lane_start(&e->lanes[LANE_WORKER], o->workers, (size_t)o->worker_queue_max, conn_work);
    if (!r)
        r = lane_start(&e->lanes[LANE_PASSWORD], o->password_workers, (size_t)o->password_queue_max,
                       conn_work);
    for (int i = 0; !r && i < e->loop_count; i++) {
        r = http_thread_start(loop_run, &e->loops[i], &e->loops[i].thread);
        if (!r)
            e->loops_running++;
    }
    return r;
}

int http_engine_start(const struct http_options *options, const struct http_app *app,
                      struct http_engine **ret)
{
    struct http_engine *e = calloc(1, sizeof *e);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int r = 0;

    if (!e)
        return fault_set(FAULT_MEMORY, "no memory for the engine");
    if (sodium_init() < 0)
        r = fault_set(FAULT_CRYPTO, "libsodium cannot be used");
    pthread_mutex_init(&e->later_lock, NULL);
    pthread_cond_init(&e->later_done, NULL);
    e->options = *options;
    e->app = *app;
    e->loop_count = options->loops > 0 ? options->loops : at_least_one((int)cores);
    if (e->loop_count > LOOPS_MAX)
        e->loop_count = LOOPS_MAX;
    e->loops = calloc((size_t)e->loop_count, sizeof *e->loops);
    if (!e->loops)
        r = fault_set(FAULT_MEMORY, "no memory for %d loops", e->loop_count);
    if (!r && options->connections_per_address_max)
        r = peers_new(options->connections_per_address_max, &e->peers);
    if (!r)
        r = make_loops(e);
    if (!r)
        r = start_threads(e);
    if (r) {
        http_engine_stop(e);
        return r;
    }
    *ret = e;
    return 0;
}

int http_engine_port(const struct http_engine *e)
{
    return e->port;
}

void engine_later(struct http_engine *e, bool done)
{
    pthread_mutex_lock(&e->later_lock);
    e->later += done ? -(size_t)1 : 1;
    if (e->later == 0)
        pthread_cond_signal(&e->later_done);
    pthread_mutex_unlock(&e->later_lock);
}

/* Returns 0, or 1 where somebody has not finished what was put off by the deadline. */
static int await_later(struct http_engine *e, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / CLOCK_SECOND,
                             .tv_nsec = deadline % CLOCK_SECOND * 1000000};
    int r = 0;

    pthread_mutex_lock(&e->later_lock);
    while (e->later > 0 && r == 0)
        r = pthread_cond_clockwait(&e->later_done, &e->later_lock, CLOCK_MONOTONIC, &until);
    bool stuck = e->later > 0;
    pthread_mutex_unlock(&e->later_lock);
    return stuck;
}

/* Still queued when the drain time was over; cut_off has counted it. */
static void drop(struct exchange *x)
{
    exchange_free(x);
}

/* Returns 0, or 1 where a handler did not come back. */
static int stop_lanes(struct http_engine *e)
{
    int64_t deadline = clock_mono() + JOIN_MS;
    int stuck = 0;

    for (int i = LANE_WORKER; i < LANES; i++) {
        if (e->lanes[i].run)
            stuck |= lane_stop(&e->lanes[i], deadline, drop);
    }
    return stuck | await_later(e, deadline);
}

size_t http_engine_stop(struct http_engine *e)
{
    size_t cut_off = 0;

    e->drain_deadline = clock_mono() + e->options.drain_timeout_ms;
    atomic_store(&e->stopping, true);
    for (int i = 0; i < e->loops_running; i++)
        loop_wake(&e->loops[i]);
    for (int i = 0; i < e->loops_running; i++) {
        pthread_join(e->loops[i].thread, NULL);
        cut_off += e->loops[i].cut_off;
    }
    if (stop_lanes(e)) {
        log_error("a handler did not return; its memory is left behind");
        return cut_off;
    }
    for (int i = 0; i < e->loop_count && e->loops; i++) {
        if (e->loops[i].engine)
            loop_release(&e->loops[i]);
    }
    peers_free(e->peers);
    pthread_mutex_destroy(&e->later_lock);
    pthread_cond_destroy(&e->later_done);
    free(e->loops);
    free(e);
    return cut_off;
}

static void add_lane(struct lane *lane, int i, struct http_stats *s)
{
    pthread_mutex_lock(&lane->lock);
    s->lane_queued[i] = lane->queued;
    s->lane_busy[i] = lane->busy;
    s->lane_refused[i] = lane->refused;
    pthread_mutex_unlock(&lane->lock);
}

void http_engine_stats(struct http_engine *e, struct http_stats *ret)
{
    struct http_stats s = {.connections_open = atomic_load(&e->connections)};

    for (int i = 0; i < e->loop_count; i++) {
        struct loop *loop = &e->loops[i];
        s.connections_total += metric_value(&loop->accepted);
        s.connections_refused += metric_value(&loop->refused);
        s.requests_total += metric_value(&loop->requests);
        s.timeouts += metric_value(&loop->timeouts);
        s.parse_errors += metric_value(&loop->parse_errors);
    }
    for (int i = LANE_WORKER; i < LANES; i++)
        add_lane(&e->lanes[i], i, &s);
    *ret = s;
}
