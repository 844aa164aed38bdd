/*
 * The rows of email_outbox, one a message, as a turn reads and changes them: many at a time.
 *
 * Rooms: mail. Ownership: the caller's; texts in the caller's arena. Threads: inside a writing job
 * that holds STORE_LOCK_MAIL.
 *
 * A row waits (lease is '', next_at says until when) or is in flight: its lease is the node's name,
 * a space and the log row's id, and next_at is when nobody answers for it any more. A row that is
 * found so was in flight when its node died: what became of that copy is unknown. A row that was
 * let go in the middle of an attempt waits too: its lease is a plus sign and the id of the log row
 * that the attempt goes on with, so that those before, who may still be queued, wait for the next.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_ROWS_H
#define HOLDFAST_MAIL_OUTBOX_ROWS_H

#include "base/arena.h"
#include "base/buf.h"
#include "mail/log.h"
#include "store/store.h"

enum {
    OUTBOX_NODE_SIZE = UUID_TEXT_SIZE,
    OUTBOX_LEASE_SIZE = 2 * UUID_TEXT_SIZE,
    OUTBOX_ERROR_SIZE = 360
};

struct outbox_row {
    struct uuid message_id, tenant_id;
    char lease[OUTBOX_LEASE_SIZE];
    bool sandboxed; /* it was accepted for the sandbox */
    int64_t attempts, created_at, rank;
    char error[OUTBOX_ERROR_SIZE]; /* the last one */
};

void outbox_lease_write(const char *node, const struct uuid *log_id,
                        char ret_lease[OUTBOX_LEASE_SIZE]);

/* The log row that a lease is about. Returns 0, or 1 where the row waits. */
int outbox_lease_read(struct str lease, struct uuid *ret_log_id);

/* The same for what a row that was let go has in place of one. */
void outbox_place_write(const struct uuid *log_id, char ret_lease[OUTBOX_LEASE_SIZE]);
int outbox_place_read(struct str lease, struct uuid *ret_log_id);

struct outbox_due_query {
    int64_t now;
    bool sandbox_only;   /* only what was accepted for the sandbox */
    int64_t below;       /* only ranks below this */
    size_t skips, limit; /* pass over so many, then take so many at most */
};

/*
 * The messages that are due, in the order of outbox_accept_all's ranks, with the body of the i-th
 * in *bodies[i]. Where a body does not fit that is a fault, and *ret_n counts its row.
 */
int outbox_rows_due(struct store_txn *t, const struct outbox_due_query *query,
                    struct outbox_row *rows, struct buf *const *bodies, size_t *ret_n);

/* A message's recipient who is still queued. */
struct outbox_recipient {
    struct uuid message_id, log_id;
    struct str address, template_name;
};

/* All such of the messages, by message and address. */
int outbox_recipients_read(struct store_txn *t, struct arena *a, const struct uuid *messages,
                           size_t n, struct outbox_recipient **ret, size_t *ret_n);

/* What a message's row becomes. */
struct outbox_step {
    struct uuid message_id;
    struct str held_by; /* the row's lease, or a node's name for any lease of its */
    bool ends;          /* the row goes; else it becomes: */
    bool flies;         /* in flight, or waiting */
    char lease[OUTBOX_LEASE_SIZE];
    int64_t next_at, attempts;
    const char *error; /* NULL: what it was */
    bool done;         /* out: the row was held by whom it should be */
};

int outbox_rows_step(struct store_txn *t, struct arena *a, struct outbox_step *const *steps,
                     size_t n);

/* What is in flight from this node may be tried again at once, but for the n messages. */
int outbox_rows_release(struct store_txn *t, const char *node, int64_t now, const struct uuid *keep,
                        size_t n);

#endif
