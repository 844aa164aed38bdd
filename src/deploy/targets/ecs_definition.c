#include "deploy/targets/ecs.h"

#include "base/fault.h"

enum { PAGE = 100, PAGES_MAX = 10, TRIES_MAX = 3 };

/* What a task definition is described with, and may not be registered with. */
static const char *const dropped[] = {
    "compatibilities",    "deleteRequestedAt", "deregisteredAt", "registeredAt",     "registeredBy",
    "requiresAttributes", "revision",          "status",         "taskDefinitionArn"};

int ecs_definition(struct ecs *e, const char *arn, json_t **ret)
{
    json_t *answer = NULL, *definition;
    int r = ecs_call(e, "DescribeTaskDefinition",
                     json_pack("{s:s, s:[s]}", "taskDefinition", arn, "include", "TAGS"), false,
                     &answer);

    if (r)
        return r;
    definition = json_object_get(answer, "taskDefinition");
    if (!definition)
        r = target_fail(TARGET_FAILED, "ECS does not describe the task definition %s", arn);
    else if (json_object_set(definition, "tags", json_object_get(answer, "tags")))
        json_object_set_new(definition, "tags", json_array());
    if (r == 0)
        *ret = json_incref(definition);
    json_decref(answer);
    return r;
}

json_t *ecs_container(const json_t *definition, const char *name)
{
    json_t *container;
    size_t i;

    json_array_foreach(json_object_get(definition, "containerDefinitions"), i, container)
    {
        if (strcmp(target_text(container, "name"), name) == 0)
            return container;
    }
    return NULL;
}

static bool is_tagged(const json_t *definition, const char *id)
{
    const json_t *tag;
    size_t i;

    json_array_foreach(json_object_get(definition, "tags"), i, tag)
    {
        if (strcmp(target_text(tag, "key"), ECS_TAG) == 0)
            return strcmp(target_text(tag, "value"), id) == 0;
    }
    return false;
}

/* Of "…:task-definition/shop:12" the revision, where the family is that; else 0. */
static int64_t revision_of(const char *arn, const char *family)
{
    struct str rest = str_of(arn), part = rest;
    size_t n = strlen(family);
    int64_t revision;

    while (str_next(&rest, '/', &part))
        ;
    if (part.n <= n + 1 || memcmp(part.p, family, n) != 0 || part.p[n] != ':' ||
        str_to_i64((struct str){part.p + n + 1, part.n - n - 1}, 1, INT64_MAX, &revision))
        return 0;
    return revision;
}

/* Whether a task definition is of this deployment. */
static int look_at(struct ecs *e, const char *arn, bool *ret)
{
    json_t *definition = NULL;
    int r = ecs_definition(e, arn, &definition);

    if (r == 0)
        *ret = is_tagged(definition, e->t->id);
    json_decref(definition);
    return r;
}

/* Looks among those of a page that are newer than what was there before. *ret_arn is set where it
 * was found, *ret_more where more may be on the next page. */
static int search(struct ecs *e, const json_t *previous, const json_t *page, const char **ret_arn,
                  bool *ret_more)
{
    const json_t *item;
    bool newer = false, found = false;
    size_t i;

    json_array_foreach(json_object_get(page, "taskDefinitionArns"), i, item)
    {
        const char *arn = json_string_value(item);
        int64_t revision = revision_of(arn ? arn : "", target_text(previous, "family"));
        if (revision <= target_number(previous, "revision"))
            continue;
        int r = look_at(e, arn, &found);
        if (r)
            return r;
        newer = true;
        if (!found)
            continue;
        *ret_more = false;
        *ret_arn = arena_str(e->t->a, str_of(arn)).p;
        return *ret_arn ? 0 : FAULT_MEMORY;
    }
    *ret_more = newer && json_object_get(page, "nextToken") != NULL;
    return 0;
}

int ecs_own_definition(struct ecs *e, const json_t *state, const char **ret)
{
    const json_t *previous = json_object_get(state, "previous");
    const char *found = target_text(state, "taskDefinition");
    json_t *page _cleanup_json_ = NULL;
    bool more = *found == '\0';

    for (int pages = 0; more && pages < PAGES_MAX; pages++) {
        json_t *body = json_pack("{s:s, s:s, s:s, s:i}", "familyPrefix",
                                 target_text(previous, "family"), "sort", "DESC", "status",
                                 "ACTIVE", "maxResults", PAGE),
               *next = NULL;
        if (page)
            json_object_set(body, "nextToken", json_object_get(page, "nextToken"));
        int r = ecs_call(e, "ListTaskDefinitions", body, false, &next);
        if (r)
            return r;
        json_decref(page);
        page = next;
        r = search(e, previous, page, &found, &more);
        if (r)
            return r;
    }
    *ret = found;
    return 0;
}

