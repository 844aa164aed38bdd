#include "mail/transport.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "mail/mime.h"
#include "net/aws_fixture.h"

struct scene {
    struct aws_peer *peer;
    struct config config;
    struct transport *transport;
    struct str recipients[MAIL_RECIPIENTS_MAX];
    struct transport_message message;
    char id[TRANSPORT_ID_SIZE];
    struct transport_fate fates[MAIL_RECIPIENTS_MAX];
};

static char key_id[] = "AKIDEXAMPLE", secret[] = "secret", region[] = "eu-west-1",
            set[] = "own-set";
static const struct aws_peer_row nothing[] = {{0}};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->peer = aws_peer_start(nothing);
    s->config = (struct config){.aws_region = region,
                                .aws_access_key_id = key_id,
                                .aws_secret_access_key = secret,
                                .aws_endpoint_url = s->peer->origin};
    s->recipients[0] = STR("ann@example.com");
    s->recipients[1] = STR("bob@example.org");
    assert_int_equal(uuid_parse(STR("01890000-0000-7000-8000-00000000000a"), &s->message.tenant_id),
                     0);
    s->message.from = STR("sender@example.net");
    s->message.recipients = s->recipients;
    s->message.n = 2;
    s->message.mime = STR("Subject: x\r\n\r\nHello\r\n");
    assert_int_equal(transport_ses_new(&s->config, &s->transport), 0);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    transport_free(s->transport);
    aws_peer_stop(s->peer);
    free(s);
    return 0;
}

/* Sends; the one request is answered so. */
static void send_answered(struct scene *s, int status, const char *headers, const char *body)
{
    struct aws_peer_row rows[] = {{"POST /v2/email/outbound-emails ", status, headers, body}, {0}};

    aws_peer_answer(s->peer, rows);
    memset(s->fates, 0xFF, sizeof s->fates);
    snprintf(s->id, sizeof s->id, "untouched");
    assert_int_equal(s->transport->kind->send(s->transport, &s->message, s->id, s->fates), 0);
    peer_settle(&s->peer->peer);
    assert_int_equal(aws_peer_count(s->peer), 1);
    aws_peer_answer(s->peer, nothing);
}

static void expect_fates(struct scene *s, enum transport_result result, int64_t retry,
                         const char *code, const char *text)
{
    for (size_t i = 0; i < s->message.n; i++) {
        const struct transport_fate *f = &s->fates[i];
        /* About the way, unless SES fails by itself. */
        bool general = result == TRANSPORT_TEMPORARY && strcmp(code, "InternalFailure") != 0 &&
                       strcmp(code, "HTTP 503") != 0;
        if (f->result != result || f->retry_after_ms != retry || strcmp(f->code, code) != 0 ||
            f->general != general || (text && strcmp(f->text, text) != 0))
            fail_msg("%s: %d, %lld, %s, %s", code, (int)f->result, (long long)f->retry_after_ms,
                     f->code, f->text);
    }
    if (result != TRANSPORT_ACCEPTED)
        assert_string_equal(s->id, "untouched");
}

static const char *last_body(struct scene *s)
{
    return strstr(aws_peer_request(s->peer, 0), "\n\n") + 2;
}

/* What is sent, to a server that closes the connection. */
static void expect_request(struct scene *s, const char *body)
{
    struct aws_peer_row rows[] = {{"POST", 200, NULL, "{\"MessageId\":\"id\"}"}, {0}};

    aws_peer_answer(s->peer, rows);
    assert_int_equal(s->transport->kind->send(s->transport, &s->message, s->id, s->fates), 0);
    assert_string_equal(last_body(s), body);
}

#define HEAD                                                                                       \
    "{\"FromEmailAddress\":\"sender@example.net\",\"Destination\":{\"ToAddresses\":["              \
    "\"ann@example.com\",\"bob@example.org\"]},\"Content\":{\"Raw\":{\"Data\":"                    \
    "\"U3ViamVjdDogeA0KDQpIZWxsbw0K\"}},\"EmailTags\":[{\"Name\":\"tenant\",\"Value\":"            \
    "\"01890000-0000-7000-8000-00000000000a\"}"

static void test_request(void **state)
{
    struct scene *s = *state;

    expect_request(s, HEAD "]}");
    s->message.template_name = STR("welcome_2-a");
    s->config.ses_configuration_set = set;
    transport_free(s->transport);
    assert_int_equal(transport_ses_new(&s->config, &s->transport), 0);
    expect_request(s, HEAD ",{\"Name\":\"template\",\"Value\":\"welcome_2-a\"}],"
                           "\"ConfigurationSetName\":\"own-set\"}");
    assert_string_equal(s->transport->kind->name, "ses");
}

/* SES would refuse the message for such a tag; it goes without. */
static void test_tags_that_ses_does_not_take(void **state)
{
    static char much[257];
    const struct str names[] = {
        STR("a b"), STR("a.b"), STR("\xC3\xA9"), STR("a\"b"), {much, sizeof much}};
    struct scene *s = *state;

    memset(much, 'a', sizeof much);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        s->message.template_name = names[i];
        expect_request(s, HEAD "]}");
    }
    s->message.template_name.n = sizeof much - 1;
    struct aws_peer_row rows[] = {{"POST", 200, NULL, "{\"MessageId\":\"id\"}"}, {0}};
    aws_peer_answer(s->peer, rows);
    assert_int_equal(s->transport->kind->send(s->transport, &s->message, s->id, s->fates), 0);
    assert_non_null(strstr(last_body(s), "\"template\""));
}

