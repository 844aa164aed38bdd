#include "sessions/mass.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/sha256.h"
#include "sessions/mass_job.h"

/*
 * How a mass revocation and what happens beside it come together, on PostgreSQL; on SQLite one
 * transaction runs at a time. To write or lock a row of each user or family would cost more than
 * all the rest, so nothing that others hold is taken but the lock of the trail, last. The steps:
 *
 *  1. Sessions that began up to now (until: see user_epoch_before_lock) are counted, and an epoch
 *     is added to each user: it ends those sessions, and also one that is not visible yet.
 *  2. The lock of the trail. Whoever begins a session takes it before (sessions/login.c). One that
 *     had it earlier has committed: its session is visible here. One that gets it later finds the
 *     epochs, and refuses whose password was verified before.
 *  3. So sessions that began after that (while this ran, or by a clock that is ahead) are all
 *     there, and are ended by an epoch of their own. There are few, and ids ascend with time: only
 *     those families are read. Where there are more than users in the chunk, as this node's clock
 *     is far behind, theirs are.
 *
 * Others may have ended the same sessions since step 1. Each of them leaves an entry in the feed
 * behind the same lock. Where it was another mass revocation, this one begins again, with the lock
 * from the start. Users that were ended, or deleted, one by one are few: they are counted again
 * (mass_beside.c). Who gets the lock later does the same: see sessions/revoke.c, and user_delete.
 *
 * bulk_ids holds those who are counted. CROSS JOIN has SQLite read it first and look each one up;
 * with JOIN it may read all users instead. PostgreSQL may read a table side by side with it where
 * that is cheaper, but, by the bounds, nothing beyond the chunk; each family's epochs are looked
 * up. The rows of users are large: only where there is no session, they are asked whether there is
 * one.
 */
static const char count_sql[] =
    "SELECT f.user_id, f.tenant_id, f.created_at FROM bulk_ids b CROSS JOIN families f "
    "WHERE f.user_id = b.id AND f.user_id >= $6 AND f.user_id <= $7 AND f.created_at <= $4 "
    "AND ($2 = 1 OR f.tenant_id = $3) AND f.revoked_at IS NULL AND f.expires_at > $1 "
    "AND f.idle_expires_at > $1 AND coalesce((SELECT max(e.not_before) FROM epochs e "
    "WHERE e.user_id = f.user_id AND e.not_before <> $5), 0) < f.created_at";
static const char known_sql[] =
    "SELECT u.id, u.tenant_id FROM bulk_ids b CROSS JOIN users u WHERE u.id = b.id "
    "AND u.id >= $3 AND u.id <= $4 AND ($1 = 1 OR u.tenant_id = $2)";
static const char newest_entry_sql[] = "SELECT coalesce(max(seq), 0) FROM feed";
static const char others_sql[] =
    "SELECT count(*) FROM feed WHERE seq > $1 AND kind = 'all' AND at <> $2";

/* To be begun again: another mass revocation came between, or one of the epochs was there. */
enum { AGAIN = 1 };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static int compare_result(const void *key, const void *member)
{
    return memcmp(key, &((const struct mass_result *)member)->id, sizeof(struct uuid));
}

struct mass_result *mass_result_of(struct mass_job *j, const struct uuid *id)
{
    return bsearch(id, j->results, j->n, sizeof *j->results, compare_result);
}

static void find(struct mass_job *j, struct mass_result *result, const struct uuid *tenant)
{
    if (result->known)
        return;
    result->known = true;
    result->tenant_id = *tenant;
    j->totals.matched++;
    j->totals.unknown--;
}

void mass_forget(struct mass_job *j, struct mass_result *result)
{
    j->totals.matched--;
    j->totals.unknown++;
    j->totals.users_with_sessions -= result->sessions > 0;
    j->totals.sessions -= result->sessions;
    *result = (struct mass_result){.id = result->id};
}

void mass_count_session(struct mass_job *j, struct mass_result *result, int64_t began)
{
    j->newest = began > j->newest ? began : j->newest;
    j->totals.users_with_sessions += result->sessions++ == 0;
    j->totals.sessions++;
}

int mass_hold(struct store_txn *t, struct mass_job *j, const struct uuid *ids, size_t n)
{
    if (n == j->n && j->held == n)
        return 0;
    j->held = n;
    return store_bulk_ids(t, ids, n);
}

static int take_row(struct mass_job *j, struct store_rows *rows, struct mass_result **ret)
{
    struct uuid id = store_col_id(rows, 0), tenant = store_col_id(rows, 1);
    struct mass_result *result = mass_result_of(j, &id);

    if (!result)
        return fault_set(FAULT_STORE, "a user came back who was not named");
    find(j, result, &tenant);
    *ret = result;
    return 0;
}

