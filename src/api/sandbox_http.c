#include "api/sandbox_http.h"

#include "api/sandbox_visit.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "http/h1.h"

#include <arpa/inet.h>

enum {
    IGNORED_BODY_MAX = 64 * 1024,
    ARENA_MAX = 64 * 1024 * 1024, /* a page of messages, or one that is as long as can be */
    REPLY_MAX = 256 * 1024 * 1024 /* the same as JSON, which shows a message more than once */
};

struct sandbox_route {
    enum http_method method;
    enum http_lane lane;
    const char *path;
    int (*handle)(struct sandbox_visit *v);
};

static const struct sandbox_route routes[] = {
    {HTTP_GET, LANE_EVENT, "/", sandbox_get_page},
    {HTTP_GET, LANE_EVENT, "/app.js", sandbox_get_page},
    {HTTP_GET, LANE_EVENT, "/style.css", sandbox_get_page},
    {HTTP_GET, LANE_WORKER, "/messages/:id/html", sandbox_get_html},
    {HTTP_GET, LANE_WORKER, "/messages/:id/text", sandbox_get_text},
    /* MailHog's, but for what releases messages, follows them live or breaks on purpose. */
    {HTTP_GET, LANE_WORKER, "/api/v2/messages", sandbox_get_list},
    {HTTP_GET, LANE_WORKER, "/api/v2/search", sandbox_get_search},
    {HTTP_GET, LANE_WORKER, "/api/v1/messages", sandbox_get_array},
    {HTTP_DELETE, LANE_WORKER, "/api/v1/messages", sandbox_delete_all},
    {HTTP_GET, LANE_WORKER, "/api/v1/messages/:id", sandbox_get_message},
    {HTTP_DELETE, LANE_WORKER, "/api/v1/messages/:id", sandbox_delete_message},
    {HTTP_GET, LANE_WORKER, "/api/v1/messages/:id/download", sandbox_get_source},
    {HTTP_GET, LANE_WORKER, "/api/v1/messages/:id/mime/part/:part/download", sandbox_get_part},
};
enum { ROUTES = sizeof routes / sizeof *routes };

static const struct str security_headers = STR_INIT("X-Content-Type-Options: nosniff\r\n"
                                                    "Referrer-Policy: no-referrer\r\n"
                                                    "Cross-Origin-Opener-Policy: same-origin\r\n"
                                                    "Cross-Origin-Resource-Policy: same-origin\r\n"
                                                    "Cache-Control: no-store\r\n");

/* The policy of what is no page. */
static const struct str plain_policy =
    STR_INIT("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; sandbox\r\n");

static bool has_policy(const struct http_reply *reply)
{
    struct str rest = buf_str(&reply->headers), line;

    while (str_next(&rest, '\n', &line))
        if (str_has_prefix(line, STR("Content-Security-Policy:")))
            return true;
    return false;
}

static void finish(struct http_reply *reply)
{
    if (!has_policy(reply))
        buf_add_str(&reply->headers, plain_policy);
    buf_add_str(&reply->headers, security_headers);
}

static void answer_problem(struct http_reply *reply, int problem, struct str detail,
                           struct str field, const struct uuid *id)
{
    buf_reset(&reply->body);
    reply->status = problem_row(problem)->status;
    problem_write(&reply->body, problem, detail, field, id);
    http_reply_header(reply, "Content-Type", STR("application/problem+json"));
    finish(reply);
}

/* A port behind a host, or nothing. */
static bool is_port(struct str s)
{
    uint64_t port;

    return s.n == 0 || (s.p[0] == ':' && (s.n == 1 || str_to_u64((struct str){s.p + 1, s.n - 1},
                                                                 65535, &port) == 0));
}

static bool is_ipv4(struct str s)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;

    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

/*
 * A page whose name was made to resolve to this machine sends that name. An address was looked up
 * nowhere, and a name of one label is none of the public DNS, but of a network like a compose
 * file's.
 */
bool sandbox_http_is_own(struct str host, bool open)
{
    size_t n = host.n && host.p[0] == '[' ? str_find(host, ']') + 1 : str_find(host, ':');
    struct str name = {host.p, n < host.n ? n : host.n};

    if (!is_port((struct str){host.p + name.n, host.n - name.n}) || name.n == 0)
        return false;
    if (str_eq_ci(name, STR("localhost")) || str_eq(name, STR("127.0.0.1")) ||
        str_eq(name, STR("[::1]")))
        return true;
    return open && (name.p[0] == '[' || is_ipv4(name) || str_find(name, '.') == name.n);
}

