#include "identity/failures_write.h"

#include "base/clock.h"

enum { HOURS_COUNTED = 24, HOURS_KEPT = 48 };

/* CROSS: SQLite keeps this order of loops, and looks the few up instead of reading all users. */
static const char add_hour_sql[] =
    "INSERT INTO login_failures (user_id, hour, count)"
    " SELECT u.id, $1, $2 FROM bulk_ids b CROSS JOIN users u WHERE u.id = b.id"
    " ON CONFLICT (user_id, hour) DO UPDATE SET count = login_failures.count + excluded.count";

static const char add_consecutive_sql[] = "UPDATE users SET failed_logins = failed_logins + $1"
                                          " WHERE id IN (SELECT id FROM bulk_ids)";

static const char lock_sql[] = "UPDATE users SET locked_at = $1, locked_until = $3 WHERE id IN"
                               " (SELECT id FROM bulk_ids) AND failed_logins >= $2"
                               " AND locked_at IS NULL RETURNING id";

/* No lock is longer than $2 - $1, and nodes' clocks do not differ by as much. */
#define PASSED "(locked_until <= $1 OR locked_until > $2)"

static const char liftable_sql[] = "SELECT 1 FROM users WHERE " PASSED " LIMIT 1";

/* Twice, for whoever waited for a row looks again at what stands outside of the SELECT alone. */
static const char lift_sql[] =
    "UPDATE users SET locked_at = NULL, locked_until = NULL, failed_logins = 0 WHERE " PASSED
    " AND id IN (SELECT id FROM users WHERE " PASSED " ORDER BY id LIMIT $3)"
    " RETURNING id, tenant_id";

static const char stored_sql[] =
    "SELECT u.id, u.failed_logins FROM bulk_ids b CROSS JOIN users u WHERE u.id = b.id";

static const char sum_sql[] = "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM login_failures"
                              " WHERE user_id = $1 AND hour > $2";

static const char reap_sql[] =
    "DELETE FROM login_failures WHERE (user_id, hour) IN"
    " (SELECT user_id, hour FROM login_failures WHERE hour < $1 LIMIT $2)";

static int64_t hour_of(int64_t ms)
{
    return ms / CLOCK_HOUR;
}

static int compare(const void *id, const void *item)
{
    const struct uuid *a = id, *b = &((const struct failures_item *)item)->note.user_id;

    return memcmp(a->b, b->b, sizeof a->b);
}

static struct failures_item *item_of(struct failures_batch *b, struct uuid id)
{
    return bsearch(&id, b->items, b->n, sizeof *b->items, compare);
}

static int64_t hour_count(const struct failures_item *item)
{
    return item->note.count;
}

static int64_t consecutive_count(const struct failures_item *item)
{
    return item->consecutive;
}

/*
 * Adds each user's count, one statement a bit of it: all whose count has the bit set get its value
 * added. So any number of users with any counts costs at most FAILURES_COUNT_BITS statements.
 */
static int add_counts(struct store_txn *t, struct failures_batch *b,
                      int64_t (*count_of)(const struct failures_item *item),
                      int (*add)(struct store_txn *t, int64_t value, int64_t now))
{
    for (int bit = 0; bit < FAILURES_COUNT_BITS; bit++) {
        size_t n = 0;
        for (size_t i = 0; i < b->n; i++)
            if (count_of(&b->items[i]) >> bit & 1)
                b->ids[n++] = b->items[i].note.user_id;
        if (n == 0)
            continue;
        int r = store_bulk_ids(t, b->ids, n);
        if (r == 0)
            r = add(t, (int64_t)1 << bit, b->now);
        if (r != 0)
            return r;
    }
    return 0;
}

static int add_hour(struct store_txn *t, int64_t value, int64_t now)
{
    return store_exec(t, add_hour_sql, NULL, PARAMS(P_INT(hour_of(now)), P_INT(value)));
}

