/*
 * The end of locks that failed sign-ins brought about: each passes FAILURES_LOCK_MS after it began
 * (identity/failures.h). Locks of administrators stay.
 *
 * Rooms: sessions and below. Threads: one at a time, any; blocks on the store.
 */
#ifndef HOLDFAST_SESSIONS_LOCKOUT_H
#define HOLDFAST_SESSIONS_LOCKOUT_H

#include "sessions/sessions.h"

/*
 * Lifts locks that have passed, on record and told to their users; a batch of them, so called every
 * few seconds. Reads only where there are none. Returns 0 or a fault.
 */
int lockout_lift(struct sessions *s, int64_t now);

#endif
