#include "base/fault.h"
#include "http/conn.h"

#include <string.h>

/* A handler's write is cut into chunks of at most this. */
enum { PIECE_MAX = 16 * 1024 };

size_t stream_room(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    size_t room = STREAM_WINDOW - x->inflow.data.n;
    if (room == 0)
        x->inflow.waited_for = true;
    pthread_mutex_unlock(&x->lock);
    return room;
}

void stream_push(struct exchange *x, struct str bytes)
{
    pthread_mutex_lock(&x->lock);
    if (buf_add_str(&x->inflow.data, bytes))
        x->inflow.fault = buf_fault(&x->inflow.data);
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

void stream_end(struct exchange *x, int fault)
{
    pthread_mutex_lock(&x->lock);
    x->inflow.ended = true;
    x->inflow.fault = fault;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

void stream_break(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

bool stream_begun(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    bool begun = x->outflow.begun;
    pthread_mutex_unlock(&x->lock);
    return begun;
}

ssize_t stream_move(struct exchange *x, struct buf *out)
{
    struct buf *data = &x->outflow.data;

    pthread_mutex_lock(&x->lock);
    size_t n = data->n;
    int r = buf_add(out, data->p, n);
    buf_reset(data);
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    return r ? r : (ssize_t)n;
}

/* Takes up to n bytes from the window; the lock is held. */
static ssize_t take(struct exchange *x, void *p, size_t n, bool *ret_tell)
{
    struct http_body *b = &x->inflow;
    size_t left = b->data.n - b->at;

    if (left == 0 && b->fault)
        return fault_set((enum fault)b->fault, "the request's body broke off or is too long");
    if (left == 0 && x->gone && !b->ended)
        return fault_set(FAULT_IO, "the client has gone");
    n = n < left ? n : left;
    if (n)
        memcpy(p, b->data.p + b->at, n);
    b->at += n;
    if (b->at == b->data.n) {
        buf_reset(&b->data);
        b->at = 0;
        *ret_tell = b->waited_for;
        b->waited_for = false;
    }
    return (ssize_t)n;
}

ssize_t http_body_read(struct http_request *request, void *p, size_t n)
{
    struct exchange *x = (struct exchange *)request;
    struct http_body *b = &x->inflow;
    bool tell = false;

    if (!request->stream)
        return fault_set(FAULT_INTERNAL, "the plan asked for no stream, or there is no body");
    pthread_mutex_lock(&x->lock);
    while (b->at == b->data.n && !b->ended && !b->fault && !x->gone)
        pthread_cond_wait(&x->changed, &x->lock);
    ssize_t r = take(x, p, n, &tell);
    pthread_mutex_unlock(&x->lock);
    if (tell)
        loop_post(x, POST_ROOM);
    return r;
}

int http_stream_begin(struct http_request *request, struct http_reply *reply)
{
    struct exchange *x = (struct exchange *)request;

    if (!reply->stream)
        return fault_set(FAULT_INTERNAL, "a reply cannot be streamed from an event thread");
    if (buf_fault(&reply->headers))
        return buf_fault(&reply->headers);
    pthread_mutex_lock(&x->lock);
    bool gone = x->gone;
    x->outflow.begun = true;
    x->outflow.chunked =
        x->head.minor == 1 && request->method != HTTP_HEAD && !wire_is_bodiless(reply->status);
    pthread_mutex_unlock(&x->lock);
    if (gone)
        return fault_set(FAULT_IO, "the client has gone");
    loop_post(x, POST_OUTPUT);
    return 0;
}

/* Frames one piece into the window. The loop empties it, or ends the wait when the client is slow
 * for the write timeout or gone. */
static int put_piece(struct exchange *x, const char *p, size_t n)
{
    struct http_stream *s = &x->outflow;
    int r = 0;

    pthread_mutex_lock(&x->lock);
    while (s->data.n >= STREAM_WINDOW && !x->gone)
        pthread_cond_wait(&x->changed, &x->lock);
    if (x->gone) {
        r = fault_set(FAULT_IO, "the client has gone");
    } else {
        if (s->chunked)
            buf_printf(&s->data, "%zx\r\n", n);
        buf_add(&s->data, p, n);
        if (s->chunked)
            buf_add_str(&s->data, STR("\r\n"));
        s->bytes += n;
        r = buf_fault(&s->data);
    }
    pthread_mutex_unlock(&x->lock);
    if (r == 0)
        loop_post(x, POST_OUTPUT);
    return r;
}

int http_stream_write(struct http_reply *reply, const void *p, size_t n)
{
    struct exchange *x = reply->stream ? reply->stream->exchange : NULL;
    const char *at = p;

    if (!x || !x->outflow.begun)
        return fault_set(FAULT_INTERNAL, "the reply's stream was not begun");
    if (x->request.method == HTTP_HEAD || wire_is_bodiless(reply->status))
        return 0;
    for (size_t take; n > 0; at += take, n -= take) {
        take = n < PIECE_MAX ? n : PIECE_MAX;
        int r = put_piece(x, at, take);
        if (r)
            return r;
    }
    return 0;
}

bool http_stream_lost(struct http_reply *reply)
{
    struct exchange *x = reply->stream ? reply->stream->exchange : NULL;

    if (!x || !x->outflow.begun)
        return false;
    pthread_mutex_lock(&x->lock);
    bool lost = x->gone;
    pthread_mutex_unlock(&x->lock);
    return lost;
}

void http_stream_abort(struct http_reply *reply)
{
    struct exchange *x = reply->stream->exchange;

    pthread_mutex_lock(&x->lock);
    x->outflow.aborted = true;
    pthread_mutex_unlock(&x->lock);
}
