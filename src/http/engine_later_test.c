/* Requests that somebody else finishes: no thread waits for them, and none is lost. */
#include "http/engine_fixture.h"

#include <pthread.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

enum { KEPT_MAX = 16 };

static struct fixture f;
static struct kept {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_request *requests[KEPT_MAX];
    struct http_reply *replies[KEPT_MAX];
    int n;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void finish(struct http_request *r, struct http_reply *reply)
{
    reply->status = 200;
    buf_printf(&reply->body, "later %.*s", STR_ARG(r->query));
    http_finish(r);
}

/* "?now" is answered at once, "?at-once" before run returns, others by whoever takes them. */
static enum http_lane run(void *context, struct http_request *r, struct http_reply *reply)
{
    if (str_eq(r->query, STR("now"))) {
        reply->status = 200;
        buf_add_str(&reply->body, STR("now"));
        return LANE_EVENT;
    }
    assert_true(r->can_wait);
    http_later(r);
    if (str_eq(r->query, STR("at-once"))) {
        finish(r, reply);
        return LANE_LATER;
    }
    pthread_mutex_lock(&kept.lock);
    kept.requests[kept.n] = r;
    kept.replies[kept.n++] = reply;
    pthread_cond_broadcast(&kept.changed);
    pthread_mutex_unlock(&kept.lock);
    return LANE_LATER;
}

static void await_kept(int n)
{
    pthread_mutex_lock(&kept.lock);
    while (kept.n < n)
        pthread_cond_wait(&kept.changed, &kept.lock);
    pthread_mutex_unlock(&kept.lock);
}

static int setup(void **state)
{
    fixture_init(&f);
    f.app.run = run;
    kept.n = 0;
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

static void expect(int fd, const char *body)
{
    const char *reply = client_reply(fd);

    assert_starts_with(reply, "HTTP/1.1 200 OK\r\n");
    assert_string_equal(strstr(reply, "\r\n\r\n") + 4, body);
}

/* From the event thread and from a worker, in whatever order; the connection goes on. */
static void is_answered_by_another_thread(void **state)
{
    fixture_start(&f);
    int a = client_open(&f, GET("/event?a") GET("/event?now"));
    await_kept(1);
    int b = client_open(&f, GET("/worker?b"));
    await_kept(2);
    finish(kept.requests[1], kept.replies[1]);
    expect(b, "later b");
    finish(kept.requests[0], kept.replies[0]);
    expect(a, "later a");
    expect(a, "now");
    close(a);
    close(b);
}

static void may_be_finished_before_run_returns(void **state)
{
    fixture_start(&f);
    int fd = client_open(&f, NULL);

    for (int i = 0; i < 50; i++) {
        client_text(fd, i % 2 ? GET("/event?at-once") : GET("/worker?at-once"));
        expect(fd, "later at-once");
    }
    close(fd);
}

/* More wait than there are workers, and another is served. */
static void holds_no_worker(void **state)
{
    enum { N = 6 };
    int fds[N];

    fixture_start(&f);
    for (int i = 0; i < N; i++)
        fds[i] = client_open(&f, GET("/worker?x"));
    await_kept(N);
    int other = client_open(&f, GET("/worker?now"));
    expect(other, "now");
    for (int i = 0; i < N; i++)
        finish(kept.requests[i], kept.replies[i]);
    for (int i = 0; i < N; i++) {
        expect(fds[i], "later x");
        close(fds[i]);
    }
    close(other);
}

static void drops_the_reply_of_a_client_that_left(void **state)
{
    fixture_start(&f);
    int fd = client_open(&f, GET("/event?a"));

    await_kept(1);
    close(fd);
    fd = client_open(&f, GET("/event?now"));
    expect(fd, "now");
    finish(kept.requests[0], kept.replies[0]);
    fixture_await_done(&f, 2);
    close(fd);
}

static void *stop(void *ret)
{
    *(size_t *)ret = http_engine_stop(f.engine);
    return NULL;
}

/* The end waits for them as for any that is in work. */
static void is_answered_while_draining(void **state)
{
    pthread_t thread;
    size_t cut_off = 99;

    fixture_start(&f);
    int fd = client_open(&f, GET("/event?a"));
    await_kept(1);
    assert_int_equal(pthread_create(&thread, NULL, stop, &cut_off), 0);
    finish(kept.requests[0], kept.replies[0]);
    expect(fd, "later a");
    pthread_join(thread, NULL);
    f.engine = NULL;
    assert_int_equal(cut_off, 0);
    close(fd);
}

/* Past the drain's time the client is cut off, and the memory is still there for who finishes. */
static void is_cut_off_in_the_end(void **state)
{
    pthread_t thread;
    size_t cut_off = 99;

    f.options.drain_timeout_ms = 20;
    fixture_start(&f);
    int fd = client_open(&f, GET("/worker?a"));
    await_kept(1);
    assert_int_equal(pthread_create(&thread, NULL, stop, &cut_off), 0);
    assert_string_equal(client_rest(fd), "");
    finish(kept.requests[0], kept.replies[0]);
    pthread_join(thread, NULL);
    f.engine = NULL;
    assert_int_equal(cut_off, 1);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_answered_by_another_thread),
        TEST(may_be_finished_before_run_returns),
        TEST(holds_no_worker),
        TEST(drops_the_reply_of_a_client_that_left),
        TEST(is_answered_while_draining),
        TEST(is_cut_off_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
