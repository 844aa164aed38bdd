/* From an event of SES to what is done about each recipient. */
#include "mail/ses_intake.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW INT64_C(1790000000000)
#define TIME "\"timestamp\":\"2026-09-21T14:13:19.000Z\""

struct scene {
    struct arena arena;
    const struct mail_event *events;
    size_t n;
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->arena = arena_init(SES_ARENA_MAX);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    arena_free(&s->arena);
    free(s);
    return 0;
}

static int convert(struct scene *s, const char *body)
{
    struct ses_event event;

    assert_int_equal(ses_event_parse(str_of(body), &s->arena, &event), 0);
    return ses_intake_events(&event, str_of(body), NOW, &s->arena, &s->events, &s->n);
}

static const struct mail_event *convert_one(struct scene *s, const char *body)
{
    assert_int_equal(convert(s, body), 0);
    assert_int_equal(s->n, 1);
    return s->events;
}

#define assert_text(view, text)                                                                    \
    do {                                                                                           \
        if (!str_eq(view, str_of(text)))                                                           \
            fail_msg("%.*s is not %s", STR_ARG(view), text);                                       \
    } while (0)

static void test_bounce(void **state)
{
    struct scene *s = *state;
    const struct mail_event *e;

    assert_int_equal(
        convert(s, "{\"notificationType\":\"Bounce\",\"mail\":{\"messageId\":\"m1\"},\"bounce\":{"
                   "\"bounceType\":\"Permanent\",\"bounceSubType\":\"NoEmail\","
                   "\"bouncedRecipients\":[{\"emailAddress\":\"Ann@Example.COM\",\"status\":"
                   "\"5.1.1\",\"diagnosticCode\":\"smtp; 550 no\"},{\"emailAddress\":\"nobody\"},"
                   "{\"emailAddress\":\"b@example.com\"}]," TIME ",\"feedbackId\":\"f1\"}}"),
        0);
    assert_int_equal(s->n, 2);
    e = &s->events[0];
    assert_text(e->kind, "bounce");
    assert_text(e->subtype, "Permanent/NoEmail");
    assert_text(e->provider_id, "m1");
    assert_text(e->feedback_id, "f1");
    assert_text(e->recipient, "ann@example.com");
    assert_text(e->code, "5.1.1");
    assert_text(e->detail, "smtp; 550 no");
    assert_int_equal(e->at, NOW - 1000);
    assert_int_equal(e->state, MAIL_BOUNCED);
    assert_true(e->counted);
    assert_int_equal(e->action, MAIL_ACTION_INVALIDATE);
    /* A server that gave no code: SES's word stands for it. */
    assert_text(s->events[1].recipient, "b@example.com");
    assert_text(s->events[1].code, "NoEmail");
    assert_text(s->events[1].detail, "");
}

static void test_complaint(void **state)
{
    struct scene *s = *state;
    const struct mail_event *e = convert_one(
        s, "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@example.com\"}],"
           "\"complaintFeedbackType\":\"abuse\"," TIME ",\"feedbackId\":\"f\"}}");

    assert_text(e->kind, "complaint");
    assert_text(e->subtype, "abuse");
    assert_text(e->code, "abuse");
    assert_text(e->provider_id, "");
    assert_int_equal(e->state, MAIL_COMPLAINED);
    assert_int_equal(e->action, MAIL_ACTION_UNSUBSCRIBE);
    e = convert_one(
        s, "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@example.com\"}]," TIME
           ",\"feedbackId\":\"f\"}}");
    assert_text(e->code, "complaint");
    assert_true(e->counted);
}

struct word {
    const char *body, *kind, *subtype, *code, *detail;
    enum mail_state state;
    enum mail_action action;
};

#define MAIL "\"mail\":{" TIME ",\"messageId\":\"m\",\"destination\":[\"a@example.com\"]}"

