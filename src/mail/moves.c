#include "mail/moves.h"

#include "base/fault.h"
#include "mail/suppression_reach.h"

/* i1 of bulk_rows: a log row's; of counters it is their enum mail_figure. */
enum { TO_LOG };

/* Below this many rows, statements of their own are fewer round trips than a bulk. */
enum { FEW = 8 };

/* The counters of a row: one a state, then the two that count in the rates. */
enum { COUNT_BOUNCED = MAIL_STATES, COUNT_COMPLAINED, COUNTERS };

#define UPDATE_LOGS "UPDATE email_logs SET state = "

static const char log_sql[] =
    UPDATE_LOGS "$2, counted = $3, state_at = $4, error_code = $5, detail = $6 WHERE id = $1";

static const char logs_sql[] =
    UPDATE_LOGS "r.t1, counted = r.i2, state_at = r.i3, error_code = r.t2, detail = r.t3"
                " FROM bulk_rows r WHERE email_logs.id = r.b1 AND r.i1 = 0";

/* Each counter is of a bucket of five minutes, and of the hour and the day around it. */
#define SPANS                                                                                      \
    "(SELECT " MAIL_SQL_FINE " AS span UNION ALL SELECT " MAIL_SQL_HOUR                            \
    " UNION ALL SELECT " MAIL_SQL_DAY ") s"
#define INTO                                                                                       \
    "INSERT INTO email_figures AS r (tenant_id, kind, span, bucket, name, " MAIL_SQL_COUNTERS ") "

#define ADDING                                                                                     \
    " ON CONFLICT (tenant_id, kind, span, bucket, name) DO UPDATE SET"                             \
    " queued = r.queued + excluded.queued, sent = r.sent + excluded.sent,"                         \
    " delayed = r.delayed + excluded.delayed, delivered = r.delivered + excluded.delivered,"       \
    " suppressed = r.suppressed + excluded.suppressed,"                                            \
    " rejected = r.rejected + excluded.rejected, bounced = r.bounced + excluded.bounced,"          \
    " complained = r.complained + excluded.complained,"                                            \
    " bounced_counted = r.bounced_counted + excluded.bounced_counted,"                             \
    " complained_counted = r.complained_counted + excluded.complained_counted"

/*
 * In one order always, as others may do the same at the same time: a day before its hours, an hour
 * before its five minutes, and the next ones when those are done.
 */
static const char figure_sql[] =
    INTO "SELECT $1, $2, s.span, $3 - $3 % s.span, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14"
         " FROM " SPANS " WHERE true ORDER BY s.span DESC" ADDING;

static const char figures_sql[] =
    INTO "SELECT b1, i1, s.span, i2 - i2 % s.span, t1, sum(i3), sum(i4), sum(i5), sum(i6), sum(i7),"
         " sum(i8), sum(i9), sum(i10), sum(i11), sum(i12) FROM bulk_rows, " SPANS " WHERE i1 > 0"
         " GROUP BY b1, i1, s.span, i2 - i2 % s.span, t1 ORDER BY min(n), s.span DESC" ADDING;

