#include "http/peers.h"

#include "base/fault.h"

#include <pthread.h>
#include <sodium.h>

enum { BUCKETS = 4096 };

struct peer {
    struct peer *next;
    struct in6_addr key;
    size_t count;
};

struct peers {
    pthread_mutex_t lock;
    size_t max;
    /* A secret seed: a stranger with many addresses cannot aim them at one bucket. */
    unsigned char seed[crypto_shorthash_KEYBYTES];
    struct peer *buckets[BUCKETS];
};

int peers_new(size_t max, struct peers **ret)
{
    struct peers *t = calloc(1, sizeof *t);

    if (!t)
        return fault_set(FAULT_MEMORY, "no memory for the table of peers");
    pthread_mutex_init(&t->lock, NULL);
    t->max = max;
    crypto_shorthash_keygen(t->seed);
    *ret = t;
    return 0;
}

void peers_free(struct peers *t)
{
    if (!t)
        return;
    for (int i = 0; i < BUCKETS; i++) {
        for (struct peer *p = t->buckets[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct in6_addr key_of(const struct in6_addr *address)
{
    struct in6_addr key = *address;

    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(key.s6_addr + 8, 0, 8);
    return key;
}

/* Where the entry of key hangs, or would hang. */
static struct peer **find(struct peers *t, const struct in6_addr *key)
{
    unsigned char hash[crypto_shorthash_BYTES];

    crypto_shorthash(hash, key->s6_addr, sizeof key->s6_addr, t->seed);
    struct peer **at = &t->buckets[(hash[0] | hash[1] << 8) % BUCKETS];
    while (*at && memcmp(&(*at)->key, key, sizeof *key) != 0)
        at = &(*at)->next;
    return at;
}

static int enter_locked(struct peers *t, const struct in6_addr *key)
{
    struct peer **at = find(t, key);

    if (!*at) {
        struct peer *p = calloc(1, sizeof *p);
        if (!p)
            return fault_set(FAULT_MEMORY, "no memory for a peer");
        p->key = *key;
        *at = p;
    }
    if ((*at)->count >= t->max)
        return 1;
    (*at)->count++;
    return 0;
}

int peers_enter(struct peers *t, const struct in6_addr *address)
{
    struct in6_addr key = key_of(address);

    pthread_mutex_lock(&t->lock);
    int r = enter_locked(t, &key);
    pthread_mutex_unlock(&t->lock);
    return r;
}

void peers_leave(struct peers *t, const struct in6_addr *address)
{
    struct in6_addr key = key_of(address);

    pthread_mutex_lock(&t->lock);
    struct peer **at = find(t, &key), *p = *at;
    if (p && --p->count == 0) {
        *at = p->next;
        free(p);
    }
    pthread_mutex_unlock(&t->lock);
}
