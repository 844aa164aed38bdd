#include "mail/sandbox_server.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 1000,
    READ_SIZE = 4096,
    REPLIES_MAX = 1024 * 1024, /* what the commands of one read can bring at most, and more */
    ERRORS_MAX = 10,
    LINGER_MS = 2000, /* for a client to read the last reply before its socket goes */
    PAUSE_MS = 200    /* without descriptors, before connections are accepted again */
};

enum phase { TALKING, LEAVING, LINGERING };

struct conn {
    int fd; /* -1: free */
    enum phase phase;
    int64_t silent_until, ends_at; /* of clock_mono */
    struct smtp_dialogue *dialogue;
    struct buf out;
};

struct sandbox_server {
    struct sandbox_server_options options;
    struct smtp_limits limits;
    int listener, wake, port;
    pthread_t thread;
    atomic_bool stopping;
    int64_t drain_until; /* 0 until the thread has seen that it is to stop */
    int64_t accept_at;
    struct conn *conns;
    struct pollfd *polls; /* wake, listener, connections */
};

static void conn_close(struct conn *c)
{
    close(c->fd);
    smtp_dialogue_free(c->dialogue);
    buf_free(&c->out);
    *c = (struct conn){.fd = -1};
}

/* Sends what there is. Returns false where the connection is broken. */
static bool conn_flush(struct sandbox_server *s, struct conn *c)
{
    while (c->out.n > 0) {
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        buf_consume(&c->out, (size_t)n);
        c->silent_until = clock_mono() + s->options.idle_ms;
    }
    return true;
}

/*
 * Nothing more is said. Closing at once, with bytes of the client unread, would reset the
 * connection and could take the last reply away.
 */
static void conn_linger(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
    c->phase = LINGERING;
    c->ends_at = clock_mono() + LINGER_MS;
}

/* Sends, and goes on to what follows once all is sent. */
static void conn_send(struct sandbox_server *s, struct conn *c)
{
    if (!conn_flush(s, c))
        conn_close(c);
    else if (c->out.n == 0 && c->phase == LEAVING)
        conn_linger(c);
}

static void conn_dismiss(struct sandbox_server *s, struct conn *c, const char *reason)
{
    if (c->phase == TALKING) {
        smtp_dialogue_dismiss(c->dialogue, reason, &c->out);
        c->phase = LEAVING;
        c->ends_at = clock_mono() + LINGER_MS;
        conn_send(s, c);
    } else {
        conn_close(c);
    }
}

/* Gives the dialogue bytes and each message to `take`. Returns 0 or a fault. */
static int conn_feed(struct sandbox_server *s, struct conn *c, const char *p, size_t n)
{
    enum smtp_state state = SMTP_MORE;
    int r = 0;

    while (r == 0 && n > 0 && state != SMTP_CLOSE) {
        size_t used = 0;
        r = smtp_dialogue_feed(c->dialogue, p, n, &c->out, &used, &state);
        p += used;
        n -= used;
        if (r == 0 && state == SMTP_MESSAGE)
            r = smtp_dialogue_answer(
                c->dialogue,
                s->options.take(s->options.context, smtp_dialogue_message(c->dialogue)), &c->out);
    }
    if (state == SMTP_CLOSE)
        c->phase = LEAVING;
    return r;
}

static void conn_read(struct sandbox_server *s, struct conn *c)
{
    char bytes[READ_SIZE];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (c->phase != TALKING)
        return;
    int r = conn_feed(s, c, bytes, (size_t)n);
    c->silent_until = clock_mono() + s->options.idle_ms;
    if (r) {
        log_fault("a sandbox's SMTP connection was cut off", r);
        conn_close(c);
    } else {
        conn_send(s, c);
    }
}

