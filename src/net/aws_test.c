#include "net/aws.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/aws_fixture.h"
#include "net/aws_form.h"
#include "net/aws_place.h"

enum { THREADS = 4, CALLS = 3 };

struct scene {
    struct aws_peer *peer;
    struct aws_options options;
    struct aws *aws;
    struct buf answer;
    struct aws_error error;
};

static const struct aws_peer_row nothing[] = {{0}};
static const struct aws_request quota = {.service = AWS_SES,
                                         .body = STR_INIT("Action=GetSendQuota&Version=1")};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->peer = aws_peer_start(nothing);
    s->options = aws_peer_options(s->peer);
    s->answer = buf_init(1000);
    assert_int_equal(aws_new(&s->options, &s->aws), 0);
    *state = s;
    return 0;
}

/* The clock is so far from the real one. */
static void set_clock(int64_t ms)
{
    static int64_t shifted;

    clock_shift(ms - shifted);
    shifted = ms;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    set_clock(0);
    aws_free(s->aws);
    aws_peer_stop(s->peer);
    buf_free(&s->answer);
    free(s);
    return 0;
}

/* With other options than those of set_up. */
static void again(struct scene *s)
{
    aws_free(s->aws);
    assert_int_equal(aws_new(&s->options, &s->aws), 0);
}

static int call(struct scene *s, const struct aws_request *request)
{
    return aws_call(s->aws, request, &s->answer, &s->error);
}

/* One answer to all requests. */
static int call_answered(struct scene *s, int status, const char *headers, const char *body)
{
    struct aws_peer_row rows[] = {{"", status, headers, body}, {0}};

    aws_peer_answer(s->peer, rows);
    s->error = (struct aws_error){0};
    int r = call(s, &quota);
    peer_settle(&s->peer->peer);
    aws_peer_answer(s->peer, nothing);
    return r;
}

static void expect_head(struct scene *s, const char *first, const char *service, const char *type)
{
    const char *head = aws_peer_request(s->peer, 0);
    char text[200];

    assert_memory_equal(head, first, strlen(first));
    snprintf(text, sizeof text, "/eu-west-1/%s/aws4_request", service);
    assert_non_null(strstr(head, "\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert_non_null(strstr(head, text));
    assert_null(strstr(head, "wJalr"));
    snprintf(text, sizeof text, "\nContent-Type: %s\n", type);
    assert_int_equal(strstr(head, text) != NULL, *type != '\0');
    assert_int_equal(strstr(head, "\nContent-Type: ") != NULL, *type != '\0');
}

static void test_form(void **state)
{
    struct scene *s = *state;
    struct aws_peer_row rows[] = {{"POST / ", 200, NULL, "<a/>"}, {0}};
    struct aws_request request = {.service = AWS_SNS, .body = STR("Action=ListTopics&Version=1")};

    aws_peer_answer(s->peer, rows);
    buf_add_str(&s->answer, STR("before "));
    assert_int_equal(call(s, &request), 0);
    assert_true(str_eq(buf_str(&s->answer), STR("before <a/>")));
    expect_head(s, "POST / HTTP/1.1\n", "sns", "application/x-www-form-urlencoded; charset=utf-8");
    assert_non_null(strstr(aws_peer_request(s->peer, 0), "\n\nAction=ListTopics&Version=1"));
}

static void test_json(void **state)
{
    struct scene *s = *state;
    struct aws_peer_row rows[] = {{"POST /v2/email/x ", 201, NULL, "{}"},
                                  {"GET /v2/email/account ", 200, NULL, "{\"a\":1}"},
                                  {0}};
    struct aws_request request = {
        .service = AWS_SES, .path = STR("/v2/email/x"), .body = STR("{\"b\":2}")};

    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &request), 0);
    expect_head(s, "POST /v2/email/x HTTP/1.1\n", "ses", "application/json");
    assert_non_null(strstr(aws_peer_request(s->peer, 0), "\n\n{\"b\":2}"));
    aws_peer_answer(s->peer, rows);
    request = (struct aws_request){.service = AWS_SES, .path = STR("/v2/email/account")};
    assert_int_equal(call(s, &request), 0);
    expect_head(s, "GET /v2/email/account HTTP/1.1\n", "ses", "");
    assert_true(str_eq(buf_str(&s->answer), STR("{}{\"a\":1}")));
}

