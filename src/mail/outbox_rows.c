#include "mail/outbox_rows.h"

#include "base/fault.h"

/* $3: 1 where only what was accepted for the sandbox is taken. */
static const char due_sql[] =
    "SELECT message_id, tenant_id, transport, body, attempts, lease, created_at, rank, last_error"
    " FROM email_outbox WHERE next_at <= $1 AND ($3 = 0 OR transport = 'sandbox') AND rank < $5"
    " ORDER BY rank, message_id LIMIT $2 OFFSET $4";

/*
 * $1 is $2 ids, one behind the other: a list in one parameter costs no round trip of its own.
 * CROSS: SQLite keeps this order of loops. coalesce: the way to a message's rows is by the message,
 * not by all that is queued.
 */
#define WITH_LIST                                                                                  \
    "WITH RECURSIVE list(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM list WHERE i + 1 < $2) "
#define LISTED "substr($1, 16 * i + 1, 16)"
static const char queued_sql[] =
    WITH_LIST "SELECT l.message_id, l.id, l.recipient, l.template FROM list CROSS JOIN email_logs l"
              " WHERE l.message_id = " LISTED " AND coalesce(l.state, '') = 'queued'";

/* i1 of bulk_rows: what becomes of the row. t1 is who holds it. */
enum { STEP_ENDS, STEP_CHANGES };
#define IS_HELD "r.t1 IN (email_outbox.lease, substr(email_outbox.lease, 1, 36))"

static const char change_sql[] =
    "UPDATE email_outbox SET lease = r.t2, next_at = r.i2, lease_until = r.i3, attempts = r.i4,"
    " rank = CASE WHEN r.i3 = 0 AND r.i2 > email_outbox.rank THEN r.i2 ELSE email_outbox.rank END,"
    " last_error = coalesce(r.t3, email_outbox.last_error) FROM bulk_rows r"
    " WHERE email_outbox.message_id = r.b1 AND r.i1 = 1 AND " IS_HELD " RETURNING message_id";
static const char end_sql[] =
    "DELETE FROM email_outbox WHERE message_id IN (SELECT b1 FROM bulk_rows WHERE i1 = 0)"
    " AND EXISTS (SELECT 1 FROM bulk_rows r WHERE r.b1 = email_outbox.message_id AND r.i1 = 0"
    " AND " IS_HELD ") RETURNING message_id";

static const char release_sql[] =
    WITH_LIST "UPDATE email_outbox SET lease = '', lease_until = 0, next_at = $4,"
              " attempts = attempts - 1 WHERE substr(lease, 1, 36) = $3"
              " AND message_id NOT IN (SELECT " LISTED " FROM list)";

void outbox_lease_write(const char *node, const struct uuid *log_id,
                        char ret_lease[OUTBOX_LEASE_SIZE])
{
    char id[UUID_TEXT_SIZE];

    uuid_format(log_id, id);
    snprintf(ret_lease, OUTBOX_LEASE_SIZE, "%s %s", node, id);
}

int outbox_lease_read(struct str lease, struct uuid *ret_log_id)
{
    return lease.n == 2 * UUID_TEXT + 1
               ? uuid_parse((struct str){lease.p + UUID_TEXT + 1, UUID_TEXT}, ret_log_id)
               : 1;
}

void outbox_place_write(const struct uuid *log_id, char ret_lease[OUTBOX_LEASE_SIZE])
{
    char id[UUID_TEXT_SIZE];

    uuid_format(log_id, id);
    snprintf(ret_lease, OUTBOX_LEASE_SIZE, "+%s", id);
}

int outbox_place_read(struct str lease, struct uuid *ret_log_id)
{
    return lease.n == 1 + UUID_TEXT && *lease.p == '+'
               ? uuid_parse((struct str){lease.p + 1, UUID_TEXT}, ret_log_id)
               : 1;
}

static int read_row(struct store_rows *rows, struct outbox_row *row, struct buf *body)
{
    row->message_id = store_col_id(rows, 0);
    row->tenant_id = store_col_id(rows, 1);
    row->sandboxed = str_eq(store_col_text(rows, 2), STR("sandbox"));
    row->attempts = store_col_int(rows, 4);
    snprintf(row->lease, sizeof row->lease, "%.*s", STR_ARG(store_col_text(rows, 5)));
    row->created_at = store_col_int(rows, 6);
    row->rank = store_col_int(rows, 7);
    snprintf(row->error, sizeof row->error, "%.*s", STR_ARG(store_col_text(rows, 8)));
    buf_reset(body);
    return buf_add_str(body, store_col_blob(rows, 3));
}

