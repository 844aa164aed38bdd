#include "mail/sns.h"

#include "base/fault.h"
#include "mail/sns_scene.h"
#include "mail/sns_trust.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static void expect(struct str s, const char *text)
{
    assert_true(str_eq(s, str_of(text)));
}

static void test_valid(void **state)
{
    static const char *const versions[] = {"1", "2"};
    static const char *const subjects[] = {NULL, "Amazon SES", ""};
    static const char *const messages[] = {"{}", "", "a \"quote\"\nand\ta line \xE2\x82\xAC \\ /"};

    for (size_t i = 0; i < 18; i++) {
        struct sns_fixture_envelope e = sns_scene_notification();
        struct sns_message m;
        e.version = versions[i % 2];
        e.subject = subjects[i / 2 % 3];
        e.message = messages[i / 6];
        assert_int_equal(sns_scene_verify_with(&e, &e, sns_scene.key, 0, &m), 0);
        assert_int_equal(m.type, SNS_NOTIFICATION);
        expect(m.message, e.message);
        expect(m.message_id, e.message_id);
        expect(m.topic_arn, SNS_FIXTURE_TOPIC);
        assert_int_equal(m.signature_version, i % 2 + 1);
        assert_int_equal(m.at, INT64_C(1790000000000));
    }
    assert_int_equal(sns_scene.fetches, 1);
    assert_string_equal(sns_scene.url, SNS_FIXTURE_URL);
}

static void test_confirmations(void **state)
{
    struct sns_fixture_envelope e = sns_scene_confirmation("SubscriptionConfirmation");
    _cleanup_buf_ struct buf url = buf_init(SNS_URL_MAX);
    struct sns_message m;

    assert_int_equal(sns_scene_verify_with(&e, &e, sns_scene.key, 0, &m), 0);
    assert_int_equal(m.type, SNS_SUBSCRIPTION_CONFIRMATION);
    /* Ours, though the signed SubscribeURL points inside. */
    assert_int_equal(sns_confirm_url(&m, &url), 0);
    expect(buf_str(&url), "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"
                          "&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Ases-events"
                          "&Token=2336412f37fb687f5d51e6e2425c464de257ebd8%26x%3Dy");

    e = sns_scene_confirmation("UnsubscribeConfirmation");
    buf_reset(&url);
    assert_int_equal(sns_scene_verify_with(&e, &e, sns_scene.key, 0, &m), 0);
    assert_int_equal(m.type, SNS_UNSUBSCRIBE_CONFIRMATION);
    assert_int_equal(sns_confirm_url(&m, &url), SNS_MALFORMED);
    assert_int_equal(url.n, 0);
    assert_int_equal(sns_scene.fetches, 1);
}

static void test_confirm_url_in_china(void **state)
{
    const struct sns_message m = {.type = SNS_SUBSCRIPTION_CONFIRMATION,
                                  .topic_arn = STR_INIT("arn:aws-cn:sns:cn-north-1:123456789012:o"),
                                  .token = STR_INIT("t")};
    _cleanup_buf_ struct buf url = buf_init(SNS_URL_MAX), small = buf_init(80);

    assert_int_equal(sns_confirm_url(&m, &url), 0);
    assert_true(str_has_prefix(buf_str(&url), STR("https://sns.cn-north-1.amazonaws.com.cn/?")));
    assert_int_equal(sns_confirm_url(&m, &small), FAULT_LIMIT);
}

/* Each member that is signed, changed after. */
static void test_tampered(void **state)
{
    const struct sns_fixture_envelope e = sns_scene_notification(),
                                      c = sns_scene_confirmation("SubscriptionConfirmation");
    struct sns_fixture_envelope t[10];
    struct sns_message m;

    for (size_t i = 0; i < 10; i++)
        t[i] = i < 5 ? e : c;
    t[0].message = "{\"eventType\":\"Complaint\"}";
    t[1].message_id = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325";
    t[2].timestamp = "2026-09-21T14:13:20.001Z";
    t[3].subject = "added";
    t[4].version = "2";
    t[5].token = "another";
    t[6].subscribe_url = "https://sns.us-east-1.amazonaws.com/";
    t[7].type = "UnsubscribeConfirmation";
    t[8].message = "You have chosen to subscribe ";
    t[9].timestamp = "2026-09-21T14:13:20Z"; /* the same time, in other words */
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(sns_scene_verify_with(&t[i], i < 5 ? &e : &c, sns_scene.key, 0, &m),
                         SNS_BAD_SIGNATURE);
    assert_int_equal(sns_scene_verify_with(&e, &e, sns_scene.other_key, 0, &m), SNS_BAD_SIGNATURE);
    assert_int_equal(sns_scene_verify(&e, 0), 0);
}

