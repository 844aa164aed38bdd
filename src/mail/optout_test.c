/* What the link in a message ends, by its purpose. */
#include "mail/optout.h"

#include "identity/preferences.h"
#include "mail/fixture.h"
#include "mail/suppression.h"

struct leaving {
    struct scene *f;
    struct unsubscribe token;
    struct uuid user;
    struct preferences preferences;
    bool changed;
};

static int leave_job(struct store_txn *t, void *arg)
{
    struct leaving *l = arg;
    struct trail_actor actor = {.label = STR("recipient")};

    return optout_apply(t, l->f->node.trail, &actor, &l->token, NOW, &l->changed);
}

static int preferences_job(struct store_txn *t, void *arg)
{
    struct leaving *l = arg;

    return preferences_get(t, &l->user, &l->preferences);
}

static bool leave(struct leaving *l, const char *address, enum unsubscribe_purpose purpose)
{
    l->token = (struct unsubscribe){.tenant_id = l->f->tenant, .purpose = purpose};
    snprintf(l->token.address, sizeof l->token.address, "%s", address);
    assert_done(store_write(l->f->node.store, leave_job, l));
    assert_done(store_read(l->f->node.store, preferences_job, l));
    return l->changed;
}

static int64_t suppressed(struct scene *f, const char *address)
{
    return mail_number_of(
        f, "SELECT count(*) FROM suppressions WHERE address = $1 AND reason = 'unsubscribe'",
        address);
}

static void test_purposes(void **state)
{
    struct scene *f = *state;
    struct leaving l = {.f = f, .user = scene_member(f, "ann")};

    assert_true(leave(&l, "ann@example.com", UNSUBSCRIBE_SECURITY));
    assert_false(l.preferences.email_security);
    assert_true(l.preferences.email_product);
    assert_int_equal(suppressed(f, "ann@example.com"), 0);
    assert_false(leave(&l, "ann@example.com", UNSUBSCRIBE_SECURITY));
    assert_int_equal(scene_records(f, "email.unsubscribe"), 1);

    assert_true(leave(&l, "ann@example.com", UNSUBSCRIBE_PRODUCT));
    assert_false(l.preferences.email_security);
    assert_false(l.preferences.email_product);
    assert_int_equal(suppressed(f, "ann@example.com"), 1);
    assert_false(leave(&l, "ann@example.com", UNSUBSCRIBE_PRODUCT));
    assert_int_equal(scene_records(f, "email.unsubscribe"), 2);

    l.user = scene_member(f, "bob");
    assert_true(leave(&l, "bob@example.com", UNSUBSCRIBE_PRODUCT));
    assert_true(l.preferences.email_security);
    assert_false(l.preferences.email_product);
    l.user = scene_member(f, "cem");
    assert_true(leave(&l, "cem@example.com", UNSUBSCRIBE_ALL));
    assert_false(l.preferences.email_security);
    assert_false(l.preferences.email_product);
    assert_int_equal(suppressed(f, "cem@example.com"), 1);
}

/* Of another tenant's user, and of who has no account, only mail of this tenant is ended. */
static void test_strangers(void **state)
{
    struct scene *f = *state;
    struct leaving l = {.f = f, .user = scene_user(f, &f->other, "eve", ROLE_MEMBER, "none")};

    assert_true(leave(&l, "eve@example.com", UNSUBSCRIBE_ALL));
    assert_true(l.preferences.email_security);
    assert_true(l.preferences.email_product);
    assert_int_equal(suppressed(f, "eve@example.com"), 1);
    assert_false(leave(&l, "nobody@example.com", UNSUBSCRIBE_SECURITY));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 1);
    assert_true(leave(&l, "nobody@example.com", UNSUBSCRIBE_PRODUCT));
    assert_int_equal(scene_records(f, "email.unsubscribe"), 2);
}

struct adding {
    struct suppression entry;
    struct suppression_removal removal;
    unsigned removed;
};

static int add_job(struct store_txn *t, void *arg)
{
    return suppression_add(t, &((struct adding *)arg)->entry);
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct adding *a = arg;

    return suppression_remove(t, &a->removal, &a->removed);
}

/* Whatever stops their mail already: it is kept, and outlasts that. */
static void test_on_top(void **state)
{
    struct scene *f = *state;
    struct leaving l = {.f = f, .user = scene_member(f, "ann")};
    struct adding a = {.entry = {f->tenant, STR("ann@example.com"), SUPPRESSION_MANUAL, STR("api"),
                                 STR(""), STR("tester"), NOW, 0},
                       .removal = {&f->tenant, STR("ann@example.com"), SUPPRESSION_MANUAL, NOW}};

    assert_done(store_write(f->node.store, add_job, &a));
    assert_true(leave(&l, "ann@example.com", UNSUBSCRIBE_PRODUCT));
    assert_int_equal(suppressed(f, "ann@example.com"), 1);
    assert_done(store_write(f->node.store, remove_job, &a));
    assert_int_equal(suppressed(f, "ann@example.com"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_purposes), SCENE_BOTH(test_strangers),
                                       SCENE_BOTH(test_on_top)};

    return FIXTURE_RUN(tests);
}
