#include "base/fault.h"
#include "deploy/targets/ecs.h"

/* The id of the deployment that the service is at, where that is one of the task definition, in the
 * arena; "" where not. */
static int deployment_of(const struct ecs *e, const json_t *service, const char *definition,
                         const char **ret)
{
    const json_t *d = ecs_primary(service);
    bool is = strcmp(target_text(d, "taskDefinition"), definition) == 0;
    struct str id = arena_str(e->t->a, str_of(is ? target_text(d, "id") : ""));

    if (!id.p)
        return FAULT_MEMORY;
    *ret = id.p;
    return 0;
}

/* Has the service at the task definition; that may be so already. */
static int update(struct ecs *e, const char *definition, const char **ret_deployment)
{
    json_t *answer _cleanup_json_ = NULL, *body = ecs_body(e);

    json_object_set_new(body, "taskDefinition", json_string(definition));
    int r = ecs_call(e, "UpdateService", body, false, &answer);
    if (r)
        return r;
    r = deployment_of(e, json_object_get(answer, "service"), definition, ret_deployment);
    if (r == 0 && !**ret_deployment)
        r = target_fail(TARGET_FAILED, "ECS began no deployment of %s", definition);
    return r;
}

int ecs_rolling_roll_out(struct ecs *e, const json_t *state)
{
    json_t *service _cleanup_json_ = NULL;
    const char *definition, *deployment = "";
    int r = ecs_register(e, state, &definition);

    if (r == 0)
        r = ecs_service(e, &service);
    if (r == 0)
        r = deployment_of(e, service, definition, &deployment);
    if (r == 0 && !*deployment) {
        progress_say(e->t->progress, "Updating the service %s to %s", e->conf->service, definition);
        r = update(e, definition, &deployment);
    }
    return r ? r : target_note(e->t, "deployment", deployment);
}

/* Which deployment is ours where that was not noted any more. */
static int find_deployment(struct ecs *e, const json_t *state, const char **ret)
{
    json_t *service _cleanup_json_ = NULL;
    const char *definition, *deployment = "";
    int r = ecs_own_definition(e, state, &definition);

    if (r == 0)
        r = ecs_service(e, &service);
    if (r == 0 && *definition)
        r = deployment_of(e, service, definition, &deployment);
    if (r == 0 && !*deployment)
        r = target_fail(TARGET_FAILED, "the service %s is not at this release", e->conf->service);
    if (r == 0)
        *ret = deployment;
    return r;
}

int ecs_rolling_wait(struct ecs *e, const json_t *state)
{
    const char *deployment = target_text(state, "deployment");
    int r = *deployment ? 0 : find_deployment(e, state, &deployment);

    return r ? r : ecs_wait_for(e, ecs_judge_deployment, deployment);
}

/* Has the service at the previous task definition again, unless ECS or somebody has already. */
static int go_back(struct ecs *e, const json_t *service, const char *previous, const char *own,
                   const char **ret_deployment)
{
    const char *now = target_text(ecs_primary(service), "taskDefinition");

    if (strcmp(now, previous) == 0)
        return deployment_of(e, service, previous, ret_deployment);
    if (strcmp(now, own) != 0)
        return target_fail(TARGET_FAILED,
                           "the service %s was updated by someone else to %s; left as it is",
                           e->conf->service, now);
    progress_say(e->t->progress, "Updating the service %s back to %s", e->conf->service, previous);
    return update(e, previous, ret_deployment);
}

int ecs_rolling_roll_back(struct ecs *e, const json_t *state)
{
    const json_t *before = json_object_get(state, "previous");
    const char *previous = target_text(before, "taskDefinition"), *own, *deployment = "";
    json_t *service _cleanup_json_ = NULL;
    int r = ecs_own_definition(e, state, &own);

    if (r == 0)
        r = ecs_service(e, &service);
    if (r)
        return r;
    if (*own)
        ecs_evidence(e, own);
    r = go_back(e, service, previous, own, &deployment);
    if (r)
        return r;
    if (target_number(service, "desiredCount") == 0) {
        progress_say(e->t->progress, "The service %s wants 0 tasks: none runs", e->conf->service);
        return 0;
    }
    /* Nothing was done, and what ran may have been ill before. */
    if (strcmp(deployment, target_text(before, "deployment")) == 0)
        return 0;
    return ecs_wait_for(e, ecs_judge_deployment, deployment);
}
