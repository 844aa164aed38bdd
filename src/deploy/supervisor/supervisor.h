/*
 * Keeps the releases of a product running on this machine, and its port in front of them.
 *
 * Rooms: deploy. Ownership: supervisor_run's own. Threads: a process of one.
 *
 * What it is told goes to disk before it is done; so another supervisor, started after this one
 * died, takes up the processes that run, starts those that are to run, and gives the traffic to
 * whom it was given last. In its directory:
 *   supervisor.json  the address and the port that the product is reached at
 *   live.json        which release has the traffic
 *   releases/ID/     each release (release.h)
 *   control          the socket that it is told by
 *   pid.json         its process and its keeper's
 *   lock             held while one of the two lives
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_SUPERVISOR_H
#define HOLDFAST_DEPLOY_SUPERVISOR_SUPERVISOR_H

#include "deploy/supervisor/release.h"

enum { SUPERVISOR_RELEASES_MAX = 32, SUPERVISOR_KEPT = 10, SUPERVISOR_LOG_MAX = 1 << 20 };

/* What another supervisor and who speaks to it have to agree on. */
enum { SUPERVISOR_VERSION = 1 };

struct supervisor {
    struct loop loop;
    struct relay relay;
    int directory, releases_directory;
    struct release *releases[SUPERVISOR_RELEASES_MAX];
    size_t n;
    struct release *live; /* has the traffic; NULL: none */
    struct loop_watch signals;
    bool ending; /* it was asked to end: all releases are */
    bool over;   /* nothing is left to do */
    const char *address;
    int port;
};

struct supervisor_options {
    int directory;       /* open */
    const char *address; /* that the sockets are bound to, to be told */
    int port;
    const int *sockets; /* bound; they stay the caller's as well */
    size_t n_sockets;
    int ready; /* closed, after 'r' was written to it, once it can be spoken to; -1 */
};

/* Returns 0 when it was asked to end and all has ended, or a fault. */
int supervisor_run(const struct supervisor_options *o);

/* For commands.c. */
struct release *supervisor_find(const struct supervisor *s, const char *id);

/* Makes and starts a release; definition NULL: one that there is. Returns NULL, or why not. */
const char *supervisor_start(struct supervisor *s, const char *id, json_t *definition);

/* Gives the traffic to a release, or with NULL to none. */
const char *supervisor_switch(struct supervisor *s, const char *id);
const char *supervisor_stop(struct supervisor *s, const char *id);
const char *supervisor_forget(struct supervisor *s, const char *id);

/* Ends the supervisor, which must have nothing to keep. */
const char *supervisor_end(struct supervisor *s);

#endif
