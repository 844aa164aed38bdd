/*
 * A turn of the outbox while it is worked out: its messages, the recipients that they still have,
 * and what is to be written of them.
 *
 * Rooms: mail, and there the files of the turn alone. Ownership: all lives in the work's arena.
 * Threads: the turn's.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_WORK_H
#define HOLDFAST_MAIL_OUTBOX_WORK_H

#include "mail/outbox_rows.h"
#include "mail/outbox_turn.h"
#include "mail/settle.h"

/* A recipient who is still queued, and whether the turn ends that. */
struct outbox_candidate {
    struct outbox_recipient is;
    bool asked, settled;
    struct str obstacle; /* once asked: why it is not to be written to now; empty: nothing is */
};

/* A message of the turn, whose place is the slot. */
struct outbox_unit {
    struct outbox_slot *slot;
    const struct outbox_row *row;              /* it is due; NULL: its last copy is reported */
    struct outbox_candidate *candidates, *end; /* by address */
    struct outbox_candidate *from;             /* the first that may be next */
    struct outbox_candidate *next;             /* the copy that is; NULL: none */
    bool looks;                                /* for the next from there on */
    bool expired;
    struct outbox_step step;
};

/* What is to be written of a log row; of a unit, only where its step is done. */
struct outbox_ending {
    struct mail_settlement what;
    const struct outbox_unit *unit; /* NULL: whatever becomes of the row */
};

struct outbox_work {
    struct store_txn *t;
    struct outbox_turn *turn;
    struct arena a;
    struct outbox_unit units[2 * OUTBOX_SENDERS_MAX];
    size_t n;
    struct outbox_ending *endings; /* room for one a candidate */
    size_t n_endings;
};

/* The candidate will not be sent. */
void outbox_work_refuse(struct outbox_work *w, struct outbox_unit *u, struct outbox_candidate *c,
                        enum mail_state state, struct str code, struct str detail);

/*
 * Finds the next copy of each unit that looks for one; those on the way that must not go are
 * refused. A statement for each 25 addresses of a tenant, twice at most. Returns 0 or a fault.
 */
int outbox_choose(struct outbox_work *w);

/* What the report says of its copy, and whether the unit looks for a further one. */
void outbox_take_report(struct outbox_work *w, struct outbox_unit *u);

/* Begins an attempt at a message that is due. */
void outbox_take_due(struct outbox_work *w, struct outbox_unit *u);

/* Once the next copy is chosen: the unit's step. Returns 0 or FAULT_MEMORY. */
int outbox_plan(struct outbox_work *w, struct outbox_unit *u);

/* Instead of handing over its next copy the unit lets go of the message. Returns as above. */
int outbox_let_go(struct outbox_work *w, struct outbox_unit *u);

#endif
