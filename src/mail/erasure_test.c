/* Who was deleted, or asked for it, is taken out of the log: all of it, and nobody else. */
#include "mail/erasure.h"

#include "mail/fixture.h"
#include "mail/person.h"
#include "mail/sandbox.h"
#include "sessions/account.h"

enum { KEEP = 90 };
#define KEEP_MS (KEEP * (int64_t)CLOCK_DAY)

static void ask(struct scene *f, const struct uuid *tenant, const struct uuid *user,
                const char *address, const char *detail)
{
    struct trail_event event = {.action = TRAIL_MAIL_ERASE,
                                .tenant_id = *tenant,
                                .subject_id = *user,
                                .subject = str_of(address),
                                .detail = str_of(detail)};

    assert_done(trail_append_now(f->node.trail, &f->actor, &event));
}

static int64_t left(struct scene *f, const char *address)
{
    return mail_number_of(f, "SELECT count(*) FROM email_logs WHERE recipient = $1", address);
}

static int64_t events_left(struct scene *f, const char *address)
{
    return mail_number_of(f, "SELECT count(*) FROM email_events WHERE recipient = $1", address);
}

static int64_t told(struct scene *f, const char *detail)
{
    return mail_number_of(f,
                          "SELECT count(*) FROM trail WHERE action = 'mail.erased'"
                          " AND detail LIKE $1",
                          detail);
}

static void run(struct scene *f, struct erasure *e)
{
    assert_done(erasure_run(e, f->node.store, f->node.trail, KEEP_MS, clock_now()));
}

static struct uuid sent(struct scene *f, const struct uuid *tenant, const char *provider,
                        const char *address)
{
    struct str to = str_of(address);
    struct uuid id = mail_queue_all(f, tenant, "t", &to, 1, clock_now());

    mail_hand_over(f, &id, provider, clock_now());
    return id;
}

/* What came in this millisecond is before what is asked in the next. */
static void let_time_pass(void)
{
    for (int64_t now = clock_now(); clock_now() <= now + 1;)
        fixture_pause();
}

static void test_asked(void **state)
{
    struct scene *f = *state;
    struct uuid ann = scene_member(f, "ann");
    struct erasure e = {0};

    sent(f, &f->tenant, "p1", "ann@example.com");
    sent(f, &f->other, "p2", "ann@example.com");
    sent(f, &f->tenant, "p3", "bob@example.com");
    mail_apply_one(f, mail_soft_bounce("p1", "ann@example.com", clock_now()));
    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_OF_TENANT);
    let_time_pass();
    sent(f, &f->tenant, "p4", "ann@example.com");
    run(f, &e);
    assert_int_equal(left(f, "ann@example.com"), 2); /* another tenant's, and a later one */
    assert_int_equal(left(f, "erased"), 1);
    assert_int_equal(left(f, "bob@example.com"), 1);
    assert_int_equal(events_left(f, "ann@example.com"), 0);
    assert_int_equal(told(f, "%\"rows\":1}"), 1);
    /* It is told once, however often it is looked at. */
    run(f, &e);
    e = (struct erasure){0};
    run(f, &e);
    assert_int_equal(scene_records(f, "mail.erased"), 1);
    assert_int_equal(left(f, "ann@example.com"), 2);

    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_EVERYWHERE);
    run(f, &e);
    assert_int_equal(left(f, "ann@example.com"), 0);
    assert_int_equal(scene_records(f, "mail.erased"), 2);
    /* Where there is nothing, that is told too. */
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_EVERYWHERE);
    run(f, &e);
    e = (struct erasure){0};
    run(f, &e);
    assert_int_equal(scene_records(f, "mail.erased"), 3);
    assert_int_equal(told(f, "%\"rows\":0}"), 1);
    mail_assert_counters(f);
}

static void test_deleted(void **state)
{
    struct scene *f = *state;
    struct account_power power = {.actor = &f->actor, .operator_ = true};
    struct uuid ann = scene_member(f, "ann"), bob = scene_member(f, "bob");
    struct erasure e = {0};

    run(f, &e);
    for (int i = 0; i < ERASURE_BATCH + 5; i++) {
        char provider[32];
        snprintf(provider, sizeof provider, "p%d", i);
        sent(f, &f->tenant, provider, "ann@example.com");
    }
    sent(f, &f->tenant, "old", "former@example.com");
    assert_int_equal(scene_run(f, "UPDATE email_logs SET user_id = $1 WHERE provider_id = 'old'",
                               PARAMS(P_ID(&ann))),
                     1);
    sent(f, &f->other, "foreign", "ann@example.com");
    let_time_pass();
    assert_done(account_delete(f->s, &f->a, &power, &ann, clock_now()));
    assert_done(account_delete(f->s, &f->a, &power, &bob, clock_now()));
    run(f, &e);
    assert_int_equal(left(f, "ann@example.com"), 1);
    assert_int_equal(left(f, "former@example.com"), 0);
    assert_int_equal(left(f, "erased"), ERASURE_BATCH + 6);
    assert_int_equal(scene_records(f, "mail.erased"), 1); /* of bob there was nothing */
    assert_int_equal(told(f, "%\"rows\":206}"), 1);
}

