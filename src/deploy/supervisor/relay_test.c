/* Connections are carried on, held, cut and bounded; nothing of what they carry is lost. */
#include "deploy/supervisor/relay.h"

#include "base/clock.h"
#include "deploy/supervisor/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 10000, HOLD_MS = 400, LARGE = 64 << 20, PIECE = 1 << 16 };

/* The relay, a release behind it, and what is between. */
struct world {
    struct loop loop;
    struct relay relay;
    struct relay_place place;
    bool there;        /* the release can be chosen */
    int port, release; /* where the relay listens; the listening socket of the release */
};

static struct relay_place *choose(void *context)
{
    struct world *w = context;

    return w->there ? &w->place : NULL;
}

static int listen_at(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(loop_open(&w->loop), 0);
    w->relay = (struct relay){
        .loop = &w->loop, .choose = choose, .context = w, .hold_ms = HOLD_MS, .max = 4};
    relay_listen_on(&w->relay, listen_at(&w->port));
    w->release = listen_at(&w->place.port);
    assert_int_equal(listen(w->release, 16), 0);
    w->place.family = AF_INET;
    w->there = true;
    assert_int_equal(relay_accept(&w->relay, true), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    relay_close(&w->relay);
    assert_int_equal(w->place.open, 0);
    assert_int_equal(w->relay.held, 0);
    loop_close(&w->loop);
    close(w->release);
    free(w);
    return 0;
}

static void turn(struct world *w)
{
    relay_tend(&w->relay);
    assert_int_equal(loop_round(&w->loop, 5), 0);
}

static int client(struct world *w)
{
    struct relay_place front = {.port = w->port, .family = AF_INET};
    int fd = relay_connect(&front);

    assert_true(fd >= 0);
    return fd;
}

/* Turns until the release has a connection; -1 where none comes. */
static int accepted(struct world *w, int64_t ms)
{
    int64_t until = clock_mono() + ms;

    while (clock_mono() < until) {
        int fd = accept4(w->release, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            return fd;
        turn(w);
    }
    return -1;
}

/* Turns until bytes come. Returns their number, 0 at the end, or -errno. */
static ssize_t received(struct world *w, int fd, char *p, size_t n)
{
    int64_t until = clock_mono() + LIMIT_MS;

    while (clock_mono() < until) {
        ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
        if (got >= 0)
            return got;
        if (errno != EAGAIN)
            return -errno;
        turn(w);
    }
    return -ETIMEDOUT;
}

static void assert_carries(struct world *w, int from, int to, const char *text)
{
    char got[64];

    assert_int_equal(send(from, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    assert_int_equal(received(w, to, got, sizeof got), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static void test_both_ways_and_the_ends(void **state)
{
    struct world *w = *state;
    char got[8];
    int c = client(w), r = accepted(w, LIMIT_MS);

    assert_carries(w, c, r, "question");
    assert_carries(w, r, c, "answer");
    assert_int_equal(w->place.open, 1);
    assert_int_equal(shutdown(c, SHUT_WR), 0);
    assert_int_equal(received(w, r, got, sizeof got), 0);
    assert_carries(w, r, c, "more, though it was told the end");
    close(r);
    assert_int_equal(received(w, c, got, sizeof got), 0);
    close(c);
    turn(w);
    assert_int_equal(w->relay.n, 0);
}

static void test_a_reset_is_passed_on(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct world *w = *state;
    char got[8];
    int c = client(w), r = accepted(w, LIMIT_MS);

    assert_carries(w, c, r, "question");
    setsockopt(r, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(r);
    assert_int_equal(received(w, c, got, sizeof got), -ECONNRESET);
    close(c);
}

/* The receiver sleeps: what is sent stops at what the kernel and we hold, and goes on with it. */
static void test_back_pressure(void **state)
{
    struct world *w = *state;
    static char piece[PIECE], got[PIECE];
    size_t sent = 0, came = 0;
    int c = client(w), r = accepted(w, LIMIT_MS), idle = 0;

    while (sent < LARGE && idle < 20) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = (char)((sent + i) % 251);
        ssize_t n = send(r, piece, PIECE, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    assert_int_equal(idle, 20);
    assert_true(sent < LARGE);
    close(r);
    while (came < sent) {
        ssize_t n = received(w, c, got, sizeof got);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            if (got[i] != (char)((came + (size_t)i) % 251))
                fail_msg("byte %zu is another", came + (size_t)i);
        came += (size_t)n;
    }
    assert_int_equal(received(w, c, got, sizeof got), 0);
    close(c);
}

static void test_held_until_the_release_is_there(void **state)
{
    struct world *w = *state;
    int c;

    w->there = false;
    c = client(w);
    assert_int_equal(accepted(w, 100), -1);
    assert_int_equal(w->relay.held, 1);
    assert_int_equal(send(c, "early", 5, MSG_NOSIGNAL), 5);
    w->there = true;
    int r = accepted(w, LIMIT_MS);
    assert_true(r >= 0);
    assert_carries(w, r, c, "answer");
    close(r);
    close(c);
}

static void test_held_while_it_refuses(void **state)
{
    struct world *w = *state;
    int c, port = w->place.port;

    w->place.port = port_choose(0);
    c = client(w);
    assert_int_equal(accepted(w, 100), -1);
    assert_int_equal(w->place.open, 0);
    w->place.port = port;
    int r = accepted(w, LIMIT_MS);
    assert_true(r >= 0);
    close(r);
    close(c);
}

static void test_held_no_longer_than_it_may_be(void **state)
{
    struct world *w = *state;
    int64_t began = clock_mono();
    char got[8];
    int c;

    w->there = false;
    c = client(w);
    assert_int_equal(received(w, c, got, sizeof got), -ECONNRESET);
    assert_true(clock_mono() - began >= HOLD_MS);
    assert_int_equal(w->relay.n, 0);
    close(c);
}

static void test_the_limit(void **state)
{
    struct world *w = *state;
    int c[5], r[5];

    for (int i = 0; i < 5; i++)
        c[i] = client(w);
    for (int i = 0; i < 4; i++)
        assert_true((r[i] = accepted(w, LIMIT_MS)) >= 0);
    assert_int_equal(accepted(w, 100), -1);
    assert_int_equal(w->relay.n, 4);
    close(r[0]);
    close(c[0]);
    assert_true((r[4] = accepted(w, LIMIT_MS)) >= 0);
    for (int i = 1; i < 5; i++) {
        close(r[i]);
        close(c[i]);
    }
}

static void test_cut(void **state)
{
    struct world *w = *state;
    char got[8];
    int c = client(w), r = accepted(w, LIMIT_MS);

    assert_carries(w, c, r, "question");
    relay_cut(&w->relay, &w->place);
    assert_int_equal(w->place.open, 0);
    assert_true(received(w, c, got, sizeof got) <= 0);
    close(r);
    close(c);
}

static void test_taking_none(void **state)
{
    struct world *w = *state;
    int c;

    assert_int_equal(relay_accept(&w->relay, false), 0);
    c = client(w);
    assert_int_equal(accepted(w, 100), -1);
    assert_int_equal(relay_accept(&w->relay, true), 0);
    int r = accepted(w, LIMIT_MS);
    assert_true(r >= 0);
    close(r);
    close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RELAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        RELAY_TEST(test_both_ways_and_the_ends),
        RELAY_TEST(test_a_reset_is_passed_on),
        RELAY_TEST(test_back_pressure),
        RELAY_TEST(test_held_until_the_release_is_there),
        RELAY_TEST(test_held_while_it_refuses),
        RELAY_TEST(test_held_no_longer_than_it_may_be),
        RELAY_TEST(test_the_limit),
        RELAY_TEST(test_cut),
        RELAY_TEST(test_taking_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
