/*
 * The process of a release: made first, and let become the program once it is on record.
 * Rooms: deploy. Ownership: spawn_begin gives pidfd to the caller. Threads: a process of one.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_SPAWN_H
#define HOLDFAST_DEPLOY_SUPERVISOR_SPAWN_H

#include "deploy/supervisor/mark.h"

#include <stdbool.h>

struct spawn {
    const json_t *definition; /* of release.h, checked */
    int port;                 /* as PORT in its environment */
    int directory;            /* open, where its output is kept */
    const char *log;          /* the name of the file that it goes to */
    /* Set by spawn_begin. */
    struct mark mark;
    int pidfd;
    int gate; /* the process waits for a byte on it; where we die before that it ends */
};

/* Returns 0, FAULT_IO or FAULT_MEMORY. */
int spawn_begin(struct spawn *s);

/* Lets it become the program, or end. In the latter case it is waited for. */
void spawn_end(struct spawn *s, bool go);

#endif
