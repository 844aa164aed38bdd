#include "http/shape.h"

#include "base/clock.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct part {
    uint64_t given;
    struct str label;
    int64_t weight;
};

static const struct field part_fields[] = {
    {"label", FIELD_STR, FIELD_REQUIRED, offsetof(struct part, label), .max = 5},
    {"weight", FIELD_INT, 0, offsetof(struct part, weight)},
};
static const struct shape part_shape = SHAPE("Part", struct part, part_fields);

struct thing {
    uint64_t given;
    struct str name, note;
    int64_t count, at, colour, any;
    bool on;
    struct uuid id;
    struct str_list tags;
    const struct part *part;
    struct shape_list parts;
};

enum { NAME, NOTE, COUNT, ANY, ON, ID, AT, COLOUR, TAGS, PART, PARTS };

static const char *const colours[] = {"red", "green", NULL};

static const struct field fields[] = {
    {"name", FIELD_STR, FIELD_REQUIRED, offsetof(struct thing, name), .min = 2, .max = 4},
    {"note", FIELD_STR, FIELD_NULLABLE, offsetof(struct thing, note)},
    {"count", FIELD_INT, 0, offsetof(struct thing, count), .min = -3, .max = 9},
    {"any", FIELD_INT, 0, offsetof(struct thing, any)},
    {"on", FIELD_BOOL, 0, offsetof(struct thing, on)},
    {"id", FIELD_UUID, 0, offsetof(struct thing, id)},
    {"at", FIELD_TIME, 0, offsetof(struct thing, at)},
    {"colour", FIELD_CHOICE, 0, offsetof(struct thing, colour), .choices = colours},
    {"tags", FIELD_STRS, 0, offsetof(struct thing, tags), .min = 1, .max = 3},
    {"part", FIELD_OBJECT, 0, offsetof(struct thing, part), .shape = &part_shape},
    {"parts", FIELD_LIST, 0, offsetof(struct thing, parts), .max = 2, .shape = &part_shape},
};
static const struct shape shape = SHAPE("Thing", struct thing, fields);

static struct arena arena;

