#include "base/fault.h"
#include "http/conn.h"
#include "http/transport.h"

#include <errno.h>

enum { OUTPUT_HIGH = 64 * 1024, READ_MIN = 4096 };

bool conn_wants(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        return c->out.n == 0; /* who does not read replies gets no further request in */
    case CONN_BODY:
    case CONN_DROP:
    case CONN_LINGER:
        return true;
    case CONN_WORK:
        return c->x->plan.body_stream && !c->x->body_ended && !c->x->body_failed &&
               stream_room(c->x) > 0;
    case CONN_CLOSING:
    case CONN_DEAD:
        break;
    }
    return false;
}

/* The head is there: asks the app how to run it. more: bytes came behind the head already. */
static void begin(struct conn *c, bool more)
{
    struct exchange *x = c->x;
    const struct http_app *app = &c->loop->engine->app;

    x->request.peer = c->peer;
    x->request.can_wait = true;
    x->request.id = loop_new_id(c->loop);
    x->request.started_us = c->loop->now_us;
    if (app->plan(app->context, &x->request, &x->plan, &x->reply)) {
        conn_answer(c);
        return;
    }
    if (x->head.content_length > x->plan.body_max) {
        conn_refuse(c, 413, 0);
        return;
    }
    if (x->head.expect_continue && !more && !x->body_ended)
        buf_add_str(conn_output(c), STR("HTTP/1.1 100 Continue\r\n\r\n"));
    x->head.expect_continue = false;
    if (x->plan.body_stream) {
        x->request.stream = &x->inflow;
        x->inflow.ended = x->body_ended;
    }
    if (x->plan.body_stream || x->body_ended) {
        conn_run(c);
        return;
    }
    x->body.max = x->plan.body_max;
    c->state = CONN_BODY;
}

static size_t step_head(struct conn *c, const char *p, size_t n)
{
    const struct http_options *o = &c->loop->engine->options;
    struct h1_limits limits = {o->request_line_max, o->header_bytes_max, o->headers_max};
    struct exchange *x = loop_take_exchange(c->loop);
    enum h1_error error;

    if (!x) {
        conn_close(c);
        return n;
    }
    int r = h1_parse_head(p, n, &limits, &c->resume, &x->head, &error);
    if (r <= 0)
        loop_give_exchange(c->loop, x);
    if (r == 0) {
        c->starved = true;
        return 0;
    }
    if (r < 0) {
        metric_add(&c->loop->parse_errors, 1);
        conn_refuse(c, h1_error_status(error), (int)error);
        return n;
    }
    size_t length = x->head.length;
    metric_add(&c->loop->requests, 1);
    c->resume = 0;
    c->renew = true;
    c->x = x;
    x->conn = c;
    if (exchange_adopt_head(x, p))
        conn_refuse(c, 503, 0);
    else
        begin(c, n > length);
    return length;
}

/* The body cannot be accepted: a handler that streams it is told, else we answer. */
static void fail_body(struct conn *c, int status, int error, int fault)
{
    if (error)
        metric_add(&c->loop->parse_errors, 1);
    if (c->state == CONN_WORK) {
        c->x->body_failed = true;
        stream_end(c->x, fault);
    } else {
        conn_refuse(c, status, error);
    }
}

/* Decodes a piece of the body of x: 1 where it is the last, 0, or -1 where framing is broken. */
static int decode(struct exchange *x, const char *p, size_t n, size_t *ret_used,
                  struct str *ret_piece)
{
    if (x->head.chunked)
        return h1_chunks_next(&x->chunks, p, n, ret_used, ret_piece);
    size_t take = x->body_left < n ? (size_t)x->body_left : n;
    x->body_left -= take;
    *ret_used = take;
    *ret_piece = (struct str){p, take};
    return x->body_left == 0;
}

static size_t step_body(struct conn *c, const char *p, size_t n)
{
    struct exchange *x = c->x;
    bool streams = c->state == CONN_WORK;
    struct str piece;
    size_t used;

    if (streams) {
        size_t room = stream_room(x);
        n = n < room ? n : room;
    }
    int r = decode(x, p, n, &used, &piece);
    if (r < 0) {
        fail_body(c, 400, H1_BAD_CHUNK, FAULT_IO);
        return n;
    }
    x->body_bytes += piece.n;
    if (x->body_bytes > x->plan.body_max) {
        fail_body(c, 413, 0, FAULT_LIMIT);
        return n;
    }
    if (streams)
        stream_push(x, piece);
    else if (buf_add(&x->body, piece.p, piece.n))
        fail_body(c, 503, 0, 0);
    if (r == 1 && c->x == x) {
        x->body_ended = true;
        x->request.body = buf_str(&x->body);
        if (streams)
            stream_end(x, 0);
        else
            conn_run(c);
    }
    return used;
}

static size_t step_drop(struct conn *c, size_t n)
{
    size_t take = c->left < n ? (size_t)c->left : n;

    c->left -= take;
    if (c->left == 0 && c->state == CONN_LINGER)
        conn_close(c);
    else if (c->left == 0)
        c->state = CONN_HEAD;
    return take;
}

/* Uses bytes as far as they can be used now; returns how many. */
static size_t advance(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;

    c->starved = false;
    while (used < n && !c->starved && conn_wants(c)) {
        if (c->state == CONN_HEAD)
            used += step_head(c, p + used, n - used);
        else if (c->state == CONN_BODY || c->state == CONN_WORK)
            used += step_body(c, p + used, n - used);
        else
            used += step_drop(c, n - used);
        if (c->loop->out.n > OUTPUT_HIGH && conn_flush(c))
            conn_close(c);
    }
    return used;
}

void conn_end_input(struct conn *c)
{
    c->readable = false;
    c->eof = true;
    if (c->state == CONN_WORK && !c->x->body_ended && !c->x->body_failed) {
        c->x->body_failed = true;
        stream_end(c->x, FAULT_IO);
    } else if (c->state == CONN_HEAD && c->out.n) {
        c->state = CONN_CLOSING;
    } else if (c->state != CONN_WORK && c->state != CONN_CLOSING) {
        conn_close(c);
    }
}

/* Receives into p. Returns how many bytes, or 0 where there are none now or any more. */
static size_t receive(struct conn *c, char *p, size_t n)
{
    ssize_t r = transport_recv(c, p, n);

    if (r > 0) {
        /* A short read empties the socket, and the next byte brings an event; but not the end. */
        c->readable = (size_t)r == n || c->half;
        return (size_t)r;
    }
    if (r == 0)
        conn_end_input(c);
    else if (errno == EAGAIN)
        c->readable = false;
    else if (errno != EINTR)
        conn_close(c);
    return 0;
}

void conn_read(struct conn *c)
{
    struct loop *loop = c->loop;

    if (c->in.n && !c->starved) {
        buf_consume(&c->in, advance(c, c->in.p, c->in.n));
    } else if (c->in.n) {
        if (buf_reserve(&c->in, READ_MIN)) {
            conn_close(c);
            return;
        }
        c->in.n += receive(c, c->in.p + c->in.n, c->in.cap - c->in.n);
        if (c->state != CONN_DEAD)
            buf_consume(&c->in, advance(c, c->in.p, c->in.n));
    } else {
        size_t n = receive(c, loop->in, READ_SIZE);
        size_t used = n ? advance(c, loop->in, n) : 0;
        if (used < n && buf_add(&c->in, loop->in + used, n - used))
            conn_close(c);
        explicit_bzero(loop->in, n); /* passwords passed through here */
    }
    if (c->in.n == 0)
        buf_free(&c->in);
}
