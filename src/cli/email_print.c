/* Mail's health and figures for people: aligned, and no wider than a terminal. */
#include "base/fault.h"
#include "cli/email.h"

enum { NAME_WIDTH = 24, RATE_SIZE = 48 };

/* "2.104 %", or "-" where it is unknown; cut, so that what is below a bound looks so. */
static void format_rate(struct mail_rate rate, char ret_text[RATE_SIZE])
{
    int64_t thousandths = rate.known ? rate.part * 100000 / rate.of : 0;

    if (rate.known)
        snprintf(ret_text, RATE_SIZE, "%lld.%03lld %%", (long long)(thousandths / 1000),
                 (long long)(thousandths % 1000));
    else
        snprintf(ret_text, RATE_SIZE, "-");
}

static void print_rate(struct buf *out, const char *name, struct mail_rate rate, const char *side,
                       int64_t bound)
{
    char text[RATE_SIZE];

    format_rate(rate, text);
    buf_printf(out, "%-12s %9s   (healthy %s %g %%)\n", name, rate.known ? text : "unknown", side,
               (double)bound / 1e4);
}

static void print_domain(const struct sender_report *r, struct buf *out)
{
    if (r->domain.n == 0)
        return;
    buf_printf(out, "%-12s %.*s: %.*s\n", "Domain", STR_ARG(r->domain),
               STR_ARG(sender_state_name(r->state)));
    for (size_t i = 0; i < r->n; i++)
        buf_printf(out, "  %-16s %s\n", r->findings[i].code, r->findings[i].sentence);
}

static const char *sentence_of(enum mail_status status)
{
    switch (status) {
    case MAIL_HEALTHY:
        return "Mail is healthy.";
    case MAIL_WARNING:
        return "Mail needs attention (warning).";
    case MAIL_CRITICAL:
        return "Mail is in danger of being paused by the provider (critical).";
    case MAIL_INSUFFICIENT_DATA:
        break;
    }
    return "Too little was sent to tell whether mail is healthy (insufficient_data).";
}

void email_health_print(struct arena *a, const struct email_health *h, struct buf *out)
{
    const struct mail_thresholds *t = &mail_thresholds_default;
    char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
    struct str_list todo = {0};

    clock_format(h->health.window.since, since);
    clock_format(h->health.window.until, until);
    buf_printf(out, "%s\n\n%-12s %s to %s\n", sentence_of(h->health.status), "Window", since,
               until);
    buf_printf(out, "%-12s %9lld   (at least %lld to tell)\n", "Sent", (long long)h->health.sent,
               (long long)t->messages);
    print_rate(out, "Bounces", h->health.bounce, "below", t->bounce);
    print_rate(out, "Complaints", h->health.complaint, "below", t->complaint);
    print_rate(out, "Deliveries", h->health.delivery, "above", t->delivery);
    print_domain(&h->domain, out);
    int r = email_health_recommendations(a, h, &todo);
    if (r) {
        out->fault = r;
        return;
    }
    for (size_t i = 0; i < todo.n; i++) {
        buf_add_str(out, i ? STR("- ") : STR("\n- "));
        email_verb_add(out, todo.items[i]);
        buf_add_char(out, '\n');
    }
}

static void print_head(struct buf *out, const char *title)
{
    buf_printf(out, "\n%-*s %9s %9s %9s %8s %9s %9s %9s\n", NAME_WIDTH, title, "accepted", "sent",
               "delivered", "bounced", "bounce", "complaint", "delivery");
}

/* A name, cut or filled up with spaces to the width of its column. */
static void print_name(struct buf *out, struct str name)
{
    size_t before = out->n;

    email_verb_add(out, str_cut(name, NAME_WIDTH));
    buf_printf(out, "%*s", NAME_WIDTH - (int)(out->n - before), "");
}

static void print_counts(struct buf *out, struct str name, const struct mail_counts *c,
                         bool deliveries_known)
{
    struct mail_health h = mail_health_of(c, deliveries_known, &mail_thresholds_default);
    int64_t sent = mail_counts_sent(c);
    char bounce[RATE_SIZE], complaint[RATE_SIZE], delivery[RATE_SIZE];
    long long all = sent + c->in[MAIL_QUEUED] + c->in[MAIL_REJECTED] + c->in[MAIL_SUPPRESSED];

    format_rate(h.bounce, bounce);
    format_rate(h.complaint, complaint);
    format_rate(h.delivery, delivery);
    print_name(out, name);
    buf_printf(out, " %9lld %9lld %9lld %8lld %9s %9s %9s\n", all, (long long)sent,
               (long long)mail_counts_delivered(c), (long long)c->in[MAIL_BOUNCED], bounce,
               complaint, delivery);
}

void email_figures_print(const struct email_figures *f, struct buf *out)
{
    char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];

    clock_format(f->window.since, since);
    clock_format(f->window.until, until);
    buf_printf(out, "%s to %s\n", since, until);
    print_head(out, "");
    print_counts(out, STR("all"), &f->totals, f->deliveries_known);
    if (f->n_points)
        print_head(out, "Time");
    for (size_t i = 0; i < f->n_points; i++) {
        char at[CLOCK_TEXT_SIZE];
        clock_format(f->points[i].at, at);
        print_counts(out, str_of(at), &f->points[i].counts, f->deliveries_known);
    }
    if (f->n_shares)
        print_head(out, f->group == MAIL_BY_DOMAIN ? "Domain" : "Template");
    for (size_t i = 0; i < f->n_shares; i++)
        print_counts(out, f->shares[i].name.n ? f->shares[i].name : STR("(none)"),
                     &f->shares[i].counts, f->deliveries_known);
    if (f->n_errors)
        buf_printf(out, "\n%-*s %9s\n", NAME_WIDTH, "Error", "messages");
    for (size_t i = 0; i < f->n_errors; i++) {
        print_name(out, f->errors[i].code);
        buf_printf(out, " %9lld\n", (long long)f->errors[i].n);
    }
}
