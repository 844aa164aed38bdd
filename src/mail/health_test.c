/* Figures come from email_figures, and rates are held against their bounds exactly. */
#include "mail/health.h"

#include "mail/fixture.h"
#include "mail/moves.h"

static struct mail_health health(int64_t delivered, int64_t bounced, int64_t complained, bool known)
{
    struct mail_counts c = {.in = {[MAIL_DELIVERED] = delivered,
                                   [MAIL_BOUNCED] = bounced,
                                   [MAIL_COMPLAINED] = complained,
                                   [MAIL_QUEUED] = 7,
                                   [MAIL_REJECTED] = 8,
                                   [MAIL_SUPPRESSED] = 9},
                            .bounced_counted = bounced,
                            .complained_counted = complained};

    return mail_health_of(&c, known, &mail_thresholds_default);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_int_equal(health(99, 0, 0, true).status, MAIL_INSUFFICIENT_DATA);
    assert_int_equal(health(100, 0, 0, true).status, MAIL_HEALTHY);
    assert_int_equal(health(961, 39, 0, true).status, MAIL_HEALTHY);
    assert_int_equal(health(9600, 0, 9, true).status, MAIL_HEALTHY);
    assert_int_equal(health(9990, 0, 10, true).status, MAIL_WARNING); /* exactly 0.1 % */
    assert_int_equal(health(9950, 0, 50, true).status, MAIL_CRITICAL);
    assert_int_equal(health(95, 5, 0, false).status, MAIL_WARNING); /* exactly 5 % */
    assert_int_equal(health(951, 49, 0, false).status, MAIL_HEALTHY);
    assert_int_equal(health(90, 10, 0, false).status, MAIL_CRITICAL);
    assert_int_equal(health(0, 0, 0, true).bounce.known, false);
    assert_int_equal(health(100, 0, 0, false).delivery.known, false);
}

/* Exactly 95 % is not healthy; what is not told of is not looked at. */
static void test_delivery(void **state)
{
    struct mail_counts c = {.in = {[MAIL_DELIVERED] = 95, [MAIL_SENT] = 5}};

    (void)state;
    assert_int_equal(mail_health_of(&c, true, &mail_thresholds_default).status, MAIL_WARNING);
    assert_int_equal(mail_health_of(&c, false, &mail_thresholds_default).status, MAIL_HEALTHY);
    c.in[MAIL_DELIVERED] = 96;
    assert_int_equal(mail_health_of(&c, true, &mail_thresholds_default).status, MAIL_HEALTHY);
    c.in[MAIL_SENT] = 20;
    assert_int_equal(mail_health_of(&c, true, &mail_thresholds_default).status, MAIL_CRITICAL);
    c.in[MAIL_COMPLAINED] = 300; /* they were delivered too */
    struct mail_health h = mail_health_of(&c, true, &mail_thresholds_default);
    assert_int_equal(h.delivery.part, 396);
    assert_int_equal(h.delivery.of, 416);
    assert_int_equal(h.complaint.part, 0);
}

static void test_window(void **state)
{
    struct mail_window w = mail_window(NULL, NOW + 1, NOW + MAIL_BUCKET_MS + 1, 0, NOW);

    (void)state;
    assert_int_equal(w.span, MAIL_BUCKET_MS);
    assert_int_equal(w.since % w.span, 0);
    assert_int_equal(w.until % w.span, 0);
    assert_true(w.since <= NOW + 1 && w.since + w.span > NOW + 1);
    assert_true(w.until >= NOW + MAIL_BUCKET_MS + 1 && w.until - w.span < NOW + MAIL_BUCKET_MS + 1);
    w = mail_window(NULL, 0, 2 * CLOCK_HOUR, 0, 0);
    assert_true(w.since == 0 && w.until == 2 * CLOCK_HOUR);
    assert_int_equal(mail_window(NULL, 0, MAIL_WINDOW_FINE_MS + 1, 0, 0).span, CLOCK_HOUR);
    assert_int_equal(mail_window(NULL, 0, MAIL_WINDOW_FINE_MS + 1, MAIL_BUCKET_MS, 0).span,
                     MAIL_BUCKET_MS);
    /* What began when no fine buckets are there any more is of hours, however short it is. */
    assert_int_equal(mail_window(NULL, NOW, NOW + 1, 0, NOW + MAIL_FINE_KEPT_MS).span,
                     MAIL_BUCKET_MS);
    assert_int_equal(mail_window(NULL, NOW, NOW + 1, 0, NOW + MAIL_FINE_KEPT_MS + 1).span,
                     CLOCK_HOUR);
}