/* A greeted connection, or false without memory. */
static bool conn_open(struct sandbox_server *s, struct conn *c, int fd)
{
    int64_t now = clock_mono();
    struct conn opened = {.fd = fd,
                          .silent_until = now + s->options.idle_ms,
                          .ends_at = now + s->options.session_ms,
                          .out = buf_init(REPLIES_MAX)};

    if (smtp_dialogue_new(&s->limits, &opened.dialogue))
        return false;
    *c = opened;
    smtp_dialogue_greet(c->dialogue, &c->out);
    conn_send(s, c);
    return true;
}

static struct conn *free_conn(struct sandbox_server *s)
{
    for (size_t i = 0; i < s->options.connections_max; i++)
        if (s->conns[i].fd < 0)
            return &s->conns[i];
    return NULL;
}

static void accept_one(struct sandbox_server *s)
{
    static const char full[] = "421 4.3.2 Too many connections\r\n";
    int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            s->accept_at = clock_mono() + PAUSE_MS;
        return;
    }
    struct conn *c = free_conn(s);
    if (!c || !conn_open(s, c, fd)) {
        send(fd, full, sizeof full - 1, MSG_NOSIGNAL);
        close(fd);
    }
}

/* Ends who was silent for too long or is here for too long. */
static void check_deadlines(struct sandbox_server *s, int64_t now)
{
    for (size_t i = 0; i < s->options.connections_max; i++) {
        struct conn *c = &s->conns[i];
        if (c->fd >= 0 && (now >= c->ends_at || (c->phase != LINGERING && now >= c->silent_until)))
            conn_dismiss(s, c, "The time is up");
    }
}

/* Whether the thread may end. */
static bool drain(struct sandbox_server *s, int64_t now)
{
    bool open = false;

    if (s->drain_until == 0) {
        s->drain_until = now + s->options.drain_ms;
        close(s->listener);
        s->listener = -1;
    }
    for (size_t i = 0; i < s->options.connections_max; i++) {
        struct conn *c = &s->conns[i];
        if (c->fd >= 0 && c->phase == TALKING &&
            (now >= s->drain_until || !smtp_dialogue_busy(c->dialogue)))
            conn_dismiss(s, c, "The server stops");
        open |= c->fd >= 0;
    }
    return !open;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Fills the poll set; returns how long to wait, in ms. */
static int prepare(struct sandbox_server *s, int64_t now)
{
    int64_t until = now + CLOCK_MINUTE;
    bool accepting = s->listener >= 0 && now >= s->accept_at;

    s->polls[0] = (struct pollfd){s->drain_until ? -1 : s->wake, POLLIN, 0};
    s->polls[1] = (struct pollfd){accepting ? s->listener : -1, POLLIN, 0};
    if (s->listener >= 0 && !accepting)
        until = earlier(until, s->accept_at);
    if (s->drain_until > now)
        until = earlier(until, s->drain_until);
    for (size_t i = 0; i < s->options.connections_max; i++) {
        const struct conn *c = &s->conns[i];
        s->polls[2 + i] = (struct pollfd){c->fd, c->out.n > 0 ? POLLOUT : POLLIN, 0};
        if (c->fd >= 0)
            until = earlier(until, c->phase == LINGERING ? c->ends_at
                                                         : earlier(c->ends_at, c->silent_until));
    }
    return until > now ? (int)(until - now) : 0;
}

static void *serve(void *arg)
{
    struct sandbox_server *s = arg;

    for (;;) {
        int64_t now = clock_mono();
        check_deadlines(s, now);
        if (atomic_load(&s->stopping) && drain(s, now))
            return NULL;
        if (poll(s->polls, 2 + s->options.connections_max, prepare(s, now)) <= 0)
            continue;
        for (size_t i = 0; i < s->options.connections_max; i++) {
            struct conn *c = &s->conns[i];
            if (c->fd < 0 || s->polls[2 + i].revents == 0)
                continue;
            if (c->out.n > 0)
                conn_send(s, c);
            else
                conn_read(s, c);
        }
        if (s->polls[1].revents)
            accept_one(s);
    }
}

static int open_listener(const char *host, int port, int *ret_fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    int on = 1;

    snprintf(service, sizeof service, "%u", (unsigned)port % 65536);
    int r = getaddrinfo(host, service, &hints, &found);
    if (r)
        return fault_set(FAULT_IO, "cannot listen on %s: %s", host, gai_strerror(r));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool failed = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
                  bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, SOMAXCONN);
    int error = errno;
    freeaddrinfo(found);
    if (failed) {
        if (fd >= 0)
            close(fd);
        return fault_errno(FAULT_IO, error, "cannot listen on %s port %d", host, port);
    }
    *ret_fd = fd;
    return 0;
}

