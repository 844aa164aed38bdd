#include "identity/failures.h"

#include "base/clock.h"
#include "base/fault.h"
#include "identity/failures_write.h"

#include <pthread.h>

enum { BUCKETS = 4096, KEEP_MS = CLOCK_MINUTE };
_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a mask picks the bucket");

/*
 * An account with attempts under way or failures lately. The consecutive count as admission sees
 * it is known + pending + taken + under_way. What a flush wrote stays known here for a minute: by
 * then every sign-in under way has read it from the store.
 */
struct entry {
    struct entry *next;
    struct uuid user_id, tenant_id;
    int64_t known;     /* users.failed_logins as the last flush of this user left it */
    int64_t known_at;  /* when that was */
    int64_t pending;   /* consecutive failures not yet taken by a flush */
    int64_t count;     /* all failures not yet taken */
    int64_t taken;     /* consecutive ones that a running flush writes */
    int64_t taken_all; /* all that it writes */
    int64_t under_way; /* admitted and not settled */
    bool forgotten;    /* begun anew while a flush runs: what it brings back is outdated */
};

struct failures {
    pthread_mutex_t lock;  /* of all below */
    pthread_mutex_t flush; /* held by the one flush, around everything; taken before lock */
    int64_t limit;
    size_t n;
    struct entry *buckets[BUCKETS];
};

int failures_new(int64_t limit, struct failures **ret)
{
    struct failures *f = calloc(1, sizeof *f);

    if (!f)
        return fault_set(FAULT_MEMORY, "no memory for failed sign-ins");
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->flush, NULL);
    f->limit = limit;
    *ret = f;
    return 0;
}

void failures_free(struct failures *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (f->buckets[i]) {
            struct entry *e = f->buckets[i];
            f->buckets[i] = e->next;
            free(e);
        }
    }
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->flush);
    free(f);
}

void failures_set_limit(struct failures *f, int64_t limit)
{
    pthread_mutex_lock(&f->lock);
    f->limit = limit;
    pthread_mutex_unlock(&f->lock);
}

