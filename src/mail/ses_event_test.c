#include "mail/ses_event.h"

#include "base/buf.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static struct arena arena = {.cap = SES_ARENA_MAX};

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct ses_event parsed(const char *json)
{
    struct ses_event event = {0};

    assert_int_equal(ses_event_parse(str_of(json), &arena, &event), 0);
    return event;
}

static int outcome(const char *json)
{
    struct ses_event event = {.message_id = STR_INIT("untouched")};
    int e = ses_event_parse(str_of(json), &arena, &event);

    assert_int_not_equal(e, 0);
    assert_true(str_eq(event.message_id, STR("untouched")));
    return e;
}

static void expect(struct str s, const char *text)
{
    assert_non_null(s.p);
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
}

/* The mail object that SES sends along, with more members than are read. */
#define MAIL                                                                                       \
    "\"mail\":{\"timestamp\":\"2026-01-02T03:04:05.678Z\",\"messageId\":\"0100-m1-000000\","       \
    "\"source\":\"Shop <shop@y.example>\",\"sendingAccountId\":\"123456789012\","                  \
    "\"headersTruncated\":false,\"headers\":[{\"name\":\"Subject\",\"value\":\"Hi\"}],"            \
    "\"commonHeaders\":{\"to\":[\"ann@x.example\"]},"                                              \
    "\"destination\":[\"Ann <Ann@x.example>\",\"ben@x.example\"],"                                 \
    "\"tags\":{\"ses:configuration-set\":[\"c\"],\"template\":[\"welcome\"],"                      \
    "\"tenant\":[\"t-1\"]}}"

static const char bounce_json[] =
    "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\","
    "\"reportingMTA\":\"dns; mta.example\",\"bouncedRecipients\":[{\"emailAddress\":"
    "\"Jane@X.example\",\"status\":\"5.1.1\",\"action\":\"failed\","
    "\"diagnosticCode\":\"smtp; 550 5.1.1 <jane@x.example>... User\"},"
    "{\"emailAddress\":\"Ann Lee <ann@x.example>\",\"status\":\"five\"}],"
    "\"bounceSubType\":\"NoEmail\",\"timestamp\":\"2026-01-02T03:05:00.5+01:00\","
    "\"feedbackId\":\"0100-f1-000000\",\"remoteMtaIp\":\"127.0.2.0\"}," MAIL "}";

static void test_bounce(void **state)
{
    struct ses_event event = parsed(bounce_json);

    assert_int_equal(event.kind, SES_BOUNCE);
    assert_int_equal(event.type, SES_TYPE_PERMANENT);
    assert_int_equal(event.subtype, SES_SUBTYPE_NO_EMAIL);
    assert_int_equal(event.feedback, SES_FEEDBACK_NONE);
    expect(event.kind_text, "Bounce");
    expect(event.type_text, "Permanent");
    expect(event.subtype_text, "NoEmail");
    expect(event.message_id, "0100-m1-000000");
    expect(event.feedback_id, "0100-f1-000000");
    expect(event.template_name, "welcome");
    expect(event.tenant, "t-1");
    assert_int_equal(event.at, INT64_C(1767319500500)); /* 2026-01-02T02:05:00.5Z */
    assert_int_equal(event.recipient_count, 2);
    assert_int_equal(event.bad_count, 0);
    expect(event.recipients[0].address, "jane@x.example");
    expect(event.recipients[0].status, "5.1.1");
    expect(event.recipients[0].action, "failed");
    expect(event.recipients[0].diagnostic, "smtp; 550 5.1.1 <jane@x.example>... User");
    assert_true(event.recipients[0].foreign); /* it went to Ann and Ben */
    expect(event.recipients[1].address, "ann@x.example");
    assert_false(event.recipients[1].foreign);
    assert_int_equal(event.foreign_count, 1);
    expect(event.recipients[1].status, "");
    expect(event.recipients[1].action, "");
    expect(event.recipients[1].diagnostic, "");
}

