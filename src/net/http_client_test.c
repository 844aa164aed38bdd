#include "net/http_client.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/fixture.h"

#include <stdlib.h>

enum { URL_ROOM = 9000 };

/* A server that notes the request and answers with what the test lays down. */
struct scene {
    struct peer peer;
    struct config_range loopback;
    struct http_client *client;
    const char *answer; /* NULL: the server says nothing until the client goes */
    size_t answer_n;    /* 0: strlen */
    char head[128 * 1024];
    char body[4096];
    struct buf got;
    struct http_client_reply reply;
};

/* Where a body of the request ends. */
static size_t content_length(const char *head)
{
    const char *line = strstr(head, "Content-Length: ");

    return line ? strtoul(line + 16, NULL, 10) : 0;
}

static void serve(struct peer_conn *c, void *context)
{
    struct scene *s = context;
    size_t n = 0;
    char line[20000];

    while (peer_read_line(c, line, sizeof line) && line[0]) {
        n += (size_t)snprintf(s->head + n, sizeof s->head - n, "%s\n", line);
        if (n >= sizeof s->head)
            return;
    }
    size_t body = content_length(s->head);
    if (body >= sizeof s->body || !peer_read(c, s->body, body))
        return;
    s->body[body] = '\0';
    if (s->answer)
        peer_write(c, s->answer, s->answer_n ? s->answer_n : strlen(s->answer));
    else
        peer_await_end(c);
}

static void begin(struct scene *s, struct http_client_options o)
{
    *s = (struct scene){.answer = "HTTP/1.1 204 No Content\r\n\r\n"};
    s->peer = (struct peer){.serve = serve, .context = s};
    peer_start(&s->peer);
    s->got = buf_init(1000);
    assert_int_equal(config_parse_range(STR("127.0.0.1"), &s->loopback), 0);
    o.guard.allowed = &s->loopback;
    assert_int_equal(http_client_new(&o, &s->client), 0);
}

static void end(struct scene *s)
{
    http_client_free(s->client);
    peer_stop(&s->peer);
    buf_free(&s->got);
}

static struct scene *open_scene(void)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    begin(s, (struct http_client_options){.guard.allowed_count = 1,
                                          .allow_http = true,
                                          .connect_timeout_ms = 5000,
                                          .total_timeout_ms = 5000});
    return s;
}

static void close_scene(struct scene *s)
{
    end(s);
    free(s);
}

static int call_url(struct scene *s, const char *url)
{
    struct http_client_request request = {.method = STR("GET"), .url = str_of(url)};

    return http_client_call(s->client, &request, &s->got, &s->reply);
}

/* A path and more at the scene's server. */
static int call(struct scene *s, struct http_client_request request, const char *path)
{
    char url[URL_ROOM];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", s->peer.port, path);
    request.url = str_of(url);
    if (!request.method.n)
        request.method = STR("GET");
    peer_settle(&s->peer);
    int r = http_client_call(s->client, &request, &s->got, &s->reply);
    peer_settle(&s->peer);
    return r;
}

static int get(struct scene *s)
{
    return call(s, (struct http_client_request){0}, "/");
}

static void assert_got(struct scene *s, const char *text)
{
    assert_true(str_eq(buf_str(&s->got), str_of(text)));
}

static void test_get(void **state)
{
    struct scene *s = open_scene();
    char host[64];

    s->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; a=b\r\nRetry-After: 120\r\n"
                "Content-Length: 5\r\n\r\nhello";
    buf_add_str(&s->got, STR("before "));
    assert_int_equal(call(s, (struct http_client_request){0}, "/a%20b?c=d&e"), 0);
    assert_int_equal(s->reply.status, 200);
    assert_string_equal(s->reply.content_type, "text/plain; a=b");
    assert_int_equal(s->reply.retry_after_ms, 120 * CLOCK_SECOND);
    assert_got(s, "before hello");
    assert_memory_equal(s->head, "GET /a%20b?c=d&e HTTP/1.1\n", 26);
    snprintf(host, sizeof host, "\nHost: 127.0.0.1:%d\n", s->peer.port);
    assert_non_null(strstr(s->head, host));
    assert_non_null(strstr(s->head, "\nUser-Agent: holdfast\n"));
    assert_null(strstr(s->head, "Content-Type"));
    assert_null(strstr(s->head, "Accept-Encoding"));
    assert_null(strstr(s->head, "Cookie"));
    close_scene(s);
}

