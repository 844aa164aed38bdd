#include "mail/intake.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "mail/mail.h"
#include "mail/ses_event.h"
#include "mail/sns_seen.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

/* Batches that fail before what is left of one is given up: those of three bad requests or more. */
enum { FAILURES_MAX = 32 };

struct intake {
    struct store *store;
    pthread_t threads[INTAKE_THREADS];
    size_t n_threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct intake_ticket *first, **end;
    size_t waiting;   /* events in line */
    size_t writing;   /* threads that write a batch now */
    int64_t begun_at; /* when the latest of them took it; monotonic ms */
    bool stopping;
    struct intake_counters counters;
};

/* What is applied in one transaction. */
struct batch {
    struct intake_ticket **tickets;
    size_t n, n_events;
    int64_t now;
    struct mail_event_policy policy;
    struct mail_event *events; /* of those whose message was not seen before */
    enum mail_event_fate *fates;
    struct str *ids;
    bool *fresh;
    struct mail_event_result result;
};

/* Marks the messages of SNS, and says of each request whether it is one that was taken before. */
static int find_seen(struct store_txn *t, struct batch *b)
{
    size_t n = 0, k = 0;
    int r;

    for (size_t i = 0; i < b->n; i++)
        if (b->tickets[i]->request.sns_message_id.n)
            b->ids[n++] = b->tickets[i]->request.sns_message_id;
    r = n ? sns_seen_mark(t, b->ids, n, b->now, b->fresh) : 0;
    for (size_t i = 0; r == 0 && i < b->n; i++)
        b->tickets[i]->result.seen = b->tickets[i]->request.sns_message_id.n && !b->fresh[k++];
    return r;
}

static void gather(struct batch *b)
{
    b->n_events = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct intake_request *q = &b->tickets[i]->request;
        if (q->n && !b->tickets[i]->result.seen)
            memcpy(b->events + b->n_events, q->events, q->n * sizeof *q->events);
        b->n_events += b->tickets[i]->result.seen ? 0 : q->n;
    }
}

/* Tells each request what became of its own. */
static void spread(struct batch *b)
{
    const enum mail_event_fate *fate = b->fates;

    for (size_t i = 0; i < b->n; i++) {
        struct intake_result *to = &b->tickets[i]->result;
        size_t n = b->tickets[i]->request.n;
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
        b->tickets[i]->result = (struct intake_result){0};
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
        metric_add(&c->accepted, (uint64_t)b->tickets[k]->result.accepted);
        metric_add(&c->duplicates, (uint64_t)b->tickets[k]->result.duplicates);
        metric_add(&c->unmatched, (uint64_t)b->tickets[k]->result.unmatched);
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
        n += b->tickets[k]->request.n;
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
        b->tickets[k]->outcome = fault;
        snprintf(b->tickets[k]->message, INTAKE_MESSAGE_MAX, "%s", fault_message());
    }
}

/*
 * What cannot be written is found by halves, so that it spoils nothing else. Where the store itself
 * is out of reach or cannot write, that would only ask it again for each; and where everything
 * fails, it ends.
 */
static void apply(struct intake *i, const struct batch *all, size_t *failures)
{
    struct batch b = *all;
    int r = write_batch(i, &b);

    if (r == 0)
        return;
    if (b.n == 1 || r == FAULT_UNAVAILABLE || r == FAULT_IO || ++*failures > FAILURES_MAX) {
        fail(&b, r);
        return;
    }
    b.n = all->n / 2;
    apply(i, &b, failures);
    b.tickets = all->tickets + b.n;
    b.n = all->n - b.n;
    apply(i, &b, failures);
}

/* Takes as many as one transaction may hold; the lock is held and some are in line. */
static size_t take_batch(struct intake *i, struct intake_ticket *ret[INTAKE_BATCH_REQUESTS])
{
    size_t n = 0, events = 0;

    while (i->first && n < INTAKE_BATCH_REQUESTS &&
           (n == 0 || events + i->first->request.n <= INTAKE_BATCH_EVENTS)) {
        ret[n] = i->first;
        events += i->first->request.n;
        i->first = i->first->next;
        n++;
    }
    if (!i->first)
        i->end = &i->first;
    i->waiting -= events;
    return n;
}

