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
 * What counters are of, as in email_figures: figures are by domain, by template or by error code,
 * and counters of each pair would be many times as many.
 */
enum mail_figure {
    MAIL_FIGURE_SUM = 1, /* all messages; its name is '' */
    MAIL_FIGURE_DOMAIN,
    MAIL_FIGURE_TEMPLATE,
    MAIL_FIGURE_ERROR /* messages that show the code */
};

/* The spans of email_figures, as statements have them. */
#define MAIL_SQL_FINE "300000"
#define MAIL_SQL_HOUR "3600000"
#define MAIL_SQL_DAY "86400000"

/* Its counters, in the order of enum mail_state and then of struct mail_counts. */
#define MAIL_SQL_COUNTERS                                                                          \
    "queued, sent, delayed, delivered, suppressed, rejected, bounced, complained,"                 \
    " bounced_counted, complained_counted"
#define MAIL_SQL_SUMS                                                                              \
    "sum(queued), sum(sent), sum(delayed), sum(delivered), sum(suppressed), sum(rejected),"        \
    " sum(bounced), sum(complained), sum(bounced_counted), sum(complained_counted)"

enum {
    MAIL_BUCKET_MS = 5 * CLOCK_MINUTE, /* the shortest; hours and days are made of them */
    MAIL_WORK_MAX = 256 * 1024 * 1024  /* bytes of memory that one batch may take */
};

_Static_assert(MAIL_BUCKET_MS == 300000 && CLOCK_HOUR == 3600000 && CLOCK_DAY == 86400000,
               "statements have them as they are");

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
 * Writes what changed: log rows (but new ones), counters, and which suppressions concern the
 * tenants of those that were suppressed, in a constant number of statements and in a fixed order.
 * bulk_rows and bulk_ids are used. Returns 0 or a fault.
 */
int mail_moves_write(struct store_txn *t, struct arena *a, const struct mail_moves *moves);

#endif
