#include "mail/metrics.h"

#include "base/fault.h"
#include "mail/moves.h"

#define SUMS                                                                                       \
    "sum(queued), sum(sent), sum(delayed), sum(delivered), sum(suppressed), sum(rejected),"        \
    " sum(bounced), sum(complained), sum(bounced_counted), sum(complained_counted)"
#define RANGE " AND bucket >= $1 AND bucket < $2 "

/* By table, and whether there is a tenant (a parameter): each reads along an index of its own. */
#define FROM_EACH(select, where, tenant, end)                                                      \
    {                                                                                              \
        {select " FROM email_rollups WHERE " where RANGE end,                                      \
         select " FROM email_rollups WHERE " where RANGE "AND tenant_id = " tenant end},           \
        {                                                                                          \
            select " FROM email_rollups_hourly WHERE " where RANGE end, select                     \
                " FROM email_rollups_hourly WHERE " where RANGE "AND tenant_id = " tenant end      \
        }                                                                                          \
    }

static const char *const totals_sql[2][2] = FROM_EACH("SELECT " SUMS, "domain = ''", "$3", "");

static const char *const series_sql[2][2] =
    FROM_EACH("SELECT bucket - bucket % $3, " SUMS, "domain = ''", "$5",
              " GROUP BY bucket - bucket % $3 ORDER BY 1 LIMIT $4");

/* Whole hours are read from the hours, and what is before and behind them from five minutes. */
#define PART(table, from, to, where)                                                               \
    "SELECT * FROM " table " WHERE bucket >= " from " AND bucket < " to " AND " where
#define PARTS(where)                                                                               \
    "(" PART("email_rollups_hourly", "$5", "$6", where) " UNION ALL " PART(                        \
        "email_rollups", "$1", "$5", where) " UNION ALL " PART("email_rollups", "$6", "$2",        \
                                                               where) ") parts"
#define HANDED_OVER "sum(sent + delayed + delivered + bounced + complained)"
#define SHARES(name, where)                                                                        \
    "SELECT " name ", " SUMS                                                                       \
    " FROM " PARTS(where) " GROUP BY " name " ORDER BY CASE $3 WHEN 1 THEN sum(bounced_counted) "  \
                          "WHEN 2 THEN sum(complained_counted)"                                    \
                          " WHEN 3 THEN sum(sent + delayed + bounced) ELSE " HANDED_OVER           \
                          " END DESC, " HANDED_OVER " DESC, " name " LIMIT $4"

#define OF_TENANT " AND tenant_id = $7"
#define A_DOMAIN "domain <> '' AND domain <> '" MAIL_ANY_DOMAIN "'"
#define A_TEMPLATE "domain = '" MAIL_ANY_DOMAIN "'"
static const char *const domains_sql[2] = {SHARES("domain", A_DOMAIN),
                                           SHARES("domain", A_DOMAIN OF_TENANT)};
static const char *const templates_sql[2] = {SHARES("template", A_TEMPLATE),
                                             SHARES("template", A_TEMPLATE OF_TENANT)};

#define ERRORS(tenant)                                                                             \
    "SELECT code, sum(n) FROM email_errors WHERE bucket >= $1 AND bucket < $2" tenant              \
    " GROUP BY code HAVING sum(n) > 0 ORDER BY 2 DESC, code LIMIT $3"

static const char *const errors_sql[2] = {ERRORS(""), ERRORS(" AND tenant_id = $4")};

static const char knows_sql[] =
    "SELECT count(*) FROM email_firsts WHERE kind = 'delivery' AND received_at < $1";

#define REAP(table, key)                                                                           \
    "DELETE FROM " table " WHERE (" key ") IN (SELECT " key " FROM " table                         \
    " WHERE bucket < $1 ORDER BY bucket LIMIT $2)"

static const char *const reap_sql[] = {
    REAP("email_rollups", "tenant_id, bucket, domain, template"),
    REAP("email_rollups_hourly", "tenant_id, bucket, domain, template"),
    REAP("email_errors", "tenant_id, bucket, code, domain"),
};

int64_t mail_counts_sent(const struct mail_counts *counts)
{
    return counts->in[MAIL_SENT] + counts->in[MAIL_DELAYED] + counts->in[MAIL_DELIVERED] +
           counts->in[MAIL_BOUNCED] + counts->in[MAIL_COMPLAINED];
}

