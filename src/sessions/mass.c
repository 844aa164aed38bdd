#include "sessions/mass.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/sha256.h"
#include "identity/notification.h"

/*
 * How a mass revocation and what happens beside it come together, on PostgreSQL; on SQLite one
 * transaction runs at a time. To write or lock a row of each user or family would cost more than
 * all the rest, so nothing that others hold is taken but the lock of the trail, last. The steps:
 *
 *  1. Sessions that began up to now are counted, and an epoch is added to each user: it ends those
 *     sessions, and also one that began before now and is not visible yet.
 *  2. The lock of the trail. Whoever begins a session takes it before (sessions/login.c). One that
 *     had it earlier has committed: its session is visible here. One that gets it later finds the
 *     epochs, and refuses whose password was verified before.
 *  3. So sessions that began after now (while this ran, or by a clock that is ahead) are all there,
 *     and are ended by an epoch of their own. There are few, and ids ascend with time: only those
 *     families are read.
 *
 * Another mass revocation may have counted the same sessions in step 1. It shows in the feed, where
 * each leaves an entry behind the same lock: then this one begins again, with the lock from the
 * start. One by one, an act on a single user or session may end a session that is counted here too.
 *
 * bulk_ids holds the chunk. CROSS JOIN has SQLite read it first and look each user up; with JOIN
 * it may read all users instead. P_ANY is 1 for an operator, who has no bound.
 */
static const char known_sql[] = "SELECT u.id FROM bulk_ids b CROSS JOIN users u "
                                "WHERE u.id = b.id AND ($1 = 1 OR u.tenant_id = $2)";
static const char count_sql[] =
    "SELECT f.user_id, f.created_at FROM bulk_ids b CROSS JOIN families f WHERE f.user_id = b.id "
    "AND f.created_at <= $4 AND ($2 = 1 OR f.tenant_id = $3) AND " SESSION_ACTIVE("f", "$1");
/* None of these is over: they have only begun. */
static const char late_sql[] =
    "SELECT f.user_id, f.created_at FROM families f WHERE f.id >= $1 AND " SESSION_NOT_ENDED("f");
static const char end_late_sql[] =
    "INSERT INTO epochs (user_id, not_before, at, reason) "
    "SELECT f.user_id, max(f.created_at), $1, $3 FROM bulk_ids b CROSS JOIN families f "
    "WHERE f.user_id = b.id AND f.id >= $2 AND " SESSION_NOT_ENDED(
        "f") " GROUP BY f.user_id ON CONFLICT DO NOTHING";
static const char newest_entry_sql[] = "SELECT coalesce(max(seq), 0) FROM feed";
static const char others_sql[] =
    "SELECT count(*) FROM feed WHERE seq > $1 AND kind = 'all' AND at <> $2";
static const char resolve_sql[] =
    "SELECT u.email, u.id FROM bulk_texts b CROSS JOIN users u WHERE u.email = b.value "
    "AND ($1 = 1 OR u.tenant_id = $2)";

struct mass_job {
    struct sessions *s;
    const struct trail_actor *actor;
    const struct mass_options *options;
    const struct uuid *ids; /* ascending */
    size_t n;
    struct mass_result *results; /* in the order of ids */
    struct uuid *users;          /* those whose sessions were ended */
    size_t n_users;
    bool alone;         /* with the lock of the trail from the start */
    int64_t last_entry; /* of the feed, when this began */
    int64_t newest;     /* when the newest of the sessions began, by whichever node's clock */
    struct mass_totals totals;
};

/* Another mass revocation came between: see above. */
enum { AGAIN = 1 };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static int compare_result(const void *key, const void *member)
{
    return memcmp(key, &((const struct mass_result *)member)->id, sizeof(struct uuid));
}

/* $n and $n+1 of a statement that is bound to a tenant. */
#define P_ANY(tenant) P_INT((tenant) ? 0 : 1)
#define P_TENANT(tenant) ((tenant) ? P_ID(tenant) : P_BLOB("", 0))

static struct mass_result *result_of(struct mass_job *j, const struct uuid *id)
{
    return bsearch(id, j->results, j->n, sizeof *j->results, compare_result);
}

/* Rows of the ids that are users within the bound, in any order. */
static int mark_known(struct mass_job *j, struct store_rows *rows)
{
    int r = 0;

    while ((r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = result_of(j, &id);
        if (!result)
            return fault_set(FAULT_STORE, "a user came back who was not named");
        result->known = true;
        j->totals.matched++;
        j->totals.unknown--;
    }
    return r;
}

static int find_known(struct store_txn *t, struct mass_job *j)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    int r = store_query(t, known_sql, &rows, PARAMS(P_ANY(tenant), P_TENANT(tenant)));

    return r ? r : mark_known(j, rows);
}

