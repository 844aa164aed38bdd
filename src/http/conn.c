#include "http/conn.h"

#include "base/fault.h"
#include "http/transport.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    LINGER_BYTES_MAX = 256 * 1024,
    PROGRESS_MIN = 8 * 1024, /* a client that reads less than this a write timeout is cut */
    TURN_READS = 8           /* receives a connection may do before others have their turn */
};

void conn_open(struct loop *loop, int fd, const struct in6_addr *peer, bool counted_peer)
{
    struct http_engine *e = loop->engine;
    struct conn *c = calloc(1, sizeof *c);
    /* Edge-triggered for both directions, once and for all: no epoll_ctl a request. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

    if (!c || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event)) {
        free(c);
        close(fd);
        atomic_fetch_sub(&e->connections, 1);
        if (counted_peer)
            peers_leave(e->peers, peer);
        return;
    }
    c->loop = loop;
    c->fd = fd;
    c->peer = *peer;
    c->counted_peer = counted_peer;
    c->in = buf_secret(e->options.request_line_max + e->options.header_bytes_max + READ_SIZE * 2);
    c->out = buf_secret(SIZE_MAX / 4);
    timers_add(&loop->timers, &c->timer, TIMER_IDLE, loop->now);
    loop->open++;
    metric_add(&loop->accepted, 1);
}

void conn_close(struct conn *c)
{
    struct loop *loop = c->loop;
    struct http_engine *e = loop->engine;
    struct exchange *x = c->x;

    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    close(c->fd);
    timers_remove(&c->timer);
    if (c->counted_peer)
        peers_leave(e->peers, &c->peer);
    atomic_fetch_sub(&e->connections, 1);
    loop->open--;
    loop->out.n = 0;
    c->next_dead = loop->dead;
    loop->dead = c;
    c->x = NULL;
    if (x) {
        x->conn = NULL;
        stream_break(x);
        if (!x->on_lane)
            loop_give_exchange(loop, x);
    }
}

void conn_free(struct conn *c)
{
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

struct buf *conn_output(struct conn *c)
{
    return c->out.n ? &c->out : &c->loop->out;
}

/* Sends p[*sent..n). Returns 0, or -1 where the socket is broken. */
static int send_some(struct conn *c, const char *p, size_t n, size_t *sent)
{
    while (*sent < n) {
        ssize_t r = transport_send(c, p + *sent, n - *sent);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return errno == EAGAIN ? 0 : -1;
        *sent += (size_t)r;
        c->progress += (size_t)r;
    }
    return 0;
}

int conn_flush(struct conn *c)
{
    struct buf *shared = &c->loop->out;
    size_t sent = 0;
    int r = 0;

    if (c->out.n) {
        r = send_some(c, c->out.p, c->out.n, &c->sent);
        if (c->sent == c->out.n) {
            buf_free(&c->out);
            c->sent = 0;
        }
        return r;
    }
    if (shared->n == 0)
        return 0;
    r = send_some(c, shared->p, shared->n, &sent);
    if (r == 0 && sent < shared->n)
        r = buf_add(&c->out, shared->p + sent, shared->n - sent);
    /* Tokens passed through here. */
    explicit_bzero(shared->p, shared->n);
    buf_reset(shared);
    if (shared->cap > READ_SIZE * 8)
        buf_free(shared);
    return r;
}

/* Everything is sent: closes, in a way that lets the client read it. */
static void part(struct conn *c)
{
    buf_free(&c->in);
    if (c->eof || (!c->linger && !c->readable)) {
        conn_close(c);
        return;
    }
    transport_end(c);
    c->state = CONN_LINGER;
    c->left = LINGER_BYTES_MAX;
}

static enum timer_class class_of(const struct conn *c)
{
    switch (c->state) {
    case CONN_LINGER:
        return TIMER_LINGER;
    case CONN_BODY:
    case CONN_DROP:
        return TIMER_BODY;
    case CONN_WORK:
        if (c->x && c->x->plan.body_stream && !c->x->body_ended && !c->x->body_failed)
            return TIMER_BODY;
        return c->out.n ? TIMER_WRITE : TIMER_NONE;
    case CONN_HEAD:
        if (!c->out.n)
            return c->in.n ? TIMER_HEAD : TIMER_IDLE;
        return TIMER_WRITE;
    case CONN_CLOSING:
    case CONN_DEAD:
        break;
    }
    return TIMER_WRITE;
}

static void set_deadline(struct conn *c)
{
    enum timer_class class = class_of(c);

    if (class == c->timer.class && !c->renew &&
        !(class == TIMER_WRITE && c->progress >= PROGRESS_MIN))
        return;
    c->renew = false;
    c->progress = 0;
    timers_remove(&c->timer);
    timers_add(&c->loop->timers, &c->timer, class, c->loop->now);
}

/* Does what can be done without input. Returns false where the connection is closed. */
static bool push_on(struct conn *c)
{
    if (conn_flush(c)) {
        conn_close(c);
        return false;
    }
    if (c->state == CONN_CLOSING && !c->out.n)
        part(c);
    /* A request that came just as we drain is served still. */
    if (c->loop->draining && c->state == CONN_HEAD && !c->out.n && !c->in.n && !c->readable)
        conn_close(c);
    return c->state != CONN_DEAD;
}

static bool pump(struct conn *c)
{
    if (c->state != CONN_WORK || !c->x || !c->x->stream_open || c->out.n)
        return false;
    ssize_t moved = stream_move(c->x, &c->loop->out);
    if (moved < 0)
        conn_close(c);
    return moved != 0;
}

static void queue_again(struct conn *c)
{
    if (c->queued_again)
        return;
    c->queued_again = true;
    c->next_again = c->loop->again;
    c->loop->again = c;
}

void conn_settle(struct conn *c)
{
    int reads = 0;

    while (c->state != CONN_DEAD && push_on(c)) {
        if (pump(c))
            continue;
        bool buffered = c->in.n && !c->starved;
        if (!(c->readable || buffered || c->eof) || !conn_wants(c))
            break;
        if (c->eof && !buffered) {
            conn_end_input(c);
            continue;
        }
        if (reads++ == TURN_READS) {
            queue_again(c);
            break;
        }
        conn_read(c);
    }
    if (c->state != CONN_DEAD)
        set_deadline(c);
}

void conn_event(struct conn *c, uint32_t events)
{
    if (c->state == CONN_DEAD)
        return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        conn_close(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP))
        c->readable = true;
    if (events & EPOLLRDHUP)
        c->half = true;
    conn_settle(c);
}

void conn_expire(struct conn *c)
{
    enum timer_class class = c->timer.class;

    metric_add(&c->loop->timeouts, 1);
    if (class == TIMER_HEAD || (class == TIMER_BODY && c->state == CONN_BODY)) {
        conn_refuse(c, 408, 0);
    } else if (class == TIMER_BODY && c->state == CONN_WORK) {
        /* The handler's next read fails; its reply, whatever it says, ends the connection. */
        c->x->body_failed = true;
        stream_end(c->x, FAULT_IO);
    } else {
        conn_close(c);
    }
    conn_settle(c);
}