/* What is still to be sent is sent to its address first; a late bounce goes as well. */
static void test_later(void **state)
{
    struct scene *f = *state;
    struct uuid ann = scene_member(f, "ann");
    struct erasure e = {0};
    struct uuid id = mail_queue(f, "ann@example.com", clock_now());

    sent(f, &f->tenant, "p1", "ann@example.com");
    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_OF_TENANT);
    run(f, &e);
    assert_int_equal(left(f, "ann@example.com"), 1);
    assert_int_equal(scene_records(f, "mail.erased"), 0);
    mail_hand_over(f, &id, "p2", clock_now());
    mail_apply_one(f, mail_bounce("p1", "ann@example.com", clock_now()));
    mail_apply_one(f, mail_bounce("elsewhere", "ann@example.com", clock_now()));
    assert_int_equal(events_left(f, "ann@example.com"), 2);
    run(f, &e); /* the first look over all, which comes at once */
    assert_int_equal(left(f, "ann@example.com"), 0);
    assert_int_equal(scene_records(f, "mail.erased"), 1);
    /* The event of no message is of no tenant: an operator's request takes it. */
    assert_int_equal(events_left(f, "ann@example.com"), 1);
    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_EVERYWHERE);
    run(f, &e);
    assert_int_equal(events_left(f, "ann@example.com"), 0);
    run(f, &e);
    assert_int_equal(scene_records(f, "mail.erased"), 2);
}

/* A message that the sandbox keeps; its id as text. */
static const char *keep(struct scene *f, const char *to, int64_t at)
{
    static char text[UUID_TEXT_SIZE];
    struct sandbox_message m = {.id = uuid_new(),
                                .at = at,
                                .helo = STR("x"),
                                .from = STR("shop@example.com"),
                                .to = str_of(to),
                                .data = STR("Subject: Hello\r\n\r\nHello.\r\n")};

    uuid_format(&m.id, text);
    assert_done(sandbox_keep(f->node.store, &m, SANDBOX_KEEP));
    return text;
}

/* A message of a tenant's that went to the sandbox. */
static void sent_to_sandbox(struct scene *f, const struct uuid *tenant, const char *address)
{
    sent(f, tenant, keep(f, address, clock_now()), address);
}

static int64_t kept(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM sandbox_messages");
}

static int64_t kept_for(struct scene *f, const char *to)
{
    return mail_number_of(f, "SELECT count(*) FROM sandbox_messages WHERE recipients = $1", to);
}

static void test_sandbox(void **state)
{
    struct scene *f = *state;
    struct account_power power = {.actor = &f->actor, .operator_ = true};
    struct uuid ann = scene_member(f, "ann");
    struct erasure e = {0};

    sent_to_sandbox(f, &f->tenant, "ann@example.com");
    sent_to_sandbox(f, &f->tenant, "former@example.com");
    assert_int_equal(
        scene_run(f, "UPDATE email_logs SET user_id = $1 WHERE recipient = 'former@example.com'",
                  PARAMS(P_ID(&ann))),
        1);
    sent_to_sandbox(f, &f->other, "ann@example.com");
    sent_to_sandbox(f, &f->tenant, "bob@example.com");
    /* By SMTP, of no tenant. */
    keep(f, "bob@example.com\nAnn@Example.com\neve@example.com", clock_now());
    keep(f, "joann@example.com", clock_now());
    keep(f, "ann@example.com.example", clock_now());
    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_OF_TENANT);
    let_time_pass();
    keep(f, "ann@example.com", clock_now());
    assert_int_equal(kept(f), 8);
    run(f, &e);
    /* Another tenant's, and one that came later. */
    assert_int_equal(kept_for(f, "ann@example.com"), 2);
    assert_int_equal(kept_for(f, "bob@example.com"), 1);
    assert_int_equal(kept(f), 5);
    assert_int_equal(told(f, "%\"rows\":3}"), 1);

    /* Who is deleted is taken out as well, though the log has nothing of them any more. */
    let_time_pass();
    assert_done(account_delete(f->s, &f->a, &power, &ann, clock_now()));
    run(f, &e);
    assert_int_equal(kept_for(f, "ann@example.com"), 1);
    assert_int_equal(scene_records(f, "mail.erased"), 2);
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_EVERYWHERE);
    let_time_pass();
    run(f, &e);
    assert_int_equal(kept_for(f, "ann@example.com"), 0);
    assert_int_equal(kept(f), 3);
}

/* What was still queued is kept by the sandbox when it is sent, and goes then. */
static void test_sandbox_later(void **state)
{
    struct scene *f = *state;
    struct uuid ann = scene_member(f, "ann"), id = mail_queue(f, "ann@example.com", clock_now());
    struct erasure e = {0};

    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_OF_TENANT);
    let_time_pass();
    mail_hand_over(f, &id, keep(f, "ann@example.com", clock_now()), clock_now());
    run(f, &e);
    assert_int_equal(kept(f), 0);
    assert_int_equal(scene_records(f, "mail.erased"), 1);
}

/* More than one transaction takes. */
static void test_sandbox_of_many(void **state)
{
    struct scene *f = *state;
    struct uuid ann = scene_member(f, "ann");
    struct erasure e = {0};

    for (int i = 0; i < ERASURE_BATCH + 5; i++)
        keep(f, "ann@example.com", clock_now());
    let_time_pass();
    ask(f, &f->tenant, &ann, "ann@example.com", ERASURE_OF_TENANT);
    run(f, &e);
    assert_int_equal(kept(f), 0);
    assert_int_equal(told(f, "%\"rows\":205}"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_asked),   SCENE_BOTH(test_deleted),       SCENE_BOTH(test_later),
        SCENE_BOTH(test_sandbox), SCENE_BOTH(test_sandbox_later), SCENE_BOTH(test_sandbox_of_many)};

    return FIXTURE_RUN(tests);
}
