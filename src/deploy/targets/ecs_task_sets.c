#include "base/fault.h"
#include "deploy/targets/ecs.h"

/* What of the previous task set the new one takes over: in the snapshot as "like". */
static int make_body(const struct ecs *e, const json_t *like, const char *definition,
                     const char *external, json_t **ret)
{
    json_t *body = ecs_body(e);
    char token[UUID_TEXT_SIZE] = "";
    size_t n = 0;

    /* What makes the call one that can be repeated takes 36 characters at most. */
    for (const char *p = external; *p && n < sizeof token - 1; p++)
        if (*p != '-')
            token[n++] = *p;
    if (!body || json_object_update(body, (json_t *)(uintptr_t)like) ||
        json_object_set_new(body, "taskDefinition", json_string(definition)) ||
        json_object_set_new(body, "externalId", json_string(external)) ||
        json_object_set_new(body, "clientToken", json_string(token))) {
        json_decref(body);
        return fault_set(FAULT_MEMORY, "no memory for a task set");
    }
    *ret = body;
    return 0;
}

static int copy_id(const struct ecs *e, const json_t *set, const char **ret)
{
    struct str id = arena_str(e->t->a, str_of(target_text(set, "id")));

    if (!id.p)
        return FAULT_MEMORY;
    *ret = id.p;
    return 0;
}

/* The id of the task set with that external id, which is made where there is none. */
static int make_set(struct ecs *e, const json_t *service, const json_t *state,
                    const char *definition, const char *external, const char **ret)
{
    const json_t *there = ecs_task_set(service, NULL, external);
    const json_t *like = json_object_get(json_object_get(state, "previous"), "like");
    json_t *answer _cleanup_json_ = NULL, *body = NULL;

    if (there)
        return copy_id(e, there, ret);
    int r = make_body(e, like, definition, external, &body);
    if (r)
        return r;
    progress_say(e->t->progress, "Creating a task set of %s beside the others", definition);
    r = ecs_call(e, "CreateTaskSet", body, false, &answer);
    return r ? r : copy_id(e, json_object_get(answer, "taskSet"), ret);
}

int ecs_sets_roll_out(struct ecs *e, const json_t *state)
{
    json_t *service _cleanup_json_ = NULL;
    const char *definition, *id;
    int r = ecs_register(e, state, &definition);

    if (r == 0)
        r = ecs_service(e, &service);
    if (r == 0)
        r = make_set(e, service, state, definition, e->t->id, &id);
    return r ? r : target_note(e->t, "taskSet", id);
}

/* The id of our task set, in the arena; "" where it is not there. */
static int own_set(struct ecs *e, const json_t *service, const json_t *state, const char **ret)
{
    const char *noted = target_text(state, "taskSet");
    const json_t *set = *noted ? ecs_task_set(service, noted, NULL) : NULL;

    if (!set)
        set = ecs_task_set(service, NULL, e->t->id);
    return copy_id(e, set, ret);
}

int ecs_sets_wait(struct ecs *e, const json_t *state)
{
    json_t *service _cleanup_json_ = NULL;
    const char *id = target_text(state, "taskSet");
    int r = 0;

    if (!*id && (r = ecs_service(e, &service)) == 0)
        r = own_set(e, service, state, &id);
    if (r)
        return r;
    if (!*id)
        return target_fail(TARGET_FAILED, "the service %s has no task set of this deployment",
                           e->conf->service);
    return ecs_wait_for(e, ecs_judge_task_set, id);
}

/* Has a task set, which is there, as the primary one. */
static int make_primary(struct ecs *e, const json_t *service, const char *id)
{
    json_t *answer = NULL, *body;
    const json_t *set = ecs_task_set(service, id, NULL);

    if (strcmp(target_text(set, "status"), "PRIMARY") == 0)
        return 0;
    body = ecs_body(e);
    json_object_set_new(body, "primaryTaskSet", json_string(id));
    progress_say(e->t->progress, "Making the task set %s the primary one", id);
    int r = ecs_call(e, "UpdateServicePrimaryTaskSet", body, false, &answer);
    json_decref(answer);
    return r;
}

