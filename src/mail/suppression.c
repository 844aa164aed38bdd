#include "mail/suppression.h"

#include "base/fault.h"

static const struct str names[SUPPRESSION_REASONS] = {
    [SUPPRESSION_BOUNCE] = STR_INIT("bounce"),
    [SUPPRESSION_COMPLAINT] = STR_INIT("complaint"),
    [SUPPRESSION_SOFT_BOUNCES] = STR_INIT("soft_bounces"),
    [SUPPRESSION_UNSUBSCRIBE] = STR_INIT("unsubscribe"),
    [SUPPRESSION_MANUAL] = STR_INIT("manual"),
    [SUPPRESSION_PROVIDER] = STR_INIT("provider"),
};

static const char add_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT (address, tenant_id) DO UPDATE SET reason = excluded.reason,"
    " source = excluded.source, note = excluded.note, created_at = excluded.created_at,"
    " created_by = excluded.created_by, expires_at = excluded.expires_at"
    " WHERE suppressions.expires_at < excluded.expires_at"
    " OR (suppressions.expires_at IS NOT NULL AND excluded.expires_at IS NULL)";

/* $1: 1 where there is no bound; $2: the tenant; $3: the nil id. */
#define WITHIN                                                                                     \
    "($1 = 1 OR suppressions.tenant_id = $2 OR (suppressions.tenant_id = $3 AND ("                 \
    "EXISTS (SELECT 1 FROM users u WHERE u.email = suppressions.address AND u.tenant_id = $2)"     \
    " OR EXISTS (SELECT 1 FROM email_logs l WHERE l.recipient = suppressions.address"              \
    " AND l.tenant_id = $2))))"

static const char remove_sql[] = "DELETE FROM suppressions WHERE address = $4 AND " WITHIN;
static const char forget_sql[] = "DELETE FROM soft_bounces WHERE address = $1";

#define COLUMNS "tenant_id, address, reason, source, note, created_by, created_at, expires_at"
#define FILTERS                                                                                    \
    WITHIN " AND ($4 = '' OR reason = $4) AND ($5 = 0 OR expires_at IS NULL OR expires_at > $5)"   \
           " AND (address, tenant_id) > ($6, $7)"

static const char list_sql[] =
    "SELECT " COLUMNS " FROM suppressions WHERE " FILTERS " ORDER BY address, tenant_id LIMIT $8";
static const char list_address_sql[] = "SELECT " COLUMNS " FROM suppressions WHERE address = $9"
                                       " AND " FILTERS " ORDER BY address, tenant_id LIMIT $8";

/* So many addresses go into one statement. Entries that last longest come last. */
enum { FIND_STEP = 25 };
static const char find_sql[] =
    "SELECT address, reason, expires_at FROM suppressions WHERE address IN ($4, $5, $6, $7, $8, $9,"
    " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27,"
    " $28) AND (tenant_id = $1 OR tenant_id = $2) AND (expires_at IS NULL OR expires_at > $3)"
    " ORDER BY CASE WHEN expires_at IS NULL THEN 1 ELSE 0 END, expires_at, tenant_id";

static const char reap_sql[] =
    "DELETE FROM suppressions WHERE (address, tenant_id) IN (SELECT address, tenant_id"
    " FROM suppressions WHERE expires_at IS NOT NULL AND expires_at <= $1"
    " ORDER BY expires_at LIMIT $2)";
static const char reap_soft_sql[] =
    "DELETE FROM soft_bounces WHERE (address, message) IN (SELECT address, message"
    " FROM soft_bounces WHERE at < $1 ORDER BY at LIMIT $2)";

static const struct uuid everywhere; /* the tenant_id of what holds for all */

#define P_ANY(tenant) P_INT((tenant) ? 0 : 1)
#define P_TENANT(tenant) P_ID((tenant) ? (tenant) : &everywhere)

struct str suppression_reason_name(enum suppression_reason reason)
{
    return names[reason];
}

int suppression_reason_parse(struct str name, enum suppression_reason *ret_reason)
{
    for (int i = 0; i < SUPPRESSION_REASONS; i++) {
        if (str_eq(names[i], name)) {
            *ret_reason = (enum suppression_reason)i;
            return 0;
        }
    }
    return 1;
}

int suppression_add(struct store_txn *t, const struct suppression *s)
{
    int64_t changed = 0;
    int r =
        store_exec(t, add_sql, &changed,
                   PARAMS(P_ID(&s->tenant_id), P_TEXT(s->address), P_TEXT(names[s->reason]),
                          P_TEXT(s->source), P_TEXT(s->note), P_INT(s->created_at),
                          P_TEXT(s->created_by), s->expires_at ? P_INT(s->expires_at) : P_NULL));

    return r == 0 && changed == 0 ? SUPPRESSION_EXISTS : r;
}

