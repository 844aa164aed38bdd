/* The simulator's addresses and the events that they bring, in the wire format of SES. */
#include "mail/simulator.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "mail/ses_event.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct simulator_mail mail = {
    .provider_id = STR_INIT("0100-abc"),
    .from = STR_INIT("no-reply@example.com"),
    .to = STR_INIT("bounce+7@simulator.amazonses.com"),
    .subject = STR_INIT("Say \"hi\""),
    .sent_at = INT64_C(1700000000000),
    .now = INT64_C(1700000000250),
};

static void test_classify(void **state)
{
    static const struct {
        const char *address;
        enum simulator_fate fate;
    } cases[] = {
        {"success@simulator.amazonses.com", SIMULATOR_SUCCESS},
        {"Bounce@SIMULATOR.amazonses.com", SIMULATOR_BOUNCE},
        {"bounce+label@simulator.amazonses.com", SIMULATOR_BOUNCE},
        {"bounce+@simulator.amazonses.com", SIMULATOR_BOUNCE},
        {"complaint+a+b@simulator.amazonses.com", SIMULATOR_COMPLAINT},
        {"ooto@simulator.amazonses.com", SIMULATOR_OOTO},
        {"suppressionlist@simulator.amazonses.com", SIMULATOR_SUPPRESSION},
        {"other@simulator.amazonses.com", SIMULATOR_NONE},
        {"bounces@simulator.amazonses.com", SIMULATOR_NONE},
        {"@simulator.amazonses.com", SIMULATOR_NONE},
        {"+x@simulator.amazonses.com", SIMULATOR_NONE},
        {"bounce@simulator.amazonses.com.evil.test", SIMULATOR_NONE},
        {"bounce@example.com", SIMULATOR_NONE},
        {"bounce", SIMULATOR_NONE},
        {"", SIMULATOR_NONE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (simulator_classify(str_of(cases[i].address)) != cases[i].fate)
            fail_msg("%s", cases[i].address);
}

static json_t *event(enum simulator_fate fate, size_t i, const struct simulator_mail *m)
{
    _cleanup_buf_ struct buf out = buf_init(64 * 1024);
    json_error_t error;

    assert_int_equal(simulator_write(fate, i, m, &out), 0);
    json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(json);
    return json;
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (!value)
        fail_msg("no %s", key);
    return value;
}

static void test_mail_object(void **state)
{
    json_t *e = event(SIMULATOR_BOUNCE, 0, &mail), *m = json_object_get(e, "mail");

    assert_string_equal(text(m, "timestamp"), "2023-11-14T22:13:20.000Z");
    assert_string_equal(text(m, "messageId"), "0100-abc");
    assert_string_equal(text(m, "source"), "no-reply@example.com");
    assert_string_equal(json_string_value(json_array_get(json_object_get(m, "destination"), 0)),
                        "bounce+7@simulator.amazonses.com");
    assert_string_equal(text(json_object_get(m, "commonHeaders"), "subject"), "Say \"hi\"");
    assert_int_equal(json_array_size(json_object_get(m, "headers")), 3);
    json_decref(e);
}

static void assert_bounce(enum simulator_fate fate, size_t i, const char *type, const char *subtype,
                          const char *status)
{
    json_t *e = event(fate, i, &mail), *b = json_object_get(e, "bounce");
    json_t *r = json_array_get(json_object_get(b, "bouncedRecipients"), 0);

    assert_string_equal(text(e, "notificationType"), "Bounce");
    assert_string_equal(text(b, "bounceType"), type);
    assert_string_equal(text(b, "bounceSubType"), subtype);
    assert_string_equal(text(b, "timestamp"), "2023-11-14T22:13:20.250Z");
    assert_int_equal(strlen(text(b, "feedbackId")), 40);
    assert_string_equal(text(r, "emailAddress"), "bounce+7@simulator.amazonses.com");
    if (status) {
        assert_string_equal(text(r, "status"), status);
        assert_string_equal(text(r, "action"), "failed");
        assert_non_null(text(r, "diagnosticCode"));
    } else {
        assert_null(json_object_get(r, "status"));
    }
    json_decref(e);
}

static void assert_delivery(enum simulator_fate fate)
{
    json_t *e = event(fate, 0, &mail), *d = json_object_get(e, "delivery");

    assert_string_equal(text(e, "notificationType"), "Delivery");
    assert_int_equal(json_integer_value(json_object_get(d, "processingTimeMillis")), 250);
    assert_string_equal(json_string_value(json_array_get(json_object_get(d, "recipients"), 0)),
                        "bounce+7@simulator.amazonses.com");
    json_decref(e);
}

static void test_events(void **state)
{
    _cleanup_buf_ struct buf out = buf_init(1024);

    assert_int_equal(simulator_count(SIMULATOR_NONE), 0);
    assert_int_equal(simulator_count(SIMULATOR_SUCCESS), 1);
    assert_int_equal(simulator_count(SIMULATOR_BOUNCE), 1);
    assert_int_equal(simulator_count(SIMULATOR_COMPLAINT), 2);
    assert_int_equal(simulator_count(SIMULATOR_OOTO), 2);
    assert_int_equal(simulator_count(SIMULATOR_SUPPRESSION), 1);
    assert_delivery(SIMULATOR_SUCCESS);
    assert_delivery(SIMULATOR_COMPLAINT);
    assert_delivery(SIMULATOR_OOTO);
    assert_bounce(SIMULATOR_BOUNCE, 0, "Permanent", "General", "5.1.1");
    assert_bounce(SIMULATOR_OOTO, 1, "Transient", "General", NULL);
    assert_bounce(SIMULATOR_SUPPRESSION, 0, "Permanent", "Suppressed", "5.1.1");
    assert_int_equal(simulator_write(SIMULATOR_NONE, 0, &mail, &out), FAULT_INTERNAL);
    assert_int_equal(simulator_write(SIMULATOR_BOUNCE, 1, &mail, &out), FAULT_INTERNAL);
    assert_int_equal(out.n, 0);
}

static void test_complaint(void **state)
{
    json_t *e = event(SIMULATOR_COMPLAINT, 1, &mail), *c = json_object_get(e, "complaint");

    assert_string_equal(text(e, "notificationType"), "Complaint");
    assert_string_equal(text(c, "complaintFeedbackType"), "abuse");
    assert_true(json_is_null(json_object_get(c, "complaintSubType")));
    assert_string_equal(
        text(json_array_get(json_object_get(c, "complainedRecipients"), 0), "emailAddress"),
        "bounce+7@simulator.amazonses.com");
    assert_string_equal(text(c, "arrivalDate"), "2023-11-14T22:13:20.250Z");
    json_decref(e);
}

static void feedback_id(enum simulator_fate fate, size_t i, const struct simulator_mail *m,
                        char ret_id[41])
{
    json_t *e = event(fate, i, m), *b = json_object_get(e, "bounce");

    snprintf(ret_id, 41, "%s", text(b ? b : json_object_get(e, "complaint"), "feedbackId"));
    json_decref(e);
}

/* Told twice it is the same; of another message, recipient or kind it is another. */
static void test_feedback_ids(void **state)
{
    char a[41], b[41];
    struct simulator_mail other = mail;

    feedback_id(SIMULATOR_BOUNCE, 0, &mail, a);
    other.now += 5000;
    feedback_id(SIMULATOR_BOUNCE, 0, &other, b);
    assert_string_equal(a, b);
    feedback_id(SIMULATOR_COMPLAINT, 1, &mail, b);
    assert_string_not_equal(a, b);
    other.to = STR("bounce+8@simulator.amazonses.com");
    feedback_id(SIMULATOR_BOUNCE, 0, &other, b);
    assert_string_not_equal(a, b);
    other = mail;
    other.provider_id = STR("0100-abd");
    feedback_id(SIMULATOR_BOUNCE, 0, &other, b);
    assert_string_not_equal(a, b);
}

static void assert_read(enum simulator_fate fate, size_t i, enum ses_kind kind, enum ses_type type,
                        enum ses_subtype subtype)
{
    _cleanup_buf_ struct buf out = buf_init(64 * 1024);
    struct arena a = arena_init(SES_ARENA_MAX);
    struct ses_event e;

    assert_int_equal(simulator_write(fate, i, &mail, &out), 0);
    assert_int_equal(ses_event_parse(buf_str(&out), &a, &e), 0);
    assert_int_equal(e.kind, kind);
    assert_int_equal(e.type, type);
    assert_int_equal(e.subtype, subtype);
    assert_true(str_eq(e.message_id, mail.provider_id));
    assert_int_equal(e.at, mail.now);
    assert_int_equal(e.bad_count, 0);
    assert_int_equal(e.recipient_count, 1);
    assert_true(str_eq(e.recipients[0].address, mail.to));
    if (kind == SES_COMPLAINT)
        assert_int_equal(e.feedback, SES_FEEDBACK_ABUSE);
    arena_free(&a);
}

/* What is written is what we read of SES. */
static void test_read_back(void **state)
{
    assert_read(SIMULATOR_SUCCESS, 0, SES_DELIVERY, SES_TYPE_NONE, SES_SUBTYPE_NONE);
    assert_read(SIMULATOR_BOUNCE, 0, SES_BOUNCE, SES_TYPE_PERMANENT, SES_SUBTYPE_GENERAL);
    assert_read(SIMULATOR_COMPLAINT, 1, SES_COMPLAINT, SES_TYPE_NONE, SES_SUBTYPE_NONE);
    assert_read(SIMULATOR_OOTO, 1, SES_BOUNCE, SES_TYPE_TRANSIENT, SES_SUBTYPE_GENERAL);
    assert_read(SIMULATOR_SUPPRESSION, 0, SES_BOUNCE, SES_TYPE_PERMANENT, SES_SUBTYPE_SUPPRESSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),     cmocka_unit_test(test_mail_object),
        cmocka_unit_test(test_events),       cmocka_unit_test(test_complaint),
        cmocka_unit_test(test_feedback_ids), cmocka_unit_test(test_read_back),
    };
    return crypto_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
