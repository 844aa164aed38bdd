#include "mail/ses_rules.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static const struct ses_rule nothing = {SES_STATE_NONE, false, SES_ACTION_NONE};
static const struct ses_rule invalid = {SES_STATE_BOUNCED, true, SES_ACTION_INVALIDATE};
static const struct ses_rule suppressed = {SES_STATE_SUPPRESSED, false, SES_ACTION_SUPPRESS};
static const struct ses_rule soft = {SES_STATE_BOUNCED, false, SES_ACTION_SOFT_COUNT};
static const struct ses_rule content = {SES_STATE_BOUNCED, false, SES_ACTION_NONE};
static const struct ses_rule complained = {SES_STATE_COMPLAINED, true, SES_ACTION_UNSUBSCRIBE};
static const struct ses_rule alert = {SES_STATE_NONE, false, SES_ACTION_ALERT};
static const struct ses_rule never_sent = {SES_STATE_SUPPRESSED, false, SES_ACTION_NONE};

static void expect(const struct ses_rule *rule, const struct ses_rule *wanted)
{
    assert_int_equal(rule->state, wanted->state);
    assert_int_equal(rule->counted, wanted->counted);
    assert_int_equal(rule->action, wanted->action);
}

static const struct {
    enum ses_type type;
    enum ses_subtype subtype;
    const struct ses_rule *rule;
} bounces[] = {
    {SES_TYPE_PERMANENT, SES_SUBTYPE_GENERAL, &invalid},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_NO_EMAIL, &invalid},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_SUPPRESSED, &invalid},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_NONE, &invalid},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_UNKNOWN, &invalid},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_ON_ACCOUNT_LIST, &suppressed},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_ON_TENANT_LIST, &suppressed},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_VALIDATION_SUPPRESSED, &suppressed},
    {SES_TYPE_PERMANENT, SES_SUBTYPE_UNSUBSCRIBED, &suppressed},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_GENERAL, &nothing},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_MAILBOX_FULL, &soft},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_CUSTOM_TIMEOUT, &soft},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_MESSAGE_TOO_LARGE, &content},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_CONTENT_REJECTED, &content},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_ATTACHMENT_REJECTED, &content},
    {SES_TYPE_TRANSIENT, SES_SUBTYPE_UNKNOWN, &nothing},
    {SES_TYPE_UNDETERMINED, SES_SUBTYPE_UNDETERMINED, &nothing},
    {SES_TYPE_UNDETERMINED, SES_SUBTYPE_GENERAL, &nothing},
    /* A list that SES names beside another type is not one to act on. */
    {SES_TYPE_UNDETERMINED, SES_SUBTYPE_ON_ACCOUNT_LIST, &nothing},
    {SES_TYPE_UNKNOWN, SES_SUBTYPE_GENERAL, &nothing},
};

static void test_bounces(void **state)
{
    for (size_t i = 0; i < sizeof bounces / sizeof *bounces; i++)
        expect(ses_rule_of(SES_BOUNCE, bounces[i].type, bounces[i].subtype, SES_FEEDBACK_NONE),
               bounces[i].rule);
}

static void test_complaints(void **state)
{
    static const struct {
        enum ses_feedback feedback;
        const struct ses_rule *rule;
    } cases[] = {
        {SES_FEEDBACK_NONE, &complained},  {SES_FEEDBACK_ABUSE, &complained},
        {SES_FEEDBACK_FRAUD, &complained}, {SES_FEEDBACK_VIRUS, &complained},
        {SES_FEEDBACK_OTHER, &complained}, {SES_FEEDBACK_UNKNOWN, &complained},
        {SES_FEEDBACK_NOT_SPAM, &nothing}, {SES_FEEDBACK_AUTH_FAILURE, &alert},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum ses_feedback f = cases[i].feedback;
        expect(ses_rule_of(SES_COMPLAINT, SES_TYPE_NONE, SES_SUBTYPE_NONE, f), cases[i].rule);
        expect(ses_rule_of(SES_COMPLAINT, SES_TYPE_NONE, SES_SUBTYPE_UNKNOWN, f), cases[i].rule);
        expect(ses_rule_of(SES_COMPLAINT, SES_TYPE_NONE, SES_SUBTYPE_ON_ACCOUNT_LIST, f),
               &never_sent);
        expect(ses_rule_of(SES_COMPLAINT, SES_TYPE_NONE, SES_SUBTYPE_ON_TENANT_LIST, f),
               &never_sent);
    }
}

static void test_other_kinds(void **state)
{
    static const struct {
        enum ses_kind kind;
        struct ses_rule rule;
    } cases[] = {
        {SES_SEND, {SES_STATE_SENT, false, SES_ACTION_NONE}},
        {SES_DELIVERY, {SES_STATE_DELIVERED, false, SES_ACTION_SOFT_RESET}},
        {SES_DELIVERY_DELAY, {SES_STATE_DELAYED, false, SES_ACTION_NONE}},
        {SES_REJECT, {SES_STATE_REJECTED, false, SES_ACTION_NONE}},
        {SES_RENDERING_FAILURE, {SES_STATE_REJECTED, false, SES_ACTION_NONE}},
        {SES_OPEN, {SES_STATE_NONE, false, SES_ACTION_NONE}},
        {SES_CLICK, {SES_STATE_NONE, false, SES_ACTION_NONE}},
        {SES_SUBSCRIPTION, {SES_STATE_NONE, false, SES_ACTION_NONE}},
        {SES_SETUP, {SES_STATE_NONE, false, SES_ACTION_NONE}},
        {SES_UNKNOWN, {SES_STATE_NONE, false, SES_ACTION_NONE}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ses_event event = {.kind = cases[i].kind};
        expect(ses_rule_of_event(&event), &cases[i].rule);
    }
}

/* The precedence: complained > bounced > rejected > delivered > delayed > sent. */
static void test_precedence(void **state)
{
    assert_true(SES_STATE_COMPLAINED > SES_STATE_BOUNCED);
    assert_true(SES_STATE_BOUNCED > SES_STATE_REJECTED);
    assert_true(SES_STATE_REJECTED > SES_STATE_DELIVERED);
    assert_true(SES_STATE_DELIVERED > SES_STATE_DELAYED);
    assert_true(SES_STATE_DELAYED > SES_STATE_SENT);
    assert_true(SES_STATE_SENT > SES_STATE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounces),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_precedence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
