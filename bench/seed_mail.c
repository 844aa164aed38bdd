/*
 * Adds many messages of two tenants, evenly over the last 85 days, straight to Holdfast's
 * tables, with the figures that belong to them. Nobody else may use the database meanwhile.
 */
#include "bench/seed_mail.h"

#include "base/clock.h"
#include "base/fault.h"

#include <stdio.h>

enum {
    ROWS_MAX = 100000000,
    DAYS = 85, /* less than they are kept */
    FINE_DAYS = 8,
    TENANTS = 2,
    DOMAINS = 200,
    TEMPLATES = 10,
    CODES = 5,
    ADDRESSES = 1000000,
    FINE_MS = 5 * CLOCK_MINUTE
};

static const char usage[] = "usage: seed_mail DATABASE_URL TENANT_ID OTHER_TENANT_ID COUNT\n";

/* In the order of the figures' columns. */
static const char *const states[SEED_STATES] = {"queued",     "sent",     "delayed", "delivered",
                                                "suppressed", "rejected", "bounced", "complained"};
enum { SENT = 1, DELAYED, DELIVERED, SUPPRESSED, BOUNCED = 6, COMPLAINED };
static const char *const codes[CODES] = {"5.1.1", "5.1.2", "5.2.1", "5.7.1", "4.4.1"};

static char domains[DOMAINS][32], templates[TEMPLATES][16];

/* SplitMix64: the same rows each time. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Counters of the bucket in hand: sums, and by domain and by template. */
struct bucket {
    int64_t span, at;
    int64_t sums[TENANTS][SEED_COUNTS];
    int64_t domains[TENANTS][DOMAINS][SEED_COUNTS];
    int64_t templates[TENANTS][TEMPLATES][SEED_COUNTS];
    int64_t errors[TENANTS][CODES][SEED_COUNTS];
};

struct seeding {
    const struct seed_mail_sink *sink;
    void *state;
    struct uuid tenants[TENANTS];
    uint64_t n;
    int64_t begin, end;
};

/* What a row is, by its number alone. */
struct pick {
    int tenant, domain, template, state, code;
    uint64_t address, a, b;
};

static struct pick pick_of(uint64_t i)
{
    uint64_t random = i * 1000;
    uint64_t which = next_random(&random) % 10000, share = next_random(&random) % 1000;
    struct pick p = {.tenant = next_random(&random) % 10 == 0,
                     /* A few domains have most of the mail. */
                     .domain = (int)(share * share * share / 5000000),
                     .template = (int)(next_random(&random) % TEMPLATES),
                     .state = DELIVERED,
                     .code = (int)(next_random(&random) % CODES),
                     .address = next_random(&random) % ADDRESSES};

    if (which < 200)
        p.state = BOUNCED;
    else if (which < 205)
        p.state = COMPLAINED;
    else if (which < 300)
        p.state = SUPPRESSED;
    else if (which < 350)
        p.state = DELAYED;
    else if (which < 450)
        p.state = SENT;
    p.a = next_random(&random);
    p.b = next_random(&random);
    return p;
}

static int64_t time_of(const struct seeding *s, uint64_t i)
{
    return s->begin + (int64_t)((double)(s->end - s->begin) * (double)i / (double)s->n);
}

static int write_log(const struct seeding *s, uint64_t i)
{
    struct pick p = pick_of(i);
    uint8_t random[10];
    struct seed_log row = {.tenant = s->tenants[p.tenant],
                           .domain = domains[p.domain],
                           .template_name = templates[p.template],
                           .state = states[p.state],
                           .code = p.state == BOUNCED ? codes[p.code] : "",
                           .counted = p.state == BOUNCED || p.state == COMPLAINED,
                           .at = time_of(s, i)};

    memcpy(random, &p.a, 8);
    memcpy(random + 8, &p.b, 2);
    row.id = uuid_of(row.at, random);
    random[0]++;
    row.message = uuid_of(row.at, random);
    if (p.address % 2)
        row.user = uuid_of(1600000000000 + (int64_t)p.address, (const uint8_t[10]){1});
    snprintf(row.provider, sizeof row.provider, "%016llx-%llu", (unsigned long long)p.a,
             (unsigned long long)i);
    snprintf(row.recipient, sizeof row.recipient, "user%llu@%s", (unsigned long long)p.address,
             row.domain);
    return s->sink->log(s->state, &row);
}

static bool any(const int64_t counts[SEED_COUNTS])
{
    for (int k = 0; k < SEED_COUNTS; k++)
        if (counts[k])
            return true;
    return false;
}

