#include "mail/share_kept.h"

#include "base/fault.h"
#include "mail/moves.h"

#include <pthread.h>
#include <sodium.h>

enum { CHAINS = 8192, SIZE_OF_ENTRY = 200 };

/* Names follow the shares in one block. */
struct entry {
    struct entry *next;
    struct kept_key key;
    struct mail_counts sum;
    struct kept_share *shares;
    size_t n, bytes;
};

struct share_kept {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    pthread_mutex_t lock;
    struct entry *chains[CHAINS];
    size_t bytes;
    uint64_t kept, read;
};

int share_kept_new(struct share_kept **ret)
{
    struct share_kept *k = calloc(1, sizeof *k);

    if (!k)
        return fault_set(FAULT_MEMORY, "no memory for figures of mail");
    crypto_shorthash_keygen(k->hash_key);
    pthread_mutex_init(&k->lock, NULL);
    *ret = k;
    return 0;
}

const uint8_t *share_kept_key(const struct share_kept *k)
{
    return k->hash_key;
}

static void free_entry(struct entry *e)
{
    free(e->shares);
    free(e);
}

static void forget_all(struct share_kept *k)
{
    for (size_t i = 0; i < CHAINS; i++) {
        while (k->chains[i]) {
            struct entry *e = k->chains[i];
            k->chains[i] = e->next;
            free_entry(e);
        }
    }
    k->bytes = 0;
}

void share_kept_free(struct share_kept *k)
{
    if (!k)
        return;
    forget_all(k);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static bool same_key(const struct kept_key *a, const struct kept_key *b)
{
    return a->bucket == b->bucket && a->span == b->span && a->parts == b->parts &&
           uuid_eq(&a->tenant, &b->tenant);
}

/* Where the entry of a key is, or would be. */
static struct entry **place_of(struct share_kept *k, const struct kept_key *key)
{
    uint64_t h = (uint64_t)(key->bucket + key->span) / MAIL_BUCKET_MS * 4 + (uint64_t)key->parts;

    for (size_t i = 0; i < sizeof key->tenant.b; i++)
        h = h * 31 + key->tenant.b[i];
    struct entry **at = &k->chains[h % CHAINS];
    while (*at && !same_key(&(*at)->key, key))
        at = &(*at)->next;
    return at;
}

static bool same_counts(const struct mail_counts *a, const struct mail_counts *b)
{
    return memcmp(a->in, b->in, sizeof a->in) == 0 && a->bounced_counted == b->bounced_counted &&
           a->complained_counted == b->complained_counted;
}

bool share_kept_pack(const struct mail_counts *c, struct kept_share *ret)
{
    int64_t bits = c->bounced_counted | c->complained_counted;

    for (int i = 0; i < MAIL_STATES; i++) {
        bits |= c->in[i];
        ret->counts[i] = (uint32_t)c->in[i];
    }
    ret->counts[MAIL_STATES] = (uint32_t)c->bounced_counted;
    ret->counts[MAIL_STATES + 1] = (uint32_t)c->complained_counted;
    return bits >= 0 && bits <= UINT32_MAX;
}

struct mail_counts share_kept_counts(const struct kept_share *share)
{
    struct mail_counts c = {.bounced_counted = share->counts[MAIL_STATES],
                            .complained_counted = share->counts[MAIL_STATES + 1]};

    for (int i = 0; i < MAIL_STATES; i++)
        c.in[i] = share->counts[i];
    return c;
}

int share_kept_take(struct share_kept *k, const struct kept_key *key, const struct mail_counts *sum,
                    share_kept_add *add, void *arg, bool *ret_kept)
{
    int r = 0;

    pthread_mutex_lock(&k->lock);
    const struct entry *e = *place_of(k, key);
    bool kept = e && same_counts(&e->sum, sum);
    if (kept)
        r = add(arg, e->shares, e->n);
    k->kept += kept;
    k->read += !kept;
    pthread_mutex_unlock(&k->lock);
    *ret_kept = kept;
    return r;
}

/* NULL without memory. */
static struct entry *make_entry(const struct kept_key *key, const struct mail_counts *sum,
                                const struct kept_share *shares, size_t n)
{
    size_t names = 0;

    for (size_t i = 0; i < n; i++)
        names += shares[i].name.n;
    struct entry *e = calloc(1, sizeof *e);
    struct kept_share *copies = malloc(n * sizeof *copies + names + 1);
    if (!e || !copies) {
        free(e);
        free(copies);
        return NULL;
    }
    char *at = (char *)(copies + n);
    for (size_t i = 0; i < n; i++) {
        copies[i] = shares[i];
        copies[i].name.p = at;
        if (shares[i].name.n)
            memcpy(at, shares[i].name.p, shares[i].name.n);
        at += shares[i].name.n;
    }
    *e = (struct entry){.key = *key,
                        .sum = *sum,
                        .shares = copies,
                        .n = n,
                        .bytes = n * sizeof *copies + names + SIZE_OF_ENTRY};
    return e;
}

void share_kept_put(struct share_kept *k, const struct kept_key *key, const struct mail_counts *sum,
                    const struct kept_share *shares, size_t n)
{
    struct entry *e = make_entry(key, sum, shares, n);

    if (!e)
        return;
    pthread_mutex_lock(&k->lock);
    if (k->bytes + e->bytes > SHARE_KEPT_BYTES)
        forget_all(k);
    struct entry **at = place_of(k, key);
    if (*at) {
        struct entry *old = *at;
        e->next = old->next;
        k->bytes -= old->bytes;
        free_entry(old);
    }
    *at = e;
    k->bytes += e->bytes;
    pthread_mutex_unlock(&k->lock);
}

void share_kept_stats(struct share_kept *k, uint64_t *ret_kept, uint64_t *ret_read)
{
    pthread_mutex_lock(&k->lock);
    *ret_kept = k->kept;
    *ret_read = k->read;
    pthread_mutex_unlock(&k->lock);
}
