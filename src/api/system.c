/* What operators, scanners and proxies ask: health, readiness, metrics, documents, keys. */
#include "api/app.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "http/docs_page.h"

struct checks_view {
    struct str database, feed, draining;
};

static const struct field checks_fields[] = {
    {"database", FIELD_STR, FIELD_REQUIRED, offsetof(struct checks_view, database), 0, 0, NULL,
     NULL, "ok or error."},
    {"feed", FIELD_STR, FIELD_REQUIRED, offsetof(struct checks_view, feed), 0, 0, NULL, NULL,
     "Whether revocations are being followed: ok or error."},
    {"server", FIELD_STR, FIELD_OMIT, offsetof(struct checks_view, draining), 0, 0, NULL, NULL,
     "ok, or draining while the server ends."},
};
static const struct shape checks_shape = SHAPE("Checks", struct checks_view, checks_fields);

struct health_view {
    struct str status;
    const struct checks_view *checks;
};

static const struct field health_fields[] = {
    {"status", FIELD_STR, FIELD_REQUIRED, offsetof(struct health_view, status), 0, 0, NULL, NULL,
     "ok or error."},
    {"checks", FIELD_OBJECT, FIELD_OMIT, offsetof(struct health_view, checks), 0, 0, NULL,
     &checks_shape, "Each dependency, where one is in error."},
};
static const struct shape health_shape = SHAPE("Health", struct health_view, health_fields);

static int reply_health(struct call *call, bool ok, const struct checks_view *checks)
{
    struct health_view view = {.status = ok ? STR("ok") : STR("error"), .checks = checks};
    int r = call_reply(call, &view);

    if (!ok)
        call->reply->status = 503;
    return r;
}

/* From memory: the feed's follower keeps asking the store. */
static int get_health(struct call *call)
{
    const struct sessions *s = app_of(call)->sessions;
    bool database = sessions_reachable(s), feed = sessions_fresh(s);
    struct checks_view checks = {.database = database ? STR("ok") : STR("error"),
                                 .feed = feed ? STR("ok") : STR("error")};

    return reply_health(call, database && feed, database && feed ? NULL : &checks);
}

static int get_ready(struct call *call)
{
    struct app *app = app_of(call);
    bool database = store_ping(app->store) == 0, fresh = sessions_fresh(app->sessions);
    bool draining = atomic_load(&app->draining);
    struct checks_view checks = {.database = database ? STR("ok") : STR("error"),
                                 .feed = fresh ? STR("ok") : STR("error"),
                                 .draining = draining ? STR("draining") : STR("ok")};

    return reply_health(call, database && fresh && !draining, &checks);
}

static int get_metrics(struct call *call)
{
    metrics_write(app_of(call), &call->reply->body);
    return call_reply_written(call, "text/plain; version=0.0.4; charset=utf-8");
}

static int get_openapi(struct call *call)
{
    buf_add_str(&call->reply->body, app_of(call)->openapi);
    return call_reply_written(call, "application/json");
}

static int get_docs(struct call *call)
{
    const struct docs_page_file *file = docs_page_find(call->request->path);

    if (!file)
        return PROBLEM_NOT_FOUND;
    buf_add_str(&call->reply->body, file->content);
    int r = http_reply_header(call->reply, "Content-Security-Policy", STR(DOCS_PAGE_POLICY));
    return r ? r : call_reply_written(call, file->media_type);
}

static int get_jwks(struct call *call)
{
    int r = jwt_jwks(app_of(call)->sessions->jwt, &call->reply->body);

    return r ? r : call_reply_written(call, "application/jwk-set+json");
}

/* RFC 9116: contacts in order of preference, and until when this holds. */
static int get_security(struct call *call)
{
    struct str rest = str_of(config_current()->security_contact), contact;
    struct buf *out = &call->reply->body;
    char expires[CLOCK_TEXT_SIZE];

    if (rest.n == 0)
        return call_problem(call, PROBLEM_NOT_FOUND, "SECURITY_CONTACT is not set.");
    while (str_next(&rest, ',', &contact)) {
        contact = str_trim(contact);
        bool mail = str_find(contact, ':') == contact.n;
        buf_printf(out, "Contact: %s%.*s\r\n", mail ? "mailto:" : "", STR_ARG(contact));
    }
    clock_format(call->now + 180 * (int64_t)CLOCK_DAY, expires);
    buf_printf(out, "Expires: %s\r\n", expires);
    return call_reply_written(call, "text/plain; charset=utf-8");
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/health", PERMIT_ANYONE, LANE_EVENT, 0, 200, NULL, NULL, &health_shape,
     "Whether the server can do its work", get_health},
    {HTTP_GET, "/ready", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, &health_shape,
     "Whether to send it requests: 503 while draining", get_ready},
    {HTTP_GET, "/metrics", PERMIT_METRICS, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "Metrics in the Prometheus text format", get_metrics},
    {HTTP_GET, "/openapi.json", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "This document", get_openapi},
    {HTTP_GET, "/docs", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "This document for people", get_docs},
    {HTTP_GET, "/docs/app.js", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "The script of /docs", get_docs},
    {HTTP_GET, "/docs/style.css", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "The style of /docs", get_docs},
    {HTTP_GET, "/.well-known/jwks.json", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "Public keys of access tokens, for verifiers elsewhere (RFC 7517)", get_jwks},
    {HTTP_GET, "/.well-known/security.txt", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "Whom to tell of a weakness (RFC 9116)", get_security},
};
/* clang-format on */

const struct route_table api_system = ROUTE_TABLE("System", routes);
