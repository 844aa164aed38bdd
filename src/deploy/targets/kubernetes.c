#include "deploy/targets/kubernetes.h"

#include "base/fault.h"

enum { FIRST_MS = 250, LONGEST_MS = 2000 };

static const struct conf_target *conf_of(const struct target *t)
{
    return &t->environment->target;
}

static int check(const struct target *t)
{
    json_t *deployment _cleanup_json_ = NULL;
    const struct conf_target *c = conf_of(t);
    int r = kubernetes_deployment(t, &deployment);

    if (r)
        return r;
    if (!kubernetes_container(deployment, c->container))
        return target_fail(TARGET_FAILED, "the Deployment %s has no container %s", c->deployment,
                           c->container);
    if (kubernetes_replicas(deployment) == 0)
        return target_fail(
            TARGET_FAILED,
            "the Deployment %s wants 0 replicas: whether a release runs could not be seen",
            c->deployment);
    if (json_is_true(json_object_get(json_object_get(deployment, "spec"), "paused")))
        return target_fail(TARGET_FAILED, "the Deployment %s is paused", c->deployment);
    return 0;
}

static const json_t *set_at(const json_t *sets, const char *revision)
{
    const json_t *set;
    size_t i;

    json_array_foreach(json_object_get(sets, "items"), i, set)
    {
        if (strcmp(kubernetes_revision(set), revision) == 0)
            return set;
    }
    return NULL;
}

/* What ran before: what serves, where somebody's rollout is under way. */
static const json_t *serving(const struct target *t, const json_t *deployment, const json_t *sets)
{
    const json_t *set, *most = set_at(sets, kubernetes_revision(deployment));
    const char *container = conf_of(t)->container;
    const struct kubernetes_wanted now = {
        kubernetes_id_of(deployment), container,
        target_text(kubernetes_container(deployment, container), "image")};
    char why[KUBERNETES_WHY_SIZE];
    size_t i;

    if (kubernetes_judge(deployment, &now, why) == KUBERNETES_STABLE)
        return most;
    json_array_foreach(json_object_get(sets, "items"), i, set)
    {
        const json_t *status = json_object_get(set, "status");
        const json_t *of_most = json_object_get(most, "status");
        if (target_number(status, "availableReplicas") >
            target_number(of_most, "availableReplicas"))
            most = set;
    }
    progress_say(t->progress, "The Deployment is in the middle of a rollout (%s); most of it is %s",
                 why, target_text(json_object_get(most, "metadata"), "name"));
    return most;
}

static int snapshot(const struct target *t, json_t **ret)
{
    json_t *deployment _cleanup_json_ = NULL, *sets _cleanup_json_ = NULL;
    int r = kubernetes_deployment(t, &deployment);

    if (r == 0)
        r = kubernetes_sets(t, deployment, &sets);
    if (r)
        return r;
    const json_t *set = serving(t, deployment, sets), *what = set ? set : deployment;
    const json_t *about = json_object_get(deployment, "metadata");
    const char *image = target_text(kubernetes_container(what, conf_of(t)->container), "image");
    const char *release = target_release(t, image);
    json_t *state = json_pack(
        "{s:b, s:s, s:{s:s, s:s, s:s, s:s, s:I}}", "runs",
        target_number(json_object_get(set, "status"), "availableReplicas") > 0, "release", release,
        "previous", "replicaSet", target_text(json_object_get(set, "metadata"), "name"), "revision",
        kubernetes_revision(what), "image", image, "deployment", kubernetes_id_of(what),
        "generation", (json_int_t)target_number(about, "generation"));
    if (!state)
        return fault_set(FAULT_MEMORY, "no memory for a snapshot");
    *ret = state;
    return 0;
}

static struct kubernetes_wanted wanted(const struct target *t)
{
    const char *image = target_image(t);

    return (struct kubernetes_wanted){t->id, conf_of(t)->container, image ? image : ""};
}

/* What the state is of. */
static struct kubernetes_wanted before(const struct target *t, const json_t *state)
{
    const json_t *previous = json_object_get(state, "previous");

    return (struct kubernetes_wanted){target_text(previous, "deployment"), conf_of(t)->container,
                                      target_text(previous, "image")};
}

static int patch(const struct target *t, const struct kubernetes_wanted *w)
{
    json_t *patch =
        json_pack("{s:{s:{s:{s:{s:o}}, s:{s:[{s:s, s:s}]}}}}", "spec", "template", "metadata",
                  "annotations", KUBERNETES_ANNOTATION, *w->id ? json_string(w->id) : json_null(),
                  "spec", "containers", "name", w->container, "image", w->image);
    char *text = patch ? json_dumps(patch, JSON_COMPACT) : NULL;
    struct target_run run _cleanup_run_ = {0};

    json_decref(patch);
    if (!text)
        return fault_set(FAULT_MEMORY, "no memory for a patch");
    const char *const args[] = {
        "patch", "deployment", conf_of(t)->deployment, "--type", "strategic", "--patch", text, "-o",
        "name",  NULL};
    int r = kubectl_run(t, args, &run);
    free(text);
    return r == KUBECTL_NONE ? TARGET_FAILED : r;
}

