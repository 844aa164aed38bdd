/*
 * Where releases run: one interface over processes, compose, ECS, Kubernetes and PM2.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: one that may wait.
 *
 * Each operation may be called again after a death anywhere inside it, or inside the one before it:
 * it looks at what runs, and what it makes carries the deployment's id. Until prove is called the
 * previous release is there, or is what roll_back brings back.
 */
#ifndef HOLDFAST_DEPLOY_TARGET_H
#define HOLDFAST_DEPLOY_TARGET_H

#include "config/config.h"
#include "deploy/conf.h"
#include "deploy/progress.h"

#include <jansson.h>
#include <stdatomic.h>

/* Outcomes; fault_message() says why, in words for people. */
enum target_outcome {
    TARGET_FAILED = 1,  /* what was asked for could not be done, or the release does not run */
    TARGET_UNREACHABLE, /* its program is missing, or whom it asks does not answer */
    TARGET_TIMEOUT,
    TARGET_CANCELLED
};

/* A deployment as a target sees it. */
struct target {
    const struct conf_environment *environment;
    const char *id;      /* of the deployment: a UUID as text */
    const char *release; /* what is to run */
    const char *logs;    /* the deployment's directory: output of programs may go there */
    const char *data; /* the installation's: what is kept between deployments, by kind and name */
    int64_t deadline; /* of the operation, by the monotonic clock; 0: none */
    /* What is under way ends once it is not 0. roll_back and clean_up are given another than what
     * they undo. NULL: never. */
    const atomic_int *cancel;
    const struct progress *progress;
    struct arena *a;
    /* Journals what is about to be made, with its name, where it is not found by the id. */
    int (*note)(void *context, json_t *data); /* takes data over; 0 or a fault */
    void *context;
    const struct config *config; /* our own settings: the credentials of AWS */
};

struct target_kind {
    enum target_id id;
    /* Whether it can be asked, and what it is asked about exists. Changes nothing. */
    int (*check)(const struct target *t);
    /* What runs now, as JSON without secrets: what roll_back and clean_up get. Beside what the kind
     * needs for itself it has "runs" (whether a release serves now: false at the first deployment)
     * and "release" (what people call the one that serves; "" where it cannot be told). */
    int (*snapshot)(const struct target *t, json_t **ret);
    /* Puts the release in place beside the previous one, or over it where the target can only that.
     * state: the snapshot, with what was noted since put over it. */
    int (*roll_out)(const struct target *t, const json_t *state);
    /* Waits until the release runs as the target wants it to, or is known not to. */
    int (*wait_stable)(const struct target *t, const json_t *state);
    /* Gives the release the traffic for good, where roll_out has not. The previous one is kept. */
    int (*prove)(const struct target *t, const json_t *state);
    /* The release of the snapshot is what runs, and has the traffic, when 0 is returned. Before the
     * failed one is taken away its evidence (logs, reasons of ends) goes into t->logs. What
     * somebody else has put in place since is left, and TARGET_FAILED. */
    int (*roll_back)(const struct target *t, const json_t *state);
    /* Removes what a deployment made: of a proven one the previous release, else its own. What the
     * release of the snapshot can be brought back from once more is kept. */
    int (*clean_up)(const struct target *t, const json_t *state, bool proven);
    /* What each operation will run or call, a line each, for --plan. */
    int (*describe)(const struct target *t, struct buf *out);
    /* The address where the release can be probed before it has the traffic, "" where only the
     * environment's own can be. */
    int (*probe_url)(const struct target *t, const json_t *state, const char **ret);
};

/* The kind of the environment's target; NULL where there is none yet. */
const struct target_kind *target_kind(const struct conf_environment *e);

/* The path and the query of where the environment is asked for its health. */
const char *target_health_path(const struct conf_environment *e);

extern const struct target_kind target_process, target_compose, target_ecs, target_kubernetes,
    target_pm2;

#endif