static int set_up(void **state)
{
    arena = arena_init(4 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct thing *bind_ok(const char *text)
{
    struct shape_error error = {0};
    const void *object = NULL;

    if (shape_bind_json(&shape, str_of(text), &arena, &object, &error))
        fail_msg("%s: %.*s", text, STR_ARG(error.detail));
    return object;
}

static void refuse_n(struct str text, const char *field, const char *detail)
{
    struct shape_error error = {0};
    const void *object = NULL;

    assert_int_equal(shape_bind_json(&shape, text, &arena, &object, &error), SHAPE_INVALID);
    assert_null(object);
    if (!str_eq(error.field, str_of(field)) || !str_eq(error.detail, str_of(detail)))
        fail_msg("%.*s: field '%.*s', detail '%.*s'", (int)(text.n < 99 ? text.n : 99), text.p,
                 STR_ARG(error.field), STR_ARG(error.detail));
}

static void refuse(const char *text, const char *field, const char *detail)
{
    refuse_n(str_of(text), field, detail);
}

static void test_every_type(void **state)
{
    const struct thing *t = bind_ok(
        "{\"name\":\"caf\\u00e9\",\"note\":\"n\",\"count\":-3,\"any\":-9223372036854775808,"
        "\"on\":true,\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"at\":\"1970-01-01T00:00:"
        "01Z\","
        "\"colour\":\"green\",\"tags\":[\"a\",\"\"],\"part\":{\"label\":\"x\",\"weight\":7},"
        "\"parts\":[{\"label\":\"y\"},{\"label\":\"z\",\"weight\":1}]}");

    assert_true(str_eq(t->name, STR("caf\xC3\xA9")));
    assert_int_equal(t->count, -3);
    assert_true(t->any == INT64_MIN);
    assert_true(t->on);
    assert_int_equal(t->id.b[0], 1);
    assert_int_equal(t->id.b[15], 0x57);
    assert_int_equal(t->at, CLOCK_SECOND);
    assert_int_equal(t->colour, 1);
    assert_int_equal(t->tags.n, 2);
    assert_true(str_eq(t->tags.items[0], STR("a")));
    assert_int_equal(t->part->weight, 7);
    const struct part *parts = t->parts.items;
    assert_int_equal(t->parts.n, 2);
    assert_true(str_eq(parts[1].label, STR("z")));
    assert_false(shape_given(&parts[0], 1));
    assert_true(shape_given(&parts[1], 1));
    for (unsigned i = 0; i <= PARTS; i++)
        assert_true(shape_given(t, i));
}

static void test_what_is_not_given(void **state)
{
    const struct thing *t = bind_ok(" \r\n\t{ \"name\" : \"ab\" , \"note\" : null } \n");

    assert_int_equal(t->given, 1 << NAME);
    assert_int_equal(t->note.n, 0);
}

static void test_text_lives_on_its_own(void **state)
{
    char text[] = "{\"name\":\"abcd\"}";
    const struct thing *t = bind_ok(text);

    memset(text, 'x', sizeof text - 1);
    assert_true(str_eq(t->name, STR("abcd")));
}

static void test_duplicate_keys(void **state)
{
    refuse("{\"name\":\"ab\",\"name\":\"cd\"}", "name", "name is given twice.");
    refuse("{\"name\":\"ab\",\"n\\u0061me\":\"cd\"}", "name", "name is given twice.");
    refuse("{\"a-field-whose-name-is-longer-than-twenty\":1,"
           "\"a-field-whose-name-is-longer-than-twenty\":1}",
           "a-field-whose-name-is-longer-than-twenty",
           "a-field-whose-name-is-longer-than-twenty is given twice.");
    refuse("{\"part\":{\"label\":\"a\",\"label\":\"a\"}}", "label", "label is given twice.");
    refuse("{\"q\\\"\":1,\"q\\\"\":1}", "q\"", "q\" is given twice.");
}

static void test_unknown_fields(void **state)
{
    refuse("{\"name\":\"ab\",\"Name\":1}", "Name", "Name is not a field of this request.");
    refuse("{\"\":1}", "", " is not a field of this request.");
    refuse("{\"part\":{\"label\":\"a\",\"x\":1}}", "part.x",
           "part.x is not a field of this request.");
    refuse("{\"parts\":[{\"label\":\"a\"},{\"x\":1}]}", "parts[1].x",
           "parts[1].x is not a field of this request.");
    /* 63 bytes and a character of two: the cut leaves no half character. */
    refuse("{\"123456789012345678901234567890123456789012345678901234567890123\xC3\xA9zzz\":1}",
           "123456789012345678901234567890123456789012345678901234567890123",
           "123456789012345678901234567890123456789012345678901234567890123"
           " is not a field of this request.");
}

static void test_wrong_types(void **state)
{
    refuse("{\"name\":1}", "name", "name must be a string.");
    refuse("{\"count\":\"1\"}", "count", "count must be an integer.");
    refuse("{\"count\":1.0}", "count", "count must be an integer.");
    refuse("{\"count\":true}", "count", "count must be an integer.");
    refuse("{\"on\":1}", "on", "on must be true or false.");
    refuse("{\"on\":\"true\"}", "on", "on must be true or false.");
    refuse("{\"id\":7}", "id", "id must be a string.");
    refuse("{\"id\":\"7\"}", "id", "id must be a UUID.");
    refuse("{\"at\":0}", "at", "at must be a string.");
    refuse("{\"at\":\"yesterday\"}", "at",
           "at must be a time such as 2026-01-02T03:04:05Z (RFC 3339).");
    refuse("{\"colour\":0}", "colour", "colour must be a string.");
    refuse("{\"colour\":\"blue\"}", "colour", "colour must be one of red, green.");
    refuse("{\"tags\":\"a\"}", "tags", "tags must be an array.");
    refuse("{\"tags\":[\"a\",1]}", "tags[1]", "tags[1] must be a string.");
    refuse("{\"part\":[]}", "part", "part must be an object.");
    refuse("{\"parts\":{}}", "parts", "parts must be an array.");
    refuse("{\"parts\":[{\"label\":\"a\"},null]}", "parts[1]", "parts[1] must be an object.");
}

static void test_missing_and_null(void **state)
{
    refuse("{}", "name", "name is missing.");
    refuse("{\"name\":\"ab\",\"part\":{}}", "part.label", "part.label is missing.");
    refuse("{\"name\":\"ab\",\"parts\":[{}]}", "parts[0].label", "parts[0].label is missing.");
    refuse("{\"name\":null}", "name", "name must not be null.");
    refuse("{\"name\":\"ab\",\"count\":null}", "count", "count must not be null.");
}

static void test_bounds(void **state)
{
    bind_ok("{\"name\":\"ab\"}");
    bind_ok("{\"name\":\"\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\\ud83d\\ude00\"}");
    refuse("{\"name\":\"\xF0\x9F\x98\x80\"}", "name", "name must have at least 2 characters.");
    refuse("{\"name\":\"abcde\"}", "name", "name must have at most 4 characters.");
    bind_ok("{\"name\":\"ab\",\"count\":9}");
    refuse("{\"count\":10}", "count", "count must be from -3 to 9.");
    refuse("{\"count\":-4}", "count", "count must be from -3 to 9.");
    refuse("{\"tags\":[]}", "tags", "tags must have at least 1 entries.");
    bind_ok("{\"name\":\"ab\",\"tags\":[\"\",\"\",\"\"]}");
    refuse("{\"tags\":[\"\",\"\",\"\",\"\"]}", "tags", "tags must have at most 3 entries.");
    refuse("{\"parts\":[1,2,3]}", "parts", "parts must have at most 2 entries.");
    bind_ok("{\"name\":\"ab\",\"any\":9223372036854775807,\"parts\":[]}");
}

/* The default bound of strings, in a field and in an entry. */
static void test_longest_string(void **state)
{
    _cleanup_buf_ struct buf text = buf_init(20000);

    for (size_t n = SHAPE_STR_MAX; n <= SHAPE_STR_MAX + 1; n++) {
        buf_reset(&text);
        buf_add_str(&text, STR("{\"name\":\"ab\",\"note\":\""));
        for (size_t i = 0; i < n; i++)
            buf_add(&text, "\xC3\xA9", 2);
        buf_add_str(&text, STR("\"}"));
        if (n > SHAPE_STR_MAX)
            refuse(buf_cstr(&text), "note", "note must have at most 4096 characters.");
        else
            assert_int_equal(bind_ok(buf_cstr(&text))->note.n, 2 * n);
    }
    buf_reset(&text);
    buf_printf(&text, "{\"name\":\"ab\",\"tags\":[\"%04097d\"]}", 0);
    refuse(buf_cstr(&text), "tags[0]", "tags[0] must have at most 4096 characters.");
}

struct letter {
    uint64_t given;
    struct str_list to;
};

/* A string alone stands for a list of one, where the field says so. */
static void test_one_for_a_list(void **state)
{
    static const struct field letter_fields[] = {
        {"to", FIELD_STRS, FIELD_REQUIRED | FIELD_ONE, offsetof(struct letter, to), 1, 2}};
    static const struct shape letter_shape = SHAPE("Letter", struct letter, letter_fields);
    static const char *const wrong[] = {"{\"to\":7}", "{\"to\":null}", "{\"to\":[]}",
                                        "{\"to\":\"\\u0000\"}", "{\"to\":[\"a\",\"b\",\"c\"]}"};
    _cleanup_buf_ struct buf text = buf_init(8192);
    const struct letter *letter = NULL;
    struct shape_error error = {0};
    const void *object = NULL;

    assert_int_equal(
        shape_bind_json(&letter_shape, STR("{\"to\":\"ann\"}"), &arena, &object, &error), 0);
    letter = object;
    assert_true(shape_given(letter, 0));
    assert_int_equal(letter->to.n, 1);
    assert_true(str_eq(letter->to.items[0], STR("ann")));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(shape_bind_json(&letter_shape, str_of(wrong[i]), &arena, &object, &error),
                         SHAPE_INVALID);
        assert_true(str_eq(error.field, STR("to")));
    }
    buf_printf(&text, "{\"to\":\"%04097d\"}", 0);
    assert_int_equal(shape_bind_json(&letter_shape, buf_str(&text), &arena, &object, &error),
                     SHAPE_INVALID);
    assert_true(str_eq(error.detail, STR("to must have at most 4096 characters.")));
}

static void test_encoding(void **state)
{
    static const char *const bad[] = {"\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                      "\xFF", "\x80"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"name\":\"ab%s\"}", bad[i]);
        refuse(text, "", "The body is not UTF-8.");
    }
    refuse("{\"name\":\"a\\u0000b\"}", "name", "name must not hold NUL.");
    refuse("{\"tags\":[\"\\u0000\"]}", "tags[0]", "tags[0] must not hold NUL.");
    refuse("{\"na\\u0000me\":1}", "", "The body is not JSON: see line 1, column 13.");
    refuse_n(STR("{\"name\":\"a\0b\"}"), "", "The body is not JSON: see line 1, column 10.");
    refuse("{\"name\":\"\\ud800\"}", "", "The body is not JSON: see line 1, column 16.");
    refuse("{\"name\":\"a\nb\"}", "", "The body is not JSON: see line 1, column 10.");
    refuse("\xEF\xBB\xBF{\"name\":\"ab\"}", "", "The body is not JSON: see line 1, column 1.");
}

