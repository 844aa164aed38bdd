#include "http/engine_fixture.h"

#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BIG = 4 * 1024 * 1024, PATIENCE_S = 10 };

static bool path_is(const struct http_request *r, const char *path)
{
    return str_eq(r->path, str_of(path));
}

static int plan(void *context, struct http_request *r, struct http_plan *ret_plan,
                struct http_reply *reply)
{
    *ret_plan = (struct http_plan){.lane = LANE_EVENT, .body_max = 1000};
    if (path_is(r, "/early")) {
        reply->status = 401;
        buf_add_str(&reply->body, STR("early"));
        return 1;
    }
    if (path_is(r, "/worker") || path_is(r, "/hold") || path_is(r, "/big") || path_is(r, "/write"))
        ret_plan->lane = LANE_WORKER;
    if (path_is(r, "/password"))
        ret_plan->lane = LANE_PASSWORD;
    if (path_is(r, "/read") || path_is(r, "/both") || path_is(r, "/abort"))
        *ret_plan = (struct http_plan){LANE_WORKER, 1024 * 1024, true};
    return 0;
}

static void hold(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->held++;
    pthread_cond_broadcast(&f->changed);
    while (!f->open)
        pthread_cond_wait(&f->changed, &f->lock);
    f->held--;
    pthread_mutex_unlock(&f->lock);
}

static void note_fault(struct fixture *f, ssize_t fault)
{
    pthread_mutex_lock(&f->lock);
    f->fault = (int)fault;
    pthread_mutex_unlock(&f->lock);
}

static void read_body(struct fixture *f, struct http_request *r, struct http_reply *reply)
{
    char piece[10000];
    size_t total = 0;
    ssize_t n;

    while ((n = http_body_read(r, piece, sizeof piece)) > 0)
        total += (size_t)n;
    note_fault(f, n);
    buf_printf(&reply->body, "%zu %s", total, n < 0 ? fault_name((int)n) : "ok");
}

static void write_body(struct fixture *f, struct http_request *r, struct http_reply *reply)
{
    static const char piece[64 * 1024];
    int fault = http_stream_begin(r, reply);

    for (size_t sent = 0; !fault && sent < BIG; sent += sizeof piece)
        fault = http_stream_write(reply, piece, sizeof piece);
    note_fault(f, fault);
}

static void stream_back(struct http_request *r, struct http_reply *reply, bool abort)
{
    char piece[1000];
    ssize_t n;

    http_stream_begin(r, reply);
    while ((n = http_body_read(r, piece, sizeof piece)) > 0)
        http_stream_write(reply, piece, (size_t)n);
    if (abort)
        http_stream_abort(reply);
}

static enum http_lane hop(struct fixture *f, struct http_reply *reply)
{
    static const enum http_lane lanes[] = {LANE_WORKER, LANE_PASSWORD, LANE_EVENT};
    int at = f->hops++ % 3;

    if (at == 2)
        buf_add_str(&reply->body, STR("hop 3"));
    return lanes[at];
}

static void fill(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n / 16; i++)
        buf_add_str(b, STR("0123456789abcdef"));
}

static enum http_lane run(void *context, struct http_request *r, struct http_reply *reply)
{
    struct fixture *f = context;

    reply->status = path_is(r, "/empty") ? 204 : 200;
    if (path_is(r, "/hop"))
        return hop(f, reply);
    if (path_is(r, "/hold"))
        hold(f);
    if (path_is(r, "/big"))
        fill(&reply->body, BIG);
    else if (path_is(r, "/bad"))
        fill(&reply->body, f->options.reply_max + 16);
    else if (path_is(r, "/echo"))
        buf_add_str(&reply->body, r->body);
    else if (path_is(r, "/read"))
        read_body(f, r, reply);
    else if (path_is(r, "/write"))
        write_body(f, r, reply);
    else if (path_is(r, "/both") || path_is(r, "/abort"))
        stream_back(r, reply, path_is(r, "/abort"));
    else if (!path_is(r, "/empty"))
        buf_add_str(&reply->body, r->path);
    return LANE_EVENT;
}

static void refuse(void *context, struct http_request *r, int error, struct http_reply *reply)
{
    buf_printf(&reply->body, "refused %d", reply->status);
}

static void done(void *context, const struct http_request *r, const struct http_reply *reply,
                 uint64_t body_bytes)
{
    struct fixture *f = context;

    pthread_mutex_lock(&f->lock);
    f->done++;
    f->body_bytes = body_bytes;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.app = {.plan = plan, .run = run, .refuse = refuse, .done = done}};
    f->app.context = f;
    http_options_default(&f->options);
    f->options.host = "127.0.0.1";
    f->options.loops = 2;
    f->options.workers = 2;
    f->options.password_workers = 1;
    f->options.reply_max = BIG;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
}

void fixture_start(struct fixture *f)
{
    if (http_engine_start(&f->options, &f->app, &f->engine))
        fail_msg("the engine did not start: %s", fault_message());
}

void fixture_stop(struct fixture *f)
{
    fixture_open(f);
    if (f->engine)
        assert_int_equal(http_engine_stop(f->engine), 0);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
}

void fixture_open(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->open = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void await(struct fixture *f, const int *count, int n, const char *what)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&f->lock);
    while (*count < n && r == 0)
        r = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    pthread_mutex_unlock(&f->lock);
    if (r)
        fail_msg("fewer than %d %s", n, what);
}

void fixture_await_held(struct fixture *f, int n)
{
    await(f, &f->held, n, "handlers held");
}

void fixture_await_done(struct fixture *f, int n)
{
    await(f, &f->done, n, "replies reported");
}

int client_open(struct fixture *f, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_engine_port(f->engine)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        fail_msg("cannot connect: errno %d", errno);
    if (text)
        client_text(fd, text);
    return fd;
}

void client_send(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r < 0)
            fail_msg("cannot send: errno %d", errno);
        p += r;
        n -= (size_t)r;
    }
}

void client_text(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

static char received[BIG + 1024 * 1024];

/* Reads up to n bytes behind the first have. Returns how many; 0 at the end. */
static size_t receive(int fd, size_t have, size_t n)
{
    ssize_t r = recv(fd, received + have, n, 0);

    if (r < 0)
        fail_msg("cannot receive: errno %d, after: %.*s", errno, (int)(have % 1000), received);
    return (size_t)r;
}

const char *client_rest(int fd)
{
    size_t have = 0, n;

    while ((n = receive(fd, have, sizeof received - 1 - have)) > 0)
        have += n;
    received[have] = '\0';
    return received;
}

const char *client_reply(int fd)
{
    size_t have = 0, body = 0;
    const char *length;

    do {
        if (receive(fd, have++, 1) == 0)
            fail_msg("closed in the middle of a head: %.*s", (int)have, received);
        received[have] = '\0';
    } while (have < 4 || strcmp(received + have - 4, "\r\n\r\n") != 0);
    if ((length = strstr(received, "Content-Length: ")))
        body = strtoul(length + strlen("Content-Length: "), NULL, 10);
    for (size_t n; body > 0; body -= n, have += n) {
        if ((n = receive(fd, have, body)) == 0)
            fail_msg("closed in the middle of a body");
    }
    received[have] = '\0';
    return received;
}

bool client_was_reset(int fd)
{
    ssize_t r;

    while ((r = recv(fd, received, sizeof received, 0)) > 0)
        ;
    return r < 0 && errno == ECONNRESET;
}
