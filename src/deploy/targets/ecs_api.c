#include "deploy/targets/ecs.h"

#include "base/fault.h"
#include "config/config.h"
#include "crypto/wiped_json.h"

enum {
    CALL_MS = 15 * 1000,
    TRIES_MAX = 8,
    FIRST_MS = 200, /* of the pauses between tries, each twice the one before */
    LONGEST_MS = 5000,
    LOOK_FIRST_MS = 250,
    LOOK_LONGEST_MS = 4000,
    GONE_MAX = 3, /* ECS may show for a moment what was before */
    BODY_MAX = 1024 * 1024
};

static const char version[] = "AmazonEC2ContainerServiceV20141113";

int ecs_open(const struct target *t, struct ecs *ret)
{
    struct aws_options options = aws_options_of(t->config);
    const char *region = t->environment->target.region;

    if (region)
        options.region = str_of(region);
    options.timeout_ms = CALL_MS;
    *ret = (struct ecs){.t = t, .conf = &t->environment->target};
    wiped_json(); /* environments of containers hold secrets */
    if (options.region.n == 0)
        return target_fail(TARGET_FAILED, "neither target.region nor AWS_REGION is set");
    return aws_new(&options, &ret->aws);
}

void ecs_close(struct ecs *e)
{
    aws_free(e->aws);
}

static int read_answer(const char *operation, struct str text, json_t **ret)
{
    json_t *tree = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(tree)) {
        json_decref(tree);
        return target_fail(TARGET_UNREACHABLE, "ECS answers %s with what is not JSON", operation);
    }
    *ret = tree;
    return 0;
}

/* Whether a refusal is for the moment alone: two registered a revision at a time. */
static bool is_passing(const struct aws_error *error)
{
    return strcmp(error->code, "Client") == 0 && strstr(error->text, "concurrent");
}

static bool is_to_be_repeated(const struct ecs *e, int outcome, bool once)
{
    switch (outcome) {
    case AWS_THROTTLED:
    case AWS_UNREACHABLE:
        return true;
    case AWS_TEMPORARY:
    case AWS_UNCERTAIN:
        return !once;
    default:
        return is_passing(&e->error);
    }
}

static int outcome_of(const struct ecs *e, const char *operation, int outcome, bool once)
{
    fault_keep("ECS %s %s: %s%s%s", operation, aws_outcome_text(outcome), e->error.code,
               e->error.text[0] ? ": " : "", e->error.text);
    if (once && (outcome == AWS_TEMPORARY || outcome == AWS_UNCERTAIN))
        return ECS_UNSURE;
    return outcome == AWS_PERMANENT ? TARGET_FAILED : TARGET_UNREACHABLE;
}

/* Between two tries. Returns 0 to try again. */
static int wait_to_repeat(struct ecs *e, const char *operation, int outcome, int64_t *pause)
{
    int64_t told = e->error.retry_after_ms, ms = *pause > told ? *pause : told;

    progress_say(e->t->progress, "ECS %s is %s (%s); trying again", operation,
                 aws_outcome_text(outcome), e->error.code);
    *pause = 2 * *pause < LONGEST_MS ? 2 * *pause : LONGEST_MS;
    return target_pause(e->t, ms, "ECS");
}

/* Tries until it is answered, or not to be tried again. */
static int call_text(struct ecs *e, const char *operation, struct str body, bool once,
                     struct buf *answer)
{
    struct str target = str_of(arena_printf(e->t->a, "%s.%s", version, operation));
    struct aws_request request = {.service = AWS_ECS, .body = body, .target = target};
    int64_t pause = FIRST_MS;
    int r = target_look(e->t, "ECS");

    if (r || !target.p)
        return r ? r : FAULT_MEMORY;
    for (int tries = 1;; tries++) {
        int outcome = aws_call(e->aws, &request, answer, &e->error);
        if (outcome <= 0)
            return outcome;
        if (tries == TRIES_MAX || !is_to_be_repeated(e, outcome, once))
            return outcome_of(e, operation, outcome, once);
        r = wait_to_repeat(e, operation, outcome, &pause);
        if (r == TARGET_TIMEOUT)
            return outcome_of(e, operation, outcome, once);
        if (r)
            return r;
    }
}

static int into_buf(const char *p, size_t n, void *context)
{
    return buf_add(context, p, n);
}

int ecs_call(struct ecs *e, const char *operation, json_t *body, bool once, json_t **ret)
{
    struct buf answer _cleanup_buf_ = buf_secret(AWS_ANSWER_MAX);
    struct buf text _cleanup_buf_ = buf_secret(BODY_MAX);
    bool written = body && json_dump_callback(body, into_buf, &text, JSON_COMPACT) == 0;

    json_decref(body);
    if (!written)
        return fault_set(FAULT_MEMORY, "no memory to ask ECS");
    int r = call_text(e, operation, buf_str(&text), once, &answer);
    return r ? r : read_answer(operation, buf_str(&answer), ret);
}