static void test_plain_bounce(void **state)
{
    struct ses_event event =
        parsed("{\"bounce\":{\"bounceType\":\"Permanent\",\"bounceSubType\":\"Suppressed\","
               "\"bouncedRecipients\":[{\"emailAddress\":\"user@example.com\"}],"
               "\"timestamp\":\"2024-01-01T12:00:00Z\",\"feedbackId\":\"feedback-id-123\"}}");

    assert_int_equal(event.kind, SES_BOUNCE);
    assert_int_equal(event.type, SES_TYPE_PERMANENT);
    assert_int_equal(event.subtype, SES_SUBTYPE_SUPPRESSED);
    expect(event.kind_text, "Bounce");
    expect(event.message_id, "");
    expect(event.feedback_id, "feedback-id-123");
    assert_int_equal(event.at, INT64_C(1704110400000));
    assert_int_equal(event.recipient_count, 1);
    expect(event.recipients[0].address, "user@example.com");
}

static void test_plain_complaint(void **state)
{
    static const char json[] =
        "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"user@example.com\"}],"
        "\"complaintFeedbackType\":\"not-spam\",\"timestamp\":\"2024-01-01T12:00:00Z\","
        "\"feedbackId\":\"feedback-id-456\"}";
    _cleanup_buf_ struct buf with_mail = buf_init(4096);
    struct ses_event event;

    buf_printf(&with_mail, "%s," MAIL "}", json);
    event = parsed(buf_cstr(&with_mail));
    expect(event.message_id, "0100-m1-000000");
    buf_reset(&with_mail);
    buf_printf(&with_mail, "%s}", json);
    event = parsed(buf_cstr(&with_mail));
    expect(event.message_id, "");
    assert_int_equal(event.kind, SES_COMPLAINT);
    assert_int_equal(event.type, SES_TYPE_NONE);
    assert_int_equal(event.subtype, SES_SUBTYPE_NONE);
    assert_int_equal(event.feedback, SES_FEEDBACK_NOT_SPAM);
    expect(event.feedback_text, "not-spam");
}

