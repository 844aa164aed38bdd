#include "net/http_client.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/mac.h"
#include "net/fixture.h"

#include <stdlib.h>

static struct authority authority, stranger;

/* Answers 204 and notes the request. */
struct noted {
    char head[8192], body[256];
};

static void serve(struct peer_conn *c, void *context)
{
    struct noted *noted = context;
    char line[4096];
    size_t n = 0;

    while (peer_read_line(c, line, sizeof line) && line[0])
        n += (size_t)snprintf(noted->head + n, sizeof noted->head - n, "%s\n", line);
    const char *length = strstr(noted->head, "Content-Length: ");
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    if (body < sizeof noted->body && peer_read(c, noted->body, body))
        peer_say(c, "HTTP/1.1 204 No Content\r\n\r\n");
}

static int call(const char *ca_file, struct peer *p, struct http_client_request request,
                const char *path)
{
    struct http_client_options o = {.guard.any = true, .ca_file = ca_file};
    struct http_client *c;
    struct http_client_reply reply;
    struct buf body = buf_init(1000);
    char url[300];

    snprintf(url, sizeof url, "https://127.0.0.1:%d%s", p->port, path);
    request.url = str_of(url);
    if (!request.method.n)
        request.method = STR("GET");
    assert_int_equal(http_client_new(&o, &c), 0);
    int r = http_client_call(c, &request, &body, &reply);
    if (r == 0)
        assert_int_equal(reply.status, 204);
    http_client_free(c);
    buf_free(&body);
    return r;
}

/* What a GET comes to at a server with this context. */
static int try(SSL_CTX *tls, const char *ca_file)
{
    struct noted noted = {0};
    struct peer p = {.serve = serve, .context = &noted, .tls = tls};

    peer_start(&p);
    int r = call(ca_file, &p, (struct http_client_request){0}, "/");
    peer_stop(&p);
    SSL_CTX_free(tls);
    assert_int_equal(noted.head[0] != '\0', r == 0);
    return r;
}

static void test_verified(void **state)
{
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.1", -60, 60), authority.file), 0);
}

static void test_certificates_refused(void **state)
{
    /* Signed by nobody known, for another host, not yet and no longer valid. */
    assert_int_equal(try(authority_issue(&stranger, "IP:127.0.0.1", -60, 60), authority.file),
                     HTTP_CLIENT_TLS);
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.1", -60, 60), NULL),
                     HTTP_CLIENT_TLS);
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.2", -60, 60), authority.file),
                     HTTP_CLIENT_TLS);
    assert_int_equal(try(authority_issue(&authority, "DNS:localhost", -60, 60), authority.file),
                     HTTP_CLIENT_TLS);
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.1", 60, 120), authority.file),
                     HTTP_CLIENT_TLS);
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.1", -120, -60), authority.file),
                     HTTP_CLIENT_TLS);
    assert_true(http_client_was_unsent(HTTP_CLIENT_TLS));
}

