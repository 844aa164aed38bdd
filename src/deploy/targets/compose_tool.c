#include "base/fault.h"
#include "crypto/wiped_json.h"
#include "deploy/targets/compose.h"

enum { DOCKER_MS = 60 * 1000, TRIES_MAX = 3 };

int compose_open(const struct target *t, const json_t *state, struct compose *ret)
{
    static const char *const plugin[] = {"docker", "compose", "version", NULL};
    struct target_run run _cleanup_run_ = {.argv = plugin, .timeout_ms = DOCKER_MS};
    const char *known = target_text(json_object_get(state, "previous"), "project");
    struct compose c = {.t = t, .conf = &t->environment->target, .project = *known ? known : NULL};
    int r = target_run(t, &run);

    c.plugin = r == 0;
    if (r && r != TARGET_FAILED && r != TARGET_UNREACHABLE)
        return r;
    *ret = c;
    return 0;
}

/* Both programs end with 1 whatever it was: their words tell an engine that is not there. */
static int classify(int outcome, struct str errors)
{
    static const char *const unreached[] = {
        "Cannot connect to the Docker daemon", "Couldn't connect to Docker daemon",
        "Error while fetching server API version", "error during connect"};

    for (size_t i = 0; outcome == TARGET_FAILED && i < sizeof unreached / sizeof *unreached; i++)
        if (errors.n > 0 && memmem(errors.p, errors.n, unreached[i], strlen(unreached[i])))
            return TARGET_UNREACHABLE;
    return outcome;
}