int outbox_rows_due(struct store_txn *t, const struct outbox_due_query *q, struct outbox_row *rows,
                    struct buf *const *bodies, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *found = NULL;
    int r = store_query(t, due_sql, &found,
                        PARAMS(P_INT(q->now), P_INT((int64_t)q->limit), P_INT(q->sandbox_only),
                               P_INT((int64_t)q->skips), P_INT(q->below)));

    *ret_n = 0;
    while (r == 0 && *ret_n < q->limit && (r = store_rows_next(found)) == 1) {
        size_t i = (*ret_n)++;
        r = read_row(found, &rows[i], bodies[i]);
    }
    return r;
}

static int compare_recipients(const void *a, const void *b)
{
    const struct outbox_recipient *x = a, *y = b;
    int c = memcmp(&x->message_id, &y->message_id, sizeof x->message_id);

    return c ? c : str_compare(x->address, y->address);
}

static int read_recipient(struct store_rows *rows, struct arena *a, struct outbox_recipient *ret)
{
    *ret = (struct outbox_recipient){store_col_id(rows, 0), store_col_id(rows, 1),
                                     arena_str(a, store_col_text(rows, 2)),
                                     arena_str(a, store_col_text(rows, 3))};
    return ret->address.p && ret->template_name.p ? 0 : FAULT_MEMORY;
}

int outbox_recipients_read(struct store_txn *t, struct arena *a, const struct uuid *messages,
                           size_t n, struct outbox_recipient **ret, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct outbox_recipient *items = arena_array(a, n * MAIL_RECIPIENTS_MAX + 1, sizeof *items);
    size_t k = 0, most = n * MAIL_RECIPIENTS_MAX;
    int r = items ? 0 : FAULT_MEMORY;

    if (r == 0 && n)
        r = store_query(t, queued_sql, &rows,
                        PARAMS(P_BLOB(messages, n * sizeof *messages), P_INT((int64_t)n)));
    while (r == 0 && rows && k < most && (r = store_rows_next(rows)) == 1)
        r = read_recipient(rows, a, &items[k++]);
    if (r)
        return r;
    if (k)
        qsort(items, k, sizeof *items, compare_recipients);
    *ret = items;
    *ret_n = k;
    return 0;
}

static struct store_bulk_row bulk_row_of(const struct outbox_step *s)
{
    return (struct store_bulk_row){.i = {s->ends ? STEP_ENDS : STEP_CHANGES, s->next_at,
                                         s->flies ? s->next_at : 0, s->attempts},
                                   .t = {s->held_by, str_of(s->lease), str_of(s->error)},
                                   .b = {{(const char *)s->message_id.b, sizeof s->message_id.b}}};
}

/* Notes of which the statement says that it changed them. */
static int note_done(struct store_txn *t, const char *sql, struct outbox_step *const *steps,
                     size_t n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, NO_PARAMS);

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        for (size_t i = 0; i < n; i++)
            if (uuid_eq(&steps[i]->message_id, &id))
                steps[i]->done = true;
        r = 0;
    }
    return r;
}

int outbox_rows_step(struct store_txn *t, struct arena *a, struct outbox_step *const *steps,
                     size_t n)
{
    struct store_bulk_row *rows = arena_array(a, n + 1, sizeof *rows);
    size_t ends = 0;
    int r = rows ? 0 : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < n; i++) {
        rows[i] = bulk_row_of(steps[i]);
        steps[i]->done = false;
        ends += steps[i]->ends;
    }
    if (r || n == 0)
        return r;
    r = store_bulk_rows(t, rows, n);
    if (r == 0 && ends < n)
        r = note_done(t, change_sql, steps, n);
    if (r == 0 && ends)
        r = note_done(t, end_sql, steps, n);
    return r;
}

int outbox_rows_release(struct store_txn *t, const char *node, int64_t now, const struct uuid *keep,
                        size_t n)
{
    const struct uuid none = {{0}};

    /* A list has one at least; no message has this id. */
    return store_exec(t, release_sql, NULL,
                      PARAMS(n ? P_BLOB(keep, n * sizeof *keep) : P_ID(&none),
                             P_INT(n ? (int64_t)n : 1), P_TEXT(str_of(node)), P_INT(now)));
}
