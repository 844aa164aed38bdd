#include "http/problem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_rows(void **state)
{
    for (int i = 1; i < PROBLEMS; i++) {
        const struct problem_row *row = problem_row(i);
        assert_non_null(row->code);
        assert_true(row->status >= 400 && row->status < 600);
        assert_true(strlen(row->title) > 0);
        for (int j = 1; j < i; j++)
            assert_string_not_equal(row->code, problem_row(j)->code);
    }
    assert_string_equal(problem_row(0)->code, "internal");
    assert_string_equal(problem_row(-3)->code, "internal");
    assert_string_equal(problem_row(PROBLEMS)->code, "internal");
}

static void test_of_status(void **state)
{
    static const int statuses[] = {400, 408, 413, 414, 417, 431, 501, 503, 505};

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(problem_row((int)problem_of_status(statuses[i]))->status, statuses[i]);
    assert_int_equal(problem_of_status(400), PROBLEM_BAD_REQUEST);
    assert_int_equal(problem_of_status(503), PROBLEM_OVERLOADED);
    assert_int_equal(problem_of_status(418), PROBLEM_BAD_REQUEST);
    assert_int_equal(problem_of_status(599), PROBLEM_INTERNAL);
}

static void test_write(void **state)
{
    _cleanup_buf_ struct buf out = buf_init(10000);
    struct uuid id = {{1}};

    problem_write(&out, PROBLEM_INVALID_FIELD, STR("No \"x\"."), STR("x"), &id);
    assert_string_equal(buf_cstr(&out),
                        "{\"type\":\"/docs#problem-invalid_field\","
                        "\"title\":\"A field of the request is not acceptable\",\"status\":400,"
                        "\"code\":\"invalid_field\",\"detail\":\"No \\\"x\\\".\",\"field\":\"x\","
                        "\"requestId\":\"01000000-0000-0000-0000-000000000000\"}");
    buf_reset(&out);
    problem_write(&out, PROBLEM_NOT_FOUND, STR(""), STR(""), NULL);
    assert_string_equal(buf_cstr(&out), "{\"type\":\"/docs#problem-not_found\","
                                        "\"title\":\"There is no such thing\",\"status\":404,"
                                        "\"code\":\"not_found\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_of_status),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
