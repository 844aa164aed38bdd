#include "sessions/gate.h"

#include "base/clock.h"
#include "base/fault.h"

#include <pthread.h>
#include <sodium.h>

enum { SHARDS = 16, FIRST_BUCKETS = 64 };

struct family {
    struct family *chain;
    struct uuid id;
    int64_t expires_at, keep_until; /* UTC; monotonic */
};

struct account {
    struct account *chain;
    struct account *newer, *older;
    struct gate_account data;
};

/* Both tables of a shard grow by doubling; buckets are chains. */
struct shard {
    pthread_mutex_t lock;
    struct family **families;
    size_t family_buckets, family_count;
    struct account **accounts;
    size_t account_buckets, account_count;
    struct account *newest, *oldest;
    uint64_t forgotten; /* how often anything was forgotten: see gate_account_ticket */
};

struct gate {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    size_t shard_max;
    struct shard shards[SHARDS];
};

int gate_new(size_t accounts_max, struct gate **ret)
{
    struct gate *g = calloc(1, sizeof *g);

    if (!g)
        return fault_set(FAULT_MEMORY, "no memory for the gate");
    crypto_shorthash_keygen(g->hash_key);
    g->shard_max = accounts_max / SHARDS + 1;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&g->shards[i].lock, NULL);
    *ret = g;
    return 0;
}

static void forget_accounts(struct shard *s)
{
    for (struct account *a = s->oldest, *next; a; a = next) {
        next = a->newer;
        free(a);
    }
    if (s->accounts)
        memset(s->accounts, 0, s->account_buckets * sizeof *s->accounts);
    s->newest = s->oldest = NULL;
    s->account_count = 0;
    s->forgotten++;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &g->shards[i];
        for (size_t b = 0; b < s->family_buckets; b++) {
            for (struct family *f = s->families[b], *next; f; f = next) {
                next = f->chain;
                free(f);
            }
        }
        forget_accounts(s);
        free(s->families);
        free(s->accounts);
        pthread_mutex_destroy(&s->lock);
    }
    free(g);
}

static uint64_t id_hash(const struct gate *g, const struct uuid *id)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, id->b, sizeof id->b, g->hash_key);
    return hash;
}

static struct shard *shard_lock(struct gate *g, uint64_t hash)
{
    struct shard *s = &g->shards[hash % SHARDS];

    pthread_mutex_lock(&s->lock);
    return s;
}

static size_t bucket_index(uint64_t hash, size_t buckets)
{
    return hash / SHARDS & (buckets - 1);
}

static int families_grow(const struct gate *g, struct shard *s)
{
    size_t buckets = s->family_buckets ? s->family_buckets * 2 : FIRST_BUCKETS;
    struct family **table = calloc(buckets, sizeof *table);

    if (!table)
        return fault_set(FAULT_MEMORY, "no memory for ended families");
    for (size_t b = 0; b < s->family_buckets; b++) {
        for (struct family *f = s->families[b], *next; f; f = next) {
            next = f->chain;
            size_t at = bucket_index(id_hash(g, &f->id), buckets);
            f->chain = table[at];
            table[at] = f;
        }
    }
    free(s->families);
    s->families = table;
    s->family_buckets = buckets;
    return 0;
}