static void test_dropped_newline(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    _cleanup_buf_ struct buf signature = buf_init(4096), json = buf_init(4096);
    struct sns_message m;

    sns_fixture_sign(&e, sns_scene.key, 1, &signature);
    sns_fixture_json(&e, buf_str(&signature), &json);
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&json), SNS_SCENE_NOW, &sns_scene.arena, &m),
        SNS_BAD_SIGNATURE);
}

static int verify_signature_text(struct str text)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    _cleanup_buf_ struct buf json = buf_init(8192);
    struct sns_message m;

    sns_fixture_json(&e, text, &json);
    return sns_verify(sns_scene.verifier, buf_str(&json), SNS_SCENE_NOW, &sns_scene.arena, &m);
}

static void test_signature_texts(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    _cleanup_buf_ struct buf good = buf_init(4096), bad = buf_init(4096);

    sns_fixture_sign(&e, sns_scene.key, 0, &good);
    assert_int_equal(verify_signature_text(buf_str(&good)), 0);
    assert_true(good.p[good.n - 1] == '=' && good.p[good.n - 2] == '=');
    /* Unpadded, cut, with a space, with bits set behind the end, in the other alphabet. */
    assert_int_equal(verify_signature_text((struct str){good.p, good.n - 2}), SNS_BAD_SIGNATURE);
    assert_int_equal(verify_signature_text((struct str){good.p, good.n - 4}), SNS_BAD_SIGNATURE);
    buf_printf(&bad, "%.*s====", STR_ARG(buf_str(&good)));
    assert_int_equal(verify_signature_text(buf_str(&bad)), SNS_BAD_SIGNATURE);
    buf_reset(&bad);
    buf_printf(&bad, "    %.*s", STR_ARG(buf_str(&good)));
    assert_int_equal(verify_signature_text(buf_str(&bad)), SNS_BAD_SIGNATURE);
    buf_reset(&bad);
    buf_add_str(&bad, buf_str(&good));
    bad.p[bad.n - 3]++;
    assert_int_equal(verify_signature_text(buf_str(&bad)), SNS_BAD_SIGNATURE);
    assert_int_equal(verify_signature_text(STR("AAAA")), SNS_BAD_SIGNATURE);
    assert_int_equal(verify_signature_text(STR("-_-_")), SNS_BAD_SIGNATURE);
    assert_int_equal(verify_signature_text(STR("====")), SNS_BAD_SIGNATURE);
    assert_int_equal(verify_signature_text(STR("")), SNS_MALFORMED);
}

/* A signature as good as can be, but of somebody else's topic. */
static void test_foreign_topics(void **state)
{
    static const char *const topics[] = {
        "arn:aws:sns:us-east-1:999999999999:ses-events",
        "arn:aws:sns:us-east-1:123456789012:ses-event",
        "arn:aws:sns:us-east-1:123456789012:ses-events2",
        "arn:aws:sns:us-east-1:123456789012:SES-events",
        "arn:aws:sns:us-east-2:123456789012:ses-events",
        "arn:aws-cn:sns:us-east-1:123456789012:ses-events",
    };

    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        struct sns_fixture_envelope e = sns_scene_notification();
        e.topic_arn = topics[i];
        assert_int_equal(sns_scene_verify(&e, 0), SNS_FOREIGN_TOPIC);
    }
    assert_int_equal(sns_scene.fetches, 0);
}

static void test_no_topics(void **state)
{
    const struct sns_settings settings = {NULL, 0, sns_scene.trust, sns_scene_fetch, &sns_scene};
    struct sns_fixture_envelope e = sns_scene_notification();

    sns_verifier_free(sns_scene.verifier);
    assert_int_equal(sns_verifier_new(&settings, &sns_scene.verifier), 0);
    assert_int_equal(sns_scene_verify(&e, 0), SNS_FOREIGN_TOPIC);
    assert_int_equal(sns_scene.fetches, 0);
}

static void test_window(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    const int64_t past = SNS_WINDOW_MS + SNS_SKEW_MS;

    assert_int_equal(sns_scene_verify(&e, past + 1), SNS_STALE);
    assert_int_equal(sns_scene_verify(&e, -SNS_SKEW_MS - 1), SNS_STALE);
    assert_int_equal(sns_scene.fetches, 0);
    assert_int_equal(sns_scene_verify(&e, past), 0);
    assert_int_equal(sns_scene_verify(&e, -SNS_SKEW_MS), 0);
}

#define HEX "0123456789abcdef0123456789abcdef"
#define FILE_PATH "/SimpleNotificationService-" HEX ".pem"

