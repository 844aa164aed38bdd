#include "mail/share_cache.h"

#include "base/fault.h"
#include "mail/moves.h"
#include "mail/share_merge.h"

/* What one query reads, as PostgreSQL's rows are all held in memory. */
enum { RUN_BUCKETS = 32 };

/* Of all tenants, and of one: a bucket, and what it consists of. */
#define GROUPS " FROM email_figures WHERE kind = $1 AND span = $2 AND bucket >= $3 AND bucket < $4"
static const char *const groups_sql[2] = {
    "SELECT bucket, name, " MAIL_SQL_SUMS GROUPS " GROUP BY bucket, name ORDER BY bucket",
    "SELECT bucket, name, " MAIL_SQL_COUNTERS GROUPS " AND tenant_id = $5 ORDER BY bucket"};

#define SHORTER "SELECT bucket - bucket % $1, bucket, "
#define SUMS " FROM email_figures WHERE kind = 1 AND span = $2 AND bucket >= $3 AND bucket < $4"
static const char *const shorter_sql[2] = {
    SHORTER MAIL_SQL_SUMS SUMS " GROUP BY bucket ORDER BY bucket",
    SHORTER MAIL_SQL_COUNTERS SUMS " AND tenant_id = $5 ORDER BY bucket"};

/* What a bucket consists of, as far as it was read; names are those of the merge. */
struct gathered {
    struct kept_share *shares;
    size_t n, cap;
    bool too_large; /* to be kept */
};

/* A window, and what its buckets are put together to: groups, or a series. */
struct reading {
    struct share_kept *kept;
    struct store_txn *t;
    struct arena *arena;
    const struct mail_window *window;
    struct kept_key key; /* of the bucket in hand */
    struct mail_point *sums;
    struct gathered gathered;
    struct share_merge merge;
    struct mail_series *series; /* NULL: groups */
    int64_t shorter;            /* the span that the series is of */
};

static int add_kept(void *arg, const struct kept_share *shares, size_t n)
{
    struct reading *q = arg;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        struct mail_counts counts = share_kept_counts(&shares[i]);
        struct mail_share *to;
        if (q->series) {
            r = mail_series_add(q->series, q->key.bucket + shares[i].which * q->shorter, &counts);
            continue;
        }
        r = share_merge_find(&q->merge, shares[i].name, shares[i].which, &to);
        if (r == 0)
            mail_counts_add(&to->counts, &counts);
    }
    return r;
}

static int grow(struct gathered *g, struct arena *a)
{
    size_t cap = g->cap ? g->cap * 2 : 64;
    struct kept_share *wider = arena_array(a, cap, sizeof *wider);

    if (!wider)
        return FAULT_MEMORY;
    if (g->n)
        memcpy(wider, g->shares, g->n * sizeof *wider);
    g->shares = wider;
    g->cap = cap;
    return 0;
}

/* Adds a row to what the window and to what the bucket consists of. */
static int gather(struct reading *q, struct store_rows *rows)
{
    struct gathered *g = &q->gathered;
    struct mail_counts counts = mail_counts_read(rows, 2);
    struct kept_share share = {.name = STR("")};
    struct mail_share *to;
    int r = g->n == g->cap ? grow(g, q->arena) : 0;

    if (r)
        return r;
    if (q->series) {
        int64_t at = store_col_int(rows, 1);
        share.which = (uint32_t)((at - store_col_int(rows, 0)) / q->shorter);
        r = mail_series_add(q->series, at, &counts);
    } else {
        share.which = share_merge_hash(&q->merge, store_col_text(rows, 1));
        r = share_merge_find(&q->merge, store_col_text(rows, 1), share.which, &to);
        if (r == 0) {
            mail_counts_add(&to->counts, &counts);
            share.name = to->name;
        }
    }
    g->too_large = !share_kept_pack(&counts, &share) || g->too_large;
    g->shares[g->n++] = share;
    return r;
}

/* All rows of the bucket are there. */
static void keep(struct reading *q, const struct mail_point *sum)
{
    struct gathered *g = &q->gathered;

    q->key.bucket = sum->at;
    if (!g->too_large)
        share_kept_put(q->kept, &q->key, &sum->counts, g->shares, g->n);
    g->n = 0;
    g->too_large = false;
}