static size_t count(const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

int compose_run(struct compose *c, const char *const *args, const char *value,
                struct target_run *run)
{
    enum { FIXED = 8 };
    const struct conf_words *files = &c->conf->files;
    const char **argv = arena_array(c->t->a, count(args) + 2 * files->n + FIXED, sizeof *argv);
    const char *set = arena_printf(c->t->a, "%s=%s", c->conf->variable, value);
    const char *const environment[] = {set, NULL};
    size_t n = 0;

    if (!argv || !set)
        return FAULT_MEMORY;
    argv[n++] = c->plugin ? "docker" : "docker-compose";
    if (c->plugin)
        argv[n++] = "compose";
    if (c->conf->project) {
        argv[n++] = "-p";
        argv[n++] = c->conf->project;
    }
    for (size_t i = 0; i < files->n; i++) {
        argv[n++] = "-f";
        argv[n++] = files->items[i];
    }
    for (size_t i = 0; args[i]; i++)
        argv[n++] = args[i];
    run->argv = argv;
    run->environment = environment;
    run->directory = c->conf->directory;
    int r = target_run(c->t, run);
    run->environment = NULL;
    if (r == TARGET_UNREACHABLE && !c->plugin)
        fault_keep("there is neither docker compose nor docker-compose");
    return classify(r, buf_str(&run->err));
}

int compose_docker(const struct compose *c, const char *const *args, struct target_run *run)
{
    const char **argv = arena_array(c->t->a, count(args) + 2, sizeof *argv);

    if (!argv)
        return FAULT_MEMORY;
    argv[0] = "docker";
    memcpy(argv + 1, args, count(args) * sizeof *argv);
    run->argv = argv;
    run->directory = c->conf->directory;
    int r = target_run(c->t, run);
    return classify(r, buf_str(&run->err));
}

/* What compose said of a failure is more than the line that is told. */
static void keep_words(const struct compose *c, const struct target_run *run)
{
    FILE *file = target_evidence(c->t, "compose.log");

    if (!file)
        return;
    target_evidence_add(file, &run->out);
    target_evidence_add(file, &run->err);
    fclose(file);
}

int compose_up(struct compose *c, const struct conf_words *services, const json_t *state,
               const char *value)
{
    enum { FIXED = 8 };
    const char **args = arena_array(c->t->a, 3 * services->n + FIXED, sizeof *args);
    struct target_run run _cleanup_run_ = {0};
    int fault = args ? 0 : FAULT_MEMORY;
    size_t n = 0;

    if (fault)
        return fault;
    args[n++] = "up";
    args[n++] = "-d";
    args[n++] = "--no-deps";
    args[n++] = "--no-build";
    args[n++] = "-t";
    args[n++] = target_format(c->t, &fault, "%lld", (long long)(c->conf->stop_ms + 999) / 1000);
    for (size_t i = 0; i < services->n; i++) {
        long long replicas =
            target_number(compose_previous(state, services->items[i]), "containers");
        if (replicas <= 1)
            continue;
        args[n++] = "--scale";
        args[n++] = target_format(c->t, &fault, "%s=%lld", services->items[i], replicas);
    }
    for (size_t i = 0; i < services->n; i++)
        args[n++] = services->items[i];
    if (fault)
        return fault;
    int r = compose_run(c, args, value, &run);
    if (r == TARGET_FAILED)
        keep_words(c, &run);
    return r;
}

int compose_images(struct compose *c, const char *value, json_t **ret)
{
    static const char *const args[] = {"config", NULL};
    const struct conf_words *services = &c->conf->services;
    struct target_run run _cleanup_run_ = {.timeout_ms = DOCKER_MS};
    int r = compose_run(c, args, value, &run);

    if (r)
        return r;
    struct str project = compose_config_name(buf_str(&run.out));
    if (!c->project && project.n > 0)
        c->project = arena_str(c->t->a, project).p;
    json_t *images = json_object();
    for (size_t i = 0; i < services->n; i++) {
        const char *name = services->items[i];
        struct str image = compose_config_image(buf_str(&run.out), str_of(name));
        if (image.n == 0) {
            json_decref(images);
            return target_fail(TARGET_FAILED, "the compose file has no service %s with an image",
                               name);
        }
        json_object_set_new(images, name, json_stringn(image.p, image.n));
    }
    *ret = images;
    return 0;
}

/* One-off containers ("docker compose run") are nobody's release. */
static void drop_others(json_t *containers)
{
    for (size_t i = json_array_size(containers); i > 0; i--) {
        const json_t *config = json_object_get(json_array_get(containers, i - 1), "Config");
        const json_t *labels = json_object_get(config, "Labels");
        if (strcmp(target_text(labels, "com.docker.compose.oneoff"), "True") == 0)
            json_array_remove(containers, i - 1);
    }
}

/* The ids as a list of arguments behind "inspect". */
static const char **inspect_args(const struct compose *c, struct str ids)
{
    size_t n = 0;
    struct str id, rest = ids;

    while (str_next(&rest, '\n', &id))
        n++;
    const char **args = arena_array(c->t->a, n + 4, sizeof *args);
    if (!args)
        return NULL;
    n = 0;
    args[n++] = "inspect";
    args[n++] = "--type=container";
    for (rest = ids; str_next(&rest, '\n', &id);)
        if (str_trim(id).n > 0)
            args[n++] = arena_str(c->t->a, str_trim(id)).p;
    return args;
}

static int inspect(const struct compose *c, struct str ids, json_t **ret)
{
    const char **args = inspect_args(c, ids);
    struct target_run run _cleanup_run_ = {.timeout_ms = DOCKER_MS};

    if (!args)
        return FAULT_MEMORY;
    if (!args[2]) {
        *ret = json_array();
        return *ret ? 0 : FAULT_MEMORY;
    }
    int r = compose_docker(c, args, &run);
    if (r)
        return r;
    wiped_json(); /* their environments hold secrets */
    json_t *list = json_loadb(run.out.p, run.out.n, 0, NULL);
    if (!json_is_array(list)) {
        json_decref(list);
        return target_fail(TARGET_UNREACHABLE, "docker inspect prints what is not JSON");
    }
    drop_others(list);
    *ret = list;
    return 0;
}

/* Asks docker, which is quick, where the project's name is known, and else compose. */
static int list(struct compose *c, const char *service, struct target_run *run)
{
    const char *const by_compose[] = {"ps", "-a", "-q", service, NULL};
    int fault = 0;

    if (!c->project)
        return compose_run(c, by_compose, c->t->release, run);
    const char *const by_docker[] = {
        "ps",       "-a",
        "-q",       "--no-trunc",
        "--filter", target_format(c->t, &fault, "label=com.docker.compose.project=%s", c->project),
        "--filter", target_format(c->t, &fault, "label=com.docker.compose.service=%s", service),
        NULL};
    return fault ? fault : compose_docker(c, by_docker, run);
}

/* The project's name, once there is a container to tell it. */
static void learn(struct compose *c, const json_t *containers)
{
    const json_t *first = json_array_get(containers, 0);
    const json_t *labels = json_object_get(json_object_get(first, "Config"), "Labels");
    const char *project = target_text(labels, "com.docker.compose.project");

    if (!c->project && *project)
        c->project = arena_str(c->t->a, str_of(project)).p;
}

int compose_containers(struct compose *c, const char *service, json_t **ret)
{
    for (int tries = 1;; tries++) {
        struct target_run run _cleanup_run_ = {.timeout_ms = DOCKER_MS};
        int r = list(c, service, &run);
        if (r)
            return r;
        r = inspect(c, buf_str(&run.out), ret);
        if (r == 0)
            learn(c, *ret);
        /* One of them may have been removed in between. */
        if (r != TARGET_FAILED || tries == TRIES_MAX)
            return r;
    }
}

int compose_image_id(const struct compose *c, const char *name, const char **ret)
{
    const char *const args[] = {"image", "inspect", "--format", "{{.Id}}", name, NULL};
    struct target_run run _cleanup_run_ = {.timeout_ms = DOCKER_MS};
    int r = compose_docker(c, args, &run);

    if (r == TARGET_FAILED && run.err.n > 0 && memmem(run.err.p, run.err.n, "o such image", 12))
        return COMPOSE_NO_IMAGE;
    if (r)
        return r;
    struct str id = buf_str(&run.out);
    id.n = str_find(id, '\n');
    id = arena_str(c->t->a, id);
    if (!id.p)
        return FAULT_MEMORY;
    *ret = id.p;
    return 0;
}

const char *compose_status(const json_t *container)
{
    return target_text(json_object_get(container, "State"), "Status");
}

bool compose_is_ended(const json_t *container)
{
    const char *status = compose_status(container);

    return strcmp(status, "created") == 0 || strcmp(status, "exited") == 0 ||
           strcmp(status, "dead") == 0;
}

const char *compose_image_of(const json_t *container)
{
    return target_text(container, "Image");
}

const char *compose_name_of(const json_t *container)
{
    return target_text(json_object_get(container, "Config"), "Image");
}

const json_t *compose_previous(const json_t *state, const char *service)
{
    const json_t *previous = json_object_get(state, "previous");

    return json_object_get(json_object_get(previous, "services"), service);
}