static int bound_port(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t n = sizeof storage;
    char service[8] = "";
    uint64_t port = 0;

    if (getsockname(fd, (struct sockaddr *)&storage, &n) == 0 &&
        getnameinfo((struct sockaddr *)&storage, n, NULL, 0, service, sizeof service,
                    NI_NUMERICSERV) == 0)
        str_to_u64(str_of(service), 65535, &port);
    return (int)port;
}

static struct sandbox_server_options with_defaults(struct sandbox_server_options o)
{
    o.host = o.host ? o.host : "127.0.0.1";
    o.name = o.name ? o.name : "localhost";
    o.connections_max = o.connections_max ? o.connections_max : 64;
    if (o.connections_max > CONNECTIONS_MAX)
        o.connections_max = CONNECTIONS_MAX;
    o.message_max = o.message_max ? o.message_max : 10 * 1024 * 1024;
    o.idle_ms = o.idle_ms ? o.idle_ms : CLOCK_MINUTE;
    o.session_ms = o.session_ms ? o.session_ms : 10 * CLOCK_MINUTE;
    o.drain_ms = o.drain_ms ? o.drain_ms : 5 * CLOCK_SECOND;
    return o;
}

static void server_free(struct sandbox_server *s)
{
    if (s->listener >= 0)
        close(s->listener);
    if (s->wake >= 0)
        close(s->wake);
    free(s->conns);
    free(s->polls);
    free(s);
}

/* The descriptors and the tables. */
static int server_prepare(struct sandbox_server *s)
{
    size_t n = s->options.connections_max;
    int r = open_listener(s->options.host, s->options.port, &s->listener);

    if (r)
        return r;
    s->port = bound_port(s->listener);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake < 0)
        return fault_errno(FAULT_IO, errno, "cannot make an eventfd");
    s->conns = calloc(n, sizeof *s->conns);
    s->polls = calloc(2 + n, sizeof *s->polls);
    if (!s->conns || !s->polls)
        return fault_set(FAULT_MEMORY, "no memory for the sandbox's connections");
    for (size_t i = 0; i < n; i++)
        s->conns[i].fd = -1;
    return 0;
}

/* Signals are for the main thread. */
static int start_thread(struct sandbox_server *s)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, serve, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? fault_errno(FAULT_INTERNAL, error, "cannot start the sandbox's thread") : 0;
}

int sandbox_server_start(const struct sandbox_server_options *options,
                         struct sandbox_server **ret_server)
{
    struct sandbox_server *s = calloc(1, sizeof *s);

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the sandbox");
    s->options = with_defaults(*options);
    s->limits = (struct smtp_limits){s->options.name, s->options.message_max, ERRORS_MAX};
    s->listener = s->wake = -1;
    int r = server_prepare(s);
    if (r == 0)
        r = start_thread(s);
    if (r) {
        server_free(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

int sandbox_server_port(const struct sandbox_server *s)
{
    return s->port;
}

void sandbox_server_stop(struct sandbox_server *s)
{
    const uint64_t one = 1;

    if (!s)
        return;
    atomic_store(&s->stopping, true);
    while (write(s->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(s->thread, NULL);
    server_free(s);
}