static int query(const struct reading *q, int64_t from, int64_t to, struct store_rows **ret_rows)
{
    const struct uuid *tenant = q->window->tenant;
    const char *const *sql = q->series ? shorter_sql : groups_sql;
    struct store_param params[5] = {P_INT(q->key.span), P_INT(q->shorter), P_INT(from), P_INT(to)};

    if (!q->series) {
        params[0] = P_INT(q->key.parts == KEPT_DOMAINS ? MAIL_FIGURE_DOMAIN : MAIL_FIGURE_TEMPLATE);
        params[1] = P_INT(q->key.span);
    }
    if (tenant)
        params[4] = P_ID(tenant);
    return store_query(q->t, sql[tenant != NULL], ret_rows, params, tenant ? 5 : 4);
}

/* Reads the buckets of sums first to last, keeps and adds them. */
static int read_run(struct reading *q, size_t first, size_t last)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    size_t at = first;
    int r = query(q, q->sums[first].at, q->sums[last].at + q->key.span, &rows);

    while (r == 0 && at <= last) {
        r = store_rows_next(rows);
        bool more = r == 1;
        /* Rows of a bucket without a sum are what is left of one that is being removed. */
        while (r >= 0 && at <= last && (!more || store_col_int(rows, 0) > q->sums[at].at))
            keep(q, &q->sums[at++]);
        r = r < 0 ? r : 0;
        if (more && at <= last && store_col_int(rows, 0) == q->sums[at].at)
            r = gather(q, rows);
    }
    return r;
}

/* The buckets of one part, which are sums first to end. */
static int read_part(struct reading *q, size_t first, size_t end)
{
    size_t begun = first;
    int r = 0;

    for (size_t i = first; r == 0 && i < end; i++) {
        bool kept = false;
        q->key.bucket = q->sums[i].at;
        r = share_kept_take(q->kept, &q->key, &q->sums[i].counts, add_kept, q, &kept);
        if (r == 0 && begun < i && (kept || i - begun == RUN_BUCKETS)) {
            r = read_run(q, begun, i - 1);
            begun = i;
        }
        begun += kept;
    }
    return r == 0 && begun < end ? read_run(q, begun, end - 1) : r;
}

/* Buckets that are no longer than those that the series is of. */
static int add_sums(const struct reading *q, size_t first, size_t end)
{
    int r = 0;

    for (size_t i = first; r == 0 && i < end; i++)
        r = mail_series_add(q->series, q->sums[i].at, &q->sums[i].counts);
    return r;
}

static int read_parts(struct reading *q)
{
    struct mail_parts parts = mail_window_parts(q->window, CLOCK_DAY);
    size_t n = 0, first = 0;
    int r = mail_metrics_sums(q->t, q->arena, q->window, &q->sums, &n);

    if (q->window->tenant)
        q->key.tenant = *q->window->tenant;
    for (int i = 0; r == 0 && i < MAIL_PARTS; i++) {
        size_t end = first;
        while (end < n && q->sums[end].at < parts.at[i + 1])
            end++;
        q->key.span = mail_part_spans[i];
        r = q->series && q->key.span <= q->shorter ? add_sums(q, first, end)
                                                   : read_part(q, first, end);
        first = end;
    }
    return r;
}

int share_cache_read(struct share_kept *k, struct store_txn *t, struct arena *a,
                     const struct mail_window *w, const struct mail_ranking *by,
                     struct mail_share **ret_shares, size_t *ret_n)
{
    struct reading q = {
        .kept = k,
        .t = t,
        .arena = a,
        .window = w,
        .key = {.parts = by->group == MAIL_BY_DOMAIN ? KEPT_DOMAINS : KEPT_TEMPLATES},
        .merge = {.arena = a, .key = k ? share_kept_key(k) : NULL}};
    int r = k ? read_parts(&q) : SHARE_MERGE_FULL;

    if (r == SHARE_MERGE_FULL)
        return mail_metrics_shares(t, a, w, by, ret_shares, ret_n);
    return r ? r : share_merge_rank(&q.merge, by, ret_shares, ret_n);
}

int share_cache_series(struct share_kept *k, struct store_txn *t, struct arena *a,
                       const struct mail_window *w, int64_t bucket_ms,
                       struct mail_point **ret_points, size_t *ret_n)
{
    struct mail_series series;
    struct reading q = {.kept = k,
                        .t = t,
                        .arena = a,
                        .window = w,
                        .series = &series,
                        .shorter = mail_series_span(bucket_ms)};

    if (!k)
        return mail_metrics_series(t, a, w, bucket_ms, ret_points, ret_n);
    q.key.parts = q.shorter == CLOCK_HOUR ? KEPT_HOURS : KEPT_FINE;
    int r = mail_series_begin(&series, a, w, bucket_ms);
    if (r == 0)
        r = read_parts(&q);
    if (r == 0)
        mail_series_end(&series, ret_points, ret_n);
    return r;
}
