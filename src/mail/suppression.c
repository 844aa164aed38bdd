#include "mail/suppression.h"

#include "base/fault.h"
#include "mail/suppression_reach.h"

static const struct str names[SUPPRESSION_REASONS] = {
    [SUPPRESSION_BOUNCE] = STR_INIT("bounce"),
    [SUPPRESSION_COMPLAINT] = STR_INIT("complaint"),
    [SUPPRESSION_SOFT_BOUNCES] = STR_INIT("soft_bounces"),
    [SUPPRESSION_UNSUBSCRIBE] = STR_INIT("unsubscribe"),
    [SUPPRESSION_MANUAL] = STR_INIT("manual"),
    [SUPPRESSION_PROVIDER] = STR_INIT("provider"),
};

/* That they are not written to is what the recipient wants. */
#define WISHED "s.reason IN ('complaint', 'unsubscribe')"

/* The strongest has the highest. */
static const int strength[SUPPRESSION_REASONS] = {
    [SUPPRESSION_COMPLAINT] = 6, [SUPPRESSION_BOUNCE] = 5,       [SUPPRESSION_PROVIDER] = 4,
    [SUPPRESSION_MANUAL] = 3,    [SUPPRESSION_SOFT_BOUNCES] = 2, [SUPPRESSION_UNSUBSCRIBE] = 1,
};

static const char add_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT (address, tenant_id, reason) DO UPDATE SET"
    " source = excluded.source, note = excluded.note, created_at = excluded.created_at,"
    " created_by = excluded.created_by, expires_at = excluded.expires_at"
    " WHERE suppressions.expires_at < excluded.expires_at"
    " OR (suppressions.expires_at IS NOT NULL AND excluded.expires_at IS NULL)";

/* Entries of the address $4 for the reason $5, or '', within a bound; $6: now. */
#define REMOVED                                                                                    \
    "s.address = $4 AND ($5 = '' OR s.reason = $5) AND " SUPPRESSION_WITHIN("$1", "$2", "$3")
#define IN_FORCE "(s.expires_at IS NULL OR s.expires_at > $6)"

/* What a tenant may not lift; $7: 1 for an operator. What bounced may work again. */
#define RESERVED                                                                                   \
    "($7 = 0 AND s.tenant_id = $3 AND NOT (s.source = 'event'"                                     \
    " AND s.reason IN ('bounce', 'soft_bounces')))"

static const char reserved_sql[] =
    "SELECT s.reason FROM suppressions s WHERE " REMOVED " AND " RESERVED " AND " IN_FORCE;
static const char wishes_sql[] = "SELECT s.reason FROM suppressions s WHERE " REMOVED
                                 " AND NOT " RESERVED " AND " WISHED " AND " IN_FORCE;
/* A wish of this very moment, which the statement above could not see, stays. */
static const char remove_sql[] =
    "DELETE FROM suppressions AS s WHERE " REMOVED " AND NOT " RESERVED
    " AND ($5 <> '' OR NOT (" WISHED " AND " IN_FORCE ")) RETURNING reason";
static const char own_sql[] =
    "SELECT count(*) FROM (SELECT 1 FROM suppressions WHERE tenant_id = $1 LIMIT $2) own";
static const char forget_sql[] = "DELETE FROM soft_bounces WHERE address = $1";

/* So many addresses go into one statement. */
enum { FIND_STEP = 25 };
static const char find_sql[] =
    "SELECT address, reason FROM suppressions WHERE address IN ($4, $5, $6, $7, $8, $9,"
    " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27,"
    " $28) AND tenant_id IN ($1, $2) AND (expires_at IS NULL OR expires_at > $3)";

/* The columns of an index, so that no more is read than is removed, and each time the same. */
#define EXPIRED                                                                                    \
    "SELECT address, tenant_id, reason FROM suppressions WHERE expires_at IS NOT NULL"             \
    " AND expires_at <= $1 ORDER BY expires_at, address, tenant_id, reason LIMIT $2"

static const char reap_reach_sql[] =
    "DELETE FROM suppression_tenants WHERE (address, reason) IN (SELECT address, reason"
    " FROM (" EXPIRED ") expired WHERE tenant_id = $3)";
static const char reap_sql[] =
    "DELETE FROM suppressions WHERE (address, tenant_id, reason) IN (" EXPIRED ")";
static const char reap_soft_sql[] =
    "DELETE FROM soft_bounces WHERE (address, message) IN (SELECT address, message"
    " FROM soft_bounces WHERE at < $1 ORDER BY at LIMIT $2)";

static const struct uuid everywhere; /* the tenant_id of what holds for all */

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

void suppression_reasons_write(struct json_writer *w, unsigned reasons)
{
    json_array_begin(w);
    for (int i = 0; i < SUPPRESSION_REASONS; i++)
        if (reasons & 1U << i)
            json_str(w, names[i]);
    json_array_end(w);
}

