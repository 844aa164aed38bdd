#include "mail/settle.h"

#include "base/fault.h"
#include "mail/log.h"
#include "mail/moves.h"

/* coalesce: the way to a row is by its id, not by all that is queued. */
static const char settle_sql[] =
    "UPDATE email_logs SET provider_id = coalesce(r.t1, email_logs.provider_id),"
    " sent_at = CASE WHEN r.t1 IS NULL THEN email_logs.sent_at ELSE r.i1 END FROM bulk_rows r"
    " WHERE email_logs.id = r.b1 AND coalesce(email_logs.state, '') = 'queued'"
    " RETURNING " MAIL_MOVE_COLUMNS;

static const char link_sql[] =
    "UPDATE email_events SET log_id = (SELECT l.id FROM email_logs l"
    " WHERE l.provider_id = email_events.provider_id AND l.recipient = email_events.recipient"
    " LIMIT 1)"
    " WHERE log_id IS NULL AND provider_id <> '' AND provider_id IN (SELECT t1 FROM bulk_rows)"
    " RETURNING log_id, state, counted, at, code, detail";

struct settling {
    struct store_txn *t;
    struct arena a;
    const struct mail_settlement **items; /* by log_id */
    size_t n;
    bool sends; /* any of them is MAIL_SENT */
    struct mail_moves moves;
};

static int compare(const void *a, const void *b)
{
    const struct mail_settlement *const *x = a, *const *y = b;

    return memcmp(&(*x)->log_id, &(*y)->log_id, sizeof(struct uuid));
}

static int sort(struct settling *s, const struct mail_settlement *items, size_t n)
{
    s->items = arena_array(&s->a, n + 1, sizeof *s->items);
    if (!s->items)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum mail_state state = items[i].state;
        if (state != MAIL_SENT && state != MAIL_SUPPRESSED && state != MAIL_REJECTED)
            return fault_set(FAULT_INTERNAL, "a row of the outbox cannot end as state %d", state);
        s->items[s->n++] = &items[i];
        s->sends = s->sends || state == MAIL_SENT;
    }
    if (n)
        qsort(s->items, n, sizeof *s->items, compare);
    return 0;
}

static int fill(struct settling *s)
{
    struct store_bulk_row *rows = arena_array(&s->a, s->n + 1, sizeof *rows);

    if (!rows)
        return FAULT_MEMORY;
    for (size_t i = 0; i < s->n; i++) {
        const struct mail_settlement *item = s->items[i];
        rows[i].i[0] = item->at;
        if (item->state == MAIL_SENT)
            rows[i].t[0] = item->provider_id.p ? item->provider_id : STR("");
        rows[i].b[0] = (struct str){(const char *)item->log_id.b, sizeof item->log_id.b};
    }
    return store_bulk_rows(s->t, rows, s->n);
}

static struct mail_mark mark_of(const struct mail_settlement *s)
{
    bool sent = s->state == MAIL_SENT;

    return (struct mail_mark){.state = s->state,
                              .at = s->at,
                              .code = sent ? STR("") : str_cut(s->code, MAIL_CODE_MAX),
                              .detail = sent ? STR("") : str_cut(s->detail, MAIL_DETAIL_MAX)};
}

static int read_moves(struct settling *s)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(s->t, settle_sql, &rows, NO_PARAMS);

    return r ? r : mail_moves_read(rows, &s->a, &s->moves);
}

static int move(struct settling *s)
{
    int r = read_moves(s);

    for (size_t i = 0; r == 0 && i < s->moves.n; i++) {
        struct mail_move *m = &s->moves.items[i];
        struct mail_settlement key = {.log_id = m->id};
        const struct mail_settlement *wanted = &key, *const *found =
                                                         bsearch(&wanted, s->items, s->n,
                                                                 sizeof wanted, compare);
        if (!found)
            return fault_set(FAULT_STORE, "a row came back that was not settled");
        struct mail_mark mark = mark_of(*found);
        mail_mark_raise(&m->after, &mark);
    }
    return r;
}

/* An event that waited for its row. */
static int take_up(struct store_rows *rows, struct settling *s)
{
    struct uuid id = store_col_id(rows, 0);
    struct mail_move *m = mail_moves_find(&s->moves, &id);
    struct mail_mark mark = {.state = MAIL_NO_STATE,
                             .counted = store_col_int(rows, 2) != 0,
                             .at = store_col_int(rows, 3),
                             .code = arena_str(&s->a, store_col_text(rows, 4)),
                             .detail = arena_str(&s->a, store_col_text(rows, 5))};

    if (!mark.code.p || !mark.detail.p)
        return FAULT_MEMORY;
    if (m && mail_state_parse(store_col_text(rows, 1), &mark.state) == 0)
        mail_mark_raise(&m->after, &mark);
    return 0;
}

static int link_events(struct settling *s)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(s->t, link_sql, &rows, NO_PARAMS);

    while (r == 0 && (r = store_rows_next(rows)) == 1)
        r = take_up(rows, s);
    return r;
}

int mail_settle(struct store_txn *t, const struct mail_settlement *items, size_t n,
                int64_t *ret_rows)
{
    struct settling s = {.t = t, .a = arena_init(MAIL_WORK_MAX)};
    int r = sort(&s, items, n);

    if (r == 0 && n)
        r = store_lock(t, STORE_LOCK_MAIL);
    if (r == 0 && n)
        r = fill(&s);
    if (r == 0 && n)
        r = move(&s);
    if (r == 0 && s.sends)
        r = link_events(&s);
    if (r == 0 && s.moves.n)
        r = mail_moves_write(t, &s.a, &s.moves);
    if (r == 0 && ret_rows)
        *ret_rows = (int64_t)s.moves.n;
    arena_free(&s.a);
    return r;
}
