#include "net/aws_sources.h"

#include "base/clock.h"
#include "net/aws_fixture.h"
#include "net/aws_place.h"

#include <fcntl.h>
#include <unistd.h>

#define KEYS                                                                                       \
    "\"AccessKeyId\":\"ASIAEXAMPLE\",\"SecretAccessKey\":\"secret/+\",\"Token\":\"token=\","       \
    "\"Expiration\":\"2030-01-02T03:04:05Z\""

enum { EXPIRES_S = 1893553445 };

struct scene {
    struct aws_peer *peer;
    struct aws_options options;
    struct aws_keys keys;
    char reason[AWS_TEXT_SIZE], url[128], file[64];
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    static const struct aws_peer_row nothing[] = {{0}};

    assert_non_null(s);
    s->peer = aws_peer_start(nothing);
    s->options = (struct aws_options){.region = STR("eu-west-1")};
    snprintf(s->file, sizeof s->file, "/tmp/holdfast-aws-XXXXXX");
    close(mkstemp(s->file));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    aws_peer_stop(s->peer);
    unlink(s->file);
    free(s);
    return 0;
}

static void write_file(const struct scene *s, const char *text, size_t n)
{
    int fd = open(s->file, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static struct str url_of(struct scene *s, const char *path)
{
    snprintf(s->url, sizeof s->url, "%s%s", s->peer->origin, path);
    return str_of(s->url);
}

static void expect_keys(struct scene *s)
{
    int r = aws_sources_fetch(&s->options, &s->keys, s->reason);

    if (r)
        fail_msg("%d %s", r, s->reason);
    assert_string_equal(s->keys.key_id, "ASIAEXAMPLE");
    assert_string_equal(s->keys.secret, "secret/+");
    assert_string_equal(s->keys.token, "token=");
    assert_int_equal(s->keys.expires, EXPIRES_S * INT64_C(1000));
}

static void expect_none(struct scene *s, const char *reason)
{
    s->keys = (struct aws_keys){.expires = 7};
    assert_int_equal(aws_sources_fetch(&s->options, &s->keys, s->reason), AWS_SOURCES_NONE);
    if (!strstr(s->reason, reason))
        fail_msg("not said: %s\nbut: %s", reason, s->reason);
    assert_int_equal(s->keys.expires, 7);
}

static void test_settings(void **state)
{
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.key_id = STR("AKIA"),
                                              .secret = STR("secret"),
                                              .session_token = STR("token"),
                                              .container_full = url_of(s, "/")};
    assert_int_equal(aws_sources_fetch(&s->options, &s->keys, s->reason), 0);
    assert_string_equal(s->keys.key_id, "AKIA");
    assert_string_equal(s->keys.secret, "secret");
    assert_string_equal(s->keys.token, "token");
    assert_int_equal(s->keys.expires, 0);
    assert_int_equal(aws_peer_count(s->peer), 0);
}

static void test_no_source(void **state)
{
    struct scene *s = *state;

    expect_none(s, "AWS_ACCESS_KEY_ID is not set");
}

static void test_container_by_path(void **state)
{
    static const struct aws_peer_row rows[] = {
        {"GET /v2/credentials/id?a=b ", 200, NULL, "{\"RoleArn\":\"arn\"," KEYS "}"}, {0}};
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.container_origin = str_of(s->peer->origin),
                                              .container_relative = STR("/v2/credentials/id?a=b"),
                                              .container_full = STR("http://127.0.0.1:1/never")};
    aws_peer_answer(s->peer, rows);
    expect_keys(s);
    assert_null(strstr(aws_peer_request(s->peer, 0), "Authorization"));
}

static void test_container_by_url_with_its_token(void **state)
{
    static const struct aws_peer_row rows[] = {{"GET /pod ", 200, NULL, "{" KEYS "}"}, {0}};
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.container_full = url_of(s, "/pod"),
                                              .container_token = STR("not this one"),
                                              .container_token_file = str_of(s->file)};
    aws_peer_answer(s->peer, rows);
    write_file(s, "first\n", 6);
    expect_keys(s);
    assert_non_null(strstr(aws_peer_request(s->peer, 0), "\nAuthorization: first\n"));
    write_file(s, "second", 6);
    expect_keys(s);
    assert_non_null(strstr(aws_peer_request(s->peer, 1), "\nAuthorization: second\n"));
    s->options.sources.container_token_file = STR("");
    expect_keys(s);
    assert_non_null(strstr(aws_peer_request(s->peer, 2), "\nAuthorization: not this one\n"));
}