void suppression_reasons_print(unsigned reasons, char ret_text[SUPPRESSION_REASONS_SIZE])
{
    int n = 0;

    ret_text[0] = '\0';
    for (int i = 0; i < SUPPRESSION_REASONS && n < SUPPRESSION_REASONS_SIZE; i++)
        if (reasons & 1U << i)
            n += snprintf(ret_text + n, (size_t)(SUPPRESSION_REASONS_SIZE - n), "%s%.*s",
                          n ? ", " : "", STR_ARG(names[i]));
}

int suppression_add(struct store_txn *t, const struct suppression *s)
{
    int64_t changed = 0;
    int r =
        store_exec(t, add_sql, &changed,
                   PARAMS(P_ID(&s->tenant_id), P_TEXT(s->address), P_TEXT(names[s->reason]),
                          P_TEXT(s->source), P_TEXT(s->note), P_INT(s->created_at),
                          P_TEXT(s->created_by), s->expires_at ? P_INT(s->expires_at) : P_NULL));

    if (r || changed == 0)
        return r ? r : SUPPRESSION_EXISTS;
    return uuid_is_nil(&s->tenant_id) ? suppression_reach_address(t, s->address, s->created_at) : 0;
}

int suppression_count_own(struct store_txn *t, const struct uuid *tenant_id, int64_t max,
                          int64_t *ret_n)
{
    return store_number(t, own_sql, ret_n, PARAMS(P_ID(tenant_id), P_INT(max)));
}

/* Runs a statement that gives reasons. */
static int read_reasons(struct store_txn *t, const char *sql,
                        const struct suppression_removal *removal, unsigned *ret_reasons)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    const struct uuid *tenant = removal->tenant ? removal->tenant : &everywhere;
    struct str named = removal->reason < 0 ? STR("") : names[removal->reason];
    enum suppression_reason reason;
    unsigned reasons = 0;
    int r = store_query(t, sql, &rows,
                        PARAMS(P_INT(removal->tenant ? 0 : 1), P_ID(tenant), P_ID(&everywhere),
                               P_TEXT(removal->address), P_TEXT(named), P_INT(removal->now),
                               P_INT(removal->by_operator || !removal->tenant ? 1 : 0)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        r = suppression_reason_parse(store_col_text(rows, 0), &reason) == 0
                ? 0
                : fault_set(FAULT_STORE, "a suppression has no known reason");
        if (r == 0)
            reasons |= 1U << reason;
    }
    if (r == 0)
        *ret_reasons = reasons;
    return r;
}

/* The outcome, with their reasons, where the statement finds any. */
static int check_none(struct store_txn *t, const char *sql,
                      const struct suppression_removal *removal, enum suppression_outcome outcome,
                      unsigned *ret_reasons)
{
    unsigned reasons = 0;
    int r = read_reasons(t, sql, removal, &reasons);

    if (r || reasons == 0)
        return r;
    *ret_reasons = reasons;
    return outcome;
}

int suppression_remove(struct store_txn *t, const struct suppression_removal *removal,
                       unsigned *ret_reasons)
{
    bool all = removal->reason < 0;
    unsigned removed = 0;
    int r = all ? check_none(t, reserved_sql, removal, SUPPRESSION_RESERVED, ret_reasons) : 0;

    if (r == 0 && all)
        r = check_none(t, wishes_sql, removal, SUPPRESSION_WISHED, ret_reasons);
    if (r == 0)
        r = read_reasons(t, remove_sql, removal, &removed);
    if (r == 0 && removed == 0) {
        r = check_none(t, reserved_sql, removal, SUPPRESSION_RESERVED, ret_reasons);
        return r ? r : SUPPRESSION_UNKNOWN;
    }
    if (r == 0)
        r = suppression_reach_forget(t, removal->address);
    if (r == 0 && (all || removal->reason == SUPPRESSION_SOFT_BOUNCES))
        r = store_exec(t, forget_sql, NULL, PARAMS(P_TEXT(removal->address)));
    if (r == 0)
        *ret_reasons = removed;
    return r;
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
        enum suppression_reason reason;
        if (suppression_reason_parse(store_col_text(rows, 1), &reason) != 0)
            return fault_set(FAULT_STORE, "a suppression has no known reason");
        for (size_t i = 0; i < n; i++)
            if (str_eq(addresses[i], store_col_text(rows, 0)) &&
                (!hits[i].found || strength[reason] > strength[hits[i].reason]))
                hits[i] = (struct suppression_hit){true, reason};
        r = 0;
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
    int r =
        store_exec(t, reap_reach_sql, NULL, PARAMS(P_INT(now), P_INT(limit), P_ID(&everywhere)));

    if (r == 0)
        r = store_exec(t, reap_sql, &expired, PARAMS(P_INT(now), P_INT(limit)));

    if (r == 0)
        r = store_exec(t, reap_soft_sql, &soft, PARAMS(P_INT(soft_before), P_INT(limit)));
    if (r == 0)
        *ret_removed = expired + soft;
    return r;
}
