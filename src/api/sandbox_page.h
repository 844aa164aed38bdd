/*
 * The page that shows the sandbox's messages to people: three files, embedded when the program is
 * built. They load nothing from elsewhere and hold no inline script or style, so they work under
 * SANDBOX_PAGE_POLICY.
 *
 * Rooms: api. Ownership: static. Threads: any.
 */
#ifndef HOLDFAST_API_SANDBOX_PAGE_H
#define HOLDFAST_API_SANDBOX_PAGE_H

#include "base/str.h"

#define SANDBOX_PAGE_POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct sandbox_page_file {
    const char *path, *media_type;
    struct str content;
};

/* The file at "/", "/app.js" or "/style.css"; NULL elsewhere. */
const struct sandbox_page_file *sandbox_page_find(struct str path);

#endif
