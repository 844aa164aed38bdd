#include "deploy/targets/ecs_judge.h"

#include "deploy/targets/ecs.h"

#include <stdarg.h>

static enum ecs_verdict say(enum ecs_verdict verdict, char *why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum ecs_verdict say(enum ecs_verdict verdict, char *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, ECS_WHY_SIZE, format, args);
    va_end(args);
    return verdict;
}

static const json_t *find(const json_t *list, const char *key, const char *value)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (strcmp(target_text(item, key), value) == 0)
            return item;
    }
    return NULL;
}

static bool has_breaker(const json_t *service)
{
    const json_t *how = json_object_get(service, "deploymentConfiguration");

    return json_is_true(
        json_object_get(json_object_get(how, "deploymentCircuitBreaker"), "enable"));
}

/* Where the circuit breaker is off ECS goes on for ever; we give up where the breaker would. */
static bool fails_on(const json_t *service, const json_t *deployment)
{
    enum { FEWEST = 3, MOST = 200 };
    int64_t limit = (target_number(deployment, "desiredCount") + 1) / 2;

    limit = limit < FEWEST ? FEWEST : limit > MOST ? MOST : limit;
    return !has_breaker(service) && target_number(deployment, "failedTasks") >= limit;
}

static enum ecs_verdict judge_replaced(const json_t *service, const json_t *deployment, char *why)
{
    const json_t *now = find(json_object_get(service, "deployments"), "status", "PRIMARY");
    const char *reason = target_text(deployment, "rolloutStateReason");

    if (!*reason)
        reason = target_text(now, "rolloutStateReason");
    return say(ECS_FAILED, why, "the deployment was replaced by %s of %s%s%s",
               target_text(now, "id"), target_text(now, "taskDefinition"), *reason ? ": " : "",
               reason);
}

enum ecs_verdict ecs_judge_deployment(const json_t *service, const char *id, char *why)
{
    const json_t *all = json_object_get(service, "deployments");
    const json_t *d = find(all, "id", id);
    const char *rollout = target_text(d, "rolloutState");
    long long desired = target_number(d, "desiredCount"),
              running = target_number(d, "runningCount"),
              pending = target_number(d, "pendingCount"), failed = target_number(d, "failedTasks");

    if (!d)
        return say(ECS_GONE, why, "the deployment %s is gone", id);
    if (strcmp(rollout, "FAILED") == 0)
        return say(ECS_FAILED, why, "ECS gave the deployment up: %s",
                   target_text(d, "rolloutStateReason"));
    if (strcmp(target_text(d, "status"), "PRIMARY") != 0)
        return judge_replaced(service, d, why);
    if (target_number(service, "desiredCount") == 0)
        return say(ECS_FAILED, why,
                   "the service wants 0 tasks, so that whether the release runs cannot be seen");
    if (fails_on(service, d))
        return say(ECS_FAILED, why, "%lld tasks in a row have failed", failed);
    if (json_array_size(all) == 1 && desired > 0 && running == desired && pending == 0 &&
        (!*rollout || strcmp(rollout, "COMPLETED") == 0))
        return say(ECS_STABLE, why, "%lld of %lld tasks run", running, desired);
    return say(ECS_WAITING, why, "%lld of %lld tasks run, %lld start, %lld failed%s", running,
               desired, pending, failed,
               json_array_size(all) > 1 ? "; those of before are still there" : "");
}

enum ecs_verdict ecs_judge_task_set(const json_t *service, const char *id, char *why)
{
    const json_t *set = ecs_task_set(service, id, NULL);
    long long desired = target_number(set, "computedDesiredCount"),
              running = target_number(set, "runningCount"),
              pending = target_number(set, "pendingCount");

    if (!set)
        return say(ECS_GONE, why, "the task set %s is gone", id);
    if (strcmp(target_text(set, "status"), "DRAINING") == 0)
        return say(ECS_FAILED, why, "the task set %s is being removed", id);
    if (target_number(service, "desiredCount") == 0)
        return say(ECS_FAILED, why,
                   "the service wants 0 tasks, so that whether the release runs cannot be seen");
    if (strcmp(target_text(set, "stabilityStatus"), "STEADY_STATE") == 0 && desired > 0 &&
        running == desired && pending == 0)
        return say(ECS_STABLE, why, "%lld of %lld tasks run", running, desired);
    return say(ECS_WAITING, why, "%lld of %lld tasks run, %lld start", running, desired, pending);
}
