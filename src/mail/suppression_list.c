#include "mail/suppression_list.h"

#include "base/fault.h"
#include "mail/suppression_reach.h"

#define COLUMNS                                                                                    \
    "s.tenant_id, s.address, s.reason, s.source, s.note, s.created_by, s.created_at, s.expires_at"
#define SELECT "SELECT " COLUMNS " FROM suppressions s WHERE "

/*
 * $1: a time, or 0; $2 to $4: behind which address, tenant and reason; $5: how many.
 *
 * What a page is of stands in a comparison of rows that only one index serves, and is part of the
 * order: told that a column is equal to something, a planner may as well read all entries in the
 * order of another index until it has found enough. What stands in a row behind the address decides
 * at the one address that the page before ended with.
 */
#define IN_FORCE " AND ($1 = 0 OR s.expires_at IS NULL OR s.expires_at > $1)"
#define LAST(columns) IN_FORCE " ORDER BY " columns " LIMIT $5"

static const char all_sql[] = SELECT
    "(s.address, s.tenant_id, s.reason) > ($2, $3, $4)" LAST("s.address, s.tenant_id, s.reason");
static const char reason_sql[] =
    SELECT "(s.reason, s.address, s.tenant_id) > ($6, $2, $3) AND s.reason <= $6" LAST(
        "s.reason, s.address, s.tenant_id");

/* Behind whatever address $2 is. */
static const char address_sql[] =
    SELECT "s.address = $6 AND (s.tenant_id, s.reason) > ($3, $4) AND ($7 = '' OR s.reason = $7)"
           " AND " SUPPRESSION_WITHIN("$8", "$9", "$10") LAST("s.address, s.tenant_id, s.reason");

/* Of the tenant $6 a page of its own entries, and one of those that concern it. */
#define OWN(range, columns) "SELECT * FROM (" SELECT range LAST(columns) ") of_tenant"

/*
 * An entry by its key: as a range, which only a look at each can be made of. By equality all
 * entries of the installation might be merged with those that concern the tenant.
 */
#define OTHERS(range, columns)                                                                     \
    "SELECT * FROM (SELECT " COLUMNS " FROM suppression_tenants c CROSS JOIN suppressions s"       \
    " WHERE " range " AND (s.address, s.tenant_id, s.reason) >= (c.address, $7, c.reason)"         \
    " AND (s.address, s.tenant_id, s.reason) <= (c.address, $7, c.reason)" LAST(                   \
        columns) ") of_all"
#define BOTH(own, others) own " UNION ALL " others " ORDER BY address, tenant_id, reason LIMIT $5"

static const char tenant_sql[] =
    BOTH(OWN("(s.tenant_id, s.address, s.tenant_id, s.reason) > ($6, $2, $3, $4)"
             " AND s.tenant_id <= $6",
             "s.tenant_id, s.address, s.reason"),
         OTHERS("(c.tenant_id, c.address, $7, c.reason) > ($6, $2, $3, $4) AND c.tenant_id <= $6",
                "c.tenant_id, c.address, c.reason"));
static const char tenant_reason_sql[] =
    BOTH(OWN("(s.tenant_id, s.reason, s.address, s.tenant_id) > ($6, $8, $2, $3)"
             " AND (s.tenant_id, s.reason) <= ($6, $8)",
             "s.tenant_id, s.reason, s.address"),
         OTHERS("(c.tenant_id, c.reason, c.address, $7) > ($6, $8, $2, $3)"
                " AND (c.tenant_id, c.reason) <= ($6, $8)",
                "c.tenant_id, c.reason, c.address"));

static const struct uuid everywhere;

/* The statement for these filters, and its parameters from $6 on. */
static void choose(const struct suppression_query *q, struct suppression_statement *s)
{
    struct str reason =
        q->reason < 0 ? STR("") : suppression_reason_name((enum suppression_reason)q->reason);

    if (q->address.n) {
        s->sql = address_sql;
        s->params[s->n++] = P_TEXT(q->address);
        s->params[s->n++] = P_TEXT(reason);
        s->params[s->n++] = P_INT(q->tenant ? 0 : 1);
        s->params[s->n++] = P_ID(q->tenant ? q->tenant : &everywhere);
        s->params[s->n++] = P_ID(&everywhere);
        return;
    }
    s->sql = q->tenant  ? reason.n ? tenant_reason_sql : tenant_sql
             : reason.n ? reason_sql
                        : all_sql;
    if (q->tenant) {
        s->params[s->n++] = P_ID(q->tenant);
        s->params[s->n++] = P_ID(&everywhere);
    }
    if (reason.n)
        s->params[s->n++] = P_TEXT(reason);
}

struct suppression_statement suppression_statement(const struct suppression_query *q)
{
    const struct suppression *after = q->after;
    struct suppression_statement s = {
        .params = {P_INT(q->valid_at), P_TEXT(after ? after->address : STR("")),
                   P_ID(after ? &after->tenant_id : &everywhere),
                   P_TEXT(after ? suppression_reason_name(after->reason) : STR("")),
                   P_INT((int64_t)q->limit)},
        .n = 5};

    choose(q, &s);
    return s;
}

/* What an operator noted of all is for operators. */
static bool hides(const struct suppression_query *q, const struct suppression *s)
{
    return q->tenant && !q->by_operator && uuid_is_nil(&s->tenant_id);
}

static int read_one(struct store_rows *rows, struct arena *a, const struct suppression_query *q,
                    struct suppression *s)
{
    s->tenant_id = store_col_id(rows, 0);
    s->address = arena_str(a, store_col_text(rows, 1));
    if (suppression_reason_parse(store_col_text(rows, 2), &s->reason) != 0)
        return fault_set(FAULT_STORE, "a suppression has no known reason");
    s->source = arena_str(a, store_col_text(rows, 3));
    s->note = hides(q, s) ? STR("") : arena_str(a, store_col_text(rows, 4));
    s->created_by = hides(q, s) ? STR("") : arena_str(a, store_col_text(rows, 5));
    s->created_at = store_col_int(rows, 6);
    s->expires_at = store_col_int(rows, 7);
    return s->address.p && s->source.p && s->note.p && s->created_by.p ? 0 : FAULT_MEMORY;
}

int suppression_list(struct store_txn *t, struct arena *a, const struct suppression_query *query,
                     struct suppression **ret_items, size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct suppression *items = arena_array(a, query->limit + 1, sizeof *items);
    struct suppression_statement s = suppression_statement(query);
    size_t n = 0;
    int r = items ? store_query(t, s.sql, &rows, s.params, s.n) : FAULT_MEMORY;

    while (r == 0 && n < query->limit && (r = store_rows_next(rows)) == 1)
        r = read_one(rows, a, query, &items[n++]);
    if (r)
        return r;
    *ret_items = items;
    *ret_n = n;
    return 0;
}
