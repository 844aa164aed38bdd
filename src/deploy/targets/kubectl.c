#include "base/fault.h"
#include "crypto/wiped_json.h"
#include "deploy/targets/kubernetes.h"

enum { FIXED_ARGS = 5, RUN_MS = 60 * 1000 };

static bool holds(struct str text, const char *part)
{
    return text.n > 0 && memmem(text.p, text.n, part, strlen(part)) != NULL;
}

/* kubectl ends with 1 whatever it was: its words tell an answer of the API server from none. */
static int classify(int outcome, struct str errors)
{
    static const char *const unreached[] = {"Unable to connect to the server",
                                            "The connection to the server",
                                            "(ServiceUnavailable)",
                                            "(Timeout)",
                                            "(TooManyRequests)",
                                            "(InternalError)",
                                            "(Unauthorized)",
                                            "You must be logged in",
                                            "connection refused",
                                            "i/o timeout",
                                            "context deadline exceeded",
                                            "EOF"};

    if (outcome != TARGET_FAILED)
        return outcome;
    if (holds(errors, "(NotFound)"))
        return KUBECTL_NONE;
    for (size_t i = 0; i < sizeof unreached / sizeof *unreached; i++)
        if (holds(errors, unreached[i]))
            return TARGET_UNREACHABLE;
    return TARGET_FAILED;
}

int kubectl_run(const struct target *t, const char *const *args, struct target_run *run)
{
    const struct conf_target *c = &t->environment->target;
    const char *argv[FIXED_ARGS + KUBECTL_ARGS_MAX + 1] = {"kubectl", "--namespace", c->namespace};
    size_t n = 3;

    if (c->context) {
        argv[n++] = "--context";
        argv[n++] = c->context;
    }
    for (size_t i = 0; args[i] && i < KUBECTL_ARGS_MAX; i++)
        argv[n++] = args[i];
    run->argv = argv;
    run->timeout_ms = RUN_MS;
    int r = target_run(t, run);
    run->argv = NULL;
    return classify(r, buf_str(&run->err));
}

int kubectl_json(const struct target *t, const char *const *args, json_t **ret)
{
    struct target_run run _cleanup_run_ = {0};
    int r = kubectl_run(t, args, &run);

    if (r)
        return r;
    wiped_json(); /* environments of containers hold secrets */
    json_t *tree = json_loadb(run.out.p, run.out.n, 0, NULL);
    if (!json_is_object(tree)) {
        json_decref(tree);
        return target_fail(TARGET_UNREACHABLE, "kubectl %s prints what is not JSON, or over %d MiB",
                           args[0], TARGET_OUT_MAX >> 20);
    }
    *ret = tree;
    return 0;
}

#define WAIT_FOR_ANSWER "--request-timeout=15s"

int kubernetes_deployment(const struct target *t, json_t **ret)
{
    const char *name = t->environment->target.deployment;
    const char *const args[] = {"get", "deployment", name, "-o", "json", WAIT_FOR_ANSWER, NULL};
    int r = kubectl_json(t, args, ret);

    return r == KUBECTL_NONE ? TARGET_FAILED : r;
}

const char *kubernetes_selector(const struct target *t, const json_t *deployment, int *fault)
{
    json_t *spec = json_object_get(deployment, "spec");
    json_t *labels = json_object_get(json_object_get(spec, "selector"), "matchLabels"), *value;
    const char *all = "", *key;

    json_object_foreach(labels, key, value)
    {
        all = target_format(t, fault, "%s%s%s=%s", all, *all ? "," : "", key,
                            json_string_value(value));
    }
    return all;
}

static bool is_owned(const json_t *object, const json_t *deployment)
{
    const char *uid = target_text(json_object_get(deployment, "metadata"), "uid");
    const json_t *owner;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(object, "metadata"), "ownerReferences"), i,
                       owner)
    {
        if (strcmp(target_text(owner, "uid"), uid) == 0)
            return true;
    }
    return false;
}

int kubernetes_sets(const struct target *t, const json_t *deployment, json_t **ret)
{
    int fault = 0;
    const char *selector = kubernetes_selector(t, deployment, &fault);
    const char *const args[] = {"get",  "replicasets",   "-l", selector, "-o",
                                "json", WAIT_FOR_ANSWER, NULL};
    json_t *all = NULL;
    int r = fault ? fault : kubectl_json(t, args, &all);

    if (r)
        return r;
    json_t *items = json_object_get(all, "items");
    for (size_t i = json_array_size(items); i > 0; i--)
        if (!is_owned(json_array_get(items, i - 1), deployment))
            json_array_remove(items, i - 1);
    *ret = all;
    return 0;
}
