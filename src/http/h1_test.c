#include "http/h1.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a.example\r\n"

enum { LINE_MAX_BYTES = 64, HEADERS_MAX_BYTES = 256, HEADERS = 6 };

static const struct h1_limits limits = {LINE_MAX_BYTES, HEADERS_MAX_BYTES, HEADERS};

struct result {
    int r;
    enum h1_error error;
    struct h1_head head;
    struct http_header headers[HEADERS];
};

/* Parses a copy that ends where the bytes end, so that a sanitizer sees a read behind them. */
static void parse(const char *p, size_t n, size_t *resume, struct result *ret)
{
    *ret = (struct result){.error = H1_OK};
    ret->head.headers = ret->headers;
    ret->r = h1_parse_head(p, n, &limits, resume, &ret->head, &ret->error);
}

static struct result parse_whole(const char *text, size_t n)
{
    struct result result;
    size_t resume = 0;

    parse(text, n, &resume, &result);
    return result;
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert_int_equal(a->r, b->r);
    assert_int_equal(a->error, b->error);
    if (a->r != 1)
        return;
    assert_int_equal(a->head.length, b->head.length);
    assert_int_equal(a->head.method, b->head.method);
    assert_int_equal(a->head.header_count, b->head.header_count);
    assert_int_equal(a->head.chunked, b->head.chunked);
    assert_int_equal(a->head.keep_alive, b->head.keep_alive);
    assert_int_equal(a->head.content_length, b->head.content_length);
    assert_true(str_eq(a->head.target, b->head.target));
    assert_true(str_eq(a->head.host, b->head.host));
}

/* Every way to cut the bytes in two, and one byte at a time, must give what the whole gives. */
static struct result parse_split(const char *text, size_t n)
{
    struct result whole = parse_whole(text, n), part;

    for (size_t cut = 0; cut <= n; cut++) {
        size_t resume = 0;
        char *copy = malloc(cut + 1);
        memcpy(copy, text, cut);
        parse(copy, cut, &resume, &part);
        if (part.r == 0)
            parse(text, n, &resume, &part);
        assert_same(&whole, &part);
        free(copy);
    }
    size_t resume = 0;
    part.r = 0;
    for (size_t i = 0; i <= n && part.r == 0; i++)
        parse(text, i, &resume, &part);
    assert_same(&whole, &part);
    return whole;
}

static void assert_error(const char *text, enum h1_error error)
{
    struct result r = parse_split(text, strlen(text));

    if (r.r != -1 || r.error != error)
        print_error("%s: %d, \"%s\"\n", text, r.r, h1_error_text(r.error));
    assert_int_equal(r.r, -1);
    assert_int_equal(r.error, error);
}

static struct h1_head accept_head(const char *text)
{
    struct result r = parse_split(text, strlen(text));

    if (r.r != 1)
        print_error("%s: %d, \"%s\"\n", text, r.r, h1_error_text(r.error));
    assert_int_equal(r.r, 1);
    r.head.headers = NULL;
    return r.head;
}

static void reads_a_head(void **state)
{
    static const char text[] = "POST /a/b?x=1&y HTTP/1.1\r\nHost: a.example:8080\r\n"
                               "X-Empty:\r\nX-Padded: \t v w \t\r\nContent-Length: 12\r\n\r\nrest";
    struct result r = parse_split(text, sizeof text - 1);

    assert_int_equal(r.r, 1);
    assert_int_equal(r.head.method, HTTP_POST);
    assert_true(str_eq(r.head.target, STR("/a/b?x=1&y")));
    assert_true(str_eq(r.head.path, STR("/a/b")));
    assert_true(str_eq(r.head.query, STR("x=1&y")));
    assert_true(str_eq(r.head.host, STR("a.example:8080")));
    assert_int_equal(r.head.length, sizeof text - 1 - 4);
    assert_int_equal(r.head.content_length, 12);
    assert_int_equal(r.head.minor, 1);
    assert_true(r.head.keep_alive);
    assert_false(r.head.chunked);
    assert_int_equal(r.head.header_count, 4);
    assert_true(str_eq(r.headers[1].name, STR("X-Empty")));
    assert_int_equal(r.headers[1].value.n, 0);
    assert_true(str_eq(r.headers[2].value, STR("v w")));
}

