#include "bench/load.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "bench/answer.h"
#include "bench/latency.h"
#include "bench/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A closed loop: each connection has one request under way, and sends the next when the answer is
 * there. When the time is over the answers under way are still awaited, but not counted.
 */

enum {
    EVENTS = 256,
    DRAIN_US = 10 * 1000 * 1000,
    STATUS_MAX = 1000,
    READ_SIZE = 4096,
    EVENT_MAX = 8192
};

struct client {
    int fd;
    size_t line;        /* of the input, which its requests are made from */
    struct buf request; /* made anew for each only where it changes */
    size_t sent;
    struct buf answer;
    struct buf token; /* LOAD_REFRESH: the present one */
    int64_t began_us;
    bool busy;
};

struct drive {
    const struct load_options *o;
    int epoll;
    struct client *clients;
    size_t busy;
    int64_t from_us, until_us, now_us;
    uint64_t requests;
    uint64_t next;        /* LOAD_EVENTS and LOAD_EMAILS: number of the message */
    struct buf *prepared; /* requests of the first events */
    size_t body_bytes;
    struct latency latency;
    uint64_t by_status[STATUS_MAX]; /* failures only */
    uint64_t closed, malformed, unanswered;
};

static int make_login(struct client *c, const struct load_options *o)
{
    struct str rest = o->lines[c->line], email;
    if (!str_next(&rest, ' ', &email))
        return fault_set(FAULT_IO, "line %zu of the input is empty", c->line + 1);
    _cleanup_buf_ struct buf body = buf_init(4096);
    struct json_writer w = json_writer(&body);
    json_object_begin(&w);
    json_key(&w, "email");
    json_str(&w, email);
    json_key(&w, "password");
    json_str(&w, rest);
    json_object_end(&w);
    int r = buf_fault(&body);
    return r ? r : load_post(&c->request, o, STR("/auth/login"), STR(""), buf_str(&body));
}

static int make_refresh(struct client *c, const struct load_options *o)
{
    char body[1024];
    int n = snprintf(body, sizeof body, "{\"refreshToken\":\"%.*s\"}", STR_ARG(buf_str(&c->token)));
    if (n < 0 || (size_t)n >= sizeof body)
        return fault_set(FAULT_LIMIT, "a refresh token of %zu bytes", c->token.n);
    return load_post(&c->request, o, STR("/auth/refresh"), STR(""), (struct str){body, (size_t)n});
}

static int make_event(struct drive *d, struct client *c)
{
    uint64_t n = d->next++, i = n - d->o->first;

    return i < d->o->prepared ? buf_add_str(&c->request, buf_str(&d->prepared[i]))
                              : load_event(&c->request, d->o, n);
}

/* On a machine that the server shares, signing would be measured too. */
static int prepare_events(struct drive *d)
{
    int r = 0;

    d->prepared = calloc(d->o->prepared + 1, sizeof *d->prepared);
    if (!d->prepared)
        return fault_set(FAULT_MEMORY, "no memory for requests");
    for (uint64_t i = 0; r == 0 && i < d->o->prepared; i++) {
        d->prepared[i] = buf_init(EVENT_MAX);
        r = load_event(&d->prepared[i], d->o, d->o->first + i);
    }
    return r;
}

static int make_request(struct drive *d, struct client *c)
{
    const struct load_options *o = d->o;

    c->sent = 0;
    if (o->mode == LOAD_ME && c->request.n > 0)
        return 0;
    buf_reset(&c->request);
    if (o->mode == LOAD_ME)
        return load_get(&c->request, o, o->line_count ? o->lines[c->line] : STR(""));
    if (o->mode == LOAD_REFRESH)
        return make_refresh(c, o);
    if (o->mode == LOAD_EVENTS)
        return make_event(d, c);
    if (o->mode == LOAD_EMAILS)
        return load_email(&c->request, o, d->next++);
    int r = make_login(c, o);
    c->line = (c->line + o->connections) % o->line_count;
    return r;
}

static void client_end(struct drive *d, struct client *c, uint64_t *counter)
{
    ++*counter;
    d->busy -= c->busy;
    c->busy = false;
    close(c->fd);
    c->fd = -1;
}

static void client_write(struct drive *d, struct client *c)
{
    while (c->sent < c->request.n) {
        ssize_t n = send(c->fd, c->request.p + c->sent, c->request.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            client_end(d, c, &d->closed);
            return;
        }
        c->sent += (size_t)n;
    }
}

