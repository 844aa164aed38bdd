/*
 * The supervisor of an environment's releases, as the target of processes speaks to it.
 * Rooms: deploy. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_PROCESS_PLACE_H
#define HOLDFAST_DEPLOY_TARGETS_PROCESS_PLACE_H

#include "deploy/supervisor/release.h"
#include "deploy/target.h"

enum { PROCESS_ANSWER_MS = 5000 };

/* The supervisor's directory. */
struct process_place {
    const char *path;
    int fd; /* -1: it does not exist */
};

/* Opens data/process/ENVIRONMENT; makes it where it is to. Returns 0, TARGET_FAILED for a name that
 * is none of a directory, or a fault. */
int process_open(const struct target *t, bool make, struct process_place *ret);
void process_close(struct process_place *p);
#define _cleanup_process_ __attribute__((cleanup(process_close)))

/* What control_ask returned, as an outcome of a target. */
int process_outcome(int control);

/* Whether the supervisor is of our kind, and at the environment's port. Returns 0 or TARGET_FAILED.
 */
int process_agrees(const struct target *t, const json_t *status);

/*
 * Asks the supervisor (supervisor/commands.h); starts it where there is none, or none any more.
 * Takes request over. Returns 0 with the status behind it, an outcome of a target or a fault.
 */
int process_ask(const struct target *t, const struct process_place *p, json_t *request,
                json_t **ret);
int process_status(const struct target *t, const struct process_place *p, json_t **ret);

/* A request that concerns one release, of which only success matters; id may be NULL. */
int process_tell(const struct target *t, const struct process_place *p, const char *what,
                 const char *id);

/* Waits until the release has accepted connections for so long. */
int process_await(const struct target *t, const struct process_place *p, const char *id,
                  int64_t stable_ms);

/* Has the release stopped, and waits for it; each has its limit of time there. */
int process_stop(const struct target *t, const struct process_place *p, const char *id);

/* Whether a supervisor's keeper lives, so that there will be another where there is none. */
bool process_is_kept(const struct process_place *p);

/* Waits until the supervisor, which was told to end, has, and its keeper: then the port is free.
 * Returns 0, TARGET_TIMEOUT or TARGET_CANCELLED. */
int process_await_end(const struct target *t, const struct process_place *p);

/* A member of a status or of a release in it; "" where it is missing. */
const char *process_text(const json_t *object, const char *member);
bool process_is(const json_t *release, enum release_state state);

#endif