static void test_post(void **state)
{
    struct scene *s = open_scene();
    const struct http_client_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                                 {STR("X-Test"), STR("a, \"b\"")}};
    struct http_client_request request = {
        .method = STR("POST"), .headers = headers, .header_count = 2, .body = STR("{\"a\":\0011}")};

    assert_int_equal(call(s, request, "/hook"), 0);
    assert_int_equal(s->reply.status, 204);
    assert_int_equal(s->reply.retry_after_ms, -1);
    assert_string_equal(s->reply.content_type, "");
    assert_memory_equal(s->head, "POST /hook HTTP/1.1\n", 20);
    assert_non_null(strstr(s->head, "\nContent-Type: application/json\n"));
    assert_non_null(strstr(s->head, "\nX-Test: a, \"b\"\n"));
    assert_string_equal(s->body, "{\"a\":\0011}");
    close_scene(s);
}

static void test_methods(void **state)
{
    static const struct {
        const char *method, *body;
        bool length;
    } rows[] = {{"POST", "", true},    {"PUT", "x", true},      {"PATCH", "", true},
                {"DELETE", "", false}, {"PROPFIND", "x", true}, {"REPORT", "", false}};
    struct scene *s = open_scene();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_client_request request = {.method = str_of(rows[i].method),
                                              .body = str_of(rows[i].body)};
        assert_int_equal(call(s, request, "/"), 0);
        assert_memory_equal(s->head, rows[i].method, strlen(rows[i].method));
        assert_int_equal(strstr(s->head, "\nContent-Length: ") != NULL, rows[i].length);
        assert_null(strstr(s->head, "Content-Type"));
        assert_string_equal(s->body, rows[i].body);
    }
    s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_int_equal(call(s, (struct http_client_request){.method = STR("HEAD")}, "/"), 0);
    assert_memory_equal(s->head, "HEAD / ", 7);
    assert_int_equal(s->got.n, 0);
    close_scene(s);
}

/* Where a redirect leads, nobody goes; what a cookie says, nobody repeats. */
static void test_no_redirect_no_cookie(void **state)
{
    struct scene *s = open_scene(), *other = open_scene();
    char answer[200];

    snprintf(answer, sizeof answer,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nSet-Cookie: a=b\r\n"
             "Content-Length: 0\r\n\r\n",
             other->peer.port);
    s->answer = answer;
    assert_int_equal(get(s), 0);
    assert_int_equal(s->reply.status, 302);
    assert_int_equal(get(s), 0);
    assert_null(strstr(s->head, "Cookie"));
    assert_int_equal(atomic_load(&s->peer.connections), 2);
    assert_int_equal(atomic_load(&other->peer.connections), 0);
    close_scene(s);
    close_scene(other);
}

/* Each call has a connection of its own, even where the server would keep it. */
static void test_environment(void **state)
{
    struct scene *s = open_scene(), *proxy = open_scene();
    char url[64];
    static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"};

    snprintf(url, sizeof url, "http://127.0.0.1:%d", proxy->peer.port);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], url, 1);
    assert_int_equal(get(s), 0);
    assert_int_equal(s->reply.status, 204);
    assert_int_equal(atomic_load(&proxy->peer.connections), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    close_scene(s);
    close_scene(proxy);
}

