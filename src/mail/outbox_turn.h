/*
 * A turn of the outbox: in one transaction, what came of the copies that were handed over is
 * written, and the copies that are handed over next are marked.
 *
 * Rooms: mail. Ownership: a slot owns its bodies until outbox_slot_release. Threads: one at a time.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_TURN_H
#define HOLDFAST_MAIL_OUTBOX_TURN_H

#include "mail/outbox.h"
#include "mail/outbox_rows.h"

enum { OUTBOX_SENDERS_MAX = 64 };

/* What became of an attempt up to now, over the recipients. */
struct outbox_attempt {
    int64_t number;                /* from 1 */
    int64_t retry_after_ms;        /* the longest that anybody asked for */
    char error[OUTBOX_ERROR_SIZE]; /* the last one */
};

/* One copy to hand over. */
struct outbox_task {
    struct uuid message_id, tenant_id, log_id;
    char recipient[EMAIL_ADDRESS_SIZE];
    char template_name[TRANSPORT_TEMPLATE_SIZE];
    enum unsubscribe_purpose purpose;
    int64_t accepted_at, rank;
    size_t copies; /* of the message that the sender got in a row, this one too */
    bool lost;     /* it was in flight when its node died: nothing is to be sent */
    struct outbox_attempt attempt;
};

/* What came of it. */
struct outbox_report {
    struct transport_fate fate; /* its texts are printable ASCII */
    char provider_id[TRANSPORT_ID_SIZE];
    int64_t at;
};

enum outbox_slot_state {
    OUTBOX_SLOT_IDLE,     /* nothing to do */
    OUTBOX_SLOT_WORKING,  /* the sender has it: the turn leaves it alone */
    OUTBOX_SLOT_REPORTED, /* task and report are there */
    OUTBOX_SLOT_GIVEN     /* a turn gave it a task, which the sender has not seen yet */
};

/* A sender's place. The turn reads task and report, and sets next. */
struct outbox_slot {
    enum outbox_slot_state state;
    bool left_out; /* of this turn, though it is reported */
    struct outbox_task task;
    struct buf body; /* the task's, sealed */
    struct outbox_report report;

    bool has_next, same_body;
    struct outbox_task next;
    struct buf next_body; /* unless it is the same */
};

struct outbox_turn {
    const char *node;
    bool sandbox;  /* the transport is: what was accepted for another stays where it is */
    bool leaves;   /* whether slots end with their copy */
    bool in_doubt; /* the turn before failed, but may have been committed */
    size_t claims; /* how many further messages to begin with at most, */
    size_t skips;  /* and how many of those that are due to pass over first */
    int64_t now, pause_ms;
    struct outbox_slot *const *slots;
    size_t n; /* at most OUTBOX_SENDERS_MAX */

    /* Also where the turn failed: the messages that were due, and the first of them. */
    size_t ret_due;
    struct outbox_row ret_first;
    int64_t ret_expired; /* copies that were given up */
};

/*
 * The job, whose argument is a struct outbox_turn. A constant number of statements, however many
 * slots there are, but for one for each 25 addresses of a tenant that suppressions are looked up
 * for. A message whose sender had OUTBOX_COPIES of it in a row gives way to one that is due and
 * comes before it. Returns 0 or a fault.
 */
int outbox_turn_job(struct store_txn *t, void *turn);

/* Once the turn is committed: what was next becomes the task. Says whether there is one. */
bool outbox_slot_advance(struct outbox_slot *slot);

void outbox_slot_init(struct outbox_slot *slot);
void outbox_slot_release(struct outbox_slot *slot);

/* How long to wait after attempt n (from 1) without jitter. */
int64_t outbox_delay(int64_t n);

#endif
