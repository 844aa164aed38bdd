/* Who has much to send waits behind itself, and holds up nobody else. */
#include "mail/outbox_scene.h"

static void send_to(struct outbox_scene *s, const struct uuid *tenant,
                    enum unsubscribe_purpose purpose, const char *addresses, int64_t now)
{
    struct outbox_request request = outbox_scene_request(s, addresses);

    request.tenant_id = *tenant;
    request.purpose = purpose;
    assert_int_equal(outbox_scene_accept(s, &request, now, NULL), 0);
}

/* What has been handed over when the address is: the number of copies before it. */
static size_t copies_before(struct outbox_node *n, const char *address)
{
    const char *at = strstr(n->handed, address);
    size_t copies = 0;

    assert_non_null(at);
    for (const char *c = n->handed; c < at; c++)
        copies += *c == ' ';
    return copies;
}

/* A flood of one tenant; then another one's message, and its own mail of security. */
static void test_flood(void **state)
{
    struct outbox_scene *s = *state;
    const struct uuid *flooding = &s->f->tenant, *other = &s->f->other;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    for (int i = 0; i < 40; i++)
        send_to(s, flooding, UNSUBSCRIBE_PRODUCT, "a@x.org,b@x.org,c@x.org", NOW);
    send_to(s, other, UNSUBSCRIBE_PRODUCT, "news@other.org", NOW + 5000);
    send_to(s, flooding, UNSUBSCRIBE_SECURITY, "reset@x.org", NOW + 5001);
    send_to(s, other, UNSUBSCRIBE_PRODUCT, "late@other.org", NOW + 5002);
    outbox_node_run(&n, NOW + 6000);
    /* Two messages of the flood are no more than these when they are accepted. */
    assert_true(copies_before(&n, "news@other.org") <= 9);
    assert_true(copies_before(&n, "reset@x.org") <= 10);
    assert_true(copies_before(&n, "late@other.org") <= 12);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox"), 0);
    outbox_node_end(&n);
}

/* What has to be tried again stays in its place in the line, and lets nobody wait meanwhile. */
static void test_tried_again(void **state)
{
    struct outbox_scene *s = *state;
    const struct uuid *flooding = &s->f->tenant, *other = &s->f->other;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    for (int i = 0; i < 20; i++)
        send_to(s, flooding, UNSUBSCRIBE_PRODUCT, "later@x.org", NOW);
    outbox_node_run(&n, NOW + 1);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE attempts = 1"),
                     20);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE rank < next_at"),
                     0);
    int64_t again = NOW + CLOCK_HOUR;
    send_to(s, other, UNSUBSCRIBE_PRODUCT, "news@other.org", NOW + 2);
    n.handed[0] = 0;
    outbox_node_run(&n, again);
    assert_int_equal(copies_before(&n, "news@other.org"), 0);
    outbox_node_end(&n);
}

/* Ranks go on where the tenant's last one is, and begin anew where nothing waits any more. */
static void test_ranks(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    send_to(s, &s->f->tenant, UNSUBSCRIBE_PRODUCT, "a@x.org,b@x.org", NOW);
    assert_int_equal(scene_number(s->f, "SELECT max(rank) FROM email_outbox"), NOW + 2000);
    send_to(s, &s->f->tenant, UNSUBSCRIBE_PRODUCT, "c@x.org", NOW + 1);
    assert_int_equal(scene_number(s->f, "SELECT max(rank) FROM email_outbox"), NOW + 3000);
    send_to(s, &s->f->tenant, UNSUBSCRIBE_SECURITY, "c@x.org", NOW + 2);
    assert_int_equal(scene_number(s->f, "SELECT max(rank) FROM email_outbox WHERE security = 1"),
                     NOW + 1002);
    send_to(s, &s->f->other, UNSUBSCRIBE_PRODUCT, "d@x.org", NOW + 3);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE rank ="
                                        " created_at + 1000"),
                     2);
    outbox_node_run(&n, NOW + 10);
    send_to(s, &s->f->tenant, UNSUBSCRIBE_PRODUCT, "a@x.org", NOW + 20);
    assert_int_equal(scene_number(s->f, "SELECT max(rank) FROM email_outbox"), NOW + 1020);
    outbox_node_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_flood),
        OUTBOX_SCENE_BOTH(test_tried_again),
        OUTBOX_SCENE_BOTH(test_ranks),
    };

    return FIXTURE_RUN(tests);
}