size_t failures_held(struct failures *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->n;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* The link that points to the user's entry, or to the NULL at its bucket's end. */
static struct entry **find(struct failures *f, const struct uuid *id)
{
    size_t hash = ((size_t)id->b[14] << 8 | id->b[15]) & (BUCKETS - 1); /* random bits of the id */
    struct entry **link = &f->buckets[hash];

    while (*link && !uuid_eq(&(*link)->user_id, id))
        link = &(*link)->next;
    return link;
}

static void remove_entry(struct failures *f, struct entry **link)
{
    struct entry *e = *link;

    *link = e->next;
    f->n--;
    free(e);
}

static int add_entry(struct failures *f, struct entry **link, const struct user *user)
{
    if (f->n >= FAILURES_ACCOUNTS)
        return FAILURES_LOCKED;
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return fault_set(FAULT_MEMORY, "no memory for a failed sign-in");
    e->user_id = user->id;
    e->tenant_id = user->tenant_id;
    *link = e;
    f->n++;
    return 0;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int admit(struct failures *f, const struct user *user)
{
    struct entry **link = find(f, &user->id);
    int r = *link ? 0 : add_entry(f, link, user);

    if (r != 0)
        return r;
    struct entry *e = *link;
    int64_t failed = larger(e->known, user->failed_logins) + e->pending + e->taken + e->under_way;
    if (f->limit > 0 && failed >= f->limit) {
        /* Refused by a limit that was lowered since: the next flush makes a lock of it, that passes
         * as any. */
        if (user->failed_logins >= f->limit && e->count == 0 && e->taken_all == 0)
            e->count = e->pending = 1;
        return FAILURES_LOCKED;
    }
    e->under_way++;
    return 0;
}

int failures_admit(struct failures *f, const struct user *user)
{
    if (!user_may_sign_in(user))
        return FAILURES_LOCKED;
    pthread_mutex_lock(&f->lock);
    int r = admit(f, user);
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* A running flush may still write what it took: a few too many until the next success. */
static void begin_anew(struct entry *e)
{
    e->known = e->pending = e->taken = 0;
    e->forgotten = true;
}

static bool is_idle(const struct entry *e)
{
    return e->under_way == 0 && e->count == 0 && e->taken_all == 0 && e->known == 0;
}

void failures_settle(struct failures *f, const struct uuid *user_id, enum failures_result result)
{
    pthread_mutex_lock(&f->lock);
    struct entry **link = find(f, user_id);
    struct entry *e = *link;
    if (e && e->under_way > 0) {
        e->under_way--;
        if (result == FAILURES_SUCCESS)
            begin_anew(e);
        if (result == FAILURES_FAILURE && e->count < FAILURES_COUNT_MAX) {
            e->count++;
            e->pending++;
        }
        if (is_idle(e))
            remove_entry(f, link);
    }
    pthread_mutex_unlock(&f->lock);
}

void failures_forget(struct failures *f, const struct uuid *user_id)
{
    pthread_mutex_lock(&f->lock);
    struct entry **link = find(f, user_id);
    if (*link) {
        begin_anew(*link);
        if (is_idle(*link))
            remove_entry(f, link);
    }
    pthread_mutex_unlock(&f->lock);
}

void failures_reread(struct failures *f, const struct uuid *user_id)
{
    pthread_mutex_lock(&f->lock);
    struct entry **link = find(f, user_id);
    if (*link) {
        (*link)->known = 0;
        (*link)->forgotten = true;
        if (is_idle(*link))
            remove_entry(f, link);
    }
    pthread_mutex_unlock(&f->lock);
}

static int compare_items(const void *a, const void *b)
{
    const struct failures_item *x = a, *y = b;

    return memcmp(x->note.user_id.b, y->note.user_id.b, sizeof x->note.user_id.b);
}

/* Moves the counts of one entry into the batch. */
static void take_entry(struct entry *e, struct failures_batch *b)
{
    e->forgotten = false;
    if (e->count == 0) {
        if (b->now - e->known_at >= KEEP_MS)
            e->known = 0;
        return;
    }
    b->items[b->n++] = (struct failures_item){
        .note = {.user_id = e->user_id, .tenant_id = e->tenant_id, .count = e->count},
        .consecutive = e->pending,
    };
    e->taken = e->pending;
    e->taken_all = e->count;
    e->count = e->pending = 0;
}

/* Under the lock. */
static int take(struct failures *f, struct failures_batch *b)
{
    size_t cap = f->n ? f->n : 1;

    b->items = calloc(cap, sizeof *b->items);
    b->ids = calloc(cap, sizeof *b->ids);
    b->notes = calloc(cap, sizeof *b->notes);
    if (!b->items || !b->ids || !b->notes)
        return fault_set(FAULT_MEMORY, "no memory to flush %zu accounts", f->n);
    b->limit = f->limit;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry **link = &f->buckets[i]; *link;) {
            take_entry(*link, b);
            if (is_idle(*link))
                remove_entry(f, link);
            else
                link = &(*link)->next;
        }
    }
    qsort(b->items, b->n, sizeof *b->items, compare_items);
    return 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Under the lock: r is what came of the transaction. */
static void put_back(struct failures *f, const struct failures_item *item, int64_t now, int r)
{
    struct entry **link = find(f, &item->note.user_id);
    struct entry *e = *link;

    if (!e) /* never: what was taken keeps it */
        return;
    if (r == 0) {
        e->known = e->forgotten || !item->exists ? 0 : item->stored;
        e->known_at = now;
    } else {
        e->count = smaller(e->count + e->taken_all, FAILURES_COUNT_MAX);
        e->pending = smaller(e->pending + e->taken, FAILURES_COUNT_MAX);
    }
    e->taken = e->taken_all = 0;
    if (is_idle(e))
        remove_entry(f, link);
}

static int flush(struct failures *f, struct store *s, struct failures_batch *b)
{
    pthread_mutex_lock(&f->lock);
    int r = take(f, b);
    pthread_mutex_unlock(&f->lock);
    if (r != 0 || b->n == 0)
        return r;
    r = store_write(s, failures_write, b);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < b->n; i++)
        put_back(f, &b->items[i], b->now, r);
    pthread_mutex_unlock(&f->lock);
    return r;
}

int failures_flush(struct failures *f, struct store *s, int64_t now, failures_told *told, void *arg)
{
    struct failures_batch batch = {.now = now, .told = told, .arg = arg};

    pthread_mutex_lock(&f->flush);
    int r = flush(f, s, &batch);
    pthread_mutex_unlock(&f->flush);
    free(batch.items);
    free(batch.ids);
    free(batch.notes);
    return r;
}
