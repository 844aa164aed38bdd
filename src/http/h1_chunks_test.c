#include "http/h1.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct decoded {
    int r;
    size_t used;
    struct buf body;
};

/* Decodes text[0..n) given in pieces of at most step bytes. */
static struct decoded decode(const char *text, size_t n, size_t step)
{
    struct h1_chunks c = {.state = 0};
    struct decoded d = {.body = buf_init(1 << 20)};

    while (d.used < n && d.r == 0) {
        size_t piece = n - d.used < step ? n - d.used : step, used;
        struct str body;
        d.r = h1_chunks_next(&c, text + d.used, piece, &used, &body);
        if (d.r < 0)
            break;
        buf_add_str(&d.body, body);
        d.used += used;
    }
    return d;
}

static struct decoded decode_split(const char *text, size_t n)
{
    struct decoded whole = decode(text, n, n);

    for (size_t step = 1; step < n; step++) {
        struct decoded part = decode(text, n, step);
        assert_int_equal(whole.r, part.r);
        if (whole.r >= 0) {
            assert_int_equal(whole.used, part.used);
            assert_true(str_eq(buf_str(&whole.body), buf_str(&part.body)));
        }
        buf_free(&part.body);
    }
    return whole;
}

static void assert_decodes(const char *text, const char *body, const char *rest)
{
    struct decoded d = decode_split(text, strlen(text));

    assert_int_equal(d.r, 1);
    assert_true(str_eq(buf_str(&d.body), str_of(body)));
    assert_string_equal(text + d.used, rest);
    buf_free(&d.body);
}

static void assert_refused(const char *text)
{
    struct decoded d = decode_split(text, strlen(text));

    if (d.r != -1)
        print_error("accepted: %s\n", text);
    assert_int_equal(d.r, -1);
    buf_free(&d.body);
}

static void decodes(void **state)
{
    assert_decodes("0\r\n\r\n", "", "");
    assert_decodes("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET");
    assert_decodes("A\r\n0123456789\r\n1\r\nx\r\n0000\r\n\r\n", "0123456789x", "");
    assert_decodes("1;a=b\r\nx\r\n0;c=\"d e\"\r\n\r\n", "x", "");
    assert_decodes("1\r\nx\r\n0\r\nT: v\r\nContent-Length: 9\r\n\r\nrest", "x", "rest");
}

static void asks_for_more(void **state)
{
    static const char text[] = "3\r\nabc\r\n0\r\nT: v\r\n\r\n";

    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct decoded d = decode(text, n, n);
        assert_int_equal(d.r, 0);
        assert_int_equal(d.used, n);
        buf_free(&d.body);
    }
}

static void refuses(void **state)
{
    static const char *const broken[] = {
        "\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t;a\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3; a\r\nabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\x01\r\nabc\r\n0\r\n\r\n",
        "g\r\n",
        ";a\r\n",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "00000000000000001\r\n",
        "0\r\nT : v\r\n\r\n",
        "0\r\n T: v\r\n\r\n",
        "0\r\nT: v\r\n w\r\n\r\n",
        "0\r\nT\r\n\r\n",
        "0\r\nT: v\n\r\n",
        "0\r\nT: \x01\r\n\r\n",
        "0\r\n\n",
        "0\n\n",
        "0\r\n\rX",
    };

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_refused(broken[i]);
    struct decoded d = decode_split("1;a\0\r\nx\r\n", 10);
    assert_int_equal(d.r, -1);
    buf_free(&d.body);
}

static void stays_refused(void **state)
{
    struct h1_chunks c = {.state = 0};
    struct str body;
    size_t used;

    assert_int_equal(h1_chunks_next(&c, "x", 1, &used, &body), -1);
    assert_int_equal(h1_chunks_next(&c, "0\r\n\r\n", 5, &used, &body), -1);
}

/* The sum over all chunks is bounded: one byte of body cannot buy many of extension for ever. */
static void bounds_extensions_and_trailers(void **state)
{
    struct buf b = buf_init(1 << 20);

    buf_add_str(&b, STR("0\r\nT: "));
    while (b.n < H1_CHUNK_EXTRA_MAX)
        buf_add_char(&b, 'x');
    buf_add_str(&b, STR("xxxxxxxxxx\r\n\r\n"));
    struct decoded d = decode(b.p, b.n, b.n);
    assert_int_equal(d.r, -1);
    buf_free(&d.body);

    buf_reset(&b);
    for (int i = 0; i < H1_CHUNK_EXTRA_MAX / 8 + 1; i++)
        buf_add_str(&b, STR("1;abcdefg\r\nx\r\n"));
    d = decode(b.p, b.n, b.n);
    assert_int_equal(d.r, -1);
    buf_free(&d.body);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(asks_for_more),
        cmocka_unit_test(refuses),
        cmocka_unit_test(stays_refused),
        cmocka_unit_test(bounds_extensions_and_trailers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
