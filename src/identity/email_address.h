/*
 * The addresses people sign in with, in the one form in which they are stored and compared.
 * Rooms: identity and below. Ownership: the caller's memory. Threads: any.
 */
#ifndef HOLDFAST_EMAIL_ADDRESS_H
#define HOLDFAST_EMAIL_ADDRESS_H

#include "base/str.h"

/* RFC 5321, section 4.5.3.1; the whole is a path of 256 without its angle brackets. */
enum { EMAIL_ADDRESS_MAX = 254, EMAIL_LOCAL_MAX = 64, EMAIL_LABEL_MAX = 63 };
enum { EMAIL_ADDRESS_SIZE = EMAIL_ADDRESS_MAX + 1 };

/*
 * Writes typed in lower case with a NUL. Accepts what RFC 5321, section 4.1.2, calls a Dot-string
 * before the @ (so no quotes) and behind it two or more labels of letters, digits and inner
 * hyphens, the last not all digits (so no address literals), or "localhost" (RFC 6761, section
 * 6.3). ASCII only; nothing is trimmed or mended.
 * Returns 0 with *ret_n the length, or 1 where typed is not such an address.
 */
int email_address_normalise(struct str typed, char ret_address[EMAIL_ADDRESS_SIZE], size_t *ret_n);

/*
 * Whether a normalised address is of no other machine than the one that asks: at localhost, or at a
 * name below it (RFC 6761, section 6.3).
 */
bool email_address_is_local(struct str address);

#endif
