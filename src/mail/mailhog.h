/*
 * The sandbox's messages in the JSON of MailHog's API, so that what reads a MailHog reads this:
 * GET /api/v2/messages and /api/v2/search write a page, GET /api/v1/messages/:id one message.
 *
 * Rooms: mail and below. Ownership: views of the caller in, the caller's buffer out. Threads: any.
 * Failures are the buffer's fault, which is returned. What is no UTF-8 is written with U+FFFD.
 */
#ifndef HOLDFAST_MAIL_MAILHOG_H
#define HOLDFAST_MAIL_MAILHOG_H

#include "base/buf.h"
#include "mail/sandbox.h"

enum { MAILHOG_LIMIT = 50, MAILHOG_DEPTH = 5 /* of multiparts in multiparts that are shown */ };

/* {"total","count","start","items":[...]} */
int mailhog_write_page(const struct sandbox_page *page, struct buf *ret_json);

/* One message. */
int mailhog_write_message(const struct sandbox_message *m, struct buf *ret_json);

#endif
