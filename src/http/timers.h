/*
 * Deadlines of a loop's connections. Each class has one constant duration, so a class is a queue
 * whose head expires first, and setting or clearing a deadline costs a few pointer writes.
 * Rooms: http (the engine's files). Ownership: a timer lives inside its owner. Threads: its loop's.
 */
#ifndef HOLDFAST_HTTP_TIMERS_H
#define HOLDFAST_HTTP_TIMERS_H

#include <stdint.h>

enum timer_class {
    TIMER_IDLE,   /* between requests */
    TIMER_HEAD,   /* total, for a request's head */
    TIMER_BODY,   /* total, for a request's body */
    TIMER_WRITE,  /* without progress while output waits for the client */
    TIMER_LINGER, /* for the client to read our last answer and close */
    TIMER_NONE,   /* no deadline: a request is in work. Every connection is in some class */
    TIMER_CLASSES
};

struct timer {
    struct timer *next, *prev;
    int64_t deadline; /* ms of clock_mono */
    enum timer_class class;
};

struct timers {
    struct timer heads[TIMER_CLASSES]; /* of circular lists */
    int64_t durations[TIMER_CLASSES];  /* ms; that of TIMER_NONE is not looked at */
};

void timers_init(struct timers *t);

/* Puts a timer that is in no class behind the others of class. */
void timers_add(struct timers *t, struct timer *timer, enum timer_class class, int64_t now);
void timers_remove(struct timer *timer);

/* The oldest of a class, or NULL; the one behind it, or NULL. */
struct timer *timers_first(struct timers *t, enum timer_class class);
struct timer *timers_next(struct timers *t, const struct timer *timer);

/* A timer that has expired by now, or NULL. */
struct timer *timers_expired(struct timers *t, int64_t now);

/* Milliseconds from now to the next deadline, or -1 where there is none; as epoll_wait wants. */
int timers_wait(struct timers *t, int64_t now);

#endif
