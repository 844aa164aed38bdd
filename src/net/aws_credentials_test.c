#include "net/aws_credentials.h"

#include "net/aws_fixture.h"

enum { THREADS = 8, LIFE_MS = CLOCK_HOUR };

struct scene {
    struct aws_peer *peer;
    struct aws_options options;
    struct aws_credentials *credentials;
    char documents[3][256];
    struct aws_peer_row rows[2];
    atomic_int started;
};

/* Credentials of this number that expire so long from now. */
static void give(struct scene *s, int number, int64_t life)
{
    char when[CLOCK_TEXT_SIZE];

    clock_format(clock_now() + life, when);
    snprintf(s->documents[number], sizeof s->documents[number],
             "{\"AccessKeyId\":\"KEY%d\",\"SecretAccessKey\":\"s\",\"Expiration\":\"%s\"}", number,
             when);
    s->rows[0] = (struct aws_peer_row){"GET", 200, NULL, s->documents[number]};
    aws_peer_answer(s->peer, s->rows);
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->peer = aws_peer_start(s->rows);
    s->options.sources.container_full = str_of(s->peer->origin);
    assert_int_equal(aws_credentials_new(&s->options, &s->credentials), 0);
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
    aws_credentials_free(s->credentials);
    aws_peer_stop(s->peer);
    free(s);
    return 0;
}

static unsigned expect_key(struct scene *s, int number)
{
    char reason[AWS_TEXT_SIZE] = "", id[8];
    struct aws_keys keys;
    unsigned turn;
    int r = aws_credentials_get(s->credentials, &keys, &turn, reason);

    if (r)
        fail_msg("%d %s", r, reason);
    snprintf(id, sizeof id, "KEY%d", number);
    assert_string_equal(keys.key_id, id);
    return turn;
}

static void expect_none(struct scene *s, const char *said)
{
    char reason[AWS_TEXT_SIZE] = "";
    struct aws_keys keys;
    unsigned turn;

    assert_int_equal(aws_credentials_get(s->credentials, &keys, &turn, reason), AWS_SOURCES_NONE);
    if (!strstr(reason, said))
        fail_msg("not said: %s\nbut: %s", said, reason);
}

/* What a thread got. */
struct got {
    struct scene *s;
    pthread_t thread;
    int result;
    struct aws_keys keys;
    unsigned turn;
    char reason[AWS_TEXT_SIZE];
};

static void *get(void *context)
{
    struct got *g = context;

    atomic_fetch_add(&g->s->started, 1);
    g->result = aws_credentials_get(g->s->credentials, &g->keys, &g->turn, g->reason);
    return NULL;
}

static void start(struct scene *s, struct got *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g[i] = (struct got){.s = s};
        assert_int_equal(pthread_create(&g[i].thread, NULL, get, &g[i]), 0);
    }
}

static void join(struct got *g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pthread_join(g[i].thread, NULL);
}

static void test_one_fetches_while_others_wait(void **state)
{
    struct scene *s = *state;
    struct got got[THREADS];

    give(s, 0, LIFE_MS);
    aws_peer_hold(s->peer, true);
    start(s, got, THREADS);
    aws_peer_await(s->peer, 1);
    while (atomic_load(&s->started) < THREADS)
        sched_yield();
    aws_peer_hold(s->peer, false);
    join(got, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(got[i].result, 0);
        assert_string_equal(got[i].keys.key_id, "KEY0");
        assert_int_equal(got[i].turn, 1);
    }
    expect_key(s, 0);
    assert_int_equal(aws_peer_count(s->peer), 1);
}

static void test_renewed_before_they_expire(void **state)
{
    struct scene *s = *state;
    struct got got;

    give(s, 0, LIFE_MS);
    expect_key(s, 0);
    set_clock(LIFE_MS - AWS_RENEW_MS - CLOCK_SECOND * 10);
    give(s, 1, LIFE_MS);
    expect_key(s, 0);
    assert_int_equal(aws_peer_count(s->peer), 0);
    /* One fetches; the others go on with what is still good. */
    set_clock(LIFE_MS - AWS_RENEW_MS + CLOCK_SECOND);
    aws_peer_hold(s->peer, true);
    start(s, &got, 1);
    aws_peer_await(s->peer, 1);
    assert_int_equal(expect_key(s, 0), 1);
    aws_peer_hold(s->peer, false);
    join(&got, 1);
    assert_string_equal(got.keys.key_id, "KEY1");
    assert_int_equal(expect_key(s, 1), 2);
    assert_int_equal(aws_peer_count(s->peer), 1);
}

