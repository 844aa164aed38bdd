/*
 * A strict parser of HTTP/1.1 requests (RFC 9112): a pure function over bytes that knows no socket.
 *
 * Fed the same bytes in any pieces it gives the same result. Whatever two readers could understand
 * differently is refused: see enum h1_error.
 * Rooms: http. Ownership: views point into the caller's bytes. Threads: any.
 */
#ifndef HOLDFAST_HTTP_H1_H
#define HOLDFAST_HTTP_H1_H

#include "http/message.h"

struct h1_limits {
    size_t request_line_max, header_bytes_max, headers_max;
};

/* What makes a request unacceptable; each has a status (400 where none is given) and a text. */
enum h1_error {
    H1_OK,
    H1_BAD_REQUEST_LINE,
    H1_BAD_TARGET,
    H1_BAD_VERSION,       /* 505 */
    H1_UNKNOWN_METHOD,    /* 501 */
    H1_URI_TOO_LONG,      /* 414 */
    H1_HEADERS_TOO_LARGE, /* 431 */
    H1_BAD_HEADER,        /* name not a token, space before the colon, folded, CTL in a value */
    H1_BARE_CR_OR_LF,
    H1_BAD_HOST,   /* none with HTTP/1.1, several, malformed, or unlike the absolute form */
    H1_BAD_LENGTH, /* not plain digits, repeated, or with Transfer-Encoding; a coding in 1.0 */
    H1_BAD_CODING, /* 501: a transfer coding other than exactly one "chunked" */
    H1_BAD_CHUNK,
    H1_BAD_EXPECT, /* 417 */
    H1_ERRORS
};

int h1_error_status(enum h1_error error);
const char *h1_error_text(enum h1_error error);

/* What a complete head says. */
struct h1_head {
    enum http_method method;
    struct str target, path, query, host;
    struct http_header *headers; /* set by the caller: an array of limits.headers_max */
    size_t header_count;
    size_t length; /* bytes of the head, with its empty line */
    int minor;     /* 0 or 1 of HTTP/1.x */
    bool keep_alive, chunked, expect_continue;
    uint64_t content_length; /* 0 with chunked */
};

/*
 * Looks for one head at the start of p[0..n) (RFC 9112, sections 2 to 7). Returns 1 when it is
 * complete (*ret filled), 0 when more bytes are needed, -1 with *ret_error where it is to be
 * refused. resume (start with 0) carries how far earlier calls looked, so that a trickled head
 * costs linear time.
 *
 * One empty line before the request line is skipped, as section 2.2 asks: all readers agree on it.
 * A second one is refused. An absolute form is given as the origin form that it means.
 */
int h1_parse_head(const char *p, size_t n, const struct h1_limits *limits, size_t *resume,
                  struct h1_head *ret, enum h1_error *ret_error);

/* What extensions and trailers of one body may take together; both are read and dropped. */
enum { H1_CHUNK_EXTRA_MAX = 8192 };

/* The decoder of a chunked body (RFC 9112, section 7.1); starts zeroed. */
struct h1_chunks {
    int state;
    int digits;    /* of the current size */
    uint64_t left; /* of the current chunk */
    size_t extra;  /* bytes of extensions and trailers so far */
};

/*
 * Decodes from p[0..n): consumes *ret_used bytes and gives a view of body bytes among them (maybe
 * empty). Returns 1 when the body has ended, 0 to be called again (with more bytes where
 * *ret_used == n), -1 where the framing is broken.
 */
int h1_chunks_next(struct h1_chunks *c, const char *p, size_t n, size_t *ret_used,
                   struct str *ret_body);

#endif