static int add_consecutive(struct store_txn *t, int64_t value, int64_t now)
{
    return store_exec(t, add_consecutive_sql, NULL, PARAMS(P_INT(value)));
}

static int fill_all(struct store_txn *t, struct failures_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->ids[i] = b->items[i].note.user_id;
        b->items[i].note.locked = false;
        b->items[i].exists = false;
        b->items[i].stored = 0;
    }
    return store_bulk_ids(t, b->ids, b->n);
}

static int lock_users(struct store_txn *t, struct failures_batch *b)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, lock_sql, &rows,
                        PARAMS(P_INT(b->now), P_INT(b->limit), P_INT(b->now + FAILURES_LOCK_MS)));

    while (r == 0 && (r = store_rows_next(rows)) > 0) {
        struct failures_item *item = item_of(b, store_col_id(rows, 0));
        if (item)
            item->note.locked = true;
        r = 0;
    }
    return r;
}

static int read_stored(struct store_txn *t, struct failures_batch *b)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, stored_sql, &rows, NO_PARAMS);

    while (r == 0 && (r = store_rows_next(rows)) > 0) {
        struct failures_item *item = item_of(b, store_col_id(rows, 0));
        if (item) {
            item->exists = true;
            item->stored = store_col_int(rows, 1);
        }
        r = 0;
    }
    return r;
}

static int tell(struct store_txn *t, struct failures_batch *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->items[i].exists)
            b->notes[n++] = b->items[i].note;
    return b->told && n > 0 ? b->told(t, b->notes, n, b->arg) : 0;
}

/* The lock orders the flushes of all nodes: they touch the same users, in no order of their own. */
int failures_write(struct store_txn *t, void *batch)
{
    struct failures_batch *b = batch;
    int r = store_lock(t, STORE_LOCK_FAILURES);

    if (r == 0)
        r = add_counts(t, b, consecutive_count, add_consecutive);
    if (r == 0)
        r = add_counts(t, b, hour_count, add_hour);
    if (r == 0)
        r = fill_all(t, b);
    if (r == 0 && b->limit > 0)
        r = lock_users(t, b);
    if (r == 0)
        r = read_stored(t, b);
    return r == 0 ? tell(t, b) : r;
}

int failures_liftable(struct store_txn *t, int64_t now, bool *ret_any)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t too_far = now + (int64_t)2 * FAILURES_LOCK_MS;
    int r = store_query(t, liftable_sql, &rows, PARAMS(P_INT(now), P_INT(too_far)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_any = r == 1;
    return 0;
}

int failures_lift(struct store_txn *t, int64_t now, size_t max, struct failures_lifted *ret,
                  size_t *ret_n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int64_t too_far = now + (int64_t)2 * FAILURES_LOCK_MS;
    size_t n = 0;
    int r = store_lock(t, STORE_LOCK_FAILURES);

    if (r == 0)
        r = store_query(t, lift_sql, &rows,
                        PARAMS(P_INT(now), P_INT(too_far), P_INT((int64_t)max)));
    while (r == 0 && n < max && (r = store_rows_next(rows)) == 1) {
        ret[n++] = (struct failures_lifted){store_col_id(rows, 0), store_col_id(rows, 1)};
        r = 0;
    }
    if (r == 0)
        *ret_n = n;
    return r;
}

int failures_24h(struct store_txn *t, const struct uuid *user_id, int64_t now, int64_t *ret_count)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r =
        store_query(t, sum_sql, &rows, PARAMS(P_ID(user_id), P_INT(hour_of(now) - HOURS_COUNTED)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_count = store_col_int(rows, 0);
    return 0;
}

int failures_reap(struct store_txn *t, int64_t now, int64_t max, int64_t *ret_removed)
{
    return store_exec(t, reap_sql, ret_removed,
                      PARAMS(P_INT(hour_of(now) - HOURS_KEPT), P_INT(max)));
}