static int client_begin(struct drive *d, struct client *c)
{
    int r = make_request(d, c);
    if (r)
        return r;
    c->busy = true;
    d->busy++;
    c->began_us = d->now_us;
    client_write(d, c);
    return 0;
}

/* Counts an answer. Returns 0 where the connection may go on, 1 where not. */
static int client_take(struct drive *d, struct client *c, const struct answer *a)
{
    if (a->status < 200 || a->status > 299) {
        d->by_status[a->status]++;
        return d->o->mode == LOAD_REFRESH;
    }
    if (d->o->mode == LOAD_REFRESH) {
        struct str token;
        buf_reset(&c->token);
        if (answer_member(a->body, STR("refreshToken"), &token) || buf_add_str(&c->token, token)) {
            d->malformed++;
            return 1;
        }
    }
    d->body_bytes = a->body.n;
    if (d->now_us >= d->from_us && d->now_us < d->until_us) {
        d->requests++;
        latency_add(&d->latency, d->now_us - c->began_us);
    }
    return 0;
}

/* Reads what is there into c->answer. Returns 0, 1 where the connection has ended, or a fault. */
static int client_receive(struct client *c)
{
    for (;;) {
        int r = buf_reserve(&c->answer, READ_SIZE);
        if (r)
            return r;
        ssize_t n = recv(c->fd, c->answer.p + c->answer.n, READ_SIZE, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return 1;
        c->answer.n += (size_t)n;
        /* Edge-triggered: a full read may have left some behind. */
        if (n < READ_SIZE)
            return 0;
    }
}

/* Takes the answer if it is there whole, and goes on. Returns 0 or a fault. */
static int client_read(struct drive *d, struct client *c)
{
    struct answer a;
    int r = client_receive(c);
    if (r < 0)
        return r;
    if (r > 0) {
        client_end(d, c, &d->closed);
        return 0;
    }
    if (c->answer.n == 0)
        return 0;
    int outcome = answer_read(buf_str(&c->answer), &a);
    if (outcome == ANSWER_MORE)
        return 0;
    if (outcome || a.length != c->answer.n || !c->busy) {
        client_end(d, c, &d->malformed);
        return 0;
    }
    int stop = client_take(d, c, &a);
    buf_reset(&c->answer);
    c->busy = false;
    d->busy--;
    return stop || d->now_us >= d->until_us ? 0 : client_begin(d, c);
}

static int client_open(struct drive *d, size_t i)
{
    struct client *c = &d->clients[i];
    const struct load_options *o = d->o;
    c->request = buf_init(16 * 1024);
    c->answer = buf_init(1024 * 1024 + 32 * 1024);
    c->token = buf_secret(512);
    c->line = o->line_count ? i % o->line_count : 0;
    if (o->mode == LOAD_REFRESH && buf_add_str(&c->token, o->lines[i]))
        return buf_fault(&c->token);
    int r = socket_connect(o->port, (unsigned)(i % o->sources), &c->fd);
    if (r)
        return r;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
        return fault_errno(FAULT_IO, errno, "epoll");
    return 0;
}

static int loop(struct drive *d)
{
    struct epoll_event events[EVENTS];
    int r = 0;
    for (size_t i = 0; r == 0 && i < d->o->connections; i++)
        r = client_begin(d, &d->clients[i]);
    while (r == 0 && d->busy > 0 && d->now_us < d->until_us + DRAIN_US) {
        int n = epoll_wait(d->epoll, events, EVENTS, 100);
        if (n < 0 && errno != EINTR)
            return fault_errno(FAULT_IO, errno, "epoll_wait");
        for (int i = 0; r == 0 && i < n; i++) {
            struct client *c = events[i].data.ptr;
            d->now_us = clock_mono_us();
            if (c->fd >= 0 && events[i].events & EPOLLOUT && c->sent < c->request.n)
                client_write(d, c);
            if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT)
                r = client_read(d, c);
        }
        d->now_us = clock_mono_us();
    }
    d->unanswered = d->busy;
    return r;
}

