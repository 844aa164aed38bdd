/*
 * Writes a message as it goes over the wire: RFC 5322, MIME (RFC 2045 to 2047), RFC 8058.
 *
 * Rooms: mail and below. Ownership: views of the caller in, the caller's buffer out. Threads: any.
 *
 * Everything is checked before the first byte is written, so no field can end its line and begin
 * another: what holds a line break or another control is refused with the field's name. The same
 * message gives the same bytes each time. Lines end in CRLF, are ASCII and at most MIME_LINE_MAX
 * bytes long without it (76 in encoded text), and none begins with a dot or, in a body, with
 * "From ", so neither SMTP's transparency nor a mailbox file ever alters one. No parameter carries
 * a stranger's text, hence no RFC 2231.
 */
#ifndef HOLDFAST_MAIL_MIME_H
#define HOLDFAST_MAIL_MIME_H

#include "base/buf.h"

enum {
    MIME_LINE_MAX = 998, /* RFC 5322, section 2.1.1 */
    MIME_RECIPIENTS_MAX = 50,
    MIME_NAME_MAX = 200,       /* bytes of a display name */
    MIME_SUBJECT_MAX = 500,    /* bytes */
    MIME_ID_MAX = 200,         /* bytes of a message's id, without its angle brackets */
    MIME_URL_MAX = 900,        /* bytes of each address to unsubscribe by */
    MIME_HEADERS_MAX = 20,     /* fields of the caller's own */
    MIME_HEADER_NAME_MAX = 60, /* bytes, with the X- */
    MIME_HEADER_VALUE_MAX = 500,
    MIME_BODY_MAX = 2 * 1024 * 1024, /* bytes of text and of html, each */
    MIME_MESSAGE_MAX = 16 * 1024 * 1024
};

struct mime_address {
    struct str name;    /* UTF-8; empty: none */
    struct str address; /* as email_address_normalise takes it */
};

struct mime_header {
    struct str name, value; /* "X-..." */
};

struct mime_message {
    struct mime_address from, reply_to; /* reply_to without an address: none */
    const struct mime_address *to;
    size_t n_to;
    struct str subject;
    struct str text, html; /* UTF-8, line ends of any kind; at least one is there */
    int64_t date;          /* ms since 1970 */
    struct str message_id; /* "left@right" */
    /* RFC 2369, section 3.2; a POST to an https one unsubscribes (RFC 8058). Empty: none. */
    struct str unsubscribe_url;
    bool automatic; /* written by a program on its own account (RFC 3834, section 5) */
    const struct mime_header *headers;
    size_t n_headers;
};

enum mime_outcome {
    MIME_CONTROL = 1, /* a line break, NUL or another control */
    MIME_NOT_UTF8,
    MIME_EMPTY,    /* a field that has to be there */
    MIME_LONG,     /* longer, or more, than the limits above */
    MIME_MALFORMED /* no address, id, time, URL or name of a field as it has to be */
};

/* Where the message is wrong: "subject", "to[3].address", "headers[0].value". */
struct mime_problem {
    char field[32];
};

/*
 * Appends the message. Returns 0, an enum mime_outcome with *ret_problem set, FAULT_LIMIT of the
 * buffer, or FAULT_MEMORY; ret_message holds what it held before unless 0 is returned.
 */
int mime_write(const struct mime_message *m, struct buf *ret_message,
               struct mime_problem *ret_problem);

/* What an outcome says to a person, such as "holds a line break or another control". */
const char *mime_outcome_text(int outcome);

#endif
