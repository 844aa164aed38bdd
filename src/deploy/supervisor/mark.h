/*
 * Which process a number means: numbers come again, and after a restart of the machine all do.
 * Rooms: deploy. Ownership: values. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_MARK_H
#define HOLDFAST_DEPLOY_SUPERVISOR_MARK_H

#include <jansson.h>
#include <sys/types.h>

enum { MARK_START_SIZE = 80 };

struct mark {
    pid_t pid;                   /* 0: no process */
    char start[MARK_START_SIZE]; /* the machine's start and the process' own */
};

/* Returns 0, or 1 where there is no such process. */
int mark_of(pid_t pid, struct mark *ret);

/* A pidfd of the process that was marked, readable once it has ended; -1 where it is gone. */
int mark_open(const struct mark *m);

/* As members "pid" and "start" of an object. mark_get gives pid 0 where they are missing. */
int mark_put(json_t *object, const struct mark *m);
struct mark mark_get(const json_t *object);

#endif
