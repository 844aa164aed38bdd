/* Messages as MailHog shows them, and what is no message at all. */
#include "mail/mailhog.h"

#include "mail/message_parts.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OUT_MAX = 8 * 1024 * 1024 };

static const struct sandbox_message sample = {
    .id = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x90, 10, 11, 12, 13, 14, 15, 16}},
    .at = INT64_C(1700000000000),
    .helo = STR_INIT("me.test"),
    .from = STR_INIT("a@x.test"),
    .to = STR_INIT("b@y.test\n\"q@r\"@z.test\npostmaster\n"),
    .data = STR_INIT("Subject: Hello\r\nX-Long: one\r\n two\r\nReceived: 1\r\nreceived: 2\r\n\r\n"
                     "Hi\r\n"),
};

static json_t *render(const struct sandbox_message *m)
{
    _cleanup_buf_ struct buf out = buf_init(OUT_MAX);
    json_error_t error;

    assert_int_equal(mailhog_write_message(m, &out), 0);
    json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!json)
        fail_msg("%s", error.text);
    return json;
}

static json_t *render_data(const char *data)
{
    struct sandbox_message m = sample;

    m.data = str_of(data);
    return render(&m);
}

/* The value at a path such as "Content/Headers/Subject/0". */
static json_t *at(json_t *json, const char *path)
{
    struct str rest = str_of(path), part;

    while (str_next(&rest, '/', &part)) {
        char key[80];
        uint64_t index;
        snprintf(key, sizeof key, "%.*s", STR_ARG(part));
        if (json_is_array(json) && str_to_u64(part, 1000, &index) == 0)
            json = json_array_get(json, index);
        else
            json = json_object_get(json, key);
    }
    return json;
}

static void assert_text(json_t *json, const char *path, const char *expected)
{
    const char *value = json_string_value(at(json, path));

    if (!value)
        fail_msg("no %s", path);
    assert_string_equal(value, expected);
}

static void test_message(void **state)
{
    json_t *m = render(&sample);

    assert_text(m, "ID", "01020304-0506-7008-900a-0b0c0d0e0f10");
    assert_text(m, "From/Mailbox", "a");
    assert_text(m, "From/Domain", "x.test");
    assert_text(m, "From/Params", "");
    assert_true(json_is_null(at(m, "From/Relays")));
    assert_int_equal(json_array_size(at(m, "To")), 3);
    assert_text(m, "To/1/Mailbox", "\"q@r\"");
    assert_text(m, "To/1/Domain", "z.test");
    assert_text(m, "To/2/Mailbox", "postmaster");
    assert_text(m, "To/2/Domain", "");
    assert_text(m, "Content/Headers/Subject/0", "Hello");
    assert_text(m, "Content/Headers/X-Long/0", "one two");
    assert_int_equal(json_array_size(at(m, "Content/Headers/Received")), 2);
    assert_text(m, "Content/Headers/Received/1", "2");
    assert_text(m, "Content/Body", "Hi\r\n");
    assert_int_equal(json_integer_value(at(m, "Content/Size")), sample.data.n);
    assert_true(json_is_null(at(m, "Content/MIME")));
    assert_true(json_is_null(at(m, "MIME")));
    assert_text(m, "Created", "2023-11-14T22:13:20.000Z");
    assert_text(m, "Raw/From", "a@x.test");
    assert_text(m, "Raw/To/0", "b@y.test");
    assert_text(m, "Raw/Helo", "me.test");
    assert_text(m, "Raw/Data", sample.data.p);
    json_decref(m);
}

static void test_null_path(void **state)
{
    struct sandbox_message m = sample;

    m.from = STR("");
    json_t *json = render(&m);
    assert_text(json, "From/Mailbox", "");
    assert_text(json, "Raw/From", "");
    json_decref(json);
}

static void test_multipart(void **state)
{
    json_t *m = render_data(
        "Content-Type: multipart/mixed;\r\n boundary=\"=_a\"\r\n\r\npreamble\r\n--=_a\r\n"
        "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\none\r\n--bc\r\n--b \r\n"
        "Content-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n\r\n--=_a\r\nX-A: 1\r\n\r\nthree\r\n"
        "--=_a--\r\nepilogue\r\n");

    assert_int_equal(json_array_size(at(m, "MIME/Parts")), 2);
    assert_int_equal(json_array_size(at(m, "MIME/Parts/0/MIME/Parts")), 2);
    assert_text(m, "MIME/Parts/0/MIME/Parts/0/Body", "one\r\n--bc");
    assert_text(m, "MIME/Parts/0/MIME/Parts/1/Body", "<p>two");
    assert_text(m, "MIME/Parts/0/MIME/Parts/1/Headers/Content-Type/0", "text/html");
    assert_text(m, "MIME/Parts/1/Headers/X-A/0", "1");
    assert_text(m, "MIME/Parts/1/Body", "three");
    json_decref(m);
}

