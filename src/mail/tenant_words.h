/*
 * What a tenant reads of why its mail was not taken: the code alone, and of what a mail server
 * answered the enhanced status too (RFC 3463). The words are for operators: they name their hosts,
 * accounts and identities, and so do those of their own mail server, of a sign-in or a relaying
 * that it refuses. Only where the status says that it is the recipient who is meant, or the
 * recipient's mailbox, or the size of the message, are they the tenant's as well.
 *
 * Rooms: mail and below. Ownership: views of what is given. Threads: any.
 */
#ifndef HOLDFAST_MAIL_TENANT_WORDS_H
#define HOLDFAST_MAIL_TENANT_WORDS_H

#include "mail/state.h"

/*
 * Of "550 5.1.1 no such user" all, of "550 5.7.1 relaying denied" "550 5.7.1", of "421 mx1 is going
 * down" and "smtp_connect 10.0.0.5: refused" the code.
 */
struct str tenant_words_error(struct str error);

/* Of a copy's detail: of a rejection as above, of what was told of one that left all. */
struct str tenant_words_detail(const struct mail_mark *mark);

#endif
