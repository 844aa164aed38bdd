#include "deploy/targets/compose.h"

#include "base/fault.h"

/* Stands for the release where the compose file is asked how it takes one. */
static const char marker[] = "holdfast-marker";

/* Whether the image of each service is the release's. templates: the images with the marker. */
static int check_templates(const struct compose *c, const json_t *templates)
{
    const struct conf_words *services = &c->conf->services;

    for (size_t i = 0; i < services->n; i++)
        if (!strstr(target_text(templates, services->items[i]), marker))
            return target_fail(TARGET_FAILED,
                               "the image of the service %s does not take the release: write it "
                               "as in shop:${%s}",
                               services->items[i], c->conf->variable);
    return 0;
}

static int check_engine(const struct compose *c)
{
    static const char *const args[] = {"version", "--format", "{{.Server.Version}}", NULL};
    struct target_run run _cleanup_run_ = {0};
    int r = compose_docker(c, args, &run);

    return r == TARGET_FAILED ? TARGET_UNREACHABLE : r;
}

static int check(const struct target *t)
{
    json_t *templates _cleanup_json_ = NULL;
    struct compose c;
    int r = compose_open(t, NULL, &c);

    if (r == 0)
        r = check_engine(&c);
    if (r == 0)
        r = compose_images(&c, marker, &templates);
    return r ? r : check_templates(&c, templates);
}

/* The value of the variable with which the template gives the name; "" where none does. */
static const char *value_of(const struct compose *c, const char *template, const char *name)
{
    const char *at = strstr(template, marker);
    size_t before = at ? (size_t)(at - template) : 0, length = strlen(name);
    size_t after = at ? strlen(at) - strlen(marker) : 0;

    if (!at || length <= before + after || strncmp(template, name, before) != 0 ||
        strcmp(at + strlen(marker), name + length - after) != 0)
        return "";
    struct str value = arena_str(c->t->a, (struct str){name + before, length - before - after});
    return value.p ? value.p : "";
}

/* By which names a registry has the image: a list, empty for one that was never in one. */
static int digests_of(const struct compose *c, const char *id, json_t **ret)
{
    const char *const args[] = {"image", "inspect", "--format", "{{json .RepoDigests}}", id, NULL};
    struct target_run run _cleanup_run_ = {0};
    int r = compose_docker(c, args, &run);

    if (r)
        return r;
    json_t *list = json_loadb(run.out.p, run.out.n, 0, NULL);
    *ret = json_is_array(list) ? list : json_array();
    if (!json_is_array(list))
        json_decref(list);
    return 0;
}

/* What of a service runs; nothing is set where nothing does. */
static int note_service(struct compose *c, const char *service, json_t *services,
                        const json_t *templates)
{
    json_t *containers _cleanup_json_ = NULL, *digests = NULL, *ids = json_array();
    const json_t *container, *first = NULL;
    size_t i;
    int r = compose_containers(c, service, &containers);

    json_array_foreach(containers, i, container)
    {
        if (compose_is_ended(container))
            continue;
        first = first ? first : container;
        json_array_append(ids, json_object_get(container, "Id"));
    }
    if (r == 0 && first)
        r = digests_of(c, compose_image_of(first), &digests);
    if (r || !first) {
        json_decref(ids);
        return r;
    }
    const char *value = value_of(c, target_text(templates, service), compose_name_of(first));
    json_t *about = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "image", compose_name_of(first),
                              "id", compose_image_of(first), "value", value, "containers",
                              (json_int_t)json_array_size(ids), "digests", digests, "ids", ids);
    return json_object_set_new(services, service, about)
               ? fault_set(FAULT_MEMORY, "no memory for a snapshot")
               : 0;
}

/* The release that the services run: "" where they run several, or none that the file can say. */
static const char *release_of(const json_t *services)
{
    const char *release = NULL, *name;
    json_t *service;

    json_object_foreach((json_t *)(uintptr_t)services, name, service)
    {
        const char *value = target_text(service, "value");
        if (release && strcmp(release, value) != 0)
            return "";
        release = value;
    }
    return release ? release : "";
}