/* Counters that change by something. */
struct tally {
    struct uuid tenant;
    enum mail_figure kind;
    struct str name;
    int64_t bucket; /* of five minutes */
    int64_t by[COUNTERS];
};

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    int c = memcmp(&x->tenant, &y->tenant, sizeof x->tenant);

    if (c == 0)
        c = (x->kind > y->kind) - (x->kind < y->kind);
    if (c == 0)
        c = str_compare(x->name, y->name);
    return c ? c : (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

/* Sorted, equal ones joined, those without effect left out. */
static size_t join(struct tally *tallies, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(tallies, n, sizeof *tallies, compare_tallies);
    for (size_t i = 0; i < n;) {
        struct tally sum = tallies[i++];
        bool any = false;
        for (; i < n && compare_tallies(&sum, &tallies[i]) == 0; i++)
            for (int k = 0; k < COUNTERS; k++)
                sum.by[k] += tallies[i].by[k];
        for (int k = 0; k < COUNTERS; k++)
            any = any || sum.by[k] != 0;
        if (any)
            tallies[kept++] = sum;
    }
    return kept;
}

static void count(int64_t by[COUNTERS], const struct mail_mark *mark, int64_t step)
{
    if (mark->state == MAIL_NO_STATE)
        return;
    by[mark->state] += step;
    if (mark->counted && mark->state == MAIL_BOUNCED)
        by[COUNT_BOUNCED] += step;
    if (mark->counted && mark->state == MAIL_COMPLAINED)
        by[COUNT_COMPLAINED] += step;
}

/* Of each move: the sum's, its domain's, its template's, those of the codes before and after. */
enum { TALLIES = 5 };
static size_t tally_moves(const struct mail_moves *moves, struct tally *tallies)
{
    size_t n = 0;

    for (size_t i = 0; i < moves->n; i++) {
        const struct mail_move *m = &moves->items[i];
        struct tally t = {.tenant = m->tenant_id,
                          .kind = MAIL_FIGURE_ERROR,
                          .bucket = m->created_at - m->created_at % MAIL_BUCKET_MS};
        struct tally before = t, after = t;
        before.name = m->before.code;
        count(before.by, &m->before, -1);
        after.name = m->after.code;
        count(after.by, &m->after, 1);
        if (before.name.n)
            tallies[n++] = before;
        if (after.name.n)
            tallies[n++] = after;
        for (int k = 0; k < COUNTERS; k++)
            t.by[k] = before.by[k] + after.by[k];
        t.kind = MAIL_FIGURE_SUM;
        t.name = STR("");
        tallies[n++] = t;
        t.kind = MAIL_FIGURE_DOMAIN;
        t.name = m->domain;
        tallies[n++] = t;
        t.kind = MAIL_FIGURE_TEMPLATE;
        t.name = m->template_name;
        tallies[n++] = t;
    }
    return join(tallies, n);
}

static bool same(const struct mail_mark *a, const struct mail_mark *b)
{
    return a->state == b->state && a->counted == b->counted && a->at == b->at &&
           str_eq(a->code, b->code) && str_eq(a->detail, b->detail);
}

/* What is to be written, in the order in which it is: log rows, then counters. */
struct batch {
    struct store_bulk_row *rows;
    size_t n, n_logs;
};

static void add_logs(struct batch *b, const struct mail_moves *moves)
{
    for (size_t i = 0; i < moves->n; i++) {
        const struct mail_move *m = &moves->items[i];
        if (m->before.state == MAIL_NO_STATE || same(&m->before, &m->after))
            continue;
        struct store_bulk_row *row = &b->rows[b->n++];
        row->i[0] = TO_LOG;
        row->i[1] = m->after.counted;
        row->i[2] = m->after.at;
        row->t[0] = mail_state_name(m->after.state);
        row->t[1] = m->after.code;
        row->t[2] = m->after.detail;
        row->b[0] = (struct str){(const char *)m->id.b, sizeof m->id.b};
        b->n_logs++;
    }
}

static void add_tallies(struct batch *b, const struct tally *tallies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store_bulk_row *row = &b->rows[b->n++];
        row->i[0] = tallies[i].kind;
        row->i[1] = tallies[i].bucket;
        memcpy(row->i + 2, tallies[i].by, sizeof tallies[i].by);
        row->t[0] = tallies[i].name;
        row->b[0] = (struct str){(const char *)tallies[i].tenant.b, sizeof tallies[i].tenant.b};
    }
}

static int write_one(struct store_txn *t, const struct store_bulk_row *r)
{
    struct store_param p[4 + COUNTERS] = {P_BLOB(r->b[0].p, r->b[0].n), P_INT(r->i[0]),
                                          P_INT(r->i[1]), P_TEXT(r->t[0])};

    if (r->i[0] == TO_LOG)
        return store_exec(t, log_sql, NULL,
                          PARAMS(P_BLOB(r->b[0].p, r->b[0].n), P_TEXT(r->t[0]), P_INT(r->i[1]),
                                 P_INT(r->i[2]), P_TEXT(r->t[1]), P_TEXT(r->t[2])));
    for (int k = 0; k < COUNTERS; k++)
        p[4 + k] = P_INT(r->i[2 + k]);
    return store_exec(t, figure_sql, NULL, p, 4 + COUNTERS);
}

