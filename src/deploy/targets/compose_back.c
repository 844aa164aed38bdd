#include "base/fault.h"
#include "deploy/targets/compose.h"

static int docker(const struct compose *c, const char *verb, const char *option, const char *what,
                  const char *more)
{
    const char *args[] = {verb, option, what, more, NULL};
    struct target_run run _cleanup_run_ = {0};

    return compose_docker(c, args, &run);
}

static int tag(const struct compose *c, const char *image, const char *name)
{
    return docker(c, "image", "tag", image, name);
}

/* "holdfast-previous/shop:ID-web" */
static const char *kept_name(const struct compose *c, const json_t *state, const char *repository,
                             const char *service, int *fault)
{
    const char *project = target_text(json_object_get(state, "previous"), "project");

    return target_format(c->t, fault, "%s/%s:%s-%s", repository, project, c->t->id, service);
}

int compose_keep(struct compose *c, const json_t *state)
{
    const struct conf_words *services = &c->conf->services;
    int r = 0;

    for (size_t i = 0; r == 0 && i < services->n; i++) {
        const json_t *before = compose_previous(state, services->items[i]);
        if (!before)
            continue;
        const char *name = kept_name(c, state, COMPOSE_PREVIOUS, services->items[i], &r);
        if (r == 0)
            r = tag(c, target_text(before, "id"), name);
    }
    return r;
}

/* Has an image that is gone from here fetched by one of its digests. */
static int fetch(const struct compose *c, const json_t *before)
{
    const char *id = target_text(before, "id"), *found = "";
    const json_t *digest;
    size_t i;

    json_array_foreach(json_object_get(before, "digests"), i, digest)
    {
        const char *name = json_string_value(digest);
        progress_say(c->t->progress, "Pulling %s", name);
        if (docker(c, "image", "pull", name, NULL) == 0 && compose_image_id(c, id, &found) == 0)
            return 0;
    }
    return target_fail(TARGET_FAILED, "the image %s of %s is not here any more", id,
                       target_text(before, "image"));
}

/* Has a name stand for the image of before. What it stands for now keeps a name. */
static int point(const struct compose *c, const json_t *state, const char *service,
                 const char *name)
{
    const json_t *before = compose_previous(state, service);
    const char *id = target_text(before, "id"), *now = "", *found = "";
    int r = compose_image_id(c, id, &found), fault = 0;

    if (r == COMPOSE_NO_IMAGE)
        r = fetch(c, before);
    if (r)
        return r;
    r = compose_image_id(c, name, &now);
    if (r == 0 && strcmp(now, id) == 0)
        return 0;
    if (r == 0) {
        const char *aside = kept_name(c, state, COMPOSE_MOVED, service, &fault);
        progress_say(c->t->progress, "%s was moved to another image, which is now %s", name, aside);
        r = fault ? fault : tag(c, now, aside);
    }
    return r == 0 || r == COMPOSE_NO_IMAGE ? tag(c, id, name) : r;
}

/* What of the services' containers an operation has to know. */
struct look {
    bool untouched;      /* they are those of the snapshot, and are up */
    bool ours;           /* some are of this release */
    const char *strange; /* what runs is neither of the snapshot nor of this release; NULL: none */
};

static bool was_there(const json_t *before, const char *id)
{
    const json_t *known;
    size_t i;

    json_array_foreach(json_object_get(before, "ids"), i, known)
    {
        if (strcmp(json_string_value(known), id) == 0)
            return true;
    }
    return false;
}

static void look_at(const struct compose *c, const json_t *before, const char *ours,
                    const json_t *containers, struct look *ret)
{
    const json_t *container;
    size_t i, there = 0;

    json_array_foreach(containers, i, container)
    {
        bool running = strcmp(compose_status(container), "running") == 0;
        const char *name = compose_name_of(container);
        bool of_before = strcmp(compose_image_of(container), target_text(before, "id")) == 0;
        if (!compose_is_ended(container) && was_there(before, target_text(container, "Id")))
            there++;
        else
            ret->untouched = false;
        if (!of_before && strcmp(name, ours) == 0)
            ret->ours = true;
        else if (running && !of_before)
            ret->strange = arena_str(c->t->a, str_of(name)).p;
    }
    if (there != json_array_size(json_object_get(before, "ids")))
        ret->untouched = false;
}

static int look(struct compose *c, const json_t *state, struct look *ret)
{
    const struct conf_words *services = &c->conf->services;
    json_t *ours _cleanup_json_ = NULL;
    int r = compose_images(c, c->t->release, &ours);

    *ret = (struct look){.untouched = true};
    for (size_t i = 0; r == 0 && i < services->n; i++) {
        const char *service = services->items[i];
        json_t *containers = NULL;
        r = compose_containers(c, service, &containers);
        if (r == 0)
            look_at(c, compose_previous(state, service), target_text(ours, service), containers,
                    ret);
        json_decref(containers);
    }
    return r;
}

/* Services that did not run before do not run behind it. */
static int remove_new(struct compose *c, const json_t *state)
{
    const struct conf_words *services = &c->conf->services;
    int r = 0;

    for (size_t i = 0; r == 0 && i < services->n; i++) {
        const char *const args[] = {"rm", "-s", "-f", services->items[i], NULL};
        struct target_run run _cleanup_run_ = {0};
        if (!compose_previous(state, services->items[i]))
            r = compose_run(c, args, c->t->release, &run);
    }
    return r;
}

