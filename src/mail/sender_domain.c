#include "mail/sender_domain.h"

#include "base/buf.h"
#include "base/fault.h"
#include "mail/recipient.h"

#include <pthread.h>

enum { KEPT_MAX = 256 * 1024, SETTINGS_MAX = 64 * 1024, QUESTION_MS = 2000 };

struct sender_domain {
    pthread_mutex_t lock;
    bool busy;           /* somebody is asking */
    struct buf settings; /* of what is kept */
    struct arena arena;  /* of what is kept */
    struct domain_report report;
    int64_t checked_at;
    bool silent; /* a question had no answer */
};

int sender_domain_new(struct sender_domain **ret)
{
    struct sender_domain *d = calloc(1, sizeof *d);

    if (!d)
        return fault_set(FAULT_MEMORY, "no memory for the sending domain");
    pthread_mutex_init(&d->lock, NULL);
    d->settings = buf_init(SETTINGS_MAX);
    d->arena = arena_init(KEPT_MAX);
    *ret = d;
    return 0;
}

void sender_domain_free(struct sender_domain *d)
{
    if (!d)
        return;
    buf_free(&d->settings);
    arena_free(&d->arena);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

struct str sender_state_name(enum domain_state state)
{
    static const struct str names[] = {
        [DOMAIN_GOOD] = STR_INIT("good"),
        [DOMAIN_WARNING] = STR_INIT("warning"),
        [DOMAIN_BAD] = STR_INIT("bad"),
        [DOMAIN_UNKNOWN] = STR_INIT("unknown"),
    };

    return names[state];
}

/* The domain of EMAIL_FROM; empty for localhost, of which no DNS tells. */
static int domain_of(const struct config *config, struct arena *arena, struct str *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n, at;

    *ret = STR("");
    if (recipient_parse(str_of(config->email_from), address, &n))
        return 0;
    at = str_find((struct str){address, n}, '@') + 1;
    struct str domain = {address + at, n - at};
    if (str_eq(domain, STR("localhost")))
        return 0;
    *ret = arena_str(arena, domain);
    return ret->p ? 0 : FAULT_MEMORY;
}

/* All that an answer depends on, as one text. */
static int write_settings(const struct config *c, struct str domain, struct buf *out)
{
    buf_printf(out, "%.*s\n%s\n%s\n%d", STR_ARG(domain), c->dkim_selectors, c->dns_server,
               c->email_transport == EMAIL_SES);
    return buf_fault(out);
}

static bool is_fresh(const struct sender_domain *d, int64_t now)
{
    int64_t age = now - d->checked_at;

    return d->checked_at && age >= 0 && age < (d->silent ? SENDER_RETRY_MS : SENDER_KEEP_MS);
}

static bool is_silent(const struct domain_report *report)
{
    for (size_t i = 0; i < report->n; i++)
        if (str_has_suffix(str_of(report->findings[i].code), STR(".unknown")))
            return true;
    return false;
}

static int check(const struct config *c, struct str domain, struct arena *arena,
                 struct domain_report *ret)
{
    struct domain_check what = {
        .dns = {.server = str_of(c->dns_server), .timeout_ms = QUESTION_MS},
        .domain = domain,
        .selectors = c->selectors,
        .selector_count =
            c->selector_count < DOMAIN_SELECTORS_MAX ? c->selector_count : DOMAIN_SELECTORS_MAX,
        .amazon_ses = c->email_transport == EMAIL_SES,
        .budget_ms = SENDER_BUDGET_MS,
    };
    int r = domain_check(&what, arena, ret);

    if (r == DOMAIN_INVALID) {
        ret->n = 1;
        ret->findings[0] = (struct domain_finding){
            DOMAIN_BAD, "domain.invalid", domain,
            "EMAIL_FROM or EMAIL_DKIM_SELECTORS holds what is no name of the DNS."};
        r = 0;
    }
    return r;
}

/* Asks without the lock and keeps the answer. */
static int refresh(struct sender_domain *d, const struct config *c, struct str domain, int64_t now)
{
    struct arena arena = arena_init(KEPT_MAX);
    struct domain_report report = {.n = 0};

    pthread_mutex_unlock(&d->lock);
    struct str kept = arena_str(&arena, domain);
    int r = kept.p ? check(c, kept, &arena, &report) : FAULT_MEMORY;
    pthread_mutex_lock(&d->lock);
    if (r) {
        arena_free(&arena);
        return r;
    }
    arena_free(&d->arena);
    d->arena = arena;
    d->report = report;
    d->silent = is_silent(&report);
    d->checked_at = now;
    return 0;
}

static int copy(const struct sender_domain *d, struct arena *arena, struct sender_report *ret)
{
    size_t n = d->report.n;
    struct domain_finding *findings = arena_array(arena, n + 1, sizeof *findings);

    if (!findings)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        findings[i] = d->report.findings[i];
        findings[i].name = arena_str(arena, findings[i].name);
        findings[i].sentence = arena_str(arena, str_of(findings[i].sentence)).p;
        if (!findings[i].name.p || !findings[i].sentence)
            return FAULT_MEMORY;
    }
    ret->checked_at = d->checked_at;
    ret->findings = findings;
    ret->n = n;
    ret->state = d->checked_at ? domain_report_state(&d->report) : DOMAIN_UNKNOWN;
    return 0;
}

/* Under the lock: what was asked under other settings is nothing. */
static int take_settings(struct sender_domain *d, struct str settings)
{
    if (str_eq(buf_str(&d->settings), settings))
        return 0;
    buf_reset(&d->settings);
    arena_free(&d->arena);
    d->report.n = 0;
    d->checked_at = 0;
    return buf_add_str(&d->settings, settings);
}

int sender_domain_report(struct sender_domain *d, const struct config *config, int64_t now,
                         struct arena *arena, struct sender_report *ret)
{
    _cleanup_buf_ struct buf settings = buf_init(SETTINGS_MAX);
    struct sender_report report = {.state = DOMAIN_UNKNOWN};
    int r = domain_of(config, arena, &report.domain);

    if (r == 0)
        r = write_settings(config, report.domain, &settings);
    if (r == 0 && report.domain.n) {
        pthread_mutex_lock(&d->lock);
        /* While another asks, its settings stay; who comes with others is told nothing yet. */
        if (!d->busy)
            r = take_settings(d, buf_str(&settings));
        if (r == 0 && !d->busy && !is_fresh(d, now)) {
            d->busy = true;
            r = refresh(d, config, report.domain, now);
            d->busy = false;
        }
        if (r == 0 && str_eq(buf_str(&d->settings), buf_str(&settings)))
            r = copy(d, arena, &report);
        pthread_mutex_unlock(&d->lock);
    }
    if (r == 0)
        *ret = report;
    return r;
}
