/* A change of health is on record once, whoever sees it, and silence changes nothing. */
#include "mail/watch.h"

#include "mail/fixture.h"

#define HOUR ((int64_t)CLOCK_HOUR)

/* Sends n messages at a time, of which some bounce. */
static void send_some(struct scene *f, int n, int bounced, int64_t at)
{
    static int serial;

    for (int i = 0; i < n; i++) {
        char address[64], provider[32];
        snprintf(address, sizeof address, "u%d@x.org", serial);
        snprintf(provider, sizeof provider, "p%d", serial++);
        struct uuid id = mail_queue(f, address, at);
        mail_hand_over(f, &id, provider, at);
        if (i < bounced)
            mail_apply_one(f, mail_bounce(provider, address, at));
    }
}

static int64_t records(struct scene *f)
{
    return scene_records(f, "mail.health");
}

static int64_t last_is(struct scene *f, const char *status)
{
    return mail_number_of(f,
                          "SELECT subject = $1 FROM trail WHERE action = 'mail.health'"
                          " ORDER BY seq DESC LIMIT 1",
                          status);
}

static void check(struct mail_watch *w, struct scene_node *node, int64_t now)
{
    assert_done(mail_watch_check(w, node->store, node->trail, now));
}

static bool shows(struct mail_watch *w, const char *line)
{
    struct buf out = buf_init(1 << 20);

    mail_watch_write_metrics(w, &out);
    bool found = out.n && memmem(out.p, out.n, line, strlen(line)) != NULL;
    buf_free(&out);
    return found;
}

static void test_changes(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct mail_watch w, w2;

    mail_watch_init(&w);
    mail_watch_init(&w2);
    assert_false(shows(&w, "holdfast_email"));
    send_some(f, 96, 3, NOW);
    check(&w, &f->node, NOW);
    assert_int_equal(w.health.status, MAIL_INSUFFICIENT_DATA);
    assert_int_equal(records(f), 0);
    assert_true(shows(&w, "holdfast_email_health{status=\"insufficient_data\"} 1\n"));
    send_some(f, 4, 1, NOW);
    check(&w, &f->node, NOW);
    check(&w, &f->node, NOW);
    check(&w2, &other, NOW);
    assert_int_equal(records(f), 1);
    assert_int_equal(last_is(f, "healthy"), 1);
    assert_true(shows(&w2, "holdfast_email_health{status=\"healthy\"} 1\n"));
    assert_true(shows(&w2, "holdfast_email_health{status=\"critical\"} 0\n"));
    assert_true(shows(&w2, "\nholdfast_email_sent 100\n"));
    assert_true(shows(&w2, "\nholdfast_email_bounced 4\n"));
    send_some(f, 100, 6, NOW);
    check(&w2, &other, NOW); /* 10 of 200 */
    check(&w, &f->node, NOW);
    assert_int_equal(records(f), 2);
    assert_int_equal(last_is(f, "warning"), 1);
    /* A day later nothing was sent: it is not well again for that. */
    check(&w, &f->node, NOW + 26 * HOUR);
    assert_int_equal(w.health.status, MAIL_INSUFFICIENT_DATA);
    assert_int_equal(records(f), 2);
    send_some(f, 100, 4, NOW + 26 * HOUR);
    check(&w, &f->node, NOW + 26 * HOUR);
    assert_int_equal(records(f), 3);
    assert_int_equal(last_is(f, "healthy"), 1);
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM trail WHERE action = 'mail.health'"
                                    " AND tenant_id IS NULL AND detail = $1",
                                    "{\"before\":\"warning\",\"sent\":100,\"bounce\":0.04,"
                                    "\"complaint\":0,\"delivery\":null}"),
                     1);
    mail_watch_release(&w);
    mail_watch_release(&w2);
    scene_node_close(&other);
}

struct racing {
    struct scene_node *node;
    struct mail_watch w;
};

static void *race(void *arg)
{
    struct racing *r = arg;

    assert_done(mail_watch_check(&r->w, r->node->store, r->node->trail, NOW));
    return NULL;
}

static void test_race(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct racing a = {.node = &f->node}, b = {.node = &other};
    pthread_t threads[2];

    mail_watch_init(&a.w);
    mail_watch_init(&b.w);
    send_some(f, 100, 20, NOW);
    assert_int_equal(pthread_create(&threads[0], NULL, race, &a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, race, &b), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(records(f), 1);
    assert_int_equal(last_is(f, "critical"), 1);
    mail_watch_release(&a.w);
    mail_watch_release(&b.w);
    scene_node_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_changes), SCENE_BOTH(test_race)};

    return FIXTURE_RUN(tests);
}