json_t *ecs_body(const struct ecs *e)
{
    return json_pack("{s:s, s:s}", "cluster", e->conf->cluster, "service", e->conf->service);
}

static int read_service(const struct ecs *e, const json_t *answer, json_t **ret)
{
    json_t *service = json_array_get(json_object_get(answer, "services"), 0);
    const json_t *failure = json_array_get(json_object_get(answer, "failures"), 0);
    const char *status = target_text(service, "status");

    if (!service)
        return target_fail(TARGET_FAILED, "the cluster %s has no service %s (%s)", e->conf->cluster,
                           e->conf->service, target_text(failure, "reason"));
    if (strcmp(status, "ACTIVE") != 0)
        return target_fail(TARGET_FAILED, "the service %s is %s", e->conf->service, status);
    *ret = json_incref(service);
    return 0;
}

int ecs_service(struct ecs *e, json_t **ret)
{
    json_t *answer = NULL;
    int r = ecs_call(
        e, "DescribeServices",
        json_pack("{s:s, s:[s]}", "cluster", e->conf->cluster, "services", e->conf->service), false,
        &answer);

    if (r == 0)
        r = read_service(e, answer, ret);
    json_decref(answer);
    return r;
}

int ecs_check_controller(const struct ecs *e, const json_t *service)
{
    bool sets = e->conf->strategy == ECS_TASK_SETS;
    const json_t *given = json_object_get(service, "deploymentController");
    const char *type = given ? target_text(given, "type") : "ECS";
    const json_t *how = json_object_get(service, "deploymentConfiguration");
    const char *strategy = target_text(how, "strategy");

    if (strcmp(type, sets ? "EXTERNAL" : "ECS") != 0)
        return target_fail(TARGET_FAILED,
                           "the service %s has the deployment controller %s; the strategy %s needs "
                           "%s",
                           e->conf->service, type, sets ? "task-sets" : "rolling",
                           sets ? "EXTERNAL" : "ECS");
    if (!sets && *strategy && strcmp(strategy, "ROLLING") != 0)
        return target_fail(TARGET_FAILED,
                           "the service %s is deployed by ECS's strategy %s, not "
                           "ROLLING",
                           e->conf->service, strategy);
    return 0;
}

const json_t *ecs_primary(const json_t *service)
{
    const json_t *d;
    size_t i;

    json_array_foreach(json_object_get(service, "deployments"), i, d)
    {
        if (strcmp(target_text(d, "status"), "PRIMARY") == 0)
            return d;
    }
    return NULL;
}

const json_t *ecs_task_set(const json_t *service, const char *id, const char *external)
{
    const json_t *set;
    size_t i;

    json_array_foreach(json_object_get(service, "taskSets"), i, set)
    {
        const char *status = target_text(set, "status");
        if (id         ? strcmp(target_text(set, "id"), id) == 0
            : external ? strcmp(target_text(set, "externalId"), external) == 0
                       : strcmp(status, "PRIMARY") == 0)
            return set;
    }
    return NULL;
}

/* What a wait remembers from look to look. */
struct wait {
    char said[ECS_WHY_SIZE];
    int64_t pause_ms;
    int gone; /* looks in a row at which it was not there */
};

static int look(struct ecs *e, enum ecs_verdict (*judge)(const json_t *, const char *, char *),
                const char *id, struct wait *w, enum ecs_verdict *ret)
{
    json_t *service = NULL;
    char why[ECS_WHY_SIZE];
    int r = ecs_service(e, &service);

    if (r == TARGET_UNREACHABLE && e->t->deadline) {
        snprintf(w->said, sizeof w->said, "%s", fault_message());
        *ret = ECS_WAITING;
        return 0;
    }
    if (r)
        return r;
    *ret = judge(service, id, why);
    json_decref(service);
    w->gone = *ret == ECS_GONE ? w->gone + 1 : 0;
    if (strcmp(w->said, why) != 0)
        progress_say(e->t->progress, "%s", why);
    snprintf(w->said, sizeof w->said, "%s", why);
    return 0;
}

int ecs_wait_for(struct ecs *e, enum ecs_verdict (*judge)(const json_t *, const char *, char *),
                 const char *id)
{
    struct wait w = {.pause_ms = LOOK_FIRST_MS};
    enum ecs_verdict verdict = ECS_WAITING;

    for (;;) {
        int r = look(e, judge, id, &w, &verdict);
        if (r == 0 && verdict == ECS_STABLE)
            return 0;
        if (r == 0 && (verdict == ECS_FAILED || w.gone == GONE_MAX))
            return target_fail(TARGET_FAILED, "%s", w.said);
        if (r == 0)
            r = target_pause(e->t, w.pause_ms, "the tasks to run");
        if (r == TARGET_TIMEOUT && *w.said)
            return target_fail(r, "not stable in time: %s", w.said);
        if (r)
            return r;
        w.pause_ms = 2 * w.pause_ms < LOOK_LONGEST_MS ? 2 * w.pause_ms : LOOK_LONGEST_MS;
    }
}
