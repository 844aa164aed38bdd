#include "http/engine_fixture.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length, body)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n" body

static struct fixture f;

static int setup(void **state)
{
    fixture_init(&f);
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

static void keeps_the_connection(void **state)
{
    int fd = client_open(&f, NULL);

    for (int i = 0; i < 3; i++) {
        client_text(fd, GET("/event"));
        const char *reply = client_reply(fd);
        assert_starts_with(reply, "HTTP/1.1 200 OK\r\n");
        assert_contains(reply, "\r\nDate: ");
        assert_contains(reply, " GMT\r\n");
        assert_contains(reply, "\r\nContent-Length: 6\r\n");
        assert_contains(reply, "\r\n\r\n/event");
        assert_lacks(reply, "Connection:");
    }
    client_text(fd, "GET /event HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_contains(client_rest(fd), "Connection: close\r\n");
    close(fd);
}

static void answers_without_a_body(void **state)
{
    int fd = client_open(&f, "HEAD /event HTTP/1.1\r\nHost: a\r\n\r\n" GET("/empty") GET("/event"));

    shutdown(fd, SHUT_WR);
    const char *reply = client_rest(fd);
    assert_starts_with(reply, "HTTP/1.1 200 OK\r\n");
    assert_contains(reply, "Content-Length: 6\r\n\r\nHTTP/1.1 204 No Content\r\nDate: ");
    assert_contains(reply, " GMT\r\n\r\nHTTP/1.1 200 OK\r\n");
    close(fd);
}

static void speaks_http_1_0(void **state)
{
    int fd = client_open(&f, "GET /event HTTP/1.0\r\n\r\n");

    assert_contains(client_rest(fd), "Connection: close\r\n");
    close(fd);
    fd = client_open(&f, "GET /event HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_contains(client_reply(fd), "Connection: keep-alive\r\n");
    client_text(fd, "GET /event HTTP/1.0\r\n\r\n");
    assert_contains(client_rest(fd), "\r\n\r\n/event");
    close(fd);
    fd = client_open(&f, "GET /write HTTP/1.0\r\n\r\n");
    const char *reply = client_rest(fd);
    assert_lacks(reply, "Transfer-Encoding");
    assert_contains(reply, "Connection: close\r\n");
    close(fd);
}

/* Bodies, lanes and an empty line between requests: the order of answers is that of requests. */
static const char batch[] =
    GET("/worker") GET("/event") POST("/echo", "5", "hello") GET("/password") "\r\n" GET(
        "/event") "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n" GET("/worker")
                      POST("/read", "3", "xyz") GET("/event");
static const char *const answers[] = {"/worker", "/event",  "hello", "/password", "/event",
                                      "abcde",   "/worker", "3 ok",  "/event"};

static void assert_batch(int fd)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const char *reply = client_reply(fd);
        assert_starts_with(reply, "HTTP/1.1 200 OK\r\n");
        assert_string_equal(strstr(reply, "\r\n\r\n") + 4, answers[i]);
    }
}

static void answers_a_pipeline_in_order(void **state)
{
    int fd = client_open(&f, batch);

    assert_batch(fd);
    for (int i = 0; i < 50; i++)
        client_text(fd, batch);
    for (int i = 0; i < 50; i++)
        assert_batch(fd);
    close(fd);
}

static void answers_what_comes_in_single_bytes(void **state)
{
    int on = 1, fd = client_open(&f, NULL);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < sizeof batch - 1; i++)
        client_send(fd, batch + i, 1);
    assert_batch(fd);
    close(fd);
}

static void answers_after_a_half_close(void **state)
{
    int fd = client_open(&f, batch);

    shutdown(fd, SHUT_WR);
    assert_batch(fd);
    assert_string_equal(client_rest(fd), "");
    close(fd);
}

static void hops_between_lanes(void **state)
{
    int fd = client_open(&f, GET("/hop"));

    assert_contains(client_reply(fd), "\r\n\r\nhop 3");
    close(fd);
}

static void refuses_and_closes(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET /x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
         "HTTP/1.1 501 Not Implemented\r\n"},
        {"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
         "HTTP/1.1 400 Bad Request\r\n"},
        {POST("/echo", "1001", ""), "HTTP/1.1 413 Content Too Large\r\n"},
        {"POST /bad HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* What follows is never taken for a request. */
        int fd = client_open(&f, cases[i].request);
        client_text(fd, GET("/event"));
        const char *reply = client_rest(fd);
        assert_memory_equal(reply, cases[i].answer, strlen(cases[i].answer));
        assert_contains(reply, "Connection: close\r\n");
        assert_null(strstr(reply + 1, "HTTP/1.1"));
        close(fd);
    }
}

