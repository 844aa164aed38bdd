#include "mail/share_cache.h"

#include "base/fault.h"
#include "mail/moves.h"

#include <pthread.h>

enum { CHAINS = 8192, MERGE_MIN = 512, SIZE_OF_ENTRY = 200 };

struct key {
    struct uuid tenant; /* nil: all */
    int64_t bucket, span;
    enum mail_group group;
};

/* A bucket's groups, and the sum they belong to; names follow the shares in one block. */
struct entry {
    struct entry *next;
    struct key key;
    struct mail_counts sum;
    struct mail_share *shares;
    size_t n, bytes;
};

struct share_cache {
    pthread_mutex_t lock;
    struct entry *chains[CHAINS];
    size_t bytes;
    uint64_t kept, read;
};

#define COUNTS                                                                                     \
    "sum(queued), sum(sent), sum(delayed), sum(delivered), sum(suppressed), sum(rejected),"        \
    " sum(bounced), sum(complained), sum(bounced_counted), sum(complained_counted)"
#define WHERE " WHERE bucket >= $1 AND bucket < $2 AND "
#define EACH(select, where, end)                                                                   \
    {                                                                                              \
        {select " FROM email_rollups" WHERE where end,                                             \
         select " FROM email_rollups" WHERE where " AND tenant_id = $3" end},                      \
        {                                                                                          \
            select " FROM email_rollups_hourly" WHERE where end,                                   \
                select " FROM email_rollups_hourly" WHERE where " AND tenant_id = $3" end          \
        }                                                                                          \
    }

/* By table, and whether there is a tenant. */
static const char *const sums_sql[2][2] =
    EACH("SELECT bucket, " COUNTS, "domain = ''", " GROUP BY bucket ORDER BY bucket");
static const char *const domains_sql[2][2] =
    EACH("SELECT bucket, domain, " COUNTS, "domain <> '' AND domain <> '" MAIL_ANY_DOMAIN "'",
         " GROUP BY bucket, domain ORDER BY bucket");
static const char *const templates_sql[2][2] =
    EACH("SELECT bucket, template, " COUNTS, "domain = '" MAIL_ANY_DOMAIN "'",
         " GROUP BY bucket, template ORDER BY bucket");

int share_cache_new(struct share_cache **ret)
{
    struct share_cache *c = calloc(1, sizeof *c);

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for figures of mail");
    pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return 0;
}

static void free_entry(struct entry *e)
{
    free(e->shares);
    free(e);
}

static void forget_all(struct share_cache *c)
{
    for (size_t i = 0; i < CHAINS; i++) {
        while (c->chains[i]) {
            struct entry *e = c->chains[i];
            c->chains[i] = e->next;
            free_entry(e);
        }
    }
    c->bytes = 0;
}

void share_cache_free(struct share_cache *c)
{
    if (!c)
        return;
    forget_all(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct entry **chain_of(struct share_cache *c, const struct key *key)
{
    uint64_t h = (uint64_t)key->bucket / MAIL_BUCKET_MS * 4 + (uint64_t)key->group * 2 +
                 (key->span == CLOCK_HOUR);

    for (size_t i = 0; i < sizeof key->tenant.b; i++)
        h = h * 31 + key->tenant.b[i];
    return &c->chains[h % CHAINS];
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->bucket == b->bucket && a->span == b->span && a->group == b->group &&
           uuid_eq(&a->tenant, &b->tenant);
}

static bool same_counts(const struct mail_counts *a, const struct mail_counts *b)
{
    return memcmp(a->in, b->in, sizeof a->in) == 0 && a->bounced_counted == b->bounced_counted &&
           a->complained_counted == b->complained_counted;
}

/* What is being put together: groups by name, in an open table of the arena. */
struct merge {
    struct arena *arena;
    struct mail_share *slots; /* the name's p is NULL where it is free */
    size_t n, cap;
};

static size_t hash_of(struct str name)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 1099511628211U;
    return (size_t)h;
}

static struct mail_share *slot_of(const struct merge *m, struct str name)
{
    size_t i = hash_of(name) & (m->cap - 1);

    while (m->slots[i].name.p && !str_eq(m->slots[i].name, name))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static int grow(struct merge *m)
{
    struct merge wider = {.arena = m->arena, .n = m->n, .cap = m->cap ? m->cap * 2 : MERGE_MIN};

    wider.slots = arena_array(m->arena, wider.cap, sizeof *wider.slots);
    if (!wider.slots)
        return FAULT_MEMORY;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].name.p)
            *slot_of(&wider, m->slots[i].name) = m->slots[i];
    *m = wider;
    return 0;
}

