#include "http/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct timers make(void)
{
    return (struct timers){.durations = {[TIMER_IDLE] = 100, [TIMER_HEAD] = 10}};
}

static void expire_in_order(void **state)
{
    struct timers t = make();
    struct timer a, b, c;

    timers_init(&t);
    assert_int_equal(timers_wait(&t, 0), -1);
    timers_add(&t, &a, TIMER_IDLE, 0);
    timers_add(&t, &b, TIMER_IDLE, 5);
    timers_add(&t, &c, TIMER_HEAD, 7);
    assert_int_equal(timers_wait(&t, 7), 10);
    assert_int_equal(timers_wait(&t, 1000), 0);
    assert_null(timers_expired(&t, 16));
    assert_ptr_equal(timers_expired(&t, 17), &c);
    timers_remove(&c);
    assert_int_equal(timers_wait(&t, 17), 83);
    assert_ptr_equal(timers_expired(&t, 100), &a);
    timers_remove(&a);
    assert_null(timers_expired(&t, 104));
    assert_ptr_equal(timers_expired(&t, 105), &b);
}

static void list_a_class(void **state)
{
    struct timers t = make();
    struct timer a, b;

    timers_init(&t);
    assert_null(timers_first(&t, TIMER_NONE));
    timers_add(&t, &a, TIMER_NONE, 0);
    timers_add(&t, &b, TIMER_NONE, 0);
    assert_ptr_equal(timers_first(&t, TIMER_NONE), &a);
    assert_ptr_equal(timers_next(&t, &a), &b);
    assert_null(timers_next(&t, &b));
    assert_null(timers_expired(&t, INT64_MAX)); /* this class has no deadline */
    assert_int_equal(timers_wait(&t, INT64_MAX), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expire_in_order),
        cmocka_unit_test(list_a_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
