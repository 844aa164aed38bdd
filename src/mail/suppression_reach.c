#include "mail/suppression_reach.h"

#define INSERT "INSERT INTO suppression_tenants (tenant_id, address, reason)"

/* In one order, so that two that meet wait for each other; CROSS: SQLite keeps it for its loops. */
#define ADD(from, where)                                                                           \
    INSERT " SELECT u.tenant_id, s.address, s.reason FROM " from                                   \
           " CROSS JOIN users u WHERE " where                                                      \
           " AND u.email = s.address UNION SELECT l.tenant_id, s.address, s.reason FROM " from     \
           " CROSS JOIN email_logs l WHERE " where " AND l.recipient = s.address"                  \
           " ORDER BY 2, 3, 1 ON CONFLICT DO NOTHING"

static const char address_sql[] =
    ADD("suppressions s", "s.address = $1 AND s.tenant_id = $2 AND s.created_at = $3");
static const char bulk_sql[] = ADD("bulk_rows r CROSS JOIN suppressions s",
                                   "s.address = r.t1 AND s.tenant_id = $1 AND s.created_at = $2");

#define OF_LOGS(from)                                                                              \
    INSERT " SELECT DISTINCT l.tenant_id, s.address, s.reason FROM " from                          \
           " AND s.address = l.recipient AND s.tenant_id = $1 ORDER BY 2, 3, 1"                    \
           " ON CONFLICT DO NOTHING"

static const char log_sql[] = OF_LOGS("email_logs l CROSS JOIN suppressions s WHERE l.id = $2");
static const char logs_sql[] =
    OF_LOGS("bulk_ids b CROSS JOIN email_logs l CROSS JOIN suppressions s WHERE l.id = b.id");

#define FORGET(addresses)                                                                          \
    "DELETE FROM suppression_tenants WHERE address IN (" addresses ") AND NOT EXISTS (SELECT 1"    \
    " FROM suppressions s WHERE s.address = suppression_tenants.address AND s.tenant_id = $1"      \
    " AND s.reason = suppression_tenants.reason)"

static const char forget_sql[] = FORGET("$2");
static const char forget_bulk_sql[] = FORGET("SELECT t1 FROM bulk_rows");

static const struct uuid everywhere; /* the tenant_id of what holds for all */

int suppression_reach_address(struct store_txn *t, struct str address, int64_t now)
{
    return store_exec(t, address_sql, NULL, PARAMS(P_TEXT(address), P_ID(&everywhere), P_INT(now)));
}

int suppression_reach_bulk(struct store_txn *t, int64_t now)
{
    return store_exec(t, bulk_sql, NULL, PARAMS(P_ID(&everywhere), P_INT(now)));
}

int suppression_reach_logs(struct store_txn *t, const struct uuid *ids, size_t n)
{
    if (n == 1)
        return store_exec(t, log_sql, NULL, PARAMS(P_ID(&everywhere), P_ID(ids)));
    int r = n ? store_bulk_ids(t, ids, n) : 0;
    return r || n == 0 ? r : store_exec(t, logs_sql, NULL, PARAMS(P_ID(&everywhere)));
}

int suppression_reach_forget(struct store_txn *t, struct str address)
{
    return store_exec(t, forget_sql, NULL, PARAMS(P_ID(&everywhere), P_TEXT(address)));
}

int suppression_reach_forget_bulk(struct store_txn *t)
{
    return store_exec(t, forget_bulk_sql, NULL, PARAMS(P_ID(&everywhere)));
}
