/*
 * Who messages are from, as EMAIL_FROM has it.
 * Rooms: mail and below. Ownership: a plain value. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SENDER_H
#define HOLDFAST_MAIL_SENDER_H

#include "identity/email_address.h"
#include "mail/mime.h"

struct sender {
    char name[MIME_NAME_MAX + 1]; /* UTF-8; "": none */
    char address[EMAIL_ADDRESS_SIZE];
};

enum { SENDER_DOMAIN_MAX = 160 /* bytes, so that a Message-ID has room for it */ };

/*
 * Reads "a@x", "Ann <a@x>" or "\"Ann, of X\" <a@x>". Returns 0, or 1 where text is none of these,
 * the name is longer than MIME_NAME_MAX, or the domain than SENDER_DOMAIN_MAX.
 */
int sender_parse(struct str text, struct sender *ret_sender);

/* The domain of its address. */
struct str sender_domain(const struct sender *sender);

#endif