static void test_waited_for_once_they_are_nearly_over(void **state)
{
    struct scene *s = *state;
    struct got got[THREADS];

    give(s, 0, LIFE_MS);
    expect_key(s, 0);
    set_clock(LIFE_MS - AWS_WAIT_MS + CLOCK_SECOND);
    give(s, 1, LIFE_MS);
    aws_peer_hold(s->peer, true);
    start(s, got, THREADS);
    aws_peer_await(s->peer, 1);
    while (atomic_load(&s->started) < THREADS)
        sched_yield();
    aws_peer_hold(s->peer, false);
    join(got, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        assert_string_equal(got[i].keys.key_id, "KEY1");
    assert_int_equal(aws_peer_count(s->peer), 1);
}

static void test_failed_renewal_costs_nothing_while_they_are_good(void **state)
{
    struct scene *s = *state;

    give(s, 0, LIFE_MS);
    expect_key(s, 0);
    s->rows[0].status = 500;
    aws_peer_answer(s->peer, s->rows);
    set_clock(LIFE_MS - AWS_RENEW_MS + CLOCK_SECOND);
    expect_key(s, 0);
    assert_int_equal(aws_peer_count(s->peer), 1);
    expect_key(s, 0); /* not asked again at once */
    assert_int_equal(aws_peer_count(s->peer), 1);
    set_clock(LIFE_MS - AWS_RENEW_MS + AWS_AGAIN_MS + 2 * CLOCK_SECOND);
    expect_key(s, 0);
    assert_int_equal(aws_peer_count(s->peer), 2);
    set_clock(LIFE_MS + CLOCK_SECOND);
    expect_none(s, "it answers 500");
    assert_int_equal(aws_peer_count(s->peer), 3);
}

static void test_failure_answers_for_others_for_a_second(void **state)
{
    struct scene *s = *state;
    struct got got[THREADS];

    s->rows[0] = (struct aws_peer_row){"GET", 500, NULL, NULL};
    aws_peer_answer(s->peer, s->rows);
    aws_peer_hold(s->peer, true);
    start(s, got, THREADS);
    aws_peer_await(s->peer, 1);
    while (atomic_load(&s->started) < THREADS)
        sched_yield();
    aws_peer_hold(s->peer, false);
    join(got, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(got[i].result, AWS_SOURCES_NONE);
        assert_non_null(strstr(got[i].reason, "it answers 500"));
    }
    assert_int_equal(aws_peer_count(s->peer), 1);
    give(s, 1, LIFE_MS);
    set_clock(2 * CLOCK_SECOND);
    expect_key(s, 1);
}

static void test_given_but_over(void **state)
{
    struct scene *s = *state;

    give(s, 0, -CLOCK_SECOND);
    expect_none(s, "the credentials that are given have expired");
}

static void test_dropped(void **state)
{
    struct scene *s = *state;
    unsigned turn;

    give(s, 0, LIFE_MS);
    turn = expect_key(s, 0);
    give(s, 1, LIFE_MS);
    assert_true(aws_credentials_drop(s->credentials, turn));
    assert_int_equal(expect_key(s, 1), turn + 1);
    /* Another was told of the same ones meanwhile: the new ones stay. */
    give(s, 2, LIFE_MS);
    assert_true(aws_credentials_drop(s->credentials, turn));
    expect_key(s, 1);
}

static void test_those_of_settings_stay(void **state)
{
    struct scene *s = *state;

    s->options.sources = (struct aws_sources){.key_id = STR("KEY0"), .secret = STR("s")};
    unsigned turn = expect_key(s, 0);
    set_clock((int64_t)1000 * CLOCK_DAY);
    assert_int_equal(expect_key(s, 0), turn);
    assert_false(aws_credentials_drop(s->credentials, turn));
    assert_int_equal(expect_key(s, 0), turn);
    assert_int_equal(aws_peer_count(s->peer), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_fetches_while_others_wait),
        TEST(test_renewed_before_they_expire),
        TEST(test_waited_for_once_they_are_nearly_over),
        TEST(test_failed_renewal_costs_nothing_while_they_are_good),
        TEST(test_failure_answers_for_others_for_a_second),
        TEST(test_given_but_over),
        TEST(test_dropped),
        TEST(test_those_of_settings_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
