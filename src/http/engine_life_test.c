/* The engine over time: deadlines, limits, streams, lost clients, and the end. */
#include "http/engine_fixture.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

enum { SHORT_MS = 150 };

static struct fixture f;

static int setup(void **state)
{
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

/* Sends c again and again until the server closes, and checks that a total deadline did it. */
static void trickle(int fd, const char *c)
{
    int64_t began = clock_mono();
    char got[64] = {0};

    while (recv(fd, got, sizeof got - 1, MSG_DONTWAIT) <= 0 && clock_mono() - began < 8000) {
        if (send(fd, c, strlen(c), MSG_NOSIGNAL) < 0)
            break;
        usleep(10 * 1000); /* the rate of a client that always seems alive */
    }
    assert_starts_with(got, "HTTP/1.1 408 Request Timeout\r\n");
    assert_true(clock_mono() - began >= SHORT_MS);
}

static void cuts_a_trickled_head(void **state)
{
    f.options.head_timeout_ms = SHORT_MS;
    fixture_start(&f);
    int fd = client_open(&f, "GET / HTTP/1.1\r\nHost: a\r\nX: ");

    trickle(fd, "x");
    close(fd);
}

static void cuts_a_trickled_body(void **state)
{
    f.options.body_timeout_ms = SHORT_MS;
    fixture_start(&f);
    int fd = client_open(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");

    trickle(fd, "x");
    close(fd);
    fd = client_open(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    trickle(fd, "1\r\nx\r\n");
    close(fd);
    fd = client_open(&f, "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
    const char *reply = client_rest(fd);
    assert_contains(reply, "\r\n\r\n1 io");
    assert_contains(reply, "Connection: close\r\n");
    close(fd);
}

static void closes_idle_connections_silently(void **state)
{
    f.options.idle_timeout_ms = SHORT_MS;
    fixture_start(&f);
    int fresh = client_open(&f, NULL), used = client_open(&f, GET("/event"));

    client_reply(used);
    assert_string_equal(client_rest(used), "");
    assert_string_equal(client_rest(fresh), "");
    close(used);
    close(fresh);
}

static void cuts_a_client_that_does_not_read(void **state)
{
    struct http_stats s;
    int small = 4096;

    f.options.write_timeout_ms = SHORT_MS;
    fixture_start(&f);
    int fd = client_open(&f, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_text(fd, GET("/write"));
    fixture_await_done(&f, 1);
    http_engine_stats(f.engine, &s);
    assert_int_equal(s.timeouts, 1);
    assert_int_equal(f.fault, FAULT_IO);
    close(fd);
}

static void limits_connections_of_an_address(void **state)
{
    f.options.connections_per_address_max = 2;
    fixture_start(&f);
    int a = client_open(&f, GET("/event")), b = client_open(&f, GET("/event"));

    client_reply(a);
    client_reply(b);
    int c = client_open(&f, NULL);
    const char *reply = client_rest(c);
    assert_starts_with(reply, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_contains(reply, "Retry-After: ");
    close(c);
    close(a);
    /* The place is free once the server has seen the close. */
    struct http_stats s;
    do {
        http_engine_stats(f.engine, &s);
    } while (s.connections_open > 1);
    assert_int_equal(s.connections_refused, 1);
    c = client_open(&f, GET("/event"));
    assert_starts_with(client_reply(c), "HTTP/1.1 200 ");
    close(b);
    close(c);
}

static void limits_connections(void **state)
{
    f.options.connections_max = 1;
    fixture_start(&f);
    int a = client_open(&f, GET("/event"));

    client_reply(a);
    int b = client_open(&f, NULL);
    assert_starts_with(client_rest(b), "HTTP/1.1 503 ");
    close(a);
    close(b);
}

static bool trust_all(void *context, const struct in6_addr *peer)
{
    return IN6_IS_ADDR_V4MAPPED(peer) && peer->s6_addr[12] == 127;
}

static void exempts_trusted_peers(void **state)
{
    f.options.connections_per_address_max = 1;
    f.app.trusts_peer = trust_all;
    fixture_start(&f);
    int a = client_open(&f, GET("/event")), b = client_open(&f, GET("/event"));

    client_reply(a);
    assert_starts_with(client_reply(b), "HTTP/1.1 200 ");
    close(a);
    close(b);
}

static void refuses_past_a_full_queue(void **state)
{
    struct http_stats s;

    f.options.workers = 1;
    f.options.worker_queue_max = 1;
    fixture_start(&f);
    int running = client_open(&f, GET("/hold"));
    fixture_await_held(&f, 1);
    int queued = client_open(&f, GET("/worker"));
    do {
        http_engine_stats(f.engine, &s);
    } while (s.lane_queued[LANE_WORKER] == 0);
    assert_int_equal(s.lane_busy[LANE_WORKER], 1);
    int third = client_open(&f, GET("/worker"));
    const char *reply = client_rest(third);
    assert_starts_with(reply, "HTTP/1.1 503 ");
    assert_contains(reply, "Retry-After: ");
    /* The event lane is as quick as ever. */
    int fast = client_open(&f, GET("/event"));
    assert_starts_with(client_reply(fast), "HTTP/1.1 200 ");
    fixture_open(&f);
    assert_starts_with(client_reply(running), "HTTP/1.1 200 ");
    assert_starts_with(client_reply(queued), "HTTP/1.1 200 ");
    close(running);
    close(queued);
    close(third);
    close(fast);
}

static int64_t cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000LL +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* Without a free descriptor accepting pauses: it does not spin, and goes on afterwards. */
static void survives_the_end_of_descriptors(void **state)
{
    struct rlimit old, tight;

    fixture_start(&f);
    int warm = client_open(&f, GET("/event"));
    client_reply(warm);
    getrlimit(RLIMIT_NOFILE, &old);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    tight = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &tight);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_engine_port(f.engine)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    client_text(fd, GET("/event"));
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    int64_t before = cpu_ms();
    assert_int_equal(poll(&answer, 1, 400), 0);
    assert_true(cpu_ms() - before < 200);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    close(fd);
    close(warm);
}

static void reset(int fd)
{
    struct linger none = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* The answer to a dead connection is dropped, and reported once. */
static void outlives_its_client(void **state)
{
    struct http_stats s;

    fixture_start(&f);
    int lost = client_open(&f, GET("/hold"));
    fixture_await_held(&f, 1);
    reset(lost);
    int half = client_open(&f, GET("/hold"));
    shutdown(half, SHUT_WR); /* who only ends sending still gets the answer */
    fixture_await_held(&f, 2);
    do {
        http_engine_stats(f.engine, &s);
    } while (s.connections_open > 1);
    fixture_open(&f);
    assert_contains(client_rest(half), "\r\n\r\n/hold");
    close(half);
    fixture_await_done(&f, 2);
    int fd = client_open(&f, GET("/worker"));
    assert_starts_with(client_reply(fd), "HTTP/1.1 200 ");
    close(fd);
    assert_int_equal(f.done, 3);
}

static void reads_a_streamed_body(void **state)
{
    static char mega[1024 * 1024 + 1];
    struct http_stats s;

    fixture_start(&f);
    int fd = client_open(&f, "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    client_send(fd, mega, sizeof mega - 1);
    assert_contains(client_reply(fd), "\r\n\r\n1048576 ok");
    client_text(fd, GET("/read")); /* no body: its end comes at once */
    assert_contains(client_reply(fd), "\r\n\r\n0 ok");
    client_text(fd,
                "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
    client_send(fd, mega, sizeof mega);
    const char *reply = client_rest(fd);
    assert_contains(reply, " limit");
    assert_contains(reply, "Connection: close\r\n");
    close(fd);
    fd = client_open(&f, "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx");
    assert_contains(client_rest(fd), "\r\n\r\n0 io");
    close(fd);
    fixture_await_done(&f, 4);
    do {
        http_engine_stats(f.engine, &s);
    } while (s.lane_busy[LANE_WORKER] > 0);
    fd = client_open(&f, "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    do {
        http_engine_stats(f.engine, &s);
    } while (s.lane_busy[LANE_WORKER] == 0);
    reset(fd);
    fixture_await_done(&f, 5);
    assert_int_equal(f.fault, FAULT_IO);
}

static void streams_a_reply(void **state)
{
    fixture_start(&f);
    int fd = client_open(&f, GET("/write"));
    shutdown(fd, SHUT_WR);
    const char *reply = client_rest(fd);
    assert_starts_with(reply, "HTTP/1.1 200 OK\r\n");
    assert_contains(reply, "Transfer-Encoding: chunked\r\n\r\n4000\r\n");
    assert_lacks(reply, "Content-Length");
    fixture_await_done(&f, 1);
    assert_int_equal(f.body_bytes, 4 * 1024 * 1024);
    assert_int_equal(f.fault, 0);
    close(fd);
    fd = client_open(&f, "HEAD /write HTTP/1.1\r\nHost: a\r\n\r\n" GET("/event"));
    assert_contains(client_reply(fd), "Transfer-Encoding: chunked\r\n");
    assert_contains(client_reply(fd), "\r\n\r\n/event");
    reset(fd);
}

static void streams_both_ways(void **state)
{
    fixture_start(&f);
    int fd = client_open(&f, "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    const char *reply = client_reply(fd);
    assert_contains(reply, "Transfer-Encoding: chunked\r\n");
    char chunk[8];
    assert_int_equal(recv(fd, chunk, sizeof chunk, MSG_WAITALL), 8);
    assert_memory_equal(chunk, "3\r\nabc\r\n", 8);
    client_text(fd, "def");
    assert_string_equal(client_rest(fd), "3\r\ndef\r\n0\r\n\r\n");
    close(fd);
}

static void shows_that_a_stream_was_aborted(void **state)
{
    fixture_start(&f);
    int fd = client_open(&f, "POST /abort HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");

    assert_true(client_was_reset(fd));
    close(fd);
}

static void *stop(void *cut_off)
{
    *(size_t *)cut_off = http_engine_stop(f.engine);
    return NULL;
}

static void drains(void **state)
{
    size_t cut_off = 99;
    pthread_t stopper;

    fixture_start(&f);
    int port = http_engine_port(f.engine);
    int idle = client_open(&f, GET("/event")), working = client_open(&f, GET("/hold"));
    client_reply(idle);
    fixture_await_held(&f, 1);
    pthread_create(&stopper, NULL, stop, &cut_off);
    assert_string_equal(client_rest(idle), ""); /* at once, while the other is in work */
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late, r;
    do { /* the loops close their listeners one after the other */
        late = socket(AF_INET, SOCK_STREAM, 0);
        r = connect(late, (struct sockaddr *)&a, sizeof a);
        int error = r ? errno : 0;
        close(late);
        /* Reset: it met the listener between the handshake and the close. */
        if (error && error != ECONNREFUSED && error != ECONNRESET)
            print_error("connecting to a draining server: errno %d\n", error);
        r = error == ECONNREFUSED;
    } while (r == 0);
    fixture_open(&f);
    const char *reply = client_rest(working);
    assert_starts_with(reply, "HTTP/1.1 200 ");
    assert_contains(reply, "Connection: close\r\n");
    pthread_join(stopper, NULL);
    f.engine = NULL;
    assert_int_equal(cut_off, 0);
    close(idle);
    close(working);
}

static void counts_what_draining_cut_off(void **state)
{
    struct http_stats s;

    f.options.drain_timeout_ms = SHORT_MS;
    fixture_start(&f);
    int fd = client_open(&f, "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    do {
        http_engine_stats(f.engine, &s);
    } while (s.lane_busy[LANE_WORKER] == 0);
    assert_int_equal(http_engine_stop(f.engine), 1);
    f.engine = NULL;
    assert_int_equal(f.fault, FAULT_IO);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(cuts_a_trickled_head),
        TEST(cuts_a_trickled_body),
        TEST(closes_idle_connections_silently),
        TEST(cuts_a_client_that_does_not_read),
        TEST(limits_connections_of_an_address),
        TEST(limits_connections),
        TEST(exempts_trusted_peers),
        TEST(refuses_past_a_full_queue),
        TEST(survives_the_end_of_descriptors),
        TEST(outlives_its_client),
        TEST(reads_a_streamed_body),
        TEST(streams_a_reply),
        TEST(streams_both_ways),
        TEST(shows_that_a_stream_was_aborted),
        TEST(drains),
        TEST(counts_what_draining_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
