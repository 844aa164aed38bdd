/* The threads of the outbox: what is accepted goes out by itself, once, whoever else is there. */
#include "mail/outbox.h"

#include "base/log.h"
#include "mail/outbox_scene.h"

static int64_t queued(struct outbox_scene *s)
{
    return scene_number(s->f, "SELECT count(*) FROM email_logs WHERE state = 'queued'");
}

static struct outbox *start(struct mail *m, struct fake_transport *t)
{
    struct outbox *o = NULL;

    assert_done(outbox_start(m, &t->base, 4, &o));
    return o;
}

static bool message_has(struct fake_transport *t, const char *part)
{
    return strstr(buf_cstr(&t->last), part) != NULL;
}

static void test_goes_out(void **state)
{
    struct outbox_scene *s = *state;
    struct fake_transport t;
    struct outbox_stats stats;

    fake_transport_begin(&t);
    struct outbox *o = start(s->m, &t);
    struct uuid id = outbox_scene_send(s, "ann@x.org", clock_now());
    outbox_wake(o);
    fixture_await(queued(s) == 0);
    assert_string_equal(outbox_scene_state(s, &id, "ann@x.org"), "sent/");
    assert_int_equal(fake_transport_count(&t, "ann@x.org"), 1);
    assert_true(message_has(&t, "To: ann@x.org\r\n"));
    assert_true(message_has(&t, "Subject: Subject\r\n"));
    assert_true(message_has(&t, "From: Holdfast <holdfast@localhost>\r\n"));
    assert_true(message_has(&t, "List-Unsubscribe: <http"));
    struct mail_log_entry e = mail_entry(s->f, &id);
    char log_id[UUID_TEXT_SIZE];
    uuid_format(&e.id, log_id);
    assert_true(str_has_prefix(e.provider_id, str_of(log_id)));
    assert_true(str_has_suffix(e.provider_id, STR("@localhost")));
    /* Without a wake it is found too. */
    outbox_scene_send(s, "no@x.org,later@x.org", clock_now());
    fixture_await(queued(s) == 1);
    outbox_stats(o, &stats);
    assert_int_equal(stats.handovers[OUTBOX_ACCEPTED], 1);
    assert_int_equal(stats.handovers[OUTBOX_PERMANENT], 1);
    assert_int_equal(stats.handovers[OUTBOX_TEMPORARY], 1);
    outbox_stop(o);
    mail_assert_counters(s->f);
    fake_transport_end(&t);
}

/* The end waits for what is in flight, and begins nothing new. */
static void test_end(void **state)
{
    struct outbox_scene *s = *state;
    struct fake_transport t;

    fake_transport_begin(&t);
    fake_transport_hold(&t, true);
    struct outbox *o = start(s->m, &t);
    struct uuid id = outbox_scene_send(s, "a@x.org,b@x.org", clock_now());
    outbox_wake(o);
    fixture_await(fake_transport_holding(&t) == 1);
    outbox_drain(o);
    struct uuid later = outbox_scene_send(s, "z@x.org", clock_now());
    outbox_wake(o);
    fake_transport_hold(&t, false);
    outbox_stop(o);
    assert_string_equal(outbox_scene_state(s, &id, "a@x.org"), "sent/");
    assert_string_equal(outbox_scene_state(s, &id, "b@x.org"), "queued/");
    assert_string_equal(outbox_scene_state(s, &later, "z@x.org"), "queued/");
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE lease_until <> 0"),
                     0);
    o = start(s->m, &t);
    fixture_await(queued(s) == 0);
    outbox_stop(o);
    assert_int_equal(fake_transport_count(&t, NULL), 3);
    fake_transport_end(&t);
}

enum { NODES = 3, MESSAGES = 120 };