static void count_session(struct mass_job *j, struct mass_result *result, int64_t began)
{
    j->newest = began > j->newest ? began : j->newest;
    j->totals.users_with_sessions += result->sessions++ == 0;
    j->totals.sessions++;
}

/* Of those who were named, what began up to a time. */
static int count_sessions(struct store_txn *t, struct mass_job *j, int64_t until)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    int r =
        store_query(t, count_sql, &rows,
                    PARAMS(P_INT(j->options->now), P_ANY(tenant), P_TENANT(tenant), P_INT(until)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = result_of(j, &id);
        r = result ? 0 : fault_set(FAULT_STORE, "a session came back of a user who was not named");
        if (r == 0)
            count_session(j, result, store_col_int(rows, 1));
    }
    return r;
}

static int count_only(struct store_txn *t, struct mass_job *j)
{
    int r = find_known(t, j);

    return r ? r : count_sessions(t, j, INT64_MAX);
}

static void list_ended(struct mass_job *j)
{
    j->n_users = 0;
    for (size_t i = 0; i < j->n; i++)
        if (j->results[i].sessions)
            j->users[j->n_users++] = j->results[i].id;
}

static int tell_ended(struct store_txn *t, struct mass_job *j)
{
    list_ended(j);
    int r = j->n_users < j->n ? store_bulk_ids(t, j->users, j->n_users) : 0;
    if (r || j->n_users == 0)
        return r;
    return notification_add_bulk(t, NOTIFICATION_SESSIONS_REVOKED, j->options->reason,
                                 j->options->now);
}

/* The digest binds the record to exactly these users without holding a list of them. */
static int write_detail(const struct mass_job *j, struct buf *out)
{
    uint8_t digest[SHA256_SIZE];
    char text[HEX_LENGTH(SHA256_SIZE) + 1];
    struct str ids = {(const char *)j->users, j->n_users * sizeof *j->users};
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

static int record(struct store_txn *t, const struct mass_job *j)
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

static void mark_all_known(struct mass_job *j)
{
    for (size_t i = 0; i < j->n; i++)
        j->results[i].known = true;
    j->totals.matched = j->totals.requested;
    j->totals.unknown = 0;
}

/*
 * For all who were named, also those without a session: one may be about to begin. As a rule all
 * are known; only where the count says otherwise it is asked who.
 */
static int end_epochs(struct store_txn *t, struct mass_job *j)
{
    struct user_epoch epoch = {j->options->now, j->options->now, j->options->reason};
    int64_t added = 0;
    int r = user_end_epoch_bulk(t, j->options->tenant, &epoch, &added);

    if (r || added < (int64_t)j->n)
        return r ? r : find_known(t, j);
    mark_all_known(j);
    return 0;
}

/* The least id of what begins after now. */
static struct uuid floor_after(int64_t now)
{
    struct uuid id = uuid_at(now + 1);

    memset(id.b + 6, 0, sizeof id.b - 6);
    return id;
}

/*
 * Counts what began after now. *ret_n users of it, put to the front of users: first those, *ret_new
 * of them, of whom nothing was ended until then.
 */
static int find_late(struct store_txn *t, struct mass_job *j, size_t *ret_n, size_t *ret_new)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    struct uuid after = floor_after(j->options->now);
    size_t n = 0, fresh = 0;
    int r = store_query(t, late_sql, &rows, PARAMS(P_ID(&after)));

    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = result_of(j, &id);
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
        count_session(j, result, store_col_int(rows, 1));
    }
    *ret_n = n;
    *ret_new = fresh;
    return r;
}

static int end_late(struct store_txn *t, struct mass_job *j)
{
    const struct mass_options *o = j->options;
    struct uuid after = floor_after(o->now);
    size_t n, fresh;
    int r = find_late(t, j, &n, &fresh);

    if (r || n == 0)
        return r;
    r = store_bulk_ids(t, j->users, n);
    if (r == 0)
        r = store_exec(t, end_late_sql, NULL,
                       PARAMS(P_INT(o->now), P_ID(&after), P_TEXT(o->reason)));
    if (r || fresh == 0)
        return r;
    if (fresh < n)
        r = store_bulk_ids(t, j->users, fresh);
    return r ? r : notification_add_bulk(t, NOTIFICATION_SESSIONS_REVOKED, o->reason, o->now);
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
    j->totals = (struct mass_totals){.requested = (int64_t)j->n, .unknown = (int64_t)j->n};
    for (size_t i = 0; i < j->n; i++)
        j->results[i] = (struct mass_result){.id = j->ids[i]};
}