static void test_operation_in_a_header(void **state)
{
    struct scene *s = *state;
    struct aws_peer_row rows[] = {{"POST / ", 200, NULL, "{}"}, {0}};
    struct aws_request request = {.service = AWS_ECS,
                                  .target = STR("AmazonEC2ContainerServiceV20141113.ListTasks"),
                                  .body = STR("{\"cluster\":\"c\"}")};

    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &request), 0);
    expect_head(s, "POST / HTTP/1.1\n", "ecs", "application/x-amz-json-1.1");
    assert_non_null(strstr(aws_peer_request(s->peer, 0),
                           "\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.ListTasks\n"));
    assert_non_null(strstr(aws_peer_request(s->peer, 0), "\n\n{\"cluster\":\"c\"}"));
    s->answer.n = 0;
    request = (struct aws_request){.service = AWS_SNS, .body = STR("Action=ListTopics&Version=1")};
    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &request), 0);
    assert_null(strstr(aws_peer_request(s->peer, 0), "X-Amz-Target"));
}

static void test_session_token_is_sent(void **state)
{
    struct scene *s = *state;

    s->options.sources.session_token = STR("token/+=");
    again(s);
    aws_peer_answer(s->peer, nothing);
    assert_int_equal(call(s, &quota), AWS_PERMANENT);
    assert_non_null(strstr(aws_peer_request(s->peer, 0), "\nX-Amz-Security-Token: token/+=\n"));
}

static void test_refusals(void **state)
{
    struct scene *s = *state;

    buf_add_str(&s->answer, STR("kept"));
    assert_int_equal(call_answered(s, 400, "X-Amzn-ErrorType: MessageRejected:http://x/\r\n",
                                   "{\"message\":\"no\"}"),
                     AWS_PERMANENT);
    assert_string_equal(s->error.code, "MessageRejected");
    assert_string_equal(s->error.text, "no");
    assert_int_equal(s->error.status, 400);
    assert_int_equal(s->error.retry_after_ms, 0);
    assert_int_equal(call_answered(s, 503, "Retry-After: 7\r\n", NULL), AWS_TEMPORARY);
    assert_string_equal(s->error.code, "HTTP 503");
    assert_int_equal(s->error.retry_after_ms, 7000);
    assert_int_equal(call_answered(s, 429, NULL, NULL), AWS_THROTTLED);
    assert_int_equal(call_answered(s, 301, "Location: http://127.0.0.1:1/\r\n", NULL),
                     AWS_PERMANENT);
    assert_true(str_eq(buf_str(&s->answer), STR("kept")));
}

static void test_no_answer(void **state)
{
    struct scene *s = *state;
    char origin[64];

    assert_int_equal(call_answered(s, 0, NULL, NULL), AWS_UNCERTAIN);
    assert_string_equal(s->error.code, "ConnectionLost");
    s->options.timeout_ms = 200;
    again(s);
    assert_int_equal(call_answered(s, -1, NULL, NULL), AWS_UNCERTAIN);
    assert_string_equal(s->error.code, "Timeout");
    assert_int_equal(s->error.status, 0);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", peer_dead_port());
    s->options.endpoint = str_of(origin);
    again(s);
    assert_int_equal(call(s, &quota), AWS_UNREACHABLE);
    assert_string_equal(s->error.code, "Unreachable");
    assert_true(s->error.text[0] != '\0');
}

static void say_nothing(struct peer_conn *c, void *context)
{
}

static void test_authority_that_is_not_trusted(void **state)
{
    struct scene *s = *state;
    struct peer p = {.serve = say_nothing};
    struct authority authority;
    char origin[64];

    authority_init(&authority);
    p.tls = authority_issue(&authority, "IP:127.0.0.1", -60, 60);
    peer_start(&p);
    snprintf(origin, sizeof origin, "https://127.0.0.1:%d", p.port);
    s->options.endpoint = str_of(origin);
    again(s);
    assert_int_equal(call(s, &quota), AWS_UNREACHABLE);
    assert_string_equal(s->error.code, "TLS");
    peer_stop(&p);
    SSL_CTX_free(p.tls);
    authority_release(&authority);
}

