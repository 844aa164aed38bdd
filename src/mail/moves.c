#include "mail/moves.h"

#include "base/fault.h"
#include "mail/suppression_reach.h"

/* i1 of bulk_rows: what a row is for. */
enum target { TO_LOG, TO_ROLLUP, TO_HOURLY, TO_ERROR };

/* Below this many rows, statements of their own are fewer round trips than a bulk. */
enum { FEW = 8 };

/* A rollup's counters: one a state, then the two that count in the rates. */
enum { COUNT_BOUNCED = MAIL_STATES, COUNT_COMPLAINED, COUNTERS };

#define UPDATE_LOGS "UPDATE email_logs SET state = "

static const char log_sql[] =
    UPDATE_LOGS "$2, counted = $3, state_at = $4, error_code = $5, detail = $6 WHERE id = $1";

static const char logs_sql[] =
    UPDATE_LOGS "r.t1, counted = r.i2, state_at = r.i3, error_code = r.t2, detail = r.t3"
                " FROM bulk_rows r WHERE email_logs.id = r.b1 AND r.i1 = 0";

#define ROLLUP_COLUMNS                                                                             \
    " (tenant_id, bucket, domain, template, queued, sent, delayed, delivered, suppressed,"         \
    " rejected, bounced, complained, bounced_counted, complained_counted) "

#define ROLLUP_ADD                                                                                 \
    " ON CONFLICT (tenant_id, bucket, domain, template) DO UPDATE SET"                             \
    " queued = r.queued + excluded.queued, sent = r.sent + excluded.sent,"                         \
    " delayed = r.delayed + excluded.delayed, delivered = r.delivered + excluded.delivered,"       \
    " suppressed = r.suppressed + excluded.suppressed,"                                            \
    " rejected = r.rejected + excluded.rejected, bounced = r.bounced + excluded.bounced,"          \
    " complained = r.complained + excluded.complained,"                                            \
    " bounced_counted = r.bounced_counted + excluded.bounced_counted,"                             \
    " complained_counted = r.complained_counted + excluded.complained_counted"

#define ROLLUP_VALUES "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
#define ROLLUP_ROWS(target)                                                                        \
    "SELECT b1, i2, t1, t2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12 FROM bulk_rows"              \
    " WHERE i1 = " target " ORDER BY n"

#define ROLLUP(table, values) "INSERT INTO " table " AS r" ROLLUP_COLUMNS values ROLLUP_ADD

static const char rollup_sql[] = ROLLUP("email_rollups", ROLLUP_VALUES);
static const char rollups_sql[] = ROLLUP("email_rollups", ROLLUP_ROWS("1"));
static const char hourly_sql[] = ROLLUP("email_rollups_hourly", ROLLUP_VALUES);
static const char hourlies_sql[] = ROLLUP("email_rollups_hourly", ROLLUP_ROWS("2"));

#define ERROR(values)                                                                              \
    "INSERT INTO email_errors (tenant_id, bucket, code, domain, n) " values                        \
    " ON CONFLICT (tenant_id, bucket, code, domain) DO UPDATE SET n = email_errors.n + excluded.n"

static const char error_sql[] = ERROR("VALUES ($1, $2, $3, $4, $5)");
static const char errors_sql[] =
    ERROR("SELECT b1, i2, t1, t2, i3 FROM bulk_rows WHERE i1 = 3 ORDER BY n");

/* A counter that changes by something; the error's code and domain are name and part. */
struct tally {
    struct uuid tenant;
    int64_t bucket;
    struct str name, part; /* domain and template, or code and domain */
    int64_t by[COUNTERS];
};

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    int c = memcmp(&x->tenant, &y->tenant, sizeof x->tenant);

    if (c == 0)
        c = (x->bucket > y->bucket) - (x->bucket < y->bucket);
    if (c == 0)
        c = str_compare(x->name, y->name);
    return c ? c : str_compare(x->part, y->part);
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

/* Three of each move: of the sum, of its domain, of its template. */
enum { TALLIES = 3 };
static size_t tally_states(const struct mail_moves *moves, int64_t span, struct tally *tallies)
{
    size_t n = 0;

    for (size_t i = 0; i < moves->n; i++) {
        const struct mail_move *m = &moves->items[i];
        struct tally t = {.tenant = m->tenant_id, .bucket = m->created_at - m->created_at % span};
        count(t.by, &m->before, -1);
        count(t.by, &m->after, 1);
        t.name = t.part = STR("");
        tallies[n++] = t;
        t.name = m->domain;
        tallies[n++] = t;
        t.name = STR(MAIL_ANY_DOMAIN);
        t.part = m->template_name;
        tallies[n++] = t;
    }
    return join(tallies, n);
}