static int add(struct merge *m, const struct mail_share *share)
{
    int r = 2 * (m->n + 1) > m->cap ? grow(m) : 0;

    if (r)
        return r;
    struct mail_share *slot = slot_of(m, share->name);
    if (!slot->name.p) {
        slot->name = arena_str(m->arena, share->name);
        if (!slot->name.p)
            return FAULT_MEMORY;
        m->n++;
    }
    for (int i = 0; i < MAIL_STATES; i++)
        slot->counts.in[i] += share->counts.in[i];
    slot->counts.bounced_counted += share->counts.bounced_counted;
    slot->counts.complained_counted += share->counts.complained_counted;
    return 0;
}

static int add_all(struct merge *m, const struct mail_share *shares, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = add(m, &shares[i]);
    return r;
}

static struct mail_counts read_counts(struct store_rows *rows, int first)
{
    struct mail_counts c;

    for (int i = 0; i < MAIL_STATES; i++)
        c.in[i] = store_col_int(rows, first + i);
    c.bounced_counted = store_col_int(rows, first + MAIL_STATES);
    c.complained_counted = store_col_int(rows, first + MAIL_STATES + 1);
    return c;
}

/* A stretch of one table, and the sums of its buckets. */
struct part {
    struct share_cache *cache;
    struct store_txn *t;
    struct arena *arena;
    struct key key; /* but for the bucket */
    const struct uuid *tenant;
    int64_t from, to;
    struct mail_point *sums;
    size_t n;
};

static int query(const struct part *p, const char *const sql[2][2], int64_t from, int64_t to,
                 struct store_rows **ret_rows)
{
    struct store_param params[3] = {P_INT(from), P_INT(to)};

    if (p->tenant)
        params[2] = P_ID(p->tenant);
    return store_query(p->t, sql[p->key.span == CLOCK_HOUR][p->tenant != NULL], ret_rows, params,
                       p->tenant ? 3 : 2);
}

static int read_sums(struct part *p)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    size_t most = (size_t)((p->to - p->from) / p->key.span);
    int r = query(p, sums_sql, p->from, p->to, &rows);

    p->sums = arena_array(p->arena, most + 1, sizeof *p->sums);
    if (r == 0 && !p->sums)
        r = FAULT_MEMORY;
    while (r == 0 && p->n < most && (r = store_rows_next(rows)) == 1) {
        p->sums[p->n++] = (struct mail_point){store_col_int(rows, 0), read_counts(rows, 1)};
        r = 0;
    }
    return r;
}

/* Adds what is kept of a bucket. *ret_kept: whether anything is. */
static int take_kept(struct part *p, const struct mail_point *sum, struct merge *m, bool *ret_kept)
{
    struct share_cache *c = p->cache;
    int r = 0;

    p->key.bucket = sum->at;
    *ret_kept = false;
    pthread_mutex_lock(&c->lock);
    struct entry *e = *chain_of(c, &p->key);
    while (e && !same_key(&e->key, &p->key))
        e = e->next;
    if (e && same_counts(&e->sum, &sum->counts)) {
        *ret_kept = true;
        r = add_all(m, e->shares, e->n);
    }
    c->kept += *ret_kept;
    c->read += !*ret_kept;
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* One block for the shares and their names; NULL without memory, as nothing has to be kept. */
static struct entry *make_entry(const struct key *key, const struct mail_point *sum,
                                const struct mail_share *shares, size_t n)
{
    size_t names = 0;

    for (size_t i = 0; i < n; i++)
        names += shares[i].name.n;
    struct entry *e = calloc(1, sizeof *e);
    struct mail_share *copies = malloc(n * sizeof *copies + names + 1);
    if (!e || !copies) {
        free(e);
        free(copies);
        return NULL;
    }
    char *at = (char *)(copies + n);
    for (size_t i = 0; i < n; i++) {
        copies[i] = shares[i];
        if (shares[i].name.n)
            memcpy(at, shares[i].name.p, shares[i].name.n);
        copies[i].name.p = at;
        at += shares[i].name.n;
    }
    *e = (struct entry){.key = *key,
                        .sum = sum->counts,
                        .shares = copies,
                        .n = n,
                        .bytes = n * sizeof *copies + names + SIZE_OF_ENTRY};
    e->key.bucket = sum->at;
    return e;
}

static void keep(struct share_cache *c, struct entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->bytes + e->bytes > SHARE_CACHE_BYTES)
        forget_all(c);
    struct entry **at = chain_of(c, &e->key);
    while (*at && !same_key(&(*at)->key, &e->key))
        at = &(*at)->next;
    if (*at) {
        struct entry *old = *at;
        e->next = old->next;
        c->bytes -= old->bytes;
        free_entry(old);
    }
    *at = e;
    c->bytes += e->bytes;
    pthread_mutex_unlock(&c->lock);
}

