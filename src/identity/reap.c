#include "identity/reap.h"

int reap_last(struct store_txn *t, const char *sql, const struct uuid *cursor, int64_t max_rows,
              struct uuid *ret_last, bool *ret_more)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, PARAMS(P_ID(cursor), P_INT(max_rows - 1)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_more = r > 0;
    if (r > 0)
        *ret_last = store_col_id(rows, 0);
    else
        memset(ret_last->b, 0xff, sizeof ret_last->b);
    return 0;
}
