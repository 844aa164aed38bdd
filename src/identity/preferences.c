#include "identity/preferences.h"

static const char get_sql[] =
    "SELECT email_security, email_product, updated_at FROM preferences WHERE user_id = $1";

static const char put_sql[] =
    "INSERT INTO preferences (user_id, email_security, email_product, updated_at)"
    " VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (user_id) DO UPDATE SET email_security = excluded.email_security,"
    " email_product = excluded.email_product, updated_at = excluded.updated_at";

static const char refuse_bulk_sql[] =
    "INSERT INTO preferences (user_id, email_security, email_product, updated_at)"
    " SELECT id, 0, 0, $1 FROM bulk_ids WHERE true ORDER BY id"
    " ON CONFLICT (user_id) DO UPDATE SET email_security = 0, email_product = 0,"
    " updated_at = excluded.updated_at";

int preferences_get(struct store_txn *t, const struct uuid *user_id,
                    struct preferences *ret_preferences)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, get_sql, &rows, PARAMS(P_ID(user_id)));

    if (r != 0)
        return r;
    r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_preferences = (struct preferences){true, true, 0};
    if (r > 0) {
        ret_preferences->email_security = store_col_int(rows, 0) != 0;
        ret_preferences->email_product = store_col_int(rows, 1) != 0;
        ret_preferences->updated_at = store_col_int(rows, 2);
    }
    return 0;
}

int preferences_put(struct store_txn *t, const struct uuid *user_id,
                    const struct preferences *preferences)
{
    int r = user_hold(t, user_id);

    if (r)
        return r;
    return store_exec(t, put_sql, NULL,
                      PARAMS(P_ID(user_id), P_INT(preferences->email_security),
                             P_INT(preferences->email_product), P_INT(preferences->updated_at)));
}

int preferences_refuse_bulk(struct store_txn *t, int64_t now)
{
    return store_exec(t, refuse_bulk_sql, NULL, PARAMS(P_INT(now)));
}
