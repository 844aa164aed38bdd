#include "base/fault.h"
#include "sessions/mass_job.h"

static const char resolve_sql[] =
    "SELECT u.email, u.id FROM bulk_texts b CROSS JOIN users u WHERE u.email = b.value "
    "AND ($1 = 1 OR u.tenant_id = $2)";

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
        r = store_look_up(t);
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
