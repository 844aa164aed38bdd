#include "base/clock.h"
#include "base/fault.h"
#include "deploy/targets/compose.h"

enum { LOOK_MS = 500, SETTLE_MS = 3000, RESTARTS_MAX = 3, WHY_SIZE = 300, SEEN_MAX = 64 * 1024 };

enum verdict { WAITING, GOOD, FAILED };

/* A wait. seen: which containers without a health check were there at the last look, and since when
 * they ran. */
struct wait {
    struct compose *c;
    const json_t *ids, *state;
    struct buf seen, now;
    int64_t since; /* monotonic: when they were first seen so */
    char why[WHY_SIZE];
};

static enum verdict judge_container(struct wait *w, const char *service, const json_t *container)
{
    const json_t *state = json_object_get(container, "State");
    const char *status = compose_status(container);
    const char *health = target_text(json_object_get(state, "Health"), "Status");
    long long restarts = target_number(container, "RestartCount"),
              code = target_number(state, "ExitCode");

    if (!*health)
        buf_printf(&w->now, "%s %s %lld\n", target_text(container, "Id"),
                   target_text(state, "StartedAt"), restarts);
    if (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0) {
        const char *error = target_text(state, "Error");
        snprintf(w->why, WHY_SIZE, "%s has ended with code %lld%s%s", service, code,
                 *error ? ": " : "", error);
        return FAILED;
    }
    if (restarts >= RESTARTS_MAX || strcmp(health, "unhealthy") == 0) {
        snprintf(w->why, WHY_SIZE, "%s is %s, restarted %lld times, at last with code %lld",
                 service, *health ? health : status, restarts, code);
        return FAILED;
    }
    if (strcmp(status, "running") != 0 || (*health && strcmp(health, "healthy") != 0)) {
        snprintf(w->why, WHY_SIZE, "%s is %s%s%s", service, status, *health ? ", its health " : "",
                 health);
        return WAITING;
    }
    return GOOD;
}

/* Of the containers of a service those of the wanted image; another that runs is not to be. */
static enum verdict judge_service(struct wait *w, const char *service, const json_t *containers)
{
    const char *id = target_text(w->ids, service);
    int64_t wanted = target_number(compose_previous(w->state, service), "containers"), found = 0;
    enum verdict all = GOOD;
    const json_t *container;
    size_t i;

    json_array_foreach(containers, i, container)
    {
        if (strcmp(compose_image_of(container), id) == 0) {
            enum verdict v = judge_container(w, service, container);
            found++;
            all = v == FAILED || all == FAILED ? FAILED : v == WAITING ? WAITING : all;
            if (all == FAILED)
                return FAILED;
        } else if (strcmp(compose_status(container), "running") == 0) {
            snprintf(w->why, WHY_SIZE, "%s runs %s", service, compose_name_of(container));
            return FAILED;
        }
    }
    if (found >= (wanted > 1 ? wanted : 1))
        return all;
    snprintf(w->why, WHY_SIZE, "%s has %lld containers of its release", service, (long long)found);
    return FAILED;
}

static int look(struct wait *w, enum verdict *ret)
{
    const struct conf_words *services = &w->c->conf->services;
    enum verdict all = GOOD;

    buf_reset(&w->now);
    for (size_t i = 0; i < services->n && all != FAILED; i++) {
        json_t *containers = NULL;
        if (!json_object_get(w->ids, services->items[i]))
            continue;
        int r = compose_containers(w->c, services->items[i], &containers);
        if (r == TARGET_UNREACHABLE && w->c->t->deadline) {
            snprintf(w->why, WHY_SIZE, "%s", fault_message());
            *ret = WAITING;
            return 0;
        }
        if (r)
            return r;
        enum verdict v = judge_service(w, services->items[i], containers);
        all = v == GOOD ? all : v;
        json_decref(containers);
    }
    if (!str_eq(buf_str(&w->now), buf_str(&w->seen))) {
        w->since = clock_mono();
        buf_reset(&w->seen);
        buf_add_str(&w->seen, buf_str(&w->now));
    }
    *ret = all;
    return buf_fault(&w->now);
}

static int wait_until(struct wait *w)
{
    char said[WHY_SIZE] = "";
    enum verdict verdict = WAITING;

    for (;;) {
        int r = look(w, &verdict);
        if (r == TARGET_TIMEOUT && *said)
            return target_fail(r, "not stable in time: %s", said);
        if (r)
            return r;
        if (verdict == FAILED)
            return target_fail(TARGET_FAILED, "%s", w->why);
        if (verdict == GOOD && (w->now.n == 0 || clock_mono() - w->since >= SETTLE_MS))
            return 0;
        if (verdict == GOOD)
            snprintf(w->why, WHY_SIZE, "all run; a moment more");
        if (strcmp(said, w->why) != 0)
            progress_say(w->c->t->progress, "%s", w->why);
        memcpy(said, w->why, WHY_SIZE);
        r = target_pause(w->c->t, LOOK_MS, "the containers to run");
        if (r == TARGET_TIMEOUT)
            return target_fail(r, "not stable in time: %s", w->why);
        if (r)
            return r;
    }
}

int compose_wait(struct compose *c, const json_t *ids, const json_t *state)
{
    struct wait w = {.c = c,
                     .ids = ids,
                     .state = state,
                     .seen = buf_init(SEEN_MAX),
                     .now = buf_init(SEEN_MAX),
                     .since = clock_mono()};
    int r = wait_until(&w);

    buf_free(&w.seen);
    buf_free(&w.now);
    return r;
}

static void write_container(struct compose *c, FILE *file, const char *service,
                            const json_t *container)
{
    const json_t *state = json_object_get(container, "State"), *check;
    const char *const args[] = {
        "logs", "--timestamps", "--tail", "500", target_text(container, "Id"), NULL};
    struct target_run run _cleanup_run_ = {0};
    size_t i;

    fprintf(file, "-- %s, container %s of %s: %s, code %lld, %lld restarts%s %s\n", service,
            target_text(container, "Name"), compose_name_of(container), compose_status(container),
            (long long)target_number(state, "ExitCode"),
            (long long)target_number(container, "RestartCount"),
            json_is_true(json_object_get(state, "OOMKilled")) ? ", out of memory" : "",
            target_text(state, "Error"));
    json_array_foreach(json_object_get(json_object_get(state, "Health"), "Log"), i, check)
    {
        fprintf(file, "   health check: code %lld: %s\n",
                (long long)target_number(check, "ExitCode"), target_text(check, "Output"));
    }
    if (compose_docker(c, args, &run))
        return;
    target_evidence_add(file, &run.out);
    target_evidence_add(file, &run.err);
}

void compose_evidence(struct compose *c)
{
    const struct conf_words *services = &c->conf->services;
    FILE *file = target_evidence(c->t, "compose.log");

    for (size_t i = 0; file && i < services->n; i++) {
        json_t *containers = NULL;
        const json_t *container;
        size_t k;
        if (compose_containers(c, services->items[i], &containers))
            break;
        json_array_foreach(containers, k, container)
        {
            write_container(c, file, services->items[i], container);
        }
        json_decref(containers);
    }
    if (file)
        fclose(file);
}