/* Nodes that look at one outbox at the same time send each message once. */
static void test_nodes(void **state)
{
    struct outbox_scene *s = *state;
    struct scene_node nodes[NODES];
    struct outbox *outboxes[NODES];
    struct mail *mails[NODES];
    struct fake_transport t;
    char address[40];

    fake_transport_begin(&t);
    for (int i = 0; i < NODES; i++) {
        nodes[i] = scene_node_open(s->f);
        assert_done(mail_new(s->f->config, nodes[i].store, nodes[i].trail, &mails[i]));
        outboxes[i] = start(mails[i], &t);
    }
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(address, sizeof address, "a%d@x.org,b%d@x.org", i, i);
        outbox_scene_send(s, address, clock_now());
        outbox_wake(outboxes[i % NODES]);
    }
    fixture_await(queued(s) == 0);
    for (int i = 0; i < NODES; i++)
        outbox_stop(outboxes[i]);
    assert_int_equal(fake_transport_count(&t, NULL), 2 * MESSAGES);
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(address, sizeof address, "b%d@x.org", i);
        assert_int_equal(fake_transport_count(&t, address), 1);
    }
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_logs WHERE state = 'sent'"),
                     2 * MESSAGES);
    mail_assert_counters(s->f);
    for (int i = 0; i < NODES; i++) {
        mail_free(mails[i]);
        scene_node_close(&nodes[i]);
    }
    fake_transport_end(&t);
}

/* While nobody can be reached, few messages are tried; afterwards all go. */
static void test_way_is_down(void **state)
{
    struct outbox_scene *s = *state;
    struct fake_transport t;
    char address[40];

    log_configure(LOG_ERROR, LOG_JSON);
    fake_transport_begin(&t);
    for (int i = 0; i < 40; i++) {
        snprintf(address, sizeof address, "down%d@x.org", i);
        outbox_scene_send(s, address, clock_now());
    }
    struct outbox *o = start(s->m, &t);
    fixture_await(fake_transport_count(&t, NULL) >= 1);
    int64_t began = clock_mono();
    fixture_await(fake_transport_count(&t, NULL) > 4); /* more than there are senders */
    assert_true(clock_mono() - began >= 900);
    outbox_stop(o);
    assert_true(fake_transport_count(&t, NULL) <= 8);
    assert_int_equal(queued(s), 40);
    assert_int_equal(scene_number(s->f, "SELECT max(attempts) FROM email_outbox"), 0);
    fake_transport_end(&t);
}

/* What can be written no more, though it could when it was accepted, stops nothing else. */
static void test_malformed(void **state)
{
    struct outbox_scene *s = *state;
    struct fake_transport t;

    fake_transport_begin(&t);
    struct uuid id = outbox_scene_send(s, "a@x.org,b@x.org", clock_now());
    scene_run(s->f, "UPDATE email_logs SET recipient = 'a' WHERE recipient = 'a@x.org'", NO_PARAMS);
    struct outbox *o = start(s->m, &t);
    fixture_await(queued(s) == 0);
    outbox_stop(o);
    assert_string_equal(outbox_scene_state(s, &id, "a"), "rejected/malformed");
    assert_string_equal(outbox_scene_state(s, &id, "b@x.org"), "sent/");
    fake_transport_end(&t);
}

/* A message that cannot be opened waits for its key. */
static void test_unknown_key(void **state)
{
    struct outbox_scene *s = *state;
    struct fake_transport t;

    fake_transport_begin(&t);
    outbox_scene_send(s, "a@x.org", clock_now());
    uint8_t right = s->m->seal.ring[0].key[0];
    s->m->seal.ring[0].key[0] ^= 1;
    struct outbox *o = start(s->m, &t);
    fixture_await(scene_number(s->f, "SELECT attempts FROM email_outbox WHERE lease = ''") == 1);
    outbox_stop(o);
    assert_int_equal(fake_transport_count(&t, NULL), 0);
    assert_int_equal(queued(s), 1);
    s->m->seal.ring[0].key[0] = right;
    scene_run(s->f, "UPDATE email_outbox SET next_at = 0", NO_PARAMS);
    o = start(s->m, &t);
    fixture_await(queued(s) == 0);
    outbox_stop(o);
    assert_int_equal(fake_transport_count(&t, NULL), 1);
    fake_transport_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_goes_out),    OUTBOX_SCENE_BOTH(test_end),
        OUTBOX_SCENE_BOTH(test_nodes),       OUTBOX_SCENE_BOTH(test_way_is_down),
        OUTBOX_SCENE_BOTH(test_unknown_key), OUTBOX_SCENE_BOTH(test_malformed),
    };

    return FIXTURE_RUN(tests);
}