static SSL_CTX *only(int version)
{
    SSL_CTX *tls = authority_issue(&authority, "IP:127.0.0.1", -60, 60);

    SSL_CTX_set_security_level(tls, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(tls, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(tls, version), 1);
    return tls;
}

static void test_versions(void **state)
{
    assert_int_equal(try(only(TLS1_VERSION), authority.file), HTTP_CLIENT_TLS);
    assert_int_equal(try(only(TLS1_1_VERSION), authority.file), HTTP_CLIENT_TLS);
    assert_int_equal(try(only(TLS1_2_VERSION), authority.file), 0);
    assert_int_equal(try(only(TLS1_3_VERSION), authority.file), 0);
}

static void serve_plain(struct peer_conn *c, void *context)
{
    char bytes[16];

    if (peer_read(c, bytes, sizeof bytes))
        peer_say(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void test_no_tls(void **state)
{
    struct peer p = {.serve = serve_plain};

    peer_start(&p);
    assert_int_equal(call(authority.file, &p, (struct http_client_request){0}, "/"),
                     HTTP_CLIENT_TLS);
    peer_stop(&p);
}

static void test_no_authorities(void **state)
{
    assert_int_equal(try(authority_issue(&authority, "IP:127.0.0.1", -60, 60), "/nonexistent"),
                     FAULT_INTERNAL);
}

static const struct http_client_aws aws = {
    .region = STR_INIT("eu-west-1"),
    .service = STR_INIT("ses"),
    .key_id = STR_INIT("AKIDEXAMPLE"),
    .secret = STR_INIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    .session_token = STR_INIT("token/+="),
};

static const char *header(const struct noted *noted, const char *name, char *ret, size_t size)
{
    const char *at = strcasestr(noted->head, name);

    assert_non_null(at);
    at += strlen(name);
    int n = (int)strcspn(at, "\n");
    snprintf(ret, size, "%.*s", n, at);
    return ret;
}

static void hash_hex(struct str s, char ret[65])
{
    uint8_t digest[SHA256_SIZE];

    assert_int_equal(sha256(s, digest), 0);
    hex_encode(digest, sizeof digest, ret);
}

static void mac_step(uint8_t key[32], size_t key_n, const char *text)
{
    struct mac_key k;

    assert_int_equal(mac_key_init((struct str){(const char *)key, key_n}, &k), 0);
    assert_int_equal(mac_sha256(&k, str_of(text), key), 0);
}

/* The signature as AWS computes it from what arrived (Signature Version 4, its four tasks). */
static void expect_signed(const struct noted *noted, const char *first_line, const char *types)
{
    char value[256], hash[65], canonical[2048], text[1024], date[17], names[128];
    uint8_t key[128] = "AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    int n;

    assert_memory_equal(noted->head, first_line, strlen(first_line));
    header(noted, "\nX-Amz-Date: ", date, sizeof date);
    char method[8], path[200], query[200] = "";
    assert_true(sscanf(first_line, "%7s %199[^? ]?%199s", method, path, query) >= 2);
    if (strcmp(query, "HTTP/1.1") == 0)
        query[0] = '\0';
    hash_hex(str_of(noted->body), hash);
    snprintf(names, sizeof names, "%shost;x-amz-date;x-amz-security-token",
             *types ? "content-type;" : "");
    n = snprintf(canonical, sizeof canonical, "%s\n%s\n%s\n", method, path, query);
    if (*types)
        n += snprintf(canonical + n, sizeof canonical - (size_t)n, "content-type:%s\n", types);
    snprintf(canonical + n, sizeof canonical - (size_t)n,
             "host:%s\nx-amz-date:%s\nx-amz-security-token:token/+=\n\n%s\n%s",
             header(noted, "\nHost: ", value, sizeof value), date, names, hash);
    hash_hex(str_of(canonical), hash);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%.8s/eu-west-1/ses/aws4_request\n%s", date,
             date, hash);
    char day[9];
    snprintf(day, sizeof day, "%.8s", date);
    mac_step(key, strlen((char *)key), day);
    mac_step(key, 32, "eu-west-1");
    mac_step(key, 32, "ses");
    mac_step(key, 32, "aws4_request");
    mac_step(key, 32, text);
    hex_encode(key, 32, hash);
    header(noted, "Signature=", value, sizeof value);
    assert_string_equal(value, hash);
    header(noted, "SignedHeaders=", value, sizeof value);
    assert_memory_equal(value, names, strlen(names));
    assert_null(strstr(noted->head, "wJalr"));
}

static void test_signed(void **state)
{
    struct noted noted = {0};
    struct peer p = {.serve = serve,
                     .context = &noted,
                     .tls = authority_issue(&authority, "IP:127.0.0.1", -60, 60)};
    struct http_client_header type = {STR("Content-Type"), STR("application/json")};
    struct http_client_request post = {.method = STR("POST"),
                                       .headers = &type,
                                       .header_count = 1,
                                       .body = STR("{\"a\":1}"),
                                       .aws = &aws};

    peer_start(&p);
    assert_int_equal(call(authority.file, &p, post, "/v2/email/outbound-emails"), 0);
    expect_signed(&noted, "POST /v2/email/outbound-emails HTTP/1.1", "application/json");
    noted = (struct noted){0};
    struct http_client_request list = {.aws = &aws};
    assert_int_equal(call(authority.file, &p, list, "/v2/list?NextToken=a%2Fb%3D&PageSize=10"), 0);
    expect_signed(&noted, "GET /v2/list?NextToken=a%2Fb%3D&PageSize=10 HTTP/1.1", "");
    peer_stop(&p);
    SSL_CTX_free(p.tls);
}

static void test_not_signable(void **state)
{
    struct peer p = {.serve = serve, .port = 1};
    static const char *const paths[] = {
        "/a%40b", "/a@b", "/a?b=c&a=b", "/a?a=c&a=b", "/a?b", "/a?=b", "/a?a=b&", "/a?a=b+c",
    };
    struct http_client_request request = {.aws = &aws};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(call(NULL, &p, request, paths[i]), HTTP_CLIENT_INVALID);
    const struct http_client_header theirs[] = {{STR("Authorization"), STR("x")},
                                                {STR("x-amz-date"), STR("x")}};
    for (size_t i = 0; i < 2; i++) {
        request.headers = &theirs[i];
        request.header_count = 1;
        assert_int_equal(call(NULL, &p, request, "/"), HTTP_CLIENT_INVALID);
    }
    request = (struct http_client_request){.method = STR("POST"), .body = STR("x"), .aws = &aws};
    assert_int_equal(call(NULL, &p, request, "/"), HTTP_CLIENT_INVALID);
}

static void test_credentials_refused(void **state)
{
    struct peer p = {.serve = serve, .port = 1};
    struct http_client_aws bad[8];
    size_t n = sizeof bad / sizeof *bad;

    for (size_t i = 0; i < n; i++)
        bad[i] = aws;
    bad[0].region = STR("eu west");
    bad[1].region = STR("");
    bad[2].service = STR("ses:x");
    bad[3].key_id = STR("");
    bad[4].key_id = STR("AK:ID");
    bad[5].secret = STR("");
    bad[6].secret = STR("a\nb");
    bad[7].session_token = STR("a\r\nX: y");
    for (size_t i = 0; i < n; i++) {
        struct http_client_request request = {.aws = &bad[i]};
        assert_int_equal(call(NULL, &p, request, "/"), HTTP_CLIENT_INVALID);
    }
}

/* Each part of a signature at its longest, and one longer. */
static void test_credential_lengths(void **state)
{
    static const struct {
        size_t offset, max;
    } rows[] = {
        {offsetof(struct http_client_aws, region), 64},
        {offsetof(struct http_client_aws, service), 64},
        {offsetof(struct http_client_aws, key_id), 256},
        {offsetof(struct http_client_aws, secret), 256},
        {offsetof(struct http_client_aws, session_token), 8192},
    };
    struct peer p = {.port = peer_dead_port()};
    static char text[8193];

    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_client_aws long_one = aws;
        struct http_client_request request = {.aws = &long_one};
        struct str part = {text, rows[i].max};
        memcpy((char *)&long_one + rows[i].offset, &part, sizeof part);
        assert_int_equal(call(NULL, &p, request, "/"), HTTP_CLIENT_UNREACHABLE);
        part.n++;
        memcpy((char *)&long_one + rows[i].offset, &part, sizeof part);
        assert_int_equal(call(NULL, &p, request, "/"), HTTP_CLIENT_INVALID);
    }
}

static int set_up(void **state)
{
    authority_init(&authority);
    authority_init(&stranger);
    return crypto_init();
}

static int tear_down(void **state)
{
    authority_release(&authority);
    authority_release(&stranger);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verified),
        cmocka_unit_test(test_certificates_refused),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_no_authorities),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_not_signable),
        cmocka_unit_test(test_credential_lengths),
        cmocka_unit_test(test_credentials_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
