#include "http/shape.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct query {
    uint64_t given;
    struct str text;
    int64_t limit, since, status;
    bool all;
    struct uuid user;
};

static const char *const statuses[] = {"sent", "bounced", NULL};

static const struct field fields[] = {
    {"text", FIELD_STR, 0, offsetof(struct query, text), .max = 3},
    {"limit", FIELD_INT, 0, offsetof(struct query, limit), .min = 1, .max = 200},
    {"since", FIELD_TIME, 0, offsetof(struct query, since)},
    {"status", FIELD_CHOICE, 0, offsetof(struct query, status), .choices = statuses},
    {"all", FIELD_BOOL, 0, offsetof(struct query, all)},
    {"user", FIELD_UUID, 0, offsetof(struct query, user)},
};
static const struct shape shape = SHAPE("Query", struct query, fields);

static const struct field needed_fields[] = {
    {"token", FIELD_STR, FIELD_REQUIRED, offsetof(struct query, text)},
};
static const struct shape needed = SHAPE("Needed", struct query, needed_fields);

static struct arena arena;

static int set_up(void **state)
{
    arena = arena_init(1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct query *bind_ok(const char *text)
{
    struct shape_error error = {0};
    const void *object = NULL;

    if (shape_bind_form(&shape, str_of(text), &arena, &object, &error))
        fail_msg("%s: %.*s", text, STR_ARG(error.detail));
    return object;
}

static void refuse_of(const struct shape *s, const char *text, const char *field,
                      const char *detail)
{
    struct shape_error error = {0};
    const void *object = NULL;

    assert_int_equal(shape_bind_form(s, str_of(text), &arena, &object, &error), SHAPE_INVALID);
    assert_null(object);
    if (!str_eq(error.field, str_of(field)) || !str_eq(error.detail, str_of(detail)))
        fail_msg("%s: field '%.*s', detail '%.*s'", text, STR_ARG(error.field),
                 STR_ARG(error.detail));
}

static void refuse(const char *text, const char *field, const char *detail)
{
    refuse_of(&shape, text, field, detail);
}

static void test_every_type(void **state)
{
    const struct query *q =
        bind_ok("text=a+%2b&limit=200&since=1970-01-01T00%3A00:01%2B00:00&status=bounced&all=true"
                "&user=01890a5d-ac96-774b-bcce-b302099a8057");

    assert_true(str_eq(q->text, STR("a +")));
    assert_int_equal(q->limit, 200);
    assert_int_equal(q->since, 1000);
    assert_int_equal(q->status, 1);
    assert_true(q->all);
    assert_int_equal(q->user.b[1], 0x89);
    assert_int_equal(q->given, 63);
}

static void test_what_is_not_given(void **state)
{
    assert_int_equal(bind_ok("")->given, 0);
    assert_int_equal(bind_ok("&&all=false&")->given, 16);
    assert_int_equal(bind_ok("text")->given, 1);
    assert_true(str_eq(bind_ok("te%78t=a=b")->text, STR("a=b")));
    assert_true(
        str_eq(bind_ok("text=%F0%9F%98%80%c3%A9x")->text, STR("\xF0\x9F\x98\x80\xC3\xA9x")));
}

static void test_encoding(void **state)
{
    refuse("text=a%00", "text", "text is badly encoded.");
    refuse("text=%", "text", "text is badly encoded.");
    refuse("text=%4", "text", "text is badly encoded.");
    refuse("text=%4g", "text", "text is badly encoded.");
    refuse("text=% 1", "text", "text is badly encoded.");
    refuse("text=%FF", "text", "text is not UTF-8.");
    refuse("te%00xt=a", "", "A name is badly encoded.");
    refuse("te%x=a", "", "A name is badly encoded.");
    refuse("%FF=a", "", "A name is badly encoded.");
}

static void test_values(void **state)
{
    refuse("text=abcd", "text", "text must have at most 3 characters.");
    refuse("limit=0", "limit", "limit must be from 1 to 200.");
    refuse("limit=201", "limit", "limit must be from 1 to 200.");
    refuse("limit=", "limit", "limit must be an integer.");
    refuse("limit=+1", "limit", "limit must be an integer.");
    refuse("limit=1e2", "limit", "limit must be an integer.");
    refuse("limit=0x10", "limit", "limit must be an integer.");
    refuse("limit=99999999999999999999", "limit", "limit must be an integer.");
    refuse("since=1", "since", "since must be a time such as 2026-01-02T03:04:05Z (RFC 3339).");
    refuse("status=", "status", "status must be one of sent, bounced.");
    refuse("all=1", "all", "all must be true or false.");
    refuse("user=me", "user", "user must be a UUID.");
}

static void test_names(void **state)
{
    refuse("text=a&text=a", "text", "text is given twice.");
    refuse("text=a&te%78t=b", "text", "text is given twice.");
    refuse("Text=a", "Text", "Text is not a parameter of this request.");
    refuse("=a", "", " is not a parameter of this request.");
    refuse_of(&needed, "", "token", "token is missing.");
    refuse_of(&needed, "token=a&x=1", "x", "x is not a parameter of this request.");
}

static void test_percent_decode(void **state)
{
    struct str got = {0};

    assert_int_equal(percent_decode(STR("a+b%20%2F"), false, &arena, &got), 0);
    assert_true(str_eq(got, STR("a+b /")));
    assert_int_equal(percent_decode(STR("a+b"), true, &arena, &got), 0);
    assert_true(str_eq(got, STR("a b")));
    assert_int_equal(percent_decode(STR(""), true, &arena, &got), 0);
    assert_int_equal(got.n, 0);
    got = STR("kept");
    assert_int_equal(percent_decode(STR("%0"), false, &arena, &got), 1);
    assert_int_equal(percent_decode(STR("%00"), false, &arena, &got), 1);
    assert_int_equal(percent_decode(STR("a\0b"), false, &arena, &got), 1);
    assert_true(str_eq(got, STR("kept")));
    struct arena none = arena_init(1);
    assert_true(percent_decode(STR("abc"), false, &none, &got) < 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_type), TEST(test_what_is_not_given), TEST(test_encoding), TEST(test_values),
        TEST(test_names),      TEST(test_percent_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
