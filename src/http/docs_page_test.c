#include "http/docs_page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool contains(struct str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void test_files(void **state)
{
    for (size_t i = 0; i < DOCS_PAGE_FILES; i++) {
        const struct docs_page_file *f = &docs_page_files[i];
        assert_ptr_equal(docs_page_find(str_of(f->path)), f);
        assert_true(f->content.n > 100);
        assert_true(str_is_utf8(f->content));
    }
    assert_null(docs_page_find(STR("/docs/")));
    assert_null(docs_page_find(STR("/docs/app.jsx")));
}

/* The page's policy allows no inline script or style, and nothing from elsewhere. */
static void test_policy(void **state)
{
    static const char *const forbidden[] = {
        "<style",      " style=", "onclick=", "onload=",   "javascript:", "src=\"http",
        "href=\"http", " url(",   "@import",  "innerHTML", "eval(",       ".style."};

    for (size_t i = 0; i < DOCS_PAGE_FILES; i++)
        for (size_t j = 0; j < sizeof forbidden / sizeof *forbidden; j++)
            if (contains(docs_page_files[i].content, forbidden[j]))
                fail_msg("%s holds %s", docs_page_files[i].path, forbidden[j]);
}

static void test_page_loads_the_others(void **state)
{
    struct str page = docs_page_find(STR("/docs"))->content;

    assert_true(contains(page, "src=\"/docs/app.js\""));
    assert_true(contains(page, "href=\"/docs/style.css\""));
    assert_true(contains(docs_page_find(STR("/docs/app.js"))->content, "\"/openapi.json\""));
    assert_true(
        contains(docs_page_find(STR("/docs/style.css"))->content, "prefers-color-scheme: dark"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_page_loads_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
