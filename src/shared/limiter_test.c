#include "shared/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

static struct limiter *new_limiter(size_t max)
{
    struct limiter *l;

    assert_int_equal(limiter_new(max, &l), 0);
    return l;
}

static struct limiter_key key_of(uint64_t n)
{
    struct limiter_key key = {.kind = 1};

    memcpy(key.subject, &n, sizeof n);
    return key;
}

static void the_sixth_in_any_minute_is_refused(void **state)
{
    struct limiter *l = new_limiter(100);
    struct limiter_rule rule = {5, 60000};
    struct limiter_key key = key_of(1), other = key_of(2);
    struct limiter_state s;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(limiter_take(l, &key, rule, 1000 + i * 10000, &s), 0);
        assert_int_equal(s.limit, 5);
        assert_int_equal(s.remaining, 4 - i);
    }
    assert_int_equal(limiter_take(l, &key, rule, 60999, &s), LIMITER_REFUSED);
    assert_int_equal(s.reset_ms, 1);
    assert_int_equal(limiter_take(l, &other, rule, 60999, &s), 0);
    /* One place is free when the first event leaves the window, and only one. */
    assert_int_equal(limiter_take(l, &key, rule, 61000, &s), 0);
    assert_int_equal(limiter_take(l, &key, rule, 61000, &s), LIMITER_REFUSED);
    assert_int_equal(s.reset_ms, 10000);
    limiter_free(l);
}

static void a_refused_event_does_not_prolong_the_refusal(void **state)
{
    struct limiter *l = new_limiter(100);
    struct limiter_rule rule = {1, 1000};
    struct limiter_key key = key_of(1);
    struct limiter_state s;

    assert_int_equal(limiter_take(l, &key, rule, 0, &s), 0);
    for (int64_t t = 1; t < 1000; t++)
        assert_int_equal(limiter_take(l, &key, rule, t, &s), LIMITER_REFUSED);
    assert_int_equal(limiter_take(l, &key, rule, 1000, &s), 0);
    limiter_free(l);
}

static void a_high_limit_holds_over_the_edge_of_windows(void **state)
{
    struct limiter *l = new_limiter(100);
    struct limiter_rule rule = {6000, 60000};
    struct limiter_key key = key_of(1);
    struct limiter_state s;
    int taken = 0;

    for (int i = 0; i < 7000; i++)
        taken += limiter_take(l, &key, rule, 59000, &s) == 0;
    assert_int_equal(taken, 6000);
    /* Just past the edge nearly all of the previous window is still in sight. */
    taken = 0;
    for (int i = 0; i < 7000; i++)
        taken += limiter_take(l, &key, rule, 59000 + 61000, &s) == 0;
    assert_in_range(taken, 1, 200);
    limiter_free(l);
}

static void keys_are_bounded_and_the_stalest_goes(void **state)
{
    struct limiter *l = new_limiter(160);
    struct limiter_rule rule = {1, 1000000};
    struct limiter_key kept = key_of(0);
    struct limiter_state s;

    assert_int_equal(limiter_take(l, &kept, rule, 0, &s), 0);
    for (uint64_t i = 1; i < 5000; i++) {
        struct limiter_key key = key_of(i);
        assert_int_equal(limiter_take(l, &key, rule, (int64_t)i, &s), 0);
        assert_int_equal(limiter_take(l, &kept, rule, (int64_t)i, &s), LIMITER_REFUSED);
    }
    assert_in_range(limiter_size(l), 100, 176);
    limiter_clear(l, &kept);
    assert_int_equal(limiter_take(l, &kept, rule, 6000, &s), 0);
    limiter_free(l);
}

static struct limiter *contended;
static atomic_int granted;

static void *guess(void *unused)
{
    struct limiter_key key = key_of(7);
    struct limiter_state s;

    for (int i = 0; i < 1000; i++)
        if (limiter_take(contended, &key, (struct limiter_rule){5, 60000}, 5, &s) == 0)
            atomic_fetch_add(&granted, 1);
    return NULL;
}

static void parallel_guesses_get_no_more(void **state)
{
    pthread_t threads[8];

    contended = new_limiter(100);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess, NULL), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&granted), 5);
    limiter_free(contended);
}

/* Looking counts nothing and makes no entry; it sees what taking would. */
static void looking_does_not_count(void **state)
{
    const struct limiter_rule rules[] = {{2, 1000}, {LIMITER_EXACT_MAX + 1, 1000}};

    for (size_t i = 0; i < 2; i++) {
        struct limiter *l = new_limiter(100);
        struct limiter_key key = key_of(1);
        struct limiter_rule other = {rules[i].limit + 1, 1000};
        struct limiter_state s = {.limit = -1};
        for (int k = 0; k < 100; k++)
            assert_int_equal(limiter_look(l, &key, rules[i], 0, &s), 0);
        assert_int_equal(limiter_size(l), 0);
        for (int64_t k = 0; k < rules[i].limit; k++) {
            assert_int_equal(limiter_look(l, &key, rules[i], 0, &s), 0);
            assert_int_equal(limiter_take(l, &key, rules[i], 0, &s), 0);
        }
        assert_int_equal(limiter_look(l, &key, rules[i], 999, &s), LIMITER_REFUSED);
        assert_int_equal(s.limit, rules[i].limit);
        assert_int_equal(s.remaining, 0);
        assert_int_equal(s.reset_ms, 1);
        assert_int_equal(limiter_look(l, &key, other, 999, &s), 0);
        assert_int_equal(limiter_look(l, &key, rules[i], 2000, &s), 0);
        limiter_free(l);
    }
}

static void an_ipv6_network_is_one_address(void **state)
{
    struct in6_addr a = {.s6_addr = {0x20, 1, 0xd, 0xb8}}, b = a, c = a;
    struct in6_addr v4 = {.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 192, [15] = 1}}, w4 = v4;
    struct limiter_key of_a = limiter_key_of_address(1, &a);

    b.s6_addr[15] = 7;
    c.s6_addr[7] = 7;
    w4.s6_addr[15] = 2;
    struct limiter_key of_b = limiter_key_of_address(1, &b), of_c = limiter_key_of_address(1, &c);
    struct limiter_key of_v4 = limiter_key_of_address(1, &v4),
                       of_w4 = limiter_key_of_address(1, &w4);
    assert_memory_equal(&of_a, &of_b, sizeof of_a);
    assert_memory_not_equal(&of_a, &of_c, sizeof of_a);
    assert_memory_not_equal(&of_v4, &of_w4, sizeof of_v4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sixth_in_any_minute_is_refused),
        cmocka_unit_test(a_refused_event_does_not_prolong_the_refusal),
        cmocka_unit_test(a_high_limit_holds_over_the_edge_of_windows),
        cmocka_unit_test(keys_are_bounded_and_the_stalest_goes),
        cmocka_unit_test(looking_does_not_count),
        cmocka_unit_test(an_ipv6_network_is_one_address),
        cmocka_unit_test(parallel_guesses_get_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
