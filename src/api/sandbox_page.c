#include "api/sandbox_page.h"

#include "api/sandbox_files.h"

#define CONTENT(name)                                                                              \
    {                                                                                              \
        (const char *)(name), sizeof(name)                                                         \
    }

static const struct sandbox_page_file files[] = {
    {"/", "text/html; charset=utf-8", CONTENT(sandbox_index_html)},
    {"/app.js", "text/javascript; charset=utf-8", CONTENT(sandbox_app_js)},
    {"/style.css", "text/css; charset=utf-8", CONTENT(sandbox_style_css)},
};

const struct sandbox_page_file *sandbox_page_find(struct str path)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (str_eq(str_of(files[i].path), path))
            return &files[i];
    return NULL;
}