/* The answer must reach a client that is still sending: no reset may overtake it. */
static void lingers_behind_a_refusal(void **state)
{
    static char more[100 * 1024];
    int fd = client_open(&f, POST("/echo", "5000000", ""));

    memset(more, 'x', sizeof more);
    client_send(fd, more, sizeof more);
    assert_starts_with(client_rest(fd), "HTTP/1.1 413 ");
    close(fd);
}

static void limits_a_body(void **state)
{
    char body[1001];
    int fd = client_open(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");

    memset(body, 'b', sizeof body);
    client_send(fd, body, 1000);
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    client_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
    client_send(fd, body, 1000);
    client_text(fd, "\r\n0\r\n\r\n");
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    client_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    client_send(fd, body, 1001);
    assert_starts_with(client_rest(fd), "HTTP/1.1 413 ");
    close(fd);
}

static void continues_only_what_is_wanted(void **state)
{
#define EXPECT(path, length)                                                                       \
    "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length                                 \
    "\r\nExpect: 100-continue\r\n\r\n"
    int fd = client_open(&f, EXPECT("/echo", "2"));

    assert_string_equal(client_reply(fd), "HTTP/1.1 100 Continue\r\n\r\n");
    client_text(fd, "ok");
    assert_contains(client_reply(fd), "\r\n\r\nok");
    client_text(fd, EXPECT("/echo", "2") "ok"); /* who does not wait needs no leave */
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    client_text(fd, EXPECT("/echo", "0"));
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    client_text(fd, EXPECT("/early", "2"));
    const char *reply = client_rest(fd);
    assert_starts_with(reply, "HTTP/1.1 401 ");
    assert_contains(reply, "Connection: close\r\n");
    close(fd);
    fd = client_open(&f, EXPECT("/echo", "2000"));
    assert_starts_with(client_rest(fd), "HTTP/1.1 413 ");
    close(fd);
}

static void answers_early_and_drops_the_body(void **state)
{
    int fd = client_open(&f, POST("/early", "10", "01234"));

    assert_starts_with(client_reply(fd), "HTTP/1.1 401 ");
    client_text(fd, "56789" GET("/event"));
    assert_contains(client_reply(fd), "\r\n\r\n/event");
    client_text(fd, POST("/early", "70000", ""));
    assert_contains(client_rest(fd), "Connection: close\r\n");
    close(fd);
}

static void sends_big_replies_to_slow_readers(void **state)
{
    int fd = client_open(&f, NULL);

    for (int i = 0; i < 20; i++)
        client_text(fd, GET("/big") GET("/event"));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(strlen(strstr(client_reply(fd), "\r\n\r\n") + 4), 4 * 1024 * 1024);
        assert_contains(client_reply(fd), "\r\n\r\n/event");
    }
    close(fd);
}

static void counts(void **state)
{
    struct http_stats s;
    int fd = client_open(&f, GET("/event") GET("/worker"));

    client_reply(fd);
    client_reply(fd);
    client_text(fd, "nonsense\r\n");
    client_rest(fd);
    close(fd);
    http_engine_stats(f.engine, &s);
    assert_int_equal(s.connections_total, 1);
    assert_int_equal(s.requests_total, 2);
    assert_int_equal(s.parse_errors, 1);
    fixture_await_done(&f, 3);
    assert_int_equal(f.done, 3);
}

static void says_when_the_address_is_in_use(void **state)
{
    struct http_options options = f.options;
    struct http_engine *other = NULL;

    options.port = http_engine_port(f.engine);
    assert_true(http_engine_start(&options, &f.app, &other) < 0);
    assert_null(other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_connection),
        TEST(answers_without_a_body),
        TEST(speaks_http_1_0),
        TEST(answers_a_pipeline_in_order),
        TEST(answers_what_comes_in_single_bytes),
        TEST(answers_after_a_half_close),
        TEST(hops_between_lanes),
        TEST(refuses_and_closes),
        TEST(lingers_behind_a_refusal),
        TEST(limits_a_body),
        TEST(continues_only_what_is_wanted),
        TEST(answers_early_and_drops_the_body),
        TEST(sends_big_replies_to_slow_readers),
        TEST(counts),
        TEST(says_when_the_address_is_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