static void test_token_files_that_are_none(void **state)
{
    struct scene *s = *state;
    char *much = calloc(1, 16 * 1024);

    s->options.sources = (struct aws_sources){.container_full = url_of(s, "/"),
                                              .container_token_file = str_of(s->file)};
    expect_none(s, "is empty or too long");
    memset(much, 't', 16 * 1024);
    write_file(s, much, 16 * 1024);
    expect_none(s, "is empty or too long");
    write_file(s, "two\nlines", 9);
    expect_none(s, "Authorization is empty or not one line");
    s->options.sources.container_token_file = STR("/nowhere/token");
    expect_none(s, "/nowhere/token cannot be read: No such file");
    assert_int_equal(aws_peer_count(s->peer), 0);
    free(much);
}

static void test_answers_without_credentials(void **state)
{
    static char long_key[400];
    static const struct {
        int status;
        const char *body, *reason;
    } rows[] = {
        {403, "{\"code\":\"AccessDenied\"}", "it answers 403 (AccessDenied)"},
        {500, "", "it answers 500 (HTTP 500)"},
        {302, "", "it answers 302"},
        {200, "", "is not JSON"},
        {200, "[]", "holds no key"},
        {200, "{\"Code\":\"Failed\"}", "it says Failed"},
        {200, "{\"AccessKeyId\":\"a\"}", "holds no key"},
        {200, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Expiration\":\"soon\"}",
         "expire at no time"},
        {200, "{\"AccessKeyId\":\"a\\u0000\",\"SecretAccessKey\":\"b\"}", "is not JSON"},
        {200, "{\"AccessKeyId\":\"a\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}",
         "is not JSON"},
        {200, long_key, "longer than is taken"},
        {0, "", "gives no credentials"},
    };
    struct scene *s = *state;

    snprintf(long_key, sizeof long_key, "{\"AccessKeyId\":\"%0*d\",\"SecretAccessKey\":\"b\"}",
             AWS_KEY_SIZE, 1);
    s->options.sources = (struct aws_sources){.container_full = url_of(s, "/")};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aws_peer_row answers[] = {{"GET", rows[i].status, NULL, rows[i].body}, {0}};
        aws_peer_answer(s->peer, answers);
        expect_none(s, rows[i].reason);
        peer_settle(&s->peer->peer);
    }
}

static void test_unsaid_expiry_is_fifteen_minutes(void **state)
{
    static const struct aws_peer_row rows[] = {
        {"GET", 200, NULL, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}"}, {0}};
    struct scene *s = *state;
    int64_t before = clock_now();

    s->options.sources = (struct aws_sources){.container_full = url_of(s, "/")};
    aws_peer_answer(s->peer, rows);
    assert_int_equal(aws_sources_fetch(&s->options, &s->keys, s->reason), 0);
    assert_in_range(s->keys.expires - 15 * CLOCK_MINUTE, before, clock_now());
}

static void test_urls_of_containers(void **state)
{
    static const char *const near[] = {
        "http://169.254.170.2/x",  "http://169.254.170.23/v1/credentials",
        "http://localhost:80/x",   "http://127.0.0.1:9/",
        "http://127.3.2.1",        "http://[::1]:8/x",
        "http://[fd00:ec2::23]/v", "https://anywhere.example.com/x",
    };
    static const char *const far[] = {
        "http://example.com/",
        "http://169.254.169.254/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@evil.test/",
        "http://10.0.0.1/",
        "http://[::2]/",
        "http://[::1",
        "http://",
        "ftp://127.0.0.1/",
        "http://128.0.0.1/",
        "localhost/",
        "",
        "http://1111111111111111111111111111111111111111111111111111/",
    };
    struct scene *s = *state;

    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        if (!aws_container_url_is_near(str_of(near[i])))
            fail_msg("refused: %s", near[i]);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        /* Of an address before an at sign the client says that it has a user name in it. */
        bool user = strchr(far[i], '@') != NULL;
        if (aws_container_url_is_near(str_of(far[i])) && !user)
            fail_msg("taken: %s", far[i]);
        s->options.sources = (struct aws_sources){.container_full = str_of(far[i])};
        if (*far[i])
            expect_none(s, user ? "user name" : "neither https nor");
    }
}