/* The sessions of those in bulk_ids. */
static int count_sessions(struct store_txn *t, struct mass_job *j, int64_t until, int64_t own)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    struct mass_result *result;
    int r =
        store_query(t, count_sql, &rows,
                    PARAMS(P_INT(j->options->now), P_ANY(tenant), P_TENANT(tenant), P_INT(until),
                           P_INT(own), P_ID(&j->ids[0]), P_ID(&j->ids[j->n - 1])));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        r = take_row(j, rows, &result);
        if (r == 0)
            mass_count_session(j, result, store_col_int(rows, 2));
    }
    return r;
}

/* Those of n users who have no session: whether they are known. */
static int find_others(struct store_txn *t, struct mass_job *j, const struct uuid *ids, size_t n)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    struct mass_result *result;
    size_t others = 0;

    for (size_t i = 0; i < n; i++)
        if (!mass_result_of(j, &ids[i])->known)
            j->others[others++] = ids[i];
    if (others == 0)
        return 0;
    int r = j->set_based ? 0 : mass_hold(t, j, j->others, others);
    if (r == 0)
        r = store_query(
            t, known_sql, &rows,
            PARAMS(P_ANY(tenant), P_TENANT(tenant), P_ID(&j->ids[0]), P_ID(&j->ids[j->n - 1])));
    while (r == 0 && (r = store_rows_next(rows)) == 1)
        r = take_row(j, rows, &result);
    return r;
}

int mass_count(struct store_txn *t, struct mass_job *j, const struct uuid *ids, size_t n,
               int64_t until, int64_t own)
{
    int r = mass_hold(t, j, ids, n);

    if (r || n == 0)
        return r;
    r = count_sessions(t, j, until, own);
    return r ? r : find_others(t, j, ids, n);
}

int mass_tell(struct store_txn *t, struct mass_job *j, size_t n)
{
    const struct mass_options *o = j->options;

    if (j->set_based) {
        int r = n ? mass_hold(t, j, j->users, n) : 0;
        return r || n == 0
                   ? r
                   : notification_add_bulk(t, NOTIFICATION_SESSIONS_REVOKED, o->reason, o->now);
    }
    for (size_t i = 0; i < n; i++) {
        const struct uuid *id = &j->users[i];
        j->told[i] = (struct notification_addressee){mass_result_of(j, id)->tenant_id, *id};
    }
    return notification_add_many(t, NOTIFICATION_SESSIONS_REVOKED, o->reason, o->now, j->told, n);
}

/* Those whose sessions were ended. */
static size_t list_ended(struct mass_job *j)
{
    size_t n = 0;

    for (size_t i = 0; i < j->n; i++)
        if (j->results[i].sessions)
            j->users[n++] = j->results[i].id;
    return n;
}

/* The digest binds the record to exactly these users without holding a list of them. */
static int write_detail(struct mass_job *j, struct buf *out)
{
    uint8_t digest[SHA256_SIZE];
    char text[HEX_LENGTH(SHA256_SIZE) + 1];
    struct str ids = {(const char *)j->users, list_ended(j) * sizeof *j->users};
    struct json_writer w = json_writer(out);
    int r = sha256(ids, digest);

    if (r)
        return r;
    hex_encode(digest, sizeof digest, text);
    json_object_begin(&w);
    json_key(&w, "reason");
    json_str(&w, j->options->reason);
    json_key(&w, "requested");
    json_int(&w, j->totals.requested);
    json_key(&w, "users");
    json_int(&w, j->totals.users_with_sessions);
    json_key(&w, "sessions");
    json_int(&w, j->totals.sessions);
    json_key(&w, "usersSha256");
    json_str(&w, str_of(text));
    json_object_end(&w);
    return buf_fault(out);
}

static int record(struct store_txn *t, struct mass_job *j)
{
    struct buf detail _cleanup_buf_ = buf_init(4096);
    int r = write_detail(j, &detail);

    if (r)
        return r;
    struct trail_event event = {.action = TRAIL_SESSION_REVOKE_MASS,
                                .tenant_id =
                                    j->options->tenant ? *j->options->tenant : (struct uuid){{0}},
                                .detail = buf_str(&detail)};
    return trail_append(j->s->trail, t, j->actor, &event);
}

/* For all who are known, also those without a session: one may be about to begin. */
static int end_epochs(struct store_txn *t, struct mass_job *j)
{
    struct user_epoch epoch = {j->until, j->options->now, j->options->reason};
    int64_t added;
    size_t n = 0;

    if (j->set_based) {
        int r = mass_hold(t, j, j->ids, j->n);
        return r ? r : user_end_epoch_bulk(t, j->options->tenant, &epoch, &added);
    }
    for (size_t i = 0; i < j->n; i++)
        if (j->results[i].known)
            j->users[n++] = j->results[i].id;
    int r = user_add_epochs(t, j->users, n, &epoch);
    return r == STORE_CONFLICT ? AGAIN : r;
}

