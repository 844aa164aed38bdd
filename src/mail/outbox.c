#include "mail/outbox.h"

#include "base/fault.h"
#include "mail/outbox_internal.h"

static int start_threads(struct outbox *o)
{
    for (size_t i = 0; i < o->n; i++) {
        struct worker *s = &o->workers[i];
        s->o = o;
        outbox_slot_init(&s->slot);
        s->running = pthread_create(&s->thread, NULL, outbox_send_main, s) == 0;
        if (!s->running)
            return fault_set(FAULT_INTERNAL, "no thread for the outbox");
    }
    o->running = pthread_create(&o->thread, NULL, outbox_keep_main, o) == 0;
    return o->running ? 0 : fault_set(FAULT_INTERNAL, "no thread for the outbox");
}

static void set_up_locks(struct outbox *o)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&o->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int outbox_start(struct mail *m, struct transport *transport, size_t senders, struct outbox **ret)
{
    struct outbox *o = calloc(1, sizeof *o);
    struct uuid node = uuid_new();

    if (!o)
        return fault_set(FAULT_MEMORY, "no memory for the outbox");
    o->m = m;
    o->transport = transport;
    o->n = senders < OUTBOX_SENDERS_MAX ? senders : OUTBOX_SENDERS_MAX;
    uuid_format(&node, o->node);
    set_up_locks(o);
    o->workers = calloc(o->n, sizeof *o->workers);
    int r = o->workers ? start_threads(o) : fault_set(FAULT_MEMORY, "no memory for the outbox");
    if (r) {
        outbox_stop(o);
        return r;
    }
    *ret = o;
    return 0;
}

void outbox_wake(struct outbox *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->awake = true;
    pthread_cond_signal(&o->news);
    pthread_mutex_unlock(&o->lock);
}

void outbox_drain(struct outbox *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->draining = true;
    pthread_cond_signal(&o->news);
    pthread_mutex_unlock(&o->lock);
}

void outbox_stop(struct outbox *o)
{
    if (!o)
        return;
    outbox_drain(o);
    if (o->running)
        pthread_join(o->thread, NULL);
    pthread_mutex_lock(&o->lock);
    o->over = true;
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
    for (size_t i = 0; o->workers && i < o->n; i++) {
        if (o->workers[i].running)
            pthread_join(o->workers[i].thread, NULL);
        outbox_slot_release(&o->workers[i].slot);
    }
    pthread_cond_destroy(&o->news);
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o->workers);
    free(o);
}

void outbox_stats(struct outbox *o, struct outbox_stats *ret_stats)
{
    for (int i = 0; i < OUTBOX_RESULTS; i++)
        ret_stats->handovers[i] = metric_value(&o->handovers[i]);
    ret_stats->put_aside = metric_value(&o->put_aside);
    ret_stats->in_flight = atomic_load(&o->in_flight);
    ret_stats->waiting = atomic_load(&o->waiting);
    ret_stats->oldest_at = atomic_load(&o->oldest_at);
}
