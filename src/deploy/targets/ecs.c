#include "deploy/targets/ecs.h"

#include "base/fault.h"

/* What ran before: what serves, where somebody's deployment is under way. */
static const json_t *serving(const struct ecs *e, const json_t *service)
{
    const json_t *all = json_object_get(service, "deployments"), *primary = ecs_primary(service);
    const json_t *d, *most = primary;
    size_t i;

    if (json_array_size(all) <= 1 || strcmp(target_text(primary, "rolloutState"), "COMPLETED") == 0)
        return primary;
    json_array_foreach(all, i, d)
    {
        if (target_number(d, "runningCount") > target_number(most, "runningCount"))
            most = d;
    }
    progress_say(e->t->progress,
                 "The service %s is in the middle of a deployment; most of its tasks run %s",
                 e->conf->service, target_text(most, "taskDefinition"));
    return most;
}

static int check_definition(struct ecs *e, const char *arn)
{
    json_t *definition = NULL;
    int r = ecs_definition(e, arn, &definition);

    if (r == 0 && !ecs_container(definition, e->conf->container))
        r = target_fail(TARGET_FAILED, "the task definition %s has no container %s", arn,
                        e->conf->container);
    json_decref(definition);
    return r;
}

/* What the snapshot is of: a deployment, or the primary task set. */
static int find_previous(const struct ecs *e, const json_t *service, const json_t **ret)
{
    bool sets = e->conf->strategy == ECS_TASK_SETS;
    const json_t *now = sets ? ecs_task_set(service, NULL, NULL) : serving(e, service);

    if (!now)
        return target_fail(TARGET_FAILED, "the service %s has no primary %s", e->conf->service,
                           sets ? "task set" : "deployment");
    *ret = now;
    return 0;
}

static int check_service(struct ecs *e, const json_t *service)
{
    const json_t *now;
    int r = ecs_check_controller(e, service);

    if (r == 0)
        r = find_previous(e, service, &now);
    if (r)
        return r;
    if (target_number(service, "desiredCount") == 0)
        return target_fail(TARGET_FAILED,
                           "the service %s wants 0 tasks: whether a release runs could not be seen",
                           e->conf->service);
    return check_definition(e, target_text(now, "taskDefinition"));
}

static int check(const struct target *t)
{
    struct ecs e;
    json_t *service _cleanup_json_ = NULL;
    int r = ecs_open(t, &e);

    if (r == 0)
        r = ecs_service(&e, &service);
    if (r == 0)
        r = check_service(&e, service);
    ecs_close(&e);
    return r;
}

static bool is_given(const json_t *value)
{
    return value && !json_is_null(value) &&
           !(json_is_array(value) && json_array_size(value) == 0) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

/* What a task set is created with that the service's own settings do not say. */
static json_t *settings_of(const json_t *set)
{
    static const char *const names[] = {"networkConfiguration",
                                        "loadBalancers",
                                        "serviceRegistries",
                                        "launchType",
                                        "capacityProviderStrategy",
                                        "platformVersion",
                                        "scale"};
    json_t *like = json_object();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *value = json_object_get(set, names[i]);
        if (is_given(value))
            json_object_set(like, names[i], value);
    }
    if (json_object_get(like, "capacityProviderStrategy"))
        json_object_del(like, "launchType"); /* one of the two is taken */
    return like;
}

static int snapshot_of(struct ecs *e, const json_t *service, json_t **ret)
{
    bool sets = e->conf->strategy == ECS_TASK_SETS;
    json_t *definition _cleanup_json_ = NULL;
    const json_t *now;
    int r = find_previous(e, service, &now);

    if (r == 0)
        r = ecs_definition(e, target_text(now, "taskDefinition"), &definition);
    if (r)
        return r;
    json_t *previous =
        json_pack("{s:s, s:s, s:I, s:s, s:I, s:s}", "taskDefinition",
                  target_text(now, "taskDefinition"), "family", target_text(definition, "family"),
                  "revision", (json_int_t)target_number(definition, "revision"), "image",
                  target_text(ecs_container(definition, e->conf->container), "image"),
                  "desiredCount", (json_int_t)target_number(service, "desiredCount"),
                  sets ? "taskSet" : "deployment", target_text(now, "id"));
    if (sets && previous)
        json_object_set_new(previous, "like", settings_of(now));
    const char *release =
        target_release(e->t, target_text(ecs_container(definition, e->conf->container), "image"));
    json_t *state = json_pack("{s:b, s:s, s:o}", "runs", target_number(now, "runningCount") > 0,
                              "release", release, "previous", previous);
    if (!state)
        return fault_set(FAULT_MEMORY, "no memory for a snapshot");
    *ret = state;
    return 0;
}

static int snapshot(const struct target *t, json_t **ret)
{
    struct ecs e;
    json_t *service _cleanup_json_ = NULL;
    int r = ecs_open(t, &e);

    if (r == 0)
        r = ecs_service(&e, &service);
    if (r == 0)
        r = snapshot_of(&e, service, ret);
    ecs_close(&e);
    return r;
}

/* Runs the operation of the strategy; NULL: nothing is to be done. */
static int with(const struct target *t, const json_t *state,
                int (*rolling)(struct ecs *, const json_t *),
                int (*sets)(struct ecs *, const json_t *))
{
    bool is_sets = t->environment->target.strategy == ECS_TASK_SETS;
    int (*run)(struct ecs *, const json_t *) = is_sets ? sets : rolling;
    struct ecs e;

    if (!run)
        return 0;
    int r = ecs_open(t, &e);
    if (r == 0)
        r = run(&e, state);
    ecs_close(&e);
    return r;
}

static int roll_out(const struct target *t, const json_t *state)
{
    return with(t, state, ecs_rolling_roll_out, ecs_sets_roll_out);
}

static int wait_stable(const struct target *t, const json_t *state)
{
    return with(t, state, ecs_rolling_wait, ecs_sets_wait);
}

static int prove(const struct target *t, const json_t *state)
{
    return with(t, state, NULL, ecs_sets_prove);
}

static int roll_back(const struct target *t, const json_t *state)
{
    return with(t, state, ecs_rolling_roll_back, ecs_sets_roll_back);
}

static int clean_up(const struct target *t, const json_t *state, bool proven)
{
    struct ecs e;
    int r = ecs_open(t, &e);

    if (r == 0 && e.conf->strategy == ECS_TASK_SETS)
        r = ecs_sets_clean_up(&e, state, proven);
    if (r == 0 && !proven)
        r = ecs_deregister(&e, state);
    ecs_close(&e);
    return r;
}

static int describe(const struct target *t, struct buf *out)
{
    const struct conf_target *c = &t->environment->target;
    bool sets = c->strategy == ECS_TASK_SETS;

    buf_printf(out, "Register the task definition of %s/%s with the container %s at %s\n",
               c->cluster, c->service, c->container, target_image(t));
    if (sets)
        buf_printf(out, "Create a task set of it beside the primary one, and wait for its steady "
                        "state\nMake it the primary one once it is proven, and delete the previous "
                        "one\nTo go back: make the previous task set the primary one, delete ours "
                        "and deregister its task definition\n");
    else
        buf_printf(out, "Update the service to it, and wait until its deployment alone is left\n"
                        "To go back: update the service to the previous task definition, and "
                        "deregister ours\n");
    return buf_fault(out);
}

static int probe_url(const struct target *t, const json_t *state, const char **ret)
{
    *ret = "";
    return 0;
}

const struct target_kind target_ecs = {TARGET_ECS, check,     snapshot, roll_out, wait_stable,
                                       prove,      roll_back, clean_up, describe, probe_url};
