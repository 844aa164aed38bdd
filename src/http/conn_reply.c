#include "base/fault.h"
#include "base/log.h"
#include "http/conn.h"
#include "http/transport.h"

/* The rest of a refused or unread body that is dropped to keep a connection. */
enum { DROP_MAX = 64 * 1024 };

static void report(struct loop *loop, struct exchange *x, uint64_t bytes)
{
    const struct http_app *app = &loop->engine->app;

    if (app->done)
        app->done(app->context, x->understood ? &x->request : NULL, &x->reply, bytes);
}

/* Whether what is left of the body can be skipped without asking the client to go on sending. */
static bool can_drop(const struct exchange *x)
{
    return !x->head.chunked && x->body_left <= DROP_MAX && !x->head.expect_continue;
}

static bool must_close(const struct conn *c, const struct exchange *x)
{
    return x->reply.close || !x->head.keep_alive || c->loop->draining || x->body_failed ||
           (!x->body_ended && !can_drop(x));
}

/* The reply is written: the connection leaves x behind. */
static void finish(struct conn *c, bool close)
{
    struct exchange *x = c->x;

    c->x = NULL;
    c->left = x->body_left;
    c->linger |= close && !x->body_ended;
    if (close)
        c->state = CONN_CLOSING;
    else
        c->state = x->body_ended ? CONN_HEAD : CONN_DROP;
    loop_give_exchange(c->loop, x);
}

/* Writes the complete reply of x. */
static void put_reply(struct conn *c, bool close)
{
    struct exchange *x = c->x;
    struct wire_form form = {.framing = WIRE_LENGTH,
                             .head_only = x->understood && x->request.method == HTTP_HEAD,
                             .close = close,
                             .minor = x->understood ? x->head.minor : 1};
    bool bodiless = form.head_only || wire_is_bodiless(x->reply.status);

    int r = wire_reply(conn_output(c), &x->reply, &form, &c->loop->date);
    report(c->loop, x, bodiless ? 0 : x->reply.body.n);
    finish(c, close);
    if (r) {
        log_fault("writing a reply", r);
        conn_close(c);
    }
}

void conn_answer(struct conn *c)
{
    struct exchange *x = c->x;
    int fault = buf_fault(&x->reply.headers);

    if (!fault)
        fault = buf_fault(&x->reply.body);
    if (fault) {
        log_fault("making a reply", fault);
        conn_refuse(c, 500, 0);
        return;
    }
    put_reply(c, must_close(c, x));
}

void conn_refuse(struct conn *c, int status, int error)
{
    const struct http_app *app = &c->loop->engine->app;
    struct exchange *x = c->x ? c->x : loop_take_exchange(c->loop);

    if (!x) {
        conn_close(c);
        return;
    }
    c->x = x;
    x->conn = c;
    buf_reset(&x->reply.headers);
    buf_reset(&x->reply.body);
    x->reply.status = status;
    app->refuse(app->context, x->understood ? &x->request : NULL, error, &x->reply);
    if (status == 503)
        http_reply_header(&x->reply, "Retry-After", STR("1"));
    c->linger = true;
    put_reply(c, true);
}

/* Hands x to its lane. Returns 0, or 1 where the queue is full. */
static int submit(struct exchange *x)
{
    struct loop *loop = x->loop;

    if (x->lane != LANE_PASSWORD)
        x->lane = LANE_WORKER;
    x->on_lane = true;
    loop->on_lanes++;
    if (lane_submit(&loop->engine->lanes[x->lane], x) == 0)
        return 0;
    x->on_lane = false;
    loop->on_lanes--;
    return 1;
}

static void dispatch(struct conn *c)
{
    c->state = CONN_WORK;
    if (submit(c->x))
        conn_refuse(c, 503, 0);
}

void conn_run(struct conn *c)
{
    struct exchange *x = c->x;
    const struct http_app *app = &c->loop->engine->app;

    x->lane = x->plan.lane;
    if (x->lane == LANE_EVENT && !x->plan.body_stream) {
        enum http_lane lane = app->run(app->context, &x->request, &x->reply);
        if (lane == LANE_EVENT) {
            conn_answer(c);
            return;
        }
        if (lane == LANE_LATER) {
            /* What finishes it is posted to this thread, which is here. */
            c->state = CONN_WORK;
            x->on_lane = true;
            c->loop->on_lanes++;
            return;
        }
        x->lane = lane;
    }
    dispatch(c);
}

void conn_work(struct exchange *x)
{
    const struct http_app *app = &x->loop->engine->app;

    x->reply.stream = &x->outflow;
    enum http_lane lane = app->run(app->context, &x->request, &x->reply);
    if (lane == LANE_LATER)
        return; /* x may be gone already */
    x->lane = lane;
    loop_post(x, POST_DONE);
}

void http_later(struct http_request *request)
{
    engine_later(((struct exchange *)request)->loop->engine, false);
}

void http_finish(struct http_request *request)
{
    struct exchange *x = (struct exchange *)request;
    struct http_engine *e = x->loop->engine;

    x->lane = LANE_EVENT;
    loop_post(x, POST_DONE);
    engine_later(e, true);
}

/* A request whose client has gone: it is finished, but nobody is answered. */
static void finish_orphan(struct exchange *x)
{
    if (x->lane != LANE_EVENT && submit(x) == 0)
        return;
    report(x->loop, x, 0);
    loop_give_exchange(x->loop, x);
}

/* Writes the head of a streamed reply, once. */
static int open_stream(struct conn *c)
{
    struct exchange *x = c->x;

    if (x->stream_open)
        return 0;
    x->stream_open = true;
    x->close_after = must_close(c, x) || x->head.minor == 0 || !x->body_ended;
    struct wire_form form = {.framing = x->head.minor ? WIRE_CHUNKED : WIRE_UNTIL_CLOSE,
                             .head_only = x->request.method == HTTP_HEAD,
                             .close = x->close_after,
                             .minor = x->head.minor};
    return wire_reply(conn_output(c), &x->reply, &form, &c->loop->date);
}

static void end_stream(struct conn *c)
{
    struct exchange *x = c->x;
    bool muted = x->request.method == HTTP_HEAD || wire_is_bodiless(x->reply.status);

    report(c->loop, x, muted ? 0 : x->outflow.bytes);
    if (x->outflow.aborted) {
        transport_reset(c);
        conn_close(c);
        return;
    }
    if (x->outflow.chunked)
        buf_add_str(conn_output(c), STR("0\r\n\r\n"));
    finish(c, x->close_after);
}

static void advance_stream(struct conn *c, bool done)
{
    struct exchange *x = c->x;

    if (open_stream(c) || ((done || !c->out.n) && stream_move(x, conn_output(c)) < 0))
        conn_close(c);
    else if (done)
        end_stream(c);
}

void conn_post(struct exchange *x, unsigned bits)
{
    struct conn *c = x->conn;
    bool done = bits & POST_DONE;

    if (done) {
        x->on_lane = false;
        x->loop->on_lanes--;
    }
    if (!c) {
        if (done)
            finish_orphan(x);
        return;
    }
    if (stream_begun(x))
        advance_stream(c, done);
    else if (done && x->lane != LANE_EVENT)
        dispatch(c);
    else if (done)
        conn_answer(c);
    conn_settle(c);
}
