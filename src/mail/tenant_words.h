/*
 * What a tenant reads of why its mail was not taken: what a mail server answered, and of anything
 * else the code alone. The words of a transport are for operators: they name their hosts, accounts
 * and identities.
 *
 * Rooms: mail and below. Ownership: views of what is given. Threads: any.
 */
#ifndef HOLDFAST_MAIL_TENANT_WORDS_H
#define HOLDFAST_MAIL_TENANT_WORDS_H

#include "mail/state.h"

/* Of "451 4.7.1 come back later" all, of "smtp_connect 10.0.0.5: refused" the code. */
struct str tenant_words_error(struct str error);

/* Of a copy's detail: of a rejection as above, of what was told of one that left all. */
struct str tenant_words_detail(const struct mail_mark *mark);

#endif
