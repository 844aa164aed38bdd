#include "base/arena.h"

#include "base/fault.h"

#include <stdalign.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void gives_zeroed_aligned_memory(void **state)
{
    struct arena a = arena_init(1 << 20);

    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        if (n)
            memset(p, 0xA5, n); /* what follows must not lie inside it */
    }
    arena_free(&a);
    assert_int_equal(a.used, 0);
}

static void a_large_object_leaves_the_small_ones_room(void **state)
{
    struct arena a = arena_init(1 << 20);
    char *first = arena_alloc(&a, 16);

    assert_non_null(arena_alloc(&a, 100000));
    char *second = arena_alloc(&a, 16);
    assert_ptr_equal(second, first + 16);
    arena_free(&a);
}

static void stops_at_its_cap(void **state)
{
    struct arena a = arena_init(1024);

    assert_non_null(arena_alloc(&a, 1008));
    assert_null(arena_alloc(&a, 17));
    assert_non_null(strstr(fault_message(), "1024"));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 1));
    arena_free(&a);
    assert_non_null(arena_alloc(&a, 1024));
    arena_free(&a);
}

static void refuses_sizes_that_overflow(void **state)
{
    struct arena a = arena_init(SIZE_MAX);

    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_non_null(arena_array(&a, 3, 8));
    arena_free(&a);
}

static void copies_and_prints(void **state)
{
    struct arena a = arena_init(8192);
    struct str s = arena_str(&a, STR("abc"));

    assert_true(str_eq(s, STR("abc")));
    assert_int_equal(s.p[3], '\0');
    assert_non_null(arena_str(&a, str_of(NULL)).p);
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    assert_int_equal(strlen(arena_printf(&a, "%05000d", 1)), 5000);
    assert_null(arena_printf(&a, "%05000d", 1));
    assert_null(arena_str(&a, (struct str){"", SIZE_MAX - 1}).p);
    arena_free(&a);
}

static int runs[2], order;

static void note(void *object)
{
    *(int *)object = ++order;
}

static void cleans_up_newest_first(void **state)
{
    struct arena a = arena_init(64);

    order = 0;
    assert_int_equal(arena_on_free(&a, note, &runs[0]), 0);
    assert_int_equal(arena_on_free(&a, note, &runs[1]), 0);
    assert_int_equal(order, 0);
    arena_free(&a);
    assert_int_equal(runs[1], 1);
    assert_int_equal(runs[0], 2);
    arena_free(&a);
    assert_int_equal(order, 2);
}

/* What cannot be remembered is released at once: nothing leaks. */
static void cleans_up_at_once_without_memory(void **state)
{
    struct arena a = arena_init(0);

    order = 0;
    assert_int_equal(arena_on_free(&a, note, &runs[0]), FAULT_MEMORY);
    assert_int_equal(order, 1);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gives_zeroed_aligned_memory),
                                       cmocka_unit_test(a_large_object_leaves_the_small_ones_room),
                                       cmocka_unit_test(stops_at_its_cap),
                                       cmocka_unit_test(refuses_sizes_that_overflow),
                                       cmocka_unit_test(copies_and_prints),
                                       cmocka_unit_test(cleans_up_newest_first),
                                       cmocka_unit_test(cleans_up_at_once_without_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