/* The tags to register with: those that it has, but for AWS's own, and ours. */
static json_t *make_tags(const json_t *definition, const char *id)
{
    json_t *tags = json_array(), *tag;
    size_t i;

    json_array_foreach(json_object_get(definition, "tags"), i, tag)
    {
        struct str key = str_of(target_text(tag, "key"));
        if (!str_has_prefix_ci(key, STR("aws:")) && !str_eq(key, STR(ECS_TAG)))
            json_array_append(tags, tag);
    }
    json_array_append_new(tags, json_pack("{s:s, s:s}", "key", ECS_TAG, "value", id));
    return tags;
}

/* What is registered: the previous definition with the release's image. A new reference. */
static int make_definition(struct ecs *e, const char *previous, json_t **ret)
{
    json_t *definition = NULL;
    const char *image = target_image(e->t);
    int r = ecs_definition(e, previous, &definition);

    if (r)
        return r;
    json_t *container = ecs_container(definition, e->conf->container);
    if (!container)
        r = target_fail(TARGET_FAILED, "the task definition %s has no container %s", previous,
                        e->conf->container);
    else if (!image || json_object_set_new(container, "image", json_string(image)) ||
             json_object_set_new(definition, "tags", make_tags(definition, e->t->id)))
        r = fault_set(FAULT_MEMORY, "no memory for a task definition");
    for (size_t i = 0; r == 0 && i < sizeof dropped / sizeof *dropped; i++)
        json_object_del(definition, dropped[i]);
    if (r)
        json_decref(definition);
    else
        *ret = definition;
    return r;
}

static int register_new(struct ecs *e, json_t *definition, const char **ret)
{
    json_t *answer = NULL;
    int r = ecs_call(e, "RegisterTaskDefinition", definition, true, &answer);

    if (r)
        return r;
    const char *arn = target_text(json_object_get(answer, "taskDefinition"), "taskDefinitionArn");
    struct str copy = arena_str(e->t->a, str_of(arn));
    json_decref(answer);
    if (!copy.p)
        return FAULT_MEMORY;
    *ret = copy.p;
    return 0;
}

int ecs_register(struct ecs *e, const json_t *state, const char **ret)
{
    const char *previous = target_text(json_object_get(state, "previous"), "taskDefinition");
    const char *arn = "";
    int r;

    for (int tries = 1;; tries++) {
        json_t *definition = NULL;
        r = ecs_own_definition(e, state, &arn);
        if (r || *arn)
            break;
        r = make_definition(e, previous, &definition);
        if (r == 0)
            r = register_new(e, definition, &arn);
        if (r != ECS_UNSURE)
            break;
        /* It may have been registered, and is found by its tag then. */
        if (tries == TRIES_MAX)
            return TARGET_UNREACHABLE;
        r = target_pause(e->t, 1000, "ECS");
        if (r)
            return r;
    }
    if (r == 0 && !*target_text(state, "taskDefinition"))
        r = target_note(e->t, "taskDefinition", arn);
    if (r == 0)
        *ret = arn;
    return r;
}

static bool is_inactive(struct ecs *e, const char *arn)
{
    json_t *definition = NULL;
    bool is = ecs_definition(e, arn, &definition) == 0 &&
              strcmp(target_text(definition, "status"), "ACTIVE") != 0;

    json_decref(definition);
    return is;
}

int ecs_deregister(struct ecs *e, const json_t *state)
{
    const char *arn = "";
    json_t *answer = NULL;
    int r = ecs_own_definition(e, state, &arn);

    if (r || !*arn || is_inactive(e, arn))
        return r;
    progress_say(e->t->progress, "Deregistering the task definition %s", arn);
    r = ecs_call(e, "DeregisterTaskDefinition", json_pack("{s:s}", "taskDefinition", arn), false,
                 &answer);
    json_decref(answer);
    /* Of a call that was repeated the first may have done it. */
    return r == TARGET_FAILED && is_inactive(e, arn) ? 0 : r;
}