struct work {
    struct scene *f;
    struct mail_window window;
    struct mail_counts counts;
    struct mail_point *points;
    struct mail_share *shares;
    struct mail_error_count *errors;
    struct mail_health health;
    struct str advice[MAIL_ADVICE_MAX];
    enum mail_group group;
    enum mail_order order;
    int64_t bucket, removed;
    size_t n_points, n_shares, n_errors, n_advice;
};

static int read_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;
    struct arena *a = &w->f->a;
    const struct mail_ranking by = {w->group, w->order, 10};
    int r = mail_metrics_totals(t, &w->window, &w->counts);

    if (r == 0)
        r = mail_metrics_series(t, a, &w->window, w->bucket, &w->points, &w->n_points);
    if (r == 0)
        r = mail_metrics_shares(t, a, &w->window, &by, &w->shares, &w->n_shares);
    if (r == 0)
        r = mail_metrics_errors(t, a, &w->window, 10, &w->errors, &w->n_errors);
    if (r == 0)
        r = mail_health_check(t, a, NULL, &w->window, &mail_thresholds_default, &w->health,
                              w->advice, &w->n_advice);
    return r;
}

static void read_all(struct work *w)
{
    if (w->bucket == 0)
        w->bucket = w->window.span;
    assert_done(store_read(w->f->node.store, read_job, w));
}

/* Sends n messages at a time, of which the first `bounced` come back. */
static void send_some(struct scene *f, const struct uuid *tenant, const char *template_name,
                      const char *domain, int n, int bounced, int64_t at)
{
    static int number;

    for (int i = 0; i < n; i++) {
        char address[64], provider[32];
        snprintf(address, sizeof address, "u%d@%s", i, domain);
        snprintf(provider, sizeof provider, "p%d", number++);
        struct str to = str_of(address);
        struct uuid id = mail_queue_all(f, tenant, template_name, &to, 1, at);
        mail_hand_over(f, &id, provider, at);
        if (i < bounced)
            mail_apply_one(f, mail_bounce(provider, address, at));
    }
}

#define HOUR ((int64_t)CLOCK_HOUR)
#define START (NOW - NOW % HOUR)

static void test_figures(void **state)
{
    struct scene *f = *state;
    struct work w = {.f = f, .window = mail_window(&f->tenant, START, START + HOUR, 0, START)};

    send_some(f, &f->tenant, "welcome", "bad.org", 4, 3, START);
    send_some(f, &f->tenant, "reset", "good.org", 6, 0, START + MAIL_BUCKET_MS);
    send_some(f, &f->tenant, "reset", "late.org", 1, 0, START + HOUR);
    send_some(f, &f->tenant, "reset", "early.org", 1, 0, START - 1);
    send_some(f, &f->other, "reset", "good.org", 2, 0, START);
    read_all(&w);
    assert_int_equal(mail_counts_sent(&w.counts), 10);
    assert_int_equal(w.counts.bounced_counted, 3);
    assert_int_equal(w.n_points, 2);
    assert_int_equal(w.points[0].at, START);
    assert_int_equal(w.points[1].at, START + MAIL_BUCKET_MS);
    assert_int_equal(w.points[1].counts.in[MAIL_SENT], 6);
    assert_int_equal(w.n_shares, 2);
    assert_true(str_eq(w.shares[0].name, STR("good.org")));
    assert_int_equal(w.n_errors, 1);
    assert_int_equal(w.errors[0].n, 3);
    assert_int_equal(w.health.status, MAIL_INSUFFICIENT_DATA);
    w.order = MAIL_MOST_BOUNCED;
    w.group = MAIL_BY_TEMPLATE;
    w.bucket = HOUR;
    read_all(&w);
    assert_true(str_eq(w.shares[0].name, STR("welcome")));
    assert_int_equal(w.n_points, 1);
    /* The whole installation, by the hour. */
    w.window = mail_window(NULL, START, START + 30 * HOUR, 0, START);
    read_all(&w);
    assert_int_equal(w.window.span, HOUR);
    assert_int_equal(mail_counts_sent(&w.counts), 13);
    assert_int_equal(w.n_points, 2);
    w.window = mail_window(NULL, START, START + HOUR, 0, START);
    read_all(&w);
    assert_int_equal(mail_counts_sent(&w.counts), 12);
    w.window = mail_window(&f->other, START, START + 30 * HOUR, 0, START);
    read_all(&w);
    assert_int_equal(mail_counts_sent(&w.counts), 2);
    assert_int_equal(w.n_errors, 0);
}