/* None of them may ever be asked for. */
static const char *const refused_urls[] = {
    "http://sns.us-east-1.amazonaws.com" FILE_PATH,
    "HTTPS://sns.us-east-1.amazonaws.com" FILE_PATH,
    "https:/sns.us-east-1.amazonaws.com" FILE_PATH,
    "https:\\\\sns.us-east-1.amazonaws.com" FILE_PATH,
    " https://sns.us-east-1.amazonaws.com" FILE_PATH,
    "//sns.us-east-1.amazonaws.com" FILE_PATH,
    "file:///etc/ssl/sns.us-east-1.amazonaws.com" FILE_PATH,
    /* Hosts: a bucket's, another region's, one that begins or ends alike, an inner address. */
    "https://sns.s3-us-west-2.amazonaws.com" FILE_PATH,
    "https://s3.amazonaws.com/sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.s3.amazonaws.com" FILE_PATH,
    "https://sns.us-east-2.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com.cn" FILE_PATH,
    "https://sns.amazonaws.com" FILE_PATH,
    "https://amazonaws.com" FILE_PATH,
    "https://xsns.us-east-1.amazonaws.com" FILE_PATH,
    "https://x.sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com.evil.example" FILE_PATH,
    "https://sns.us-east-1.amazonaws.comevil.example" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com." FILE_PATH,
    "https://sns-us-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1xamazonaws.com" FILE_PATH,
    "https://evil.example" FILE_PATH,
    "https://evil.example/sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://127.0.0.1" FILE_PATH,
    "https://169.254.169.254" FILE_PATH,
    "https://[::1]" FILE_PATH,
    "https://" FILE_PATH,
    /* Upper case, other alphabets, percent. */
    "https://SNS.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.AMAZONAWS.com" FILE_PATH,
    "https://sns.us-east-1.amazonaws.c\xD0\xBEm" FILE_PATH,
    "https://\xEF\xBD\x93ns.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns\xE3\x80\x82us-east-1.amazonaws.com" FILE_PATH,
    "https://xn--sns-abc.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns%2Eus-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com%2F" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com%00" FILE_PATH,
    /* User information and ports. */
    "https://sns.us-east-1.amazonaws.com@evil.example" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com:443@evil.example" FILE_PATH,
    "https://evil.example@sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://a:b@sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://@sns.us-east-1.amazonaws.com" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com:443" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com:8443" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com:" FILE_PATH,
    /* Paths, and what may follow them. */
    "https://sns.us-east-1.amazonaws.com",
    "https://sns.us-east-1.amazonaws.com/",
    "https://sns.us-east-1.amazonaws.com//SimpleNotificationService-" HEX ".pem",
    "https://sns.us-east-1.amazonaws.com/x/../SimpleNotificationService-" HEX ".pem",
    "https://sns.us-east-1.amazonaws.com/./SimpleNotificationService-" HEX ".pem",
    "https://sns.us-east-1.amazonaws.com\\SimpleNotificationService-" HEX ".pem",
    "https://sns.us-east-1.amazonaws.com/simplenotificationservice-" HEX ".pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" HEX "0.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789ABCDEF0123456789ABCDEF"
    ".pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdeg"
    ".pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-../../../x?0123456789abcdef0000"
    ".pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" HEX ".crt",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" HEX ".PEM",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH "?",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH "?x=.pem",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH "#",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH "#x.pem",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH "/",
    "https://sns.us-east-1.amazonaws.com" FILE_PATH " ",
    "https://sns.us-east-1.amazonaws.com/redirect?to=https://evil.example" FILE_PATH,
    "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&x=" FILE_PATH,
};

static void test_refused_urls(void **state)
{
    for (size_t i = 0; i < sizeof refused_urls / sizeof *refused_urls; i++) {
        struct sns_fixture_envelope e = sns_scene_notification();
        e.url = refused_urls[i];
        assert_false(sns_cert_url_valid(str_of(e.url), STR(SNS_FIXTURE_TOPIC)));
        assert_int_equal(sns_scene_verify(&e, 0), SNS_CERTIFICATE_REFUSED);
    }
    assert_int_equal(sns_scene.fetches, 0);
}

static void test_url_of_the_region(void **state)
{
    assert_true(sns_cert_url_valid(STR("https://sns.cn-north-1.amazonaws.com.cn" FILE_PATH),
                                   STR("arn:aws-cn:sns:cn-north-1:123456789012:other")));
    assert_false(sns_cert_url_valid(STR("https://sns.cn-north-1.amazonaws.com" FILE_PATH),
                                    STR("arn:aws-cn:sns:cn-north-1:123456789012:other")));
    assert_true(sns_cert_url_valid(STR("https://sns.us-gov-west-1.amazonaws.com" FILE_PATH),
                                   STR("arn:aws-us-gov:sns:us-gov-west-1:123456789012:t")));
    assert_false(sns_cert_url_valid(STR(SNS_FIXTURE_URL), STR("not an ARN")));
}

