/* Whether mail is well, and its figures. */
#include "api/app.h"
#include "api/email_views.h"
#include "base/fault.h"
#include "mail/window.h"

struct window_query {
    uint64_t given;
    struct str window, bucket;
    int64_t since, until, group_by;
};

#define WINDOW_FIELDS                                                                              \
    {"window",                                                                                     \
     FIELD_STR,                                                                                    \
     0,                                                                                            \
     offsetof(struct window_query, window),                                                        \
     1,                                                                                            \
     20,                                                                                           \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "How long, such as 90m, 24h (the default) or 7d, up to now or to until."},                    \
        {"since", FIELD_TIME, 0,    offsetof(struct window_query, since), 0,                       \
         0,       NULL,       NULL, "Accepted at or after this."},                                 \
    {                                                                                              \
        "until", FIELD_TIME, 0, offsetof(struct window_query, until), 0, 0, NULL, NULL,            \
            "And before this."                                                                     \
    }

static const struct field health_fields[] = {WINDOW_FIELDS};
static const struct shape health_query =
    SHAPE("EmailHealthQuery", struct window_query, health_fields);

static const char *const groups[] = {"domain", "template", NULL};
static const struct field metrics_fields[] = {
    WINDOW_FIELDS,
    {"bucket", FIELD_STR, 0, offsetof(struct window_query, bucket), 1, 20, NULL, NULL,
     "Of the series: 5m to 30m (of the last 8 days), whole hours or days; by the length."},
    {"groupBy", FIELD_CHOICE, 0, offsetof(struct window_query, group_by), 0, 0, groups, NULL,
     "By what groups are told: domain (the default) or template."},
};
static const struct shape metrics_query =
    SHAPE("EmailMetricsQuery", struct window_query, metrics_fields);

static int read_window(struct call *call, struct mail_window *ret_window, int64_t *ret_bucket)
{
    const struct window_query *q = call->query;
    struct mail_window_request request = {q->window, q->since, q->until, q->bucket};
    struct mail_window_error error;

    if (mail_window_read(&request, app_bound(call), call->now, ret_window, ret_bucket, &error))
        return call_problem_field(call, error.field, "It %s.", error.text);
    return 0;
}

struct checking {
    struct arena *arena;
    struct share_kept *cache;
    struct mail_window window;
    struct email_health *health;
};

static int health_job(struct store_txn *t, void *arg)
{
    struct checking *c = arg;

    return mail_health_check(t, c->arena, c->cache, &c->window, &mail_thresholds_default,
                             &c->health->health, c->health->advice, &c->health->n_advice);
}

static int get_health(struct call *call)
{
    struct app *app = app_of(call);
    struct email_health health = {.checked_at = call->now};
    struct checking c = {.arena = call->arena, .cache = app->mail->shares, .health = &health};
    struct json_writer w = json_writer(&call->reply->body);
    int r = read_window(call, &c.window, NULL);

    if (r == 0)
        r = store_read(app->store, health_job, &c);
    if (r == 0)
        r = sender_domain_report(app->mail->domain, config_current(), call->now, call->arena,
                                 &health.domain);
    if (r == 0)
        r = email_health_write(&w, call->arena, &health);
    return r ? r : call_reply_written(call, "application/json");
}

struct reading {
    struct arena *arena;
    struct email_figures *figures;
};

static int figures_job(struct store_txn *t, void *arg)
{
    struct reading *r = arg;

    return email_figures_read(t, r->arena, r->figures);
}

static int get_metrics(struct call *call)
{
    const struct window_query *q = call->query;
    struct email_figures figures = {.group = q->group_by == 1 ? MAIL_BY_TEMPLATE : MAIL_BY_DOMAIN,
                                    .cache = app_of(call)->mail->shares};
    struct reading reading = {call->arena, &figures};
    struct json_writer w = json_writer(&call->reply->body);
    int r = read_window(call, &figures.window, &figures.bucket);

    if (r == 0)
        r = store_read(app_of(call)->store, figures_job, &reading);
    if (r == 0)
        r = email_figures_write(&w, call->arena, &figures);
    return r ? r : call_reply_written(call, "application/json");
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/email-monitoring/health", PERMIT_ADMIN, LANE_WORKER, 0, 200, &health_query,
     NULL, &email_health_shape,
     "Whether the tenant's mail is well, by its rates; of all tenants for operators", get_health},
    {HTTP_GET, "/v1/email-monitoring/metrics", PERMIT_ADMIN, LANE_WORKER, 0, 200, &metrics_query,
     NULL, &email_figures_shape, "Figures of mail by time, and by domain or template",
     get_metrics},
};
/* clang-format on */

const struct route_table api_email_monitoring = ROUTE_TABLE("Health and log of mail", routes);