static int snapshot(const struct target *t, json_t **ret)
{
    const struct conf_words *names = &t->environment->target.services;
    json_t *templates _cleanup_json_ = NULL, *services = NULL;
    struct compose c;
    int r = compose_open(t, NULL, &c);

    if (r == 0)
        r = compose_images(&c, marker, &templates);
    if (r)
        return r;
    services = json_object();
    for (size_t i = 0; r == 0 && i < names->n; i++)
        r = note_service(&c, names->items[i], services, templates);
    json_t *state = json_pack("{s:b, s:s, s:{s:s, s:O}}", "runs", json_object_size(services) > 0,
                              "release", release_of(services), "previous", "project",
                              c.project ? c.project : "", "services", services);
    json_decref(services);
    if (r == 0 && !state)
        r = fault_set(FAULT_MEMORY, "no memory for a snapshot");
    if (r)
        json_decref(state);
    else
        *ret = state;
    return r;
}

/* The ids of the release's images by service. Those that are not here are pulled where that is
 * asked for. */
static int own_ids(struct compose *c, bool pull, json_t **ret)
{
    const struct conf_words *services = &c->conf->services;
    json_t *names _cleanup_json_ = NULL, *ids = json_object();
    int r = compose_images(c, c->t->release, &names);

    for (size_t i = 0; r == 0 && i < services->n; i++) {
        const char *service = services->items[i], *name = target_text(names, service), *id = "";
        const char *const args[] = {"pull", service, NULL};
        struct target_run run _cleanup_run_ = {0};
        r = compose_image_id(c, name, &id);
        if (r == COMPOSE_NO_IMAGE && pull) {
            progress_say(c->t->progress, "Pulling %s", name);
            r = compose_run(c, args, c->t->release, &run);
            if (r == 0)
                r = compose_image_id(c, name, &id);
        }
        if (r == COMPOSE_NO_IMAGE)
            r = target_fail(TARGET_FAILED, "there is no image %s", name);
        json_object_set_new(ids, service, json_string(id));
    }
    if (r)
        json_decref(ids);
    else
        *ret = ids;
    return r;
}

static int roll_out(const struct target *t, const json_t *state)
{
    json_t *ids _cleanup_json_ = NULL;
    struct compose c;
    int r = compose_open(t, state, &c);

    if (r == 0)
        r = own_ids(&c, true, &ids);
    if (r == 0)
        r = compose_keep(&c, state);
    if (r)
        return r;
    progress_say(t->progress, "Bringing the services up at %s", t->release);
    return compose_up(&c, &c.conf->services, state, t->release);
}

static int wait_stable(const struct target *t, const json_t *state)
{
    json_t *ids _cleanup_json_ = NULL;
    struct compose c;
    int r = compose_open(t, state, &c);

    if (r == 0)
        r = own_ids(&c, false, &ids);
    return r ? r : compose_wait(&c, ids, state);
}

static int prove(const struct target *t, const json_t *state)
{
    return 0;
}

static int roll_back(const struct target *t, const json_t *state)
{
    struct compose c;
    int r = compose_open(t, state, &c);

    return r ? r : compose_roll_back(&c, state);
}

static int clean_up(const struct target *t, const json_t *state, bool proven)
{
    struct compose c;
    int r = compose_open(t, state, &c);

    return r ? r : compose_clean_up(&c, state, proven);
}

static int describe(const struct target *t, struct buf *out)
{
    const struct conf_target *c = &t->environment->target;

    buf_printf(out,
               "Pull the images of the release that are not here\n%s=%s docker compose up -d "
               "--no-deps --no-build -t %lld",
               c->variable, t->release, (long long)(c->stop_ms + 999) / 1000);
    for (size_t i = 0; i < c->services.n; i++)
        buf_printf(out, " %s", c->services.items[i]);
    buf_printf(out, "\nTo go back: the same with the previous value, its names standing for the "
                    "previous images again\n");
    return buf_fault(out);
}

static int probe_url(const struct target *t, const json_t *state, const char **ret)
{
    *ret = "";
    return 0;
}

const struct target_kind target_compose = {TARGET_COMPOSE, check,    snapshot,  roll_out,
                                           wait_stable,    prove,    roll_back, clean_up,
                                           describe,       probe_url};
