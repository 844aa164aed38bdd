/*
 * Addresses as providers write them, with or without a name in front.
 * Rooms: mail and below. Ownership: the caller's memory. Threads: any.
 */
#ifndef HOLDFAST_MAIL_RECIPIENT_H
#define HOLDFAST_MAIL_RECIPIENT_H

#include "identity/email_address.h"

enum { RECIPIENT_TEXT_MAX = 998 }; /* bytes of a line of a header (RFC 5322, section 2.1.1) */

/*
 * Reads "a@x", "<a@x>", "Ann <a@x>" or "\"Ann, of X\" <a@x>" (RFC 5322, section 3.4, a mailbox;
 * names may hold UTF-8), with white space around it, and writes the address as
 * email_address_normalise does. Returns 0, or 1 where text is none of these or longer than
 * RECIPIENT_TEXT_MAX.
 */
int recipient_parse(struct str text, char ret_address[EMAIL_ADDRESS_SIZE], size_t *ret_n);

#endif