static void test_guard(void **state)
{
    struct scene *s = open_scene();
    struct http_client *strict, *saved = s->client;
    char url[100];
    static const char *const hosts[] = {"127.0.0.1",    "2130706433",         "0x7f.1", "localhost",
                                        "017700000001", "[::ffff:127.0.0.1]", "[::1]",  "127.1"};

    assert_int_equal(http_client_new(&(struct http_client_options){.allow_http = true}, &strict),
                     0);
    s->client = strict;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        snprintf(url, sizeof url, "http://%s:%d/", hosts[i], s->peer.port);
        assert_int_equal(call_url(s, url), HTTP_CLIENT_REFUSED);
    }
    assert_int_equal(call_url(s, "http://169.254.169.254/latest/meta-data/"), HTTP_CLIENT_REFUSED);
    assert_int_equal(call_url(s, "http://[64:ff9b::7f00:1]/"), HTTP_CLIENT_REFUSED);
    assert_int_equal(atomic_load(&s->peer.connections), 0);
    http_client_free(strict);
    s->client = saved;
    close_scene(s);
}

static void test_urls(void **state)
{
    struct scene *s = open_scene();
    struct http_client *saved = s->client, *secure;
    static const char *const bad[] = {
        "",
        "127.0.0.1",
        "//127.0.0.1/",
        "/path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http:///path",
        "http:/127.0.0.1/",
        "http:127.0.0.1",
        "http://",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/#part",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1\\@example.com/",
        "http://127.0.0.1/\xC3\xA9",
        "http://127.0.0.1:65536/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (call_url(s, bad[i]) != HTTP_CLIENT_INVALID)
            fail_msg("called %s", bad[i]);
        assert_null(strstr(fault_message(), "secret"));
    }
    struct http_client_options o = {.guard.any = true};
    assert_int_equal(http_client_new(&o, &secure), 0);
    s->client = secure;
    assert_int_equal(get(s), HTTP_CLIENT_INVALID);
    http_client_free(secure);
    s->client = saved;
    assert_int_equal(atomic_load(&s->peer.connections), 0);
    close_scene(s);
}

static void test_url_length(void **state)
{
    struct scene *s = open_scene();
    char path[URL_ROOM], url[64];
    int start = snprintf(url, sizeof url, "http://127.0.0.1:%d", s->peer.port);
    size_t n = 8192 - (size_t)start;

    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[n] = '\0';
    assert_int_equal(call(s, (struct http_client_request){0}, path), 0);
    path[n] = 'a';
    path[n + 1] = '\0';
    assert_int_equal(call(s, (struct http_client_request){0}, path), HTTP_CLIENT_INVALID);
    close_scene(s);
}

static void test_headers_refused(void **state)
{
    static const struct http_client_header bad[] = {
        {STR_INIT(""), STR_INIT("x")},
        {STR_INIT("A B"), STR_INIT("x")},
        {STR_INIT("A:"), STR_INIT("x")},
        {STR_INIT("A\r\nB"), STR_INIT("x")},
        {STR_INIT("A"), STR_INIT("x\r\nB: y")},
        {STR_INIT("A"), STR_INIT("x\ny")},
        {STR_INIT("A"), STR_INIT("x\0y")},
        {STR_INIT("A"), STR_INIT("")},
        {STR_INIT("A"), STR_INIT(" x")},
        {STR_INIT("host"), STR_INIT("example.com")},
        {STR_INIT("Content-Length"), STR_INIT("1")},
        {STR_INIT("Transfer-Encoding"), STR_INIT("chunked")},
        {STR_INIT("Connection"), STR_INIT("close")},
        {STR_INIT("Proxy-Authorization"), STR_INIT("x")},
    };
    static const struct str methods[] = {
        STR_INIT(""),        STR_INIT("GET /"), STR_INIT("GET\r\n"),
        STR_INIT("CONNECT"), STR_INIT("TRACE"), STR_INIT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    struct scene *s = open_scene();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_client_request request = {.headers = &bad[i], .header_count = 1};
        assert_int_equal(call(s, request, "/"), HTTP_CLIENT_INVALID);
    }
    for (size_t i = 1; i < sizeof methods / sizeof *methods; i++)
        assert_int_equal(call(s, (struct http_client_request){.method = methods[i]}, "/"),
                         HTTP_CLIENT_INVALID);
    assert_int_equal(atomic_load(&s->peer.connections), 0);
    close_scene(s);
}

