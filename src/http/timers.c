#include "http/timers.h"

#include <limits.h>
#include <stddef.h>

void timers_init(struct timers *t)
{
    for (int i = 0; i < TIMER_CLASSES; i++)
        t->heads[i] = (struct timer){.next = &t->heads[i], .prev = &t->heads[i]};
}

void timers_add(struct timers *t, struct timer *timer, enum timer_class class, int64_t now)
{
    struct timer *head = &t->heads[class];

    timer->class = class;
    timer->deadline = now + t->durations[class];
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
}

void timers_remove(struct timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
}

struct timer *timers_first(struct timers *t, enum timer_class class)
{
    return timers_next(t, &(struct timer){.next = t->heads[class].next, .class = class});
}

struct timer *timers_next(struct timers *t, const struct timer *timer)
{
    return timer->next == &t->heads[timer->class] ? NULL : timer->next;
}

struct timer *timers_expired(struct timers *t, int64_t now)
{
    for (int i = 0; i < TIMER_NONE; i++) {
        struct timer *first = timers_first(t, (enum timer_class)i);
        if (first && first->deadline <= now)
            return first;
    }
    return NULL;
}

int timers_wait(struct timers *t, int64_t now)
{
    int64_t wait = INT64_MAX;

    for (int i = 0; i < TIMER_NONE; i++) {
        struct timer *first = timers_first(t, (enum timer_class)i);
        if (first && first->deadline - now < wait)
            wait = first->deadline - now;
    }
    if (wait == INT64_MAX)
        return -1;
    if (wait < 0)
        return 0;
    return wait < INT_MAX ? (int)wait : INT_MAX;
}