static int64_t sum_of_shares(struct work *w, enum mail_group group)
{
    int64_t sum = 0;

    w->group = group;
    read_all(w);
    for (size_t i = 0; i < w->n_shares; i++)
        sum += mail_counts_sent(&w->shares[i].counts);
    return sum;
}

/* Groups are of the same messages as the sum, wherever in an hour a window begins and ends. */
static void test_shares(void **state)
{
    struct scene *f = *state;
    const int64_t step = MAIL_BUCKET_MS;
    struct work w = {.f = f};

    for (int64_t at = START - 2 * HOUR; at < START + 2 * HOUR; at += step)
        send_some(f, at % HOUR ? &f->tenant : &f->other, at % 2 ? "" : "t", "a.org", 1, 0, at);
    for (int64_t since = START - HOUR - step; since <= START - HOUR + step; since += step) {
        for (int64_t until = START - HOUR + 2 * step; until < START + 2 * HOUR; until += 5 * step) {
            w.window = mail_window(NULL, since, until, 0, START);
            assert_int_equal(sum_of_shares(&w, MAIL_BY_DOMAIN), (until - since) / step);
            assert_int_equal(sum_of_shares(&w, MAIL_BY_TEMPLATE), (until - since) / step);
            assert_int_equal(mail_counts_sent(&w.counts), (until - since) / step);
            w.window = mail_window(&f->tenant, since, until, 0, START);
            int64_t sum = sum_of_shares(&w, MAIL_BY_TEMPLATE);
            assert_true(sum > 0);
            assert_int_equal(sum, mail_counts_sent(&w.counts));
        }
    }
}

static bool says(struct str text, const char *words)
{
    return memmem(text.p, text.n, words, strlen(words)) != NULL;
}

static void test_advice(void **state)
{
    struct scene *f = *state;
    struct work w = {.f = f, .window = mail_window(&f->tenant, START, START + HOUR, 0, START)};

    send_some(f, &f->tenant, "welcome", "bad.org", 10, 8, START);
    send_some(f, &f->tenant, "reset", "good.org", 90, 0, START);
    read_all(&w);
    assert_int_equal(w.health.status, MAIL_WARNING);
    assert_false(w.health.delivery.known);
    assert_int_equal(w.n_advice, 2);
    assert_true(says(w.advice[0], "The bounce rate is 8 % (8 of 100); healthy is below 5 %."));
    assert_true(says(w.advice[0], "Domains: bad.org (8 of 10). Templates: welcome (8 of 10)."));
    assert_true(says(w.advice[0], "Errors: 5.1.1 (8)."));
    assert_false(says(w.advice[0], "good.org"));
    assert_true(says(w.advice[1], "No delivery was ever told of"));
    /* A delivery that anything was told of, and 8 of 100 are known not to have arrived. */
    mail_apply_one(f, mail_delivery("elsewhere", "x@example.net", NOW));
    w.window.until = NOW + MAIL_BUCKET_MS;
    read_all(&w);
    assert_true(w.health.delivery.known);
    assert_int_equal(w.health.status, MAIL_CRITICAL);
    assert_true(says(w.advice[1], "The delivery rate is 0 %"));
    /* Of a window that was over before, it says nothing. */
    w.window.until = NOW;
    read_all(&w);
    assert_false(w.health.delivery.known);
}

static int reap_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return mail_metrics_reap(t, START + 1, START - HOUR + 1, 100, &w->removed);
}

static int64_t count_of(struct scene *f, int64_t span)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM email_figures WHERE span = %lld",
             (long long)span);
    return fixture_number(f->node.store, sql);
}

static void test_reap(void **state)
{
    struct scene *f = *state;
    struct work w = {.f = f};

    send_some(f, &f->tenant, "t", "a.org", 1, 1, START - HOUR);
    send_some(f, &f->tenant, "t", "a.org", 1, 1, START);
    send_some(f, &f->tenant, "t", "a.org", 1, 1, START + HOUR);
    assert_done(store_write(f->node.store, reap_job, &w));
    assert_int_equal(w.removed, 8 + 4);
    assert_int_equal(count_of(f, MAIL_BUCKET_MS), 4);
    assert_int_equal(count_of(f, HOUR), 8);
    assert_int_equal(count_of(f, CLOCK_DAY), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_delivery),
        cmocka_unit_test(test_window), SCENE_BOTH(test_figures),
        SCENE_BOTH(test_advice),       SCENE_BOTH(test_reap),
        SCENE_BOTH(test_shares),
    };

    return FIXTURE_RUN(tests);
}
