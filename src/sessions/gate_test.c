/* The gate: what ended stays ended, an account is never older than what was forgotten of it. */
#include "sessions/gate.h"

#include "base/clock.h"
#include "crypto/init.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 50000, BOUND = 1600, SHARDS_SLACK = 16, THREADS = 4, ROUNDS = 4000 };

static int set_up(void **state)
{
    struct gate *g = NULL;

    assert_int_equal(crypto_init(), 0);
    assert_int_equal(gate_new(BOUND, &g), 0);
    *state = g;
    return 0;
}

static int tear_down(void **state)
{
    gate_free(*state);
    return 0;
}

static struct uuid id(uint32_t n)
{
    struct uuid u = {{0}};

    memcpy(u.b, &n, sizeof n);
    return u;
}

static struct gate_stats stats(struct gate *g)
{
    struct gate_stats s;

    gate_stats(g, &s);
    return s;
}

static int put(struct gate *g, uint32_t n, int64_t not_before)
{
    struct gate_account a = {.user_id = id(n), .not_before = not_before};

    return gate_account_put(g, gate_account_ticket(g, &a.user_id), &a);
}

/* -1 where it is not there. */
static int64_t not_before(struct gate *g, uint32_t n)
{
    struct gate_account a;
    struct uuid u = id(n);

    return gate_account_find(g, &u, &a) ? -1 : a.not_before;
}

static void test_many_families(void **state)
{
    struct gate *g = *state;

    for (uint32_t i = 0; i < MANY; i++) {
        struct uuid u = id(i);
        assert_false(gate_family_ended(g, &u));
        assert_int_equal(gate_end_family(g, &u, i), 0);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct uuid u = id(i);
        assert_true(gate_family_ended(g, &u));
    }
    assert_int_equal(stats(g).families, MANY);
    gate_reap(g, 9999);
    assert_int_equal(stats(g).families, MANY - 10000);
    for (uint32_t i = 0; i < MANY; i++) {
        struct uuid u = id(i);
        assert_int_equal(gate_family_ended(g, &u), i > 9999);
    }
    gate_reap(g, MANY);
    assert_int_equal(stats(g).families, 0);
    struct uuid u = id(1);
    assert_false(gate_family_ended(g, &u));
    assert_int_equal(gate_end_family(g, &u, MANY * 2), 0);
    assert_true(gate_family_ended(g, &u));
}

/* A family is held as long as any who ended it said. */
static void test_expiry_only_grows(void **state)
{
    struct gate *g = *state;
    struct uuid u = id(1);

    assert_int_equal(gate_end_family(g, &u, 200), 0);
    assert_int_equal(gate_end_family(g, &u, 100), 0);
    assert_int_equal(stats(g).families, 1);
    gate_reap(g, 199);
    assert_true(gate_family_ended(g, &u));
    assert_int_equal(gate_end_family(g, &u, 300), 0);
    gate_reap(g, 299);
    assert_true(gate_family_ended(g, &u));
    gate_reap(g, 300);
    assert_false(gate_family_ended(g, &u));
}

/* A clock that leaps ahead makes nothing forgotten: it may be put back. */
static void test_a_leap_of_the_clock(void **state)
{
    struct gate *g = *state;
    struct uuid soon = id(1), late = id(2);
    int64_t now = clock_now();

    assert_int_equal(gate_end_family(g, &soon, now + 50), 0);
    assert_int_equal(gate_end_family(g, &late, now + CLOCK_HOUR), 0);
    clock_shift(CLOCK_DAY);
    gate_reap(g, clock_now());
    assert_true(gate_family_ended(g, &late));
    for (int64_t until = clock_mono() + CLOCK_MINUTE;
         gate_family_ended(g, &soon) && clock_mono() < until;)
        gate_reap(g, clock_now());
    assert_false(gate_family_ended(g, &soon));
    assert_true(gate_family_ended(g, &late));
    clock_shift(-CLOCK_DAY);
}

