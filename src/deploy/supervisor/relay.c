#include "deploy/supervisor/relay.h"

#include "base/clock.h"
#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, TURNS = 4, ACCEPTS = 64, BACKLOG = 1024, PAUSE_MS = 100 };

/* One of the two ends of a connection. */
struct end {
    struct loop_watch watch;
    struct relay_pair *of;
    char *pending; /* for it, that it did not take at once; NULL: nothing */
    size_t from, to;
    bool said_all; /* it sends nothing more */
    bool told;     /* it was told that nothing more comes for it */
};

enum { CLIENT, RELEASE };

struct relay_pair {
    struct end ends[2];
    struct relay *of;
    struct relay_place *place; /* NULL: held */
    bool connected, ended;
    int64_t until, again_at; /* while it is held, monotonic ms */
    struct relay_pair *next, **at;
};

static struct end *other(struct end *e)
{
    return &e->of->ends[e == &e->of->ends[CLIENT] ? RELEASE : CLIENT];
}

/* It is held from now on. */
static void leave(struct relay_pair *p)
{
    if (p->place) {
        p->place->open--;
        p->of->held++;
    }
    p->place = NULL;
    p->connected = false;
}

/* Its memory goes when the round is over. by_force: the peers see a reset, as they would without
 * us. */
static void end_pair(struct relay_pair *p, bool by_force)
{
    const struct linger reset = {.l_onoff = 1};
    struct relay *r = p->of;

    if (p->ended)
        return;
    for (int i = 0; i < 2; i++) {
        struct end *e = &p->ends[i];
        if (by_force && e->watch.fd >= 0)
            setsockopt(e->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        loop_forget(r->loop, &e->watch);
        free(e->pending);
        e->pending = NULL;
    }
    leave(p);
    r->held--;
    p->ended = true;
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    p->next = r->ended;
    r->ended = p;
    r->n--;
}

/* What each end is to be watched for. */
static int want(struct relay_pair *p)
{
    int result = 0;

    for (int i = 0; i < 2 && result == 0; i++) {
        struct end *e = &p->ends[i];
        uint32_t events = 0;
        if (p->connected && !e->said_all && !other(e)->pending)
            events |= EPOLLIN;
        if (e->pending || (i == RELEASE && !p->connected))
            events |= EPOLLOUT;
        if (e->watch.fd >= 0)
            result = loop_want(p->of->loop, &e->watch, events);
    }
    return result;
}

/* Keeps what the end did not take. Returns 0, or 1 without memory. */
static int keep(struct end *e, const char *p, size_t n)
{
    e->pending = malloc(n);
    if (!e->pending)
        return 1;
    memcpy(e->pending, p, n);
    e->from = 0;
    e->to = n;
    return 0;
}

/* Sends what it can. Returns how much, or -1 where the connection is broken. */
static ssize_t send_some(const struct end *e, const char *p, size_t n)
{
    ssize_t sent = send(e->watch.fd, p, n, MSG_NOSIGNAL);

    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void tell_end(struct end *e)
{
    if (e->told || e->pending || !other(e)->said_all)
        return;
    shutdown(e->watch.fd, SHUT_WR);
    e->told = true;
}

static int flush(struct end *e)
{
    if (!e->pending)
        return 0;
    ssize_t n = send_some(e, e->pending + e->from, e->to - e->from);
    if (n < 0)
        return 1;
    e->from += (size_t)n;
    if (e->from == e->to) {
        free(e->pending);
        e->pending = NULL;
        tell_end(e);
    }
    return 0;
}

/* Moves what came from an end to the other. Returns 0, or 1 where the connection is broken. */
static int move(struct end *e)
{
    static char piece[PIECE]; /* one thread */
    struct end *to = other(e);

    for (int turn = 0; turn < TURNS && !to->pending && !e->said_all; turn++) {
        ssize_t n = recv(e->watch.fd, piece, sizeof piece, 0);
        if (n < 0)
            return errno != EAGAIN && errno != EINTR;
        if (n == 0) {
            e->said_all = true;
            tell_end(to);
            return 0;
        }
        ssize_t sent = send_some(to, piece, (size_t)n);
        if (sent < 0 || (sent < n && keep(to, piece + sent, (size_t)(n - sent))))
            return 1;
    }
    return 0;
}

static void on_data(struct loop_watch *w, uint32_t events)
{
    struct end *e = (struct end *)w;
    struct relay_pair *p = e->of;
    int broken = 0;

    if (events & EPOLLOUT)
        broken = flush(e);
    if (!broken && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        broken = move(e);
    if (broken || want(p))
        end_pair(p, true);
    else if (p->ends[CLIENT].told && p->ends[RELEASE].told)
        end_pair(p, false);
}

static void hold(struct relay_pair *p)
{
    leave(p);
    loop_forget(p->of->loop, &p->ends[RELEASE].watch);
    p->again_at = clock_mono() + RELAY_RETRY_MS;
}

static void on_connected(struct loop_watch *w, uint32_t events)
{
    struct relay_pair *p = ((struct end *)w)->of;
    int reason = 0;
    socklen_t size = sizeof reason;

    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &reason, &size) || reason) {
        hold(p);
        return;
    }
    p->connected = true;
    w->ready = on_data;
    if (want(p))
        end_pair(p, true);
}

/* Small answers are not to wait for more, and ends that vanish are to be noticed. */
static void set_options(int fd)
{
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

int relay_connect(const struct relay_place *place)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)place->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)place->port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool four = place->family == AF_INET;
    int fd = socket(place->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, four ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                four ? sizeof v4 : sizeof v6) == 0 ||
        errno == EINPROGRESS) {
        set_options(fd);
        return fd;
    }
    close(fd);
    return -1;
}

