/*
 * A small server on the engine, for tests that speak to it from outside and for measuring.
 *
 *   http_echo [port [loops]]     prints "listening on PORT" and serves until SIGTERM or SIGINT
 *
 *   /fast     200 bytes from the event thread        /slow   the same from a worker
 *   /count    reads a streamed body, tells its length
 *   /numbers  a streamed reply of 1 MB               all else: tells method, path and body length
 */
#include "base/fault.h"
#include "http/engine.h"

#include <signal.h>

static bool path_is(const struct http_request *r, const char *path)
{
    return str_eq(r->path, str_of(path));
}

static int plan(void *context, struct http_request *r, struct http_plan *ret_plan,
                struct http_reply *reply)
{
    *ret_plan = (struct http_plan){.lane = LANE_EVENT, .body_max = 1024 * 1024};
    if (path_is(r, "/slow") || path_is(r, "/numbers"))
        ret_plan->lane = LANE_WORKER;
    if (path_is(r, "/count"))
        *ret_plan = (struct http_plan){LANE_WORKER, SIZE_MAX, true};
    return 0;
}

static void fill(struct http_reply *reply)
{
    char text[200];

    reply->status = 200;
    http_reply_header(reply, "Content-Type", STR("text/plain"));
    memset(text, 'x', sizeof text);
    buf_add(&reply->body, text, sizeof text);
}

static void count(struct http_request *r, struct http_reply *reply)
{
    char piece[16 * 1024];
    uint64_t total = 0;
    ssize_t n;

    while ((n = http_body_read(r, piece, sizeof piece)) > 0)
        total += (uint64_t)n;
    reply->status = n < 0 ? 400 : 200;
    buf_printf(&reply->body, "%llu\n", (unsigned long long)total);
}

static void numbers(struct http_request *r, struct http_reply *reply)
{
    char line[16];

    reply->status = 200;
    if (http_stream_begin(r, reply))
        return;
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(line, sizeof line, "%09d\n", i);
        if (http_stream_write(reply, line, (size_t)n))
            return;
    }
}

static enum http_lane run(void *context, struct http_request *r, struct http_reply *reply)
{
    if (path_is(r, "/fast") || path_is(r, "/slow")) {
        fill(reply);
    } else if (path_is(r, "/count")) {
        count(r, reply);
    } else if (path_is(r, "/numbers")) {
        numbers(r, reply);
    } else {
        reply->status = 200;
        buf_printf(&reply->body, "%s %.*s %zu\n", http_method_name(r->method), STR_ARG(r->path),
                   r->body.n);
    }
    return LANE_EVENT;
}

static void refuse(void *context, struct http_request *r, int error, struct http_reply *reply)
{
    buf_printf(&reply->body, "%d %s\n", reply->status, http_reason(reply->status));
}

int main(int argc, char **argv)
{
    struct http_app app = {.plan = plan, .run = run, .refuse = refuse};
    struct http_options options;
    struct http_engine *engine;
    uint64_t port = 0, loops = 0;
    sigset_t ends;
    int signal;

    if ((argc > 1 && str_to_u64(str_of(argv[1]), 65535, &port)) ||
        (argc > 2 && str_to_u64(str_of(argv[2]), 64, &loops))) {
        fputs("usage: http_echo [port [loops]]\n", stderr);
        return 2;
    }
    http_options_default(&options);
    options.host = "127.0.0.1";
    options.port = (int)port;
    options.loops = (int)loops;
    options.connections_per_address_max = 0;
    options.workers = 2;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    if (http_engine_start(&options, &app, &engine)) {
        fprintf(stderr, "http_echo: %s\n", fault_message());
        return 1;
    }
    printf("listening on %d\n", http_engine_port(engine));
    fflush(stdout);
    sigwait(&ends, &signal);
    return http_engine_stop(engine) ? 1 : 0;
}