/* Takes what stands for a parameter. Returns whether it can. */
static bool take_parameter(struct str name, struct str value, struct sandbox_visit *v)
{
    if (str_eq(name, STR(":id")))
        return uuid_parse(value, &v->id) == 0;
    return str_to_u64(value, 1000000, &v->part) == 0;
}

static bool matches(struct str pattern, struct str path, struct sandbox_visit *v)
{
    struct str name, value;

    for (;;) {
        bool more = str_next(&pattern, '/', &name);
        if (more != str_next(&path, '/', &value))
            return false;
        if (!more)
            return true;
        if (name.n && name.p[0] == ':' ? !take_parameter(name, value, v) : !str_eq(name, value))
            return false;
    }
}

/* Returns 0, PROBLEM_NOT_FOUND, or PROBLEM_METHOD_NOT_ALLOWED with Allow in the reply. */
static int find_route(struct sandbox_visit *v)
{
    enum http_method method = v->request->method == HTTP_HEAD ? HTTP_GET : v->request->method;
    struct str path = v->request->path;
    struct buf allow _cleanup_buf_ = buf_init(256);

    if (path.n > 1 && path.p[path.n - 1] == '/')
        return PROBLEM_NOT_FOUND;
    for (size_t i = 0; i < ROUTES; i++) {
        if (!matches(str_of(routes[i].path), path, v))
            continue;
        v->route = &routes[i];
        if (routes[i].method == method)
            return 0;
        buf_printf(&allow, "%s%s", allow.n ? ", " : "", http_method_name(routes[i].method));
    }
    if (!v->route)
        return PROBLEM_NOT_FOUND;
    http_reply_header(v->reply, "Allow", buf_str(&allow));
    return PROBLEM_METHOD_NOT_ALLOWED;
}

static int plan(void *context, struct http_request *r, struct http_plan *ret_plan,
                struct http_reply *reply)
{
    struct sandbox_http *h = context;
    struct sandbox_visit *v = arena_alloc(r->arena, sizeof *v);

    if (!v) {
        answer_problem(reply, PROBLEM_INTERNAL, STR(""), STR(""), &r->id);
        return 1;
    }
    if (!sandbox_http_is_own(r->host, h->open)) {
        answer_problem(reply, PROBLEM_BAD_REQUEST,
                       STR("The sandbox answers by the names of this machine alone, such as "
                           "localhost."),
                       STR(""), &r->id);
        return 1;
    }
    *v = (struct sandbox_visit){.h = h, .request = r, .reply = reply};
    int problem = find_route(v);
    if (problem) {
        answer_problem(reply, problem, STR(""), STR(""), &r->id);
        return 1;
    }
    r->app = v;
    *ret_plan = (struct http_plan){.lane = v->route->lane, .body_max = IGNORED_BODY_MAX};
    return 0;
}

static enum http_lane run(void *context, struct http_request *r, struct http_reply *reply)
{
    struct sandbox_visit *v = r->app;

    v->reply = reply;
    int problem = v->route->handle(v);
    if (problem == 0) {
        finish(reply);
        return LANE_EVENT;
    }
    buf_reset(&reply->headers);
    if (problem < 0) {
        log_fault_of("a request to the sandbox failed", problem, &r->id);
        problem = problem == FAULT_UNAVAILABLE ? PROBLEM_UNAVAILABLE : PROBLEM_INTERNAL;
        v->detail = v->field = STR("");
    }
    answer_problem(reply, problem, v->detail, v->field, &r->id);
    return LANE_EVENT;
}

static void refuse(void *context, struct http_request *r, int error, struct http_reply *reply)
{
    struct str detail = str_of(error ? h1_error_text((enum h1_error)error) : "");

    answer_problem(reply, (int)problem_of_status(reply->status), detail, STR(""),
                   r ? &r->id : NULL);
}

struct http_app sandbox_http_app(struct sandbox_http *h)
{
    return (struct http_app){.context = h, .plan = plan, .run = run, .refuse = refuse};
}

void sandbox_http_options(struct http_options *ret)
{
    http_options_default(ret);
    ret->loops = 1;
    ret->workers = 2;
    ret->password_workers = 1;
    ret->connections_max = 256;
    ret->connections_per_address_max = 0; /* all come from this machine */
    ret->arena_max = ARENA_MAX;
    ret->reply_max = REPLY_MAX;
    ret->drain_timeout_ms = CLOCK_SECOND;
}
