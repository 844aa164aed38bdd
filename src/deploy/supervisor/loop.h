/*
 * Descriptors that one thread waits for.
 * Rooms: deploy. Ownership: a watch is its owner's, and must live until the round in which it was
 * forgotten is over. Threads: one.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_LOOP_H
#define HOLDFAST_DEPLOY_SUPERVISOR_LOOP_H

#include <stdint.h>

struct loop_watch {
    int fd;          /* -1: none */
    uint32_t events; /* that it waits for now; 0: not among those watched */
    void (*ready)(struct loop_watch *w, uint32_t events);
};

struct loop {
    int epoll;
};

/* Returns 0 or FAULT_IO. */
int loop_open(struct loop *l);
void loop_close(struct loop *l);

/* Waits for these events of w->fd from now on, 0: for none, so that errors are not told either.
 * Returns 0 or FAULT_IO. */
int loop_want(struct loop *l, struct loop_watch *w, uint32_t events);

/* Closes its descriptor. ready is not called any more, also for what is known already. */
void loop_forget(struct loop *l, struct loop_watch *w);

/* One round: waits at most ms, and calls ready for whatever happened. Returns 0 or FAULT_IO. */
int loop_round(struct loop *l, int ms);

#endif
