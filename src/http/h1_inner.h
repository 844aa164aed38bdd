/*
 * What the files of the HTTP/1.1 parser share.
 * Rooms: http (h1*.c only). Ownership: views point into the caller's bytes. Threads: any.
 */
#ifndef HOLDFAST_HTTP_H1_INNER_H
#define HOLDFAST_HTTP_H1_INNER_H

#include "http/h1.h"

/* The characters of a token (RFC 9110, section 5.6.2). */
extern const unsigned char h1_token_chars[128];

static inline bool h1_is_token_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u < 128 && h1_token_chars[u];
}

/* Whether c may stand inside a field value: HTAB, SP, VCHAR or obs-text (section 5.5). */
static inline bool h1_is_value_char(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 0x20 && u != 0x7F) || u == '\t';
}

/*
 * Reads a request line without its CRLF into method, target, path, query and minor, and for an
 * absolute form the host. Returns H1_OK or what is wrong.
 */
enum h1_error h1_parse_request_line(struct str line, struct h1_head *ret);

/* Whether s is a host with an optional port: a name, an IPv4 address or a bracketed IPv6 one. */
bool h1_is_host(struct str s);

#endif
