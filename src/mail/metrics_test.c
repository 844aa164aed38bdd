/*
 * Figures are what counting the log rows gives, wherever a window begins and ends, and still when
 * the rows are gone.
 */
#include "mail/metrics.h"

#include "mail/fixture.h"
#include "mail/moves.h"
#include "mail/person.h"
#include "mail/retention.h"
#include "mail/share_cache.h"

#define DAY ((int64_t)CLOCK_DAY)
#define HOUR ((int64_t)CLOCK_HOUR)
#define FINE ((int64_t)MAIL_BUCKET_MS)

enum { MESSAGES = 400, BATCH = 40, WINDOWS = 60, DAYS = 12, GROUPS = 20, READS = 3 };

/* A log row as it was before any was removed. */
struct row {
    struct uuid tenant;
    char domain[32], template_name[16], code[32];
    enum mail_state state;
    bool counted;
    int64_t at;
};

struct counting {
    struct scene *f;
    uint64_t seed;
    struct row rows[MESSAGES];
    size_t n;
    struct share_kept *cache;
    /* What is asked for. */
    struct mail_window window;
    int64_t bucket;
    enum mail_group group;
    /* What is told. */
    struct arena arena;
    struct mail_counts totals;
    struct mail_point *points[READS];
    struct mail_share *shares[READS];
    struct mail_error_count *errors;
    size_t n_points[READS], n_shares[READS], n_errors;
};

static uint64_t next(struct counting *c, uint64_t below)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return c->seed % below;
}

static struct mail_event event_of(struct counting *c, const char *provider, const char *address)
{
    switch (next(c, 6)) {
    case 0:
        return mail_delay(provider, address, NOW);
    case 1:
        return mail_bounce(provider, address, NOW);
    case 2:
        return mail_soft_bounce(provider, address, NOW);
    case 3:
        return mail_complaint(provider, address, NOW);
    default:
        return mail_delivery(provider, address, NOW);
    }
}

/* Messages of two tenants at any time of some days, and in batches what became of them. */
static void send_all(struct counting *c)
{
    static const char *const templates[] = {"", "welcome", "reset"};
    static char addresses[BATCH][32], providers[BATCH][16];
    struct mail_event events[BATCH];

    for (int i = 0; i < MESSAGES; i++) {
        char *address = addresses[i % BATCH], *provider = providers[i % BATCH];
        const struct uuid *tenant = next(c, 3) ? &c->f->tenant : &c->f->other;
        int64_t at = NOW - (int64_t)next(c, DAYS * (uint64_t)DAY);
        snprintf(address, sizeof addresses[0], "u%d@d%d.org", i % 7, (int)next(c, 6));
        snprintf(provider, sizeof providers[0], "p%d", i);
        struct str to = str_of(address);
        struct uuid id = mail_queue_all(c->f, tenant, templates[next(c, 3)], &to, 1, at);
        mail_hand_over(c->f, &id, provider, at);
        events[i % BATCH] = event_of(c, provider, address);
        if (i % BATCH == BATCH - 1)
            mail_apply(c->f, events, BATCH);
    }
}

static int read_rows(struct store_rows *rows, void *arg)
{
    struct counting *c = arg;
    int r;

    c->n = 0;
    while ((r = store_rows_next(rows)) == 1) {
        struct row *row = &c->rows[c->n++];
        row->tenant = store_col_id(rows, 0);
        snprintf(row->domain, sizeof row->domain, "%.*s", STR_ARG(store_col_text(rows, 1)));
        snprintf(row->template_name, sizeof row->template_name, "%.*s",
                 STR_ARG(store_col_text(rows, 2)));
        snprintf(row->code, sizeof row->code, "%.*s", STR_ARG(store_col_text(rows, 3)));
        assert_int_equal(mail_state_parse(store_col_text(rows, 4), &row->state), 0);
        row->counted = store_col_int(rows, 5) == 1;
        row->at = store_col_int(rows, 6);
    }
    return r;
}

static void count_row(struct mail_counts *counts, const struct row *row)
{
    counts->in[row->state]++;
    counts->bounced_counted += row->state == MAIL_BOUNCED && row->counted;
    counts->complained_counted += row->state == MAIL_COMPLAINED && row->counted;
}

static const char *name_of(const struct row *row, enum mail_group group)
{
    return group == MAIL_BY_DOMAIN ? row->domain : row->template_name;
}