static int end_named(struct store_txn *t, struct mass_job *j)
{
    int r = j->alone ? store_lock(t, STORE_LOCK_TRAIL) : 0;

    if (r == 0)
        r = store_number(t, newest_entry_sql, &j->last_entry, NO_PARAMS);
    if (r == 0)
        r = count_sessions(t, j, j->options->now);
    if (r == 0)
        r = end_epochs(t, j);
    return r ? r : tell_ended(t, j);
}

static int revoke_job(struct store_txn *t, void *arg)
{
    struct mass_job *j = arg;
    int r = store_bulk_ids(t, j->ids, j->n);

    begin_anew(j);
    if (r || j->options->dry_run)
        return r ? r : count_only(t, j);
    r = end_named(t, j);
    if (r == 0)
        r = store_lock(t, STORE_LOCK_TRAIL);
    if (r == 0)
        r = check_others(t, j);
    if (r == 0)
        r = end_late(t, j);
    list_ended(j);
    if (r == 0 && j->totals.matched)
        r = feed_epochs(t, j);
    return r ? r : record(t, j);
}

int mass_revoke(struct sessions *s, const struct trail_actor *actor,
                const struct mass_options *options, const struct uuid *ids, size_t n,
                struct mass_result *results, struct mass_totals *totals)
{
    struct mass_job j = {.s = s, .actor = actor, .options = options, .n = n, .results = results};
    struct uuid *sorted = malloc((n + 1) * sizeof *sorted);
    int r = 0;

    j.users = malloc((n + 1) * sizeof *j.users);
    if (!sorted || !j.users) {
        r = fault_set(FAULT_MEMORY, "no memory for a mass revocation of %zu users", n);
    } else {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, compare_ids);
        j.ids = sorted;
        r = store_write(s->store, revoke_job, &j);
        j.alone = r == AGAIN;
        if (j.alone)
            r = store_write(s->store, revoke_job, &j);
    }
    if (r == 0 && !options->dry_run && j.totals.matched)
        gate_forget_all(s->gate);
    free(sorted);
    free(j.users);
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

struct resolving {
    const struct uuid *tenant;
    const struct str *addresses;
    size_t n;
    struct uuid *ids;
};

struct indexed {
    struct str address;
    size_t index;
};

static int compare_addresses(const void *a, const void *b)
{
    const struct indexed *x = a, *y = b;
    size_t n = x->address.n < y->address.n ? x->address.n : y->address.n;
    int order = n ? memcmp(x->address.p, y->address.p, n) : 0;

    return order ? order : (x->address.n > y->address.n) - (x->address.n < y->address.n);
}

static struct indexed *index_addresses(const struct resolving *job)
{
    struct indexed *index = malloc((job->n + 1) * sizeof *index);

    for (size_t i = 0; index && i < job->n; i++) {
        index[i] = (struct indexed){job->addresses[i], i};
        job->ids[i] = (struct uuid){{0}};
    }
    if (index)
        qsort(index, job->n, sizeof *index, compare_addresses);
    return index;
}

/* An address that was named several times has several entries, side by side. */
static void put_id(struct resolving *job, const struct indexed *index, const struct indexed *key,
                   const struct uuid *id)
{
    const struct indexed *hit = bsearch(key, index, job->n, sizeof *index, compare_addresses);
    const struct indexed *end = index + job->n;

    while (hit && hit > index && compare_addresses(hit - 1, key) == 0)
        hit--;
    for (; hit && hit < end && compare_addresses(hit, key) == 0; hit++)
        job->ids[hit->index] = *id;
}

static int resolve_job(struct store_txn *t, void *arg)
{
    struct resolving *job = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    struct indexed *index = index_addresses(job);
    int r = index ? store_bulk_texts(t, job->addresses, job->n)
                  : fault_set(FAULT_MEMORY, "no memory for %zu addresses", job->n);

    if (r == 0)
        r = store_query(t, resolve_sql, &rows, PARAMS(P_ANY(job->tenant), P_TENANT(job->tenant)));
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct indexed key = {store_col_text(rows, 0), 0};
        struct uuid id = store_col_id(rows, 1);
        put_id(job, index, &key, &id);
        r = 0;
    }
    free(index);
    return r;
}

int mass_resolve(struct sessions *s, const struct uuid *tenant, const struct str *addresses,
                 size_t n, struct uuid *ret_ids)
{
    struct resolving job = {tenant, addresses, n, ret_ids};

    /* A temporary table is written, so this is no read. */
    return store_write(s->store, resolve_job, &job);
}