/* The groups of one bucket, as far as they were read. */
struct gathered {
    struct mail_share *shares;
    size_t n, cap;
};

static int gather(struct gathered *g, struct arena *a, struct store_rows *rows)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct mail_share *wider = arena_array(a, cap, sizeof *wider);
        if (!wider)
            return FAULT_MEMORY;
        if (g->n)
            memcpy(wider, g->shares, g->n * sizeof *wider);
        g->shares = wider;
        g->cap = cap;
    }
    struct str name = arena_str(a, store_col_text(rows, 1));
    g->shares[g->n++] = (struct mail_share){name, read_counts(rows, 2)};
    return name.p ? 0 : FAULT_MEMORY;
}

/* Reads the buckets of sums first to last, keeps and adds them. */
static int read_run(struct part *p, size_t first, size_t last, struct merge *m)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct gathered g = {0};
    size_t at = first;
    int r = query(p, p->key.group == MAIL_BY_DOMAIN ? domains_sql : templates_sql,
                  p->sums[first].at, p->sums[last].at + 1, &rows);

    while (r == 0 && at <= last) {
        r = store_rows_next(rows);
        bool more = r == 1;
        /* Rows of a bucket without a sum are what is left of one that is being removed. */
        while (r >= 0 && at <= last && (!more || store_col_int(rows, 0) > p->sums[at].at)) {
            keep(p->cache, make_entry(&p->key, &p->sums[at], g.shares, g.n));
            int added = add_all(m, g.shares, g.n);
            r = added ? added : r;
            g.n = 0;
            at++;
        }
        if (r == 1 && at <= last && store_col_int(rows, 0) == p->sums[at].at)
            r = gather(&g, p->arena, rows);
        r = r == 1 ? 0 : r;
    }
    return r;
}

static int read_part(struct part *p, struct merge *m)
{
    size_t begun = 0;
    bool run = false;
    int r = p->from < p->to ? read_sums(p) : 0;

    for (size_t i = 0; r == 0 && i < p->n; i++) {
        bool kept = false;
        r = take_kept(p, &p->sums[i], m, &kept);
        if (r == 0 && kept && run)
            r = read_run(p, begun, i - 1, m);
        if (!kept && !run)
            begun = i;
        run = !kept;
    }
    if (r == 0 && run)
        r = read_run(p, begun, p->n - 1, m);
    return r;
}

static int by_sent(const void *a, const void *b)
{
    const struct mail_share *x = a, *y = b;
    int64_t sent_x = mail_counts_sent(&x->counts), sent_y = mail_counts_sent(&y->counts);

    return sent_x == sent_y ? str_compare(x->name, y->name) : sent_x < sent_y ? 1 : -1;
}

/* The first of the table, in order, at its beginning. */
static size_t finish(struct merge *m, size_t limit)
{
    size_t n = 0;

    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].name.p)
            m->slots[n++] = m->slots[i];
    if (n)
        qsort(m->slots, n, sizeof *m->slots, by_sent);
    return n < limit ? n : limit;
}

int share_cache_read(struct share_cache *c, struct store_txn *t, struct arena *a,
                     const struct mail_window *w, enum mail_group group, size_t limit,
                     struct mail_share **ret_shares, size_t *ret_n)
{
    struct merge m = {.arena = a};
    int64_t first, last;

    mail_window_hours(w, &first, &last);
    if ((last - first) / CLOCK_HOUR > SHARE_CACHE_BUCKETS)
        return mail_metrics_shares(t, a, w, group, MAIL_MOST_SENT, limit, ret_shares, ret_n);
    struct part whole = {.cache = c,
                         .t = t,
                         .arena = a,
                         .key = {.span = CLOCK_HOUR, .group = group},
                         .tenant = w->tenant,
                         .from = first,
                         .to = last};
    if (w->tenant)
        whole.key.tenant = *w->tenant;
    struct part before = whole, behind = whole;
    before.key.span = behind.key.span = MAIL_BUCKET_MS;
    before.from = w->since;
    before.to = first;
    behind.from = last;
    behind.to = w->until;
    int r = read_part(&whole, &m);
    if (r == 0)
        r = read_part(&before, &m);
    if (r == 0)
        r = read_part(&behind, &m);
    if (r)
        return r;
    *ret_n = finish(&m, limit);
    *ret_shares = m.slots;
    return 0;
}

void share_cache_stats(struct share_cache *c, uint64_t *ret_kept, uint64_t *ret_read)
{
    pthread_mutex_lock(&c->lock);
    *ret_kept = c->kept;
    *ret_read = c->read;
    pthread_mutex_unlock(&c->lock);
}
