#include "sessions/mass.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/sha256.h"
#include "identity/notification.h"

/*
 * bulk_ids holds the chunk. CROSS JOIN has SQLite read it first and look each user up; with JOIN
 * it may read all users instead. $2 is 1 for an operator, who has no bound.
 */
static const char count_sql[] =
    "SELECT u.id, count(f.id) FROM bulk_ids b CROSS JOIN users u "
    "LEFT JOIN families f ON f.user_id = u.id AND f.revoked_at IS NULL AND f.expires_at > $1 "
    "AND f.idle_expires_at > $1 WHERE u.id = b.id AND ($2 = 1 OR u.tenant_id = $3) "
    "GROUP BY u.id ORDER BY u.id";
static const char end_sql[] =
    "UPDATE families SET revoked_at = $1, revoked_reason = $2 "
    "WHERE user_id IN (SELECT id FROM bulk_ids) AND revoked_at IS NULL AND expires_at > $1 "
    "AND idle_expires_at > $1";
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
    struct uuid *ending;         /* users with active sessions */
    size_t n_ending;
    struct mass_totals totals;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* Both lists ascend, so one pass joins them. */
static int count_sessions(struct store_txn *t, struct mass_job *j)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    const struct uuid *tenant = j->options->tenant;
    size_t at = 0;
    int r = store_query(t, count_sql, &rows,
                        PARAMS(P_INT(j->options->now), P_INT(tenant ? 0 : 1),
                               tenant ? P_ID(tenant) : P_BLOB("", 0)));

    j->n_ending = 0;
    j->totals = (struct mass_totals){.requested = (int64_t)j->n};
    for (size_t i = 0; i < j->n; i++)
        j->results[i] = (struct mass_result){.id = j->ids[i]};
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 0);
        while (at < j->n && !uuid_eq(&j->ids[at], &id))
            at++;
        if (at == j->n)
            return fault_set(FAULT_STORE, "a mass revocation's counts are out of order");
        int64_t sessions = store_col_int(rows, 1);
        j->results[at].known = true;
        j->results[at].sessions = sessions;
        j->totals.matched++;
        j->totals.sessions += sessions;
        if (sessions)
            j->ending[j->n_ending++] = id;
        r = 0;
    }
    j->totals.unknown = j->totals.requested - j->totals.matched;
    j->totals.users_with_sessions = (int64_t)j->n_ending;
    return r;
}

/* The digest binds the record to exactly these users without holding a list of them. */
static int write_detail(const struct mass_job *j, struct buf *out)
{
    uint8_t digest[SHA256_SIZE];
    char text[HEX_LENGTH(SHA256_SIZE) + 1];
    struct str ids = {(const char *)j->ending, j->n_ending * sizeof *j->ending};
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

static int revoke_job(struct store_txn *t, void *arg)
{
    struct mass_job *j = arg;
    int64_t now = j->options->now, ended;
    int r = store_bulk_ids(t, j->ids, j->n);

    if (r == 0)
        r = count_sessions(t, j);
    if (r || j->options->dry_run)
        return r;
    if (j->n_ending) {
        r = store_bulk_ids(t, j->ending, j->n_ending);
        if (r == 0)
            r = store_exec(t, end_sql, &ended, PARAMS(P_INT(now), P_TEXT(j->options->reason)));
        if (r == 0) {
            /* Sessions that began since they were counted are ended too. */
            j->totals.sessions = ended;
            r = user_set_not_before_bulk(t, now, NULL);
        }
        if (r == 0)
            r = notification_add_bulk(t, NOTIFICATION_SESSIONS_REVOKED, j->options->reason, now);
        if (r == 0)
            r = feed_all(t, now, session_access_horizon(now));
    }
    return r ? r : record(t, j);
}

int mass_revoke(struct sessions *s, const struct trail_actor *actor,
                const struct mass_options *options, const struct uuid *ids, size_t n,
                struct mass_result *results, struct mass_totals *totals)
{
    struct mass_job j = {.s = s, .actor = actor, .options = options, .n = n, .results = results};
    struct uuid *sorted = malloc((n + 1) * sizeof *sorted);
    int r = 0;

    j.ending = malloc((n + 1) * sizeof *j.ending);
    if (!sorted || !j.ending) {
        r = fault_set(FAULT_MEMORY, "no memory for a mass revocation of %zu users", n);
    } else {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, compare_ids);
        j.ids = sorted;
        r = store_write(s->store, revoke_job, &j);
    }
    if (r == 0 && !options->dry_run && j.n_ending)
        gate_forget_all(s->gate);
    free(sorted);
    free(j.ending);
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

/* Gives the id to every place of the address, for it may repeat. */
static void place_id(const struct resolving *job, const struct indexed *index, struct str address,
                     const struct uuid *id)
{
    struct indexed key = {address, 0};
    const struct indexed *at = bsearch(&key, index, job->n, sizeof *index, compare_addresses);

    while (at && at > index && compare_addresses(at - 1, &key) == 0)
        at--;
    for (; at && at < index + job->n && compare_addresses(at, &key) == 0; at++)
        job->ids[at->index] = *id;
}

static int resolve_job(struct store_txn *t, void *arg)
{
    struct resolving *job = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    struct indexed *index = index_addresses(job);
    int r = index ? store_bulk_texts(t, job->addresses, job->n)
                  : fault_set(FAULT_MEMORY, "no memory for %zu addresses", job->n);

    if (r == 0)
        r = store_query(
            t, resolve_sql, &rows,
            PARAMS(P_INT(job->tenant ? 0 : 1), job->tenant ? P_ID(job->tenant) : P_BLOB("", 0)));
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct uuid id = store_col_id(rows, 1);
        place_id(job, index, store_col_text(rows, 0), &id);
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