/* The rows of since to until of the window's tenant; of a group, or a code, where it is given. */
static size_t recount(const struct counting *c, int64_t since, int64_t until,
                      const struct str *group, const struct str *code, struct mail_counts *ret)
{
    const struct uuid *tenant = c->window.tenant;
    size_t n = 0;

    *ret = (struct mail_counts){0};
    for (size_t i = 0; i < c->n; i++) {
        const struct row *row = &c->rows[i];
        if (row->at < since || row->at >= until || (tenant && !uuid_eq(tenant, &row->tenant)) ||
            (group && !str_eq(*group, str_of(name_of(row, c->group)))) ||
            (code && !str_eq(*code, str_of(row->code))))
            continue;
        count_row(ret, row);
        n++;
    }
    return n;
}

static void assert_counts(const struct mail_counts *a, const struct mail_counts *b)
{
    for (int i = 0; i < MAIL_STATES; i++)
        assert_int_equal(a->in[i], b->in[i]);
    assert_int_equal(a->bounced_counted, b->bounced_counted);
    assert_int_equal(a->complained_counted, b->complained_counted);
}

static void check_series(const struct counting *c, const struct mail_point *points, size_t n,
                         size_t of)
{
    const struct mail_window *w = &c->window;
    struct mail_counts counts;
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t from = points[i].at, to = from + c->bucket;
        assert_int_equal(from % c->bucket, 0);
        assert_true(i == 0 || points[i - 1].at < from);
        sum += recount(c, from > w->since ? from : w->since, to < w->until ? to : w->until, NULL,
                       NULL, &counts);
        assert_counts(&points[i].counts, &counts);
    }
    assert_int_equal(sum, of);
}

static void check_shares(const struct counting *c, const struct mail_share *shares, size_t n,
                         size_t of)
{
    struct mail_counts counts;
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += recount(c, c->window.since, c->window.until, &shares[i].name, NULL, &counts);
        assert_counts(&shares[i].counts, &counts);
    }
    assert_int_equal(sum, of);
}

static void check_errors(const struct counting *c, const struct mail_error_count *errors, size_t n)
{
    const struct str none = STR("");
    struct mail_counts counts;
    const struct mail_window *w = &c->window;
    size_t sum = recount(c, w->since, w->until, NULL, &none, &counts);

    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || errors[i - 1].n >= errors[i].n);
        size_t showing = recount(c, w->since, w->until, NULL, &errors[i].code, &counts);
        assert_int_equal(errors[i].n, showing);
        sum += showing;
    }
    assert_int_equal(sum, recount(c, w->since, w->until, NULL, NULL, &counts));
}

/* Once without a cache, then twice with one. */
static int read_job(struct store_txn *t, void *arg)
{
    struct counting *c = arg;
    const struct mail_ranking by = {c->group, MAIL_MOST_BOUNCED, GROUPS};
    struct arena *a = &c->arena;
    int r = mail_metrics_totals(t, &c->window, &c->totals);

    for (int i = 0; r == 0 && i < READS; i++)
        r = share_cache_series(i ? c->cache : NULL, t, a, &c->window, c->bucket, &c->points[i],
                               &c->n_points[i]);
    for (int i = 0; r == 0 && i < READS; i++)
        r = share_cache_read(i ? c->cache : NULL, t, a, &c->window, &by, &c->shares[i],
                             &c->n_shares[i]);
    if (r == 0)
        r = mail_metrics_errors(t, a, &c->window, GROUPS, &c->errors, &c->n_errors);
    return r;
}

static void check(struct counting *c)
{
    struct mail_counts counted;
    size_t all = recount(c, c->window.since, c->window.until, NULL, NULL, &counted);

    assert_done(store_read(c->f->node.store, read_job, c));
    assert_counts(&c->totals, &counted);
    for (int i = 0; i < READS; i++) {
        check_series(c, c->points[i], c->n_points[i], all);
        check_shares(c, c->shares[i], c->n_shares[i], all);
    }
    check_errors(c, c->errors, c->n_errors);
    arena_free(&c->arena);
}

/* Any time, or one at or near the beginning of a day. */
static int64_t any_time(struct counting *c, int64_t from, int64_t to)
{
    int64_t at = from + (int64_t)next(c, (uint64_t)(to - from));

    if (next(c, 3) == 0)
        at += (int64_t)next(c, 3) - 1 - at % DAY;
    return at < from ? from : at;
}

