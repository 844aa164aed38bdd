#include "net/dns.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/dns_answer.h"
#include "net/dns_name.h"

#include <ares.h>
#include <poll.h>
#include <pthread.h>

enum {
    TRIES = 2,
    UDP_SIZE = 1232, /* what passes everywhere in one piece */
    PACKET_MAX = 65535,
    CLASS_IN = 1,
    SERVER_SIZE = 64
};

struct question {
    ares_channel channel;
    bool done;
    int status; /* c-ares's */
    struct buf packet;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started;

static void start(void)
{
    started = ares_library_init(ARES_LIB_INIT_ALL);
}

static void take_answer(void *context, int status, int timeouts, unsigned char *packet, int n)
{
    struct question *q = context;

    q->done = true;
    q->status = status;
    if (packet && n > 0)
        buf_add(&q->packet, packet, (size_t)n);
}

/* An address with a port, in characters of which no list is made. */
static int set_server(ares_channel channel, struct str server)
{
    char text[SERVER_SIZE];

    if (server.n >= sizeof text)
        return DNS_INVALID;
    for (size_t i = 0; i < server.n; i++)
        if (!server.p[i] || !strchr("0123456789abcdefABCDEF.:[]", server.p[i]))
            return DNS_INVALID;
    memcpy(text, server.p, server.n);
    text[server.n] = '\0';
    int status = ares_set_servers_ports_csv(channel, text);
    if (status == ARES_ENOMEM)
        return fault_set(FAULT_MEMORY, "no memory for a name server");
    return status == ARES_SUCCESS ? 0 : DNS_INVALID;
}

static int open_channel(const struct dns_options *o, int64_t timeout_ms, ares_channel *ret)
{
    /* The second try takes twice as long as the first: together the whole time. */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = timeout_ms < 3 ? 1 : (int)(timeout_ms / 3),
        .tries = TRIES,
        .ednspsz = UDP_SIZE,
    };
    ares_channel channel;

    if (pthread_once(&once, start) != 0 || started != ARES_SUCCESS)
        return fault_set(FAULT_INTERNAL, "cannot start c-ares");
    int status =
        ares_init_options(&channel, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ);
    if (status == ARES_ENOMEM)
        return fault_set(FAULT_MEMORY, "no memory for a name server");
    if (status != ARES_SUCCESS) {
        fault_keep("the system's name servers cannot be read: %s", ares_strerror(status));
        return DNS_FAILED;
    }
    int r = o->server.n > 0 ? set_server(channel, o->server) : 0;
    if (r) {
        ares_destroy(channel);
        return r;
    }
    *ret = channel;
    return 0;
}

/* How long to wait for the sockets, at most remaining_ms. */
static int wait_ms(ares_channel channel, int64_t remaining_ms)
{
    struct timeval most = {.tv_sec = remaining_ms / CLOCK_SECOND,
                           .tv_usec = remaining_ms % CLOCK_SECOND * 1000},
                   space;
    const struct timeval *next = ares_timeout(channel, &most, &space);

    return (int)(next->tv_sec * CLOCK_SECOND + (next->tv_usec + 999) / 1000);
}

static void wait_once(ares_channel channel, int64_t remaining_ms)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    /* Its macros shift a signed one by 31 places. */
    unsigned readable = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM),
             writable = readable >> ARES_GETSOCK_MAXNUM;
    nfds_t n = 0;

    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events =
            (short)((readable >> i & 1 ? POLLIN : 0) | (writable >> i & 1 ? POLLOUT : 0));
        if (events)
            fds[n++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    int ready = poll(fds, n, wait_ms(channel, remaining_ms));
    if (ready <= 0) /* a try is over */
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (nfds_t i = 0; ready > 0 && i < n; i++)
        if (fds[i].revents)
            ares_process_fd(
                channel,
                fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
                fds[i].revents & (POLLOUT | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD);
}

/* Asks and waits until there is an answer or the time is over; then q->done is set. */
static void ask(struct question *q, const char *name, enum dns_type type, int64_t timeout_ms)
{
    int64_t deadline = clock_mono() + timeout_ms, now;

    ares_query(q->channel, name, CLASS_IN, (int)type, take_answer, q);
    while (!q->done && (now = clock_mono()) < deadline)
        wait_once(q->channel, deadline - now);
    if (!q->done) {
        ares_cancel(q->channel); /* which calls take_answer */
        q->status = ARES_ETIMEOUT;
    }
}

static int read_answer(const struct question *q, struct str name, enum dns_type type,
                       struct arena *arena, struct dns_answer *ret)
{
    if (buf_fault(&q->packet))
        return buf_fault(&q->packet);
    if (q->status == ARES_ENOMEM)
        return fault_set(FAULT_MEMORY, "no memory for an answer");
    if (q->status != ARES_SUCCESS && q->status != ARES_ENODATA && q->status != ARES_ENOTFOUND) {
        fault_keep("%s", ares_strerror(q->status));
        return DNS_FAILED;
    }
    return dns_answer_read(buf_str(&q->packet), name, type, arena, ret);
}

int dns_query(const struct dns_options *options, struct str name, enum dns_type type,
              struct arena *arena, struct dns_answer *ret)
{
    int64_t timeout_ms = options->timeout_ms ? options->timeout_ms : DNS_TIMEOUT_MS;
    struct question q = {.packet = buf_init(PACKET_MAX)};
    char text[DNS_NAME_MAX + 1];

    if (!dns_name_is_owner(name) || timeout_ms < 0 || timeout_ms > DNS_TIMEOUT_MAX)
        return DNS_INVALID;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    int r = open_channel(options, timeout_ms, &q.channel);
    if (r)
        return r;
    ask(&q, text, type, timeout_ms);
    r = read_answer(&q, name, type, arena, ret);
    ares_destroy(q.channel);
    buf_free(&q.packet);
    return r;
}
