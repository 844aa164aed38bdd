#include "mail/metrics.h"

#include "base/fault.h"
#include "mail/moves.h"

/* Of each part of a window, $1 to $6 being where they begin and end: one kind of figures. */
#define PART(kind, span, from, to, and)                                                            \
    "SELECT bucket, name, " MAIL_SQL_COUNTERS " FROM email_figures WHERE kind = " kind             \
    " AND span = " span " AND bucket >= " from " AND bucket < " to and
#define MORE(...) " UNION ALL " PART(__VA_ARGS__)
#define HOURS_BEFORE(kind, and) MORE(kind, MAIL_SQL_HOUR, "$2", "$3", and)
#define DAYS(kind, and) MORE(kind, MAIL_SQL_DAY, "$3", "$4", and)
#define HOURS_BEHIND(kind, and) MORE(kind, MAIL_SQL_HOUR, "$4", "$5", and)
#define END(kind, and) MORE(kind, MAIL_SQL_FINE, "$5", "$6", and)
#define PARTS(kind, and)                                                                           \
    "(" PART(kind, MAIL_SQL_FINE, "$1", "$2", and) HOURS_BEFORE(kind, and) DAYS(kind, and)         \
        HOURS_BEHIND(kind, and) END(kind, and) ") parts"

/* Of all tenants, and of one, which is the last parameter. */
#define EACH(select, kind, tenant, end)                                                            \
    {                                                                                              \
        select " FROM " PARTS(kind, "") " " end,                                                   \
            select " FROM " PARTS(kind, " AND tenant_id = " tenant) " " end                        \
    }

/* enum mail_figure. */
#define A_SUM "1"
#define A_DOMAIN "2"
#define A_TEMPLATE "3"
#define AN_ERROR "4"

static const char *const totals_sql[2] = EACH("SELECT " MAIL_SQL_SUMS, A_SUM, "$7", "");

/* A tenant has one row a bucket: nothing is left to be grouped by the store. */
static const char *const series_sql[2] = {
    "SELECT bucket - bucket % $7, " MAIL_SQL_SUMS " FROM " PARTS(A_SUM, "") " GROUP BY 1",
    "SELECT bucket - bucket % $7, " MAIL_SQL_COUNTERS " FROM " PARTS(A_SUM, " AND tenant_id = $8")};

static const char *const sums_sql[2] = {
    "SELECT bucket, " MAIL_SQL_SUMS " FROM " PARTS(A_SUM, "") " GROUP BY bucket ORDER BY bucket",
    "SELECT bucket, " MAIL_SQL_COUNTERS
    " FROM " PARTS(A_SUM, " AND tenant_id = $7") " ORDER BY bucket"};

#define HANDED_OVER "sum(sent + delayed + delivered + bounced + complained)"
#define MOST                                                                                       \
    " GROUP BY name ORDER BY CASE $7 WHEN 1 THEN sum(bounced_counted)"                             \
    " WHEN 2 THEN sum(complained_counted) WHEN 3 THEN sum(sent + delayed + bounced)"               \
    " ELSE " HANDED_OVER " END DESC, " HANDED_OVER " DESC, name LIMIT $8"

static const char *const domains_sql[2] = EACH("SELECT name, " MAIL_SQL_SUMS, A_DOMAIN, "$9", MOST);
static const char *const templates_sql[2] =
    EACH("SELECT name, " MAIL_SQL_SUMS, A_TEMPLATE, "$9", MOST);

#define SHOWING                                                                                    \
    "sum(queued + sent + delayed + delivered + suppressed + rejected + bounced + complained)"
static const char *const errors_sql[2] =
    EACH("SELECT name, " SHOWING, AN_ERROR, "$8",
         " GROUP BY name HAVING " SHOWING " > 0 ORDER BY 2 DESC, name LIMIT $7");

static const char knows_sql[] =
    "SELECT count(*) FROM email_firsts WHERE kind = 'delivery' AND received_at < $1";

static const char reap_sql[] =
    "DELETE FROM email_figures WHERE (tenant_id, kind, span, bucket, name) IN"
    " (SELECT tenant_id, kind, span, bucket, name FROM email_figures"
    " WHERE kind IN (" A_SUM ", " A_DOMAIN ", " A_TEMPLATE ", " AN_ERROR ") AND span = $1"
    " AND bucket < $2 LIMIT $3)";

const int64_t mail_part_spans[MAIL_PARTS] = {MAIL_BUCKET_MS, CLOCK_HOUR, CLOCK_DAY, CLOCK_HOUR,
                                             MAIL_BUCKET_MS};

int64_t mail_counts_sent(const struct mail_counts *counts)
{
    return counts->in[MAIL_SENT] + counts->in[MAIL_DELAYED] + counts->in[MAIL_DELIVERED] +
           counts->in[MAIL_BOUNCED] + counts->in[MAIL_COMPLAINED];
}

