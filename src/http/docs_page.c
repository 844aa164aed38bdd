#include "http/docs_page.h"

#include "http/docs_files.h"

#define CONTENT(name)                                                                              \
    {                                                                                              \
        (const char *)(name), sizeof(name)                                                         \
    }

const struct docs_page_file docs_page_files[DOCS_PAGE_FILES] = {
    {"/docs", "text/html; charset=utf-8", CONTENT(docs_index_html)},
    {"/docs/app.js", "text/javascript; charset=utf-8", CONTENT(docs_app_js)},
    {"/docs/style.css", "text/css; charset=utf-8", CONTENT(docs_style_css)},
};

const struct docs_page_file *docs_page_find(struct str path)
{
    for (size_t i = 0; i < DOCS_PAGE_FILES; i++)
        if (str_eq(str_of(docs_page_files[i].path), path))
            return &docs_page_files[i];
    return NULL;
}