/* Each other kind, as event publishing tells it. */
static void test_kinds(void **state)
{
    static const struct word words[] = {
        {"{\"eventType\":\"Send\"," MAIL ",\"send\":{}}", "send", "", "", "", MAIL_SENT,
         MAIL_ACTION_NONE},
        {"{\"eventType\":\"Delivery\"," MAIL ",\"delivery\":{" TIME
         ",\"recipients\":[\"a@example.com\"],\"smtpResponse\":\"250 ok\"}}",
         "delivery", "", "", "250 ok", MAIL_DELIVERED, MAIL_ACTION_SOFT_RESET},
        {"{\"eventType\":\"DeliveryDelay\"," MAIL ",\"deliveryDelay\":{" TIME
         ",\"delayType\":\"MailboxFull\",\"delayedRecipients\":[{\"emailAddress\":\"a@example.com\""
         ",\"diagnosticCode\":\"smtp; 452\"}]}}",
         "delivery_delay", "MailboxFull", "MailboxFull", "smtp; 452", MAIL_DELAYED,
         MAIL_ACTION_NONE},
        {"{\"eventType\":\"Reject\"," MAIL ",\"reject\":{\"reason\":\"Bad content\"}}", "reject",
         "", "reject", "Bad content", MAIL_REJECTED, MAIL_ACTION_NONE},
        {"{\"eventType\":\"Rendering Failure\"," MAIL
         ",\"failure\":{\"errorMessage\":\"no such attribute\",\"templateName\":\"t\"}}",
         "rendering_failure", "", "rendering_failure", "no such attribute", MAIL_REJECTED,
         MAIL_ACTION_NONE},
        {"{\"eventType\":\"Open\"," MAIL ",\"open\":{" TIME "}}", "open", "", "", "", MAIL_NO_STATE,
         MAIL_ACTION_NONE},
        {"{\"eventType\":\"Shred\"," MAIL "}", "unknown", "Shred", "", "", MAIL_NO_STATE,
         MAIL_ACTION_NONE},
        {"{\"notificationType\":\"Bounce\"," MAIL ",\"bounce\":{\"bounceType\":\"Transient\","
         "\"bounceSubType\":\"MailboxFull\",\"bouncedRecipients\":[{\"emailAddress\":"
         "\"a@example.com\"}]," TIME ",\"feedbackId\":\"f\"}}",
         "bounce", "Transient/MailboxFull", "MailboxFull", "", MAIL_BOUNCED,
         MAIL_ACTION_SOFT_COUNT},
        {"{\"notificationType\":\"Bounce\"," MAIL ",\"bounce\":{\"bounceType\":\"Permanent\","
         "\"bounceSubType\":\"OnAccountSuppressionList\",\"bouncedRecipients\":[{\"emailAddress\":"
         "\"a@example.com\"}]," TIME ",\"feedbackId\":\"f\"}}",
         "bounce", "Permanent/OnAccountSuppressionList", "OnAccountSuppressionList", "",
         MAIL_SUPPRESSED, MAIL_ACTION_SUPPRESS},
        {"{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@example.com\"}],"
         "\"complaintFeedbackType\":\"auth-failure\"," TIME ",\"feedbackId\":\"f\"}}",
         "complaint", "auth-failure", "auth-failure", "", MAIL_NO_STATE, MAIL_ACTION_ALERT},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct word *w = &words[i];
        const struct mail_event *e = convert_one(*state, w->body);
        assert_text(e->kind, w->kind);
        assert_text(e->subtype, w->subtype);
        assert_text(e->code, w->code);
        assert_text(e->detail, w->detail);
        assert_int_equal(e->state, w->state);
        assert_int_equal(e->action, w->action);
        assert_int_equal(e->at, NOW - 1000);
    }
}

/* A server of one recipient cannot have another one silenced. */
static void test_foreign(void **state)
{
    struct scene *s = *state;

    assert_int_equal(convert(s,
                             "{\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":["
                             "{\"emailAddress\":\"victim@example.com\"},"
                             "{\"emailAddress\":\"b@example.com\"}]," TIME ",\"feedbackId\":\"f\"},"
                             "\"mail\":{\"messageId\":\"m\",\"destination\":"
                             "[\"a@example.com\",\"b@example.com\"]}}"),
                     0);
    assert_int_equal(s->n, 2);
    assert_text(s->events[0].recipient, "victim@example.com");
    assert_int_equal(s->events[0].state, MAIL_NO_STATE);
    assert_false(s->events[0].counted);
    assert_int_equal(s->events[0].action, MAIL_ACTION_NONE);
    assert_int_equal(s->events[1].action, MAIL_ACTION_INVALIDATE);
}

/* What tells nothing to know it again by is known by its body. */
static void test_without_time(void **state)
{
    static const char one[] = "{\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":[{"
                              "\"emailAddress\":\"a@example.com\"}]}}",
                      other[] = "{\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":["
                                "{\"emailAddress\":\"a@example.com\"}] }}",
                      named[] = "{\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":["
                                "{\"emailAddress\":\"a@example.com\"}],\"feedbackId\":\"f\"}}";
    struct str id = convert_one(*state, one)->feedback_id;

    assert_int_equal(id.n, 64);
    assert_true(str_eq(id, convert_one(*state, one)->feedback_id));
    assert_false(str_eq(id, convert_one(*state, other)->feedback_id));
    assert_text(convert_one(*state, named)->feedback_id, "f");
    assert_text(convert_one(*state, named)->subtype, "Permanent");
    assert_int_equal(convert_one(*state, one)->at, NOW);
}

static void body_of(char ret[300], int64_t at)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(at, text);
    snprintf(ret, 300,
             "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@example.com\"}],"
             "\"timestamp\":\"%s\",\"feedbackId\":\"f\"}}",
             text);
}

static void test_future(void **state)
{
    char body[300];

    body_of(body, NOW + SES_INTAKE_AHEAD_MS);
    assert_int_equal(convert(*state, body), 0);
    body_of(body, NOW + SES_INTAKE_AHEAD_MS + 1);
    assert_int_equal(convert(*state, body), SES_INTAKE_AHEAD);
}

static void test_nobody(void **state)
{
    struct scene *s = *state;

    assert_int_equal(
        convert(s, "Successfully validated SNS topic for Amazon SES event publishing."), 0);
    assert_int_equal(s->n, 0);
    assert_int_equal(
        convert(s, "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"\"}]," TIME "}}"), 0);
    assert_int_equal(s->n, 0);
}

/* One bad entry costs the 4,999 others nothing. */
static void test_many(void **state)
{
    struct scene *s = *state;
    struct buf body = buf_init(SES_BODY_MAX);

    buf_add_str(&body, STR("{\"bounce\":{\"bounceType\":\"Permanent\"," TIME
                           ",\"feedbackId\":\"f\",\"bouncedRecipients\":["));
    for (int i = 0; i < SES_RECIPIENTS_MAX; i++)
        buf_printf(&body, "%s{\"emailAddress\":\"u%d%s\"}", i ? "," : "", i,
                   i == 2500 ? "" : "@example.com");
    buf_add_str(&body, STR("]}}"));
    assert_int_equal(convert(s, buf_cstr(&body)), 0);
    assert_int_equal(s->n, SES_RECIPIENTS_MAX - 1);
    assert_text(s->events[2500].recipient, "u2501@example.com");
    buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bounce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_complaint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_future, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
