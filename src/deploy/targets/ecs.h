/*
 * What the parts of the ECS target share.
 *
 * Rooms: deploy. Ownership: struct ecs borrows its target; JSON that is returned is the caller's.
 * Threads: one that may wait.
 *
 * A deployment registers a task definition, which is that of the service with another image, tagged
 * with the deployment's id. With the strategy "rolling" the service is updated to it, and ECS
 * replaces task by task; with "task-sets" a second set of tasks runs beside the primary one.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_ECS_H
#define HOLDFAST_DEPLOY_TARGETS_ECS_H

#include "deploy/targets/common.h"
#include "deploy/targets/ecs_judge.h"
#include "net/aws.h"

/* The key of the tag that holds the deployment's id. */
#define ECS_TAG "holdfast-deployment"

struct ecs {
    const struct target *t;
    const struct conf_target *conf;
    struct aws *aws;
    struct aws_error error; /* of the last call that was not answered with 200 */
};

/* Outcome of ecs_call besides those of targets, where once was given: it may have been done. */
enum { ECS_UNSURE = 100 };

/* Returns 0 or a fault. */
int ecs_open(const struct target *t, struct ecs *ret);
void ecs_close(struct ecs *e);

/*
 * Calls an operation ("ListTasks"). Takes body over, which may be NULL for want of memory. What is
 * throttled, failing or out of reach is tried again for a while, and what is not answered too,
 * unless once is set. Returns 0, TARGET_FAILED (error.code says more), TARGET_UNREACHABLE,
 * TARGET_TIMEOUT, TARGET_CANCELLED, ECS_UNSURE or a fault.
 */
int ecs_call(struct ecs *e, const char *operation, json_t *body, bool once, json_t **ret);

/* A body that names the cluster and the service; NULL without memory. */
json_t *ecs_body(const struct ecs *e);

/* The service as it is now: a new reference. TARGET_FAILED where there is none that is active. */
int ecs_service(struct ecs *e, json_t **ret);

/* The deployment that the service is at; borrowed; NULL: none. */
const json_t *ecs_primary(const json_t *service);

/* Whether the service is of the strategy that is configured; TARGET_FAILED where not. */
int ecs_check_controller(const struct ecs *e, const json_t *service);

/* The task set of that id, or of that external id, or the primary one where both are NULL.
 * Borrowed; NULL: none. */
const json_t *ecs_task_set(const json_t *service, const char *id, const char *external);

/* --- Task definitions (ecs_definition.c) */

/* With its tags as member "tags". A new reference. */
int ecs_definition(struct ecs *e, const char *arn, json_t **ret);

/* The container of that name in a task definition; borrowed; NULL: none. */
json_t *ecs_container(const json_t *definition, const char *name);

/* The ARN of what this deployment registered, in the arena; "" where it has not yet. */
int ecs_own_definition(struct ecs *e, const json_t *state, const char **ret);

/* The same, registered now where it was not yet, and noted. */
int ecs_register(struct ecs *e, const json_t *state, const char **ret);

/* Deregisters what this deployment registered; 0 too where that is done, or there is nothing. */
int ecs_deregister(struct ecs *e, const json_t *state);

/* --- What the release's end was, into the deployment's directory (ecs_evidence.c) */
void ecs_evidence(struct ecs *e, const char *definition);

/* --- The two strategies (ecs_rolling.c, ecs_task_sets.c); what target.h says of each operation */
int ecs_rolling_roll_out(struct ecs *e, const json_t *state);
int ecs_rolling_wait(struct ecs *e, const json_t *state);
int ecs_rolling_roll_back(struct ecs *e, const json_t *state);
int ecs_sets_roll_out(struct ecs *e, const json_t *state);
int ecs_sets_wait(struct ecs *e, const json_t *state);
int ecs_sets_prove(struct ecs *e, const json_t *state);
int ecs_sets_roll_back(struct ecs *e, const json_t *state);
int ecs_sets_clean_up(struct ecs *e, const json_t *state, bool proven);

/*
 * Waits for a deployment or a task set, of that id, to be stable by the judge (ecs_judge.h). While
 * there is a deadline ECS may be out of reach in between. Returns 0, TARGET_FAILED, TARGET_TIMEOUT
 * (both say how it was), TARGET_CANCELLED, TARGET_UNREACHABLE or a fault.
 */
int ecs_wait_for(struct ecs *e, enum ecs_verdict (*judge)(const json_t *, const char *, char *),
                 const char *id);

#endif
