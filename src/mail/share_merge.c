#include "mail/share_merge.h"

#include "base/fault.h"

#include <sodium.h>

enum { CAP_MIN = 512 };

/* Of an open table. */
struct share_slot {
    struct mail_share share; /* the name's p is NULL where it is free */
    uint32_t hash;
};

uint32_t share_merge_hash(const struct share_merge *m, struct str name)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name.p, name.n, m->key);
    return (uint32_t)hash;
}

static struct share_slot *slot_of(const struct share_merge *m, struct str name, uint32_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].share.name.p &&
           (m->slots[i].hash != hash || !str_eq(m->slots[i].share.name, name)))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static int grow(struct share_merge *m)
{
    struct share_merge wider = *m;

    wider.cap = m->cap ? m->cap * 2 : CAP_MIN;
    wider.slots = arena_array(m->arena, wider.cap, sizeof *wider.slots);
    if (!wider.slots)
        return FAULT_MEMORY;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].share.name.p)
            *slot_of(&wider, m->slots[i].share.name, m->slots[i].hash) = m->slots[i];
    *m = wider;
    return 0;
}

int share_merge_find(struct share_merge *m, struct str name, uint32_t hash, struct mail_share **ret)
{
    int r = 2 * (m->n + 1) > m->cap ? grow(m) : 0;

    if (r)
        return r;
    struct share_slot *slot = slot_of(m, name, hash);
    if (!slot->share.name.p) {
        if (m->n == SHARE_MERGE_MAX)
            return SHARE_MERGE_FULL;
        slot->share.name = arena_str(m->arena, name);
        if (!slot->share.name.p)
            return FAULT_MEMORY;
        slot->hash = hash;
        m->n++;
    }
    *ret = &slot->share;
    return 0;
}

struct ranked {
    struct mail_share share; /* first */
    int64_t figure, sent;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int c = (x->figure < y->figure) - (x->figure > y->figure);

    if (c == 0)
        c = (x->sent < y->sent) - (x->sent > y->sent);
    return c ? c : str_compare(x->share.name, y->share.name);
}

int share_merge_rank(const struct share_merge *m, const struct mail_ranking *by,
                     struct mail_share **ret_shares, size_t *ret_n)
{
    struct ranked *all = arena_array(m->arena, m->n + 1, sizeof *all);
    struct mail_share *shares = arena_array(m->arena, by->limit + 1, sizeof *shares);
    size_t n = 0;

    if (!all || !shares)
        return FAULT_MEMORY;
    for (size_t i = 0; i < m->cap; i++) {
        const struct mail_share *s = &m->slots[i].share;
        if (s->name.p)
            all[n++] = (struct ranked){*s, mail_counts_figure(&s->counts, by->order),
                                       mail_counts_sent(&s->counts)};
    }
    if (n)
        qsort(all, n, sizeof *all, compare_ranked);
    *ret_n = n < by->limit ? n : by->limit;
    for (size_t i = 0; i < *ret_n; i++)
        shares[i] = all[i].share;
    *ret_shares = shares;
    return 0;
}
