/* What a description of a service says of a deployment. */
#include "deploy/targets/ecs_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef enum ecs_verdict judge(const json_t *service, const char *id, char *why);

static void expect(judge *by, const char *service, enum ecs_verdict verdict, const char *says)
{
    json_t *tree = json_loads(service, 0, NULL);
    char why[ECS_WHY_SIZE];

    assert_non_null(tree);
    enum ecs_verdict found = by(tree, "d1", why);
    json_decref(tree);
    if (!strstr(why, says))
        fail_msg("%s: says \"%s\", not \"%s\"", service, why, says);
    assert_int_equal(found, verdict);
}

#define SERVICE(desired, lists) "{\"desiredCount\":" #desired "," lists "}"
#define DEPLOYMENTS(list) SERVICE(2, "\"deployments\":[" list "]")
#define OURS(status, running, pending, failed, rollout)                                            \
    "{\"id\":\"d1\",\"status\":\"" status "\",\"desiredCount\":2,\"runningCount\":" #running       \
    ",\"pendingCount\":" #pending ",\"failedTasks\":" #failed rollout "}"
#define STATE(text) ",\"rolloutState\":\"" text "\""
#define OTHER(status) "{\"id\":\"d2\",\"status\":\"" status "\",\"taskDefinition\":\"shop:1\"}"

static void test_deployment(void **state)
{
    static const struct {
        const char *service;
        enum ecs_verdict verdict;
        const char *says;
    } rows[] = {
        {DEPLOYMENTS(OURS("PRIMARY", 2, 0, 0, STATE("COMPLETED"))), ECS_STABLE, "2 of 2"},
        {DEPLOYMENTS(OURS("PRIMARY", 2, 0, 0, "")), ECS_STABLE, "2 of 2"},
        {DEPLOYMENTS(OURS("PRIMARY", 2, 0, 0, STATE("IN_PROGRESS"))), ECS_WAITING, "2 of 2"},
        {DEPLOYMENTS(OURS("PRIMARY", 1, 1, 0, STATE("COMPLETED"))), ECS_WAITING, "1 start"},
        {DEPLOYMENTS(OURS("PRIMARY", 2, 1, 0, STATE("COMPLETED"))), ECS_WAITING, "1 start"},
        {DEPLOYMENTS(OURS("PRIMARY", 2, 0, 0, STATE("COMPLETED")) "," OTHER("ACTIVE")), ECS_WAITING,
         "those of before are still there"},
        {DEPLOYMENTS(OURS("PRIMARY", 0, 2, 2, STATE("IN_PROGRESS"))), ECS_WAITING, "2 failed"},
        {DEPLOYMENTS(OURS("PRIMARY", 0, 2, 3, STATE("IN_PROGRESS"))), ECS_FAILED,
         "3 tasks in a row have failed"},
        {DEPLOYMENTS(
             OURS("PRIMARY", 2, 0, 0, STATE("FAILED") ",\"rolloutStateReason\":\"breaker\"")),
         ECS_FAILED, "gave the deployment up: breaker"},
        {DEPLOYMENTS(OTHER("PRIMARY") "," OURS("ACTIVE", 2, 0, 0, STATE("IN_PROGRESS"))),
         ECS_FAILED, "replaced by d2 of shop:1"},
        {DEPLOYMENTS(OTHER("PRIMARY")), ECS_GONE, "d1 is gone"},
        {DEPLOYMENTS(""), ECS_GONE, "d1 is gone"},
        {"{}", ECS_GONE, "d1 is gone"},
        {SERVICE(0, "\"deployments\":[" OURS("PRIMARY", 2, 0, 0, STATE("COMPLETED")) "]"),
         ECS_FAILED, "wants 0 tasks"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(ecs_judge_deployment, rows[i].service, rows[i].verdict, rows[i].says);
}

/* Where the circuit breaker is on it decides, and else we do, where it would. */
static void test_failed_tasks(void **state)
{
#define MANY(breaker, failed)                                                                      \
    "{\"desiredCount\":20,\"deploymentConfiguration\":{\"deploymentCircuitBreaker\":{"             \
    "\"enable\":" breaker                                                                          \
    "}},\"deployments\":[{\"id\":\"d1\",\"status\":\"PRIMARY\",\"desiredCount\":20,"               \
    "\"failedTasks\":" #failed STATE("IN_PROGRESS") "}]}"
    expect(ecs_judge_deployment, MANY("false", 9), ECS_WAITING, "9 failed");
    expect(ecs_judge_deployment, MANY("false", 10), ECS_FAILED, "10 tasks in a row");
    expect(ecs_judge_deployment, MANY("true", 10), ECS_WAITING, "10 failed");
}

static void test_task_set(void **state)
{
#define SET(status, stability, running, pending)                                                   \
    SERVICE(2, "\"taskSets\":[{\"id\":\"d1\",\"status\":\"" status                                 \
               "\",\"stabilityStatus\":\"" stability                                               \
               "\",\"computedDesiredCount\":2,\"runningCount\":" #running                          \
               ",\"pendingCount\":" #pending "}]")
    static const struct {
        const char *service;
        enum ecs_verdict verdict;
        const char *says;
    } rows[] = {
        {SET("ACTIVE", "STEADY_STATE", 2, 0), ECS_STABLE, "2 of 2"},
        {SET("PRIMARY", "STEADY_STATE", 2, 0), ECS_STABLE, "2 of 2"},
        {SET("ACTIVE", "STABILIZING", 2, 0), ECS_WAITING, "2 of 2"},
        {SET("ACTIVE", "STEADY_STATE", 1, 0), ECS_WAITING, "1 of 2"},
        {SET("ACTIVE", "STEADY_STATE", 2, 1), ECS_WAITING, "1 start"},
        {SET("DRAINING", "STEADY_STATE", 2, 0), ECS_FAILED, "is being removed"},
        {SERVICE(2, "\"taskSets\":[]"), ECS_GONE, "d1 is gone"},
        {SERVICE(0, "\"taskSets\":[{\"id\":\"d1\"}]"), ECS_FAILED, "wants 0 tasks"},
        {SERVICE(2, "\"taskSets\":[{\"id\":\"d1\",\"stabilityStatus\":\"STEADY_STATE\"}]"),
         ECS_WAITING, "0 of 0"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(ecs_judge_task_set, rows[i].service, rows[i].verdict, rows[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deployment),
        cmocka_unit_test(test_failed_tasks),
        cmocka_unit_test(test_task_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
