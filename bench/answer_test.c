#include "bench/answer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_any_piece_of_an_answer(void **state)
{
    struct str whole =
        STR("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  5\r\n\r\nhelloHTTP/1.1");
    struct answer a;
    for (size_t n = 0; n < whole.n - 8; n++)
        assert_int_equal(answer_read((struct str){whole.p, n}, &a), ANSWER_MORE);
    assert_int_equal(answer_read(whole, &a), 0);
    assert_int_equal(a.status, 200);
    assert_true(str_eq(a.body, STR("hello")));
    assert_int_equal(a.length, whole.n - 8);
}

static void test_an_answer_without_body(void **state)
{
    struct answer a;
    assert_int_equal(answer_read(STR("HTTP/1.1 204 No Content\r\n\r\n"), &a), 0);
    assert_int_equal(a.status, 204);
    assert_int_equal(a.body.n, 0);
}

static void test_what_is_refused(void **state)
{
    static const struct str bad[] = {
        STR_INIT("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
        STR_INIT("HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n"),
        STR_INIT("HTTP/1.1\r\n\r\n"),
        STR_INIT("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n"),
        STR_INIT("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n"),
        STR_INIT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
    };
    struct answer a;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(answer_read(bad[i], &a), ANSWER_MALFORMED);
    static char endless[16 * 1024 + 1];
    memset(endless, 'x', sizeof endless);
    assert_int_equal(answer_read((struct str){endless, sizeof endless}, &a), ANSWER_MALFORMED);
}

static void test_members(void **state)
{
    struct str json =
        STR("{\"x\":\"token\",\"nottoken\":\"a\",\"token\":\"b\",\"esc\":\"c\\\"\",\"n\":1}");
    struct str value;
    assert_int_equal(answer_member(json, STR("token"), &value), 0);
    assert_true(str_eq(value, STR("b")));
    assert_int_equal(answer_member(json, STR("absent"), &value), 1);
    assert_int_equal(answer_member(json, STR("esc"), &value), 1);
    assert_int_equal(answer_member(json, STR("n"), &value), 1);
    assert_int_equal(answer_member(STR("{\"token\":\"b"), STR("token"), &value), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_piece_of_an_answer),
        cmocka_unit_test(test_an_answer_without_body),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