int64_t mail_counts_delivered(const struct mail_counts *counts)
{
    return counts->in[MAIL_DELIVERED] + counts->in[MAIL_COMPLAINED];
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

void mail_window_hours(const struct mail_window *w, int64_t *ret_first, int64_t *ret_last)
{
    int64_t past = w->since % CLOCK_HOUR, first = w->since + (past ? CLOCK_HOUR - past : 0),
            last = w->until - w->until % CLOCK_HOUR;
    bool any = first < last;

    *ret_first = any ? first : w->until;
    *ret_last = any ? last : w->until;
}

/* Which of the four statements. */
#define TEXT_OF(sql, window) ((sql)[(window)->span == CLOCK_HOUR][(window)->tenant != NULL])

static struct mail_counts read_counts(struct store_rows *rows, int first)
{
    struct mail_counts c;

    for (int i = 0; i < MAIL_STATES; i++)
        c.in[i] = store_col_int(rows, first + i);
    c.bounced_counted = store_col_int(rows, first + MAIL_STATES);
    c.complained_counted = store_col_int(rows, first + MAIL_STATES + 1);
    return c;
}

int mail_metrics_totals(struct store_txn *t, const struct mail_window *w,
                        struct mail_counts *ret_counts)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct store_param params[3] = {P_INT(w->since), P_INT(w->until)};

    if (w->tenant)
        params[2] = P_ID(w->tenant);
    int r = store_query(t, TEXT_OF(totals_sql, w), &rows, params, w->tenant ? 3 : 2);
    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_counts = read_counts(rows, 0);
    return 0;
}

static int query_series(struct store_txn *t, const struct mail_window *w, int64_t bucket_ms,
                        size_t limit, struct store_rows **ret_rows)
{
    struct store_param params[5] = {P_INT(w->since), P_INT(w->until), P_INT(bucket_ms),
                                    P_INT((int64_t)limit)};

    if (w->tenant)
        params[4] = P_ID(w->tenant);
    return store_query(t, TEXT_OF(series_sql, w), ret_rows, params, w->tenant ? 5 : 4);
}

static int query_shares(struct store_txn *t, const struct mail_window *w, enum mail_group group,
                        enum mail_order order, size_t limit, struct store_rows **ret_rows)
{
    const char *const *sql = group == MAIL_BY_DOMAIN ? domains_sql : templates_sql;
    int64_t first, last;

    mail_window_hours(w, &first, &last);
    struct store_param params[7] = {P_INT(w->since),       P_INT(w->until), P_INT((int64_t)order),
                                    P_INT((int64_t)limit), P_INT(first),    P_INT(last)};
    if (w->tenant)
        params[6] = P_ID(w->tenant);
    return store_query(t, sql[w->tenant != NULL], ret_rows, params, w->tenant ? 7 : 6);
}

int mail_metrics_series(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        int64_t bucket_ms, size_t limit, struct mail_point **ret_points,
                        size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_point *points = arena_array(a, limit + 1, sizeof *points);
    size_t n = 0;
    int r = points ? query_series(t, window, bucket_ms, limit, &rows) : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1) {
        points[n++] = (struct mail_point){store_col_int(rows, 0), read_counts(rows, 1)};
        r = 0;
    }
    if (r)
        return r;
    *ret_points = points;
    *ret_n = n;
    return 0;
}

int mail_metrics_shares(struct store_txn *t, struct arena *a, const struct mail_window *window,
                        enum mail_group group, enum mail_order order, size_t limit,
                        struct mail_share **ret_shares, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct mail_share *shares = arena_array(a, limit + 1, sizeof *shares);
    size_t n = 0;
    int r = shares ? query_shares(t, window, group, order, limit, &rows) : FAULT_MEMORY;

    while (r == 0 && n < limit && (r = store_rows_next(rows)) == 1) {
        shares[n] =
            (struct mail_share){arena_str(a, store_col_text(rows, 0)), read_counts(rows, 1)};
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
    struct store_param params[4] = {P_INT(w->since - w->since % CLOCK_HOUR), P_INT(w->until),
                                    P_INT((int64_t)limit)};
    size_t n = 0;

    if (w->tenant)
        params[3] = P_ID(w->tenant);
    int r = errors ? store_query(t, errors_sql[w->tenant != NULL], &rows, params, w->tenant ? 4 : 3)
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
    int64_t sum = 0;
    int r = 0;

    for (int i = 0; r == 0 && i < 3; i++) {
        int64_t removed = 0;
        r = store_exec(t, reap_sql[i], &removed,
                       PARAMS(P_INT(i == 0 ? fine_before : hourly_before), P_INT(limit)));
        sum += removed;
    }
    if (r == 0)
        *ret_removed = sum;
    return r;
}
