#include "http/dispatch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "http/dispatch_internal.h"
#include "http/h1.h"

enum { RATE_KEYS_MAX = 100000, RATE_KIND = 1, IGNORED_BODY_MAX = 4096 };

/* Bodies that anyone may send: of most routes, and of all longer ones at a time. */
enum { OPEN_BODY_MAX = 16384, OPEN_BODIES_MAX = 64 * 1024 * 1024 };

int dispatch_new(const struct route_table *tables, size_t n, struct sessions *sessions, void *app,
                 struct dispatch **ret)
{
    struct dispatch *d = calloc(1, sizeof *d);

    if (!d)
        return fault_set(FAULT_MEMORY, "no memory for the dispatcher");
    d->sessions = sessions;
    d->app = app;
    int r = router_new(tables, n, &d->router);
    if (r == 0)
        r = limiter_new(RATE_KEYS_MAX, &d->limiter);
    if (r == 0)
        r = refusals_new(&d->refusals);
    if (r == 0) {
        d->routes = router_count(d->router);
        d->metrics = calloc(d->routes + 1, sizeof *d->metrics);
        r = d->metrics ? 0 : fault_set(FAULT_MEMORY, "no memory for the routes' metrics");
    }
    if (r) {
        dispatch_free(d);
        return r;
    }
    *ret = d;
    return 0;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    router_free(d->router);
    limiter_free(d->limiter);
    refusals_free(d->refusals);
    free(d->metrics);
    free(d);
}

int dispatch_flush(struct dispatch *d, bool last)
{
    return refusals_flush(d->refusals, d->sessions->trail, last ? INT64_MAX : clock_mono());
}

static void add_rate_headers(struct http_reply *reply, int64_t limit,
                             const struct limiter_state *state)
{
    int64_t seconds = (state->reset_ms + 999) / 1000;

    buf_printf(&reply->headers,
               "Retry-After: %lld\r\nRateLimit-Limit: %lld\r\nRateLimit-Remaining: 0\r\n"
               "RateLimit-Reset: %lld\r\n",
               (long long)seconds, (long long)limit, (long long)seconds);
}

/* Requests of all kinds by address. Returns 0, or 1 with a 429 in the reply. */
static int limit_rate(struct dispatch *d, const struct config *config,
                      const struct in6_addr *client, const struct http_request *r,
                      struct http_reply *reply)
{
    struct limiter_key key = limiter_key_of_address(RATE_KIND, client);
    struct limiter_rule rule = {config->rate_limit_per_minute, CLOCK_MINUTE};
    struct limiter_state state;

    if (rule.limit == 0)
        return 0;
    if (limiter_take(d->limiter, &key, rule, clock_mono(), &state) != LIMITER_REFUSED)
        return 0;
    add_rate_headers(reply, rule.limit, &state);
    dispatch_problem(reply, PROBLEM_RATE_LIMITED, STR("Too many requests from this address."),
                     STR(""), &r->id);
    return 1;
}

static struct call *call_new(struct dispatch *d, struct http_request *r, struct http_reply *reply,
                             const struct in6_addr *client, bool secure)
{
    struct call *call = arena_alloc(r->arena, sizeof *call);
    struct str agent = http_header_find(r, STR("User-Agent"), NULL);

    if (!call)
        return NULL;
    if (agent.n > SESSION_AGENT_MAX)
        agent.n = SESSION_AGENT_MAX;
    if (!str_is_utf8(agent))
        agent = STR("");
    *call = (struct call){.app = d->app,
                          .dispatch = d,
                          .request = r,
                          .reply = reply,
                          .arena = r->arena,
                          .client = *client,
                          .client_ip = dispatch_address_text(r->arena, client),
                          .user_agent = agent,
                          .now = clock_now(),
                          .secure = secure};
    call->actor =
        (struct trail_actor){.label = STR("anonymous"), .ip = call->client_ip, .request_id = r->id};
    r->app = call;
    r->route = d->routes;
    return call;
}

