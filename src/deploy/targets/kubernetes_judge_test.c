/* What a Deployment of Kubernetes says of its rollout. */
#include "deploy/targets/kubernetes_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SPEC "\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"shop:1\"}]}"
#define DEPLOYMENT(id, more, observed, replicas, updated, available, condition)                    \
    "{\"metadata\":{\"generation\":7},\"spec\":{" more                                             \
    "\"template\":{\"metadata\":{\"annotations\":{\"holdfast/deployment\":\"" id "\"}}," SPEC      \
    "}},\"status\":{\"observedGeneration\":" #observed ",\"replicas\":" #replicas                  \
    ",\"updatedReplicas\":" #updated ",\"availableReplicas\":" #available                          \
    ",\"conditions\":[" condition "]}}"
#define TWO "\"replicas\":2,"
#define LATE                                                                                       \
    "{\"type\":\"Progressing\",\"status\":\"False\",\"reason\":\"ProgressDeadlineExceeded\","      \
    "\"message\":\"timed out\"}"
#define QUOTA "{\"type\":\"ReplicaFailure\",\"status\":\"True\",\"message\":\"exceeded quota\"}"

static void test_verdicts(void **state)
{
    static const struct {
        const char *deployment;
        enum kubernetes_verdict verdict;
        const char *says;
    } rows[] = {
        {DEPLOYMENT("d1", TWO, 7, 2, 2, 2, ""), KUBERNETES_STABLE, "2 of 2 replicas"},
        {DEPLOYMENT("d1", "", 7, 1, 1, 1, ""), KUBERNETES_STABLE, "1 of 1 replicas"},
        {DEPLOYMENT("d1", TWO, 6, 2, 2, 2, ""), KUBERNETES_WAITING, "not yet seen"},
        {DEPLOYMENT("d1", TWO, 7, 3, 2, 2, ""), KUBERNETES_WAITING, "1 old ones left"},
        {DEPLOYMENT("d1", TWO, 7, 2, 2, 1, ""), KUBERNETES_WAITING, "1 available"},
        {DEPLOYMENT("d1", TWO, 7, 2, 1, 2, ""), KUBERNETES_WAITING, "1 of 2 replicas are updated"},
        {DEPLOYMENT("d1", TWO, 7, 0, 0, 0, QUOTA), KUBERNETES_WAITING, ": exceeded quota"},
        {DEPLOYMENT("d1", TWO, 7, 2, 1, 1, LATE), KUBERNETES_LATE, "deadline: timed out"},
        /* What is past its deadline was so before the last change, which nobody has seen yet. */
        {DEPLOYMENT("d1", TWO, 6, 2, 1, 1, LATE), KUBERNETES_WAITING, "not yet seen"},
        {DEPLOYMENT("d1", "\"replicas\":0,", 7, 0, 0, 0, ""), KUBERNETES_FAILED, "0 replicas"},
        {DEPLOYMENT("d1", TWO "\"paused\":true,", 7, 2, 2, 2, ""), KUBERNETES_FAILED, "paused"},
        {DEPLOYMENT("d2", TWO, 7, 2, 2, 2, ""), KUBERNETES_FAILED, "of the deployment d2"},
        {DEPLOYMENT("", TWO, 7, 2, 2, 2, ""), KUBERNETES_FAILED, "of no deployment of ours"},
        {"{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"holdfast/deployment\":\"d1\"}},"
         "\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"shop:3\"}]}}}}",
         KUBERNETES_FAILED, "of the deployment d1, at shop:3"},
        {"{}", KUBERNETES_FAILED, "of no deployment of ours"},
    };
    const struct kubernetes_wanted wanted = {"d1", "web", "shop:1"};
    char why[KUBERNETES_WHY_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *tree = json_loads(rows[i].deployment, 0, NULL);
        assert_non_null(tree);
        enum kubernetes_verdict found = kubernetes_judge(tree, &wanted, why);
        json_decref(tree);
        if (!strstr(why, rows[i].says))
            fail_msg("row %zu says \"%s\", not \"%s\"", i, why, rows[i].says);
        assert_int_equal(found, rows[i].verdict);
    }
}

/* Behind a rollback the word of the failed ReplicaSet's deadline is still there. */
static void test_whose_deadline(void **state)
{
    static const struct {
        const char *message, *set;
        bool late;
    } rows[] = {
        {"ReplicaSet \\\"shop-1\\\" has timed out progressing.", "shop-1", true},
        {"ReplicaSet \\\"shop-1\\\" has timed out progressing.", "shop-2", false},
        {"ReplicaSet \\\"shop-12\\\" has timed out progressing.", "shop-1", false},
        {"ReplicaSet \\\"shop-1\\\" has timed out progressing.", "", false},
        {"ReplicaSet \\\"shop-1", "shop-1", false},
        {"Deployment \\\"shop\\\" has timed out progressing.", "shop-1", true},
        {"", "shop-1", true},
    };
    char text[500];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text,
                 "{\"status\":{\"conditions\":[{\"type\":\"Available\"},"
                 "{\"type\":\"Progressing\",\"message\":\"%s\"}]}}",
                 rows[i].message);
        json_t *tree = json_loads(text, 0, NULL);
        assert_non_null(tree);
        bool late = kubernetes_is_late(tree, rows[i].set);
        json_decref(tree);
        if (late != rows[i].late)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_deadline),
        cmocka_unit_test(test_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
