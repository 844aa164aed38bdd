/* What is over goes, in small batches, and nothing else. */
#include "mail/retention.h"

#include "mail/fixture.h"
#include "mail/metrics.h"
#include "mail/moves.h"
#include "mail/suppression.h"

#define DAY ((int64_t)CLOCK_DAY)
#define HOUR ((int64_t)CLOCK_HOUR)

static void send_one(struct scene *f, int64_t at)
{
    static int serial;
    char address[64], provider[32];

    snprintf(address, sizeof address, "u%d@x.org", serial);
    snprintf(provider, sizeof provider, "p%d", serial++);
    struct uuid id = mail_queue(f, address, at);
    mail_hand_over(f, &id, provider, at);
    struct mail_event event = mail_soft_bounce(provider, address, at);
    struct mail_event_result result = mail_apply_one(f, event);
    assert_int_equal(result.accepted, 1);
}

static bool run(struct scene *f, int64_t batch, int64_t budget, int64_t now)
{
    const struct retention_limits limits = {10 * DAY, batch, budget};
    bool is_done = false;

    assert_done(retention_run(f->node.store, &limits, now, &is_done));
    return is_done;
}

static int suppress_job(struct store_txn *t, void *arg)
{
    struct suppression s = {.address = STR("gone@x.org"),
                            .source = STR("test"),
                            .note = STR(""),
                            .created_by = STR("test"),
                            .created_at = NOW,
                            .expires_at = NOW + HOUR};
    int r = suppression_add(t, &s);

    s.address = STR("stays@x.org");
    s.expires_at = 0;
    return r ? r : suppression_add(t, &s);
}

#define FINE "email_figures WHERE span = 300000"
#define HOURS "email_figures WHERE span = 3600000"
#define DAYS "email_figures WHERE span = 86400000"
static int64_t count(struct scene *f, const char *table)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    return fixture_number(f->node.store, sql);
}

/* Events are kept by when they came, which in these tests is now. */
static void age_events(struct scene *f)
{
    scene_run(f, "UPDATE email_events SET received_at = at", NO_PARAMS);
}

static void test_reaps(void **state)
{
    struct scene *f = *state;

    for (int i = 0; i < 7; i++)
        send_one(f, NOW - i);
    send_one(f, NOW + DAY);
    assert_done(store_write(f->node.store, suppress_job, NULL));
    age_events(f);
    int64_t fine = count(f, FINE), hours = count(f, HOURS), days = count(f, DAYS);

    assert_true(run(f, 3, 60 * CLOCK_SECOND, NOW + 10 * DAY - 7));
    assert_int_equal(count(f, "email_logs"), 8);
    /* Not even the first transaction of each kind may be the last one. */
    assert_false(run(f, 3, 0, NOW + 10 * DAY + 1));
    assert_int_equal(count(f, "email_logs"), 8);
    assert_true(run(f, 3, 60 * CLOCK_SECOND, NOW + 10 * DAY + 1));
    assert_int_equal(count(f, "email_logs"), 1);
    assert_int_equal(count(f, "email_events"), 1);
    assert_int_equal(count(f, "soft_bounces"), 1);
    assert_int_equal(count(f, "suppressions"), 2);
    /* Eight days of fine buckets are over, the hours are not. */
    assert_true(count(f, FINE) < fine);
    assert_int_equal(count(f, HOURS), hours);
    assert_int_equal(count(f, DAYS), days);

    assert_true(run(f, 3, 60 * CLOCK_SECOND, NOW + HOUR + RETENTION_EXPIRED_MS));
    assert_int_equal(count(f, "suppressions"), 1);
    assert_int_equal(count(f, "email_logs"), 0);
    assert_int_equal(count(f, FINE), 0);
    assert_true(run(f, 1, 60 * CLOCK_SECOND, NOW + DAY + MAIL_HOURLY_KEPT_MS));
    assert_true(count(f, HOURS) > 0);
    assert_true(run(f, 1, 60 * CLOCK_SECOND, NOW + DAY + 2 * HOUR + MAIL_HOURLY_KEPT_MS));
    assert_int_equal(count(f, HOURS), 0);
    /* A day is there as long as any of its hours is asked for. */
    assert_true(count(f, DAYS) > 0);
    assert_true(run(f, 1, 60 * CLOCK_SECOND, NOW + 2 * DAY + 2 * HOUR + MAIL_HOURLY_KEPT_MS));
    assert_int_equal(count(f, DAYS), 0);
    assert_int_equal(count(f, "suppressions"), 1);
}

/* Figures of a window that may be asked for are never gone before. */
static void test_keeps_windows_whole(void **state)
{
    struct scene *f = *state;
    struct mail_window w;

    send_one(f, NOW - NOW % HOUR);
    w = mail_window(NULL, NOW - NOW % HOUR + 1, NOW, MAIL_BUCKET_MS,
                    NOW - NOW % HOUR + 1 + MAIL_FINE_KEPT_MS);
    assert_int_equal(w.span, MAIL_BUCKET_MS);
    assert_int_equal(w.since, NOW - NOW % HOUR);
    assert_true(run(f, 100, 60 * CLOCK_SECOND, NOW - NOW % HOUR + 1 + MAIL_FINE_KEPT_MS));
    assert_true(count(f, FINE) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_reaps),
                                       SCENE_BOTH(test_keeps_windows_whole)};

    return FIXTURE_RUN(tests);
}
