#include "http/message.h"

#include "base/fault.h"
#include "http/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void finds_headers(void **state)
{
    static const struct http_header headers[] = {
        {STR_INIT("Cookie"), STR_INIT("a=1")},
        {STR_INIT("X"), STR_INIT("")},
        {STR_INIT("cookie"), STR_INIT("b=2")},
    };
    struct http_request r = {.headers = headers, .header_count = 3};
    size_t count = 9;

    assert_true(str_eq(http_header_find(&r, STR("COOKIE"), NULL), STR("a=1")));
    http_header_find(&r, STR("cookie"), &count);
    assert_int_equal(count, 2);
    http_header_find(&r, STR("y"), &count);
    assert_int_equal(count, 0);
}

static void refuses_line_breaks_in_headers(void **state)
{
    struct http_reply reply = {.headers = buf_init(100)};

    assert_int_equal(http_reply_header(&reply, "A", STR("b")), 0);
    assert_int_equal(http_reply_header(&reply, "A", STR("b\r\nC: d")), FAULT_INTERNAL);
    assert_int_equal(http_reply_header(&reply, "A", STR("b\nc")), FAULT_INTERNAL);
    assert_int_equal(http_reply_header(&reply, "A", STR("b\0c")), FAULT_INTERNAL);
    assert_true(str_eq(buf_str(&reply.headers), STR("A: b\r\n")));
    buf_free(&reply.headers);
}

static void writes_replies(void **state)
{
    struct buf out = buf_init(10000);
    struct wire_date date = {.second = -1};
    struct wire_form form = {.framing = WIRE_LENGTH, .minor = 1};
    struct http_reply reply = {.status = 200, .body = buf_init(100), .headers = buf_init(100)};

    wire_date_set(&date, 784111777LL * 1000 + 999);
    buf_add_str(&reply.body, STR("0123456789"));
    http_reply_header(&reply, "X", STR("y"));
    assert_int_equal(wire_reply(&out, &reply, &form, &date), 0);
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 200 OK\r\nX: y\r\n"
                                        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                        "Content-Length: 10\r\n\r\n0123456789");
    buf_reset(&out);
    reply.status = 304;
    form = (struct wire_form){.framing = WIRE_LENGTH, .close = true, .minor = 0};
    assert_int_equal(wire_reply(&out, &reply, &form, &date), 0);
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 304 Not Modified\r\nX: y\r\n"
                                        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                        "Connection: close\r\n\r\n");
    buf_free(&out);
    buf_free(&reply.body);
    buf_free(&reply.headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_headers),
        cmocka_unit_test(refuses_line_breaks_in_headers),
        cmocka_unit_test(writes_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