/* Services that ran the same image under the same value: they come back together. */
static bool is_like(const json_t *one, const json_t *other)
{
    return strcmp(target_text(one, "value"), target_text(other, "value")) == 0 &&
           strcmp(target_text(one, "id"), target_text(other, "id")) == 0;
}

/* Those of the services from the one at on that ran and are like it; they are done behind it. */
static struct conf_words take(const struct compose *c, const json_t *state, size_t at, bool *done,
                              const char **into)
{
    const struct conf_words *services = &c->conf->services;
    const json_t *first = compose_previous(state, services->items[at]);
    size_t n = 0;

    for (size_t i = at; i < services->n; i++) {
        const json_t *before = compose_previous(state, services->items[i]);
        if (done[i] || !before || !is_like(first, before))
            continue;
        done[i] = true;
        into[n++] = services->items[i];
    }
    return (struct conf_words){into, n};
}

/* Brings such services up as they were: the names that the compose file has for them at the value
 * stand for their image then. */
static int up_like(struct compose *c, const json_t *state, const struct conf_words *some)
{
    const char *value = target_text(compose_previous(state, some->items[0]), "value");
    json_t *names _cleanup_json_ = NULL;
    int r = 0;

    if (!*value) /* its image was of another name: it gets one that the compose file can say */
        value = target_format(c->t, &r, "previous-%s", c->t->id);
    if (r == 0)
        r = compose_images(c, value, &names);
    for (size_t i = 0; r == 0 && i < some->n; i++)
        r = point(c, state, some->items[i], target_text(names, some->items[i]));
    if (r)
        return r;
    progress_say(c->t->progress, "Going back to %s", value);
    return compose_up(c, some, state, value);
}

/* The ids of the images by service: a new reference. */
static json_t *ids_of(const json_t *state)
{
    json_t *ids = json_object(), *before, *previous = json_object_get(state, "previous");
    const char *service;

    json_object_foreach(json_object_get(previous, "services"), service, before)
    {
        json_object_set(ids, service, json_object_get(before, "id"));
    }
    return ids;
}

/* All services that ran before run so again. */
static int up_again(struct compose *c, const json_t *state)
{
    const struct conf_words *services = &c->conf->services;
    const char **into = arena_array(c->t->a, services->n + 1, sizeof *into);
    bool *done = arena_array(c->t->a, services->n + 1, sizeof *done);
    json_t *ids _cleanup_json_ = ids_of(state);
    int r = into && done && ids ? 0 : fault_set(FAULT_MEMORY, "no memory for a deployment");

    for (size_t i = 0; r == 0 && i < services->n; i++) {
        if (done[i] || !compose_previous(state, services->items[i]))
            continue;
        const struct conf_words some = take(c, state, i, done, into);
        r = up_like(c, state, &some);
    }
    if (r || json_object_size(ids) == 0)
        return r;
    return compose_wait(c, ids, state);
}

int compose_roll_back(struct compose *c, const json_t *state)
{
    struct look l;
    int r = look(c, state, &l);

    if (r || l.untouched)
        return r;
    if (l.strange)
        return target_fail(TARGET_FAILED, "somebody else has %s run; left as it is", l.strange);
    if (l.ours)
        compose_evidence(c);
    r = up_again(c, state);
    return r ? r : remove_new(c, state);
}

/* Unfinished containers that a compose left behind which was killed, beside those that run. */
static int remove_leftovers(struct compose *c, const char *service)
{
    json_t *containers _cleanup_json_ = NULL;
    const json_t *container;
    bool runs = false;
    size_t i;
    int r = compose_containers(c, service, &containers);

    json_array_foreach(containers, i, container)
    {
        runs = runs || strcmp(compose_status(container), "running") == 0;
    }
    json_array_foreach(containers, i, container)
    {
        if (r == 0 && runs && compose_is_ended(container))
            r = docker(c, "rm", "-f", target_text(container, "Id"), NULL);
    }
    return r;
}

/* Removes names of images by which releases were kept: this deployment's, or all others'. */
static int drop_names(const struct compose *c, const json_t *state, const char *repository,
                      bool own)
{
    struct target_run run _cleanup_run_ = {0};
    struct str rest, name;
    int fault = 0;
    const char *of = target_format(c->t, &fault, "%s/%s", repository,
                                   target_text(json_object_get(state, "previous"), "project"));
    const char *const args[] = {"image", "ls", "--format", "{{.Repository}}:{{.Tag}}", of, NULL};
    const char *ours = target_format(c->t, &fault, ":%s-", c->t->id);
    int r = fault ? fault : compose_docker(c, args, &run);

    rest = buf_str(&run.out);
    while (r == 0 && str_next(&rest, '\n', &name)) {
        const char *text = arena_str(c->t->a, str_trim(name)).p;
        if (!text)
            return FAULT_MEMORY;
        if (*text && (strstr(text, ours) != NULL) == own)
            r = docker(c, "image", "rm", text, NULL);
        if (r == TARGET_FAILED) /* it is that of a container, and its only name */
            r = 0;
    }
    return r;
}

int compose_clean_up(struct compose *c, const json_t *state, bool proven)
{
    const struct conf_words *services = &c->conf->services;
    int r = 0;

    for (size_t i = 0; r == 0 && i < services->n; i++)
        r = remove_leftovers(c, services->items[i]);
    if (r || !*target_text(json_object_get(state, "previous"), "project"))
        return r;
    r = drop_names(c, state, COMPOSE_PREVIOUS, !proven);
    return r ? r : drop_names(c, state, COMPOSE_MOVED, false);
}