/* Windows that may be asked for at now, of what began at from. */
static void check_windows(struct counting *c, int64_t from, int64_t now)
{
    static const int64_t buckets[] = {FINE,     2 * FINE,  6 * FINE, HOUR,      3 * HOUR,
                                      7 * HOUR, 36 * HOUR, DAY,      DAY + DAY, 7 * DAY};
    const struct uuid *tenants[] = {&c->f->tenant, &c->f->other, NULL};
    int crossed = 0;

    for (int i = 0; i < WINDOWS; i++) {
        int64_t since = any_time(c, from, NOW), until = any_time(c, since + 1, NOW + HOUR);
        c->bucket = buckets[next(c, 10)];
        c->group = next(c, 2) ? MAIL_BY_DOMAIN : MAIL_BY_TEMPLATE;
        if (c->bucket < HOUR && since < now - MAIL_FINE_KEPT_MS)
            c->bucket = HOUR;
        c->window = mail_window(tenants[i % 3], since, until, c->bucket, now);
        assert_true(c->window.since <= since && c->window.since > since - c->window.span);
        assert_true(c->window.until >= until && c->window.until < until + c->window.span);
        crossed += c->window.since / DAY < c->window.until / DAY;
        check(c);
    }
    assert_true(crossed > WINDOWS / 4);
}

static void run_retention(struct scene *f, int64_t log_ms, int64_t now)
{
    const struct retention_limits limits = {log_ms, 100, 60 * (int64_t)CLOCK_SECOND};
    bool over = false;

    assert_done(retention_run(f->node.store, &limits, now, &over));
    assert_true(over);
}

static int erase_job(struct store_txn *t, void *arg)
{
    struct mail_person person = {.address = STR("u1@d1.org")};
    int64_t rows;

    return mail_person_erase(t, &person, 1000, &rows);
}

static void test_same_as_counted(void **state)
{
    struct scene *f = *state;
    struct counting *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->f = f;
    c->seed = 20261122;
    c->arena = arena_init(1 << 20);
    assert_done(share_kept_new(&c->cache));
    send_all(c);
    mail_assert_counters(f);
    assert_done(store_find(f->node.store,
                           "SELECT tenant_id, domain, template, error_code, state, counted,"
                           " created_at FROM email_logs ORDER BY id",
                           read_rows, c, NO_PARAMS));
    assert_int_equal(c->n, MESSAGES);
    check_windows(c, NOW - DAYS * DAY, NOW);
    assert_done(store_write(f->node.store, erase_job, NULL));
    check_windows(c, NOW - DAYS * DAY, NOW);
    /* Rows go first, then five minutes, then hours and the days that they are of. */
    run_retention(f, 5 * DAY, NOW);
    assert_true(scene_number(f, "SELECT count(*) FROM email_logs") < MESSAGES * 2 / 3);
    check_windows(c, NOW - DAYS * DAY, NOW);
    run_retention(f, DAY, NOW - 6 * DAY - 7 * HOUR + MAIL_HOURLY_KEPT_MS);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs"), 0);
    check_windows(c, NOW - 6 * DAY - 7 * HOUR, NOW - 6 * DAY - 7 * HOUR + MAIL_HOURLY_KEPT_MS);
    run_retention(f, DAY, NOW + DAY + 2 * HOUR + MAIL_HOURLY_KEPT_MS);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_figures"), 0);
    share_kept_free(c->cache);
    free(c);
}

static void test_parts(void **state)
{
    const int64_t midnight = NOW - NOW % DAY;
    struct mail_window w = {
        .since = midnight - FINE, .until = midnight + DAY + HOUR + FINE, .span = FINE};
    struct mail_parts p = mail_window_parts(&w, DAY);

    (void)state;
    assert_int_equal(p.at[0], midnight - FINE);
    assert_int_equal(p.at[1], midnight);
    assert_int_equal(p.at[2], midnight);
    assert_int_equal(p.at[3], midnight + DAY);
    assert_int_equal(p.at[4], midnight + DAY + HOUR);
    assert_int_equal(p.at[5], midnight + DAY + HOUR + FINE);
    p = mail_window_parts(&w, HOUR);
    assert_int_equal(p.at[2], p.at[3]);
    p = mail_window_parts(&w, FINE);
    assert_int_equal(p.at[1], w.until);
    /* Less than a day over midnight has no whole one, and less than an hour no whole hour. */
    w.until = midnight + DAY - FINE;
    p = mail_window_parts(&w, DAY);
    assert_int_equal(p.at[1], midnight);
    assert_int_equal(p.at[2], p.at[3]);
    assert_int_equal(p.at[4], midnight + DAY - HOUR);
    w.until = midnight + FINE;
    p = mail_window_parts(&w, DAY);
    assert_int_equal(p.at[1], w.until);
    assert_int_equal(p.at[4], w.until);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_same_as_counted),
                                       cmocka_unit_test(test_parts)};

    return FIXTURE_RUN(tests);
}
