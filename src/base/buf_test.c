#include "base/buf.h"

#include "base/fault.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void grows_to_its_maximum_and_no_further(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(1000);

    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_add_char(&b, (char)('a' + i % 26)), 0);
    assert_int_equal(buf_add_char(&b, '!'), FAULT_LIMIT);
    assert_int_equal(b.n, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    assert_non_null(strstr(fault_message(), "1000"));
}

static void failure_sticks_until_reset(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4);

    assert_int_equal(buf_add(&b, "abcde", 5), FAULT_LIMIT);
    assert_int_equal(buf_add_char(&b, 'a'), FAULT_LIMIT);
    assert_int_equal(buf_printf(&b, "a"), FAULT_LIMIT);
    assert_int_equal(buf_reserve(&b, 0), FAULT_LIMIT);
    assert_null(buf_cstr(&b));
    assert_int_equal(buf_fault(&b), FAULT_LIMIT);
    assert_int_equal(b.n, 0);
    buf_reset(&b);
    assert_int_equal(buf_add(&b, "abcd", 4), 0);
}

static void a_huge_request_does_not_wrap_around(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(SIZE_MAX);

    assert_int_equal(buf_add_char(&b, 'a'), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), FAULT_LIMIT);
    buf_reset(&b);
    assert_int_equal(buf_add_char(&b, 'a'), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 1), FAULT_MEMORY);
    assert_int_equal(b.n, 1);
}

/* A text that fills the buffer exactly fits, however long it is and however it is added. */
static void prints_up_to_the_maximum(void **state)
{
    for (int n = 1; n <= 1024; n *= 2) {
        _cleanup_buf_ struct buf b = buf_init((size_t)n);
        assert_int_equal(buf_printf(&b, "%0*d", n, 7), 0);
        assert_int_equal(b.n, n);
        assert_int_equal(strlen(buf_cstr(&b)), n);
        assert_int_equal(b.p[n - 1], '7');
        buf_reset(&b);
        assert_int_equal(buf_printf(&b, "%0*d", n + 1, 7), FAULT_LIMIT);
        assert_int_equal(b.n, 0);
    }
}

static void ends_in_a_nul_that_is_not_counted(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(3);

    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_add_str(&b, STR("abc")), 0);
    assert_string_equal(buf_cstr(&b), "abc");
    assert_int_equal(b.n, 3);
}

static void consumes(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(10);

    buf_consume(&b, 1);
    assert_int_equal(buf_add_str(&b, STR("abcdef")), 0);
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_true(str_eq(buf_str(&b), STR("cdef")));
    buf_consume(&b, 5);
    assert_int_equal(b.n, 0);
}

static void is_usable_again_once_freed(void **state)
{
    struct buf b = buf_secret(10);

    buf_free(&b);
    assert_int_equal(buf_add_str(&b, STR("secret")), 0);
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(b.max, 10);
    assert_true(b.secret);
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    buf_free(&b);
}

/* What the allocator was given back since reset_freed: a copy of each piece as it was then. */
static struct {
    unsigned char bytes[64 * 1024];
    size_t n;
    bool watching;
} freed;

void __real_free(void *p);
void *__real_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t n);

static void note(void *p)
{
    size_t n = p && freed.watching ? malloc_usable_size(p) : 0;

    if (n > sizeof freed.bytes - freed.n)
        n = sizeof freed.bytes - freed.n;
    if (n)
        memcpy(freed.bytes + freed.n, p, n);
    freed.n += n;
}

void __wrap_free(void *p)
{
    note(p);
    __real_free(p);
}

/* It may move: then what it held is given back as it is. */
void *__wrap_realloc(void *p, size_t n)
{
    note(p);
    return __real_realloc(p, n);
}

/* Fills a buffer by pieces, so that it grows, and frees it. Returns whether a secret was left. */
static bool leaves(struct buf b)
{
    freed.n = 0;
    freed.watching = true;
    for (int i = 0; i < 400; i++)
        assert_int_equal(buf_printf(&b, "pass%s", "word"), 0);
    buf_free(&b);
    freed.watching = false;
    assert_true(freed.n >= 400 * 8);
    return memmem(freed.bytes, freed.n, "password", 8) != NULL;
}

static void a_secret_is_overwritten_before_its_memory_is_given_back(void **state)
{
    assert_false(leaves(buf_secret(4000)));
    assert_true(leaves(buf_init(4000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_maximum_and_no_further),
        cmocka_unit_test(failure_sticks_until_reset),
        cmocka_unit_test(a_huge_request_does_not_wrap_around),
        cmocka_unit_test(prints_up_to_the_maximum),
        cmocka_unit_test(ends_in_a_nul_that_is_not_counted),
        cmocka_unit_test(consumes),
        cmocka_unit_test(is_usable_again_once_freed),
        cmocka_unit_test(a_secret_is_overwritten_before_its_memory_is_given_back)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
