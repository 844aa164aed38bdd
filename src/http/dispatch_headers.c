#include "base/fault.h"
#include "http/dispatch_internal.h"

static const struct str security_headers =
    STR_INIT("X-Content-Type-Options: nosniff\r\n"
             "X-Frame-Options: DENY\r\n"
             "Referrer-Policy: no-referrer\r\n"
             "Cross-Origin-Opener-Policy: same-origin\r\n"
             "Cross-Origin-Resource-Policy: same-origin\r\n"
             "Permissions-Policy: accelerometer=(), camera=(), geolocation=(), gyroscope=(), "
             "magnetometer=(), microphone=(), payment=(), usb=()\r\n"
             "Cache-Control: no-store\r\n");

/* The policy of what is no page; a page brings its own. */
static const struct str plain_policy =
    STR_INIT("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");

static const struct str strict_transport =
    STR_INIT("Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");

static bool holds_header(const struct buf *headers, struct str name)
{
    struct str rest = buf_str(headers), line;

    while (str_next(&rest, '\n', &line))
        if (str_has_prefix_ci(line, name))
            return true;
    return false;
}

/* The request's Origin where it is one of ours; the empty view else. */
static struct str allowed_origin(const struct config *config, const struct http_request *r)
{
    size_t count;
    struct str origin = r ? http_header_find(r, STR("Origin"), &count) : STR("");

    for (size_t i = 0; origin.n && count == 1 && i < config->origin_count; i++)
        if (str_eq(origin, config->origins[i]))
            return origin;
    return STR("");
}

static void add_cors(const struct config *config, const struct http_request *r,
                     struct http_reply *reply)
{
    struct str origin = allowed_origin(config, r);

    if (config->origin_count)
        buf_add_str(&reply->headers, STR("Vary: Origin\r\n"));
    if (origin.n == 0)
        return;
    http_reply_header(reply, "Access-Control-Allow-Origin", origin);
    buf_add_str(&reply->headers,
                STR("Access-Control-Allow-Credentials: true\r\n"
                    "Access-Control-Expose-Headers: X-Request-Id, Retry-After, RateLimit-Limit, "
                    "RateLimit-Remaining, RateLimit-Reset\r\n"));
}

void dispatch_headers(const struct config *config, const struct http_request *r,
                      const struct uuid *request_id, struct http_reply *reply, bool secure)
{
    struct buf *h = &reply->headers;
    char id[UUID_TEXT_SIZE];

    uuid_format(request_id, id);
    buf_add_str(h, STR("X-Request-Id: "));
    buf_add(h, id, UUID_TEXT);
    buf_add(h, "\r\n", 2);
    if (!holds_header(h, STR("Content-Security-Policy:")))
        buf_add_str(h, plain_policy);
    buf_add_str(h, security_headers);
    if (secure)
        buf_add_str(h, strict_transport);
    if (reply->status == 401 && !holds_header(h, STR("WWW-Authenticate:")))
        buf_add_str(h, STR("WWW-Authenticate: Bearer realm=\"holdfast\"\r\n"));
    add_cors(config, r, reply);
}

void dispatch_options(const struct config *config, const struct http_request *r,
                      struct http_reply *reply, unsigned methods)
{
    struct buf names _cleanup_buf_ = buf_init(256);
    size_t asked;

    reply->status = 204;
    router_write_methods(&names, methods);
    http_reply_header(reply, "Allow", buf_str(&names));
    http_header_find(r, STR("Access-Control-Request-Method"), &asked);
    if (asked == 0 || allowed_origin(config, r).n == 0)
        return;
    http_reply_header(reply, "Access-Control-Allow-Methods", buf_str(&names));
    buf_add_str(&reply->headers, STR("Access-Control-Allow-Headers: Authorization, Content-Type, "
                                     "Idempotency-Key\r\n"
                                     "Access-Control-Max-Age: 600\r\n"));
}

void dispatch_problem(struct http_reply *reply, int problem, struct str detail, struct str field,
                      const struct uuid *request_id)
{
    buf_reset(&reply->body);
    reply->status = problem_row(problem)->status;
    problem_write(&reply->body, problem, detail, field, request_id);
    http_reply_header(reply, "Content-Type", STR("application/problem+json"));
}
