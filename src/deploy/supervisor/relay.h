/*
 * TCP connections to the product's port, each carried on to the release that has the traffic when
 * it comes.
 *
 * Rooms: deploy. Ownership: relay_close frees all. Threads: one.
 *
 * Bytes are copied as they come; who is not read from fast enough is not read for: a connection
 * holds at most 64 KiB a direction. One end's end of sending is told to the other, and what it
 * sends goes on. A connection that comes while the release cannot be reached waits for it up to
 * hold_ms. Past the limit of connections, further ones wait in the kernel's queue.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_RELAY_H
#define HOLDFAST_DEPLOY_SUPERVISOR_RELAY_H

#include "deploy/supervisor/loop.h"

#include <stdbool.h>
#include <stddef.h>

enum { RELAY_LISTENERS = 4, RELAY_RETRY_MS = 20 };

/* Where connections go. It must live as long as any is open to it. */
struct relay_place {
    int port, family; /* on loopback; AF_INET or AF_INET6 */
    size_t open;      /* how many connections go there */
};

struct relay_pair;

struct relay {
    struct loop *loop;
    /* The place for a new connection; NULL: there is none just now. */
    struct relay_place *(*choose)(void *context);
    void *context;
    int64_t hold_ms;
    size_t max, n, held; /* connections: at most, now, and those of now that are held */
    struct relay_listener {
        struct loop_watch watch;
        struct relay *of;
    } listeners[RELAY_LISTENERS];
    size_t n_listeners;
    bool accepting;
    int64_t full_until, tend_at; /* monotonic ms; 0: it is not full */
    struct relay_pair *pairs, *ended;
};

/* Takes a bound socket over, not yet listening. */
void relay_listen_on(struct relay *r, int fd);

/* Begins or ends to take connections; what is in the kernel's queue stays there. Returns 0 or
 * FAULT_IO. */
int relay_accept(struct relay *r, bool accepting);

/* To be called after each round. Tries held connections again. Returns whether it wants to be
 * called again within RELAY_RETRY_MS. */
bool relay_tend(struct relay *r);

/* Ends all that go there. */
void relay_cut(struct relay *r, const struct relay_place *place);

void relay_close(struct relay *r);

/* A connection to the place, non-blocking and perhaps still under way; -1: refused. */
int relay_connect(const struct relay_place *place);

#endif
