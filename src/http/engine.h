/*
 * The HTTP/1.1 engine: event loops, connections, lanes. It knows no route.
 *
 * One loop a core, each with its own listening socket (SO_REUSEPORT). A strict RFC 9112 parser
 * (http/h1.h) finds requests; the app's plan function says, on the event thread and from memory
 * alone, how each is run: at once on the event thread, or on a lane of worker threads.
 * Pipelined requests of a connection are answered in order, one at a time.
 *
 * Rooms: http and cli. Ownership: the engine owns connections, requests and replies.
 * Threads: plan and a LANE_EVENT run are called on event threads, other runs on the lane's.
 */
#ifndef HOLDFAST_HTTP_ENGINE_H
#define HOLDFAST_HTTP_ENGINE_H

#include "base/metrics.h"
#include "http/message.h"

enum http_lane {
    LANE_EVENT,    /* at once, on the event thread: must not block */
    LANE_WORKER,   /* a pool for what talks to the store */
    LANE_PASSWORD, /* a small pool with a bounded queue for password hashing */
    LANES,
    LANE_LATER = LANES /* of a run: somebody else finishes the request; see http_later */
};

struct http_plan {
    enum http_lane lane;
    size_t body_max;  /* a longer body is answered 413 */
    bool body_stream; /* run begins with the head and reads the body by http_body_read */
};

struct http_app {
    void *context;
    /*
     * Called with the head complete, on the event thread. Returns 0 with the plan, or 1 where it
     * has filled the reply already: it is sent at once, and the body, if any, is dropped (or the
     * connection closed, where the body is long, chunked or awaits "100 Continue").
     */
    int (*plan)(void *context, struct http_request *request, struct http_plan *ret_plan,
                struct http_reply *reply);
    /*
     * Fills the reply on the planned lane and returns LANE_EVENT. It may instead return another
     * lane, with the reply untouched, to be run again there: LANE_WORKER or LANE_PASSWORD; or
     * LANE_LATER.
     */
    enum http_lane (*run)(void *context, struct http_request *request, struct http_reply *reply);
    /*
     * The engine's own answers (400, 408, 413, 414, 417, 431, 501, 503, 505): fills headers and
     * body for reply->status, on the event thread. request is NULL where no head was understood;
     * error is an enum h1_error where the parser refused, else 0. To a 503 the engine adds
     * Retry-After.
     */
    void (*refuse)(void *context, struct http_request *request, int error,
                   struct http_reply *reply);
    /*
     * Called on the event thread, once a reply, whoever made it, as it is queued to the socket, or
     * dropped because the client has gone: metrics and the log. request is NULL as in refuse.
     * body_bytes counts what was queued, without framing.
     */
    void (*done)(void *context, const struct http_request *request, const struct http_reply *reply,
                 uint64_t body_bytes);
    /* Whether this peer is exempt from the limit of connections per address. */
    bool (*trusts_peer)(void *context, const struct in6_addr *peer);
};

struct http_options {
    const char *host;                         /* to listen on; NULL for all, dual-stack */
    int port;                                 /* 0: any free one, see http_engine_port */
    int loops;                                /* 0: as many as cores */
    int workers, password_workers;            /* at least one each */
    int worker_queue_max, password_queue_max; /* past it: 503 with Retry-After */
    size_t request_line_max, header_bytes_max, headers_max;
    size_t arena_max, reply_max; /* bytes of a request's arena, and of a reply's body */
    size_t connections_max, connections_per_address_max; /* an IPv6 address counts by its /64 */
    int head_timeout_ms, body_timeout_ms; /* from the first byte to the last, then 408 */
    int idle_timeout_ms;                  /* between requests, then the connection is closed */
    int write_timeout_ms;                 /* without progress of a reply, then it is closed */
    int drain_timeout_ms;
};

/* Sets what a public server would want; host, port and counts of threads as 0 says above. */
void http_options_default(struct http_options *ret);

struct http_engine;

/* Binds, starts the threads and serves. Returns 0, or FAULT_IO (the address is in use, ...). */
int http_engine_start(const struct http_options *options, const struct http_app *app,
                      struct http_engine **ret);
int http_engine_port(const struct http_engine *e);

/*
 * Graceful end: stops accepting, closes idle connections at once, lets what is in flight finish
 * with "Connection: close", for at most drain_timeout_ms; then stops all threads and frees.
 * Returns how many requests were cut off. A run that does not return within a second more is left
 * behind with the engine's memory: the process is about to end.
 */
size_t http_engine_stop(struct http_engine *e);

/* Gauges and counters since the start; refused counts 503s for a full queue. */
struct http_stats {
    uint64_t connections_open, connections_total, connections_refused, requests_total;
    uint64_t lane_queued[LANES], lane_busy[LANES], lane_refused[LANES];
    uint64_t timeouts, parse_errors;
};
void http_engine_stats(struct http_engine *e, struct http_stats *ret);

/*
 * For replies that wait for something which a thread need not wait for. run calls http_later, hands
 * the request to whoever will fill the reply, touches it no more and returns LANE_LATER. That one
 * calls http_finish, from any thread, which may be before run has returned: behind it request,
 * reply and arena are the engine's again. Each http_later needs one http_finish: http_engine_stop
 * waits for it as for a run. Only where request->can_wait.
 */
void http_later(struct http_request *request);
void http_finish(struct http_request *request);

/*
 * Reads of a streamed body, blocking the lane's thread. Returns the number of bytes, 0 at the end,
 * FAULT_IO where the client has gone or broke the framing, FAULT_LIMIT past body_max.
 */
ssize_t http_body_read(struct http_request *request, void *p, size_t n);

/*
 * A reply of unknown length, chunked (or up to the close for HTTP/1.0), from a lane's thread.
 * Begin sends status and headers; write blocks while the client is slow (at most the write
 * timeout). FAULT_IO where the client has gone. run then returns as usual, with an empty body.
 */
int http_stream_begin(struct http_request *request, struct http_reply *reply);
int http_stream_write(struct http_reply *reply, const void *p, size_t n);

/* Whether a begun stream has lost its client: it left, or read nothing for the write timeout. */
bool http_stream_lost(struct http_reply *reply);

/* Ends a begun stream so that the client sees it was cut off: for what went wrong in the middle. */
void http_stream_abort(struct http_reply *reply);

#endif