static size_t tally_errors(const struct mail_moves *moves, struct tally *tallies)
{
    size_t n = 0;

    for (size_t i = 0; i < moves->n; i++) {
        const struct mail_move *m = &moves->items[i];
        struct tally t = {.tenant = m->tenant_id,
                          .bucket = m->created_at - m->created_at % CLOCK_HOUR,
                          .part = m->domain};
        t.name = m->before.code;
        t.by[0] = -1;
        if (m->before.state != MAIL_NO_STATE && t.name.n)
            tallies[n++] = t;
        t.name = m->after.code;
        t.by[0] = 1;
        if (t.name.n)
            tallies[n++] = t;
    }
    return join(tallies, n);
}

static bool same(const struct mail_mark *a, const struct mail_mark *b)
{
    return a->state == b->state && a->counted == b->counted && a->at == b->at &&
           str_eq(a->code, b->code) && str_eq(a->detail, b->detail);
}

/* What is to be written, in the order in which it is. */
struct batch {
    struct store_bulk_row *rows;
    size_t n, n_of[TO_ERROR + 1];
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
        b->n_of[TO_LOG]++;
    }
}

static void add_tallies(struct batch *b, enum target target, const struct tally *tallies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store_bulk_row *row = &b->rows[b->n++];
        row->i[0] = target;
        row->i[1] = tallies[i].bucket;
        memcpy(row->i + 2, tallies[i].by, sizeof tallies[i].by);
        row->t[0] = tallies[i].name;
        row->t[1] = tallies[i].part;
        row->b[0] = (struct str){(const char *)tallies[i].tenant.b, sizeof tallies[i].tenant.b};
    }
    b->n_of[target] += n;
}

/* Numbered as ROLLUP_VALUES and ERROR have them. */
static int write_one(struct store_txn *t, const struct store_bulk_row *r)
{
    struct store_param p[4 + COUNTERS] = {P_BLOB(r->b[0].p, r->b[0].n), P_INT(r->i[1]),
                                          P_TEXT(r->t[0]), P_TEXT(r->t[1])};

    for (int k = 0; k < COUNTERS; k++)
        p[4 + k] = P_INT(r->i[2 + k]);
    switch ((enum target)r->i[0]) {
    case TO_LOG:
        return store_exec(t, log_sql, NULL,
                          PARAMS(P_BLOB(r->b[0].p, r->b[0].n), P_TEXT(r->t[0]), P_INT(r->i[1]),
                                 P_INT(r->i[2]), P_TEXT(r->t[1]), P_TEXT(r->t[2])));
    case TO_ROLLUP:
        return store_exec(t, rollup_sql, NULL, p, 4 + COUNTERS);
    case TO_HOURLY:
        return store_exec(t, hourly_sql, NULL, p, 4 + COUNTERS);
    case TO_ERROR:
        break;
    }
    return store_exec(t, error_sql, NULL, p, 5);
}

static int write_all(struct store_txn *t, const struct batch *b)
{
    static const char *const texts[] = {logs_sql, rollups_sql, hourlies_sql, errors_sql};
    int r = 0;

    for (size_t i = 0; r == 0 && b->n <= FEW && i < b->n; i++)
        r = write_one(t, &b->rows[i]);
    if (r || b->n <= FEW)
        return r;
    r = store_bulk_rows(t, b->rows, b->n);
    for (int k = TO_LOG; r == 0 && k <= TO_ERROR; k++)
        if (b->n_of[k])
            r = store_exec(t, texts[k], NULL, NO_PARAMS);
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
    size_t n = moves->n, most = TALLIES * n + 1;
    struct tally *rollups = arena_array(a, most, sizeof *rollups),
                 *hourly = arena_array(a, most, sizeof *hourly),
                 *errors = arena_array(a, most, sizeof *errors);

    if (!rollups || !hourly || !errors)
        return FAULT_MEMORY;
    size_t n_rollups = tally_states(moves, MAIL_BUCKET_MS, rollups);
    size_t n_hourly = tally_states(moves, CLOCK_HOUR, hourly);
    size_t n_errors = tally_errors(moves, errors);
    struct batch b = {.rows =
                          arena_array(a, n + n_rollups + n_hourly + n_errors + 1, sizeof *b.rows)};
    if (!b.rows)
        return FAULT_MEMORY;
    add_logs(&b, moves);
    add_tallies(&b, TO_ROLLUP, rollups, n_rollups);
    add_tallies(&b, TO_HOURLY, hourly, n_hourly);
    add_tallies(&b, TO_ERROR, errors, n_errors);
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
