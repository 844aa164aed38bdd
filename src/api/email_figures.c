/* Health and figures as they are shown. */
#include "api/email_views.h"
#include "base/fault.h"

#include <math.h>

#define FIELD_AT(struct_type, name, type, flags, member, help)                                     \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct_type, member), 0, 0, NULL, NULL,     \
            help                                                                                   \
    }
#define OBJECT_AT(struct_type, name, type, flags, member, of, help)                                \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct_type, member), 0, 0, NULL, of, help  \
    }

struct window_view {
    int64_t since, until;
};

static const struct field window_fields[] = {
    FIELD_AT(struct window_view, "since", FIELD_TIME, 0, since, "Accepted at or after this."),
    FIELD_AT(struct window_view, "until", FIELD_TIME, 0, until, "And before this."),
};
static const struct shape window_shape = SHAPE("EmailWindow", struct window_view, window_fields);

struct rates_view {
    double bounce, complaint, delivery;
};

#define RATE_FIELD(name, help)                                                                     \
    FIELD_AT(struct rates_view, #name, FIELD_DOUBLE, FIELD_NULLABLE, name, help)
static const struct field rates_fields[] = {
    RATE_FIELD(bounce, "Of what was sent, from 0 to 1; null where nothing was."),
    RATE_FIELD(complaint, "Likewise."),
    RATE_FIELD(delivery, "Likewise; null also where no delivery was ever told of."),
};
static const struct shape rates_shape = SHAPE("EmailRates", struct rates_view, rates_fields);

struct thresholds_view {
    double bounce, bounce_critical, complaint, complaint_critical, delivery, delivery_critical;
    int64_t messages;
};

#define BOUND_FIELD(name, member, help)                                                            \
    FIELD_AT(struct thresholds_view, name, FIELD_DOUBLE, 0, member, help)
static const struct field thresholds_fields[] = {
    BOUND_FIELD("bounce", bounce, "Healthy is below."),
    BOUND_FIELD("bounceCritical", bounce_critical, "Critical from here on."),
    BOUND_FIELD("complaint", complaint, "Healthy is below."),
    BOUND_FIELD("complaintCritical", complaint_critical, "Critical from here on."),
    BOUND_FIELD("delivery", delivery, "Healthy is above."),
    BOUND_FIELD("deliveryCritical", delivery_critical, "Critical from here down."),
    FIELD_AT(struct thresholds_view, "messages", FIELD_INT, 0, messages,
             "Fewer are too few to tell."),
};
static const struct shape thresholds_shape =
    SHAPE("EmailThresholds", struct thresholds_view, thresholds_fields);

struct finding_view {
    struct str code, state, name, text;
};

#define FINDING_FIELD(name_text, member, help)                                                     \
    FIELD_AT(struct finding_view, name_text, FIELD_STR, 0, member, help)
static const struct field finding_fields[] = {
    FINDING_FIELD("code", code, "Stable, such as dmarc.missing."),
    FINDING_FIELD("state", state, "good, warning, bad or unknown."),
    FINDING_FIELD("name", name, "The name that was asked for."),
    FINDING_FIELD("text", text, "What was found, and what to do."),
};
static const struct shape finding_shape =
    SHAPE("EmailDomainFinding", struct finding_view, finding_fields);

struct domain_view {
    struct str name, state;
    struct shape_list findings;
    int64_t checked_at;
};

static const struct field domain_fields[] = {
    FIELD_AT(struct domain_view, "name", FIELD_STR, 0, name, "The domain of EMAIL_FROM."),
    FIELD_AT(struct domain_view, "state", FIELD_STR, 0, state, "good, warning, bad or unknown."),
    OBJECT_AT(struct domain_view, "findings", FIELD_LIST, 0, findings, &finding_shape,
              "Of SPF, DKIM, DMARC and MX."),
    FIELD_AT(struct domain_view, "checkedAt", FIELD_TIME, FIELD_NULLABLE, checked_at,
             "When the DNS was asked; null while it is for the first time."),
};
static const struct shape domain_shape = SHAPE("EmailDomain", struct domain_view, domain_fields);

struct health_view {
    struct str status;
    const struct window_view *window;
    int64_t sent;
    const struct rates_view *rates;
    const struct thresholds_view *thresholds;
    struct str_list recommendations;
    const struct domain_view *domain;
    int64_t checked_at;
};

static const struct field health_fields[] = {
    FIELD_AT(struct health_view, "status", FIELD_STR, 0, status,
             "healthy, warning, critical, or insufficient_data."),
    OBJECT_AT(struct health_view, "window", FIELD_OBJECT, 0, window, &window_shape,
              "What it is of, wider than asked by less than a bucket on either side."),
    FIELD_AT(struct health_view, "sent", FIELD_INT, 0, sent, "Messages that were handed over."),
    OBJECT_AT(struct health_view, "rates", FIELD_OBJECT, 0, rates, &rates_shape,
              "Held against the thresholds."),
    OBJECT_AT(struct health_view, "thresholds", FIELD_OBJECT, 0, thresholds, &thresholds_shape,
              "What is healthy."),
    FIELD_AT(struct health_view, "recommendations", FIELD_STRS, 0, recommendations,
             "What to do, and which domains, templates and errors are behind it."),
    OBJECT_AT(struct health_view, "domain", FIELD_OBJECT, FIELD_NULLABLE, domain, &domain_shape,
              "What the DNS says of the sending domain; it does not change the status."),
    FIELD_AT(struct health_view, "checkedAt", FIELD_TIME, 0, checked_at, "When."),
};
const struct shape email_health_shape = SHAPE("EmailHealth", struct health_view, health_fields);

struct counts_view {
    int64_t accepted, sent, delivered, delayed, bounced, complained, rejected, suppressed, queued;
};

/* Of a struct that begins with a struct counts_view. */
#define COUNT_FIELD(name, help) FIELD_AT(struct counts_view, #name, FIELD_INT, 0, name, help)
#define COUNT_FIELDS                                                                               \
    COUNT_FIELD(accepted, "Messages, one a recipient."),                                           \
        COUNT_FIELD(sent, "Handed over and taken, whatever came of it."),                          \
        COUNT_FIELD(delivered, "In the recipient's server, complained about or not."),             \
        COUNT_FIELD(delayed, "Still being tried."), COUNT_FIELD(bounced, "Came back."),            \
        COUNT_FIELD(complained, "Called unwanted."),                                               \
        COUNT_FIELD(rejected, "Not taken by the transport."),                                      \
        COUNT_FIELD(suppressed, "Not sent: the address is listed."),                               \
        COUNT_FIELD(queued, "Not handed over yet.")
static const struct field counts_fields[] = {COUNT_FIELDS};
static const struct shape counts_shape = SHAPE("EmailCounts", struct counts_view, counts_fields);

struct point_view {
    struct counts_view counts; /* first */
    int64_t at;
    const struct rates_view *rates;
};

static const struct field point_fields[] = {
    FIELD_AT(struct point_view, "at", FIELD_TIME, 0, at, "Where its bucket begins."),
    COUNT_FIELDS,
    OBJECT_AT(struct point_view, "rates", FIELD_OBJECT, 0, rates, &rates_shape, "Of the bucket."),
};
static const struct shape point_shape = SHAPE("EmailPoint", struct point_view, point_fields);

struct share_view {
    struct counts_view counts; /* first */
    struct str name;
    const struct rates_view *rates;
};

static const struct field share_fields[] = {
    FIELD_AT(struct share_view, "name", FIELD_STR, 0, name, "A domain, or a template."),
    COUNT_FIELDS,
    OBJECT_AT(struct share_view, "rates", FIELD_OBJECT, 0, rates, &rates_shape, "Of this group."),
};
static const struct shape share_shape = SHAPE("EmailGroup", struct share_view, share_fields);

struct error_view {
    struct str code;
    int64_t count;
};

static const struct field error_fields[] = {
    FIELD_AT(struct error_view, "code", FIELD_STR, 0, code, "Such as 5.1.1."),
    FIELD_AT(struct error_view, "count", FIELD_INT, 0, count, "Messages that show it."),
};
static const struct shape error_shape = SHAPE("EmailError", struct error_view, error_fields);

struct figures_view {
    const struct window_view *window;
    int64_t bucket_s;
    struct str group_by;
    const struct counts_view *totals;
    const struct rates_view *rates;
    struct shape_list series, groups, errors;
};

static const struct field figures_fields[] = {
    OBJECT_AT(struct figures_view, "window", FIELD_OBJECT, 0, window, &window_shape,
              "What it is of, wider than asked by less than a bucket on either side."),
    FIELD_AT(struct figures_view, "bucketSeconds", FIELD_INT, 0, bucket_s, "Of the series."),
    FIELD_AT(struct figures_view, "groupBy", FIELD_STR, 0, group_by, "domain or template."),
    OBJECT_AT(struct figures_view, "totals", FIELD_OBJECT, 0, totals, &counts_shape,
              "Of the window."),
    OBJECT_AT(struct figures_view, "rates", FIELD_OBJECT, 0, rates, &rates_shape, "Of the window."),
    OBJECT_AT(struct figures_view, "series", FIELD_LIST, 0, series, &point_shape,
              "All buckets, also empty ones; the first and the last only as far as the window."),
    OBJECT_AT(struct figures_view, "groups", FIELD_LIST, 0, groups, &share_shape,
              "Those most sent to; 50 at most."),
    OBJECT_AT(struct figures_view, "errors", FIELD_LIST, 0, errors, &error_shape,
              "The codes most seen; 20 at most."),
};
const struct shape email_figures_shape = SHAPE("EmailMetrics", struct figures_view, figures_fields);

static double rate_of(struct mail_rate rate)
{
    return rate.known ? mail_rate_value(rate) : NAN;
}

static struct rates_view rates_of(const struct mail_counts *counts, bool deliveries_known)
{
    struct mail_health h = mail_health_of(counts, deliveries_known, &mail_thresholds_default);

    return (struct rates_view){rate_of(h.bounce), rate_of(h.complaint), rate_of(h.delivery)};
}

static struct counts_view counts_of(const struct mail_counts *c)
{
    struct counts_view v = {.sent = mail_counts_sent(c),
                            .delivered = mail_counts_delivered(c),
                            .delayed = c->in[MAIL_DELAYED],
                            .bounced = c->in[MAIL_BOUNCED],
                            .complained = c->in[MAIL_COMPLAINED],
                            .rejected = c->in[MAIL_REJECTED],
                            .suppressed = c->in[MAIL_SUPPRESSED],
                            .queued = c->in[MAIL_QUEUED]};

    v.accepted = v.sent + v.rejected + v.suppressed + v.queued;
    return v;
}

static struct thresholds_view thresholds_of(const struct mail_thresholds *t)
{
    const double million = 1e6;

    return (struct thresholds_view){(double)t->bounce / million,
                                    (double)t->bounce_critical / million,
                                    (double)t->complaint / million,
                                    (double)t->complaint_critical / million,
                                    (double)t->delivery / million,
                                    (double)t->delivery_critical / million,
                                    t->messages};
}

/* A domain that may be refused or forged is worth a line, as far as it is known. */
static bool is_worth_saying(const struct domain_finding *f)
{
    return f->state == DOMAIN_BAD || f->state == DOMAIN_WARNING;
}

int email_health_recommendations(struct arena *a, const struct email_health *h,
                                 struct str_list *ret)
{
    struct str *items = arena_array(a, h->n_advice + h->domain.n + 1, sizeof *items);
    size_t n = 0;

    if (!items)
        return FAULT_MEMORY;
    for (size_t i = 0; i < h->n_advice; i++)
        items[n++] = h->advice[i];
    for (size_t i = 0; i < h->domain.n; i++) {
        const struct domain_finding *f = &h->domain.findings[i];
        if (!is_worth_saying(f))
            continue;
        items[n] = str_of(arena_printf(a, "DNS, %.*s: %s", STR_ARG(f->name), f->sentence));
        if (!items[n++].p)
            return FAULT_MEMORY;
    }
    *ret = (struct str_list){items, n};
    return 0;
}

static int findings_of(struct arena *a, const struct sender_report *r, struct shape_list *ret)
{
    struct finding_view *views = arena_array(a, r->n + 1, sizeof *views);

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < r->n; i++) {
        const struct domain_finding *f = &r->findings[i];
        views[i] = (struct finding_view){str_of(f->code), sender_state_name(f->state), f->name,
                                         str_of(f->sentence)};
    }
    *ret = (struct shape_list){views, r->n};
    return 0;
}

