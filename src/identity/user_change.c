#include "base/fault.h"
#include "identity/reap.h"
#include "identity/user.h"

static const char others_sql[] = "SELECT count(*) FROM users WHERE role = 'operator'"
                                 " AND disabled = 0 AND locked_at IS NULL AND id <> $1";

/* $5 is 1 to lock, 0 to unlock, -1 to leave. */
static const char update_sql[] =
    "UPDATE users SET email = coalesce($2, email),"
    " email_status = CASE WHEN email = coalesce($2, email) THEN email_status ELSE 'ok' END,"
    " role = coalesce($3, role), disabled = coalesce($4, disabled),"
    " locked_at = CASE $5 WHEN 1 THEN coalesce(locked_at, $6) WHEN 0 THEN NULL"
    " ELSE locked_at END,"
    " locked_until = CASE $5 WHEN -1 THEN locked_until ELSE NULL END,"
    " failed_logins = CASE $5 WHEN 0 THEN 0 ELSE failed_logins END, updated_at = $6"
    " WHERE id = $1";

static const char delete_sql[] = "DELETE FROM users WHERE id = $1";
/* Of what is a user's, only these have no reference that would take them along. */
static const char delete_notices_sql[] = "DELETE FROM notifications WHERE user_id = $1";
static const char delete_epochs_sql[] = "DELETE FROM epochs WHERE user_id = $1";

static const char password_sql[] =
    "UPDATE users SET password_hash = $2, password_temporary = $3, password_changed_at = $4,"
    " updated_at = $4 WHERE id = $1";

static const char hold_sql[] = "UPDATE users SET failed_logins = failed_logins WHERE id = $1";

static const char rehash_sql[] =
    "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";

static const char clear_sql[] = "UPDATE users SET failed_logins = 0"
                                " WHERE id = $1 AND failed_logins <> 0 AND locked_at IS NULL";

#define ADD_EPOCH "INSERT INTO epochs (user_id, not_before, at, reason) "

static const char epoch_sql[] = ADD_EPOCH "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/* CROSS: SQLite keeps this order of loops, and adds the rows in the order of the ids. */
static const char epoch_bulk_sql[] =
    ADD_EPOCH "SELECT u.id, $1, $2, $3 FROM bulk_ids b CROSS JOIN users u WHERE u.id = b.id"
              " AND ($4 = 1 OR u.tenant_id = $5) ON CONFLICT DO NOTHING";

static const char nth_epoch_sql[] =
    "SELECT user_id FROM epochs WHERE user_id > $1 ORDER BY user_id, not_before LIMIT 1 OFFSET $2";
/*
 * The clock that says so may have leapt, and access tokens of what an epoch ended still live. So it
 * stays as long as its entry of the feed, which no leap removes (sessions/feed.h).
 */
static const char reap_epochs_sql[] =
    "DELETE FROM epochs WHERE user_id > $1 AND user_id <= $2 AND at < $3 AND not_before < $3"
    " AND at NOT IN (SELECT at FROM feed WHERE kind <> 'family')"
    " AND NOT EXISTS (SELECT 1 FROM families f WHERE f.user_id = epochs.user_id"
    " AND f.created_at <= epochs.not_before)";

static const char email_status_sql[] =
    "UPDATE users SET email_status = $2, updated_at = $3 WHERE id = $1";

static const char worsen_bulk_sql[] =
    "UPDATE users SET email_status = $1, updated_at = $2"
    " WHERE email IN (SELECT value FROM bulk_texts) AND ((email_status = 'ok' AND $1 <> 'ok')"
    " OR (email_status = 'invalid' AND $1 = 'unsubscribed')) RETURNING id";