static void try_place(struct relay_pair *p)
{
    struct end *e = &p->ends[RELEASE];
    struct relay_place *place = p->of->choose(p->of->context);
    int fd = place ? relay_connect(place) : -1;

    if (fd < 0) {
        p->again_at = clock_mono() + RELAY_RETRY_MS;
        return;
    }
    p->place = place;
    place->open++;
    p->of->held--;
    e->watch = (struct loop_watch){.fd = fd, .ready = on_connected};
    if (want(p))
        end_pair(p, true);
}

static void take(struct relay *r, int fd)
{
    struct relay_pair *p = calloc(1, sizeof *p);

    if (!p) {
        close(fd);
        return;
    }
    set_options(fd);
    p->of = r;
    for (int i = 0; i < 2; i++)
        p->ends[i] = (struct end){.watch = {.fd = -1, .ready = on_data}, .of = p};
    p->ends[CLIENT].watch.fd = fd;
    p->until = clock_mono() + r->hold_ms;
    p->next = r->pairs;
    p->at = &r->pairs;
    if (p->next)
        p->next->at = &p->next;
    r->pairs = p;
    r->n++;
    r->held++;
    try_place(p);
}

static int watch_listeners(struct relay *r)
{
    uint32_t events = r->accepting && !r->full_until ? EPOLLIN : 0;
    int result = 0;

    for (size_t i = 0; i < r->n_listeners && result == 0; i++)
        result = loop_want(r->loop, &r->listeners[i].watch, events);
    return result;
}

static void stop_for(struct relay *r, int64_t ms)
{
    r->full_until = clock_mono() + ms;
    watch_listeners(r);
}

static void on_connection(struct loop_watch *w, uint32_t events)
{
    struct relay *r = ((struct relay_listener *)w)->of;

    for (int i = 0; i < ACCEPTS && r->n < r->max; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
            return;
        if (fd < 0) {
            stop_for(r, PAUSE_MS); /* no descriptor or no memory is left */
            return;
        }
        take(r, fd);
    }
    if (r->n >= r->max)
        stop_for(r, 1);
}

void relay_listen_on(struct relay *r, int fd)
{
    struct relay_listener *l = &r->listeners[r->n_listeners++];

    *l = (struct relay_listener){.watch = {.fd = fd, .ready = on_connection}, .of = r};
}

int relay_accept(struct relay *r, bool accepting)
{
    for (size_t i = 0; i < r->n_listeners && accepting && !r->accepting; i++)
        if (listen(r->listeners[i].watch.fd, BACKLOG))
            return fault_errno(FAULT_IO, errno, "cannot listen");
    r->accepting = accepting;
    return watch_listeners(r);
}

static void tend_held(struct relay *r, int64_t now)
{
    for (struct relay_pair *p = r->pairs, *next; p; p = next) {
        next = p->next;
        if (!p->place && now >= p->until)
            end_pair(p, true);
        else if (!p->place && now >= p->again_at)
            try_place(p);
    }
}

bool relay_tend(struct relay *r)
{
    int64_t now = clock_mono();

    if (r->held && now >= r->tend_at) {
        tend_held(r, now);
        r->tend_at = now + RELAY_RETRY_MS;
    }
    while (r->ended) {
        struct relay_pair *p = r->ended;
        r->ended = p->next;
        free(p);
    }
    if (r->full_until && now >= r->full_until && r->n < r->max) {
        r->full_until = 0;
        watch_listeners(r);
    }
    return r->held || r->full_until;
}

void relay_cut(struct relay *r, const struct relay_place *place)
{
    for (struct relay_pair *p = r->pairs, *next; p; p = next) {
        next = p->next;
        if (p->place == place)
            end_pair(p, true);
    }
}

void relay_close(struct relay *r)
{
    while (r->pairs)
        end_pair(r->pairs, false);
    relay_tend(r);
    for (size_t i = 0; i < r->n_listeners; i++)
        loop_forget(r->loop, &r->listeners[i].watch);
}