static void test_header_limits(void **state)
{
    struct scene *s = open_scene();
    static char value[HTTP_CLIENT_HEADER_SIZE_MAX + 1];
    struct http_client_header headers[HTTP_CLIENT_HEADERS_MAX + 1];
    struct http_client_request request = {.headers = headers, .header_count = 1};

    memset(value, 'v', HTTP_CLIENT_HEADER_SIZE_MAX);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        headers[i] = (struct http_client_header){STR("X-Many"), STR("x")};
    headers[0].value = (struct str){value, HTTP_CLIENT_HEADER_SIZE_MAX - 6};
    assert_int_equal(call(s, request, "/"), 0);
    assert_non_null(strstr(s->head, value + 6));
    headers[0].value.n++;
    assert_int_equal(call(s, request, "/"), HTTP_CLIENT_INVALID);
    headers[0].value = STR("x");
    request.header_count = HTTP_CLIENT_HEADERS_MAX;
    assert_int_equal(call(s, request, "/"), 0);
    request.header_count++;
    assert_int_equal(call(s, request, "/"), HTTP_CLIENT_INVALID);
    close_scene(s);
}

static void test_body_limit(void **state)
{
    struct scene *s = open_scene();
    char answer[1200];
    int head = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n\r\n");

    memset(answer + head, 'x', 1001);
    s->answer = answer;
    s->answer_n = (size_t)head + 1000;
    assert_int_equal(get(s), 0);
    assert_int_equal(s->got.n, 1000);
    buf_reset(&s->got);
    s->answer_n++;
    buf_add_str(&s->got, STR("kept"));
    s->reply.status = 7;
    assert_int_equal(get(s), HTTP_CLIENT_TOO_LARGE);
    assert_got(s, "kept");
    assert_int_equal(s->reply.status, 7);
    /* The buffer is as usable as before. */
    s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    s->answer_n = 0;
    assert_int_equal(get(s), 0);
    assert_got(s, "keptok");
    close_scene(s);
}

/* A head without end: many headers, or interim answers one after the other. */
static void test_head_limit(void **state)
{
    struct scene *s = open_scene();
    struct buf answer = buf_init(1 << 20);

    buf_add_str(&answer, STR("HTTP/1.1 200 OK\r\n"));
    while (answer.n < HTTP_CLIENT_HEAD_MAX)
        buf_add_str(&answer, STR("X-Filler: 0123456789\r\n"));
    buf_add_str(&answer, STR("\r\n"));
    s->answer = answer.p;
    s->answer_n = answer.n;
    assert_int_equal(get(s), HTTP_CLIENT_TOO_LARGE);
    buf_reset(&answer);
    while (answer.n < HTTP_CLIENT_HEAD_MAX)
        buf_add_str(&answer, STR("HTTP/1.1 103 Early Hints\r\nRetry-After: 5\r\n\r\n"));
    buf_add_str(&answer, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    s->answer = answer.p;
    s->answer_n = answer.n;
    assert_int_equal(get(s), HTTP_CLIENT_TOO_LARGE);
    s->answer += answer.n / 2 / 44 * 44;
    s->answer_n -= answer.n / 2 / 44 * 44;
    buf_free(&s->got);
    assert_int_equal(get(s), 0);
    assert_int_equal(s->reply.status, 200);
    assert_int_equal(s->reply.retry_after_ms, -1);
    buf_free(&answer);
    close_scene(s);
}

static void test_broken(void **state)
{
    static const char *const answers[] = {
        "",
        "not HTTP at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    struct scene *s = open_scene();

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        s->answer = answers[i];
        assert_int_equal(get(s), HTTP_CLIENT_BROKEN);
        assert_false(http_client_was_unsent(HTTP_CLIENT_BROKEN));
    }
    close_scene(s);
}

static void test_unreachable(void **state)
{
    struct scene *s = open_scene();
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_dead_port());
    assert_int_equal(call_url(s, url), HTTP_CLIENT_UNREACHABLE);
    assert_true(http_client_was_unsent(HTTP_CLIENT_UNREACHABLE));
    /* RFC 6761, section 6.4: never resolves. */
    assert_int_equal(call_url(s, "http://nobody.invalid/"), HTTP_CLIENT_UNREACHABLE);
    close_scene(s);
}