int64_t mail_counts_delivered(const struct mail_counts *counts)
{
    return counts->in[MAIL_DELIVERED] + counts->in[MAIL_COMPLAINED];
}

int64_t mail_counts_figure(const struct mail_counts *counts, enum mail_order order)
{
    switch (order) {
    case MAIL_MOST_BOUNCED:
        return counts->bounced_counted;
    case MAIL_MOST_COMPLAINED:
        return counts->complained_counted;
    case MAIL_MOST_UNDELIVERED:
        return mail_counts_sent(counts) - mail_counts_delivered(counts);
    case MAIL_MOST_SENT:
        break;
    }
    return mail_counts_sent(counts);
}

struct mail_window mail_window(const struct uuid *tenant, int64_t since, int64_t until,
                               int64_t bucket_ms, int64_t now)
{
    bool kept = since >= now - MAIL_FINE_KEPT_MS;
    bool fine =
        kept && (until - since <= MAIL_WINDOW_FINE_MS || (bucket_ms && bucket_ms < CLOCK_HOUR));
    int64_t span = fine ? MAIL_BUCKET_MS : CLOCK_HOUR, past = until % span;

    return (struct mail_window){tenant, since - since % span, until - past + (past ? span : 0),
                                span};
}

/* The whole spans in from to to; where there is none, both are to. */
static void whole(int64_t span, int64_t from, int64_t to, int64_t *ret_first, int64_t *ret_last)
{
    int64_t past = from % span, first = from + (past ? span - past : 0), last = to - to % span;
    bool any = first < last;

    *ret_first = any ? first : to;
    *ret_last = any ? last : to;
}

struct mail_parts mail_window_parts(const struct mail_window *w, int64_t coarsest)
{
    struct mail_parts p = {{w->since, w->until, w->until, w->until, w->until, w->until}};

    if (coarsest >= CLOCK_HOUR)
        whole(CLOCK_HOUR, w->since, w->until, &p.at[1], &p.at[4]);
    p.at[2] = p.at[3] = p.at[4];
    if (coarsest >= CLOCK_DAY)
        whole(CLOCK_DAY, p.at[1], p.at[4], &p.at[2], &p.at[3]);
    return p;
}

struct mail_counts mail_counts_read(struct store_rows *rows, int first)
{
    struct mail_counts c;

    for (int i = 0; i < MAIL_STATES; i++)
        c.in[i] = store_col_int(rows, first + i);
    c.bounced_counted = store_col_int(rows, first + MAIL_STATES);
    c.complained_counted = store_col_int(rows, first + MAIL_STATES + 1);
    return c;
}

/* Runs one of EACH: the parts, what else it takes, and the tenant. */
static int query(struct store_txn *t, const char *const sql[2], const struct mail_window *w,
                 int64_t coarsest, struct store_rows **ret_rows, const struct store_param *more,
                 size_t n)
{
    struct mail_parts parts = mail_window_parts(w, coarsest);
    struct store_param params[MAIL_PARTS + 4];
    size_t of = 0;

    while (of <= MAIL_PARTS) {
        params[of] = P_INT(parts.at[of]);
        of++;
    }
    for (size_t i = 0; i < n; i++)
        params[of++] = more[i];
    if (w->tenant)
        params[of++] = P_ID(w->tenant);
    return store_query(t, sql[w->tenant != NULL], ret_rows, params, of);
}

int mail_metrics_totals(struct store_txn *t, const struct mail_window *w,
                        struct mail_counts *ret_counts)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = query(t, totals_sql, w, CLOCK_DAY, &rows, NO_PARAMS);

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_counts = mail_counts_read(rows, 0);
    return 0;
}

void mail_counts_add(struct mail_counts *to, const struct mail_counts *more)
{
    for (int i = 0; i < MAIL_STATES; i++)
        to->in[i] += more->in[i];
    to->bounced_counted += more->bounced_counted;
    to->complained_counted += more->complained_counted;
}

int64_t mail_series_span(int64_t bucket_ms)
{
    if (bucket_ms % CLOCK_DAY == 0)
        return CLOCK_DAY;
    return bucket_ms % CLOCK_HOUR == 0 ? CLOCK_HOUR : MAIL_BUCKET_MS;
}

int mail_series_begin(struct mail_series *s, struct arena *a, const struct mail_window *w,
                      int64_t bucket_ms)
{
    *s = (struct mail_series){.first = w->since - w->since % bucket_ms, .bucket_ms = bucket_ms};
    s->n = (size_t)((w->until - s->first) / bucket_ms) + 1;
    s->points = arena_array(a, s->n, sizeof *s->points);
    s->any = arena_array(a, s->n, sizeof *s->any);
    return s->points && s->any ? 0 : FAULT_MEMORY;
}

