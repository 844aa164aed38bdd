/*
 * Log rows in hand: read, raised to what events tell, and written back together with the counters
 * that they are in. Whoever changes the state of a log row does it through here.
 *
 * Rooms: mail. Ownership: texts live in the caller's arena. Threads: inside a writing job that
 * holds STORE_LOCK_MAIL, but for what was only just made.
 */
#ifndef HOLDFAST_MAIL_MOVES_H
#define HOLDFAST_MAIL_MOVES_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "mail/state.h"
#include "store/store.h"

/*
 * A bucket has a row of its sum, whose domain and template are '', one for each domain, whose
 * template is '', and one for each template, whose domain is this, which none can be: figures are
 * by either, and one for each pair would be many times as many.
 */
#define MAIL_ANY_DOMAIN "*"

enum {
    MAIL_BUCKET_MS = 5 * CLOCK_MINUTE, /* of email_rollups */
    MAIL_WORK_MAX = 256 * 1024 * 1024  /* bytes of memory that one batch may take */
};

/* A log row on its way from one state to another. */
struct mail_move {
    struct uuid id, tenant_id;
    struct str domain, template_name;
    int64_t created_at, sent_at;
    struct mail_mark before, after; /* before is MAIL_NO_STATE where the row is new */
};

struct mail_moves {
    struct mail_move *items; /* ascending by id */
    size_t n;
};

/* The columns of email_logs that mail_moves_read reads. */
#define MAIL_MOVE_COLUMNS                                                                          \
    "id, tenant_id, domain, template, created_at, state, counted, state_at, error_code, detail,"   \
    " sent_at"

/* Reads rows of these columns; a row that comes twice counts once. Returns 0 or a fault. */
int mail_moves_read(struct store_rows *rows, struct arena *a, struct mail_moves *ret_moves);

/* NULL where the row is not in hand. */
struct mail_move *mail_moves_find(const struct mail_moves *moves, const struct uuid *id);

/*
 * Writes what changed: log rows (but new ones), rollups, errors, and which suppressions concern the
 * tenants of those that were suppressed, in a constant number of statements and in a fixed order.
 * bulk_rows and bulk_ids are used. Returns 0 or a fault.
 */
int mail_moves_write(struct store_txn *t, struct arena *a, const struct mail_moves *moves);

#endif
