#include "mail/intake.h"

#include "base/fault.h"
#include "base/log.h"
#include "mail/mail.h"
#include "mail/ses_event.h"
#include "mail/sns_seen.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

enum { MESSAGE_MAX = 400 };

/*
 * A request in line, on its caller's stack. Nobody touches it any more once it was posted, which
 * happens once at most: to say that it is done, or that it leads.
 */
struct waiter {
    const struct intake_request *request;
    int64_t now;
    bool leads, taken; /* taken: out of the line, for the caller to lead or in another's batch */
    int outcome;
    char message[MESSAGE_MAX]; /* of a fault, which another thread met */
    struct intake_result result;
    sem_t wake;
    struct waiter *next; /* in line */
};

struct intake {
    struct store *store;
    pthread_mutex_t lock;
    struct waiter *first, **end;
    size_t waiting; /* events in line */
    int leaders;
    struct intake_counters counters;
};

/* What is applied in one transaction. */
struct batch {
    struct waiter **waiters;
    size_t n, n_events;
    int64_t now;
    struct mail_event_policy policy;
    struct mail_event *events; /* of those whose message was not seen before */
    enum mail_event_fate *fates;
    struct str *ids;
    bool *fresh;
    struct mail_event_result result;
};

int intake_new(struct store *store, struct intake **ret)
{
    struct intake *i = calloc(1, sizeof *i);

    if (!i)
        return fault_set(FAULT_MEMORY, "no memory for the intake of events");
    i->store = store;
    i->end = &i->first;
    pthread_mutex_init(&i->lock, NULL);
    *ret = i;
    return 0;
}

void intake_free(struct intake *i)
{
    if (!i)
        return;
    pthread_mutex_destroy(&i->lock);
    free(i);
}

/* Marks the messages of SNS, and says of each request whether it is one that was taken before. */
static int find_seen(struct store_txn *t, struct batch *b)
{
    size_t n = 0, k = 0;
    int r;

    for (size_t i = 0; i < b->n; i++)
        if (b->waiters[i]->request->sns_message_id.n)
            b->ids[n++] = b->waiters[i]->request->sns_message_id;
    r = n ? sns_seen_mark(t, b->ids, n, b->now, b->fresh) : 0;
    for (size_t i = 0; r == 0 && i < b->n; i++)
        b->waiters[i]->result.seen = b->waiters[i]->request->sns_message_id.n && !b->fresh[k++];
    return r;
}

static void gather(struct batch *b)
{
    b->n_events = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct intake_request *q = b->waiters[i]->request;
        if (q->n && !b->waiters[i]->result.seen)
            memcpy(b->events + b->n_events, q->events, q->n * sizeof *q->events);
        b->n_events += b->waiters[i]->result.seen ? 0 : q->n;
    }
}

/* Tells each request what became of its own. */
static void spread(struct batch *b)
{
    const enum mail_event_fate *fate = b->fates;

    for (size_t i = 0; i < b->n; i++) {
        struct intake_result *to = &b->waiters[i]->result;
        size_t n = b->waiters[i]->request->n;
        if (to->seen)
            to->duplicates = (int64_t)n;
        for (size_t k = 0; !to->seen && k < n; k++, fate++) {
            to->duplicates += *fate == MAIL_EVENT_DUPLICATE;
            to->accepted += *fate != MAIL_EVENT_DUPLICATE;
            to->unmatched += *fate == MAIL_EVENT_UNMATCHED;
        }
    }
}

static int batch_job(struct store_txn *t, void *arg)
{
    struct batch *b = arg;

    for (size_t i = 0; i < b->n; i++)
        b->waiters[i]->result = (struct intake_result){0};
    b->result = (struct mail_event_result){0};
    int r = store_lock(t, STORE_LOCK_MAIL);
    if (r == 0)
        r = find_seen(t, b);
    if (r)
        return r;
    gather(b);
    r = mail_event_apply(t, b->events, b->n_events, &b->policy, b->now, &b->result, b->fates);
    if (r == 0)
        spread(b);
    return r;
}

static void count(struct intake *i, const struct batch *b)
{
    struct intake_counters *c = &i->counters;

    metric_add(&c->batches, 1);
    for (size_t k = 0; k < b->n; k++) {
        metric_add(&c->accepted, (uint64_t)b->waiters[k]->result.accepted);
        metric_add(&c->duplicates, (uint64_t)b->waiters[k]->result.duplicates);
        metric_add(&c->unmatched, (uint64_t)b->waiters[k]->result.unmatched);
    }
    metric_add(&c->suppressed, (uint64_t)b->result.suppressed);
    metric_add(&c->invalidated, (uint64_t)b->result.invalidated);
    metric_add(&c->unsubscribed, (uint64_t)b->result.unsubscribed);
    metric_add(&c->alerts, (uint64_t)b->result.alerts);
    if (b->result.alerts)
        log_warn("%lld recipients' servers report mail that fails authentication (auth-failure)",
                 (long long)b->result.alerts);
}

static int write_batch(struct intake *i, struct batch *b)
{
    size_t n = 0;
    int r;

    for (size_t k = 0; k < b->n; k++)
        n += b->waiters[k]->request->n;
    b->events = calloc(n + 1, sizeof *b->events);
    b->fates = calloc(n + 1, sizeof *b->fates);
    b->ids = calloc(b->n + 1, sizeof *b->ids);
    b->fresh = calloc(b->n + 1, sizeof *b->fresh);
    if (b->events && b->fates && b->ids && b->fresh)
        r = store_write(i->store, batch_job, b);
    else
        r = fault_set(FAULT_MEMORY, "no memory for a batch of %zu events", n);
    free(b->events);
    free(b->fates);
    free(b->ids);
    free(b->fresh);
    if (r == 0)
        count(i, b);
    return r > 0 ? fault_set(FAULT_STORE, "a conflict among events") : r;
}

