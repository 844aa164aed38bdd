#include "http/shape.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct inner {
    int64_t n;
};

static const struct field inner_fields[] = {
    {"n", FIELD_INT, 0, offsetof(struct inner, n)},
};
static const struct shape inner_shape = SHAPE("Inner", struct inner, inner_fields);

struct thing {
    struct str text, nullable, omitted;
    int64_t count, at, colour;
    bool on;
    struct uuid id;
    struct str_list tags;
    const struct inner *inner;
    struct shape_list inners;
    struct str json;
};

static const char *const colours[] = {"red", "green", NULL};

#define FIELDS(flags)                                                                              \
    {                                                                                              \
        {"text", FIELD_STR, flags, offsetof(struct thing, text)},                                  \
            {"count", FIELD_INT, flags, offsetof(struct thing, count), .min = 1, .max = 9},        \
            {"on", FIELD_BOOL, flags, offsetof(struct thing, on)},                                 \
            {"id", FIELD_UUID, flags, offsetof(struct thing, id)},                                 \
            {"at", FIELD_TIME, flags, offsetof(struct thing, at)},                                 \
            {"colour", FIELD_CHOICE, flags, offsetof(struct thing, colour), .choices = colours},   \
            {"tags", FIELD_STRS, flags, offsetof(struct thing, tags)},                             \
            {"inner", FIELD_OBJECT, flags, offsetof(struct thing, inner), .shape = &inner_shape},  \
            {"inners", FIELD_LIST, flags, offsetof(struct thing, inners), .shape = &inner_shape},  \
            {"json", FIELD_JSON, flags, offsetof(struct thing, json)},                             \
    }

static const struct field plain_fields[] = FIELDS(0);
static const struct field null_fields[] = FIELDS(FIELD_NULLABLE);
static const struct field omit_fields[] = FIELDS(FIELD_OMIT);
static const struct shape plain = SHAPE("Plain", struct thing, plain_fields);
static const struct shape nullable = SHAPE("Nullable", struct thing, null_fields);
static const struct shape omitting = SHAPE("Omitting", struct thing, omit_fields);

static void expect(const struct shape *shape, const struct thing *t, const char *want)
{
    _cleanup_buf_ struct buf out = buf_init(10000);
    struct json_writer w = json_writer(&out);

    shape_write(&w, shape, t);
    assert_string_equal(buf_cstr(&out), want);
}

static void test_empty(void **state)
{
    struct thing t = {0};

    expect(&plain, &t,
           "{\"text\":\"\",\"count\":0,\"on\":false,\"id\":null,\"at\":null,\"colour\":\"red\","
           "\"tags\":[],\"inner\":null,\"inners\":[],\"json\":null}");
    t.colour = -1;
    expect(&nullable, &t,
           "{\"text\":null,\"count\":0,\"on\":false,\"id\":null,\"at\":null,\"colour\":null,"
           "\"tags\":[],\"inner\":null,\"inners\":[],\"json\":null}");
    expect(&omitting, &t, "{}");
}

static void test_full(void **state)
{
    static const char want[] =
        "{\"text\":\"a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBD\",\"count\":-5,\"on\":true,"
        "\"id\":\"01000000-0000-0000-0000-000000000000\",\"at\":\"1970-01-01T00:00:00.001Z\","
        "\"colour\":\"green\",\"tags\":[\"x\",\"</script>\"],\"inner\":{\"n\":1},"
        "\"inners\":[{\"n\":2},{\"n\":3}],\"json\":{\"a\":[1]}}";
    const struct str tags[] = {STR_INIT("x"), STR_INIT("</script>")};
    const struct inner inners[] = {{2}, {3}}, inner = {1};
    struct thing t = {
        .text = STR("a\"\\\n\x01\xC3\xA9\xFF"),
        .count = -5,
        .on = true,
        .id = {{1}},
        .at = 1,
        .colour = 1,
        .tags = {tags, 2},
        .inner = &inner,
        .inners = {inners, 2},
        .json = STR("{\"a\":[1]}"),
    };

    expect(&plain, &t, want);
    expect(&nullable, &t, want);
    expect(&omitting, &t, want);
}

static void test_numbers(void **state)
{
    static const struct field fields[] = {{"rate", FIELD_DOUBLE, FIELD_NULLABLE, 0}};
    static const struct field omitted[] = {{"rate", FIELD_DOUBLE, FIELD_OMIT, 0}};
    static const struct shape shape = SHAPE("Rate", double, fields);
    static const struct shape omits = SHAPE("Omits", double, omitted);
    static const struct {
        double value;
        const char *want, *omitting;
    } cases[] = {{0, "{\"rate\":0}", "{\"rate\":0}"},
                 {0.05, "{\"rate\":0.05}", "{\"rate\":0.05}"},
                 {NAN, "{\"rate\":null}", "{}"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf out = buf_init(100);
        struct json_writer w = json_writer(&out);
        shape_write(&w, &shape, &cases[i].value);
        assert_string_equal(buf_cstr(&out), cases[i].want);
        buf_reset(&out);
        w = json_writer(&out);
        shape_write(&w, &omits, &cases[i].value);
        assert_string_equal(buf_cstr(&out), cases[i].omitting);
    }
}

static void test_wrong_choice(void **state)
{
    for (int64_t colour = -1; colour <= 2; colour += 3) {
        _cleanup_buf_ struct buf out = buf_init(10000);
        struct json_writer w = json_writer(&out);
        struct thing t = {.colour = colour};
        shape_write(&w, &plain, &t);
        assert_true(buf_fault(&out) < 0);
    }
}

static void test_full_buffer(void **state)
{
    _cleanup_buf_ struct buf out = buf_init(20);
    struct json_writer w = json_writer(&out);
    struct thing t = {0};

    shape_write(&w, &plain, &t);
    assert_true(buf_fault(&out) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),       cmocka_unit_test(test_full),
        cmocka_unit_test(test_numbers),     cmocka_unit_test(test_wrong_choice),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
