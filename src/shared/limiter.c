#include "shared/limiter.h"

#include "base/fault.h"

#include <pthread.h>
#include <sodium.h>

enum { SHARDS = 16, BUCKETS = 4096 };

struct entry {
    struct entry *chain;         /* in its bucket */
    struct entry *newer, *older; /* in its shard, by last use */
    struct limiter_key key;
    struct limiter_rule rule;
    /* Exact: times[0..count) in a ring that begins at first. Else: two fixed windows. */
    int64_t window_start, previous, current;
    uint32_t first, count, capacity;
    int64_t times[];
};

struct shard {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS / SHARDS];
    struct entry *newest, *oldest;
    size_t size;
};

struct limiter {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    size_t shard_max;
    struct shard shards[SHARDS];
};

int limiter_new(size_t keys_max, struct limiter **ret)
{
    struct limiter *l = calloc(1, sizeof *l);

    if (!l)
        return fault_set(FAULT_MEMORY, "no memory for a rate limiter");
    crypto_shorthash_keygen(l->hash_key);
    l->shard_max = keys_max / SHARDS + 1;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&l->shards[i].lock, NULL);
    *ret = l;
    return 0;
}

void limiter_free(struct limiter *l)
{
    if (!l)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (struct entry *e = l->shards[i].oldest, *next; e; e = next) {
            next = e->newer;
            free(e);
        }
        pthread_mutex_destroy(&l->shards[i].lock);
    }
    free(l);
}

struct limiter_key limiter_key_of_address(uint64_t kind, const struct in6_addr *address)
{
    struct limiter_key key = {.kind = kind};

    memcpy(key.subject, address->s6_addr, sizeof key.subject);
    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(key.subject + 8, 0, 8);
    return key;
}

static void list_remove(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void list_add_newest(struct shard *s, struct entry *e)
{
    e->older = s->newest;
    e->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static uint64_t key_hash(const struct limiter *l, const struct limiter_key *key)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, sizeof *key, l->hash_key);
    return hash;
}

static struct entry **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash / SHARDS % (BUCKETS / SHARDS)];
}

static void entry_drop(const struct limiter *l, struct shard *s, struct entry *e)
{
    struct entry **at = bucket_of(s, key_hash(l, &e->key));

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    list_remove(s, e);
    s->size--;
    free(e);
}

static struct entry *entry_find(struct shard *s, uint64_t hash, const struct limiter_key *key)
{
    struct entry *e = *bucket_of(s, hash);

    while (e && memcmp(&e->key, key, sizeof *key) != 0)
        e = e->chain;
    return e;
}

static struct entry *entry_add(struct limiter *l, struct shard *s, uint64_t hash,
                               const struct limiter_key *key, struct limiter_rule rule)
{
    uint32_t capacity = rule.limit <= LIMITER_EXACT_MAX ? (uint32_t)rule.limit : 0;
    struct entry *e = calloc(1, sizeof *e + capacity * sizeof e->times[0]);

    if (!e)
        return NULL;
    if (s->size >= l->shard_max)
        entry_drop(l, s, s->oldest);
    e->key = *key;
    e->rule = rule;
    e->capacity = capacity;
    e->chain = *bucket_of(s, hash);
    *bucket_of(s, hash) = e;
    list_add_newest(s, e);
    s->size++;
    return e;
}

/* Whether the limit is reached; *state says until when, or how many are left. */
static bool is_full_exact(struct entry *e, int64_t now, struct limiter_state *state)
{
    while (e->count && e->times[e->first] <= now - e->rule.window_ms) {
        e->first = (e->first + 1) % e->capacity;
        e->count--;
    }
    *state = (struct limiter_state){e->rule.limit, e->capacity - e->count, 0};
    if (e->count)
        state->reset_ms = e->times[e->first] + e->rule.window_ms - now;
    return e->count == e->capacity;
}

static bool is_full_weighed(struct entry *e, int64_t now, struct limiter_state *state)
{
    int64_t window = e->rule.window_ms, passed = now - e->window_start;

    if (passed >= window) {
        e->previous = passed < 2 * window ? e->current : 0;
        e->current = 0;
        e->window_start = now - passed % window;
        passed = now - e->window_start;
    }
    int64_t used = e->current + e->previous * (window - passed) / window;
    int64_t reset = window - passed;
    bool full = used >= e->rule.limit;
    *state = (struct limiter_state){e->rule.limit, full ? 0 : e->rule.limit - used, reset};
    return full;
}

static bool is_full(struct entry *e, int64_t now, struct limiter_state *state)
{
    return e->capacity ? is_full_exact(e, now, state) : is_full_weighed(e, now, state);
}

static int take(struct entry *e, int64_t now, struct limiter_state *state)
{
    if (is_full(e, now, state))
        return LIMITER_REFUSED;
    state->remaining--;
    if (e->capacity)
        e->times[(e->first + e->count++) % e->capacity] = now;
    else
        e->current++;
    if (e->capacity)
        state->reset_ms = e->times[e->first] + e->rule.window_ms - now;
    return 0;
}

static bool is_of(const struct entry *e, struct limiter_rule rule)
{
    return e->rule.limit == rule.limit && e->rule.window_ms == rule.window_ms;
}

int limiter_look(struct limiter *l, const struct limiter_key *key, struct limiter_rule rule,
                 int64_t now, struct limiter_state *ret_state)
{
    uint64_t hash = key_hash(l, key);
    struct shard *s = &l->shards[hash % SHARDS];
    struct limiter_state state;

    pthread_mutex_lock(&s->lock);
    struct entry *e = entry_find(s, hash, key);
    bool full = e && is_of(e, rule) && is_full(e, now, &state);
    pthread_mutex_unlock(&s->lock);
    if (full)
        *ret_state = state;
    return full ? LIMITER_REFUSED : 0;
}

int limiter_take(struct limiter *l, const struct limiter_key *key, struct limiter_rule rule,
                 int64_t now, struct limiter_state *ret_state)
{
    uint64_t hash = key_hash(l, key);
    struct shard *s = &l->shards[hash % SHARDS];

    pthread_mutex_lock(&s->lock);
    struct entry *e = entry_find(s, hash, key);
    /* A reloaded limit starts its keys anew. */
    if (e && !is_of(e, rule)) {
        entry_drop(l, s, e);
        e = NULL;
    }
    if (e) {
        list_remove(s, e);
        list_add_newest(s, e);
    } else {
        e = entry_add(l, s, hash, key, rule);
        if (e)
            e->window_start = now;
    }
    int r = e ? take(e, now, ret_state) : fault_set(FAULT_MEMORY, "no memory for a rate limit");
    pthread_mutex_unlock(&s->lock);
    return r;
}

void limiter_clear(struct limiter *l, const struct limiter_key *key)
{
    uint64_t hash = key_hash(l, key);
    struct shard *s = &l->shards[hash % SHARDS];

    pthread_mutex_lock(&s->lock);
    struct entry *e = entry_find(s, hash, key);
    if (e)
        entry_drop(l, s, e);
    pthread_mutex_unlock(&s->lock);
}

size_t limiter_size(struct limiter *l)
{
    size_t size = 0;

    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&l->shards[i].lock);
        size += l->shards[i].size;
        pthread_mutex_unlock(&l->shards[i].lock);
    }
    return size;
}
