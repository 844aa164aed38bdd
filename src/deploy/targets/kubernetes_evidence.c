#include "deploy/targets/kubernetes.h"

enum { PODS_MAX = 5, EVENTS_MAX = 100 };

static const char *name_of(const json_t *object)
{
    return target_text(json_object_get(object, "metadata"), "name");
}

static void write_state(FILE *file, const char *when, const json_t *states)
{
    const char *kind;
    json_t *state;

    json_object_foreach((json_t *)(uintptr_t)states, kind, state)
    {
        const json_t *code = json_object_get(state, "exitCode");
        fprintf(file, ", %s%s %s", when, kind, target_text(state, "reason"));
        if (code)
            fprintf(file, " with code %lld", (long long)json_integer_value(code));
        if (*target_text(state, "message"))
            fprintf(file, " (%s)", target_text(state, "message"));
    }
}

static void write_logs(const struct target *t, FILE *file, const char *pod, const char *container,
                       bool previous)
{
    const char *const args[] = {"logs",
                                pod,
                                "-c",
                                container,
                                "--tail=200",
                                "--limit-bytes=262144",
                                "--request-timeout=15s",
                                previous ? "--previous" : NULL,
                                NULL};
    struct target_run run _cleanup_run_ = {0};

    fprintf(file, "-- log of %s, container %s%s\n", pod, container,
            previous ? ", before its last restart" : "");
    if (kubectl_run(t, args, &run) == 0)
        target_evidence_add(file, &run.out);
    else
        fprintf(file, "(%.*s)\n", STR_ARG(buf_str(&run.err)));
}

static void write_container(const struct target *t, FILE *file, const char *pod,
                            const json_t *status)
{
    int64_t restarts = target_number(status, "restartCount");

    fprintf(file, "   container %s: %lld restarts", target_text(status, "name"),
            (long long)restarts);
    write_state(file, "", json_object_get(status, "state"));
    write_state(file, "before ", json_object_get(status, "lastState"));
    fputc('\n', file);
    write_logs(t, file, pod, target_text(status, "name"), false);
    if (restarts > 0)
        write_logs(t, file, pod, target_text(status, "name"), true);
}

static void write_pod(const struct target *t, FILE *file, const json_t *pod)
{
    const json_t *status = json_object_get(pod, "status"), *item;
    size_t i;

    fprintf(file, "-- pod %s: %s %s %s\n", name_of(pod), target_text(status, "phase"),
            target_text(status, "reason"), target_text(status, "message"));
    json_array_foreach(json_object_get(status, "conditions"), i, item)
    {
        if (strcmp(target_text(item, "status"), "True") != 0)
            fprintf(file, "   not %s: %s %s\n", target_text(item, "type"),
                    target_text(item, "reason"), target_text(item, "message"));
    }
    json_array_foreach(json_object_get(status, "initContainerStatuses"), i, item)
    {
        write_container(t, file, name_of(pod), item);
    }
    json_array_foreach(json_object_get(status, "containerStatuses"), i, item)
    {
        write_container(t, file, name_of(pod), item);
    }
}

static int write_pods(const struct target *t, FILE *file, const json_t *deployment)
{
    int fault = 0, written = 0;
    const char *selector = kubernetes_selector(t, deployment, &fault);
    const char *const args[] = {"get", "pods", "-l", selector, "-o", "json", NULL};
    json_t *pods _cleanup_json_ = NULL;
    const json_t *pod;
    size_t i;
    int r = fault ? fault : kubectl_json(t, args, &pods);

    json_array_foreach(json_object_get(pods, "items"), i, pod)
    {
        const json_t *notes = json_object_get(json_object_get(pod, "metadata"), "annotations");
        if (strcmp(target_text(notes, KUBERNETES_ANNOTATION), t->id) == 0 && written++ < PODS_MAX)
            write_pod(t, file, pod);
    }
    return r;
}

/* Of the Deployment, and of its ReplicaSets and pods, whose names begin with its own. */
static int write_events(const struct target *t, FILE *file)
{
    static const char *const args[] = {"get", "events", "--sort-by=.lastTimestamp",
                                       "-o",  "json",   NULL};
    struct str name = str_of(t->environment->target.deployment);
    json_t *events _cleanup_json_ = NULL;
    const json_t *event;
    int r = kubectl_json(t, args, &events), written = 0;
    size_t i;

    fprintf(file, "-- events\n");
    json_array_foreach(json_object_get(events, "items"), i, event)
    {
        const json_t *object = json_object_get(event, "involvedObject");
        if (!str_has_prefix(str_of(target_text(object, "name")), name) || written++ == EVENTS_MAX)
            continue;
        fprintf(file, "%s %s %s %s: %s\n", target_text(event, "lastTimestamp"),
                target_text(object, "kind"), target_text(object, "name"),
                target_text(event, "reason"), target_text(event, "message"));
    }
    return r;
}

void kubernetes_evidence(const struct target *t, const json_t *deployment)
{
    const json_t *status = json_object_get(deployment, "status"), *item;
    FILE *file = target_evidence(t, "kubernetes.log");
    size_t i;

    if (!file)
        return;
    json_array_foreach(json_object_get(status, "conditions"), i, item)
    {
        fprintf(file, "%s is %s: %s %s\n", target_text(item, "type"), target_text(item, "status"),
                target_text(item, "reason"), target_text(item, "message"));
    }
    int r = write_events(t, file);
    if (r == 0)
        r = write_pods(t, file, deployment);
    if (r)
        fprintf(file, "(no more could be learned)\n");
    fclose(file);
}