/* As mail/moves.h has them. */
enum kind { OF_ALL = 1, OF_DOMAIN, OF_TEMPLATE, OF_ERROR };

static int write_counts(const struct seeding *s, const struct bucket *b, int tenant, enum kind kind,
                        const char *name, const int64_t *counts)
{
    struct seed_figure row = {.tenant = s->tenants[tenant],
                              .kind = (int)kind,
                              .span = b->span,
                              .bucket = b->at,
                              .name = name};

    memcpy(row.counts, counts, sizeof row.counts);
    return any(counts) ? s->sink->figure(s->state, &row) : 0;
}

static int write_bucket(const struct seeding *s, struct bucket *b)
{
    int r = 0;

    for (int t = 0; r == 0 && t < TENANTS; t++) {
        r = write_counts(s, b, t, OF_ALL, "", b->sums[t]);
        for (int d = 0; r == 0 && d < DOMAINS; d++)
            r = write_counts(s, b, t, OF_DOMAIN, domains[d], b->domains[t][d]);
        for (int k = 0; r == 0 && k < TEMPLATES; k++)
            r = write_counts(s, b, t, OF_TEMPLATE, templates[k], b->templates[t][k]);
        for (int c = 0; r == 0 && c < CODES; c++)
            r = write_counts(s, b, t, OF_ERROR, codes[c], b->errors[t][c]);
    }
    *b = (struct bucket){.span = b->span};
    return r;
}

/* Counts a row, after writing the bucket before where it is of the next one. */
static int count(const struct seeding *s, struct bucket *b, const struct pick *p, int64_t at)
{
    int64_t begin = at - at % b->span;
    int r = b->at && b->at != begin ? write_bucket(s, b) : 0;

    b->at = begin;
    int64_t *each[] = {b->sums[p->tenant], b->domains[p->tenant][p->domain],
                       b->templates[p->tenant][p->template], b->errors[p->tenant][p->code]};
    for (int i = 0; i < (p->state == BOUNCED ? 4 : 3); i++) {
        each[i][p->state]++;
        each[i][SEED_STATES] += p->state == BOUNCED;
        each[i][SEED_STATES + 1] += p->state == COMPLAINED;
    }
    return r;
}

/* The figures of one span: the rows once more, which cost less than keeping them. */
static int write_figures(const struct seeding *s, int64_t span)
{
    static struct bucket b;
    int64_t from = span < CLOCK_HOUR ? s->end - FINE_DAYS * (int64_t)CLOCK_DAY - CLOCK_HOUR : 0;
    int r = 0;

    b = (struct bucket){.span = span};
    for (uint64_t i = 0; r == 0 && i < s->n; i++) {
        int64_t at = time_of(s, i);
        if (at < from - from % span)
            continue;
        struct pick p = pick_of(i);
        r = count(s, &b, &p, at);
    }
    return r ? r : write_bucket(s, &b);
}

static int seed(const char *url, struct seeding *s)
{
    s->sink = str_has_prefix(str_of(url), STR("sqlite:")) ? &seed_mail_sqlite : &seed_mail_postgres;
    s->end = clock_now();
    s->begin = s->end - DAYS * (int64_t)CLOCK_DAY;
    for (int i = 0; i < DOMAINS; i++)
        snprintf(domains[i], sizeof domains[i], "mail%03d.example", i);
    for (int i = 0; i < TEMPLATES; i++)
        snprintf(templates[i], sizeof templates[i], "template%d", i);
    int r = s->sink->open(url, &s->state);
    for (uint64_t i = 0; r == 0 && i < s->n; i++)
        r = write_log(s, i);
    if (r == 0)
        r = s->sink->turn(s->state);
    if (r == 0)
        r = write_figures(s, FINE_MS);
    if (r == 0)
        r = write_figures(s, CLOCK_HOUR);
    if (r == 0)
        r = write_figures(s, CLOCK_DAY);
    return r ? r : s->sink->finish(s->state);
}

int main(int argc, char **argv)
{
    struct seeding s = {0};

    if (argc != 5 || uuid_parse(str_of(argv[2]), &s.tenants[0]) ||
        uuid_parse(str_of(argv[3]), &s.tenants[1]) || str_to_u64(str_of(argv[4]), ROWS_MAX, &s.n) ||
        s.n == 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (seed(argv[1], &s)) {
        fprintf(stderr, "seed_mail: %s\n", fault_message());
        return 1;
    }
    return 0;
}
