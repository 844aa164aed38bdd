#include "mail/sns_seen.h"

#include "base/fault.h"
#include "mail/sns.h"

/*
 * A message is accepted until its own time is SNS_WINDOW_MS and SNS_SKEW_MS past, and that time may
 * be SNS_SKEW_MS ahead of when it was taken; the rest is for clocks of nodes that differ.
 */
enum { KEEP_MS = SNS_WINDOW_MS + 2 * SNS_SKEW_MS + CLOCK_HOUR, REAP_ROWS = 5000 };

static const char mark_sql[] =
    "INSERT INTO sns_seen (message_id, at) SELECT value, $1 FROM bulk_texts WHERE true"
    " ORDER BY value ON CONFLICT (message_id) DO NOTHING RETURNING message_id";

static const char find_sql[] = "SELECT 1 FROM sns_seen WHERE message_id = $1";

static const char reap_sql[] = "DELETE FROM sns_seen WHERE message_id IN (SELECT message_id"
                               " FROM sns_seen WHERE at < $1 ORDER BY at LIMIT $2)";

int sns_seen_mark(struct store_txn *t, const struct str *ids, size_t n, int64_t now, bool *ret_new)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_bulk_texts(t, ids, n);

    memset(ret_new, 0, n * sizeof *ret_new);
    if (r == 0)
        r = store_query(t, mark_sql, &rows, PARAMS(P_INT(now)));
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct str id = store_col_text(rows, 0);
        size_t i = 0;
        while (i < n && !str_eq(ids[i], id))
            i++;
        if (i == n)
            return fault_set(FAULT_STORE, "a message came back that was not noted");
        ret_new[i] = true;
        r = 0;
    }
    return r;
}

static int any(struct store_rows *rows, void *arg)
{
    int r = store_rows_next(rows);

    return r == 1 ? SNS_SEEN : r;
}

int sns_seen_find(struct store *s, struct str id)
{
    return store_find(s, find_sql, any, NULL, PARAMS(P_TEXT(id)));
}

int sns_seen_reap(struct store *s, int64_t now, int64_t limit, int64_t *ret_forgotten)
{
    int64_t forgotten = 0, changed = REAP_ROWS;
    int r = 0;

    while (r == 0 && changed == REAP_ROWS && forgotten < limit) {
        int64_t most = limit - forgotten < REAP_ROWS ? limit - forgotten : REAP_ROWS;
        r = store_run(s, reap_sql, &changed, PARAMS(P_INT(now - KEEP_MS), P_INT(most)));
        forgotten += r ? 0 : changed;
    }
    if (r == 0 && ret_forgotten)
        *ret_forgotten = forgotten;
    return r;
}