static void test_nesting(void **state)
{
    static const char *const pairs[] = {"[]", "{}"};
    _cleanup_buf_ struct buf text = buf_init(100000);

    for (size_t p = 0; p < 2; p++) {
        buf_reset(&text);
        buf_add_str(&text, STR("{\"note\":"));
        for (int i = 0; i < 10000; i++)
            buf_add_str(&text, p ? STR("{\"a\":") : STR("["));
        refuse_n(buf_str(&text), "", "The body nests deeper than 32 levels.");
        for (int i = 0; i < 10000; i++)
            buf_add_char(&text, pairs[p][1]);
        buf_add_char(&text, '}');
        refuse_n(buf_str(&text), "", "The body nests deeper than 32 levels.");
    }
    refuse("{\"note\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "note",
           "note must be a string.");
    refuse("{\"note\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "",
           "The body nests deeper than 32 levels.");
    bind_ok("{\"name\":\"ab\",\"note\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}");
}

static void test_huge_numbers(void **state)
{
    refuse("{\"name\":\"ab\",\"any\":9223372036854775808}", "any",
           "any holds a number out of range.");
    refuse("{\"any\":1e999}", "any", "any holds a number out of range.");
    refuse("{\"on\":true,\"part\":{\"weight\":-99999999999999999999999}}", "weight",
           "weight holds a number out of range.");
    refuse("{\"tags\":[\"a\",\"b\",1e999]}", "tags", "tags holds a number out of range.");
    refuse("[1e999]", "", "A field holds a number out of range.");
    refuse("{\"any\":01}", "", "The body is not JSON: see line 1, column 8.");
    refuse("{\"any\":1e2}", "any", "any must be an integer.");
}