static struct family *family_find(const struct shard *s, uint64_t hash, const struct uuid *id)
{
    if (s->family_count == 0)
        return NULL;
    struct family *f = s->families[bucket_index(hash, s->family_buckets)];
    while (f && !uuid_eq(&f->id, id))
        f = f->chain;
    return f;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int family_add(const struct gate *g, struct shard *s, uint64_t hash, const struct uuid *id,
                      int64_t expires_at)
{
    struct family *f = family_find(s, hash, id);
    int64_t keep_until = clock_mono() + larger(expires_at - clock_now(), 0);

    if (f) {
        f->expires_at = larger(expires_at, f->expires_at);
        f->keep_until = larger(keep_until, f->keep_until);
        return 0;
    }
    int r = s->family_count >= s->family_buckets ? families_grow(g, s) : 0;
    if (r)
        return r;
    f = malloc(sizeof *f);
    if (!f)
        return fault_set(FAULT_MEMORY, "no memory for an ended family");
    struct family **bucket = &s->families[bucket_index(hash, s->family_buckets)];
    *f = (struct family){*bucket, *id, expires_at, keep_until};
    *bucket = f;
    s->family_count++;
    return 0;
}

int gate_end_family(struct gate *g, const struct uuid *family_id, int64_t expires_at)
{
    uint64_t hash = id_hash(g, family_id);
    struct shard *s = shard_lock(g, hash);
    int r = family_add(g, s, hash, family_id, expires_at);

    pthread_mutex_unlock(&s->lock);
    return r;
}

bool gate_family_ended(struct gate *g, const struct uuid *family_id)
{
    uint64_t hash = id_hash(g, family_id);
    struct shard *s = shard_lock(g, hash);
    bool ended = family_find(s, hash, family_id) != NULL;

    pthread_mutex_unlock(&s->lock);
    return ended;
}

void gate_reap(struct gate *g, int64_t now)
{
    int64_t mono = clock_mono();

    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &g->shards[i];
        pthread_mutex_lock(&s->lock);
        for (size_t b = 0; b < s->family_buckets; b++) {
            for (struct family **at = &s->families[b], *f; (f = *at);) {
                if (f->expires_at > now || f->keep_until > mono) {
                    at = &f->chain;
                    continue;
                }
                *at = f->chain;
                free(f);
                s->family_count--;
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
}

static void list_remove(struct shard *s, struct account *a)
{
    *(a->newer ? &a->newer->older : &s->newest) = a->older;
    *(a->older ? &a->older->newer : &s->oldest) = a->newer;
}

static void list_add_newest(struct shard *s, struct account *a)
{
    a->older = s->newest;
    a->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = a;
    s->newest = a;
}

static struct account *account_find(const struct shard *s, uint64_t hash, const struct uuid *id)
{
    if (s->account_count == 0)
        return NULL;
    struct account *a = s->accounts[bucket_index(hash, s->account_buckets)];
    while (a && !uuid_eq(&a->data.user_id, id))
        a = a->chain;
    return a;
}

static void account_drop(const struct gate *g, struct shard *s, struct account *a)
{
    struct account **at =
        &s->accounts[bucket_index(id_hash(g, &a->data.user_id), s->account_buckets)];

    while (*at != a)
        at = &(*at)->chain;
    *at = a->chain;
    list_remove(s, a);
    s->account_count--;
    free(a);
}

int gate_account_find(struct gate *g, const struct uuid *user_id, struct gate_account *ret)
{
    uint64_t hash = id_hash(g, user_id);
    struct shard *s = shard_lock(g, hash);
    struct account *a = account_find(s, hash, user_id);

    if (a) {
        *ret = a->data;
        if (a != s->newest) {
            list_remove(s, a);
            list_add_newest(s, a);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return a ? 0 : GATE_MISS;
}

uint64_t gate_account_ticket(struct gate *g, const struct uuid *user_id)
{
    struct shard *s = shard_lock(g, id_hash(g, user_id));
    uint64_t ticket = s->forgotten;

    pthread_mutex_unlock(&s->lock);
    return ticket;
}

static int accounts_grow(const struct gate *g, struct shard *s)
{
    size_t buckets = s->account_buckets ? s->account_buckets * 2 : FIRST_BUCKETS;
    struct account **table = calloc(buckets, sizeof *table);

    if (!table)
        return fault_set(FAULT_MEMORY, "no memory for the account cache");
    for (struct account *a = s->oldest; a; a = a->newer) {
        size_t at = bucket_index(id_hash(g, &a->data.user_id), buckets);
        a->chain = table[at];
        table[at] = a;
    }
    free(s->accounts);
    s->accounts = table;
    s->account_buckets = buckets;
    return 0;
}

static int account_put(struct gate *g, struct shard *s, uint64_t hash,
                       const struct gate_account *account)
{
    struct account *a = account_find(s, hash, &account->user_id);

    if (a) {
        a->data = *account;
        return 0;
    }
    if (s->account_count >= g->shard_max)
        account_drop(g, s, s->oldest);
    int r = s->account_count >= s->account_buckets ? accounts_grow(g, s) : 0;
    if (r)
        return r;
    a = malloc(sizeof *a);
    if (!a)
        return fault_set(FAULT_MEMORY, "no memory for a cached account");
    struct account **bucket = &s->accounts[bucket_index(hash, s->account_buckets)];
    *a = (struct account){.chain = *bucket, .data = *account};
    *bucket = a;
    list_add_newest(s, a);
    s->account_count++;
    return 0;
}

int gate_account_put(struct gate *g, uint64_t ticket, const struct gate_account *account)
{
    uint64_t hash = id_hash(g, &account->user_id);
    struct shard *s = shard_lock(g, hash);
    int r = s->forgotten == ticket ? account_put(g, s, hash, account) : 0;

    pthread_mutex_unlock(&s->lock);
    return r;
}

void gate_account_forget(struct gate *g, const struct uuid *user_id)
{
    uint64_t hash = id_hash(g, user_id);
    struct shard *s = shard_lock(g, hash);
    struct account *a = account_find(s, hash, user_id);

    s->forgotten++;
    if (a)
        account_drop(g, s, a);
    pthread_mutex_unlock(&s->lock);
}

void gate_forget_all(struct gate *g)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &g->shards[i];
        pthread_mutex_lock(&s->lock);
        forget_accounts(s);
        pthread_mutex_unlock(&s->lock);
    }
}

void gate_stats(struct gate *g, struct gate_stats *ret)
{
    *ret = (struct gate_stats){0};
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &g->shards[i];
        pthread_mutex_lock(&s->lock);
        ret->families += s->family_count;
        ret->accounts += s->account_count;
        pthread_mutex_unlock(&s->lock);
    }
}
