/* Notices by mail: the words as they are, nothing interpreted, everything bounded. */
#include "mail/template.h"

#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct template_notice sample(void)
{
    return (struct template_notice){
        .sender = STR("Example"),
        .title = STR("A sign-in from a new device"),
        .body = STR("Seen from: 192.0.2.1"),
        .at = INT64_C(1700000000000),
        .link = STR("https://example.com/account"),
        .unsubscribe_url = STR("https://example.com/u/token"),
    };
}

static void test_text(void **state)
{
    struct template_notice n = sample();
    _cleanup_buf_ struct buf text = buf_init(TEMPLATE_OUT_MAX);
    _cleanup_buf_ struct buf html = buf_init(TEMPLATE_OUT_MAX);

    assert_int_equal(template_write(TEMPLATE_SECURITY, &n, &text, &html), 0);
    assert_string_equal(buf_cstr(&text),
                        "A sign-in from a new device\n\nSeen from: 192.0.2.1\n\n"
                        "2023-11-14 22:13 UTC\n\nhttps://example.com/account\n\n-- \nExample\n"
                        "You get this because it concerns the safety of your account.\n"
                        "To get no more of it: https://example.com/u/token\n");
    assert_non_null(strstr(buf_cstr(&html), "<title>A sign-in from a new device</title>"));
    assert_non_null(strstr(buf_cstr(&html), "<a href=\"https://example.com/u/token\">"));
}

static void test_escaped(void **state)
{
    struct template_notice n = sample();
    _cleanup_buf_ struct buf text = buf_init(TEMPLATE_OUT_MAX);
    _cleanup_buf_ struct buf html = buf_init(TEMPLATE_OUT_MAX);

    n.sender = n.title = STR("<script>\"'&{{x}}</script>");
    n.body = STR("one\n<b>two</b> %s");
    n.link = STR("https://example.com/?a=1&b=\"><script>");
    n.unsubscribe_url = STR("");
    assert_int_equal(template_write(TEMPLATE_NOTICE, &n, &text, &html), 0);
    assert_null(strstr(buf_cstr(&html), "<script>"));
    assert_null(strstr(buf_cstr(&html), "<b>"));
    assert_non_null(strstr(buf_cstr(&html),
                           "<h1 style=\"font-size:1.3em\">&lt;script&gt;&quot;&#39;&amp;{{x}}"));
    assert_non_null(strstr(buf_cstr(&html), "one<br>\n&lt;b&gt;two&lt;/b&gt; %s"));
    assert_non_null(
        strstr(buf_cstr(&html), "<a href=\"https://example.com/?a=1&amp;b=&quot;&gt;&lt;script"));
    assert_non_null(strstr(buf_cstr(&text), "<b>two</b> %s"));
    assert_null(strstr(buf_cstr(&text), "no more"));
}

static void assert_refused(const struct template_notice *n, int outcome)
{
    struct buf text = buf_init(TEMPLATE_OUT_MAX), html = buf_init(TEMPLATE_OUT_MAX);

    assert_int_equal(template_write(TEMPLATE_NOTICE, n, &text, &html), outcome);
    assert_int_equal(text.n + html.n, 0);
    buf_free(&text);
    buf_free(&html);
}

static void test_refused(void **state)
{
    static const struct str texts[] = {STR_INIT(""), STR_INIT("a\nb"), STR_INIT("a\0b"),
                                       STR_INIT("\xFF"), STR_INIT("a\x7F")};
    static const char *const urls[] = {"javascript:alert(1)", "https://a b", "http://a\n", "/path"};
    static char large[TEMPLATE_TEXT_MAX + 1];
    struct template_notice n;

    memset(large, 'a', sizeof large);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        n = sample();
        n.title = texts[i];
        assert_refused(&n, TEMPLATE_TEXT);
        n = sample();
        n.sender = texts[i];
        assert_refused(&n, TEMPLATE_TEXT);
    }
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        n = sample();
        n.link = str_of(urls[i]);
        assert_refused(&n, TEMPLATE_URL);
        n = sample();
        n.unsubscribe_url = str_of(urls[i]);
        assert_refused(&n, TEMPLATE_URL);
    }
    n = sample();
    n.body = (struct str){large, sizeof large};
    assert_refused(&n, TEMPLATE_TEXT);
    n = sample();
    memcpy(large, "https://", 8);
    n.link = (struct str){large, TEMPLATE_URL_MAX + 1};
    assert_refused(&n, TEMPLATE_URL);
}

/* The largest of everything fits into what the header says. */
static void test_largest(void **state)
{
    static char quotes[TEMPLATE_TEXT_MAX];
    struct template_notice n = sample();
    struct buf text = buf_init(TEMPLATE_OUT_MAX), html = buf_init(TEMPLATE_OUT_MAX);
    struct buf small = buf_init(100);

    memset(quotes, '"', sizeof quotes);
    n.body = (struct str){quotes, sizeof quotes};
    assert_int_equal(template_write(TEMPLATE_NOTICE, &n, &text, &html), 0);
    buf_reset(&text);
    assert_int_equal(template_write(TEMPLATE_NOTICE, &n, &text, &small), FAULT_LIMIT);
    assert_int_equal(text.n + small.n, 0);
    buf_free(&text);
    buf_free(&html);
    buf_free(&small);
}

static void test_names(void **state)
{
    enum template_id id;

    for (int i = 0; i < TEMPLATES; i++) {
        assert_int_equal(template_find(template_name((enum template_id)i), &id), 0);
        assert_int_equal(id, i);
    }
    assert_int_equal(template_find(STR("other"), &id), TEMPLATE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
