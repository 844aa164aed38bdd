/* What bounces and complaints do to users and addresses. */
#include "mail/event.h"

#include "identity/preferences.h"
#include "mail/fixture.h"
#include "mail/suppression.h"

#define WHO "who@example.com"
#define SUPPRESSED(reason)                                                                         \
    "SELECT count(*) FROM suppressions WHERE address = $1 AND reason = '" reason "'"

static int preferences_job(struct store_txn *t, void *arg)
{
    struct preferences p;
    struct uuid *user = arg;
    int r = preferences_get(t, user, &p);

    return r ? r : 1 + p.email_security + p.email_product;
}

/* How many kinds of mail the user wants. */
static int wanted(struct scene *f, const struct uuid *user)
{
    struct uuid id = *user;

    return store_read(f->node.store, preferences_job, &id) - 1;
}

static void test_bounce(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "who"), other = scene_member(f, "other");
    int64_t feed = scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'user'");
    struct mail_event_result result = mail_apply_one(f, mail_bounce("p", WHO, NOW));

    assert_int_equal(result.unmatched, 1);
    assert_int_equal(result.invalidated, 1);
    assert_int_equal(result.suppressed, 1);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_INVALID);
    assert_int_equal(scene_read_user(f, &other).email_status, EMAIL_OK);
    assert_int_equal(wanted(f, &user), 0);
    assert_int_equal(wanted(f, &other), 2);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'user'"), feed + 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("bounce") " AND expires_at IS NULL", WHO), 1);
    assert_int_equal(mail_apply_one(f, mail_bounce("q", WHO, NOW)).invalidated, 0);
    assert_int_equal(scene_notices(f, "email_bounced"), 1);
}

/* A complaint is the stronger one, in either order. */
static void test_complaint(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "who"), second = scene_member(f, "second");
    struct mail_event both[] = {mail_bounce("q", "second@example.com", NOW),
                                mail_complaint("q", "second@example.com", NOW)};

    mail_apply_one(f, mail_bounce("p", WHO, NOW));
    assert_int_equal(mail_apply_one(f, mail_complaint("p", WHO, NOW)).unsubscribed, 1);
    assert_int_equal(mail_apply_one(f, mail_bounce("r", WHO, NOW)).invalidated, 0);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_UNSUBSCRIBED);
    assert_int_equal(scene_notices(f, "email_unsubscribed"), 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("complaint"), WHO), 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("bounce"), WHO), 1);
    struct mail_event_result result = mail_apply(f, both, 2);
    assert_int_equal(result.unsubscribed, 1);
    assert_int_equal(result.invalidated, 0);
    assert_int_equal(scene_read_user(f, &second).email_status, EMAIL_UNSUBSCRIBED);
    assert_int_equal(result.suppressed, 2);
    assert_int_equal(mail_number_of(f, SUPPRESSED("complaint"), "second@example.com"), 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("bounce"), "second@example.com"), 1);
}

/* The provider's own list adds nothing to what is known. */
static void test_provider_list(void **state)
{
    struct scene *f = *state;
    struct mail_event listed = mail_bounce("p", WHO, NOW);
    struct uuid user = scene_member(f, "who");

    listed.state = MAIL_SUPPRESSED;
    listed.counted = false;
    listed.action = MAIL_ACTION_SUPPRESS;
    assert_int_equal(mail_apply_one(f, listed).suppressed, 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("provider"), WHO), 1);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_OK);
    mail_apply_one(f, mail_bounce("q", WHO, NOW));
    listed.feedback_id = STR("again");
    assert_int_equal(mail_apply_one(f, listed).suppressed, 0);
    assert_int_equal(mail_number_of(f, SUPPRESSED("bounce"), WHO), 1);
    mail_assert_counters(f);
}

static void test_nothing_and_alert(void **state)
{
    struct scene *f = *state;
    struct mail_event event = mail_complaint("p", WHO, NOW);
    struct uuid user = scene_member(f, "who"), id = mail_queue(f, WHO, NOW);

    mail_hand_over(f, &id, "p", NOW);
    event.state = MAIL_NO_STATE;
    event.action = MAIL_ACTION_NONE;
    assert_int_equal(mail_apply_one(f, event).accepted, 1);
    event.feedback_id = STR("other");
    event.action = MAIL_ACTION_ALERT;
    assert_int_equal(mail_apply_one(f, event).alerts, 1);
    assert_int_equal(mail_apply_one(f, event).alerts, 0);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_OK);
    assert_int_equal(mail_entry(f, &id).mark.state, MAIL_SENT);
    assert_int_equal(mail_number_of(f, "SELECT count(*) FROM suppressions WHERE address = $1", WHO),
                     0);
    mail_assert_counters(f);
}

#define SOFT "SELECT count(*) FROM soft_bounces WHERE address = $1"