#define ROLES "GET /latest/meta-data/iam/security-credentials/ "
#define ROLE "GET /latest/meta-data/iam/security-credentials/app-role "

static void test_metadata(void **state)
{
    static const struct aws_peer_row rows[] = {
        {"PUT /latest/api/token ", 200, NULL, "TOKEN=="},
        {ROLES, 200, NULL, "app-role\nanother"},
        {ROLE, 200, NULL, "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\"," KEYS "}"},
        {0}};
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.metadata = str_of(s->peer->origin)};
    aws_peer_answer(s->peer, rows);
    expect_keys(s);
    assert_int_equal(aws_peer_count(s->peer), 3);
    assert_non_null(
        strstr(aws_peer_request(s->peer, 0), "\nX-aws-ec2-metadata-token-ttl-seconds: 60\n"));
    for (size_t i = 1; i < 3; i++)
        assert_non_null(
            strstr(aws_peer_request(s->peer, i), "\nX-aws-ec2-metadata-token: TOKEN==\n"));
}

static void test_metadata_without_credentials(void **state)
{
    static const struct aws_peer_row token = {"PUT", 200, NULL, "TOKEN"};
    const struct aws_peer_row no_token[] = {{"PUT", 403, NULL, ""}, {0}};
    const struct aws_peer_row no_role[] = {token, {ROLES, 404, NULL, ""}, {0}};
    const struct aws_peer_row empty[] = {token, {ROLES, 200, NULL, ""}, {0}};
    const struct aws_peer_row odd[] = {token, {ROLES, 200, NULL, "../../x"}, {0}};
    const struct aws_peer_row no_keys[] = {token, {ROLES, 200, NULL, "app-role"}, {0}};
    const struct {
        const struct aws_peer_row *rows;
        const char *reason;
        size_t requests;
    } cases[] = {{no_token, "answers 403", 1},
                 {no_role, "answers 404", 2},
                 {empty, "the machine has no role", 2},
                 {odd, "the machine has no role", 2},
                 {no_keys, "answers 404", 3}};
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.metadata = str_of(s->peer->origin)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aws_peer_answer(s->peer, cases[i].rows);
        expect_none(s, cases[i].reason);
        assert_int_equal(aws_peer_count(s->peer), cases[i].requests);
    }
}

static void test_web_identity(void **state)
{
    static const struct aws_peer_row rows[] = {
        {"POST / ", 200, NULL,
         "<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><AssumeRoleWithWebIdentityResult>"
         "<SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><Credentials>"
         "<SessionToken>token=</SessionToken><SecretAccessKey>secret/+</SecretAccessKey>"
         "<Expiration>2030-01-02T03:04:05Z</Expiration><AccessKeyId>ASIAEXAMPLE</AccessKeyId>"
         "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"},
        {0}};
    static const struct aws_peer_row refusals[] = {
        {"POST / ", 400, NULL,
         "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"},
        {0}};
    struct scene *s = *state;

    s->options.endpoint = str_of(s->peer->origin);
    s->options.sources = (struct aws_sources){.role_arn = STR("arn:aws:iam::123456789012:role/app"),
                                              .identity_file = str_of(s->file),
                                              .container_full = STR("http://127.0.0.1:1/")};
    write_file(s, "ey.J.w\n", 7);
    aws_peer_answer(s->peer, rows);
    expect_keys(s);
    assert_null(strstr(aws_peer_request(s->peer, 0), "Authorization"));
    assert_non_null(strstr(aws_peer_request(s->peer, 0),
                           "\n\nAction=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="
                           "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fapp&RoleSessionName=holdfast"
                           "&WebIdentityToken=ey.J.w"));
    aws_peer_answer(s->peer, refusals);
    expect_none(s, "AWS STS gives no credentials: it answers 400 (InvalidIdentityToken)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_settings),
        TEST(test_no_source),
        TEST(test_container_by_path),
        TEST(test_container_by_url_with_its_token),
        TEST(test_token_files_that_are_none),
        TEST(test_answers_without_credentials),
        TEST(test_unsaid_expiry_is_fifteen_minutes),
        TEST(test_urls_of_containers),
        TEST(test_metadata),
        TEST(test_metadata_without_credentials),
        TEST(test_web_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
