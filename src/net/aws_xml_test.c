#include "net/aws_xml.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_elements_in_order(void **state)
{
    struct str rest = STR("<?xml version=\"1.0\"?>\n<!-- <x> --> text <a>1</a><b c='>' d=\"<\"/>"
                          "<n:a><a>2</a><a/></n:a > tail");
    struct str name, inner;

    assert_int_equal(aws_xml_next(&rest, &name, &inner), 0);
    assert_true(str_eq(name, STR("a")) && str_eq(inner, STR("1")));
    assert_int_equal(aws_xml_next(&rest, &name, &inner), 0);
    assert_true(str_eq(name, STR("b")) && inner.n == 0);
    assert_int_equal(aws_xml_next(&rest, &name, &inner), 0);
    assert_true(str_eq(name, STR("n:a")) && str_eq(inner, STR("<a>2</a><a/>")));
    assert_int_equal(aws_xml_next(&rest, &name, &inner), AWS_XML_END);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "<",
        "<>",
        "< a></a>",
        "<a",
        "<a></b>",
        "<a><b></a></b>",
        "</a>",
        "<a><!-- </a>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
        "<a b=\"c></a>",
        "<?xml",
        "<a></a/>",
        "<a <b></b></a>",
    };
    struct str name, inner;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct str rest = str_of(bad[i]);
        if (aws_xml_next(&rest, &name, &inner) != AWS_XML_MALFORMED)
            fail_msg("taken: %s", bad[i]);
    }
}

static void test_depth(void **state)
{
    char text[3 * 4 * AWS_XML_DEPTH_MAX];
    struct str name, inner;

    for (size_t depth = AWS_XML_DEPTH_MAX; depth <= AWS_XML_DEPTH_MAX + 1; depth++) {
        size_t n = 0;
        for (size_t i = 0; i < depth; i++, n += 3)
            memcpy(text + n, "<a>", 3);
        for (size_t i = 0; i < depth; i++, n += 4)
            memcpy(text + n, "</a>", 4);
        struct str rest = {text, n};
        assert_int_equal(aws_xml_next(&rest, &name, &inner),
                         depth > AWS_XML_DEPTH_MAX ? AWS_XML_MALFORMED : 0);
    }
}

static void test_paths(void **state)
{
    struct str xml = STR("<R xmlns=\"x\"><Skip/><L><e><k>a</k></e><e><k>b</k></e></L></R>");
    char text[8];

    assert_true(aws_xml_text_at(xml, "R/L/e/k", text, sizeof text));
    assert_string_equal(text, "a");
    assert_true(aws_xml_text_at(xml, "*/L/*/k", text, sizeof text));
    assert_string_equal(text, "a");
    assert_false(aws_xml_text_at(xml, "R/L/e/v", text, sizeof text));
    assert_string_equal(text, "");
    assert_false(aws_xml_text_at(xml, "R/L", text, sizeof text));
    assert_false(aws_xml_text_at(xml, "L", text, sizeof text));
    assert_true(aws_xml_text_at(xml, "R/Skip", text, sizeof text));
}

static void test_texts(void **state)
{
    static const struct {
        const char *inner, *text; /* NULL: none */
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"&lt;&amp;&gt;&quot;&apos;", "<&>\"'"},
        {"&#65;&#x42;&#x20AC;", "AB\xE2\x82\xAC"},
        {"&#233;", "\xC3\xA9"},
        {"&#x1F600;", "\xF0\x9F\x98\x80"},
        {"&#0;", NULL},
        {"&#xD800;", NULL},
        {"&#x110000;", NULL},
        {"&#99999999999;", NULL},
        {"&#;", NULL},
        {"&#x;", NULL},
        {"&#6A;", NULL},
        {"&nbsp;", NULL},
        {"&amp", NULL},
        {"a<b/>", NULL},
    };
    char text[16];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int r = aws_xml_text(str_of(rows[i].inner), text, sizeof text);
        if (r != (rows[i].text == NULL) || strcmp(text, rows[i].text ? rows[i].text : "") != 0)
            fail_msg("%s: %d %s", rows[i].inner, r, text);
    }
    assert_int_equal(aws_xml_text((struct str){"a\0b", 3}, text, sizeof text), 1);
}

static void test_text_room(void **state)
{
    char text[8];

    assert_int_equal(aws_xml_text(STR("1234567"), text, sizeof text), 0);
    assert_int_equal(aws_xml_text(STR("12345678"), text, sizeof text), 1);
    assert_int_equal(aws_xml_text(STR("123456&#x20AC;"), text, sizeof text), 1);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_in_order),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_text_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
