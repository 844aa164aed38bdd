/*
 * The parts of a message: header fields and encoded bodies. What is written here has been checked.
 * Rooms: mail (behind mail/mime.h). Ownership: the caller's buffer. Threads: any. Failures are the
 * buffer's.
 */
#ifndef HOLDFAST_MAIL_MIME_PARTS_H
#define HOLDFAST_MAIL_MIME_PARTS_H

#include "mail/mime.h"

/* Bytes of a line of encoded text, without its end (RFC 2045, section 6.7; RFC 2047, section 2). */
enum { MIME_ENCODED_LINE = 76 };

/* "Name: value" of any UTF-8, folded, in encoded words where ASCII does not do (RFC 2047). */
void mime_write_text_field(struct buf *out, struct str name, struct str value);

/* "Name: value" of ASCII that is written as it is, on one line. */
void mime_write_plain_field(struct buf *out, struct str name, struct str value);

/* Addresses, one a line (RFC 5322, section 3.4). */
void mime_write_address_field(struct buf *out, struct str name, const struct mime_address *list,
                              size_t n);

/* "Date: Tue, 14 Nov 2023 22:13:20 +0000" (RFC 5322, section 3.3). */
void mime_write_date_field(struct buf *out, int64_t ms);

/* The body in quoted-printable with its last line ended, line ends of any kind becoming CRLF. */
void mime_write_quoted(struct buf *out, struct str body);

#endif
