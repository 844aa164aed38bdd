/*
 * Refused administrative requests and webhooks, on their way into the trail: noted in memory,
 * because an event thread may refuse and because whoever asks a thousand times is to leave no
 * thousand records. Of webhooks, whose senders are nobody, the log tells as often as the trail.
 *
 * Equal refusals (who, which route, which problem) are one entry: recorded at the next flush, and
 * then once a minute for as long as more come, with their number. An account has a few entries at
 * most; what it is refused beyond them counts with its latest. A crash loses what was not flushed.
 *
 * Rooms: http. Ownership: refusals_free; what is noted is copied. Threads: any may note, one at a
 * time flushes; noting never blocks on I/O.
 */
#ifndef HOLDFAST_HTTP_REFUSALS_H
#define HOLDFAST_HTTP_REFUSALS_H

#include "http/route.h"

/* Entries of all accounts, and of one: so many records a minute at most. */
enum { REFUSALS_MAX = 1024, REFUSALS_ACCOUNT_MAX = 16, REFUSALS_EVERY_MS = 60 * 1000 };

struct refusals;

/* Returns 0 or FAULT_MEMORY. */
int refusals_new(struct refusals **ret);
void refusals_free(struct refusals *r);

/* Notes that an authenticated call, or a webhook, was answered with this problem. */
void refusals_note(struct refusals *r, const struct call *call, int problem);

/*
 * Records what is due at now (monotonic ms; INT64_MAX: all). What could not be written stays for
 * the next time. Returns 0 or a fault.
 */
int refusals_flush(struct refusals *r, const struct trail *trail, int64_t now);

#endif