static void test_answer_over_the_buffer(void **state)
{
    struct scene *s = *state;
    static char body[1002];

    memset(body, 'b', 1000);
    assert_int_equal(call_answered(s, 200, NULL, body), 0);
    buf_reset(&s->answer);
    body[1000] = 'b';
    assert_int_equal(call_answered(s, 200, NULL, body), AWS_UNCERTAIN);
    assert_int_equal(s->answer.n, 0);
}

static void test_credentials_that_cannot_be_used(void **state)
{
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.key_id = STR("a b"), .secret = STR("c")};
    again(s);
    assert_int_equal(call(s, &quota), AWS_CREDENTIALS);
    assert_string_equal(s->error.code, "InvalidCredentials");
    s->options.sources = (struct aws_sources){0};
    again(s);
    assert_int_equal(call(s, &quota), AWS_CREDENTIALS);
    assert_string_equal(s->error.code, "NoCredentials");
    assert_non_null(strstr(s->error.text, "AWS_ACCESS_KEY_ID is not set"));
    assert_int_equal(aws_peer_count(s->peer), 0);
}

#define EXPIRED "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
#define DOCUMENT(id) "{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s\"}"

/* How many requests begin so; and of which key they are. */
static size_t count(struct scene *s, const char *begin, const char *with)
{
    size_t n = 0;

    for (size_t i = 0; i < aws_peer_count(s->peer); i++) {
        const char *request = aws_peer_request(s->peer, i);
        n += strncmp(request, begin, strlen(begin)) == 0 && strstr(request, with);
    }
    return n;
}

static void test_expired_ones_are_fetched_anew_once(void **state)
{
    struct scene *s = *state;
    struct aws_peer_row rows[] = {
        {"GET /", 200, NULL, DOCUMENT("OLD")}, {"POST /", 400, NULL, EXPIRED}, {0}};

    s->options.sources = (struct aws_sources){.container_full = str_of(s->peer->origin)};
    again(s);
    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &quota), AWS_CREDENTIALS);
    assert_string_equal(s->error.code, "ExpiredToken");
    assert_int_equal(count(s, "GET", ""), 2);
    assert_int_equal(count(s, "POST", "Credential=OLD/"), 2);
    rows[0].body = DOCUMENT("NEW");
    rows[1].status = 200;
    rows[1].body = NULL;
    set_clock(2 * CLOCK_SECOND);
    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &quota), 0); /* those of before are still held for good */
    s->options.sources = (struct aws_sources){.key_id = STR("OWN"), .secret = STR("s")};
    again(s);
    rows[1].status = 400;
    rows[1].body = EXPIRED;
    aws_peer_answer(s->peer, rows);
    assert_int_equal(call(s, &quota), AWS_CREDENTIALS);
    assert_int_equal(aws_peer_count(s->peer), 1);
}

static void test_clock_that_is_wrong_is_told(void **state)
{
    static const char refused[] = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>"
                                  "<Message>Signature expired</Message></Error></ErrorResponse>";
    struct scene *s = *state;
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    assert_int_equal(call_answered(s, 403, date, refused), AWS_CREDENTIALS);
    assert_string_equal(s->error.text, "Signature expired");
    set_clock(10 * CLOCK_MINUTE + 30 * CLOCK_SECOND);
    assert_int_equal(call_answered(s, 403, date, refused), AWS_CREDENTIALS);
    assert_string_equal(
        s->error.text,
        "this machine's clock is 10 minutes ahead of that of AWS: Signature expired");
    set_clock(-(20 * CLOCK_MINUTE + 30 * CLOCK_SECOND));
    assert_int_equal(call_answered(s, 403, date, refused), AWS_CREDENTIALS);
    assert_non_null(strstr(s->error.text, "20 minutes behind that of AWS"));
    assert_int_equal(call_answered(s, 403, NULL, refused), AWS_CREDENTIALS);
    assert_string_equal(s->error.text, "Signature expired");
}