static void test_accepted(void **state)
{
    struct scene *s = *state;
    char body[300], id[TRANSPORT_ID_SIZE + 1];

    send_answered(s, 200, NULL, "{\"MessageId\":\"0102018c-1-000000\"}");
    assert_string_equal(s->id, "0102018c-1-000000");
    expect_fates(s, TRANSPORT_ACCEPTED, 0, "", "");
    memset(id, 'i', sizeof id);
    id[TRANSPORT_ID_SIZE - 1] = '\0';
    snprintf(body, sizeof body, "{\"MessageId\":\"%s\"}", id);
    send_answered(s, 200, NULL, body);
    assert_string_equal(s->id, id);
}

/* It was taken, so it must not be sent again; but no event can be told to be of it. */
static void test_taken_without_a_usable_id(void **state)
{
    static char much[300];
    static const char *const bodies[] = {
        "",   "{}", "[]", "{\"MessageId\":7}", "{\"MessageId\":\"\"}", "{\"MessageId\":\"a b\"}",
        much,
    };
    struct scene *s = *state;

    snprintf(much, sizeof much, "{\"MessageId\":\"%0*d\"}", TRANSPORT_ID_SIZE, 1);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        send_answered(s, 200, NULL, bodies[i]);
        expect_fates(s, TRANSPORT_UNCERTAIN, 0, "NoMessageId", NULL);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        int status;
        const char *type, *text, *code;
        enum transport_result result;
        int64_t retry;
    } rows[] = {
        {400, "MessageRejected", "Email address is not verified.", "MessageRejected",
         TRANSPORT_PERMANENT, 0},
        {400, "BadRequestException", "Illegal address", "BadRequest", TRANSPORT_PERMANENT, 0},
        {413, "", "", "HTTP 413", TRANSPORT_PERMANENT, 0},
        {400, "AccountSuspendedException", "", "AccountSuspended", TRANSPORT_PERMANENT, 0},
        {400, "MailFromDomainNotVerifiedException", "", "MailFromDomainNotVerified",
         TRANSPORT_TEMPORARY, 5 * CLOCK_MINUTE},
        {400, "SendingPausedException", "paused", "SendingPaused", TRANSPORT_TEMPORARY,
         5 * CLOCK_MINUTE},
        {404, "NotFoundException", "Configuration set <own-set> does not exist.", "NotFound",
         TRANSPORT_TEMPORARY, 5 * CLOCK_MINUTE},
        {429, "TooManyRequestsException", "Maximum sending rate exceeded.", "TooManyRequests",
         TRANSPORT_TEMPORARY, CLOCK_SECOND},
        {429, "TooManyRequestsException", "Daily message quota exceeded.", "TooManyRequests",
         TRANSPORT_TEMPORARY, 10 * CLOCK_MINUTE},
        {400, "ThrottlingException", "Maximum sending rate exceeded.", "Throttling",
         TRANSPORT_TEMPORARY, CLOCK_SECOND},
        {400, "LimitExceededException", "", "LimitExceeded", TRANSPORT_TEMPORARY,
         10 * CLOCK_MINUTE},
        {403, "AccessDeniedException", "not authorized", "AccessDenied", TRANSPORT_TEMPORARY,
         CLOCK_MINUTE},
        {403, "InvalidSignatureException", "", "InvalidSignature", TRANSPORT_TEMPORARY,
         CLOCK_MINUTE},
        {500, "InternalFailure", "", "InternalFailure", TRANSPORT_TEMPORARY, 0},
        {503, "", "", "HTTP 503", TRANSPORT_TEMPORARY, 0},
    };
    struct scene *s = *state;
    char headers[200], body[200];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(headers, sizeof headers, "X-Amzn-ErrorType: %s:http://x/\r\n", rows[i].type);
        snprintf(body, sizeof body, "{\"message\":\"%s\"}", rows[i].text);
        send_answered(s, rows[i].status, *rows[i].type ? headers : NULL, body);
        expect_fates(s, rows[i].result, rows[i].retry, rows[i].code, rows[i].text);
    }
    send_answered(s, 429, "Retry-After: 3\r\n", "{}");
    expect_fates(s, TRANSPORT_TEMPORARY, 3000, "HTTP 429", "");
}

static void test_no_answer(void **state)
{
    struct scene *s = *state;
    char origin[64];

    send_answered(s, 0, NULL, NULL);
    expect_fates(s, TRANSPORT_UNCERTAIN, 0, "ConnectionLost", NULL);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", peer_dead_port());
    s->config.aws_endpoint_url = origin;
    transport_free(s->transport);
    assert_int_equal(transport_ses_new(&s->config, &s->transport), 0);
    assert_int_equal(s->transport->kind->send(s->transport, &s->message, s->id, s->fates), 0);
    expect_fates(s, TRANSPORT_TEMPORARY, 0, "Unreachable", NULL);
    assert_true(s->fates[0].text[0] != '\0');
}

static void test_message_of_the_largest_size(void **state)
{
    struct scene *s = *state;
    char *mime = malloc(MIME_MESSAGE_MAX + 64 * 1024);

    assert_non_null(mime);
    memset(mime, 'm', MIME_MESSAGE_MAX + 64 * 1024);
    s->message.mime = (struct str){mime, MIME_MESSAGE_MAX + 64 * 1024};
    assert_int_equal(s->transport->kind->send(s->transport, &s->message, s->id, s->fates),
                     FAULT_LIMIT);
    assert_int_equal(aws_peer_count(s->peer), 0);
    free(mime);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_request),
        TEST(test_tags_that_ses_does_not_take),
        TEST(test_accepted),
        TEST(test_taken_without_a_usable_id),
        TEST(test_refusals),
        TEST(test_no_answer),
        TEST(test_message_of_the_largest_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