static void test_accounts(void **state)
{
    struct gate *g = *state;

    assert_int_equal(not_before(g, 1), -1);
    assert_int_equal(put(g, 1, 10), 0);
    assert_int_equal(not_before(g, 1), 10);
    assert_int_equal(put(g, 1, 20), 0);
    assert_int_equal(not_before(g, 1), 20);
    assert_int_equal(stats(g).accounts, 1);
    struct uuid u = id(1);
    gate_account_forget(g, &u);
    assert_int_equal(not_before(g, 1), -1);
    assert_int_equal(stats(g).accounts, 0);
    gate_account_forget(g, &u);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(put(g, i, i), 0);
    gate_forget_all(g);
    assert_int_equal(stats(g).accounts, 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(not_before(g, i), -1);
}

static void test_the_bound(void **state)
{
    struct gate *g = *state;

    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(put(g, i, i), 0);
        assert_int_equal(not_before(g, 0), 0); /* the one that is used stays */
        assert_int_equal(not_before(g, i), i);
    }
    assert_true(stats(g).accounts <= BOUND + SHARDS_SLACK);
    assert_true(stats(g).accounts > BOUND / 2);
    assert_int_equal(not_before(g, 1), -1);
}

/* Forgotten between the read of the store and the put: what was read may be outdated. */
static void test_ticket_race(void **state)
{
    struct gate *g = *state;
    struct gate_account a = {.user_id = id(1), .not_before = 1};
    uint64_t ticket = gate_account_ticket(g, &a.user_id);

    gate_account_forget(g, &a.user_id);
    assert_int_equal(gate_account_put(g, ticket, &a), 0);
    assert_int_equal(not_before(g, 1), -1);
    ticket = gate_account_ticket(g, &a.user_id);
    gate_forget_all(g);
    assert_int_equal(gate_account_put(g, ticket, &a), 0);
    assert_int_equal(not_before(g, 1), -1);
    ticket = gate_account_ticket(g, &a.user_id);
    assert_int_equal(gate_account_put(g, ticket, &a), 0);
    assert_int_equal(not_before(g, 1), 1);
}

/* What the store would say; read before the put as a load does. */
struct racing {
    struct gate *g;
    _Atomic int64_t stored;
    atomic_bool stopped;
};

static void *load_again(void *arg)
{
    struct racing *r = arg;
    struct uuid u = id(1);

    while (!atomic_load(&r->stopped)) {
        uint64_t ticket = gate_account_ticket(r->g, &u);
        struct gate_account a = {.user_id = u, .not_before = atomic_load(&r->stored)};
        gate_account_put(r->g, ticket, &a);
    }
    return NULL;
}

/* However loads and changes interleave, once a change was forgotten the old value is not seen. */
static void test_no_load_brings_back_the_past(void **state)
{
    struct racing r = {.g = *state};
    struct uuid u = id(1);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_again, &r), 0);
    for (int64_t value = 1; value <= ROUNDS; value++) {
        atomic_store(&r.stored, value);
        gate_account_forget(r.g, &u);
        int64_t seen = not_before(r.g, 1);
        if (seen != -1 && seen < value) {
            atomic_store(&r.stopped, true);
            fail_msg("%lld was seen after %lld", (long long)seen, (long long)value);
        }
    }
    atomic_store(&r.stopped, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void *use_all(void *arg)
{
    struct gate *g = arg;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct uuid u = id(i);
        gate_end_family(g, &u, i);
        if (!gate_family_ended(g, &u))
            abort();
        put(g, i, i);
        not_before(g, i / 2);
        if (i % 16 == 0)
            gate_account_forget(g, &u);
        if (i % 512 == 0)
            gate_forget_all(g);
        if (i % 256 == 0)
            gate_reap(g, -1);
        if (i % 256 == 0)
            stats(g);
    }
    return NULL;
}

static void test_concurrent_use(void **state)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_all, *state), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(stats(*state).families, ROUNDS);
}

#define WITH_GATE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GATE(test_many_families),
        WITH_GATE(test_expiry_only_grows),
        WITH_GATE(test_a_leap_of_the_clock),
        WITH_GATE(test_accounts),
        WITH_GATE(test_the_bound),
        WITH_GATE(test_ticket_race),
        WITH_GATE(test_no_load_brings_back_the_past),
        WITH_GATE(test_concurrent_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