static int write_all(struct store_txn *t, const struct batch *b)
{
    int r = 0;

    for (size_t i = 0; r == 0 && b->n <= FEW && i < b->n; i++)
        r = write_one(t, &b->rows[i]);
    if (r || b->n <= FEW)
        return r;
    r = store_bulk_rows(t, b->rows, b->n);
    if (r == 0 && b->n_logs)
        r = store_exec(t, logs_sql, NULL, NO_PARAMS);
    if (r == 0 && b->n > b->n_logs)
        r = store_exec(t, figures_sql, NULL, NO_PARAMS);
    return r;
}

/* What kept a message from being sent concerns its tenant. */
static int reach(struct store_txn *t, struct arena *a, const struct mail_moves *moves)
{
    struct uuid *ids = arena_array(a, moves->n + 1, sizeof *ids);
    size_t n = 0;

    if (!ids)
        return FAULT_MEMORY;
    for (size_t i = 0; i < moves->n; i++)
        if (moves->items[i].after.state == MAIL_SUPPRESSED &&
            moves->items[i].before.state != MAIL_SUPPRESSED)
            ids[n++] = moves->items[i].id;
    return suppression_reach_logs(t, ids, n);
}

int mail_moves_write(struct store_txn *t, struct arena *a, const struct mail_moves *moves)
{
    struct tally *tallies = arena_array(a, TALLIES * moves->n + 1, sizeof *tallies);

    if (!tallies)
        return FAULT_MEMORY;
    size_t n = tally_moves(moves, tallies);
    struct batch b = {.rows = arena_array(a, moves->n + n + 1, sizeof *b.rows)};
    if (!b.rows)
        return FAULT_MEMORY;
    add_logs(&b, moves);
    add_tallies(&b, tallies, n);
    int r = write_all(t, &b);
    return r ? r : reach(t, a, moves);
}

static int compare_moves(const void *a, const void *b)
{
    return memcmp(&((const struct mail_move *)a)->id, &((const struct mail_move *)b)->id,
                  sizeof(struct uuid));
}

static int read_move(struct store_rows *rows, struct arena *a, struct mail_move *ret)
{
    struct mail_mark mark = {.counted = store_col_int(rows, 6) != 0,
                             .at = store_col_int(rows, 7),
                             .code = arena_str(a, store_col_text(rows, 8)),
                             .detail = arena_str(a, store_col_text(rows, 9))};
    struct mail_move m = {.id = store_col_id(rows, 0),
                          .tenant_id = store_col_id(rows, 1),
                          .domain = arena_str(a, store_col_text(rows, 2)),
                          .template_name = arena_str(a, store_col_text(rows, 3)),
                          .created_at = store_col_int(rows, 4),
                          .sent_at = store_col_int(rows, 10)};

    if (!mark.code.p || !mark.detail.p || !m.domain.p || !m.template_name.p)
        return FAULT_MEMORY;
    if (mail_state_parse(store_col_text(rows, 5), &mark.state) != 0)
        return fault_set(FAULT_STORE, "a log row is in no known state");
    m.before = m.after = mark;
    *ret = m;
    return 0;
}

static size_t sort_distinct(struct mail_move *items, size_t n)
{
    size_t kept = 0;

    if (n == 0)
        return 0;
    qsort(items, n, sizeof *items, compare_moves);
    for (size_t i = 1; i < n; i++)
        if (compare_moves(&items[kept], &items[i]) != 0)
            items[++kept] = items[i];
    return kept + 1;
}

int mail_moves_read(struct store_rows *rows, struct arena *a, struct mail_moves *ret_moves)
{
    struct mail_move *items = NULL;
    size_t n = 0, cap = 0;
    int r;

    while ((r = store_rows_next(rows)) == 1) {
        if (n == cap) {
            size_t more = cap ? cap * 2 : 16;
            struct mail_move *grown = arena_array(a, more, sizeof *grown);
            if (!grown)
                return FAULT_MEMORY;
            if (n)
                memcpy(grown, items, n * sizeof *items);
            items = grown;
            cap = more;
        }
        r = read_move(rows, a, &items[n]);
        if (r != 0)
            return r;
        n++;
    }
    if (r == 0)
        *ret_moves = (struct mail_moves){items, sort_distinct(items, n)};
    return r;
}

struct mail_move *mail_moves_find(const struct mail_moves *moves, const struct uuid *id)
{
    struct mail_move key = {.id = *id};

    return moves->n ? bsearch(&key, moves->items, moves->n, sizeof key, compare_moves) : NULL;
}
