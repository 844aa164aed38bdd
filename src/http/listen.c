#include "http/listen.h"

#include "base/fault.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

union address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

static int resolve(const char *host, int port, union address *ret, socklen_t *ret_n)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];

    if (!host) {
        *ret = (union address){.in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any}};
        ret->in6.sin6_port = htons((uint16_t)port);
        *ret_n = sizeof ret->in6;
        return 0;
    }
    snprintf(service, sizeof service, "%u", (unsigned)port % 65536);
    int r = getaddrinfo(host, service, &hints, &found);
    if (r)
        return fault_set(FAULT_IO, "cannot listen on %s: %s", host, gai_strerror(r));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_n = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* A bound socket, or -1 with errno. */
static int bind_socket(const union address *a, socklen_t n, bool shared)
{
    int on = 1, off = 0;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, &a->any, n)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int bound_port(int fd)
{
    union address a = {0};
    socklen_t n = sizeof a;

    if (getsockname(fd, &a.any, &n))
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in4.sin_port);
}

static void set_port(union address *a, int port)
{
    if (a->any.sa_family == AF_INET6)
        a->in6.sin6_port = htons((uint16_t)port);
    else
        a->in4.sin_port = htons((uint16_t)port);
}

/*
 * Sockets that share a port would share it with another process of ours too. So the port is first
 * bound without sharing, which fails where anybody listens there.
 */
static int probe(const union address *a, socklen_t n)
{
    int fd = bind_socket(a, n, false);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int open_all(union address *a, socklen_t length, int n, int *fds)
{
    for (int i = 0; i < n; i++) {
        fds[i] = bind_socket(a, length, true);
        if (fds[i] < 0 || listen(fds[i], BACKLOG)) {
            int error = errno;
            for (int j = 0; j <= i && fds[j] >= 0; j++)
                close(fds[j]);
            errno = error;
            return -1;
        }
        set_port(a, bound_port(fds[i]));
    }
    return 0;
}

int listen_open(const char *host, int port, int n, int *ret_fds, int *ret_port)
{
    union address a;
    socklen_t length = 0;

    int r = resolve(host, port, &a, &length);
    if (r)
        return r;
    if ((port && probe(&a, length)) || open_all(&a, length, n, ret_fds)) {
        if (!host && errno == EAFNOSUPPORT) /* a machine without IPv6 */
            return listen_open("0.0.0.0", port, n, ret_fds, ret_port);
        return fault_errno(FAULT_IO, errno, "cannot listen on %s port %d", host ? host : "*", port);
    }
    *ret_port = bound_port(ret_fds[0]);
    return 0;
}

static struct in6_addr peer_of(const union address *a)
{
    struct in6_addr peer = IN6ADDR_ANY_INIT;

    if (a->any.sa_family == AF_INET6)
        return a->in6.sin6_addr;
    peer.s6_addr[10] = peer.s6_addr[11] = 0xFF;
    memcpy(peer.s6_addr + 12, &a->in4.sin_addr, 4);
    return peer;
}

/* Best effort: who is over a limit gets no connection of ours to wait for its reading. */
static void turn_away(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";

    send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    close(fd);
}

/* Whether the connection is within the limits, and is counted then. */
static bool admit(struct http_engine *e, struct accepted *a)
{
    const struct http_app *app = &e->app;

    if (atomic_fetch_add(&e->connections, 1) < e->options.connections_max) {
        a->counted = e->peers && !(app->trusts_peer && app->trusts_peer(app->context, &a->peer));
        if (!a->counted || peers_enter(e->peers, &a->peer) == 0)
            return true;
    }
    atomic_fetch_sub(&e->connections, 1);
    return false;
}

int listen_accept(struct loop *loop, struct accepted *ret)
{
    union address address = {0};
    socklen_t n = sizeof address;

    do {
        ret->fd = accept4(loop->listener, &address.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (ret->fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (ret->fd < 0) {
        ret->error = errno;
        return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM
                   ? LISTEN_EXHAUSTED
                   : LISTEN_NONE;
    }
    ret->peer = peer_of(&address);
    if (admit(loop->engine, ret))
        return LISTEN_TAKEN;
    metric_add(&loop->refused, 1); /* before the client can know of it */
    turn_away(ret->fd);
    return LISTEN_REFUSED;
}
