/*
 * The functions behind the table of a deployment's steps. Rooms: deploy. All run on the thread of
 * the deployment; context is the struct deployment. They return as deploy/steps.h says.
 */
#ifndef HOLDFAST_DEPLOY_DEPLOYMENT_STEPS_H
#define HOLDFAST_DEPLOY_DEPLOYMENT_STEPS_H

#include "deploy/deployment.h"

int step_check(struct steps *s, void *context);
int step_fence(struct steps *s, void *context);
int step_unfence(struct steps *s, void *context);
int step_backup(struct steps *s, void *context);
int step_verify_backup(struct steps *s, void *context);
int step_migrate(struct steps *s, void *context);
int step_undo_migrate(struct steps *s, void *context);
int step_snapshot(struct steps *s, void *context);
int step_roll_out(struct steps *s, void *context);
int step_roll_back(struct steps *s, void *context);
int step_stabilise(struct steps *s, void *context);
int step_switch(struct steps *s, void *context);
int step_verify(struct steps *s, void *context);
int step_finish(struct steps *s, void *context);

/* The target as this deployment gives it to its operations; within ms (0: no limit). */
struct target deployment_target(struct deployment *d, int64_t ms);

/* Probes the release until it is proven well at this address, within ms. Returns 0, a step_outcome
 * or a fault. */
int deployment_probe(struct deployment *d, const char *url, int64_t ms, const atomic_int *cancel);

/* The outcome of a step for one of a target. */
int deployment_target_outcome(int outcome);

#endif