int mail_series_add(struct mail_series *s, int64_t at, const struct mail_counts *counts)
{
    size_t i = (size_t)((at - s->first) / s->bucket_ms);

    if (at < s->first || i >= s->n)
        return fault_set(FAULT_STORE, "a bucket is outside of its window");
    mail_counts_add(&s->points[i].counts, counts);
    s->any[i] = true;
    return 0;
}

void mail_series_end(struct mail_series *s, struct mail_point **ret_points, size_t *ret_n)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        if (s->any[i])
            s->points[n++] =
                (struct mail_point){s->first + (int64_t)i * s->bucket_ms, s->points[i].counts};
    *ret_points = s->points;
    *ret_n = n;
}

int mail_metrics_series(struct store_txn *t, struct arena *a, const struct mail_window *w,
                        int64_t bucket_ms, struct mail_point **ret_points, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_series s;
    int r = mail_series_begin(&s, a, w, bucket_ms);

    if (r == 0)
        r = query(t, series_sql, w, mail_series_span(bucket_ms), &rows, PARAMS(P_INT(bucket_ms)));
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct mail_counts counts = mail_counts_read(rows, 1);
        r = mail_series_add(&s, store_col_int(rows, 0), &counts);
    }
    if (r == 0)
        mail_series_end(&s, ret_points, ret_n);
    return r;
}

int mail_metrics_sums(struct store_txn *t, struct arena *a, const struct mail_window *w,
                      struct mail_point **ret_points, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_parts parts = mail_window_parts(w, CLOCK_DAY);
    size_t most = MAIL_PARTS, n = 0;

    for (int i = 0; i < MAIL_PARTS; i++)
        most += (size_t)((parts.at[i + 1] - parts.at[i]) / mail_part_spans[i]);
    struct mail_point *points = arena_array(a, most, sizeof *points);
    int r = points ? query(t, sums_sql, w, CLOCK_DAY, &rows, NO_PARAMS) : FAULT_MEMORY;

    while (r == 0 && n < most && (r = store_rows_next(rows)) == 1) {
        points[n++] = (struct mail_point){store_col_int(rows, 0), mail_counts_read(rows, 1)};
        r = 0;
    }
    if (r)
        return r;
    *ret_points = points;
    *ret_n = n;
    return 0;
}

int mail_metrics_shares(struct store_txn *t, struct arena *a, const struct mail_window *w,
                        const struct mail_ranking *by, struct mail_share **ret_shares,
                        size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_share *shares = arena_array(a, by->limit + 1, sizeof *shares);
    size_t n = 0;
    int r = shares
                ? query(t, by->group == MAIL_BY_DOMAIN ? domains_sql : templates_sql, w, CLOCK_DAY,
                        &rows, PARAMS(P_INT((int64_t)by->order), P_INT((int64_t)by->limit)))
                : FAULT_MEMORY;

    while (r == 0 && n < by->limit && (r = store_rows_next(rows)) == 1) {
        shares[n] =
            (struct mail_share){arena_str(a, store_col_text(rows, 0)), mail_counts_read(rows, 1)};
        r = shares[n++].name.p ? 0 : FAULT_MEMORY;
    }
    if (r)
        return r;
    *ret_shares = shares;
    *ret_n = n;
    return 0;
}

int mail_metrics_errors(struct store_txn *t, struct arena *a, const struct mail_window *w,
                        size_t limit, struct mail_error_count **ret_errors, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_error_count *errors = arena_array(a, limit + 1, sizeof *errors);
    size_t n = 0;
    int r = errors ? query(t, errors_sql, w, CLOCK_DAY, &rows, PARAMS(P_INT((int64_t)limit)))
                   : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1) {
        errors[n] = (struct mail_error_count){arena_str(a, store_col_text(rows, 0)),
                                              store_col_int(rows, 1)};
        r = errors[n++].code.p ? 0 : FAULT_MEMORY;
    }
    if (r)
        return r;
    *ret_errors = errors;
    *ret_n = n;
    return 0;
}

int mail_metrics_knows_deliveries(struct store_txn *t, int64_t until, bool *ret_known)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, knows_sql, &rows, PARAMS(P_INT(until)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_known = store_col_int(rows, 0) > 0;
    return 0;
}

int mail_metrics_reap(struct store_txn *t, int64_t fine_before, int64_t hourly_before,
                      int64_t limit, int64_t *ret_removed)
{
    const struct {
        int64_t span, before;
    } each[] = {{MAIL_BUCKET_MS, fine_before},
                {CLOCK_HOUR, hourly_before},
                {CLOCK_DAY, hourly_before - CLOCK_DAY}};
    int64_t sum = 0;
    int r = store_lock(t, STORE_LOCK_MAIL);

    for (size_t i = 0; r == 0 && i < sizeof each / sizeof *each; i++) {
        int64_t removed = 0;
        r = store_exec(t, reap_sql, &removed,
                       PARAMS(P_INT(each[i].span), P_INT(each[i].before), P_INT(limit)));
        sum += removed;
    }
    if (r == 0)
        *ret_removed = sum;
    return r;
}
