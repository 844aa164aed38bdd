#include "mail/outbox_quota.h"

#include "base/fault.h"

#include <pthread.h>

enum {
    ENTRIES = 1024, /* lines that are known at the same time; of others it is counted anew */
    COUNT_MS = 10 * CLOCK_SECOND,
    FULL_MS = CLOCK_SECOND
};

static const char count_sql[] = "SELECT count(*) FROM (SELECT 1 FROM email_outbox"
                                " WHERE tenant_id = $1 AND security = $2 LIMIT $3) waiting";

/* What is known of a tenant's line. */
struct entry {
    struct uuid tenant_id;
    bool security, full, counting;
    int64_t left;  /* so many may come until it is counted again, */
    int64_t until; /* and by when it is, by the monotonic clock */
};

struct outbox_quota {
    pthread_mutex_t lock;
    struct entry entries[ENTRIES];
};

int outbox_quota_new(struct outbox_quota **ret)
{
    struct outbox_quota *q = calloc(1, sizeof *q);

    if (!q)
        return fault_set(FAULT_MEMORY, "no memory for what waits in the outbox");
    pthread_mutex_init(&q->lock, NULL);
    *ret = q;
    return 0;
}

void outbox_quota_free(struct outbox_quota *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* The line's entry, or that of another one that may have it. */
static struct entry *place_of(struct outbox_quota *q, const struct uuid *tenant_id, bool security)
{
    uint64_t hash;

    memcpy(&hash, tenant_id->b + 8, sizeof hash); /* of an id the random half */
    return &q->entries[(hash ^ security) % ENTRIES];
}

static bool is_of(const struct entry *e, const struct uuid *tenant_id, bool security)
{
    return uuid_eq(&e->tenant_id, tenant_id) && e->security == security;
}

static int read_count(struct store_rows *rows, void *arg)
{
    int r = store_rows_next(rows);

    *(int64_t *)arg = r == 1 ? store_col_int(rows, 0) : 0;
    return r < 0 ? r : 0;
}

/* Nearer to the limit it is counted sooner: for others accept too. */
static void note(struct entry *e, int64_t waiting, int64_t max, int64_t mono)
{
    int64_t room = max - waiting, left = room / 4 + max / 128;

    e->full = room <= 0;
    e->left = left < room ? left : room;
    e->until = mono + (e->full ? FULL_MS : COUNT_MS);
}

/* Counts, with nobody waiting for it meanwhile. */
static int count(struct mail *m, const struct uuid *tenant_id, bool security, int64_t max,
                 int64_t mono)
{
    struct outbox_quota *q = m->quota;
    int64_t waiting = 0;
    int r = store_find(m->store, count_sql, read_count, &waiting,
                       PARAMS(P_ID(tenant_id), P_INT(security), P_INT(max)));

    pthread_mutex_lock(&q->lock);
    struct entry *e = place_of(q, tenant_id, security);
    if (is_of(e, tenant_id, security)) {
        e->counting = false;
        if (r == 0)
            note(e, waiting, max, mono);
        e->left -= r == 0 && !e->full;
    }
    pthread_mutex_unlock(&q->lock);
    if (r)
        return r;
    return waiting >= max ? OUTBOX_FULL : 0;
}

int outbox_quota_admit(struct mail *m, const struct uuid *tenant_id, bool security, int64_t mono)
{
    int64_t max = config_current()->email_waiting_limit;
    struct outbox_quota *q = m->quota;

    if (max == 0)
        return 0;
    pthread_mutex_lock(&q->lock);
    struct entry *e = place_of(q, tenant_id, security);
    if (!is_of(e, tenant_id, security))
        *e = (struct entry){.tenant_id = *tenant_id, .security = security};
    bool counts = !e->counting && (mono >= e->until || (!e->full && e->left <= 0));
    int r = e->full ? OUTBOX_FULL : 0;
    if (counts)
        e->counting = true;
    else
        e->left--;
    pthread_mutex_unlock(&q->lock);
    return counts ? count(m, tenant_id, security, max, mono) : r;
}
