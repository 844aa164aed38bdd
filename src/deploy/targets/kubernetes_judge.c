#include "deploy/targets/kubernetes_judge.h"

#include "deploy/targets/common.h"

#include <stdarg.h>

static enum kubernetes_verdict say(enum kubernetes_verdict verdict, char *why, const char *format,
                                   ...) __attribute__((format(printf, 3, 4)));

static enum kubernetes_verdict say(enum kubernetes_verdict verdict, char *why, const char *format,
                                   ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, KUBERNETES_WHY_SIZE, format, args);
    va_end(args);
    return verdict;
}

static json_t *spec_of(const json_t *object)
{
    return json_object_get(object, "spec");
}

static json_t *template_of(const json_t *object)
{
    return json_object_get(spec_of(object), "template");
}

static const json_t *annotations_of(const json_t *object)
{
    return json_object_get(json_object_get(object, "metadata"), "annotations");
}

const char *kubernetes_id_of(const json_t *object)
{
    return target_text(annotations_of(template_of(object)), KUBERNETES_ANNOTATION);
}

const json_t *kubernetes_container(const json_t *object, const char *name)
{
    const json_t *container;
    size_t i;

    json_array_foreach(json_object_get(spec_of(template_of(object)), "containers"), i, container)
    {
        if (strcmp(target_text(container, "name"), name) == 0)
            return container;
    }
    return NULL;
}

int64_t kubernetes_replicas(const json_t *object)
{
    const json_t *replicas = json_object_get(spec_of(object), "replicas");

    return replicas ? json_integer_value(replicas) : 1;
}

const char *kubernetes_revision(const json_t *object)
{
    return target_text(annotations_of(object), "deployment.kubernetes.io/revision");
}

bool kubernetes_is(const json_t *object, const struct kubernetes_wanted *w)
{
    const char *image = target_text(kubernetes_container(object, w->container), "image");

    return strcmp(kubernetes_id_of(object), w->id) == 0 && strcmp(image, w->image) == 0;
}

static const json_t *condition(const json_t *status, const char *type)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(target_text(c, "type"), type) == 0)
            return c;
    }
    return NULL;
}

static enum kubernetes_verdict judge_counts(const json_t *deployment, const json_t *status,
                                            char *why)
{
    long long wanted = kubernetes_replicas(deployment), all = target_number(status, "replicas"),
              updated = target_number(status, "updatedReplicas"),
              available = target_number(status, "availableReplicas");
    const json_t *refused = condition(status, "ReplicaFailure");
    const char *message = target_text(refused, "message");

    if (updated == wanted && all == updated && available == updated)
        return say(KUBERNETES_STABLE, why, "%lld of %lld replicas are available", available,
                   wanted);
    return say(KUBERNETES_WAITING, why,
               "%lld of %lld replicas are updated, %lld available, %lld old ones left%s%s", updated,
               wanted, available, all - updated, *message ? ": " : "", message);
}

bool kubernetes_is_late(const json_t *deployment, const char *set)
{
    static const char begin[] = "ReplicaSet \"";
    const json_t *progressing = condition(json_object_get(deployment, "status"), "Progressing");
    const char *message = target_text(progressing, "message");
    size_t n = strlen(set);

    /* It may be said of the Deployment, where it could not make a ReplicaSet. */
    if (strncmp(message, begin, sizeof begin - 1) != 0)
        return true;
    message += sizeof begin - 1;
    return strncmp(message, set, n) == 0 && message[n] == '"';
}

enum kubernetes_verdict kubernetes_judge(const json_t *deployment,
                                         const struct kubernetes_wanted *w,
                                         char why[KUBERNETES_WHY_SIZE])
{
    const json_t *status = json_object_get(deployment, "status");
    const json_t *progressing = condition(status, "Progressing");
    const char *of = kubernetes_id_of(deployment);
    int64_t made = target_number(json_object_get(deployment, "metadata"), "generation");

    if (!kubernetes_is(deployment, w))
        return say(KUBERNETES_FAILED, why,
                   "somebody else has changed the Deployment: it is of %s%s, at %s",
                   *of ? "the deployment " : "no deployment of ours", of,
                   target_text(kubernetes_container(deployment, w->container), "image"));
    if (kubernetes_replicas(deployment) == 0)
        return say(KUBERNETES_FAILED, why,
                   "the Deployment wants 0 replicas, so that whether the release runs cannot be "
                   "seen");
    if (json_is_true(json_object_get(spec_of(deployment), "paused")))
        return say(KUBERNETES_FAILED, why, "the Deployment is paused");
    if (target_number(status, "observedGeneration") < made)
        return say(KUBERNETES_WAITING, why, "the change is not yet seen by its controller");
    if (strcmp(target_text(progressing, "reason"), "ProgressDeadlineExceeded") == 0)
        return say(KUBERNETES_LATE, why, "no progress within its deadline: %s",
                   target_text(progressing, "message"));
    return judge_counts(deployment, status, why);
}