static void test_malformed(void **state)
{
    refuse("", "", "The body is empty; it must be a JSON object.");
    refuse("  ", "", "The body is not JSON: see line 1, column 2.");
    refuse("{\"name\":\"ab\"} x", "", "The body is not JSON: see line 1, column 15.");
    refuse("{\"name\":\"ab\"}{}", "", "The body is not JSON: see line 1, column 14.");
    refuse("{\"name\":\"ab\",}", "", "The body is not JSON: see line 1, column 14.");
    refuse("{\"name\":\n\"ab\"", "", "The body is not JSON: see line 2, column 4.");
    refuse("{'name':'ab'}", "", "The body is not JSON: see line 1, column 2.");
    refuse("{\"name", "", "The body is not JSON: see line 1, column 6.");
    refuse("{\"name\\", "", "The body is not JSON: see line 1, column 7.");
    refuse_n(STR("{\"name\":\"ab\"}\0"), "", "The body is not JSON: see line 1, column 14.");
    for (size_t i = 0; i < 4; i++) {
        static const char *const others[] = {"[]", "\"name\"", "null", "12"};
        refuse(others[i], "", "The body must be a JSON object.");
    }
}

static void test_faults(void **state)
{
    struct arena small = arena_init(64);
    struct shape_error error = {0};
    const void *object = NULL;
    struct shape wide = shape;
    wide.count = 65;

    assert_true(shape_bind_json(&shape, STR("{\"name\":\"ab\"}"), &small, &object, &error) < 0);
    arena_free(&small);
    assert_true(shape_bind_json(&wide, STR("{}"), &arena, &object, &error) < 0);
    assert_null(object);
}

/* What the parser frees must not keep what it held. */
static void test_parser_wipes(void **state)
{
    json_malloc_t take;
    json_free_t give_back;

    bind_ok("{\"name\":\"ab\"}");
    json_get_alloc_funcs(&take, &give_back);
    assert_ptr_equal(take, malloc);
    assert_ptr_not_equal(give_back, free);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_type),
        TEST(test_what_is_not_given),
        TEST(test_text_lives_on_its_own),
        TEST(test_duplicate_keys),
        TEST(test_unknown_fields),
        TEST(test_wrong_types),
        TEST(test_missing_and_null),
        TEST(test_bounds),
        TEST(test_longest_string),
        TEST(test_one_for_a_list),
        TEST(test_encoding),
        TEST(test_nesting),
        TEST(test_huge_numbers),
        TEST(test_malformed),
        TEST(test_faults),
        TEST(test_parser_wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