static void test_topics(void **state)
{
    static const char *const good[] = {
        SNS_FIXTURE_TOPIC,
        "arn:aws:sns:eu-central-1:000000000000:A_b-9",
        "arn:aws:sns:eu-central-1:000000000000:x.fifo",
        "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t",
    };
    static const char *const bad[] = {
        "",
        "arn",
        "arn:aws:sns:us-east-1:123456789012:",
        "arn:aws:sns:us-east-1:123456789012",
        "arn:aws:sns:us-east-1::t",
        "arn:aws:sns:us-east-1:12345678901:t",
        "arn:aws:sns:us-east-1:1234567890123:t",
        "arn:aws:sns:us-east-1:12345678901x:t",
        "arn:aws:sqs:us-east-1:123456789012:t",
        "arn:other:sns:us-east-1:123456789012:t",
        "ARN:aws:sns:us-east-1:123456789012:t",
        "arn:aws:sns::123456789012:t",
        "arn:aws:sns:evil.example/:123456789012:t",
        "arn:aws:sns:US-EAST-1:123456789012:t",
        "arn:aws:sns:-us-east-1:123456789012:t",
        "arn:aws:sns:us-east-1-:123456789012:t",
        "arn:aws:sns:us-east-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa:123456789012:t",
        "arn:aws:sns:us-east-1:123456789012:t t",
        "arn:aws:sns:us-east-1:123456789012:t:sub",
        "arn:aws:sns:us-east-1:123456789012:.fifo",
        "arn:aws:sns:us-east-1:123456789012:*",
    };
    struct sns_verifier *made = NULL;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sns_topic_valid(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct str topic = str_of(bad[i]);
        const struct sns_settings settings = {&topic, 1, sns_scene.trust, sns_scene_fetch,
                                              &sns_scene};
        assert_false(sns_topic_valid(topic));
        assert_int_equal(sns_verifier_new(&settings, &made), FAULT_LIMIT);
    }
    assert_null(made);
}

static void test_too_many_topics(void **state)
{
    struct str topics[SNS_TOPICS_MAX + 1];
    struct sns_settings settings = {topics, SNS_TOPICS_MAX + 1, sns_scene.trust, sns_scene_fetch,
                                    &sns_scene};
    struct sns_verifier *made = NULL;

    for (size_t i = 0; i < SNS_TOPICS_MAX + 1; i++)
        topics[i] = STR(SNS_FIXTURE_TOPIC);
    assert_int_equal(sns_verifier_new(&settings, &made), FAULT_LIMIT);
    settings.topic_count--;
    assert_int_equal(sns_verifier_new(&settings, &made), 0);
    sns_verifier_free(made);
}

/* What is no envelope: text to be put before and behind, or in place of, what a good one has. */
static void test_malformed(void **state)
{
    static const char *const bodies[] = {
        "", "{}", "[]", "null", "\"x\"", "{\"Type\":\"Notification\"}", "Type=Notification",
    };
    struct sns_message m;

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(
            sns_verify(sns_scene.verifier, str_of(bodies[i]), SNS_SCENE_NOW, &sns_scene.arena, &m),
            SNS_MALFORMED);
}

static void test_malformed_members(void **state)
{
    struct sns_fixture_envelope e[24];
    size_t n = 0;

    for (size_t i = 0; i < 24; i++)
        e[i] =
            i < 19 ? sns_scene_notification() : sns_scene_confirmation("SubscriptionConfirmation");
    e[n++].type = NULL;
    e[n++].type = "notification";
    e[n++].type = "Other";
    e[n++].message = NULL;
    e[n++].message_id = NULL;
    e[n++].message_id = "";
    e[n++].message_id = "22b80b92\nSubject\nx";
    e[n++].message_id = "22b80b92 fdea";
    e[n++].subject = "one\nTimestamp";
    e[n++].timestamp = NULL;
    e[n++].timestamp = "2026-09-21";
    e[n++].timestamp = "2026-09-21T14:13:20.000Z\n";
    e[n++].topic_arn = NULL;
    e[n++].topic_arn = SNS_FIXTURE_TOPIC "\n";
    e[n++].version = "3";
    e[n++].version = "01";
    e[n++].version = "0";
    e[n++].version = NULL;
    e[n++].url = NULL;
    e[n++].token = NULL;
    e[n++].token = "";
    e[n++].token = "a\nb";
    e[n++].subscribe_url = NULL;
    e[n++].subscribe_url = "a\nb";
    assert_int_equal(n, 24);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(sns_scene_verify(&e[i], 0), SNS_MALFORMED);
    assert_int_equal(sns_scene.fetches, 0);
}

