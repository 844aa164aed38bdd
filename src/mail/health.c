#include "mail/health.h"

#include "base/buf.h"
#include "base/fault.h"

enum { MILLION = 1000000, NAMED = 3, ADVICE_MAX = 4096 };

const struct mail_thresholds mail_thresholds_default = {
    .bounce = 50000,
    .bounce_critical = 100000,
    .complaint = 1000,
    .complaint_critical = 5000,
    .delivery = 950000,
    .delivery_critical = 900000,
    .messages = 100,
};

struct str mail_status_name(enum mail_status status)
{
    static const struct str names[] = {
        [MAIL_HEALTHY] = STR_INIT("healthy"),
        [MAIL_WARNING] = STR_INIT("warning"),
        [MAIL_CRITICAL] = STR_INIT("critical"),
        [MAIL_INSUFFICIENT_DATA] = STR_INIT("insufficient_data"),
    };

    return names[status];
}

double mail_rate_value(struct mail_rate rate)
{
    return rate.known ? (double)rate.part / (double)rate.of : 0;
}

/* Whether the rate is at the bound or above; an unknown one is not. */
static bool reaches(struct mail_rate rate, int64_t bound)
{
    return rate.known && rate.part * MILLION >= bound * rate.of;
}

/* Whether the rate is at the bound or below. */
static bool falls(struct mail_rate rate, int64_t bound)
{
    return rate.known && rate.part * MILLION <= bound * rate.of;
}

static enum mail_status status_of(const struct mail_health *h, const struct mail_thresholds *limit)
{
    if (h->sent < limit->messages)
        return MAIL_INSUFFICIENT_DATA;
    if (reaches(h->bounce, limit->bounce_critical) ||
        reaches(h->complaint, limit->complaint_critical) ||
        falls(h->delivery, limit->delivery_critical))
        return MAIL_CRITICAL;
    if (reaches(h->bounce, limit->bounce) || reaches(h->complaint, limit->complaint) ||
        falls(h->delivery, limit->delivery))
        return MAIL_WARNING;
    return MAIL_HEALTHY;
}

struct mail_health mail_health_of(const struct mail_counts *counts, bool deliveries_known,
                                  const struct mail_thresholds *thresholds)
{
    int64_t sent = mail_counts_sent(counts);
    struct mail_health h = {
        .counts = *counts,
        .sent = sent,
        .bounce = {sent > 0, counts->bounced_counted, sent},
        .complaint = {sent > 0, counts->complained_counted, sent},
        .delivery = {sent > 0 && deliveries_known, mail_counts_delivered(counts), sent},
    };

    h.status = status_of(&h, thresholds);
    return h;
}

/* A rate that is not well, and how what is behind it is found. */
struct trouble {
    const char *name;
    struct mail_rate rate;
    int64_t bound;
    const char *side, *advice;
    enum mail_order order;
};

/* Where what is behind it is looked for. */
struct search {
    struct store_txn *t;
    struct arena *arena;
    struct share_kept *cache;
    const struct mail_window *window;
};

static int name_shares(const struct search *s, const struct trouble *trouble, enum mail_group group,
                       struct buf *out)
{
    const struct mail_ranking by = {group, trouble->order, NAMED};
    struct mail_share *shares = NULL;
    size_t n = 0, named = 0;
    int r = share_cache_read(s->cache, s->t, s->arena, s->window, &by, &shares, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        int64_t figure = mail_counts_figure(&shares[i].counts, trouble->order);
        struct str name = shares[i].name.n ? shares[i].name : STR("(none)");
        if (figure == 0)
            break;
        buf_printf(out, "%s%.*s (%lld of %lld)",
                   named++                   ? ", "
                   : group == MAIL_BY_DOMAIN ? " Domains: "
                                             : " Templates: ",
                   STR_ARG(name), (long long)figure,
                   (long long)mail_counts_sent(&shares[i].counts));
    }
    if (named)
        buf_add_char(out, '.');
    return r;
}

static int name_errors(const struct search *s, struct buf *out)
{
    struct mail_error_count *errors = NULL;
    size_t n = 0;
    int r = mail_metrics_errors(s->t, s->arena, s->window, NAMED, &errors, &n);

    for (size_t i = 0; r == 0 && i < n; i++)
        buf_printf(out, "%s%.*s (%lld)", i ? ", " : " Errors: ", STR_ARG(errors[i].code),
                   (long long)errors[i].n);
    if (n)
        buf_add_char(out, '.');
    return r;
}