int email_health_write(struct json_writer *w, struct arena *a, const struct email_health *h)
{
    struct window_view window = {h->health.window.since, h->health.window.until};
    struct rates_view rates = {rate_of(h->health.bounce), rate_of(h->health.complaint),
                               rate_of(h->health.delivery)};
    struct thresholds_view thresholds = thresholds_of(&mail_thresholds_default);
    struct domain_view domain = {.name = h->domain.domain,
                                 .state = sender_state_name(h->domain.state),
                                 .checked_at = h->domain.checked_at};
    struct health_view view = {.status = mail_status_name(h->health.status),
                               .window = &window,
                               .sent = h->health.sent,
                               .rates = &rates,
                               .thresholds = &thresholds,
                               .domain = domain.name.n ? &domain : NULL,
                               .checked_at = h->checked_at};
    int r = email_health_recommendations(a, h, &view.recommendations);

    if (r == 0)
        r = findings_of(a, &h->domain, &domain.findings);
    if (r == 0)
        shape_write(w, &email_health_shape, &view);
    return r;
}

int email_figures_read(struct store_txn *t, struct arena *a, struct email_figures *f)
{
    const struct mail_window *w = &f->window;
    const struct mail_ranking by = {f->group, MAIL_MOST_SENT, EMAIL_SHARES_MAX};
    int r = mail_metrics_knows_deliveries(t, w->until, &f->deliveries_known);

    if (r == 0)
        r = share_cache_series(f->cache, t, a, w, f->bucket, &f->points, &f->n_points);
    f->totals = (struct mail_counts){0};
    for (size_t i = 0; r == 0 && i < f->n_points; i++)
        mail_counts_add(&f->totals, &f->points[i].counts);
    if (r == 0)
        r = share_cache_read(f->cache, t, a, w, &by, &f->shares, &f->n_shares);
    if (r == 0)
        r = mail_metrics_errors(t, a, w, EMAIL_ERRORS_MAX, &f->errors, &f->n_errors);
    return r;
}