static void *call_often(void *context)
{
    struct scene *s = context;
    struct buf answer = buf_init(100);
    struct aws_error error;
    intptr_t good = 0;

    for (int i = 0; i < CALLS; i++)
        good += aws_call(s->aws, &quota, &answer, &error) == 0;
    buf_free(&answer);
    return (void *)good;
}

static void test_several_at_once(void **state)
{
    struct scene *s = *state;
    struct aws_peer_row rows[] = {{"POST / ", 200, NULL, "ok"}, {0}};
    pthread_t threads[THREADS];

    aws_peer_answer(s->peer, rows);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, s), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((intptr_t)good, CALLS);
    }
    assert_int_equal(aws_peer_count(s->peer), THREADS * CALLS);
}

static void test_places(void **state)
{
    static const struct {
        const char *region, *endpoint, *origin;
        enum aws_service service;
    } rows[] = {
        {"eu-west-1", "", "https://email.eu-west-1.amazonaws.com", AWS_SES},
        {"us-east-1", "", "https://sns.us-east-1.amazonaws.com", AWS_SNS},
        {"us-gov-west-1", "", "https://sts.us-gov-west-1.amazonaws.com", AWS_STS},
        {"eu-west-1", "", "https://ecs.eu-west-1.amazonaws.com", AWS_ECS},
        {"cn-north-1", "", "https://sns.cn-north-1.amazonaws.com.cn", AWS_SNS},
        {"cn-north-1", "http://127.0.0.1:5000", "http://127.0.0.1:5000", AWS_SNS},
        {"x", "http://127.0.0.1:5000/", "http://127.0.0.1:5000", AWS_SES},
    };
    char origin[AWS_ORIGIN_SIZE], much[AWS_ORIGIN_SIZE + 1];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aws_options o = {.region = str_of(rows[i].region),
                                .endpoint = str_of(rows[i].endpoint)};
        assert_int_equal(aws_origin(&o, rows[i].service, origin), 0);
        assert_string_equal(origin, rows[i].origin);
    }
    memset(much, 'a', sizeof much);
    struct aws_options o = {.endpoint = {much, AWS_ORIGIN_SIZE}};
    assert_int_equal(aws_origin(&o, AWS_SES, origin), FAULT_LIMIT);
    o.endpoint.n--;
    assert_int_equal(aws_origin(&o, AWS_SES, origin), 0);
}

static void test_forms_are_encoded(void **state)
{
    struct buf form = buf_init(200);

    aws_form_add(&form, "Old", STR("x"));
    aws_form_begin(&form, "Act", "2010-12-01");
    aws_form_add(&form, "Identities.member.1", STR("a+b@example.com"));
    aws_form_add(&form, "B", STR("\xC3\xA9 ~-._/%&="));
    assert_true(str_eq(buf_str(&form),
                       STR("Action=Act&Version=2010-12-01&Identities.member.1=a%2Bb%40example.com"
                           "&B=%C3%A9%20~-._%2F%25%26%3D")));
    buf_free(&form);
}

static void test_path_too_long(void **state)
{
    struct scene *s = *state;
    char path[202];

    memset(path, '/', sizeof path);
    struct aws_request request = {.service = AWS_SES, .path = {path, 201}};
    assert_int_equal(call(s, &request), FAULT_LIMIT);
    assert_int_equal(aws_peer_count(s->peer), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_form),
        TEST(test_json),
        TEST(test_operation_in_a_header),
        TEST(test_session_token_is_sent),
        TEST(test_refusals),
        TEST(test_no_answer),
        TEST(test_authority_that_is_not_trusted),
        TEST(test_answer_over_the_buffer),
        TEST(test_credentials_that_cannot_be_used),
        TEST(test_expired_ones_are_fetched_anew_once),
        TEST(test_clock_that_is_wrong_is_told),
        TEST(test_several_at_once),
        TEST(test_places),
        TEST(test_forms_are_encoded),
        TEST(test_path_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
