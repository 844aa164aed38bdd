/*
 * One release of a product as the supervisor keeps it: its definition on disk, its process, what
 * becomes of it.
 *
 * Rooms: deploy. Ownership: release_free frees the memory; a process that runs goes on. Threads:
 * one.
 *
 * Each has a directory named by the deployment's id:
 *   release.json  what is run: command, directory, environment; kept when it has stopped, as the
 *                 way back
 *   run.json      there while it is to run: its process, so that another supervisor finds it
 *   output.log    what it prints, and output.log.1 what it printed before
 * A process is on disk before it becomes the program; so none is ever lost sight of.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_RELEASE_H
#define HOLDFAST_DEPLOY_SUPERVISOR_RELEASE_H

#include "base/uuid.h"
#include "deploy/supervisor/mark.h"
#include "deploy/supervisor/relay.h"

#include <jansson.h>

enum release_state {
    RELEASE_STOPPED,  /* it does not run, and is not to */
    RELEASE_STARTING, /* it runs, and does not accept connections yet */
    RELEASE_RUNNING,  /* it accepts connections */
    RELEASE_WAITING,  /* it ended by itself, and is started again after a pause */
    RELEASE_ENDED,    /* it ended by itself, before it was proven */
    RELEASE_DRAINING, /* no connection comes any more; the last ones end */
    RELEASE_ENDING    /* it was asked to end */
};

enum { RELEASE_LOG_MAX = 8 << 20, RELEASE_WHY_SIZE = 120 };

struct release {
    struct loop_watch watch; /* its pidfd; the first member */
    struct loop *loop;
    char id[UUID_TEXT_SIZE];
    json_t *definition;
    int directory;
    enum release_state state;
    int64_t since; /* when the state began, monotonic ms */
    struct mark mark;
    bool own;    /* it is our child: its end can be known */
    bool proven; /* it had the traffic once: it is started again when it ends */
    int restarts;
    int64_t pause, at; /* before the next start; when something is due in this state */
    int64_t trim_at;   /* when its output is looked at again */
    bool for_now;      /* it is stopped to be started again by the next supervisor */
    struct relay_place place;
    char why[RELEASE_WHY_SIZE]; /* how it ended last */
};

/* Outcome of release_load. */
enum { RELEASE_NONE = 1 };

/* A definition: {"release", "command": [..], "directory", "environment": ["KEY=VALUE"..],
 * "stop_ms"}. Says what is wrong with it, or NULL. */
const char *release_check(const json_t *definition);

/*
 * Makes the directory in `releases`, an open one, and writes the definition, which is kept (a new
 * reference). Where it exists, as release_load. Returns 0 or a fault.
 */
int release_new(int releases, const char *id, json_t *definition, struct loop *loop,
                struct release **ret);

/*
 * Takes up what is on disk. A process of it that runs is taken over; one that is to run and does
 * not is RELEASE_WAITING where it was proven, else RELEASE_ENDED. Returns 0, RELEASE_NONE or a
 * fault.
 */
int release_load(int releases, const char *id, struct loop *loop, struct release **ret);

/* Runs it where it does not, on its port, or on another where that is taken. Returns 0 or a fault:
 * then it is RELEASE_WAITING or RELEASE_ENDED, as if it had ended at once. */
int release_start(struct release *r);

/* It is started again from now on when it ends; on disk when 0 is returned. */
int release_prove(struct release *r);

/* Ends it, after its connections have ended or stop_ms have passed; by force after as long again.
 * for_now: the next supervisor starts it again. */
void release_stop(struct release *r, bool for_now);

/* Does what is due. Returns in how many ms it wants to be called again; at most 1000. */
int release_tend(struct release *r);

const char *release_name(const struct release *r);
const char *release_state_name(enum release_state state);

/* NULL is allowed. */
void release_free(struct release *r);

/* Removes the directory from disk, and frees it. It must not run. */
void release_forget(int releases, struct release *r);

#endif
