/*
 * What the sandbox kept of one person's mail, for their leaving.
 *
 * A message belongs to the tenant whose log names it. What a product sent by SMTP is in no log and
 * belongs to none: it goes with whoever it was sent to, with all of its recipients.
 *
 * Rooms: mail. Threads: inside a job.
 */
#ifndef HOLDFAST_MAIL_SANDBOX_PERSON_H
#define HOLDFAST_MAIL_SANDBOX_PERSON_H

#include "mail/person.h"

/*
 * Removes the messages that log rows are about, whatever address they went to: the n rows of ids.
 * bulk_ids is used. Returns 0 or a fault.
 */
int sandbox_person_erase_logs(struct store_txn *t, const struct uuid *ids, size_t n);

/*
 * Removes at most limit messages to the person's address that came before, but those of another
 * tenant than the bound. Returns 0 or a fault.
 */
int sandbox_person_erase(struct store_txn *t, const struct mail_person *person, int64_t limit,
                         int64_t *ret_removed);

/* Whether that would find anything. Returns 0 or a fault. */
int sandbox_person_is_left(struct store_txn *t, const struct mail_person *person, bool *ret_left);

#endif