static void test_timeout(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    begin(s, (struct http_client_options){
                 .guard.allowed_count = 1, .allow_http = true, .total_timeout_ms = 200});
    s->answer = NULL;
    int64_t start = clock_mono();
    assert_int_equal(get(s), HTTP_CLIENT_TIMEOUT);
    int64_t took = clock_mono() - start;
    assert_true(took >= 150 && took < 5000);
    assert_false(http_client_was_unsent(HTTP_CLIENT_TIMEOUT));
    close_scene(s);
}

/* TLS that is never answered counts as no connection. */
static void test_connect_timeout(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    char url[64];

    assert_non_null(s);
    begin(s, (struct http_client_options){
                 .guard.allowed_count = 1, .connect_timeout_ms = 200, .total_timeout_ms = 20000});
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", s->peer.port);
    int64_t start = clock_mono();
    assert_int_equal(call_url(s, url), HTTP_CLIENT_UNREACHABLE);
    assert_true(clock_mono() - start < 5000);
    close_scene(s);
}

static void test_timeout_range(void **state)
{
    struct http_client *c = NULL;
    const struct http_client_options bad[] = {{.connect_timeout_ms = -1},
                                              {.total_timeout_ms = -1},
                                              {.connect_timeout_ms = 600001},
                                              {.total_timeout_ms = 600001}};
    struct http_client_options most = {.connect_timeout_ms = 600000, .total_timeout_ms = 600000};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_client_new(&bad[i], &c), FAULT_INTERNAL);
    assert_null(c);
    assert_int_equal(http_client_new(&most, &c), 0);
    http_client_free(c);
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *text;
        int64_t least, most;
    } rows[] = {
        {"0", 0, 0},
        {"3600", 3600000, 3600000},
        {"-5", -1, -1},
        {"soon", -1, -1},
        {"99999999999999999999", -1, -1},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 0, 0},
        {"Fri, 01 Jan 2100 00:00:00 GMT", (int64_t)365 * CLOCK_DAY, INT64_MAX},
    };
    struct scene *s = open_scene();
    char answer[200];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", rows[i].text);
        s->answer = answer;
        assert_int_equal(get(s), 0);
        assert_int_equal(s->reply.status, 503);
        assert_true(s->reply.retry_after_ms >= rows[i].least);
        assert_true(s->reply.retry_after_ms <= rows[i].most);
    }
    close_scene(s);
}

static void test_content_type_length(void **state)
{
    struct scene *s = open_scene();
    char answer[400], type[HTTP_CLIENT_TYPE_SIZE + 1];

    for (size_t n = HTTP_CLIENT_TYPE_SIZE - 1; n <= HTTP_CLIENT_TYPE_SIZE; n++) {
        memset(type, 't', n);
        type[n] = '\0';
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 0\r\n\r\n", type);
        s->answer = answer;
        assert_int_equal(get(s), 0);
        assert_string_equal(s->reply.content_type, n < HTTP_CLIENT_TYPE_SIZE ? type : "");
    }
    close_scene(s);
}

static void test_date_and_kept_header(void **state)
{
    struct scene *s = open_scene();
    struct http_client_request request = {.keep = STR("X-Kept")};

    s->answer = "HTTP/1.1 103 Early Hints\r\nX-Kept: early\r\n\r\n"
                "HTTP/1.1 400 Bad\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nx-kept:  it is \r\n"
                "X-Kept-Too: no\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(call(s, request, "/"), 0);
    assert_int_equal(s->reply.date, INT64_C(1445412480000));
    assert_string_equal(s->reply.kept, "it is");
    assert_int_equal(get(s), 0);
    assert_string_equal(s->reply.kept, "");
    s->answer = "HTTP/1.1 400 Bad\r\nDate: today\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(call(s, request, "/"), 0);
    assert_int_equal(s->reply.date, 0);
    assert_string_equal(s->reply.kept, "");
    close_scene(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_no_redirect_no_cookie),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_url_length),
        cmocka_unit_test(test_headers_refused),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_head_limit),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_timeout_range),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_content_type_length),
        cmocka_unit_test(test_date_and_kept_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