/* Chunks of one run have one time, and hold different users. */
static int check_others(struct store_txn *t, const struct mass_job *j)
{
    int64_t others = 0;
    int r =
        store_number(t, others_sql, &others, PARAMS(P_INT(j->last_entry), P_INT(j->options->now)));

    return r ? r : others && !j->alone ? AGAIN : 0;
}

/* Also where no session was ended: an account that is cached has an epoch that is over. */
static int feed_epochs(struct store_txn *t, const struct mass_job *j)
{
    int64_t now = j->options->now, end = j->newest > now ? j->newest : now;

    return feed_all(t, now, session_access_horizon(end));
}

static void begin_anew(struct mass_job *j)
{
    j->newest = 0;
    j->held = 0;
    /* A row at a time costs SQLite more than a statement; where an epoch is there, COPY fails. */
    j->set_based = j->alone || !store_writes_in_parallel(j->s->store);
    j->until = j->alone ? user_epoch_behind_lock(j->options->now)
                        : user_epoch_before_lock(j->options->now);
    j->totals = (struct mass_totals){.requested = (int64_t)j->n, .unknown = (int64_t)j->n};
    for (size_t i = 0; i < j->n; i++)
        j->results[i] = (struct mass_result){.id = j->ids[i]};
}

/* No epoch of any other is of before time began. */
enum { NO_EPOCH = -1 };

static int end_named(struct store_txn *t, struct mass_job *j)
{
    int r = j->alone ? store_lock(t, STORE_LOCK_TRAIL) : 0;

    if (r == 0)
        r = store_number(t, newest_entry_sql, &j->last_entry, NO_PARAMS);
    if (r == 0)
        r = mass_count(t, j, j->ids, j->n, j->until, NO_EPOCH);
    if (r == 0)
        r = end_epochs(t, j);
    return r ? r : mass_tell(t, j, list_ended(j));
}

static int revoke_job(struct store_txn *t, void *arg)
{
    struct mass_job *j = arg;
    int r = store_look_up(t);

    begin_anew(j);
    if (r || j->options->dry_run)
        return r ? r : mass_count(t, j, j->ids, j->n, INT64_MAX, NO_EPOCH);
    r = end_named(t, j);
    if (r == 0)
        r = store_lock(t, STORE_LOCK_TRAIL);
    if (r == 0)
        r = check_others(t, j);
    if (r == 0)
        r = mass_settle(t, j);
    if (r == 0)
        r = mass_end_late(t, j);
    if (r == 0 && j->totals.matched)
        r = feed_epochs(t, j);
    return r ? r : record(t, j);
}

static int run(struct mass_job *j)
{
    if (!j->users || !j->others || !j->told)
        return fault_set(FAULT_MEMORY, "no memory for a mass revocation of %zu users", j->n);
    int r = store_write(j->s->store, revoke_job, j);
    j->alone = r == AGAIN;
    return j->alone ? store_write(j->s->store, revoke_job, j) : r;
}

int mass_revoke(struct sessions *s, const struct trail_actor *actor,
                const struct mass_options *options, const struct uuid *ids, size_t n,
                struct mass_result *results, struct mass_totals *totals)
{
    struct mass_job j = {.s = s, .actor = actor, .options = options, .n = n, .results = results};
    struct uuid *sorted = malloc((n + 1) * sizeof *sorted);
    int r = 0;

    j.users = malloc((n + 1) * sizeof *j.users);
    j.others = malloc((n + 1) * sizeof *j.others);
    j.told = malloc((n + 1) * sizeof *j.told);
    if (!sorted) {
        r = fault_set(FAULT_MEMORY, "no memory for a mass revocation of %zu users", n);
    } else {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, compare_ids);
        j.ids = sorted;
        r = run(&j);
    }
    if (r == 0 && !options->dry_run && j.totals.matched)
        gate_forget_all(s->gate);
    free(sorted);
    free(j.users);
    free(j.others);
    free(j.told);
    if (r)
        return r;
    if (!options->dry_run)
        metric_add(&s->counters.revocations, (uint64_t)j.totals.sessions);
    totals->requested += j.totals.requested;
    totals->matched += j.totals.matched;
    totals->unknown += j.totals.unknown;
    totals->sessions += j.totals.sessions;
    totals->users_with_sessions += j.totals.users_with_sessions;
    return 0;
}