/* 61234 of a million as "6.12". */
static void add_percent(struct buf *out, int64_t millionths)
{
    int64_t hundredths = millionths / 100;

    buf_printf(out, "%lld", (long long)(hundredths / 100));
    if (hundredths % 100)
        buf_printf(out, ".%02lld", (long long)(hundredths % 100));
    buf_add_str(out, STR(" %"));
}

static int keep(struct arena *a, const struct buf *text, struct str *advice, size_t *n)
{
    if (text->fault)
        return text->fault;
    advice[*n] = arena_str(a, buf_str(text));
    return advice[(*n)++].p ? 0 : FAULT_MEMORY;
}

static int advise_on(const struct search *s, const struct trouble *trouble, struct str *advice,
                     size_t *n)
{
    _cleanup_buf_ struct buf text = buf_init(ADVICE_MAX);

    buf_printf(&text, "The %s rate is ", trouble->name);
    add_percent(&text, trouble->rate.part * MILLION / trouble->rate.of);
    buf_printf(&text, " (%lld of %lld); healthy is %s ", (long long)trouble->rate.part,
               (long long)trouble->rate.of, trouble->side);
    add_percent(&text, trouble->bound);
    buf_printf(&text, ". %s", trouble->advice);
    int r = name_shares(s, trouble, MAIL_BY_DOMAIN, &text);
    if (r == 0)
        r = name_shares(s, trouble, MAIL_BY_TEMPLATE, &text);
    if (r == 0 && trouble->order != MAIL_MOST_COMPLAINED)
        r = name_errors(s, &text);
    return r ? r : keep(s->arena, &text, advice, n);
}

static int advise(const struct search *s, const struct mail_health *h,
                  const struct mail_thresholds *limit, struct str *advice, size_t *n)
{
    const struct trouble troubles[] = {
        {"bounce", h->bounce, limit->bounce, "below",
         "Remove addresses that no longer exist, and confirm new ones.", MAIL_MOST_BOUNCED},
        {"complaint", h->complaint, limit->complaint, "below",
         "Send only what was asked for, with a way to unsubscribe.", MAIL_MOST_COMPLAINED},
        {"delivery", h->delivery, limit->delivery, "above",
         "Look at what receiving servers answer, and at the domain's DNS records.",
         MAIL_MOST_UNDELIVERED},
    };
    bool bad[] = {reaches(h->bounce, limit->bounce), reaches(h->complaint, limit->complaint),
                  falls(h->delivery, limit->delivery)};
    int r = 0;

    for (int i = 0; r == 0 && i < 3; i++)
        if (bad[i])
            r = advise_on(s, &troubles[i], advice, n);
    return r;
}

static int advise_on_unknown(struct arena *a, const struct mail_health *h,
                             const struct mail_thresholds *limit, struct str *advice, size_t *n)
{
    _cleanup_buf_ struct buf text = buf_init(ADVICE_MAX);
    int r = 0;

    if (h->status == MAIL_INSUFFICIENT_DATA) {
        buf_printf(&text, "Sent so far: %lld; rates say something from %lld messages on.",
                   (long long)h->sent, (long long)limit->messages);
        r = keep(a, &text, advice, n);
    } else if (!h->delivery.known) {
        buf_printf(&text, "No delivery was ever told of, so the delivery rate is not known:"
                          " have the provider send its delivery events.");
        r = keep(a, &text, advice, n);
    }
    return r;
}

int mail_health_check(struct store_txn *t, struct arena *a, struct share_kept *cache,
                      const struct mail_window *window, const struct mail_thresholds *thresholds,
                      struct mail_health *ret_health, struct str *ret_advice, size_t *ret_n)
{
    struct search search = {t, a, cache, window};
    struct mail_counts counts;
    struct str advice[MAIL_ADVICE_MAX];
    bool known = false;
    size_t n = 0;
    int r = mail_metrics_totals(t, window, &counts);

    if (r == 0)
        r = mail_metrics_knows_deliveries(t, window->until, &known);
    if (r)
        return r;
    struct mail_health h = mail_health_of(&counts, known, thresholds);
    h.window = *window;
    if (h.status != MAIL_INSUFFICIENT_DATA)
        r = advise(&search, &h, thresholds, advice, &n);
    if (r == 0)
        r = advise_on_unknown(a, &h, thresholds, advice, &n);
    if (r)
        return r;
    *ret_health = h;
    memcpy(ret_advice, advice, n * sizeof *advice);
    *ret_n = n;
    return 0;
}