static int refuse_path(int outcome, unsigned methods, const struct config *config,
                       struct http_request *r, struct http_reply *reply)
{
    if (outcome == ROUTER_NO_PATH) {
        dispatch_problem(reply, PROBLEM_NOT_FOUND, STR("There is no such path."), STR(""), &r->id);
    } else if (r->method == HTTP_OPTIONS) {
        dispatch_options(config, r, reply, methods);
    } else {
        struct buf names _cleanup_buf_ = buf_init(256);
        router_write_methods(&names, methods);
        http_reply_header(reply, "Allow", buf_str(&names));
        dispatch_problem(reply, PROBLEM_METHOD_NOT_ALLOWED,
                         STR("This path has no such method; Allow names those it has."), STR(""),
                         &r->id);
    }
    return 1;
}

/* What anyone may send is held in memory before anything is known of who sends it. */
static size_t body_max(const struct config *config, const struct route *route)
{
    size_t max = (size_t)config->max_body_bytes;

    if (route->stream_type)
        return route->stream_max;
    if (!route->body)
        return IGNORED_BODY_MAX;
    if (route->body_max)
        return route->body_max < max ? route->body_max : max;
    return route->permission < PERMIT_USER && max > OPEN_BODY_MAX ? OPEN_BODY_MAX : max;
}

/*
 * Signing in is limited by address before it hashes; an administrator is not, so that a few
 * hundred requests of one could leave no place in the lane to anybody else.
 */
static bool needs_seat(const struct call *call)
{
    return call->route->lane == LANE_PASSWORD && call->route->permission >= PERMIT_ADMIN &&
           !call->seated;
}

static void leave_seat(void *seated)
{
    atomic_fetch_sub((atomic_int *)seated, 1);
}

/* Takes one of a quarter of the lane's places until the request is over. */
static int take_seat(struct dispatch *d, struct call *call)
{
    int seats = (int)(config_current()->password_queue + 3) / 4;

    if (atomic_fetch_add(&d->seated, 1) >= seats) {
        atomic_fetch_sub(&d->seated, 1);
        buf_add_str(&call->reply->headers, STR("Retry-After: 1\r\n"));
        return call_problem(call, PROBLEM_UNAVAILABLE, "Too many passwords are being hashed.");
    }
    call->seated = true;
    return arena_on_free(call->arena, leave_seat, &d->seated);
}

/* What a long body takes of the room, until its request is over. */
struct held_room {
    struct dispatch *d;
    size_t n;
};

static void leave_room(void *arg)
{
    const struct held_room *held = arg;

    atomic_fetch_sub(&held->d->room, held->n);
}

/* How long the body will be: as it says, or as long as it may be. */
static size_t body_length(const struct http_request *r, size_t max)
{
    uint64_t n;
    size_t count;
    struct str length = http_header_find(r, STR("Content-Length"), &count);

    return count && str_to_u64(length, max, &n) == 0 ? (size_t)n : max;
}

/*
 * Somebody unknown could hold much memory by many long bodies that never end. Returns 0, or a
 * problem where no room is left.
 */
static int take_room(struct dispatch *d, struct call *call, size_t body_max)
{
    size_t n = body_length(call->request, body_max);
    struct held_room *held;

    if (call->route->permission >= PERMIT_USER || n <= OPEN_BODY_MAX)
        return 0;
    held = arena_alloc(call->arena, sizeof *held);
    if (!held)
        return FAULT_MEMORY;
    *held = (struct held_room){d, n};
    if (atomic_fetch_add(&d->room, n) + n > OPEN_BODIES_MAX) {
        leave_room(held);
        buf_add_str(&call->reply->headers, STR("Retry-After: 1\r\n"));
        return call_problem(call, PROBLEM_OVERLOADED, "Too many long bodies arrive at once.");
    }
    return arena_on_free(call->arena, leave_room, held);
}