static int count_other_operators(struct store_txn *t, const struct uuid *id, int64_t *ret_count)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, others_sql, &rows, PARAMS(P_ID(id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret_count = store_col_int(rows, 0);
    return 0;
}

/* Whether someone else could still operate the installation were this user gone. */
static int check_last_operator(struct store_txn *t, const struct user *user)
{
    int64_t others = 0;

    if (user->role != ROLE_OPERATOR || user->disabled)
        return 0;
    int r = count_other_operators(t, &user->id, &others);
    if (r != 0)
        return r;
    return others == 0 ? USER_LAST_OPERATOR : 0;
}

static bool takes_power(const struct user_patch *p)
{
    return (p->role && *p->role != ROLE_OPERATOR) || (p->disabled && *p->disabled) ||
           (p->locked && *p->locked);
}

static int apply(struct store_txn *t, const struct uuid *id, const struct user_patch *p,
                 int64_t now)
{
    int64_t changed = 0;
    int r = store_exec(t, update_sql, &changed,
                       PARAMS(P_ID(id), p->email ? P_TEXT(*p->email) : P_NULL,
                              p->role ? P_TEXT(role_name(*p->role)) : P_NULL,
                              p->disabled ? P_INT(*p->disabled) : P_NULL,
                              P_INT(p->locked ? *p->locked : -1), P_INT(now)));

    if (r == STORE_CONFLICT)
        return USER_EXISTS;
    if (r != 0)
        return r;
    return changed ? 0 : USER_UNKNOWN;
}

int user_update(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                const struct uuid *id, const struct user_patch *patch, int64_t now,
                struct user_change *ret_change)
{
    struct user_change change;
    int r = takes_power(patch) ? store_lock(t, STORE_LOCK_OPERATORS) : 0;

    if (r == 0)
        r = user_find(t, a, tenant, id, &change.before);
    /* Once more, behind whoever is changing the user now. */
    if (r == 0)
        r = user_hold(t, id);
    if (r == 0)
        r = user_find(t, a, tenant, id, &change.before);
    if (r == 0 && takes_power(patch))
        r = check_last_operator(t, &change.before);
    if (r == 0)
        r = apply(t, id, patch, now);
    if (r == 0)
        r = user_find(t, a, tenant, id, &change.after);
    if (r == 0)
        *ret_change = change;
    return r;
}

int user_delete(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                const struct uuid *id, struct user *ret_user)
{
    struct user user;
    int64_t changed = 0;
    int r = store_lock(t, STORE_LOCK_OPERATORS);

    if (r == 0)
        r = user_find(t, a, tenant, id, &user);
    if (r == 0)
        r = check_last_operator(t, &user);
    if (r == 0)
        r = store_exec(t, delete_sql, &changed, PARAMS(P_ID(id)));
    /* What a mass revocation wrote of the user meanwhile is there behind this. */
    if (r == 0)
        r = store_lock(t, STORE_LOCK_TRAIL);
    if (r == 0)
        r = store_exec(t, delete_notices_sql, NULL, PARAMS(P_ID(id)));
    if (r == 0)
        r = store_exec(t, delete_epochs_sql, NULL, PARAMS(P_ID(id)));
    if (r != 0)
        return r;
    if (changed == 0)
        return USER_UNKNOWN;
    *ret_user = user;
    return 0;
}

/* For statements that change the one user whose id is their parameter. */
static int change_one(struct store_txn *t, const char *sql, const struct store_param *params,
                      size_t n)
{
    int64_t changed = 0;
    int r = store_exec(t, sql, &changed, params, n);

    if (r != 0)
        return r;
    return changed ? 0 : USER_UNKNOWN;
}

int user_hold(struct store_txn *t, const struct uuid *id)
{
    return change_one(t, hold_sql, PARAMS(P_ID(id)));
}

int user_set_password(struct store_txn *t, const struct uuid *id, struct str hash, bool temporary,
                      int64_t now)
{
    return change_one(t, password_sql,
                      PARAMS(P_ID(id), P_TEXT(hash), P_INT(temporary), P_INT(now)));
}

int user_rehash(struct store_txn *t, const struct uuid *id, struct str old_hash,
                struct str new_hash)
{
    return store_exec(t, rehash_sql, NULL, PARAMS(P_ID(id), P_TEXT(old_hash), P_TEXT(new_hash)));
}

int user_clear_failures(struct store_txn *t, const struct uuid *id)
{
    return store_exec(t, clear_sql, NULL, PARAMS(P_ID(id)));
}

int user_end_epoch(struct store_txn *t, const struct uuid *id, const struct user_epoch *epoch,
                   int64_t *ret_added)
{
    return store_exec(
        t, epoch_sql, ret_added,
        PARAMS(P_ID(id), P_INT(epoch->not_before), P_INT(epoch->at), P_TEXT(epoch->reason)));
}

struct many {
    const struct uuid *ids;
    const struct user_epoch *epoch;
};

static void put_epoch(const void *rows, size_t i, struct store_param *params)
{
    const struct many *many = rows;

    params[0] = P_ID(&many->ids[i]);
    params[1] = P_INT(many->epoch->not_before);
    params[2] = P_INT(many->epoch->at);
    params[3] = P_TEXT(many->epoch->reason);
}

int user_add_epochs(struct store_txn *t, const struct uuid *ids, size_t n,
                    const struct user_epoch *epoch)
{
    struct many many = {ids, epoch};
    struct store_addition rows = {
        STORE_INTO("epochs", "user_id, not_before, at, reason", "$1, $2, $3, $4"), .columns = 4,
        .put = put_epoch, .rows = &many, .n = n};

    return store_add(t, &rows);
}

int user_end_epoch_bulk(struct store_txn *t, const struct uuid *tenant,
                        const struct user_epoch *epoch, int64_t *ret_added)
{
    return store_exec(t, epoch_bulk_sql, ret_added,
                      PARAMS(P_INT(epoch->not_before), P_INT(epoch->at), P_TEXT(epoch->reason),
                             P_INT(tenant ? 0 : 1), tenant ? P_ID(tenant) : P_BLOB("", 0)));
}

int user_reap_epochs(struct store_txn *t, int64_t before, int64_t max_rows, struct uuid *cursor,
                     int64_t *ret_removed)
{
    struct uuid last;
    bool more = false;
    int64_t removed = 0;
    int r = reap_last(t, nth_epoch_sql, cursor, max_rows, &last, &more);

    if (r == 0)
        r = store_exec(t, reap_epochs_sql, &removed,
                       PARAMS(P_ID(cursor), P_ID(&last), P_INT(before)));
    if (r != 0)
        return r;
    *cursor = more ? last : (struct uuid){{0}};
    if (ret_removed)
        *ret_removed = removed;
    return 0;
}

int user_set_email_status(struct store_txn *t, const struct uuid *id, enum email_status status,
                          int64_t now)
{
    return change_one(t, email_status_sql,
                      PARAMS(P_ID(id), P_TEXT(email_status_name(status)), P_INT(now)));
}

int user_worsen_email_status_bulk(struct store_txn *t, enum email_status status, int64_t now,
                                  struct store_rows **ret_rows)
{
    return store_query(t, worsen_bulk_sql, ret_rows,
                       PARAMS(P_TEXT(email_status_name(status)), P_INT(now)));
}
