/*
 * Which messages of SNS were taken: one that is sent again, or replayed, within the window in which
 * its signature would be accepted is known by its id.
 *
 * Rooms: mail and below. Ownership: the caller's. Threads: inside a job, or as store.h says.
 */
#ifndef HOLDFAST_MAIL_SNS_SEEN_H
#define HOLDFAST_MAIL_SNS_SEEN_H

#include "store/store.h"

/* How a message is told from one that was taken before. */
enum sns_seen_outcome { SNS_SEEN = 1 };

/*
 * Notes that messages are taken at now, under STORE_LOCK_MAIL. ret_new[i] says whether the i-th was
 * not taken before; of equal ones the first is new. One statement; bulk_texts is used. Returns 0 or
 * a fault.
 */
int sns_seen_mark(struct store_txn *t, const struct str *ids, size_t n, int64_t now, bool *ret_new);

/* Whether a message was taken. Returns 0, SNS_SEEN or a fault. */
int sns_seen_find(struct store *s, struct str id);

/*
 * Forgets at most limit messages whose window is over at now, in transactions of a few thousand.
 * ret_forgotten may be NULL. Returns 0 or a fault.
 */
int sns_seen_reap(struct store *s, int64_t now, int64_t limit, int64_t *ret_forgotten);

#endif