static int roll_out(const struct target *t, const json_t *state)
{
    json_t *deployment _cleanup_json_ = NULL;
    const struct conf_target *c = conf_of(t);
    const struct kubernetes_wanted w = wanted(t);
    int r = kubernetes_deployment(t, &deployment);

    if (r)
        return r;
    if (!kubernetes_container(deployment, c->container)) /* a patch would add it */
        return target_fail(TARGET_FAILED, "the Deployment %s has no container %s", c->deployment,
                           c->container);
    if (kubernetes_is(deployment, &w))
        return 0;
    progress_say(t->progress, "Setting the image of %s to %s", c->deployment, w.image);
    return patch(t, &w);
}

/* By kubectl's own judgement; its exit code alone would not tell a timeout from a failure. */
static int confirm(const struct target *t)
{
    const char *const args[] = {"rollout",       "status", "deployment", conf_of(t)->deployment,
                                "--timeout=30s", NULL};
    struct target_run run _cleanup_run_ = {0};
    int r = kubectl_run(t, args, &run);

    return r == KUBECTL_NONE ? TARGET_FAILED : r;
}

/* The word of a deadline that is over stays on the Deployment for a while when the template changes
 * back to one whose ReplicaSet is there: it counts where it is said of the ReplicaSet of now. */
static int check_late(const struct target *t, const json_t *deployment,
                      enum kubernetes_verdict *ret)
{
    json_t *sets _cleanup_json_ = NULL;
    int r = kubernetes_sets(t, deployment, &sets);

    if (r)
        return r == KUBECTL_NONE ? TARGET_FAILED : r;
    const json_t *now = set_at(sets, kubernetes_revision(deployment));
    const char *name = target_text(json_object_get(now, "metadata"), "name");
    *ret = kubernetes_is_late(deployment, name) ? KUBERNETES_FAILED : KUBERNETES_WAITING;
    return 0;
}

/* One look. Returns 0 with the verdict; while there is a deadline kubectl may reach nobody. */
static int look(const struct target *t, const struct kubernetes_wanted *w, char *said,
                enum kubernetes_verdict *ret)
{
    json_t *deployment = NULL;
    char why[KUBERNETES_WHY_SIZE];
    int r = kubernetes_deployment(t, &deployment);

    if (r == 0) {
        *ret = kubernetes_judge(deployment, w, why);
        if (*ret == KUBERNETES_LATE)
            r = check_late(t, deployment, ret);
        else if (*ret == KUBERNETES_STABLE)
            r = confirm(t);
    }
    json_decref(deployment);
    if (r == TARGET_UNREACHABLE && t->deadline) {
        snprintf(why, sizeof why, "%s", fault_message());
        *ret = KUBERNETES_WAITING;
        r = 0;
    }
    if (r)
        return r;
    if (strcmp(said, why) != 0)
        progress_say(t->progress, "%s", why);
    snprintf(said, KUBERNETES_WHY_SIZE, "%s", why);
    return 0;
}

/* Waits until the Deployment is stable at that template. */
static int wait_for(const struct target *t, const struct kubernetes_wanted *w)
{
    char said[KUBERNETES_WHY_SIZE] = "";
    enum kubernetes_verdict verdict = KUBERNETES_WAITING;
    int64_t pause = FIRST_MS;

    for (;;) {
        int r = look(t, w, said, &verdict);
        if (r == 0 && verdict == KUBERNETES_STABLE)
            return 0;
        if (r == 0 && verdict == KUBERNETES_FAILED)
            return target_fail(TARGET_FAILED, "%s", said);
        if (r == 0)
            r = target_pause(t, pause, "the replicas to be available");
        if (r == TARGET_TIMEOUT && *said)
            return target_fail(r, "not stable in time: %s", said);
        if (r)
            return r;
        pause = 2 * pause < LONGEST_MS ? 2 * pause : LONGEST_MS;
    }
}

static int wait_stable(const struct target *t, const json_t *state)
{
    const struct kubernetes_wanted w = wanted(t);

    return wait_for(t, &w);
}

static int prove(const struct target *t, const json_t *state)
{
    return 0;
}

/* The ReplicaSet of the snapshot; *ret is NULL where it is gone. */
static int previous_set(const struct target *t, const json_t *previous, json_t **ret)
{
    const char *name = target_text(previous, "replicaSet");
    const char *const args[] = {"get", "replicaset", name, "-o", "json", NULL};
    int r = *name ? kubectl_json(t, args, ret) : KUBECTL_NONE;

    return r == KUBECTL_NONE ? 0 : r;
}

