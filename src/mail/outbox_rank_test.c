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

/* So many copies, one at a time. */
static void hand_over(struct outbox_node *n, int copies, int64_t now)
{
    for (int i = 0; i < copies; i++) {
        assert_int_equal(outbox_node_turn(n, now), 1);
        outbox_node_work(n, now);
    }
}

/* "<prefix>00@x.org,<prefix>01@x.org,..." */
static const char *many(const char *prefix, int n)
{
    static char text[MAIL_RECIPIENTS_MAX * 24];
    size_t used = 0;

    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%02d@x.org", i ? "," : "",
                                 prefix, i);
    assert_true(used < sizeof text);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* A message to many holds up what comes before it for some copies only, and none comes twice. */
static void test_long_message_gives_way(void **state)
{
    struct outbox_scene *s = *state;
    const struct uuid *flooding = &s->f->tenant, *other = &s->f->other;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    n.senders = 1;
    send_to(s, flooding, UNSUBSCRIBE_PRODUCT, many("many", MAIL_RECIPIENTS_MAX), NOW);
    hand_over(&n, 2, NOW);
    send_to(s, other, UNSUBSCRIBE_PRODUCT, "one@other.org", NOW + 1);
    send_to(s, flooding, UNSUBSCRIBE_SECURITY, "reset@x.org", NOW + 2);
    outbox_node_run(&n, NOW + 3);
    assert_int_equal(copies_before(&n, "one@other.org"), OUTBOX_COPIES);
    assert_int_equal(copies_before(&n, "reset@x.org"), OUTBOX_COPIES + 1);
    assert_int_equal(count(n.handed, "many"), MAIL_RECIPIENTS_MAX);
    for (int i = 0; i < MAIL_RECIPIENTS_MAX; i++) {
        char address[24];
        snprintf(address, sizeof address, "many%02d@x.org ", i);
        assert_int_equal(count(n.handed, address), 1);
    }
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox"), 0);
    outbox_node_end(&n);
}

/* What comes behind it waits; unless it is late itself: then two of them take turns. */
static void test_long_messages_take_turns(void **state)
{
    struct outbox_scene *s = *state;
    const struct uuid *first = &s->f->tenant, *second = &s->f->other;
    int64_t late = NOW + 100 * CLOCK_SECOND;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    n.senders = 1;
    send_to(s, first, UNSUBSCRIBE_PRODUCT, many("a", 40), NOW);
    send_to(s, second, UNSUBSCRIBE_PRODUCT, many("b", 40), NOW + 1);
    hand_over(&n, 10, NOW + 2);
    assert_int_equal(count(n.handed, "b"), 0);
    for (int i = 0; i < 8; i++) {
        size_t a = count(n.handed, "a"), b = count(n.handed, "b");
        hand_over(&n, OUTBOX_COPIES, late + i);
        assert_int_equal(count(n.handed, "a") - a, i % 2 ? OUTBOX_COPIES : 0);
        assert_int_equal(count(n.handed, "b") - b, i % 2 ? 0 : OUTBOX_COPIES);
    }
    outbox_node_run(&n, late + 8);
    assert_int_equal(count(n.handed, "@"), 80);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox"), 0);
    outbox_node_end(&n);
}

/* Whom an attempt could not reach is not tried again when the message has its turn again. */
static void test_gives_way_within_an_attempt(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    n.senders = 1;
    send_to(s, &s->f->tenant, UNSUBSCRIBE_PRODUCT,
            "later1@x.org,later2@x.org,m1@x.org,m2@x.org,m3@x.org,n1@x.org,n2@x.org", NOW);
    hand_over(&n, OUTBOX_COPIES, NOW);
    send_to(s, &s->f->other, UNSUBSCRIBE_PRODUCT, "one@other.org", NOW);
    hand_over(&n, 1, NOW + 1);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE lease LIKE '+%'"
                                        " AND attempts = 0 AND last_error LIKE '451 %'"),
                     1);
    outbox_node_run(&n, NOW + 2);
    assert_string_equal(n.handed, "later1@x.org later2@x.org m1@x.org m2@x.org m3@x.org"
                                  " one@other.org n1@x.org n2@x.org ");
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE lease = ''"
                                        " AND attempts = 1 AND last_error LIKE '451 %'"),
                     1);
    outbox_node_run(&n, NOW + CLOCK_MINUTE);
    assert_int_equal(count(n.handed, "later1@"), 2);
    outbox_node_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_flood),
        OUTBOX_SCENE_BOTH(test_tried_again),
        OUTBOX_SCENE_BOTH(test_ranks),
        OUTBOX_SCENE_BOTH(test_long_message_gives_way),
        OUTBOX_SCENE_BOTH(test_long_messages_take_turns),
        OUTBOX_SCENE_BOTH(test_gives_way_within_an_attempt),
    };

    return FIXTURE_RUN(tests);
}
