/* Probing: one bad answer decides nothing, and neither does one good one. */
#include "deploy/probe.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/fixture.h"

/* Answers by a script: 'g' good, 'b' not; its last letter for ever. */
struct script {
    const char *letters;
    int64_t at[64]; /* when each was asked */
    size_t n;
    atomic_int *cancel_at_end;
};

static int ask(void *context, char why[PROBE_WHY_SIZE])
{
    struct script *s = context;
    size_t last = strlen(s->letters) - 1;
    char letter = s->letters[s->n < last ? s->n : last];

    assert_true(s->n < 64);
    s->at[s->n++] = clock_mono();
    if (s->cancel_at_end && s->n > last)
        atomic_store(s->cancel_at_end, 1);
    snprintf(why, PROBE_WHY_SIZE, "answer %zu", s->n);
    return letter == 'g' ? 0 : 1;
}

static struct probe_result result;

static int run(struct script *s, struct probe p)
{
    p.ask = ask;
    p.context = s;
    p.successes = 3;
    p.interval_ms = p.interval_ms ? p.interval_ms : 5;
    p.within_ms = p.within_ms ? p.within_ms : 60000;
    p.retries = p.retries ? p.retries : 30000;
    p.failing_ms = p.failing_ms ? p.failing_ms : 60000;
    return probe_run(&p, &result);
}

static void test_in_a_row(void **state)
{
    struct script s = {.letters = "bbggbggg"};

    assert_int_equal(run(&s, (struct probe){0}), 0);
    assert_int_equal(result.asked, 8);
    assert_int_equal(result.good, 5);
    for (size_t i = 1; i < s.n; i++)
        assert_true(s.at[i] - s.at[i - 1] >= 4);
}

static void test_tries(void **state)
{
    struct script s = {.letters = "b"};

    assert_int_equal(run(&s, (struct probe){.retries = 4, .within_ms = 40}), PROBE_TIMEOUT);
    assert_int_equal(result.asked, 4);
    assert_string_equal(fault_message(), "never well in 4 tries over 0 s; last: answer 4");
    assert_true(s.at[3] - s.at[0] >= 27); /* spread over the limit */
}

static void test_ill(void **state)
{
    struct script s = {.letters = "gb"};

    assert_int_equal(run(&s, (struct probe){.failing_ms = 30}), PROBE_ILL);
    assert_true(s.at[s.n - 1] - s.at[0] >= 25);
    assert_true(s.n > 3);
    assert_non_null(strstr(fault_message(), "not well for 0 s: answer "));
}

static void test_flapping(void **state)
{
    struct script s = {.letters = "gbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgbgb"};

    assert_int_equal(run(&s, (struct probe){.within_ms = 100}), PROBE_TIMEOUT);
    assert_non_null(strstr(fault_message(), "never 3 in a row; last: answer "));
}

static void test_cancelled(void **state)
{
    atomic_int cancel = 0;
    struct script s = {.letters = "b", .cancel_at_end = &cancel};

    assert_int_equal(
        run(&s, (struct probe){.interval_ms = 60000, .cancel = &cancel, .within_ms = 600000}),
        PROBE_CANCELLED);
    assert_int_equal(s.n, 1);
}

static void answer(struct peer_conn *c, void *context)
{
    char line[1000];

    while (peer_read_line(c, line, sizeof line) && line[0])
        ;
    peer_write(c, context, strlen(context));
}

static int ask_peer(const char *reply, char why[PROBE_WHY_SIZE])
{
    char text[200], url[64];
    struct peer peer = {.serve = answer, .context = text};

    snprintf(text, sizeof text, "%s", reply);
    peer_start(&peer);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/health", peer.port);
    struct probe_http h = {.url = url, .timeout_ms = 5000};
    int r = probe_ask_http(&h, why);
    peer_stop(&peer);
    return r;
}

static void test_http(void **state)
{
    char why[PROBE_WHY_SIZE] = "", url[64];

    assert_int_equal(ask_peer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", why), 0);
    assert_int_equal(ask_peer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", why), 1);
    assert_string_equal(why, "answered 503");
    assert_int_equal(ask_peer("HTTP/1.1 301 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", why),
                     1);
    assert_string_equal(why, "answered 301");
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer_dead_port());
    struct probe_http dead = {.url = url, .timeout_ms = 5000};
    assert_int_equal(probe_ask_http(&dead, why), 1);
    assert_true(strlen(why) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_a_row),  cmocka_unit_test(test_tries),
        cmocka_unit_test(test_ill),       cmocka_unit_test(test_flapping),
        cmocka_unit_test(test_cancelled), cmocka_unit_test(test_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
