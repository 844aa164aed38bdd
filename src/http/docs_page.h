/*
 * The page that shows openapi.json to people: three files, embedded when the program is built.
 *
 * They load nothing from elsewhere and hold no inline script or style, so they work under
 * DOCS_PAGE_POLICY.
 * Rooms: http and below. Ownership: static. Threads: any.
 */
#ifndef HOLDFAST_HTTP_DOCS_PAGE_H
#define HOLDFAST_HTTP_DOCS_PAGE_H

#include "base/str.h"

#define DOCS_PAGE_POLICY                                                                           \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct docs_page_file {
    const char *path, *media_type;
    struct str content;
};

/* /docs, /docs/app.js and /docs/style.css. */
enum { DOCS_PAGE_FILES = 3 };
extern const struct docs_page_file docs_page_files[DOCS_PAGE_FILES];

/* The file that is served at a path; NULL where there is none. */
const struct docs_page_file *docs_page_find(struct str path);

#endif
