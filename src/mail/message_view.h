/*
 * What a person reads of a message: the part that is its text or its HTML, or a part that is
 * attached, without the encoding of its transfer. What it reads is a stranger's and may be no
 * message at all; everything is bounded, nothing is refused.
 *
 * Rooms: mail and below. Ownership: views into the message, the caller's buffer out. Threads: any.
 */
#ifndef HOLDFAST_MAIL_MESSAGE_VIEW_H
#define HOLDFAST_MAIL_MESSAGE_VIEW_H

#include "base/buf.h"

enum { MESSAGE_VIEW_DEPTH = 5 /* of multiparts in multiparts that are looked into */ };

enum message_view_outcome { MESSAGE_VIEW_NONE = 1 };

/* A part that is shown as one. */
struct message_leaf {
    struct str charset; /* as the message says; empty: it does not */
    struct str encoding, body;
};

/*
 * The first part of a type such as "text/html" that is not attached; what names no type is
 * "text/plain" (RFC 2045, section 5.2). Returns 0 or MESSAGE_VIEW_NONE.
 */
int message_view_find(struct str message, struct str type, struct message_leaf *ret_leaf);

/* Part number i, from 0, of what is a multipart. Returns 0 or MESSAGE_VIEW_NONE. */
int message_view_part(struct str message, size_t i, struct message_leaf *ret_leaf);

/*
 * Appends the part's bytes: base64 and quoted-printable are undone as far as they are well-formed,
 * and what is neither is taken as it is. Returns 0 or the buffer's fault.
 */
int message_view_decode(const struct message_leaf *leaf, struct buf *ret_bytes);

#endif
