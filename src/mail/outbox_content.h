/*
 * What the outbox holds of a message: its words, sealed, from which the copy for each recipient is
 * written when its turn comes.
 *
 * Rooms: mail. Ownership: views of the caller's; the caller's buffers out. Threads: any.
 *
 * A body is the purpose (1 byte, in the clear) and the sealed rest, bound to the message's id and
 * the purpose.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_CONTENT_H
#define HOLDFAST_MAIL_OUTBOX_CONTENT_H

#include "mail/mail.h"
#include "mail/mime.h"

struct outbox_content {
    enum unsubscribe_purpose purpose;
    bool automatic;
    struct str subject, text, html;
};

/* Room for a body. */
enum { OUTBOX_BODY_MAX = 2 * MIME_BODY_MAX + MIME_SUBJECT_MAX + 256 };

/* Appends the body. Returns 0 or a fault. */
int outbox_content_seal(const struct seal_keys *keys, const struct uuid *message_id,
                        const struct outbox_content *content, struct buf *ret_body);

/* The purpose of a body; UNSUBSCRIBE_PRODUCT where it is none. */
enum unsubscribe_purpose outbox_content_purpose(struct str body);

/*
 * Opens a body: the content's views point into *ret_plain, a secret buffer. Returns 0, SEAL_REFUSED
 * (or what was sealed is no content), or a fault.
 */
int outbox_content_open(const struct seal_keys *keys, const struct uuid *message_id,
                        struct str body, struct buf *ret_plain, struct outbox_content *ret_content);

/* One copy. */
struct outbox_copy {
    struct uuid tenant_id, log_id; /* of its log row: what the Message-ID is made of */
    struct str to;
    int64_t accepted_at;
    const struct outbox_content *content;
};

enum { OUTBOX_MESSAGE_ID_SIZE = MIME_ID_MAX + 1 };

/* The link by which such mail to the address is ended. Returns 0, UNSUBSCRIBE_ADDRESS or a fault.
 */
int outbox_content_url(const struct mail *m, const struct uuid *tenant_id,
                       enum unsubscribe_purpose purpose, struct str to,
                       char ret_url[MIME_URL_MAX + 1]);

/*
 * Appends the copy as it goes over the wire, the same each time as long as EMAIL_FROM and
 * PUBLIC_URL are. Returns 0, an enum mime_outcome with *ret_problem, or a fault.
 */
int outbox_content_write(const struct mail *m, const struct outbox_copy *copy, struct buf *ret_mime,
                         char ret_message_id[OUTBOX_MESSAGE_ID_SIZE],
                         struct mime_problem *ret_problem);

#endif