static void test_other_kinds(void **state)
{
    static const struct {
        const char *json;
        enum ses_kind kind;
        const char *detail;
        size_t recipients;
    } cases[] = {
        {"{\"eventType\":\"Send\",\"send\":{}," MAIL "}", SES_SEND, "", 2},
        {"{\"eventType\":\"Delivery\",\"delivery\":{\"recipients\":[\"ann@x.example\"],"
         "\"processingTimeMillis\":5,\"smtpResponse\":\"250 ok\"}," MAIL "}",
         SES_DELIVERY, "250 ok", 1},
        {"{\"notificationType\":\"Delivery\",\"delivery\":{\"recipients\":[\"ann@x.example\"]}"
         "," MAIL "}",
         SES_DELIVERY, "", 1},
        {"{\"eventType\":\"DeliveryDelay\",\"deliveryDelay\":{\"delayType\":\"SpamDetected\","
         "\"delayedRecipients\":[{\"emailAddress\":\"ann@x.example\",\"status\":\"4.4.1\"}]}," MAIL
         "}",
         SES_DELIVERY_DELAY, "", 1},
        {"{\"eventType\":\"Reject\",\"reject\":{\"reason\":\"Bad content\"}," MAIL "}", SES_REJECT,
         "Bad content", 2},
        {"{\"eventType\":\"Open\",\"open\":{\"userAgent\":\"x\"}," MAIL "}", SES_OPEN, "", 2},
        {"{\"eventType\":\"Click\",\"click\":{\"link\":\"https://y.example/\"}," MAIL "}",
         SES_CLICK, "https://y.example/", 2},
        {"{\"eventType\":\"Rendering Failure\",\"failure\":{\"errorMessage\":\"no name\","
         "\"templateName\":\"w\"}," MAIL "}",
         SES_RENDERING_FAILURE, "no name", 2},
        {"{\"eventType\":\"Subscription\",\"subscription\":{\"source\":\"UnsubscribeHeader\"}," MAIL
         "}",
         SES_SUBSCRIPTION, "", 2},
        {"{\"eventType\":\"Send\",\"notificationType\":\"Send\"," MAIL "}", SES_SEND, "", 2},
        {"{\"eventType\":\"Teleported\"," MAIL "}", SES_UNKNOWN, "", 2},
        {"{\"eventType\":\"Teleported\"}", SES_UNKNOWN, "", 0},
        {"{\"notificationType\":\"AmazonSnsSubscriptionSucceeded\",\"message\":\"You have\"}",
         SES_SETUP, "", 0},
        {"Successfully validated SNS topic for Amazon SES event publishing.", SES_SETUP, "", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ses_event event = parsed(cases[i].json);
        assert_int_equal(event.kind, cases[i].kind);
        assert_int_equal(event.type, SES_TYPE_NONE);
        expect(event.detail, cases[i].detail);
        assert_int_equal(event.recipient_count, cases[i].recipients);
        if (cases[i].recipients > 0) {
            expect(event.recipients[0].address, "ann@x.example");
            assert_int_equal(event.at, INT64_C(1767323045678));
        }
    }
    expect(parsed(cases[3].json).type_text, "SpamDetected");
    expect(parsed(cases[3].json).recipients[0].status, "4.4.1");
    expect(parsed("{\"eventType\":\"Teleported\"}").kind_text, "Teleported");
}

#define BOUNCE(types)                                                                              \
    "{\"bounce\":{" types "\"bouncedRecipients\":[{\"emailAddress\":\"a@x.example\"}]}}"
#define COMPLAINT(types)                                                                           \
    "{\"complaint\":{" types "\"complainedRecipients\":[{\"emailAddress\":\"a@x.example\"}]}}"

static void test_words(void **state)
{
    static const struct {
        const char *json;
        enum ses_type type;
        enum ses_subtype subtype;
        enum ses_feedback feedback;
    } cases[] = {
        {BOUNCE(""), SES_TYPE_UNKNOWN, SES_SUBTYPE_NONE, SES_FEEDBACK_NONE},
        {BOUNCE("\"bounceType\":\"Undetermined\",\"bounceSubType\":\"Undetermined\","),
         SES_TYPE_UNDETERMINED, SES_SUBTYPE_UNDETERMINED, SES_FEEDBACK_NONE},
        {BOUNCE("\"bounceType\":\"TRANSIENT\",\"bounceSubType\":\"mailboxfull\","),
         SES_TYPE_TRANSIENT, SES_SUBTYPE_MAILBOX_FULL, SES_FEEDBACK_NONE},
        {BOUNCE("\"bounceType\":\"Odd\",\"bounceSubType\":\"Odder\","), SES_TYPE_UNKNOWN,
         SES_SUBTYPE_UNKNOWN, SES_FEEDBACK_NONE},
        {COMPLAINT(""), SES_TYPE_NONE, SES_SUBTYPE_NONE, SES_FEEDBACK_NONE},
        {COMPLAINT("\"complaintSubType\":null,\"complaintFeedbackType\":null,"), SES_TYPE_NONE,
         SES_SUBTYPE_NONE, SES_FEEDBACK_NONE},
        {COMPLAINT("\"complaintSubType\":\"OnAccountSuppressionList\","), SES_TYPE_NONE,
         SES_SUBTYPE_ON_ACCOUNT_LIST, SES_FEEDBACK_NONE},
        {COMPLAINT("\"complaintSubType\":\" OnAccountSuppressionList\","), SES_TYPE_NONE,
         SES_SUBTYPE_ON_ACCOUNT_LIST, SES_FEEDBACK_NONE},
        {COMPLAINT("\"complaintFeedbackType\":\"abuse\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_ABUSE},
        {COMPLAINT("\"complaintFeedbackType\":\"Not-Spam\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_NOT_SPAM},
        {COMPLAINT("\"complaintFeedbackType\":\"auth-failure\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_AUTH_FAILURE},
        {COMPLAINT("\"complaintFeedbackType\":\"fraud\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_FRAUD},
        {COMPLAINT("\"complaintFeedbackType\":\"virus\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_VIRUS},
        {COMPLAINT("\"complaintFeedbackType\":\"other\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_OTHER},
        {COMPLAINT("\"complaintFeedbackType\":\"annoyed\","), SES_TYPE_NONE, SES_SUBTYPE_NONE,
         SES_FEEDBACK_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ses_event event = parsed(cases[i].json);
        assert_int_equal(event.type, cases[i].type);
        assert_int_equal(event.subtype, cases[i].subtype);
        assert_int_equal(event.feedback, cases[i].feedback);
        assert_int_equal(event.at, 0);
    }
    expect(parsed(cases[3].json).type_text, "Odd");
    expect(parsed(cases[3].json).subtype_text, "Odder");
    expect(parsed(cases[14].json).feedback_text, "annoyed");
}

#define ONE "\"bouncedRecipients\":[{\"emailAddress\":\"a@x.example\"}]"

static void test_refused(void **state)
{
    static const struct {
        const char *json;
        int outcome;
    } cases[] = {
        {"", SES_EVENT_NOT_JSON},
        {"[]", SES_EVENT_NOT_JSON},
        {"null", SES_EVENT_NOT_JSON},
        {"{} {}", SES_EVENT_NOT_JSON},
        {"{'bounce':{}}", SES_EVENT_NOT_JSON},
        {"{\"bounce\":{" ONE "},\"bounce\":{" ONE "}}", SES_EVENT_NOT_JSON},
        {"{\"bounce\":{" ONE "," ONE "}}", SES_EVENT_NOT_JSON},
        {"{\"bounce\":{" ONE ",\"x\":\"\\ud83\"}}", SES_EVENT_NOT_JSON},
        {"{\"bounce\":{" ONE ",\"x\":\"\xFF\"}}", SES_EVENT_NOT_JSON},
        {"{\"bounce\":{" ONE ",\"x\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}}", SES_EVENT_NOT_JSON},
        {"{}", SES_EVENT_NO_KIND},
        {"{\"mail\":{}}", SES_EVENT_NO_KIND},
        {"{\"bounce\":[]}", SES_EVENT_NO_KIND},
        {"{\"bounce\":{" ONE "},\"complaint\":{}}", SES_EVENT_NO_KIND},
        {"{\"eventType\":\"\"}", SES_EVENT_NO_KIND},
        {"{\"eventType\":\"Bounce\",\"notificationType\":\"Complaint\",\"bounce\":{" ONE "}}",
         SES_EVENT_NO_KIND},
        {"{\"eventType\":3,\"bounce\":{" ONE "}}", SES_EVENT_BAD_MEMBER},
        {"{\"eventType\":\"Bounce\"," MAIL "}", SES_EVENT_NO_OBJECT},
        {"{\"eventType\":\"Bounce\",\"complaint\":{}}", SES_EVENT_NO_OBJECT},
        {"{\"eventType\":\"Delivery\",\"delivery\":\"yes\"}", SES_EVENT_NO_OBJECT},
        {"{\"bounce\":{" ONE "},\"mail\":\"m\"}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE "},\"mail\":{\"messageId\":7}}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE "},\"mail\":{\"messageId\":\"a b\"}}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"feedbackId\":\"\xC3\xA9\"}}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"bounceType\":[]}}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"timestamp\":12}}", SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"timestamp\":\"yesterday\"}}", SES_EVENT_BAD_TIME},
        {"{\"bounce\":{" ONE ",\"timestamp\":\"2026-02-30T00:00:00Z\"}}", SES_EVENT_BAD_TIME},
        {"{\"bounce\":{" ONE ",\"timestamp\":\"1969-12-31T23:59:59Z\"}}", SES_EVENT_BAD_TIME},
        {"{\"bounce\":{}}", SES_EVENT_NO_RECIPIENTS},
        {"{\"bounce\":{\"bouncedRecipients\":[]}}", SES_EVENT_NO_RECIPIENTS},
        {"{\"bounce\":{\"bouncedRecipients\":{}}}", SES_EVENT_NO_RECIPIENTS},
        {"{\"bounce\":{\"bouncedRecipients\":\"a@x.example\"}}", SES_EVENT_NO_RECIPIENTS},
        /* Not those to whom it was sent, in place of those whom it bounced from. */
        {"{\"bounce\":{\"bouncedRecipients\":[]}," MAIL "}", SES_EVENT_NO_RECIPIENTS},
        {"{\"eventType\":\"Send\",\"send\":{}}", SES_EVENT_NO_RECIPIENTS},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(outcome(cases[i].json), cases[i].outcome);
    for (int i = 1; i < SES_EVENT_OUTCOMES; i++)
        assert_true(strlen(ses_event_outcome_text(i)) > 0);
    assert_string_equal(ses_event_outcome_text(0), "");
}

/* A body whose member of the given form holds n times 'x'. */
static struct str with_long(struct buf *b, const char *before, size_t n, const char *after)
{
    buf_reset(b);
    buf_add_str(b, str_of(before));
    for (size_t i = 0; i < n; i++)
        buf_add_char(b, 'x');
    buf_add_str(b, str_of(after));
    assert_int_equal(buf_fault(b), 0);
    return buf_str(b);
}

static void test_lengths(void **state)
{
    static const struct {
        const char *before, *after;
        size_t max;
        int outcome;
    } cases[] = {
        {"{\"bounce\":{" ONE "},\"mail\":{\"messageId\":\"", "\"}}", SES_ID_MAX,
         SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"feedbackId\":\"", "\"}}", SES_ID_MAX, SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE ",\"bounceType\":\"", "\"}}", SES_WORD_MAX, SES_EVENT_BAD_MEMBER},
        {"{\"eventType\":\"", "\"}", SES_WORD_MAX, SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE "},\"mail\":{\"tags\":{\"tenant\":[\"", "\"]}}}", SES_TAG_MAX,
         SES_EVENT_BAD_MEMBER},
        {"{\"bounce\":{" ONE "},\"more\":\"", "\"}",
         SES_BODY_MAX - sizeof "{\"bounce\":{" ONE "},\"more\":\"" - sizeof "\"}" + 2,
         SES_EVENT_TOO_LARGE},
    };
    _cleanup_buf_ struct buf b = buf_init(SES_BODY_MAX + 1);
    struct ses_event event;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str body = with_long(&b, cases[i].before, cases[i].max, cases[i].after);
        assert_int_equal(ses_event_parse(body, &arena, &event), 0);
        body = with_long(&b, cases[i].before, cases[i].max + 1, cases[i].after);
        assert_int_equal(ses_event_parse(body, &arena, &event), cases[i].outcome);
    }
}

/* What the other server said is cut between characters, and never costs the event. */
static void test_diagnostics(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(64 * 1024);
    const char *before = "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@x.example\","
                         "\"status\":\"5.7.12345\",\"action\":7,\"diagnosticCode\":\"";
    struct ses_event event;

    assert_int_equal(ses_event_parse(with_long(&b, before, SES_DETAIL_MAX - 1, "\xC3\xA9!\"}]}}"),
                                     &arena, &event),
                     0);
    assert_int_equal(event.recipients[0].diagnostic.n, SES_DETAIL_MAX - 1);
    expect(event.recipients[0].status, "");
    expect(event.recipients[0].action, "");
    assert_int_equal(
        ses_event_parse(with_long(&b, before, SES_DETAIL_MAX, "\"}]}}"), &arena, &event), 0);
    assert_int_equal(event.recipients[0].diagnostic.n, SES_DETAIL_MAX);
}

/*
 * A server that refuses mail, and a provider whose user complains, write what they like: whether it
 * is known that mail does not reach an address, or was not wanted, does not depend on that.
 */
static void test_hostile_texts(void **state)
{
    static const struct {
        const char *written, *kept;
    } cases[] = {
        {"550 \\u0000no", "550 \xEF\xBF\xBDno"},
        {"550 \\ud83d no", "550 \xEF\xBF\xBD no"},
        {"550 \\uDC00\\ud83d", "550 \xEF\xBF\xBD\xEF\xBF\xBD"},
        {"550 \\ud83d\\ude00", "550 \xF0\x9F\x98\x80"},
        {"550 \\ud83d\\ud83d\\ude00", "550 \xEF\xBF\xBD\xF0\x9F\x98\x80"},
        {"550 \\\\u0000 \\\\\\u0000", "550 \\u0000 \\\xEF\xBF\xBD"},
        {"550 \\u001b]0;x\\u0007\\r\\ny\\u007f", "550  ]0;x   y"},
        {"550 \\u009b2J \xC2\x9B!", "550   2J   !"},
    };
    char json[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(json, sizeof json,
                 "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@x.example\","
                 "\"diagnosticCode\":\"%s\"}]}}",
                 cases[i].written);
        expect(parsed(json).recipients[0].diagnostic, cases[i].kept);
    }
    snprintf(json, sizeof json,
             "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@x.example\"}],"
             "\"complaintFeedbackType\":\"%*s\"}}",
             SES_WORD_MAX + 1, "x");
    assert_int_equal(parsed(json).feedback, SES_FEEDBACK_NONE);
    expect(parsed(json).feedback_text, "");
    snprintf(json, sizeof json,
             "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@x.example\"}],"
             "\"complaintFeedbackType\":\"x\\u001b%0*d\"}}",
             SES_WORD_MAX, 7);
    assert_int_equal(parsed(json).feedback, SES_FEEDBACK_UNKNOWN);
    assert_int_equal(parsed(json).feedback_text.n, SES_WORD_MAX);
    expect((struct str){parsed(json).feedback_text.p, 3}, "x 0");
    assert_int_equal(parsed("{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":"
                            "\"a@x.example\"}],\"complaintFeedbackType\":{}}}")
                         .feedback,
                     SES_FEEDBACK_NONE);
    /* What is an id or an address is refused as before, whatever stands in for the NUL. */
    assert_int_equal(outcome("{\"bounce\":{" ONE ",\"feedbackId\":\"f\\u0000\"}}"),
                     SES_EVENT_BAD_MEMBER);
    assert_int_equal(parsed("{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":"
                            "\"a\\u0000@x.example\"}]}}")
                         .bad_count,
                     1);
}

#define SENT_TO(list) "},\"mail\":{\"destination\":[" list "]}}"

/* Whom a bounce names is the receiving server's word; whom the message went to is the provider's.
 */
static void test_whom(void **state)
{
    static const struct {
        const char *names, *sent_to, *address;
        bool foreign;
    } cases[] = {
        {"a@x.example", SENT_TO("\"a@x.example\""), "a@x.example", false},
        {"A <A@X.example>", SENT_TO("\"a@x.example\",\"b@x.example\""), "a@x.example", false},
        {"victim@y.example", SENT_TO("\"A <A@x.example>\""), "a@x.example", false},
        {"no address", SENT_TO("\"a@x.example\""), "a@x.example", false},
        {"a+tag@x.example", SENT_TO("\"b@x.example\",\"a@x.example\""), "a+tag@x.example", true},
        {"victim@y.example", SENT_TO("\"a@x.example\",\"no address\""), "victim@y.example", true},
        {"victim@y.example", SENT_TO("\"no address\""), "victim@y.example", false},
        {"victim@y.example", SENT_TO(""), "victim@y.example", false},
        {"victim@y.example", SENT_TO("7"), "victim@y.example", false},
        {"victim@y.example", "}}", "victim@y.example", false},
    };
    char json[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(json, sizeof json,
                 "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"%s\"}]%s", cases[i].names,
                 cases[i].sent_to);
        struct ses_event event = parsed(json);
        assert_int_equal(event.recipient_count, 1);
        expect(event.recipients[0].address, cases[i].address);
        assert_int_equal(event.recipients[0].foreign, cases[i].foreign);
        assert_int_equal(event.foreign_count, cases[i].foreign);
        assert_int_equal(event.bad_count, 0);
    }
}

static void test_statuses(void **state)
{
    static const struct {
        const char *status, *kept;
    } cases[] = {
        {"5.1.1", "5.1.1"},   {"4.4.7", "4.4.7"}, {"2.0.0", "2.0.0"},  {"5.999.999", "5.999.999"},
        {" 5.1.1 ", "5.1.1"}, {"5.1", ""},        {"5.1.", ""},        {"5..1", ""},
        {"3.1.1", ""},        {"5.1.1.1", ""},    {"5.1.1 (bad)", ""}, {"5.1000.1", ""},
        {"x.1.1", ""},        {"", ""},
    };
    char json[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(json, sizeof json,
                 "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@x.example\","
                 "\"status\":\"%s\"}]}}",
                 cases[i].status);
        expect(parsed(json).recipients[0].status, cases[i].kept);
    }
}

/* n recipients, of which the one at `bad` is given by its text. */
static struct str many(struct buf *b, int n, int bad, const char *text)
{
    buf_reset(b);
    buf_add_str(b, STR("{\"bounce\":{\"bouncedRecipients\":["));
    for (int i = 0; i < n; i++) {
        buf_add_str(b, i ? STR(",") : STR(""));
        if (i == bad)
            buf_add_str(b, str_of(text));
        else
            buf_printf(b, "{\"emailAddress\":\"a%d@x.example\"}", i);
    }
    buf_add_str(b, STR("]}}"));
    assert_int_equal(buf_fault(b), 0);
    return buf_str(b);
}

static void test_one_bad_of_5000(void **state)
{
    static const char *const bad[] = {
        "{\"emailAddress\":\"not an address\"}",
        "{\"emailAddress\":7}",
        "{}",
        "null",
        "[]",
        "3",
        "{\"emailAddress\":\"a@x.example,b@x.example\"}",
        "\"no address\"",
    };
    _cleanup_buf_ struct buf b = buf_init(SES_BODY_MAX);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_arena_ struct arena own = arena_init(SES_ARENA_MAX);
        struct ses_event event;
        assert_int_equal(ses_event_parse(many(&b, SES_RECIPIENTS_MAX, 1234, bad[i]), &own, &event),
                         0);
        assert_int_equal(event.recipient_count, SES_RECIPIENTS_MAX - 1);
        assert_int_equal(event.bad_count, 1);
        expect(event.recipients[1233].address, "a1233@x.example");
        expect(event.recipients[1234].address, "a1235@x.example");
        expect(event.recipients[4998].address, "a4999@x.example");
    }
}

static void test_too_many_recipients(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(SES_BODY_MAX);
    struct ses_event event;

    assert_int_equal(ses_event_parse(many(&b, SES_RECIPIENTS_MAX + 1, -1, ""), &arena, &event),
                     SES_EVENT_TOO_LARGE);
}

static void test_all_bad(void **state)
{
    struct ses_event event = parsed("{\"bounce\":{\"bouncedRecipients\":[{},{}]}}");

    assert_int_equal(event.recipient_count, 0);
    assert_int_equal(event.bad_count, 2);
}

static void test_arena_too_small(void **state)
{
    _cleanup_arena_ struct arena small = arena_init(64);
    struct ses_event event;

    assert_true(ses_event_parse(str_of(bounce_json), &small, &event) < 0);
}

static void test_names(void **state)
{
    assert_string_equal(ses_kind_name(SES_DELIVERY_DELAY), "delivery_delay");
    assert_string_equal(ses_kind_name(SES_RENDERING_FAILURE), "rendering_failure");
    assert_string_equal(ses_kind_name(SES_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_bounce, tear_down),
        cmocka_unit_test_teardown(test_plain_bounce, tear_down),
        cmocka_unit_test_teardown(test_plain_complaint, tear_down),
        cmocka_unit_test_teardown(test_other_kinds, tear_down),
        cmocka_unit_test_teardown(test_words, tear_down),
        cmocka_unit_test_teardown(test_refused, tear_down),
        cmocka_unit_test_teardown(test_lengths, tear_down),
        cmocka_unit_test_teardown(test_diagnostics, tear_down),
        cmocka_unit_test_teardown(test_hostile_texts, tear_down),
        cmocka_unit_test_teardown(test_whom, tear_down),
        cmocka_unit_test_teardown(test_statuses, tear_down),
        cmocka_unit_test(test_one_bad_of_5000),
        cmocka_unit_test_teardown(test_too_many_recipients, tear_down),
        cmocka_unit_test_teardown(test_all_bad, tear_down),
        cmocka_unit_test(test_arena_too_small),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
