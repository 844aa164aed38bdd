#include "deploy/supervisor/loop.h"

#include "base/fault.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64 };

int loop_open(struct loop *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    return l->epoll < 0 ? fault_errno(FAULT_IO, errno, "cannot wait for connections") : 0;
}

void loop_close(struct loop *l)
{
    close(l->epoll);
}

int loop_want(struct loop *l, struct loop_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    int operation = w->events == 0 ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (events == w->events)
        return 0;
    if (epoll_ctl(l->epoll, operation, w->fd, &e))
        return fault_errno(FAULT_IO, errno, "cannot watch a descriptor");
    w->events = events;
    return 0;
}

void loop_forget(struct loop *l, struct loop_watch *w)
{
    if (w->fd < 0)
        return;
    loop_want(l, w, 0);
    close(w->fd);
    w->fd = -1;
    w->events = 0;
}

int loop_round(struct loop *l, int ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->epoll, events, EVENTS, ms);

    if (n < 0 && errno != EINTR)
        return fault_errno(FAULT_IO, errno, "cannot wait for connections");
    for (int i = 0; i < n; i++) {
        struct loop_watch *w = events[i].data.ptr;
        if (w->events)
            w->ready(w, events[i].events);
    }
    return 0;
}
