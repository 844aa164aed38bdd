/* How much of a tenant's mail may wait, and how often that is counted. */
#include "mail/outbox_quota.h"

#include "mail/outbox_desk.h"
#include "mail/outbox_scene.h"

enum { MONO = 5000 };

static int submit(struct outbox_scene *s, const struct uuid *tenant,
                  enum unsubscribe_purpose purpose, const char *key)
{
    struct outbox_request request = outbox_scene_request(s, "a@x.org");
    struct uuid id;

    request.tenant_id = *tenant;
    request.purpose = purpose;
    request.key = str_of(key);
    return outbox_submit(s->m, &request, NOW, &id);
}

/* Each tenant has its own room, and mail of security one besides; a known key needs none. */
static void test_full(void **state)
{
    struct outbox_scene *s = *state;
    const struct uuid *full = &s->f->tenant, *other = &s->f->other;
    struct outbox_node n;

    s->f->config->email_waiting_limit = 3;
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, "k"), 0);
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, ""), 0);
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, ""), 0);
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, ""), OUTBOX_FULL);
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, "l"), OUTBOX_FULL);
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, "k"), OUTBOX_REPEATED);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_requests"), 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(submit(s, full, UNSUBSCRIBE_SECURITY, ""), i < 3 ? 0 : OUTBOX_FULL);
    assert_int_equal(submit(s, other, UNSUBSCRIBE_PRODUCT, ""), 0);
    s->f->config->email_waiting_limit = 0;
    assert_int_equal(submit(s, full, UNSUBSCRIBE_PRODUCT, ""), 0);
    /* Once some are gone there is room again, a second later at the latest. */
    s->f->config->email_waiting_limit = 3;
    outbox_node_begin(&n, s);
    outbox_node_run(&n, NOW);
    outbox_node_end(&n);
    fixture_await(submit(s, full, UNSUBSCRIBE_PRODUCT, "") == 0);
}

static void wait_in_line(struct outbox_scene *s, int messages)
{
    for (int i = 0; i < messages; i++)
        outbox_scene_send(s, "a@x.org", NOW);
}

static int admit(struct outbox_scene *s, int64_t mono)
{
    return outbox_quota_admit(s->m, &s->f->tenant, false, mono);
}

/* It is counted when a part of the room is used, or after a time; what is full is soon again. */
static void test_counted_now_and_then(void **state)
{
    struct outbox_scene *s = *state;

    s->f->config->email_waiting_limit = 8;
    assert_int_equal(admit(s, MONO), 0); /* counts: two may come, this was one */
    wait_in_line(s, 8);
    assert_int_equal(admit(s, MONO), 0);
    assert_int_equal(admit(s, MONO), OUTBOX_FULL);
    scene_run(s->f, "DELETE FROM email_outbox", NO_PARAMS);
    assert_int_equal(admit(s, MONO + 999), OUTBOX_FULL);
    assert_int_equal(admit(s, MONO + 1000), 0);
    wait_in_line(s, 8);
    assert_int_equal(admit(s, MONO + 10999), 0);
    assert_int_equal(admit(s, MONO + 11000), OUTBOX_FULL);
}

/* With many tenants some forget what is known of others, and no more. */
static void test_many_tenants(void **state)
{
    struct outbox_scene *s = *state;

    s->f->config->email_waiting_limit = 1;
    wait_in_line(s, 1);
    for (int i = 0; i < 3000; i++) {
        struct uuid other = uuid_new();
        assert_int_equal(outbox_quota_admit(s->m, &other, i % 2, MONO), 0);
    }
    assert_int_equal(admit(s, MONO), OUTBOX_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_full),
        OUTBOX_SCENE_BOTH(test_counted_now_and_then),
        OUTBOX_SCENE_BOTH(test_many_tenants),
    };

    return FIXTURE_RUN(tests);
}