/* Has kubectl copy the template of the ReplicaSet: of the revision that it is now. */
static int undo(const struct target *t, const json_t *set)
{
    struct target_run run _cleanup_run_ = {0};
    int fault = 0;
    const char *to = target_format(t, &fault, "--to-revision=%s", kubernetes_revision(set));
    const char *const args[] = {"rollout", "undo", "deployment", conf_of(t)->deployment, to, NULL};

    progress_say(t->progress, "Going back to revision %s", kubernetes_revision(set));
    return fault ? fault : kubectl_run(t, args, &run);
}

/* Brings the template of the snapshot back. Without its ReplicaSet only what we changed of it. */
static int put_back(const struct target *t, const struct kubernetes_wanted *w, const json_t *set)
{
    if (set)
        return undo(t, set);
    progress_say(t->progress,
                 "The ReplicaSet of before is gone; setting the image of %s back to %s",
                 conf_of(t)->deployment, w->image);
    return patch(t, w);
}

/* Gets there, or finds that it is so already. */
static int go_back(const struct target *t, const json_t *deployment, const json_t *state)
{
    const struct kubernetes_wanted ours = wanted(t), w = before(t, state);
    const json_t *previous = json_object_get(state, "previous");
    json_t *set _cleanup_json_ = NULL;

    if (kubernetes_is(deployment, &w))
        return 0;
    if (!kubernetes_is(deployment, &ours))
        return target_fail(
            TARGET_FAILED, "somebody else has changed the Deployment %s, to %s; left as it is",
            conf_of(t)->deployment,
            target_text(kubernetes_container(deployment, conf_of(t)->container), "image"));
    kubernetes_evidence(t, deployment);
    int r = previous_set(t, previous, &set);
    if (r == 0)
        r = put_back(t, &w, set);
    return r == KUBECTL_NONE ? TARGET_FAILED : r;
}

static int roll_back(const struct target *t, const json_t *state)
{
    const struct kubernetes_wanted w = before(t, state);
    json_t *deployment _cleanup_json_ = NULL;
    int64_t generation = target_number(json_object_get(state, "previous"), "generation");
    int r = kubernetes_deployment(t, &deployment);

    if (r)
        return r;
    /* Nothing was done, and what ran may have been ill before. */
    if (target_number(json_object_get(deployment, "metadata"), "generation") == generation)
        return 0;
    r = go_back(t, deployment, state);
    if (r)
        return r;
    if (kubernetes_replicas(deployment) == 0) {
        progress_say(t->progress, "The Deployment wants 0 replicas: none runs");
        return 0;
    }
    return wait_for(t, &w);
}

/* The ReplicaSet of a release that failed: nobody is to go back to that revision. */
static int delete_set(const struct target *t, const json_t *set)
{
    const char *name = target_text(json_object_get(set, "metadata"), "name");
    const char *const args[] = {"delete",       "replicaset", name, "--ignore-not-found",
                                "--wait=false", NULL};
    struct target_run run _cleanup_run_ = {0};

    if (strcmp(kubernetes_id_of(set), t->id) != 0 || kubernetes_replicas(set) > 0 ||
        target_number(json_object_get(set, "status"), "replicas") > 0)
        return 0;
    progress_say(t->progress, "Deleting the ReplicaSet %s", name);
    return kubectl_run(t, args, &run);
}

static int clean_up(const struct target *t, const json_t *state, bool proven)
{
    json_t *deployment _cleanup_json_ = NULL, *sets _cleanup_json_ = NULL;
    const json_t *set;
    size_t i;

    if (proven) /* the previous ReplicaSet is what the release can be gone back to */
        return 0;
    int r = kubernetes_deployment(t, &deployment);
    if (r == 0)
        r = kubernetes_sets(t, deployment, &sets);
    json_array_foreach(json_object_get(sets, "items"), i, set)
    {
        if (r == 0)
            r = delete_set(t, set);
    }
    return r == KUBECTL_NONE ? 0 : r;
}

static int describe(const struct target *t, struct buf *out)
{
    const struct conf_target *c = conf_of(t);

    buf_printf(out,
               "kubectl patch deployment %s in %s: the container %s at %s, the pods annotated with "
               "the deployment's id\n"
               "kubectl rollout status, and the Deployment's own conditions and counts\n"
               "To go back: kubectl rollout undo to the revision of the snapshot, and delete the "
               "failed ReplicaSet\n",
               c->deployment, c->namespace, c->container, target_image(t));
    return buf_fault(out);
}

static int probe_url(const struct target *t, const json_t *state, const char **ret)
{
    *ret = "";
    return 0;
}

const struct target_kind target_kubernetes = {TARGET_KUBERNETES, check,    snapshot,  roll_out,
                                              wait_stable,       prove,    roll_back, clean_up,
                                              describe,          probe_url};