/* A body of two meanings, and one with an extra member, from a good one. */
static void test_json_is_strict(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    _cleanup_buf_ struct buf signature = buf_init(4096), json = buf_init(8192),
                             body = buf_init(8192);
    struct str inner;
    struct sns_message m;

    sns_fixture_sign(&e, sns_scene.key, 0, &signature);
    sns_fixture_json(&e, buf_str(&signature), &json);
    inner = (struct str){json.p + 1, json.n - 1};
    buf_printf(&body, "{\"New\":[1,{}],%.*s", STR_ARG(inner));
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&body), SNS_SCENE_NOW, &sns_scene.arena, &m), 0);
    buf_reset(&body);
    buf_printf(&body, "{\"TopicArn\":\"" SNS_FIXTURE_TOPIC "\",%.*s", STR_ARG(inner));
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&body), SNS_SCENE_NOW, &sns_scene.arena, &m),
        SNS_MALFORMED);
    buf_reset(&body);
    buf_printf(&body, "%.*s{}", STR_ARG(buf_str(&json)));
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&body), SNS_SCENE_NOW, &sns_scene.arena, &m),
        SNS_MALFORMED);
    buf_reset(&body);
    buf_printf(&body, "{\"Subject\":\"a\\u0000b\",%.*s", STR_ARG(inner));
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&body), SNS_SCENE_NOW, &sns_scene.arena, &m),
        SNS_MALFORMED);
    buf_reset(&body);
    buf_printf(&body, "{\"Subject\":7,%.*s", STR_ARG(inner));
    assert_int_equal(
        sns_verify(sns_scene.verifier, buf_str(&body), SNS_SCENE_NOW, &sns_scene.arena, &m),
        SNS_MALFORMED);
}

static void test_sizes(void **state)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    char *message = malloc(SNS_BODY_MAX + 1);

    assert_non_null(message);
    memset(message, 'x', SNS_BODY_MAX);
    message[SNS_MESSAGE_MAX] = 0;
    e.message = message;
    assert_int_equal(sns_scene_verify(&e, 0), 0);
    message[SNS_MESSAGE_MAX] = 'x';
    message[SNS_MESSAGE_MAX + 1] = 0;
    assert_int_equal(sns_scene_verify(&e, 0), SNS_MALFORMED);
    message[SNS_MESSAGE_MAX + 1] = 'x';
    message[SNS_BODY_MAX] = 0;
    assert_int_equal(sns_scene_verify(&e, 0), SNS_MALFORMED);
    free(message);
}

/* The built-in intermediates are whole; with them the trust can be made. */
static void test_trust(void **state)
{
    struct certificate_trust *made = NULL;
    struct str rest = sns_trust_intermediates();
    int begun = 0;
    struct str line;

    while (str_next(&rest, '\n', &line))
        begun += str_eq(line, STR("-----BEGIN CERTIFICATE-----"));
    assert_int_equal(begun, 4);
    assert_int_equal(sns_trust_new(&made), 0);
    certificate_trust_free(made);
    assert_int_equal(certificate_trust_new(&made), 0);
    assert_int_equal(certificate_trust_add_roots(made, STR("no PEM")), CERTIFICATE_MALFORMED);
    assert_int_equal(certificate_trust_add_intermediates(made, STR("")), CERTIFICATE_MALFORMED);
    certificate_trust_free(made);
}

static void test_texts(void **state)
{
    for (int i = 1; i < SNS_OUTCOMES; i++)
        assert_true(strlen(sns_outcome_text(i)) > 0);
    assert_string_equal(sns_outcome_text(0), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sns_scene_set_up, sns_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_valid),
        TEST(test_confirmations),
        TEST(test_confirm_url_in_china),
        TEST(test_tampered),
        TEST(test_dropped_newline),
        TEST(test_signature_texts),
        TEST(test_foreign_topics),
        TEST(test_no_topics),
        TEST(test_window),
        TEST(test_refused_urls),
        TEST(test_url_of_the_region),
        TEST(test_topics),
        TEST(test_too_many_topics),
        TEST(test_malformed),
        TEST(test_malformed_members),
        TEST(test_json_is_strict),
        TEST(test_sizes),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, sns_scene_open, sns_scene_close);
}