int suppression_remove(struct store_txn *t, const struct uuid *tenant, struct str address)
{
    int64_t changed = 0;
    int r = store_exec(t, remove_sql, &changed,
                       PARAMS(P_ANY(tenant), P_TENANT(tenant), P_ID(&everywhere), P_TEXT(address)));

    if (r || changed == 0)
        return r ? r : SUPPRESSION_UNKNOWN;
    return store_exec(t, forget_sql, NULL, PARAMS(P_TEXT(address)));
}

static int read_one(struct store_rows *rows, struct arena *a, struct suppression *s)
{
    s->tenant_id = store_col_id(rows, 0);
    s->address = arena_str(a, store_col_text(rows, 1));
    if (suppression_reason_parse(store_col_text(rows, 2), &s->reason) != 0)
        return fault_set(FAULT_STORE, "a suppression has no known reason");
    s->source = arena_str(a, store_col_text(rows, 3));
    s->note = arena_str(a, store_col_text(rows, 4));
    s->created_by = arena_str(a, store_col_text(rows, 5));
    s->created_at = store_col_int(rows, 6);
    s->expires_at = store_col_int(rows, 7);
    return s->address.p && s->source.p && s->note.p && s->created_by.p ? 0 : FAULT_MEMORY;
}

int suppression_list(struct store_txn *t, struct arena *a, const struct suppression_query *q,
                     struct suppression **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct suppression *items = arena_array(a, q->limit + 1, sizeof *items);
    struct str reason = q->reason < 0 ? STR("") : names[q->reason];
    const struct store_param params[] = {
        P_ANY(q->tenant),
        P_TENANT(q->tenant),
        P_ID(&everywhere),
        P_TEXT(reason),
        P_INT(q->valid_at),
        P_TEXT(q->after ? q->after->address : STR("")),
        P_ID(q->after ? &q->after->tenant_id : &everywhere),
        P_INT((int64_t)q->limit),
        P_TEXT(q->address),
    };
    size_t n = 0, n_params = q->address.n ? 9 : 8;
    int r =
        items ? store_query(t, q->address.n ? list_address_sql : list_sql, &rows, params, n_params)
              : FAULT_MEMORY;

    while (r == 0 && n < q->limit && (r = store_rows_next(rows)) == 1)
        r = read_one(rows, a, &items[n++]);
    if (r)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}

/* At most FIND_STEP addresses. */
static int find_some(struct store_txn *t, const struct uuid *tenant_id, const struct str *addresses,
                     size_t n, int64_t now, struct suppression_hit *hits)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct store_param params[3 + FIND_STEP] = {P_ID(tenant_id), P_ID(&everywhere), P_INT(now)};
    int r;

    for (size_t i = 0; i < FIND_STEP; i++)
        params[3 + i] = P_TEXT(i < n ? addresses[i] : STR(""));
    r = store_query(t, find_sql, &rows, params, 3 + FIND_STEP);
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct suppression_hit hit = {true, SUPPRESSION_MANUAL, store_col_int(rows, 2), false};
        r = suppression_reason_parse(store_col_text(rows, 1), &hit.reason) == 0
                ? 0
                : fault_set(FAULT_STORE, "a suppression has no known reason");
        for (size_t i = 0; i < n; i++) {
            if (!str_eq(addresses[i], store_col_text(rows, 0)))
                continue;
            hit.dead = hits[i].dead || hit.reason != SUPPRESSION_UNSUBSCRIBE;
            hits[i] = hit;
        }
    }
    return r;
}

int suppression_find(struct store_txn *t, const struct uuid *tenant_id, const struct str *addresses,
                     size_t n, int64_t now, struct suppression_hit *ret_hits)
{
    struct suppression_hit hits[SUPPRESSION_FIND_MAX] = {{0}};
    int r = 0;

    if (n > SUPPRESSION_FIND_MAX)
        return fault_set(FAULT_INTERNAL, "%zu addresses at once", n);
    for (size_t i = 0; r == 0 && i < n; i += FIND_STEP)
        r = find_some(t, tenant_id, addresses + i, n - i < FIND_STEP ? n - i : FIND_STEP, now,
                      hits + i);
    if (r == 0 && n)
        memcpy(ret_hits, hits, n * sizeof *hits);
    return r;
}

int suppression_reap(struct store_txn *t, int64_t now, int64_t soft_before, int64_t limit,
                     int64_t *ret_removed)
{
    int64_t expired = 0, soft = 0;
    int r = store_exec(t, reap_sql, &expired, PARAMS(P_INT(now), P_INT(limit)));

    if (r == 0)
        r = store_exec(t, reap_soft_sql, &soft, PARAMS(P_INT(soft_before), P_INT(limit)));
    if (r == 0)
        *ret_removed = expired + soft;
    return r;
}
