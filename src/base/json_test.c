#include "base/json.h"

#include "base/fault.h"

#include <jansson.h>
#include <math.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_wrote(struct buf *b, const char *expected)
{
    assert_string_equal(buf_cstr(b), expected);
    buf_reset(b);
}

static void places_the_commas(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);
    struct json_writer w = json_writer(&b);

    json_object_begin(&w);
    json_key(&w, "a");
    json_array_begin(&w);
    json_int(&w, INT64_MIN);
    json_bool(&w, true);
    json_array_begin(&w);
    json_array_end(&w);
    json_object_begin(&w);
    json_object_end(&w);
    json_nil(&w);
    json_array_end(&w);
    json_key(&w, "b");
    json_raw(&w, STR("{}"));
    json_key(&w, "c");
    json_bool(&w, false);
    json_object_end(&w);
    assert_wrote(&b, "{\"a\":[-9223372036854775808,true,[],{},null],\"b\":{},\"c\":false}");
}

static void writes_numbers_that_json_has(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);
    struct json_writer w = json_writer(&b);

    json_array_begin(&w);
    json_double(&w, 0.1);
    json_double(&w, 1e300);
    json_double(&w, -3);
    json_double(&w, NAN);
    json_double(&w, INFINITY);
    json_double(&w, -INFINITY);
    json_array_end(&w);
    assert_wrote(&b, "[0.1,1e+300,-3,null,null,null]");
}

static void writes_ids_and_times(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);
    struct json_writer w = json_writer(&b);
    struct uuid nil = {{0}};

    json_array_begin(&w);
    json_uuid(&w, &nil);
    json_time(&w, 0);
    json_time(&w, 1);
    json_array_end(&w);
    assert_wrote(&b, "[\"00000000-0000-0000-0000-000000000000\",null,"
                     "\"1970-01-01T00:00:00.001Z\"]");
}

/* Every code point comes back from a strict reader as it was. */
static void strings_come_back_as_they_were(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);

    for (uint32_t point = 0; point < 0x3000; point++) {
        char text[4];
        size_t n;
        if (point < 0x80) {
            text[0] = (char)point;
            n = 1;
        } else if (point < 0x800) {
            text[0] = (char)(0xC0 | point >> 6);
            text[1] = (char)(0x80 | (point & 0x3F));
            n = 2;
        } else {
            text[0] = (char)(0xE0 | point >> 12);
            text[1] = (char)(0x80 | (point >> 6 & 0x3F));
            text[2] = (char)(0x80 | (point & 0x3F));
            n = 3;
        }
        buf_reset(&b);
        struct json_writer w = json_writer(&b);
        json_str(&w, (struct str){text, n});
        json_t *value = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        assert_int_equal(json_string_length(value), n);
        assert_memory_equal(json_string_value(value), text, n);
        json_decref(value);
    }
}

static void escapes(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(4096);
    struct json_writer w = json_writer(&b);

    json_str(&w, STR("a\"b\\c\n\r\t\0\x1F\x7Fz"));
    assert_wrote(&b, "\"a\\\"b\\\\c\\n\\r\\t\\u0000\\u001f\\u007fz\"");
    w = json_writer(&b);
    json_str(&w, str_of(NULL));
    assert_wrote(&b, "\"\"");
}

#define BAD "\xEF\xBF\xBD"

static void mends_bad_utf8(void **state)
{
    static const char *const pairs[][2] = {
        {"a\xFFz", "\"a" BAD "z\""},
        {"\xC3", "\"" BAD "\""},
        {"\xC3(", "\"" BAD "(\""},
        {"\xE2\x82", "\"" BAD BAD "\""},
        {"\xED\xA0\x80", "\"" BAD BAD BAD "\""},
        {"\xC3\xA9\x80\xE2\x82\xAC", "\"\xC3\xA9" BAD "\xE2\x82\xAC\""},
        {"\xF0\x9F\x98\x80\xF5", "\"\xF0\x9F\x98\x80" BAD "\""}};
    _cleanup_buf_ struct buf b = buf_init(4096);

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct json_writer w = json_writer(&b);
        json_str(&w, str_of(pairs[i][0]));
        assert_wrote(&b, pairs[i][1]);
    }
}

static void a_full_buffer_is_told_at_the_end(void **state)
{
    _cleanup_buf_ struct buf b = buf_init(8);
    struct json_writer w = json_writer(&b);

    json_object_begin(&w);
    json_key(&w, "a");
    json_str(&w, STR("longer than eight"));
    json_object_end(&w);
    assert_int_equal(buf_fault(&b), FAULT_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(places_the_commas),
                                       cmocka_unit_test(writes_numbers_that_json_has),
                                       cmocka_unit_test(writes_ids_and_times),
                                       cmocka_unit_test(strings_come_back_as_they_were),
                                       cmocka_unit_test(escapes),
                                       cmocka_unit_test(mends_bad_utf8),
                                       cmocka_unit_test(a_full_buffer_is_told_at_the_end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