/* A point for each bucket of the window, also where nothing was sent. */
static int series_of(struct arena *a, const struct email_figures *f, struct shape_list *ret)
{
    static const struct mail_counts nothing;
    int64_t first = f->window.since - f->window.since % f->bucket;
    size_t n = (size_t)((f->window.until - first + f->bucket - 1) / f->bucket), next = 0;
    struct point_view *views = arena_array(a, n + 1, sizeof *views);
    struct rates_view *rates = arena_array(a, n + 1, sizeof *rates);

    if (!views || !rates)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        int64_t at = first + (int64_t)i * f->bucket;
        bool any = next < f->n_points && f->points[next].at == at;
        const struct mail_counts *counts = any ? &f->points[next++].counts : &nothing;
        rates[i] = rates_of(counts, f->deliveries_known);
        views[i] = (struct point_view){counts_of(counts), at, &rates[i]};
    }
    *ret = (struct shape_list){views, n};
    return 0;
}

static int groups_of(struct arena *a, const struct email_figures *f, struct shape_list *ret)
{
    struct share_view *views = arena_array(a, f->n_shares + 1, sizeof *views);
    struct rates_view *rates = arena_array(a, f->n_shares + 1, sizeof *rates);

    if (!views || !rates)
        return FAULT_MEMORY;
    for (size_t i = 0; i < f->n_shares; i++) {
        const struct mail_share *s = &f->shares[i];
        rates[i] = rates_of(&s->counts, f->deliveries_known);
        views[i] = (struct share_view){counts_of(&s->counts), s->name, &rates[i]};
    }
    *ret = (struct shape_list){views, f->n_shares};
    return 0;
}

static int errors_of(struct arena *a, const struct email_figures *f, struct shape_list *ret)
{
    struct error_view *views = arena_array(a, f->n_errors + 1, sizeof *views);

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < f->n_errors; i++)
        views[i] = (struct error_view){f->errors[i].code, f->errors[i].n};
    *ret = (struct shape_list){views, f->n_errors};
    return 0;
}

int email_figures_write(struct json_writer *w, struct arena *a, const struct email_figures *f)
{
    struct window_view window = {f->window.since, f->window.until};
    struct counts_view totals = counts_of(&f->totals);
    struct rates_view rates = rates_of(&f->totals, f->deliveries_known);
    struct figures_view view = {.window = &window,
                                .bucket_s = f->bucket / CLOCK_SECOND,
                                .group_by =
                                    f->group == MAIL_BY_DOMAIN ? STR("domain") : STR("template"),
                                .totals = &totals,
                                .rates = &rates};
    int r = series_of(a, f, &view.series);

    if (r == 0)
        r = groups_of(a, f, &view.groups);
    if (r == 0)
        r = errors_of(a, f, &view.errors);
    if (r == 0)
        shape_write(w, &email_figures_shape, &view);
    return r;
}