static int plan_route(struct dispatch *d, const struct config *config, struct http_request *r,
                      struct call *call, struct http_plan *ret_plan, struct http_reply *reply)
{
    struct route_match match;
    unsigned methods = 0;
    int found = router_find(d->router, r->method, r->path, r->arena, &match, &methods);

    if (found < 0) {
        dispatch_problem(reply, PROBLEM_INTERNAL, STR(""), STR(""), &r->id);
        return 1;
    }
    if (found)
        return refuse_path(found, methods, config, r, reply);
    call->route = match.route;
    memcpy(call->params, match.params, sizeof call->params);
    r->route = match.index;
    *ret_plan = (struct http_plan){.lane = needs_seat(call) ? LANE_WORKER : match.route->lane,
                                   .body_max = body_max(config, match.route),
                                   .body_stream = match.route->stream_type != NULL};
    return 0;
}

/* A client that leaves in the middle of a long reply is nothing that anybody has to look at. */
static void log_failure(struct call *call, const char *what, int fault)
{
    const struct uuid *id = &call->request->id;
    struct log_line l;

    if (fault != FAULT_IO || !http_stream_lost(call->reply)) {
        log_fault_of(what, fault, id);
    } else if (log_enabled(LOG_INFO)) {
        log_begin(&l, LOG_INFO, "a client left before its reply was complete");
        log_field_uuid(&l, "id", id);
        log_end(&l);
    }
}

/*
 * Who was told that an administrative route, or what it is to work on, is not for them; and whoever
 * sent what is no authentic webhook.
 */
static bool is_refusal(const struct call *call, int problem)
{
    int status = problem > 0 ? problem_row(problem)->status : 0;

    if (call->route->permission == PERMIT_WEBHOOK)
        return status >= 400 && status < 500;
    return call->route->permission >= PERMIT_ADMIN && call->who.present &&
           (status == 403 || status == 404);
}

static void reply_with(struct dispatch *d, struct call *call, int r)
{
    struct http_reply *reply = call->reply;

    if (is_refusal(call, r))
        refusals_note(d->refusals, call, r);
    if (r < 0) {
        log_failure(call, "a request failed", r);
        buf_reset(&reply->headers);
        call->problem_detail = call->problem_field = STR("");
        if (r == FAULT_UNAVAILABLE)
            buf_add_str(&reply->headers, STR("Retry-After: 1\r\n"));
        r = r == FAULT_UNAVAILABLE ? PROBLEM_UNAVAILABLE : PROBLEM_INTERNAL;
    }
    /* A client's own scheme (RFC 6749, section 5.2); elsewhere it is a bearer token. */
    if (r == PROBLEM_INVALID_CLIENT)
        buf_add_str(&reply->headers, STR("WWW-Authenticate: Basic realm=\"holdfast\"\r\n"));
    if (r == PROBLEM_SIGNATURE_INVALID)
        buf_add_str(&reply->headers,
                    STR("WWW-Authenticate: X-Webhook-Signature realm=\"holdfast\"\r\n"));
    dispatch_problem(reply, r, call->problem_detail, call->problem_field, &call->request->id);
}

/* Who is not let in is told so before a body is received. Its run asks again. */
static int refuse_early(struct dispatch *d, struct call *call, size_t body_max)
{
    bool has_body = call->route->body || call->route->stream_type;
    int r = has_body ? dispatch_guard(d, call, false) : 0;

    if (r == 0)
        r = take_room(d, call, body_max);
    if (r == 0 || r == CALL_DEFER)
        return 0;
    reply_with(d, call, r);
    return 1;
}

static int plan(void *context, struct http_request *r, struct http_plan *ret_plan,
                struct http_reply *reply)
{
    struct dispatch *d = context;
    const struct config *config = config_current();
    struct in6_addr client;
    bool secure;

