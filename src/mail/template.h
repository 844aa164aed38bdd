/*
 * The named layouts of what Holdfast itself mails: a notice's title and body as text and as HTML.
 * There is no language in them: what is put in is escaped, and nothing of it is interpreted.
 *
 * Rooms: mail and below. Ownership: views of the caller in, the caller's buffers out. Threads: any.
 */
#ifndef HOLDFAST_MAIL_TEMPLATE_H
#define HOLDFAST_MAIL_TEMPLATE_H

#include "base/buf.h"

enum template_id {
    TEMPLATE_NOTICE,   /* about an account */
    TEMPLATE_SECURITY, /* about the safety of an account */
    TEMPLATES
};

enum { TEMPLATE_TEXT_MAX = 16 * 1024, TEMPLATE_OUT_MAX = 256 * 1024, TEMPLATE_URL_MAX = 900 };

struct template_notice {
    struct str sender;          /* who writes: the product's name */
    struct str title, body;     /* as notification_list gives them; UTF-8 */
    int64_t at;                 /* when it happened; ms since 1970 */
    struct str link;            /* where to look further, http(s); empty: nowhere */
    struct str unsubscribe_url; /* where to end such mail, http(s); empty: it cannot be ended */
};

enum template_outcome {
    TEMPLATE_UNKNOWN = 1, /* no template of that name */
    TEMPLATE_TEXT, /* sender, title or body is empty, too long, not UTF-8 or holds controls */
    TEMPLATE_URL   /* a link that is no http(s) URL of at most TEMPLATE_URL_MAX bytes */
};

/* The name in logs and on the wire: "notice", "security". */
struct str template_name(enum template_id id);

/* Returns 0 or TEMPLATE_UNKNOWN. */
int template_find(struct str name, enum template_id *ret_id);

/*
 * Appends the notice as plain text and as an HTML document. Returns 0, TEMPLATE_TEXT, TEMPLATE_URL,
 * or a fault of the buffers, which hold what they held before unless 0 is returned.
 */
int template_write(enum template_id id, const struct template_notice *notice, struct buf *ret_text,
                   struct buf *ret_html);

#endif