static void test_soft_bounces(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "who");

    mail_apply_one(f, mail_soft_bounce("a", WHO, NOW + 1));
    mail_apply_one(f, mail_soft_bounce("a", WHO, NOW + 2)); /* the same message again */
    assert_int_equal(mail_apply_one(f, mail_soft_bounce("b", WHO, NOW + 3)).suppressed, 0);
    assert_int_equal(mail_number_of(f, SOFT, WHO), 2);
    assert_int_equal(mail_apply_one(f, mail_soft_bounce("c", WHO, NOW + 4)).suppressed, 1);
    assert_int_equal(mail_number_of(f,
                                    "SELECT expires_at FROM suppressions WHERE address = $1"
                                    " AND reason = 'soft_bounces'",
                                    WHO),
                     NOW + mail_test_policy.soft_suppress_ms);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_OK);
    /* A delivery in the midst leaves what came after it. */
    mail_apply_one(f, mail_delivery("z", WHO, NOW + 3));
    assert_int_equal(mail_number_of(f, SOFT, WHO), 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("soft_bounces"), WHO), 0);
    /* What is told late is of before the delivery. */
    mail_apply_one(f, mail_soft_bounce("d", WHO, NOW + 3));
    assert_int_equal(mail_number_of(f, SOFT, WHO), 1);
    /* What lasts is not lifted by a delivery, nor shortened by soft bounces. */
    mail_apply_one(f, mail_bounce("e", WHO, NOW + 5));
    for (int i = 0; i < MAIL_SOFT_LIMIT; i++) {
        const char *names[] = {"f", "g", "h"};
        mail_apply_one(f, mail_soft_bounce(names[i], WHO, NOW + 6));
    }
    mail_apply_one(f, mail_delivery("y", WHO, NOW + 7));
    assert_int_equal(mail_number_of(f, SUPPRESSED("bounce") " AND expires_at IS NULL", WHO), 1);
}

/* In one batch as one after the other. */
static void test_soft_bounces_at_once(void **state)
{
    struct scene *f = *state;
    struct mail_event events[] = {
        mail_soft_bounce("a", WHO, NOW + 1), mail_soft_bounce("a", WHO, NOW + 2),
        mail_soft_bounce("b", WHO, NOW + 4), mail_soft_bounce("c", WHO, NOW + 5),
        mail_delivery("z", WHO, NOW + 3)};

    assert_int_equal(mail_apply(f, events, 5).suppressed, 0);
    assert_int_equal(mail_number_of(f, SOFT, WHO), 2);
    events[0] = mail_soft_bounce("d", WHO, NOW + 6);
    assert_int_equal(mail_apply(f, events, 5).suppressed, 1);
    assert_int_equal(mail_number_of(f, SUPPRESSED("soft_bounces"), WHO), 1);
}

static int suppress_job(struct store_txn *t, void *arg)
{
    return suppression_add(t, arg);
}

struct lifting {
    const struct suppression_removal *removal;
    unsigned *reasons;
};

static int lift_job(struct store_txn *t, void *arg)
{
    const struct lifting *l = arg;

    return suppression_remove(t, l->removal, l->reasons);
}

/* By an operator, for all. */
static void suppress(struct scene *f, const char *address, enum suppression_reason reason,
                     int64_t expires_at)
{
    struct suppression s = {.address = str_of(address),
                            .reason = reason,
                            .source = STR("api"),
                            .note = STR("asked by telephone"),
                            .created_by = STR("olga@example.com"),
                            .created_at = NOW - 10,
                            .expires_at = expires_at};

    assert_done(store_write(f->node.store, suppress_job, &s));
}

#define OPERATORS(reason)                                                                          \
    SUPPRESSED(reason)                                                                             \
    " AND source = 'api' AND note = 'asked by telephone' AND created_by = 'olga@example.com'"

/* An event makes it last, and does not make it one that a tenant may lift. */
static void test_entry_of_an_operator(void **state)
{
    struct scene *f = *state;
    struct suppression_removal removal = {
        .tenant = &f->tenant, .address = STR(WHO), .reason = -1, .now = NOW};
    unsigned reasons;

    scene_member(f, "who");
    suppress(f, WHO, SUPPRESSION_BOUNCE, NOW + 10);
    suppress(f, "past@example.com", SUPPRESSION_BOUNCE, NOW);
    suppress(f, "soft@example.com", SUPPRESSION_SOFT_BOUNCES, NOW + 10);
    assert_int_equal(mail_apply_one(f, mail_bounce("p", WHO, NOW)).suppressed, 1);
    assert_int_equal(mail_number_of(f, OPERATORS("bounce") " AND expires_at IS NULL", WHO), 1);
    struct lifting l = {&removal, &reasons};
    assert_int_equal(store_write(f->node.store, lift_job, &l), SUPPRESSION_RESERVED);
    /* What is over already was nobody's any more. */
    mail_apply_one(f, mail_bounce("q", "past@example.com", NOW));
    assert_int_equal(mail_number_of(f,
                                    SUPPRESSED("bounce") " AND source = 'event'"
                                                         " AND created_by = 'system'",
                                    "past@example.com"),
                     1);
    for (int i = 0; i < MAIL_SOFT_LIMIT; i++)
        mail_apply_one(
            f, mail_soft_bounce((const char *[]){"a", "b", "c"}[i], "soft@example.com", NOW + i));
    assert_int_equal(
        mail_number_of(f, OPERATORS("soft_bounces") " AND expires_at > 0", "soft@example.com"), 1);
    assert_true(mail_number_of(f, "SELECT expires_at FROM suppressions WHERE address = $1",
                               "soft@example.com") > NOW + 10);
    mail_apply_one(f, mail_delivery("z", "soft@example.com", NOW + 20));
    assert_int_equal(mail_number_of(f, OPERATORS("soft_bounces"), "soft@example.com"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_bounce),
        SCENE_BOTH(test_complaint),
        SCENE_BOTH(test_provider_list),
        SCENE_BOTH(test_nothing_and_alert),
        SCENE_BOTH(test_soft_bounces),
        SCENE_BOTH(test_soft_bounces_at_once),
        SCENE_BOTH(test_entry_of_an_operator),
    };

    return FIXTURE_RUN(tests);
}
