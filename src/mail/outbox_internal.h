/*
 * The outbox while it runs: senders, and the thread that gives them work.
 *
 * Rooms: mail, and there the files of the outbox alone. Ownership: outbox.c makes and ends it.
 * Threads: as the fields say.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_INTERNAL_H
#define HOLDFAST_MAIL_OUTBOX_INTERNAL_H

#include "mail/outbox.h"
#include "mail/outbox_turn.h"

#include <pthread.h>

struct worker {
    struct outbox *o;
    pthread_t thread;
    bool running;
    enum outbox_slot_state state; /* the slot's is how the other thread last saw it */
    struct outbox_slot slot;      /* the sender's while it works, else the other thread's */
};

struct outbox {
    struct mail *m;
    struct transport *transport;
    char node[OUTBOX_NODE_SIZE];
    pthread_t thread; /* the keeper, who gives the senders work */
    bool running;

    pthread_mutex_t lock; /* over what follows, and the states of the senders */
    pthread_cond_t work;  /* for the senders */
    pthread_cond_t news;  /* for the keeper: a report, a wake, an end */
    bool awake, draining, over;

    struct worker *workers;
    size_t n;

    /* Of the keeper. */
    bool in_doubt, failing, paused;
    int64_t pause_ms, paused_until, count_at, turn_ms; /* by the monotonic clock */

    struct metric_counter handovers[OUTBOX_RESULTS];
    struct metric_counter put_aside;
    _Atomic uint64_t in_flight, waiting;
    _Atomic int64_t oldest_at;
};

/* A sender's thread, whose argument is its struct worker: hands over what its slot has. */
void *outbox_send_main(void *worker);

/* The keeper's thread, whose argument is the outbox: takes turns until the end. */
void *outbox_keep_main(void *outbox);

#endif
