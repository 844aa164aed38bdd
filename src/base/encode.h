/*
 * Text encodings of bytes: hexadecimal, base64url without padding (RFC 4648, section 5), and base64
 * with it (section 4), which is only written.
 * Rooms: any. Threads: any. Decoding is strict: one text for each byte string.
 */
#ifndef HOLDFAST_ENCODE_H
#define HOLDFAST_ENCODE_H

#include "base/str.h"

/* The text's length for n bytes, without a NUL. */
#define BASE64URL_LENGTH(n) (((n)*4 + 2) / 3)
#define HEX_LENGTH(n) ((n)*2)
#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* Writes HEX_LENGTH(n) lower-case characters and a NUL. */
void hex_encode(const void *bytes, size_t n, char *ret_text);

/* The value of a hexadecimal digit of either case; -1 for anything else. */
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/*
 * Reads exactly 2 * n digits of either case. Returns 0, or 1 where s is something else; ret_bytes
 * may then hold a part.
 */
int hex_decode(struct str s, size_t n, void *ret_bytes);

/* Writes BASE64URL_LENGTH(n) characters, no NUL. Returns their number. */
size_t base64url_encode(const void *bytes, size_t n, char *ret_text);

/*
 * Reads s into at most cap bytes. Returns 0, or 1 for a character outside the alphabet, an
 * impossible length, set bits behind the last byte, or more than cap bytes; ret_bytes may then hold
 * a part.
 */
int base64url_decode(struct str s, size_t cap, void *ret_bytes, size_t *ret_n);

/* Writes BASE64_LENGTH(n) characters, padding included, and a NUL. */
void base64_encode(const void *bytes, size_t n, char *ret_text);

#endif
