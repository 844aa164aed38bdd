/*
 * What "deploy" and "rollback" share: an environment is opened and locked, what a dead deployment
 * left is seen to, and what comes of it is told: on the terminal, in the report, the store, and to
 * the routes.
 * Rooms: cli. Ownership: everything lives until deploy_run_close. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_DEPLOY_RUN_H
#define HOLDFAST_CLI_DEPLOY_RUN_H

#include "cli/cli.h"
#include "cli/deploy_print.h"
#include "deploy/deployment.h"
#include "deploy/report.h"

struct deploy_run {
    struct cli *cli;
    struct arena a;
    struct conf conf;
    struct deployment d;
    struct deploy_print print;
    char root[DEPLOYMENT_PATH_SIZE]; /* LOGS_DIR/deployments */
    bool json;
};

/* Reads settings, options and holdfast.yml. Returns 0 or an exit code after saying why. */
int deploy_run_open(struct cli *cli, struct deploy_run *ret);
void deploy_run_close(struct deploy_run *r);

/*
 * Takes the environment's lock and signals, and finishes or undoes what a dead deployment left.
 * *ret_resumed says that there was one. Returns 0 or an exit code after saying why.
 */
int deploy_run_lock(struct deploy_run *r, bool *ret_resumed);

/* Does the steps of a new deployment, or undoes those of one that is done. Return an exit code
 * after telling what came of it. */
int deploy_run_forward(struct deploy_run *r);
int deploy_run_back(struct deploy_run *r, const char *id);

/* Tells the report as it is now: to the store and the routes. What cannot be told is said. */
void deploy_tell(struct deploy_run *r, const struct report *report);

#endif