/* A part that is never ended is shown; a multipart without a boundary or a part is none. */
static void test_broken_multiparts(void **state)
{
    json_t *m = render_data("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nopen");

    assert_text(m, "MIME/Parts/0/Body", "open");
    json_decref(m);
    m = render_data("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--\r\n");
    assert_int_equal(json_array_size(at(m, "MIME/Parts")), 0);
    json_decref(m);
    m = render_data("Content-Type: multipart/mixed; boundary=a\r\n\r\nnothing");
    assert_int_equal(json_array_size(at(m, "MIME/Parts")), 0);
    json_decref(m);
    m = render_data("Content-Type: multipart/mixed\r\n\r\nx");
    assert_true(json_is_null(at(m, "MIME")));
    json_decref(m);
    m = render_data("Content-Type: text/plain; boundary=a\r\n\r\n--a\r\n\r\nx");
    assert_true(json_is_null(at(m, "MIME")));
    json_decref(m);
}

static void test_no_message(void **state)
{
    static const char *const bodies[] = {"", "just text", "no: empty line\r\n", "\r\nbody", "a\nb"};

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        json_t *m = render_data(bodies[i]);
        assert_int_equal(json_object_size(at(m, "Content/Headers")), 0);
        assert_text(m, "Content/Body", bodies[i][0] == '\r' ? "body" : bodies[i]);
        json_decref(m);
    }
}

/* Names that are no names, one name in several cases, more fields than are shown. */
static void test_hostile_fields(void **state)
{
    struct buf data = buf_init(OUT_MAX);

    buf_add_str(&data, STR("\"quoted\\\": x\r\n: none\r\nsame: 1\r\nSAME: 2\r\n  \xFF: y\r\n"
                           "Bad\xFFName: z\r\nFine: \xFF\r\n"));
    for (int i = 0; i < MESSAGE_FIELDS_MAX + 50; i++)
        buf_printf(&data, "X-%d: v\r\n", i);
    buf_add_str(&data, STR("\r\nbody"));
    struct sandbox_message m = sample;
    m.data = buf_str(&data);
    json_t *json = render(&m);
    assert_text(json, "Content/Headers/same/0", "1");
    assert_text(json, "Content/Headers/same/1", "2  \xEF\xBF\xBD: y");
    assert_text(json, "Content/Headers/Fine/0", "\xEF\xBF\xBD");
    assert_text(json, "Content/Body", "body");
    assert_true(json_object_size(at(json, "Content/Headers")) <= MESSAGE_FIELDS_MAX);
    assert_null(at(json, "Content/Headers/SAME"));
    json_decref(json);
    buf_free(&data);
}

/* Multiparts within multiparts are shown down to a depth, and so many parts of each. */
static void test_depth(void **state)
{
    struct buf data = buf_init(OUT_MAX);
    json_t *m, *level;
    int depth = 0;

    for (int i = 0; i < MAILHOG_DEPTH + 3; i++)
        buf_printf(&data, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    m = render_data(buf_cstr(&data));
    for (level = at(m, "MIME"); json_is_object(level); level = at(level, "Parts/0/MIME"))
        depth++;
    assert_int_equal(depth, MAILHOG_DEPTH);
    json_decref(m);

    buf_reset(&data);
    buf_add_str(&data, STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
    for (int i = 0; i < MESSAGE_PARTS_MAX + 5; i++)
        buf_add_str(&data, STR("--b\r\n\r\nx\r\n"));
    m = render_data(buf_cstr(&data));
    assert_int_equal(json_array_size(at(m, "MIME/Parts")), MESSAGE_PARTS_MAX);
    json_decref(m);
    buf_free(&data);
}

static void test_page(void **state)
{
    struct sandbox_message items[] = {sample, sample};
    struct sandbox_page page = {items, 2, 10, 12};
    _cleanup_buf_ struct buf out = buf_init(OUT_MAX);
    struct buf small = buf_init(100);

    assert_int_equal(mailhog_write_page(&page, &out), 0);
    json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_integer_value(at(json, "total")), 12);
    assert_int_equal(json_integer_value(at(json, "count")), 2);
    assert_int_equal(json_integer_value(at(json, "start")), 10);
    assert_text(json, "items/1/From/Mailbox", "a");
    json_decref(json);
    assert_true(mailhog_write_page(&page, &small) < 0);
    buf_free(&small);
}

static void test_matches(void **state)
{
    struct sandbox_message m = sample;

    m.data = STR("From: Ada <ada@other.test>\r\nTo: c@w.test\r\n\r\nA Needle\r\n");
    assert_true(sandbox_matches(&m, SANDBOX_FROM, STR("A@X")));
    assert_true(sandbox_matches(&m, SANDBOX_FROM, STR("ada@OTHER")));
    assert_false(sandbox_matches(&m, SANDBOX_FROM, STR("b@y")));
    assert_true(sandbox_matches(&m, SANDBOX_TO, STR("b@y.test")));
    assert_true(sandbox_matches(&m, SANDBOX_TO, STR("c@w")));
    assert_false(sandbox_matches(&m, SANDBOX_TO, STR("needle")));
    assert_true(sandbox_matches(&m, SANDBOX_CONTAINING, STR("needle")));
    assert_false(sandbox_matches(&m, SANDBOX_CONTAINING, STR("needles")));
    assert_true(sandbox_matches(&m, SANDBOX_CONTAINING, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),    cmocka_unit_test(test_null_path),
        cmocka_unit_test(test_multipart),  cmocka_unit_test(test_broken_multiparts),
        cmocka_unit_test(test_no_message), cmocka_unit_test(test_hostile_fields),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_page),
        cmocka_unit_test(test_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
