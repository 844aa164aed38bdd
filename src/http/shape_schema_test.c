#include "http/shape.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct thing {
    uint64_t given;
    struct str text;
};

static const struct shape inner = {.name = "Inner"};
static const char *const colours[] = {"red", "green", NULL};

static void expect(struct field f, bool input, const char *want)
{
    _cleanup_buf_ struct buf out = buf_init(10000);
    struct json_writer w = json_writer(&out);

    shape_write_field_schema(&w, &f, input);
    assert_string_equal(buf_cstr(&out), want);
}

static void test_strings(void **state)
{
    expect((struct field){.type = FIELD_STR}, true, "{\"type\":\"string\",\"maxLength\":4096}");
    expect(
        (struct field){
            .type = FIELD_STR, .min = 8, .max = 128, .flags = FIELD_SECRET, .help = "A \"word\"."},
        true,
        "{\"type\":\"string\",\"minLength\":8,\"maxLength\":128,\"writeOnly\":true,"
        "\"description\":\"A \\\"word\\\".\"}");
    expect((struct field){.type = FIELD_STR, .max = 9, .flags = FIELD_SECRET | FIELD_NULLABLE},
           false, "{\"type\":[\"string\",\"null\"]}");
    expect((struct field){.type = FIELD_CHOICE, .choices = colours, .flags = FIELD_NULLABLE}, true,
           "{\"type\":[\"string\",\"null\"],\"enum\":[\"red\",\"green\",null]}");
    expect((struct field){.type = FIELD_UUID}, true, "{\"type\":\"string\",\"format\":\"uuid\"}");
    expect((struct field){.type = FIELD_TIME}, true,
           "{\"type\":\"string\",\"format\":\"date-time\"}");
}

static void test_scalars(void **state)
{
    expect((struct field){.type = FIELD_INT}, true, "{\"type\":\"integer\",\"format\":\"int64\"}");
    expect((struct field){.type = FIELD_INT, .min = -1}, true,
           "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":-1,\"maximum\":0}");
    expect((struct field){.type = FIELD_BOOL}, true, "{\"type\":\"boolean\"}");
    expect((struct field){.type = FIELD_JSON}, false, "{}");
    expect((struct field){.type = FIELD_DOUBLE, .flags = FIELD_NULLABLE}, false,
           "{\"type\":[\"number\",\"null\"]}");
}

static void test_structures(void **state)
{
    expect((struct field){.type = FIELD_STRS, .min = 1}, true,
           "{\"type\":\"array\",\"minItems\":1,\"maxItems\":100000,"
           "\"items\":{\"type\":\"string\",\"maxLength\":4096}}");
    expect((struct field){.type = FIELD_STRS, .flags = FIELD_ONE, .max = 5}, true,
           "{\"type\":[\"array\",\"string\"],\"maxLength\":4096,\"maxItems\":5,"
           "\"items\":{\"type\":\"string\",\"maxLength\":4096}}");
    expect((struct field){.type = FIELD_STRS}, false,
           "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}");
    expect((struct field){.type = FIELD_LIST, .shape = &inner}, false,
           "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Inner\"}}");
    expect((struct field){.type = FIELD_OBJECT, .shape = &inner}, false,
           "{\"allOf\":[{\"$ref\":\"#/components/schemas/Inner\"}]}");
    expect((struct field){.type = FIELD_OBJECT, .shape = &inner, .flags = FIELD_NULLABLE}, false,
           "{\"anyOf\":[{\"$ref\":\"#/components/schemas/Inner\"},{\"type\":\"null\"}]}");
}

static void test_shapes(void **state)
{
    static const struct field fields[] = {
        {.name = "a", .type = FIELD_BOOL, .flags = FIELD_REQUIRED},
        {.name = "b", .type = FIELD_BOOL, .flags = FIELD_OMIT},
        {.name = "c", .type = FIELD_BOOL},
    };
    static const struct shape shape = SHAPE("Thing", struct thing, fields);
    static const char *const required[] = {"[\"a\",\"c\"]",
                                           "[\"a\"],\"additionalProperties\":false"};

    for (int input = 0; input < 2; input++) {
        _cleanup_buf_ struct buf out = buf_init(10000), want = buf_init(10000);
        struct json_writer w = json_writer(&out);
        shape_write_schema(&w, &shape, input);
        buf_printf(&want,
                   "{\"type\":\"object\",\"required\":%s,\"properties\":{\"a\":{\"type\":"
                   "\"boolean\"},\"b\":{\"type\":\"boolean\"},\"c\":{\"type\":\"boolean\"}}}",
                   required[input]);
        assert_string_equal(buf_cstr(&out), buf_cstr(&want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