static void knows_each_method(void **state)
{
    for (int m = 0; m < HTTP_METHODS; m++) {
        char text[64];
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST "\r\n",
                 http_method_name((enum http_method)m));
        assert_int_equal(accept_head(text).method, m);
    }
    assert_error("TRACE / HTTP/1.1\r\n" HOST "\r\n", H1_UNKNOWN_METHOD);
    assert_error("get / HTTP/1.1\r\n" HOST "\r\n", H1_UNKNOWN_METHOD);
    assert_error("CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n", H1_UNKNOWN_METHOD);
}

static void decides_whether_the_connection_stays(void **state)
{
    assert_true(accept_head(GET HOST "\r\n").keep_alive);
    assert_false(accept_head(GET HOST "Connection: x, Close\r\n\r\n").keep_alive);
    assert_false(
        accept_head(GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n").keep_alive);
    assert_false(accept_head("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert_true(accept_head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

static void reads_targets(void **state)
{
    struct h1_head h = accept_head("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    assert_true(str_eq(h.target, STR("*")));
    h = accept_head("GET http://A.example/p?q HTTP/1.1\r\n" HOST "\r\n");
    assert_true(str_eq(h.target, STR("/p?q")));
    assert_true(str_eq(h.query, STR("q")));
    h = accept_head("GET https://a.example HTTP/1.1\r\n" HOST "\r\n");
    assert_true(str_eq(h.target, STR("/")));
    h = accept_head("OPTIONS http://a.example HTTP/1.1\r\n" HOST "\r\n");
    assert_true(str_eq(h.target, STR("*")));
    h = accept_head("GET http://a.example/ HTTP/1.0\r\n\r\n");
    assert_true(str_eq(h.host, STR("a.example")));

    assert_error("GET http://b.example/ HTTP/1.1\r\n" HOST "\r\n", H1_BAD_HOST);
    assert_error("GET http://a.example:81/ HTTP/1.1\r\n" HOST "\r\n", H1_BAD_HOST);
    assert_error("GET * HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET a.example:80 HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET ftp://a.example/ HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET http:///x HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET http://a.example?x HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET http://u@a.example/ HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET /a#b HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET /\x01 HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    assert_error("GET /\t HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
}

static void refuses_request_lines(void **state)
{
    static const char *const lines[] = {
        "GET /\r\n",           "GET\r\n",
        "GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n",
        "GET /  HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n",
        "GET / http/1.1\r\n",  "GET / HTTP/1.10\r\n",
        "GET / HTTP/01.1\r\n", "GET / HTTP/1,1\r\n",
        "GET / HTTPS/1.1\r\n", "GET / HTTP/x.1\r\n",
        "GE(T / HTTP/1.1\r\n", "GET / x HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n", "\x16\x03\x01",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_error(lines[i], H1_BAD_REQUEST_LINE);
    assert_error("GET / HTTP/1.2\r\n" HOST "\r\n", H1_BAD_VERSION);
    assert_error("GET / HTTP/2.0\r\n" HOST "\r\n", H1_BAD_VERSION);
    assert_error("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H1_BAD_VERSION);
    assert_error("GET  HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
    struct result nul = parse_split("GET /\0 HTTP/1.1\r\n\r\n", 20);
    assert_int_equal(nul.error, H1_BAD_TARGET);
}

static void skips_one_empty_line(void **state)
{
    struct h1_head h = accept_head("\r\n" GET HOST "\r\n");

    assert_int_equal(h.length, strlen("\r\n" GET HOST "\r\n"));
    assert_error("\r\n\r\n" GET HOST "\r\n", H1_BAD_REQUEST_LINE);
    assert_error("\n" GET HOST "\r\n", H1_BAD_REQUEST_LINE);
    assert_error("\rGET / HTTP/1.1\r\n" HOST "\r\n", H1_BARE_CR_OR_LF);
}

static void refuses_bare_line_ends(void **state)
{
    assert_error("GET / HTTP/1.1\n" HOST "\r\n", H1_BARE_CR_OR_LF);
    assert_error(GET "Host: a.example\n\r\n", H1_BARE_CR_OR_LF);
    assert_error(GET HOST "X: y\n\n", H1_BARE_CR_OR_LF);
    assert_error(GET HOST "\n", H1_BARE_CR_OR_LF);
    assert_error(GET "X: a\rb\r\n" HOST "\r\n", H1_BARE_CR_OR_LF);
    assert_error(GET "X: a\r\r\n" HOST "\r\n", H1_BARE_CR_OR_LF);
    assert_error(GET "X: a\rTransfer-Encoding: chunked\r\n" HOST "\r\n", H1_BARE_CR_OR_LF);
    assert_error("GET /\rx HTTP/1.1\r\n" HOST "\r\n", H1_BAD_TARGET);
}

static void refuses_headers(void **state)
{
    static const char *const fields[] = {
        "X : y\r\n",    "X\t: y\r\n",     "X y: z\r\n",      ": y\r\n",    "X\r\n",
        " X: y\r\n",    "X: y\r\n z\r\n", "X: y\r\n\tz\r\n", "X(: y\r\n",  "X\x80: y\r\n",
        "X: a\x01\r\n", "X: a\x7f\r\n",   "X: a\vb\r\n",     "\rX: y\r\n",
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char text[128];
        snprintf(text, sizeof text, GET HOST "%s\r\n", fields[i]);
        assert_error(text, H1_BAD_HEADER);
        snprintf(text, sizeof text, GET "%s" HOST "\r\n", fields[i]);
        assert_error(text, H1_BAD_HEADER);
    }
    static const char nul[] = GET HOST "X: a\0b\r\n\r\n";
    struct result r = parse_split(nul, sizeof nul - 1);
    assert_int_equal(r.error, H1_BAD_HEADER);
    accept_head(GET HOST "X: \xc3\xa4\r\n\r\n"); /* obs-text is opaque, but no danger */
}

static void refuses_hosts(void **state)
{
    static const char *const hosts[] = {
        "",       "a b",      "a,b",  "a/b",      "a@b",    "a:b",    "a:",  "a:65536",
        "a:0x50", "a:+80",    "[::1", "[]",       "[::1]x", "[::1]:", "a?b", "a#b",
        "a%20b",  "http://a", ":80",  "\xc3\xa4", "a;b",    "*",
    };
    static const char *const good[] = {
        "a", "A-b.c_d", "127.0.0.1:3000", "[::1]", "[::ffff:1.2.3.4]:65535", "a."};
    char text[128];

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        snprintf(text, sizeof text, GET "Host: %s\r\n\r\n", hosts[i]);
        assert_error(text, H1_BAD_HOST);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, GET "Host: %s\r\n\r\n", good[i]);
        assert_true(str_eq(accept_head(text).host, str_of(good[i])));
    }
    assert_error(GET "\r\n", H1_BAD_HOST);
    assert_error(GET HOST HOST "\r\n", H1_BAD_HOST);
    assert_error("GET / HTTP/1.0\r\n" HOST HOST "\r\n", H1_BAD_HOST);
}

static void refuses_lengths(void **state)
{
    static const char *const lengths[] = {
        "",
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "0x5",
        "5 5",
        "5;",
        "1e1",
        "05",
        "00",
        "５",
        "9223372036854775808",
        "99999999999999999999999999",
        "5\t6",
        "five",
    };
    char text[128];

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(text, sizeof text, GET HOST "Content-Length: %s\r\n\r\n", lengths[i]);
        assert_error(text, H1_BAD_LENGTH);
    }
    assert_error(GET HOST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", H1_BAD_LENGTH);
    assert_error(GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", H1_BAD_LENGTH);
    assert_error(GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", H1_BAD_LENGTH);
    assert_error(GET HOST "Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n", H1_BAD_LENGTH);
    assert_error("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", H1_BAD_LENGTH);
    assert_int_equal(
        accept_head(GET HOST "Content-Length: 9223372036854775807\r\n\r\n").content_length,
        INT64_MAX);
    assert_int_equal(accept_head(GET HOST "CONTENT-LENGTH:0\r\n\r\n").content_length, 0);
}

static void refuses_codings(void **state)
{
    static const char *const codings[] = {
        "",         "gzip",        "identity",    "xchunked", "chunked, chunked", "gzip, chunked",
        "chunkedx", "chunked;q=1", "\"chunked\"", "chunked,", ", chunked",        "chunked gzip",
        "c hunked",
    };
    char text[128];

    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        snprintf(text, sizeof text, GET HOST "Transfer-Encoding: %s\r\n\r\n", codings[i]);
        assert_error(text, H1_BAD_CODING);
    }
    assert_error(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                 H1_BAD_CODING);
    assert_error(GET HOST "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n",
                 H1_BAD_CODING);
    assert_true(accept_head(GET HOST "transfer-encoding: Chunked\r\n\r\n").chunked);
}

static void reads_expectations(void **state)
{
    assert_true(accept_head(GET HOST "Expect: 100-Continue\r\n\r\n").expect_continue);
    assert_false(accept_head("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue);
    assert_error(GET HOST "Expect: 200-ok\r\n\r\n", H1_BAD_EXPECT);
    assert_error(GET HOST "Expect: 100-continue, x\r\n\r\n", H1_BAD_EXPECT);
    assert_error(GET HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", H1_BAD_EXPECT);
}

static void limits_the_request_line(void **state)
{
    char text[LINE_MAX_BYTES + 64];
    int path = LINE_MAX_BYTES - (int)strlen("GET / HTTP/1.1");

    snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", path, 0);
    accept_head(text);
    snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", path + 1, 0);
    assert_error(text, H1_URI_TOO_LONG);
    /* Refused as soon as the limit is passed, not when the line ends. */
    struct result r = parse_whole(text, LINE_MAX_BYTES + 2);
    assert_int_equal(r.error, H1_URI_TOO_LONG);
    assert_int_equal(parse_whole(text, LINE_MAX_BYTES + 1).r, 0);
}

static void limits_the_headers(void **state)
{
    char text[LINE_MAX_BYTES + HEADERS_MAX_BYTES + 64];
    int pad = HEADERS_MAX_BYTES - (int)strlen(HOST "X: \r\n\r\n");

    snprintf(text, sizeof text, GET HOST "X: %0*d\r\n\r\n", pad, 0);
    accept_head(text);
    snprintf(text, sizeof text, GET HOST "X: %0*d\r\n\r\n", pad + 1, 0);
    assert_error(text, H1_HEADERS_TOO_LARGE);
    struct result r = parse_whole(text, strlen(GET) + HEADERS_MAX_BYTES);
    assert_int_equal(r.error, H1_HEADERS_TOO_LARGE);

    accept_head(GET HOST "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
    assert_error(GET HOST "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", H1_HEADERS_TOO_LARGE);
}

static void gives_each_error_a_status_and_a_text(void **state)
{
    for (int e = H1_OK + 1; e < H1_ERRORS; e++) {
        assert_in_range(h1_error_status((enum h1_error)e), 400, 505);
        assert_non_null(h1_error_text((enum h1_error)e));
        assert_string_not_equal(http_reason(h1_error_status((enum h1_error)e)), "");
    }
    assert_int_equal(h1_error_status(H1_BAD_CODING), 501);
    assert_int_equal(h1_error_status(H1_BAD_LENGTH), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_head),
        cmocka_unit_test(knows_each_method),
        cmocka_unit_test(decides_whether_the_connection_stays),
        cmocka_unit_test(reads_targets),
        cmocka_unit_test(refuses_request_lines),
        cmocka_unit_test(skips_one_empty_line),
        cmocka_unit_test(refuses_bare_line_ends),
        cmocka_unit_test(refuses_headers),
        cmocka_unit_test(refuses_hosts),
        cmocka_unit_test(refuses_lengths),
        cmocka_unit_test(refuses_codings),
        cmocka_unit_test(reads_expectations),
        cmocka_unit_test(limits_the_request_line),
        cmocka_unit_test(limits_the_headers),
        cmocka_unit_test(gives_each_error_a_status_and_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