    dispatch_client(config, r, &client, &secure);
    struct call *call = call_new(d, r, reply, &client, secure);
    int answered = 1;
    if (!call)
        dispatch_problem(reply, PROBLEM_INTERNAL, STR(""), STR(""), &r->id);
    else if (r->target.n == 1 && r->target.p[0] == '*')
        dispatch_options(config, r, reply, (1U << HTTP_METHODS) - 1);
    else
        answered = limit_rate(d, config, &client, r, reply) ||
                   plan_route(d, config, r, call, ret_plan, reply) ||
                   refuse_early(d, call, ret_plan->body_max);
    if (answered)
        dispatch_headers(config, r, &r->id, reply, secure);
    return answered;
}

/* JSON, by its name or by none; curl's default for -d stands in every checklist. */
static bool is_json_type(struct str type)
{
    type = str_trim((struct str){type.p, str_find(type, ';')});
    return type.n == 0 || str_eq_ci(type, STR("application/json")) ||
           str_has_suffix(type, STR("+json")) ||
           str_eq_ci(type, STR("application/x-www-form-urlencoded"));
}

/* Whether it is this media type, whatever its parameters. */
static bool is_type(struct str type, struct str wanted)
{
    type = str_trim((struct str){type.p, str_find(type, ';')});
    return str_eq_ci(type, wanted);
}

static int take_bound(struct call *call, int r, const struct shape_error *error)
{
    if (r != SHAPE_INVALID)
        return r;
    call->problem_detail = error->detail;
    call->problem_field = error->field;
    return error->field.n ? PROBLEM_INVALID_FIELD : PROBLEM_BAD_REQUEST;
}

static int bind_body(struct call *call)
{
    const struct route *route = call->route;
    struct str text = call->request->body;
    struct str type = http_header_find(call->request, STR("Content-Type"), NULL);
    struct shape_error error;
    bool form = route->flags & ROUTE_FORM;

    if (route->stream_type)
        return is_type(type, str_of(route->stream_type))
                   ? 0
                   : call_problem(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "This takes %s.",
                                  route->stream_type);
    if (!route->body || route->flags & ROUTE_RAW)
        return 0;
    if (text.n &&
        !(form ? is_type(type, STR("application/x-www-form-urlencoded")) : is_json_type(type)))
        return call_problem(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "This takes %s.",
                            form ? "application/x-www-form-urlencoded" : "application/json");
    if (form)
        return take_bound(
            call, shape_bind_form(route->body, text, call->arena, &call->body, &error), &error);
    if (text.n == 0 && (route->flags & ROUTE_BODY_OPTIONAL))
        text = STR("{}");
    return take_bound(call, shape_bind_json(route->body, text, call->arena, &call->body, &error),
                      &error);
}

static int bind_request(struct call *call)
{
    static const struct shape no_query = {.name = "none", .size = sizeof(uint64_t)};
    const struct shape *shape = call->route->query ? call->route->query : &no_query;
    struct shape_error error;
    int r = take_bound(
        call, shape_bind_form(shape, call->request->query, call->arena, &call->query, &error),
        &error);

    if (r == 0)
        r = bind_body(call);
    if (r == 0 && call->route->permission == PERMIT_CLIENT)
        r = dispatch_guard_client(call);
    return r;
}

/* An administrative action is on record even where its handler's transaction wrote nothing. */
static int record(struct dispatch *d, struct call *call)
{
    const struct route *route = call->route;
    bool writes = route->method != HTTP_GET;
    struct buf detail _cleanup_buf_ = buf_init(2048);

    /* What a program does day by day is on record elsewhere: it is no administration. */
    if (route->permission < PERMIT_ADMIN || call->trailed || call->who.service ||
        !(writes || (route->flags & ROUTE_TRAIL)))
        return 0;
    struct json_writer w = json_writer(&detail);
    json_object_begin(&w);
    json_key(&w, "method");
    json_str(&w, str_of(http_method_name(route->method)));
    json_key(&w, "path");
    json_str(&w, call->request->path);
    json_key(&w, "status");
    json_int(&w, call->reply->status);
    json_object_end(&w);
    if (buf_fault(&detail))
        return buf_fault(&detail);
    struct trail_event event = {.action = TRAIL_ADMIN_REQUEST,
                                .tenant_id = call->who.tenant_id,
                                .subject = str_of(route->path),
                                .detail = buf_str(&detail)};
    return trail_append_now(d->sessions->trail, &call->actor, &event);
}

