/*
 * One request and its reply while they are in work.
 *
 * An exchange belongs to its loop. While it is on a lane the worker may touch request, reply and
 * arena, and both sides the fields under lock; the loop keeps conn, and clears it when the
 * connection ends first, so that a late answer finds nobody and is dropped.
 * Rooms: http (the engine's files). Threads: the loop's, and a lane's as said.
 */
#ifndef HOLDFAST_HTTP_EXCHANGE_H
#define HOLDFAST_HTTP_EXCHANGE_H

#include "http/engine.h"
#include "http/h1.h"

#include <pthread.h>

struct conn;
struct loop;

/* Bytes held between client and handler in either direction of a stream. */
enum { STREAM_WINDOW = 64 * 1024 };

/* A streamed request body on its way to the handler; under the exchange's lock. */
struct http_body {
    struct buf data;
    size_t at;              /* how much of data was read */
    bool ended, waited_for; /* the loop stopped at a full window and wants to hear of room */
    int fault;              /* what further reads return */
};

/* A streamed reply on its way to the client; under the exchange's lock. */
struct http_stream {
    struct exchange *exchange;
    struct buf data; /* framed already */
    bool begun, aborted, chunked;
    uint64_t bytes; /* of the body, without framing */
};

/* What a lane tells the loop; see loop_post. */
enum { POST_DONE = 1, POST_ROOM = 2, POST_OUTPUT = 4 };

struct exchange {
    struct http_request request; /* first: a request is turned back into its exchange */
    struct http_reply reply;
    struct http_plan plan;
    struct arena arena;

    struct loop *loop;
    struct conn *conn; /* NULL once the connection is gone */
    struct h1_head head;
    struct buf head_bytes, body;
    struct h1_chunks chunks;
    uint64_t body_left, body_bytes; /* of a body with a length; received so far */
    bool understood;                /* the head was: request is filled */
    bool body_ended, body_failed, on_lane;
    bool stream_open, close_after; /* the streamed reply's head was sent, and what it said */
    enum http_lane lane;           /* to run on next; LANE_EVENT once there is a reply */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gone; /* the connection is: streams fail */
    struct http_body inflow;
    struct http_stream outflow;

    struct exchange *next; /* in a lane's queue, or the loop's spare ones */
    struct exchange *post_next;
    unsigned posted; /* POST_ bits, under the loop's post lock */
    struct http_header headers[];
};

/* Returns 0 or FAULT_MEMORY. */
int exchange_new(struct loop *loop, const struct http_options *options, struct exchange **ret);
void exchange_free(struct exchange *x);

/* Makes it as new again: frees the arena, keeps small buffers. */
void exchange_reset(struct exchange *x);

/* Copies the head's bytes at p and lets x->head and x->request point into the copy. */
int exchange_adopt_head(struct exchange *x, const char *p);

static inline bool exchange_has_body(const struct exchange *x)
{
    return x->head.chunked || x->head.content_length > 0;
}

#endif
