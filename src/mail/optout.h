/*
 * What follows when somebody uses the link by which mail can be ended.
 * Rooms: mail and below. Threads: inside a writing job.
 */
#ifndef HOLDFAST_MAIL_OPTOUT_H
#define HOLDFAST_MAIL_OPTOUT_H

#include "mail/unsubscribe.h"
#include "store/store.h"
#include "trail/trail.h"

/*
 * Product mail of the tenant to the address is suppressed, and the preference of its user there, if
 * there is one, says so; of notices of safety the preference alone is changed. On record where that
 * changed anything; done again it does nothing. *ret_changed says which. Takes the lock of the
 * trail last. Returns 0 or a fault.
 */
int optout_apply(struct store_txn *t, const struct trail *trail, const struct trail_actor *actor,
                 const struct unsubscribe *token, int64_t now, bool *ret_changed);

#endif