static bool report_errors(const struct drive *d, struct json_writer *w)
{
    bool any = false;
    json_object_begin(w);
    for (int status = 0; status < STATUS_MAX; status++) {
        char name[8];
        if (!d->by_status[status])
            continue;
        any = true;
        snprintf(name, sizeof name, "%d", status);
        json_key(w, name);
        json_int(w, (int64_t)d->by_status[status]);
    }
    const struct {
        const char *name;
        uint64_t n;
    } others[] = {
        {"closed", d->closed}, {"malformed", d->malformed}, {"unanswered", d->unanswered}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!others[i].n)
            continue;
        any = true;
        json_key(w, others[i].name);
        json_int(w, (int64_t)others[i].n);
    }
    json_object_end(w);
    return any;
}

static bool report(const struct drive *d, struct buf *out)
{
    struct json_writer w = json_writer(out);
    double seconds = (double)d->o->duration_us / 1e6;
    json_object_begin(&w);
    json_key(&w, "mode");
    json_str(&w, str_of(d->o->mode_name));
    json_key(&w, "connections");
    json_int(&w, (int64_t)d->o->connections);
    json_key(&w, "seconds");
    json_double(&w, seconds);
    json_key(&w, "requests");
    json_int(&w, (int64_t)d->requests);
    json_key(&w, "perSecond");
    json_double(&w, (double)d->requests / seconds);
    json_key(&w, "latencyUs");
    json_object_begin(&w);
    json_key(&w, "p50");
    json_int(&w, (int64_t)latency_quantile(&d->latency, 0.5));
    json_key(&w, "p90");
    json_int(&w, (int64_t)latency_quantile(&d->latency, 0.9));
    json_key(&w, "p99");
    json_int(&w, (int64_t)latency_quantile(&d->latency, 0.99));
    json_key(&w, "max");
    json_int(&w, (int64_t)d->latency.max_us);
    json_object_end(&w);
    json_key(&w, "bodyBytes");
    json_int(&w, (int64_t)d->body_bytes);
    if (d->o->mode == LOAD_EVENTS || d->o->mode == LOAD_EMAILS) {
        json_key(&w, "next");
        json_int(&w, (int64_t)d->next);
    }
    json_key(&w, "errors");
    bool failed = report_errors(d, &w);
    json_object_end(&w);
    return failed || d->requests == 0;
}

static int write_tokens(const struct drive *d)
{
    FILE *f = fopen(d->o->output, "we");
    if (!f)
        return fault_errno(FAULT_IO, errno, "%s", d->o->output);
    for (size_t i = 0; i < d->o->connections; i++)
        fprintf(f, "%.*s\n", STR_ARG(buf_str(&d->clients[i].token)));
    bool failed = ferror(f);
    if (fclose(f) != 0 || failed)
        return fault_set(FAULT_IO, "%s: the tokens could not be written", d->o->output);
    return 0;
}

static int run(struct drive *d, struct buf *out)
{
    int r = 0;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll < 0)
        return fault_errno(FAULT_IO, errno, "epoll_create1");
    for (size_t i = 0; r == 0 && i < d->o->connections; i++)
        r = client_open(d, i);
    if (r)
        return r;
    r = prepare_events(d);
    if (r)
        return r;
    d->now_us = clock_mono_us();
    d->from_us = d->now_us + d->o->warmup_us;
    d->until_us = d->from_us + d->o->duration_us;
    r = loop(d);
    if (r == 0 && d->o->output)
        r = write_tokens(d);
    return r ? r : report(d, out);
}

int drive_run(const struct load_options *o, struct buf *out)
{
    struct drive *d = calloc(1, sizeof *d);
    struct client *clients = calloc(o->connections, sizeof *clients);
    if (!d || !clients) {
        free(d);
        free(clients);
        return fault_set(FAULT_MEMORY, "%zu connections", o->connections);
    }
    d->o = o;
    d->clients = clients;
    d->next = o->first;
    for (size_t i = 0; i < o->connections; i++)
        clients[i].fd = -1;
    int r = run(d, out);
    for (size_t i = 0; i < o->connections; i++) {
        if (clients[i].fd >= 0)
            close(clients[i].fd);
        buf_free(&clients[i].request);
        buf_free(&clients[i].answer);
        buf_free(&clients[i].token);
    }
    close(d->epoll);
    for (uint64_t i = 0; d->prepared && i < o->prepared; i++)
        buf_free(&d->prepared[i]);
    free(d->prepared);
    free(clients);
    free(d);
    return r;
}
