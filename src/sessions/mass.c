#include "sessions/mass.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/sha256.h"
#include "identity/notification.h"

/*
 * bulk_ids holds the chunk. CROSS JOIN has SQLite read it first and look each user up; with JOIN
 * it may read all users instead. P_ANY is 1 for an operator, who has no bound.
 */
static const char known_sql[] = "SELECT u.id FROM bulk_ids b CROSS JOIN users u "
                                "WHERE u.id = b.id AND ($1 = 1 OR u.tenant_id = $2)";
static const char count_sql[] =
    "SELECT f.user_id, f.created_at FROM bulk_ids b CROSS JOIN families f WHERE f.user_id = b.id "
    "AND f.revoked_at IS NULL AND f.expires_at > $1 AND f.idle_expires_at > $1 "
    "AND ($2 = 1 OR f.tenant_id = $3)";
static const char end_sql[] =
    "UPDATE families SET revoked_at = $1, revoked_reason = $2 "
    "WHERE user_id IN (SELECT id FROM bulk_ids) AND revoked_at IS NULL AND expires_at > $1 "
    "AND idle_expires_at > $1 AND ($3 = 1 OR tenant_id = $4) RETURNING user_id, created_at";
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
    int64_t newest; /* when the newest of the sessions began, by whichever node's clock */
    struct mass_totals totals;
};

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

/* Rows of one user id a session, in any order. */
static int count_sessions(struct mass_job *j, struct store_rows *rows)
{
    int r = 0;

    while ((r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        struct mass_result *result = result_of(j, &id);
        if (!result)
            return fault_set(FAULT_STORE, "a session came back of a user who was not named");
        int64_t began = store_col_int(rows, 1);
        j->newest = began > j->newest ? began : j->newest;
        j->totals.users_with_sessions += result->sessions++ == 0;
        j->totals.sessions++;
    }
    return r;
}

static int count_only(struct store_txn *t, struct mass_job *j)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    int r = find_known(t, j);

    if (r == 0)
        r = store_query(t, count_sql, &rows,
                        PARAMS(P_INT(j->options->now), P_ANY(tenant), P_TENANT(tenant)));
    return r ? r : count_sessions(j, rows);
}

static int end_sessions(struct store_txn *t, struct mass_job *j)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct mass_options *o = j->options;
    int r = store_query(
        t, end_sql, &rows,
        PARAMS(P_INT(o->now), P_TEXT(o->reason), P_ANY(o->tenant), P_TENANT(o->tenant)));

    return r ? r : count_sessions(j, rows);
}

/* Leaves those in bulk_ids whose sessions were ended. */
static int keep_ended(struct store_txn *t, struct mass_job *j)
{
    j->n_users = 0;
    for (size_t i = 0; i < j->n; i++)
        if (j->results[i].sessions)
            j->users[j->n_users++] = j->results[i].id;
    return j->n_users < j->n ? store_bulk_ids(t, j->users, j->n_users) : 0;
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
 * For all who were named, also those without a session: one may be about to begin. Users come
 * before families, as in every other act on an account: two at once do not wait for each other.
 * As a rule all are known; only where the count says otherwise it is asked who.
 */
static int end_epochs(struct store_txn *t, struct mass_job *j)
{
    int64_t changed = 0;
    int r = user_set_not_before_bulk(t, j->options->tenant, j->options->now, &changed);

    if (r || changed < (int64_t)j->n)
        return r ? r : find_known(t, j);
    mark_all_known(j);
    return 0;
}

/* Where a session began by a clock that is ahead of this one. */
static int end_epochs_ahead(struct store_txn *t, const struct mass_job *j)
{
    if (j->newest <= j->options->now)
        return 0;
    return user_set_not_before_bulk(t, j->options->tenant, j->newest, NULL);
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

static int revoke_job(struct store_txn *t, void *arg)
{
    struct mass_job *j = arg;
    int r = store_bulk_ids(t, j->ids, j->n);

    begin_anew(j);
    if (r || j->options->dry_run)
        return r ? r : count_only(t, j);
    r = end_epochs(t, j);
    if (r == 0)
        r = end_sessions(t, j);
    if (r == 0)
        r = end_epochs_ahead(t, j);
    if (r == 0)
        r = keep_ended(t, j);
    if (r == 0 && j->n_users)
        r = notification_add_bulk(t, NOTIFICATION_SESSIONS_REVOKED, j->options->reason,
                                  j->options->now);
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
