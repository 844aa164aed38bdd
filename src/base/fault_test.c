#include "base/fault.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void keeps_the_message(void **state)
{
    assert_string_equal(fault_message(), "");
    assert_int_equal(fault_set(FAULT_STORE, "table %s", "users"), FAULT_STORE);
    assert_string_equal(fault_message(), "table users");
    assert_int_equal(fault_errno(FAULT_IO, ENOENT, "cannot open %s", "x"), FAULT_IO);
    assert_string_equal(fault_message(), "cannot open x: No such file or directory");
}

/* A caller that adds to a message passes the message itself. */
static void may_be_told_in_terms_of_itself(void **state)
{
    fault_set(FAULT_IO, "disk full");
    fault_set(FAULT_STORE, "cannot commit: %s", fault_message());
    assert_string_equal(fault_message(), "cannot commit: disk full");
    fault_errno(FAULT_IO, ENOSPC, "[%s]", fault_message());
    assert_string_equal(fault_message(), "[cannot commit: disk full]: No space left on device");
}

static void cuts_long_messages(void **state)
{
    fault_set(FAULT_IO, "%0999d", 1);
    assert_int_equal(strlen(fault_message()), 399);
    fault_errno(FAULT_IO, ENOENT, "%0395d", 1);
    assert_int_equal(strlen(fault_message()), 399);
    assert_string_equal(fault_message() + 395, ": No");
}

static void *other_thread(void *ret_empty)
{
    *(int *)ret_empty = *fault_message() == '\0';
    fault_set(FAULT_IO, "theirs");
    return NULL;
}

static void belongs_to_its_thread(void **state)
{
    pthread_t thread;
    int empty = 0;

    fault_set(FAULT_IO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &empty), 0);
    pthread_join(thread, NULL);
    assert_true(empty);
    assert_string_equal(fault_message(), "mine");
}

static void names_faults(void **state)
{
    assert_string_equal(fault_name(0), "none");
    assert_string_equal(fault_name(FAULT_MEMORY), "memory");
    assert_string_equal(fault_name(FAULT_UNAVAILABLE), "unavailable");
    assert_string_equal(fault_name(FAULT_INTERNAL), "internal");
    assert_string_equal(fault_name(FAULT_INTERNAL - 1), "unknown");
    assert_string_equal(fault_name(1), "unknown");
    assert_string_equal(fault_name(INT_MIN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_message), cmocka_unit_test(may_be_told_in_terms_of_itself),
        cmocka_unit_test(cuts_long_messages), cmocka_unit_test(belongs_to_its_thread),
        cmocka_unit_test(names_faults)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
