#include "mail/outbox_desk.h"

#include "base/fault.h"
#include "mail/outbox_quota.h"

#include <pthread.h>

enum {
    /* Batches that fail before what is left of one is given up: those of three bad requests. */
    FAILURES_MAX = 24,
    MESSAGE_MAX = 400 /* bytes of a fault's text */
};

static const char key_sql[] = "SELECT 1 FROM email_requests WHERE tenant_id = $1"
                              " AND request_key = $2 AND expires_at > $3";

struct ticket {
    struct outbox_acceptance item;
    struct ticket *next;
    bool done;
    int fault;
    char message[MESSAGE_MAX];
};

struct outbox_desk {
    struct mail *m;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ticket *first, **end;
    size_t waiting;
    bool busy; /* somebody writes a batch */
};

struct batch {
    struct outbox_desk *desk;
    struct ticket **tickets;
    size_t n;
};

static int accept_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;
    struct outbox_acceptance items[OUTBOX_ACCEPT_MAX];

    for (size_t i = 0; i < b->n; i++)
        items[i] = b->tickets[i]->item;
    int r = outbox_accept_all(t, b->desk->m, items, b->n);
    for (size_t i = 0; r == 0 && i < b->n; i++)
        b->tickets[i]->item = items[i];
    return r;
}

static void fail(const struct batch *b, int fault)
{
    for (size_t i = 0; i < b->n; i++) {
        b->tickets[i]->fault = fault;
        snprintf(b->tickets[i]->message, MESSAGE_MAX, "%s", fault_message());
    }
}

/* Where the store is out of reach or cannot write, halves would only ask it again. */
static void apply(const struct batch *all, size_t *failures)
{
    struct batch b = *all;
    int r = store_write(b.desk->m->store, accept_job, &b);

    if (r == 0)
        return;
    if (b.n == 1 || r == FAULT_UNAVAILABLE || r == FAULT_IO || ++*failures > FAILURES_MAX) {
        fail(&b, r);
        return;
    }
    b.n = all->n / 2;
    apply(&b, failures);
    b.tickets = all->tickets + b.n;
    b.n = all->n - b.n;
    apply(&b, failures);
}

static int compare(const void *a, const void *b)
{
    const struct ticket *const *x = a, *const *y = b;

    return outbox_compare((*x)->item.request, (*y)->item.request);
}

/* The lock is held, and some wait. */
static size_t take_batch(struct outbox_desk *d, struct ticket *ret[OUTBOX_ACCEPT_MAX])
{
    size_t n = 0;

    while (d->first && n < OUTBOX_ACCEPT_MAX) {
        ret[n++] = d->first;
        d->first = d->first->next;
    }
    if (!d->first)
        d->end = &d->first;
    d->waiting -= n;
    return n;
}

/* The lock is held, and is again. */
static void write_batch(struct outbox_desk *d)
{
    struct ticket *tickets[OUTBOX_ACCEPT_MAX];
    struct batch b = {d, tickets, take_batch(d, tickets)};
    size_t failures = 0;

    d->busy = true;
    pthread_mutex_unlock(&d->lock);
    qsort(tickets, b.n, sizeof(struct ticket *), compare);
    apply(&b, &failures);
    pthread_mutex_lock(&d->lock);
    d->busy = false;
    for (size_t i = 0; i < b.n; i++)
        tickets[i]->done = true;
    pthread_cond_broadcast(&d->changed);
}

static int find_any(struct store_rows *rows, void *arg)
{
    int r = store_rows_next(rows);

    *(bool *)arg = r == 1;
    return r < 0 ? r : 0;
}

/* Returns 0, OUTBOX_FULL or a fault. */
static int admit(struct mail *m, const struct outbox_request *request, int64_t now)
{
    bool known = false;
    int r = outbox_quota_admit(m, &request->tenant_id, request->purpose == UNSUBSCRIBE_SECURITY,
                               clock_mono());

    if (r != OUTBOX_FULL || request->key.n == 0)
        return r;
    r = store_find(m->store, key_sql, find_any, &known,
                   PARAMS(P_ID(&request->tenant_id), P_TEXT(request->key), P_INT(now)));
    return r || known ? r : OUTBOX_FULL;
}

int outbox_submit(struct mail *m, const struct outbox_request *request, int64_t now,
                  struct uuid *ret_id)
{
    struct outbox_desk *d = m->desk;
    struct ticket t = {.item = {.request = request, .now = now}};
    int r = admit(m, request, now);

    if (r)
        return r;
    pthread_mutex_lock(&d->lock);
    *d->end = &t;
    d->end = &t.next;
    d->waiting++;
    while (!t.done) {
        if (d->busy)
            pthread_cond_wait(&d->changed, &d->lock);
        else
            write_batch(d);
    }
    pthread_mutex_unlock(&d->lock);
    if (t.fault)
        return fault_set((enum fault)t.fault, "%s", t.message);
    if (t.item.outcome != OUTBOX_CONFLICT && t.item.outcome != OUTBOX_OFF)
        *ret_id = t.item.id;
    return t.item.outcome;
}

size_t outbox_desk_waiting(struct outbox_desk *d)
{
    pthread_mutex_lock(&d->lock);
    size_t n = d->waiting;
    pthread_mutex_unlock(&d->lock);
    return n;
}

int outbox_desk_new(struct mail *m, struct outbox_desk **ret)
{
    struct outbox_desk *d = calloc(1, sizeof *d);

    if (!d)
        return fault_set(FAULT_MEMORY, "no memory for accepting mail");
    d->m = m;
    d->end = &d->first;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    *ret = d;
    return 0;
}

void outbox_desk_free(struct outbox_desk *d)
{
    if (!d)
        return;
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
