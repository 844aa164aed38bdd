/*
 * PM2 as the target of its name speaks to it: by its command line, and what it lists.
 *
 * Rooms: deploy. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_PM2_CLI_H
#define HOLDFAST_DEPLOY_TARGETS_PM2_CLI_H

#include "deploy/target.h"

/*
 * Runs a program in target.directory with RELEASE in its environment, what it says going to pm2.log
 * in the deployment's directory. out: gets its standard output; NULL: nobody does. Returns 0, an
 * outcome of a target or a fault.
 */
int pm2_run(const struct target *t, const char *release, const char *const *argv, struct buf *out);

/* Asks PM2 for its processes: a list. Returns 0, an outcome or a fault. */
int pm2_list(const struct target *t, json_t **ret);

/* What `pm2 jlist` printed: its last line that is a list; before it PM2 may say other things.
 * Returns 0, or TARGET_FAILED where there is none. */
int pm2_parse(struct str text, json_t **ret);

/* How the processes of one name are. */
struct pm2_state {
    int64_t n, online, restarts; /* restarts: of all of them since they were made */
    int64_t pids;                /* a sum: other processes, another sum */
    int64_t youngest;            /* when the last of them was started, ms since 1970 */
    bool clustered;              /* PM2 shares their port among them */
    bool mixed;                  /* they are not all of one release */
    const char *release;         /* as their variable RELEASE has it; "" where it is missing */
    const char *bad;             /* the status of one that is not online; NULL: all are */
};

/* Texts are the list's. */
struct pm2_state pm2_state_of(const json_t *list, const char *name);

/*
 * Waits until all processes of the name are online, and as many as wanted at least, of the release
 * (NULL: any), and then for as long as watch_ms says, in which none may have been started again.
 * Returns 0, TARGET_FAILED, TARGET_TIMEOUT, TARGET_CANCELLED or as pm2_list.
 */
int pm2_await(const struct target *t, const char *name, int64_t wanted, const char *release,
              int64_t watch_ms);

/* Waits so long, or until the operation is over. Returns 0, TARGET_TIMEOUT or TARGET_CANCELLED. */
int pm2_pause(const struct target *t, int64_t ms);

/*
 * The link `current` in target.directory, by which PM2's own directory of the application can be
 * that of a release. ret_path: the directory that it is to name for this release, beside the one
 * that it names now, as the link has it; NULL: there is no such link. Returns 0, TARGET_FAILED
 * where that directory does not exist, or a fault.
 */
int pm2_link_for(const struct target *t, const char *release, const char **ret_path);

/* What the link names now; NULL: there is none. Returns 0 or a fault. */
int pm2_link_now(const struct target *t, const char **ret_path);

/* Has the link name this, at once. */
int pm2_link_set(const struct target *t, const char *path);

#endif