/* Waits until there is something for this thread. Returns false at the end. */
static bool await_work(struct intake *i)
{
    for (;;) {
        int64_t until = i->begun_at + INTAKE_PATIENCE_MS;
        if (i->first && (i->writing == 0 || clock_mono() >= until))
            return true;
        if (i->stopping && !i->first)
            return false;
        struct timespec t = {until / 1000, until % 1000 * 1000000};
        if (i->first)
            pthread_cond_clockwait(&i->changed, &i->lock, CLOCK_MONOTONIC, &t);
        else
            pthread_cond_wait(&i->changed, &i->lock);
    }
}

static void tell(struct batch *b)
{
    for (size_t k = 0; k < b->n; k++) {
        struct intake_ticket *t = b->tickets[k];
        if (t->outcome)
            fault_keep("%s", t->message);
        t->done(t);
    }
}

static void *intake_main(void *arg)
{
    struct intake *i = arg;
    struct intake_ticket *tickets[INTAKE_BATCH_REQUESTS];

    pthread_mutex_lock(&i->lock);
    while (await_work(i)) {
        struct batch b = {.tickets = tickets, .n = take_batch(i, tickets)};
        size_t failures = 0;
        i->writing++;
        i->begun_at = clock_mono();
        pthread_mutex_unlock(&i->lock);
        b.now = tickets[0]->now;
        b.policy = mail_policy();
        apply(i, &b, &failures);
        /* Another thread takes the next batch before the requests of this one are told. */
        pthread_mutex_lock(&i->lock);
        i->writing--;
        if (i->first)
            pthread_cond_signal(&i->changed);
        pthread_mutex_unlock(&i->lock);
        tell(&b);
        pthread_mutex_lock(&i->lock);
    }
    pthread_mutex_unlock(&i->lock);
    return NULL;
}

int intake_new(struct store *store, struct intake **ret)
{
    struct intake *i = calloc(1, sizeof *i);
    sigset_t all, before;
    int error = 0;

    if (!i)
        return fault_set(FAULT_MEMORY, "no memory for the intake of events");
    i->store = store;
    i->end = &i->first;
    pthread_mutex_init(&i->lock, NULL);
    pthread_cond_init(&i->changed, NULL);
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && i->n_threads < INTAKE_THREADS) {
        error = pthread_create(&i->threads[i->n_threads], NULL, intake_main, i);
        i->n_threads += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        intake_free(i);
        return fault_errno(FAULT_INTERNAL, error, "cannot start the intake of events");
    }
    *ret = i;
    return 0;
}

void intake_free(struct intake *i)
{
    if (!i)
        return;
    pthread_mutex_lock(&i->lock);
    i->stopping = true;
    pthread_cond_broadcast(&i->changed);
    pthread_mutex_unlock(&i->lock);
    for (size_t k = 0; k < i->n_threads; k++)
        pthread_join(i->threads[k], NULL);
    pthread_mutex_destroy(&i->lock);
    pthread_cond_destroy(&i->changed);
    free(i);
}

int intake_begin(struct intake *i, struct intake_ticket *t)
{
    int r = 0;

    if (t->request.n > SES_RECIPIENTS_MAX)
        return fault_set(FAULT_LIMIT, "%zu events in a request", t->request.n);
    t->next = NULL;
    t->outcome = 0;
    pthread_mutex_lock(&i->lock);
    if (i->waiting + t->request.n > INTAKE_WAITING_MAX) {
        metric_add(&i->counters.busy, 1);
        r = INTAKE_BUSY;
    } else {
        bool idle = !i->first;
        *i->end = t;
        i->end = &t->next;
        i->waiting += t->request.n;
        /* One that is in line already was told of; while one writes, nobody else is needed yet. */
        if (idle)
            pthread_cond_signal(&i->changed);
    }
    pthread_mutex_unlock(&i->lock);
    return r;
}

/* A ticket whose caller waits. */
struct waiter {
    struct intake_ticket ticket; /* first: it is turned back into its waiter */
    sem_t done;
};

static void wake(struct intake_ticket *t)
{
    sem_post(&((struct waiter *)t)->done);
}

int intake_submit(struct intake *i, const struct intake_request *request, int64_t now,
                  struct intake_result *ret)
{
    struct waiter w = {.ticket = {.request = *request, .now = now, .done = wake}};

    if (sem_init(&w.done, 0, 0))
        return fault_errno(FAULT_INTERNAL, errno, "sem_init");
    int r = intake_begin(i, &w.ticket);
    while (r == 0 && sem_wait(&w.done))
        ;
    sem_destroy(&w.done);
    if (r)
        return r;
    if (w.ticket.outcome)
        return fault_set((enum fault)w.ticket.outcome, "%s", w.ticket.message);
    *ret = w.ticket.result;
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