int call_stream_begin(struct call *call, const char *media_type)
{
    call->reply->status = call->route->status;
    int r = http_reply_header(call->reply, "Content-Type", str_of(media_type));
    if (r)
        return r;
    dispatch_headers(config_current(), call->request, &call->request->id, call->reply,
                     call->secure);
    r = http_stream_begin(call->request, call->reply);
    call->streaming = r == 0;
    return r;
}

static enum http_lane run(void *context, struct http_request *r, struct http_reply *reply)
{
    struct dispatch *d = context;
    struct call *call = r->app;
    /* A call that was deferred once runs on a worker now. */
    bool may_block = call->deferred || call->route->lane != LANE_EVENT;

    call->reply = reply;
    int result = dispatch_guard(d, call, may_block);
    if (result == 0 && needs_seat(call)) {
        result = take_seat(d, call);
        if (result == 0)
            return LANE_PASSWORD;
    }
    if (result == 0)
        result = bind_request(call);
    if (result == 0)
        result = call->route->handle(call);
    if (result == CALL_LATER)
        return LANE_LATER; /* the call may be gone already */
    if (result == CALL_DEFER && !call->deferred) {
        call->deferred = true;
        return LANE_WORKER;
    }
    if (result == 0)
        result = record(d, call);
    if (call->streaming) {
        if (result < 0)
            log_failure(call, "a streamed reply was cut off", result);
        return LANE_EVENT;
    }
    if (result)
        reply_with(d, call, result);
    dispatch_headers(config_current(), r, &r->id, reply, call->secure);
    return LANE_EVENT;
}

void call_later(struct call *call)
{
    http_later(call->request);
}

void call_finish(struct call *call, int result)
{
    struct http_request *r = call->request;

    if (result)
        reply_with(call->dispatch, call, result);
    dispatch_headers(config_current(), r, &r->id, call->reply, call->secure);
    http_finish(r);
}

/* What was no request gets an id as well, and a line in the log to find it by. */
static void log_refusal(const struct http_reply *reply, struct str detail, const struct uuid *id)
{
    struct log_line l;

    if (!log_enabled(LOG_INFO))
        return;
    log_begin(&l, LOG_INFO, "request refused");
    log_field_int(&l, "status", reply->status);
    log_field_str(&l, "detail", detail);
    log_field_uuid(&l, "id", id);
    log_end(&l);
}

static void refuse(void *context, struct http_request *r, int error, struct http_reply *reply)
{
    struct str detail = str_of(error ? h1_error_text((enum h1_error)error) : "");
    struct uuid id = r ? r->id : uuid_new();

    dispatch_problem(reply, (int)problem_of_status(reply->status), detail, STR(""), &id);
    dispatch_headers(config_current(), r, &id, reply, false);
    if (!r)
        log_refusal(reply, detail, &id);
}

static void done(void *context, const struct http_request *r, const struct http_reply *reply,
                 uint64_t body_bytes)
{
    dispatch_done(context, r, reply, body_bytes);
}

static bool trusts_peer(void *context, const struct in6_addr *peer)
{
    return config_trusts(config_current(), peer);
}

struct http_app dispatch_app(struct dispatch *d)
{
    return (struct http_app){.context = d,
                             .plan = plan,
                             .run = run,
                             .refuse = refuse,
                             .done = done,
                             .trusts_peer = trusts_peer};
}
