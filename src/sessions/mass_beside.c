#include "base/fault.h"
#include "sessions/mass_job.h"

/* None of these is over: they have only begun. Each one's epochs are looked up: see mass.c. */
#define NOT_ENDED "f.revoked_at IS NULL AND " USER_EPOCH("f.user_id") " < f.created_at"
/* $1: after this time; $2, $3: the first and the last of the chunk. */
#define LATE_OF_USERS                                                                              \
    "FROM bulk_ids b CROSS JOIN families f WHERE f.user_id = b.id "                                \
    "AND f.user_id >= $2 AND f.user_id <= $3 AND f.created_at > $1 AND " NOT_ENDED

/* How many began, to a limit. */
static const char how_many_sql[] =
    "SELECT count(*) FROM (SELECT 1 FROM families WHERE id >= $1 ORDER BY id LIMIT $2) AS late";
static const char late_sql[] =
    "SELECT f.user_id, f.created_at FROM families f WHERE f.id >= $1 AND " NOT_ENDED
    " ORDER BY f.id";
static const char late_of_users_sql[] = "SELECT f.user_id, f.created_at " LATE_OF_USERS;
static const char end_late_sql[] =
    "INSERT INTO epochs (user_id, not_before, at, reason) "
    "SELECT f.user_id, " USER_EPOCH_BEHIND_LOCK(
        "max(f.created_at)") ", $4, $5 " LATE_OF_USERS " GROUP BY f.user_id ON CONFLICT DO NOTHING";
/* Whom others acted on: each act on a user or a session leaves an entry. */
static const char beside_sql[] =
    "SELECT f.user_id FROM feed e CROSS JOIN families f "
    "WHERE e.seq > $1 AND e.kind = 'family' AND f.id = e.subject_id "
    "UNION SELECT e.subject_id FROM feed e WHERE e.seq > $1 AND e.kind = 'user'";

/* The least id of what begins after a time. */
static struct uuid floor_after(int64_t ms)
{
    struct uuid id = uuid_at(ms + 1);

    memset(id.b + 6, 0, sizeof id.b - 6);
    return id;
}

/* Those that began after until: of all users or, where those are too many, of the chunk's. */
static int query_late(struct store_txn *t, struct mass_job *j, struct store_rows **ret)
{
    struct uuid after = floor_after(j->until);
    int64_t n = 0;
    int r = store_number(t, how_many_sql, &n, PARAMS(P_ID(&after), P_INT((int64_t)j->n + 1)));

    if (r == 0 && n <= (int64_t)j->n)
        return store_query(t, late_sql, ret, PARAMS(P_ID(&after)));
    if (r == 0)
        r = mass_hold(t, j, j->ids, j->n);
    return r ? r
             : store_query(t, late_of_users_sql, ret,
                           PARAMS(P_INT(j->until), P_ID(&j->ids[0]), P_ID(&j->ids[j->n - 1])));
}

/*
 * Counts what began after until. *ret_n users of it, put to the front of users: first those,
 * *ret_new of them, of whom nothing was ended until then.
 */
static int find_late(struct store_txn *t, struct mass_job *j, size_t *ret_n, size_t *ret_new)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    size_t n = 0, fresh = 0;
    int r = query_late(t, j, &rows);

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = mass_result_of(j, &id);
        r = 0;
        if (!result || !result->known)
            continue;
        if (!result->late) {
            j->users[n++] = id;
            if (result->sessions == 0) {
                j->users[n - 1] = j->users[fresh];
                j->users[fresh++] = id;
            }
        }
        result->late = true;
        mass_count_session(j, result, store_col_int(rows, 1));
    }
    *ret_n = n;
    *ret_new = fresh;
    return r;
}

int mass_end_late(struct store_txn *t, struct mass_job *j)
{
    const struct mass_options *o = j->options;
    size_t n, fresh;
    int r = find_late(t, j, &n, &fresh);

    if (r || n == 0)
        return r;
    r = mass_hold(t, j, j->users, n);
    if (r == 0)
        r = store_exec(t, end_late_sql, NULL,
                       PARAMS(P_INT(j->until), P_ID(&j->ids[0]), P_ID(&j->ids[j->n - 1]),
                              P_INT(o->now), P_TEXT(o->reason)));
    return r ? r : mass_tell(t, j, fresh);
}

/*
 * Those of the chunk whom others acted on, put to the front of users: first those, *ret_told of
 * them, who were told. Nothing is known of them any more.
 */
static int find_beside(struct store_txn *t, struct mass_job *j, size_t *ret_n, size_t *ret_told)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    size_t n = 0, told = 0;
    int r = store_query(t, beside_sql, &rows, PARAMS(P_INT(j->last_entry)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = mass_result_of(j, &id);
        r = 0;
        if (!result || !result->known)
            continue;
        j->users[n++] = id;
        if (result->sessions) {
            j->users[n - 1] = j->users[told];
            j->users[told++] = id;
        }
        mass_forget(j, result);
    }
    *ret_n = n;
    *ret_told = told;
    return r;
}

/* Of those who were told, the ones of whom nothing is left that this ended. */
static int untell(struct store_txn *t, struct mass_job *j, size_t told)
{
    size_t n = 0;

    for (size_t i = 0; i < told; i++)
        if (mass_result_of(j, &j->users[i])->sessions == 0)
            j->users[n++] = j->users[i];
    if (n == 0)
        return 0;
    int r = mass_hold(t, j, j->users, n);
    return r ? r
             : notification_remove_bulk(t, NOTIFICATION_SESSIONS_REVOKED, j->options->reason,
                                        j->options->now);
}

int mass_settle(struct store_txn *t, struct mass_job *j)
{
    size_t n, told;
    int r = find_beside(t, j, &n, &told);

    if (r || n == 0)
        return r;
    r = mass_count(t, j, j->users, n, j->until, j->until);
    return r ? r : untell(t, j, told);
}
