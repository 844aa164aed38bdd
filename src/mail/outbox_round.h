/*
 * A round of the outbox: a turn, and where it fails, its parts, so that a row which cannot be
 * worked on spoils nothing else.
 *
 * Rooms: mail. Ownership: the caller's. Threads: one at a time; blocks on the store.
 *
 * What cannot be worked on is found by halves and put aside: a message that was due waits as after
 * an attempt that failed; a copy whose fate cannot be written stays marked as in flight, and is in
 * an hour what a node that died would have left. That takes another part of the round that did
 * work, or a message that was all there was: where everything fails, it is not the rows.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_ROUND_H
#define HOLDFAST_MAIL_OUTBOX_ROUND_H

#include "mail/outbox_turn.h"

enum { OUTBOX_ASIDE_MS = CLOCK_HOUR /* until a copy whose fate could not be written is lost */ };

/* What a message that was put aside says; the log says why. */
#define OUTBOX_ASIDE_ERROR "the server cannot work on this message just now; its log says why"

/*
 * Takes the turn. Of its slots those that it leaves alone stay as they were, the others are
 * OUTBOX_SLOT_GIVEN, OUTBOX_SLOT_IDLE, or, where nothing could be written, as they were.
 * turn->ret_expired and *ret_aside are what the round did. Returns 0 or a fault, which may have
 * befallen a part alone; turn->in_doubt says then whether the next is.
 */
int outbox_round(struct store *s, struct outbox_turn *turn, size_t *ret_aside);

#endif