static void fail(const struct batch *b, int fault)
{
    for (size_t k = 0; k < b->n; k++) {
        b->waiters[k]->outcome = fault;
        snprintf(b->waiters[k]->message, MESSAGE_MAX, "%s", fault_message());
    }
}

/*
 * What cannot be written is found by halves, so that it spoils nothing else. Where the store itself
 * is out of reach or cannot write, that would only ask it again for each.
 */
static void apply(struct intake *i, const struct batch *all)
{
    struct batch b = *all;
    int r = write_batch(i, &b);

    if (r == 0)
        return;
    if (b.n == 1 || r == FAULT_UNAVAILABLE || r == FAULT_IO) {
        fail(&b, r);
        return;
    }
    b.n = all->n / 2;
    apply(i, &b);
    b.waiters = all->waiters + b.n;
    b.n = all->n - b.n;
    apply(i, &b);
}

/* Takes the first in line out of it; the lock is held. */
static struct waiter *take_first(struct intake *i)
{
    struct waiter *w = i->first;

    i->first = w->next;
    if (!i->first)
        i->end = &i->first;
    i->waiting -= w->request->n;
    w->taken = true;
    return w;
}

/* Takes w out of the line, wherever it is; the lock is held. */
static void take_out(struct intake *i, struct waiter *w)
{
    struct waiter **at = &i->first;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!w->next)
        i->end = at;
    i->waiting -= w->request->n;
    w->taken = true;
}

/* The leader and those that wait, as many as one transaction takes. Returns how many. */
static size_t gather_waiters(struct intake *i, struct waiter *leader,
                             struct waiter *ret[INTAKE_BATCH_REQUESTS])
{
    size_t n = 0, events = leader->request->n;

    ret[n++] = leader;
    pthread_mutex_lock(&i->lock);
    while (i->first && n < INTAKE_BATCH_REQUESTS &&
           events + i->first->request->n <= INTAKE_BATCH_EVENTS) {
        ret[n] = take_first(i);
        events += ret[n++]->request->n;
    }
    pthread_mutex_unlock(&i->lock);
    return n;
}

/* The next in line leads, before this batch's are woken: there is no pause between two batches. */
static void hand_over(struct intake *i)
{
    struct waiter *next = NULL;

    pthread_mutex_lock(&i->lock);
    if (i->first)
        next = take_first(i);
    else
        i->leaders--;
    pthread_mutex_unlock(&i->lock);
    if (next) {
        next->leads = true;
        sem_post(&next->wake);
    }
}

static void lead(struct intake *i, struct waiter *leader)
{
    struct waiter *waiters[INTAKE_BATCH_REQUESTS];
    struct batch b = {.waiters = waiters, .now = leader->now, .policy = mail_policy()};

    b.n = gather_waiters(i, leader, waiters);
    apply(i, &b);
    hand_over(i);
    for (size_t k = 1; k < b.n; k++)
        sem_post(&waiters[k]->wake);
}

/* After a while w leads beside one that seems stuck: a connection that does not answer, say. */
static bool leads_beside(struct intake *i, struct waiter *w)
{
    bool may;

    pthread_mutex_lock(&i->lock);
    may = !w->taken && i->leaders < INTAKE_LEADERS_MAX;
    if (may) {
        take_out(i, w);
        i->leaders++;
    }
    pthread_mutex_unlock(&i->lock);
    return may;
}

/* Waits until w is done (false), or leads (true). */
static bool wait_in_line(struct intake *i, struct waiter *w)
{
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += INTAKE_PATIENCE_MS / 1000;
        if (sem_clockwait(&w->wake, CLOCK_MONOTONIC, &until) == 0)
            return w->leads;
        if (errno == ETIMEDOUT && leads_beside(i, w))
            return true;
    }
}

/* Returns 0 with *ret_leads, or INTAKE_BUSY. */
static int join(struct intake *i, struct waiter *w, bool *ret_leads)
{
    int r = 0;

    pthread_mutex_lock(&i->lock);
    *ret_leads = i->leaders == 0;
    if (*ret_leads) {
        i->leaders++;
        w->taken = true;
    } else if (i->waiting + w->request->n > INTAKE_WAITING_MAX) {
        r = INTAKE_BUSY;
    } else {
        *i->end = w;
        i->end = &w->next;
        i->waiting += w->request->n;
    }
    pthread_mutex_unlock(&i->lock);
    return r;
}

int intake_submit(struct intake *i, const struct intake_request *request, int64_t now,
                  struct intake_result *ret)
{
    struct waiter w = {.request = request, .now = now};
    bool leads;

    if (request->n > SES_RECIPIENTS_MAX)
        return fault_set(FAULT_LIMIT, "%zu events in a request", request->n);
    if (sem_init(&w.wake, 0, 0))
        return fault_errno(FAULT_INTERNAL, errno, "sem_init");
    int r = join(i, &w, &leads);
    if (r == 0 && (leads || wait_in_line(i, &w)))
        lead(i, &w);
    sem_destroy(&w.wake);
    if (r) {
        metric_add(&i->counters.busy, 1);
        return r;
    }
    if (w.outcome)
        return fault_set((enum fault)w.outcome, "%s", w.message);
    *ret = w.result;
    return 0;
}

const struct intake_counters *intake_counters(const struct intake *i)
{
    return &i->counters;
}

size_t intake_waiting(struct intake *i)
{
    pthread_mutex_lock(&i->lock);
    size_t n = i->waiting;
    pthread_mutex_unlock(&i->lock);
    return n;
}
