/* What is shown of a message: which part, and its bytes; whatever a stranger sent. */
#include "mail/message_view.h"

#include "mail/message_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OUT_MAX = 1 << 20 };

static struct message_leaf found(const char *message, const char *type)
{
    struct message_leaf leaf = {0};

    if (message_view_find(str_of(message), str_of(type), &leaf))
        fail_msg("no %s in: %s", type, message);
    return leaf;
}

static void assert_str(struct str s, const char *wanted)
{
    if (!str_eq(s, str_of(wanted)))
        fail_msg("wanted \"%s\", got \"%.*s\"", wanted, STR_ARG(s));
}

static void assert_none(const char *message, const char *type)
{
    struct message_leaf leaf = {.charset = STR("untouched")};

    assert_int_equal(message_view_find(str_of(message), str_of(type), &leaf), MESSAGE_VIEW_NONE);
    assert_str(leaf.charset, "untouched");
}

static void assert_decoded(const char *encoding, const char *body, const char *wanted)
{
    struct message_leaf leaf = {.encoding = str_of(encoding), .body = str_of(body)};
    _cleanup_buf_ struct buf out = buf_init(OUT_MAX);

    assert_int_equal(message_view_decode(&leaf, &out), 0);
    assert_str(buf_str(&out), wanted);
}

static void test_one_part(void **state)
{
    struct message_leaf leaf = found("Subject: x\r\n\r\nHi\r\n", "text/plain");

    assert_str(leaf.body, "Hi\r\n");
    assert_str(leaf.charset, "");
    assert_none("Subject: x\r\n\r\nHi\r\n", "text/html");
    leaf = found("Content-Type: TEXT/Html ; Charset=\"iso-8859-1\"\r\n"
                 "Content-Transfer-Encoding: Base64 \r\n\r\nPGI+",
                 "text/html");
    assert_str(leaf.charset, "iso-8859-1");
    assert_str(leaf.encoding, "Base64");
    assert_str(found("no message", "text/plain").body, "no message");
    assert_str(found("", "text/plain").body, "");
}

#define MIXED                                                                                      \
    "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"                                     \
    "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nattached"  \
    "\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\ntext\r\n--a\r\n" \
    "Content-Type: text/html; charset=utf-8\r\n\r\n<p>html\r\n--a--\r\n\r\n--m--\r\n"

static void test_parts(void **state)
{
    struct message_leaf leaf;

    assert_str(found(MIXED, "text/plain").body, "text");
    assert_str(found(MIXED, "text/html").body, "<p>html");
    assert_int_equal(message_view_part(STR(MIXED), 0, &leaf), 0);
    assert_str(leaf.body, "attached");
    assert_int_equal(message_view_part(STR(MIXED), 2, &leaf), MESSAGE_VIEW_NONE);
    assert_int_equal(message_view_part(STR(MIXED), SIZE_MAX, &leaf), MESSAGE_VIEW_NONE);
    assert_int_equal(message_view_part(STR("Subject: x\r\n\r\nHi"), 0, &leaf), MESSAGE_VIEW_NONE);
    assert_none("Content-Type: multipart/mixed\r\n\r\nx", "text/plain");
    assert_none("Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\nx", "text/html");
}

/* Multiparts in multiparts are looked into down to a depth. */
static void test_depth(void **state)
{
    for (int depth = 1; depth <= MESSAGE_VIEW_DEPTH + 1; depth++) {
        struct buf data = buf_init(OUT_MAX);
        for (int i = 0; i < depth; i++)
            buf_printf(&data, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
        buf_printf(&data, "\r\ndeep");
        if (depth <= MESSAGE_VIEW_DEPTH)
            assert_str(found(buf_cstr(&data), "text/plain").body, "deep");
        else
            assert_none(buf_cstr(&data), "text/plain");
        buf_free(&data);
    }
}

static void test_many_parts(void **state)
{
    struct buf data = buf_init(OUT_MAX);
    struct message_leaf leaf;

    buf_printf(&data, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (int i = 0; i < MESSAGE_PARTS_MAX; i++)
        buf_printf(&data, "--b\r\n\r\n%d\r\n", i);
    buf_printf(&data, "--b\r\nContent-Type: text/html\r\n\r\nbehind\r\n--b--\r\n");
    assert_none(buf_cstr(&data), "text/html");
    assert_int_equal(message_view_part(buf_str(&data), MESSAGE_PARTS_MAX - 1, &leaf), 0);
    assert_int_equal(message_view_part(buf_str(&data), MESSAGE_PARTS_MAX, &leaf),
                     MESSAGE_VIEW_NONE);
    buf_free(&data);
}

static void test_encodings(void **state)
{
    assert_decoded("", "a=41", "a=41");
    assert_decoded("8bit", "\xC3\xA4", "\xC3\xA4");
    assert_decoded("x-unknown", "a=41", "a=41");
    assert_decoded("base64", "SGVs\r\nbG8=\r\n", "Hello");
    assert_decoded("BASE64", "SGVsbG8", "Hello");
    assert_decoded("base64", "SG!Vs bG8=SGVsbG8=", "Hello");
    assert_decoded("base64", "", "");
    assert_decoded("base64", "S", "");
    assert_decoded("quoted-printable", "a=C3=A4=\r\nb=3d=\nc= \r\nd",
                   "a\xC3\xA4"
                   "b=cd");
    assert_decoded("Quoted-Printable", "=", "=");
    assert_decoded("quoted-printable", "=4", "=4");
    assert_decoded("quoted-printable", "=ZZ=\r", "=ZZ=\r");
}

static void test_no_room(void **state)
{
    struct message_leaf leaf = {.encoding = STR("base64"), .body = STR("SGVsbG8=")};
    struct buf out = buf_init(4);

    assert_true(message_view_decode(&leaf, &out) < 0);
    buf_free(&out);
}

static void test_parameters(void **state)
{
    assert_str(message_parameter(STR("text/plain; CHARSET=utf-8"), STR("charset")), "utf-8");
    assert_str(message_parameter(STR("a/b;\r\n\tcharset=\"x y\";z=1"), STR("charset")), "x y");
    assert_str(message_parameter(STR("a/b; xcharset=1; charset"), STR("charset")), "");
    assert_str(message_parameter(STR("a/b; charset="), STR("charset")), "");
    assert_str(message_parameter(STR("charset=utf-8"), STR("charset")), "");
    assert_str(message_parameter(STR(""), STR("charset")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_part),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_many_parts),
        cmocka_unit_test(test_encodings),  cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
