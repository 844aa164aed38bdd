#include "net/dns_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, COUNT_AT = 6 };

void packet_set(struct dns_packet *p, size_t at, unsigned value)
{
    p->bytes[at] = (uint8_t)(value >> 8);
    p->bytes[at + 1] = (uint8_t)value;
}

unsigned packet_get(const struct dns_packet *p, size_t at)
{
    return (unsigned)p->bytes[at] << 8 | p->bytes[at + 1];
}

void packet_add(struct dns_packet *p, const void *bytes, size_t n)
{
    if (n > sizeof p->bytes - p->n)
        abort();
    memcpy(p->bytes + p->n, bytes, n);
    p->n += n;
}

static void add_u16(struct dns_packet *p, unsigned value)
{
    packet_add(p, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void add_name(struct dns_packet *p, const char *name)
{
    struct str rest = str_of(name), label;

    while (str_next(&rest, '.', &label)) {
        packet_add(p, &(uint8_t){(uint8_t)label.n}, 1);
        packet_add(p, label.p, label.n);
    }
    packet_add(p, "", 1);
}

void packet_begin(struct dns_packet *p, unsigned id, unsigned flags, const char *name,
                  unsigned type)
{
    p->n = 0;
    add_u16(p, id);
    add_u16(p, flags);
    add_u16(p, 1);
    packet_add(p, (uint8_t[6]){0}, 6);
    add_name(p, name);
    add_u16(p, type);
    add_u16(p, 1);
}

void packet_record(struct dns_packet *p, const char *name, unsigned type, const void *data,
                   size_t n)
{
    packet_set(p, COUNT_AT, packet_get(p, COUNT_AT) + 1);
    add_name(p, name);
    add_u16(p, type);
    add_u16(p, 1);
    packet_add(p, (uint8_t[4]){0, 0, 0x0E, 0x10}, 4);
    add_u16(p, (unsigned)n);
    packet_add(p, data, n);
}

void packet_text(struct dns_packet *p, const char *name, const char *text)
{
    struct dns_packet data = {.n = 0};
    size_t n = strlen(text);

    do {
        size_t part = n > 255 ? 255 : n;
        packet_add(&data, &(uint8_t){(uint8_t)part}, 1);
        packet_add(&data, text, part);
        text += part;
        n -= part;
    } while (n > 0);
    packet_record(p, name, DNS_TXT, data.bytes, data.n);
}

void packet_alias(struct dns_packet *p, const char *name, const char *target)
{
    struct dns_packet data = {.n = 0};

    add_name(&data, target);
    packet_record(p, name, DNS_CNAME, data.bytes, data.n);
}

void packet_mx(struct dns_packet *p, const char *name, unsigned preference, const char *host)
{
    struct dns_packet data = {.n = 0};

    add_u16(&data, preference);
    add_name(&data, host);
    packet_record(p, name, DNS_MX, data.bytes, data.n);
}

/* The question of a query: its name as text and its type. */
static bool read_question(const struct dns_packet *q, char name[256], unsigned *ret_type)
{
    size_t at = HEADER, n = 0;

    while (at < q->n && q->bytes[at] != 0) {
        size_t label = q->bytes[at];
        if (label > 63 || q->n - at < label + 1 || n + label + 1 > 255)
            return false;
        memcpy(name + n, q->bytes + at + 1, label);
        n += label;
        name[n++] = '.';
        at += label + 1;
    }
    if (n == 0 || q->n - at < 5)
        return false;
    name[n - 1] = '\0';
    *ret_type = packet_get(q, at + 1);
    return true;
}

static bool make_answer(struct dns_peer *p, const struct dns_packet *q, bool tcp,
                        struct dns_packet *ret)
{
    char name[256];
    unsigned type;

    if (q->n < HEADER || !read_question(q, name, &type))
        return false;
    atomic_fetch_add(tcp ? &p->tcp_questions : &p->questions, 1);
    packet_begin(ret, packet_get(q, 0), 0x8180, name, type);
    return p->answer(p->context, name, type, tcp, ret);
}

static void serve_udp(struct dns_peer *p, struct dns_packet *q, struct dns_packet *a)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(p->udp, q->bytes, sizeof q->bytes, 0, (struct sockaddr *)&from, &size);

    if (n <= 0)
        return;
    q->n = (size_t)n;
    if (make_answer(p, q, false, a))
        sendto(p->udp, a->bytes, a->n, 0, (const struct sockaddr *)&from, size);
}

static void serve_tcp(struct dns_peer *p, struct dns_packet *q, struct dns_packet *a)
{
    struct peer_conn c = {.fd = accept4(p->tcp, NULL, NULL, SOCK_CLOEXEC)};
    uint8_t length[2];

    if (c.fd < 0)
        return;
    if (peer_read(&c, length, 2)) {
        q->n = (size_t)length[0] << 8 | length[1];
        if (peer_read(&c, q->bytes, q->n) && make_answer(p, q, true, a)) {
            length[0] = (uint8_t)(a->n >> 8);
            length[1] = (uint8_t)a->n;
            peer_write(&c, length, 2);
            peer_write(&c, a->bytes, a->n);
        }
    }
    close(c.fd);
}

static void *serve(void *context)
{
    struct dns_peer *p = context;
    struct dns_packet *packets = calloc(2, sizeof *packets);
    struct pollfd fds[] = {{p->stop[0], POLLIN, 0}, {p->udp, POLLIN, 0}, {p->tcp, POLLIN, 0}};

    if (!packets)
        abort();
    while (poll(fds, 3, -1) > 0 && !fds[0].revents) {
        if (fds[1].revents)
            serve_udp(p, &packets[0], &packets[1]);
        if (fds[2].revents)
            serve_tcp(p, &packets[0], &packets[1]);
    }
    free(packets);
    return NULL;
}

/* UDP and TCP on one port; another is tried where the TCP one is taken. */
static bool bind_both(struct dns_peer *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;

    p->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    p->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->udp >= 0 && p->tcp >= 0);
    assert_int_equal(bind(p->udp, (const struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(p->udp, (struct sockaddr *)&a, &n), 0);
    snprintf(p->server, sizeof p->server, "127.0.0.1:%d", ntohs(a.sin_port));
    if (bind(p->tcp, (const struct sockaddr *)&a, n) == 0 && listen(p->tcp, 8) == 0)
        return true;
    close(p->udp);
    close(p->tcp);
    return false;
}

void dns_peer_start(struct dns_peer *p)
{
    int tries = 0;

    while (!bind_both(p))
        assert_true(++tries < 20);
    assert_int_equal(pipe(p->stop), 0);
    atomic_store(&p->questions, 0);
    atomic_store(&p->tcp_questions, 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

void dns_peer_stop(struct dns_peer *p)
{
    assert_int_equal(write(p->stop[1], "x", 1), 1);
    pthread_join(p->thread, NULL);
    close(p->stop[0]);
    close(p->stop[1]);
    close(p->udp);
    close(p->tcp);
}

static void add_row(struct dns_packet *p, const struct zone_row *row)
{
    uint8_t address[16];
    const char *space;

    switch (row->type) {
    case DNS_TXT:
        packet_text(p, row->name, row->text);
        break;
    case DNS_CNAME:
        packet_alias(p, row->name, row->text);
        break;
    case DNS_MX:
        space = strchr(row->text, ' ');
        packet_mx(p, row->name, (unsigned)strtoul(row->text, NULL, 10), space + 1);
        break;
    case DNS_A:
        inet_pton(AF_INET, row->text, address);
        packet_record(p, row->name, DNS_A, address, 4);
        break;
    case DNS_AAAA:
        inet_pton(AF_INET6, row->text, address);
        packet_record(p, row->name, DNS_AAAA, address, 16);
        break;
    }
}

bool zone_answer(void *context, const char *name, unsigned type, bool tcp, struct dns_packet *p)
{
    bool there = false;

    for (const struct zone_row *row = context; row->name; row++) {
        if (!str_eq_ci(str_of(row->name), str_of(name)))
            continue;
        if (row->text && strcmp(row->text, "!") == 0)
            return false;
        there = true;
        if (row->text && (row->type == type || row->type == DNS_CNAME)) {
            add_row(p, row);
            if (row->type == DNS_CNAME && type != DNS_CNAME)
                return zone_answer(context, row->text, type, tcp, p);
        }
    }
    if (!there)
        packet_set(p, 2, 0x8183);
    return true;
}