int ecs_sets_prove(struct ecs *e, const json_t *state)
{
    json_t *service _cleanup_json_ = NULL;
    const char *id = "";
    int r = ecs_service(e, &service);

    if (r == 0)
        r = own_set(e, service, state, &id);
    if (r == 0 && !*id)
        r = target_fail(TARGET_FAILED, "the task set of this deployment is gone");
    return r ? r : make_primary(e, service, id);
}

/* Deletes a task set; 0 too where it is not there any more. */
static int delete_set(struct ecs *e, const json_t *service, const char *id)
{
    json_t *answer = NULL, *body;
    const json_t *set = *id ? ecs_task_set(service, id, NULL) : NULL;

    if (!set || strcmp(target_text(set, "status"), "DRAINING") == 0)
        return 0;
    body = ecs_body(e);
    json_object_set_new(body, "taskSet", json_string(id));
    json_object_set_new(body, "force", json_true());
    progress_say(e->t->progress, "Deleting the task set %s", id);
    int r = ecs_call(e, "DeleteTaskSet", body, false, &answer);
    json_decref(answer);
    return r == TARGET_FAILED && strcmp(e->error.code, "TaskSetNotFound") == 0 ? 0 : r;
}

/* The previous task set, or one like it where it was removed since. */
static int bring_back(struct ecs *e, const json_t *service, const json_t *state, const char **ret)
{
    const json_t *before = json_object_get(state, "previous");
    const char *id = target_text(before, "taskSet");
    const json_t *set = ecs_task_set(service, id, NULL);
    int fault = 0;

    if (set && strcmp(target_text(set, "status"), "DRAINING") != 0) {
        *ret = id;
        return 0;
    }
    const char *external = target_format(e->t, &fault, "back-%s", e->t->id);
    return fault
               ? fault
               : make_set(e, service, state, target_text(before, "taskDefinition"), external, ret);
}

/* Who is primary is neither of ours nor the previous one: somebody's. */
static int check_primary(const struct ecs *e, const json_t *service, const char *own,
                         const char *back)
{
    const char *id = target_text(ecs_task_set(service, NULL, NULL), "id");

    if (!*id || strcmp(id, own) == 0 || strcmp(id, back) == 0)
        return 0;
    return target_fail(TARGET_FAILED,
                       "someone else has made %s the primary task set of %s; left as it is", id,
                       e->conf->service);
}

int ecs_sets_roll_back(struct ecs *e, const json_t *state)
{
    json_t *service _cleanup_json_ = NULL;
    const char *definition, *own = "", *back;
    int r = ecs_own_definition(e, state, &definition);

    if (r == 0)
        r = ecs_service(e, &service);
    if (r == 0)
        r = own_set(e, service, state, &own);
    if (r)
        return r;
    if (*own)
        ecs_evidence(e, definition);
    const char *previous = target_text(json_object_get(state, "previous"), "taskSet");
    const char *primary = target_text(ecs_task_set(service, NULL, NULL), "id");
    /* As long as the previous one has the traffic there is nothing to wait for. */
    if (strcmp(primary, previous) == 0)
        return delete_set(e, service, own);
    r = bring_back(e, service, state, &back);
    if (r == 0)
        r = check_primary(e, service, own, back);
    if (r == 0 && target_number(service, "desiredCount") > 0)
        r = ecs_wait_for(e, ecs_judge_task_set, back);
    if (r == 0)
        r = make_primary(e, service, back);
    return r ? r : delete_set(e, service, own);
}

int ecs_sets_clean_up(struct ecs *e, const json_t *state, bool proven)
{
    const char *previous = target_text(json_object_get(state, "previous"), "taskSet");
    json_t *service _cleanup_json_ = NULL;
    const char *own = "";
    int r = ecs_service(e, &service);

    if (r == 0)
        r = own_set(e, service, state, &own);
    if (r)
        return r;
    const char *gone = proven ? previous : own;
    const json_t *set = *gone ? ecs_task_set(service, gone, NULL) : NULL;
    if (strcmp(target_text(set, "status"), "PRIMARY") == 0)
        return target_fail(TARGET_FAILED, "the task set %s is still the primary one", gone);
    return delete_set(e, service, gone);
}
