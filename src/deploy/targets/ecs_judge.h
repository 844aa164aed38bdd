/*
 * What a description of a service says of a deployment of it.
 *
 * Rooms: deploy. Ownership: plain values. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_ECS_JUDGE_H
#define HOLDFAST_DEPLOY_TARGETS_ECS_JUDGE_H

#include <jansson.h>

enum ecs_verdict {
    ECS_WAITING,
    ECS_STABLE,
    ECS_GONE, /* it is not among the service's; a moment after it was made that may be */
    ECS_FAILED
};

enum { ECS_WHY_SIZE = 300 };

/*
 * A deployment of ECS's own controller, by its id: stable once it alone is left with as many tasks
 * running as are wanted, and ECS calls it completed. A service that wants no task proves nothing:
 * ECS_FAILED. why, of ECS_WHY_SIZE,
 * says how far it is, or what is wrong.
 */
enum ecs_verdict ecs_judge_deployment(const json_t *service, const char *id, char *why);

/* A task set, by its id: stable in STEADY_STATE with all tasks that are wanted of it. */
enum ecs_verdict ecs_judge_task_set(const json_t *service, const char *id, char *why);

#endif
