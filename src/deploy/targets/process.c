/*
 * Releases as processes of this machine, kept running by a supervisor (supervisor/supervisor.h),
 * which has the product's port and hands its connections on.
 *
 * Its directory is data/process/ENVIRONMENT. A release there has the deployment's id; so whatever
 * was asked for may be asked for again.
 */
#include "deploy/targets/process_place.h"

#include "base/fault.h"
#include "deploy/supervisor/control.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/port.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STABLE_MAX_MS = 1000, EVIDENCE_MAX = 1 << 20 };

static const char *previous_of(const json_t *state)
{
    return json_string_value(json_object_get(state, "previous"));
}

static const char *find_program(const struct target *t)
{
    const char *program = t->environment->target.command.items[0],
               *directory = t->environment->target.directory;
    const char *all = getenv("PATH");
    struct str rest = str_of(all ? all : "/bin:/usr/bin"), part;

    if (strchr(program, '/')) {
        const char *path =
            *program == '/' ? program : arena_printf(t->a, "%s/%s", directory, program);
        return path && access(path, X_OK) == 0 ? path : NULL;
    }
    while (str_next(&rest, ':', &part)) {
        const char *path = arena_printf(t->a, "%.*s/%s", STR_ARG(part), program);
        if (path && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

/* Nobody else may have the port. */
static int check_port(const struct target *t)
{
    const struct conf_target *c = &t->environment->target;
    int sockets[RELAY_LISTENERS];
    int n = port_bind(c->address, (int)c->port, RELAY_LISTENERS, sockets);

    if (n < 0)
        return TARGET_FAILED;
    for (int i = 0; i < n; i++)
        close(sockets[i]);
    return 0;
}

static int check_supervisor(const struct target *t, const struct process_place *p)
{
    json_t *status;
    int result = p->fd < 0 ? CONTROL_NONE
                           : control_ask(p->fd, json_pack("{s:s}", "do", "status"),
                                         PROCESS_ANSWER_MS, &status);

    if (result == CONTROL_NONE && p->fd >= 0 && process_is_kept(p))
        result = process_ask(t, p, json_pack("{s:s}", "do", "status"), &status);
    else if (result == CONTROL_NONE) {
        progress_say(t->progress, "no supervisor runs: one will be started");
        return check_port(t);
    } else
        result = process_outcome(result);
    if (result)
        return result;
    result = process_agrees(t, status);
    json_decref(status);
    return result;
}

static int check(const struct target *t)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    const struct conf_target *c = &t->environment->target;
    int result = process_open(t, false, &p);

    if (result)
        return result;
    if (access(c->directory, X_OK)) {
        fault_keep_errno(errno, "cannot go to target.directory, %s", c->directory);
        return TARGET_UNREACHABLE;
    }
    if (!find_program(t)) {
        fault_keep("there is no program %s", c->command.items[0]);
        return TARGET_UNREACHABLE;
    }
    return check_supervisor(t, &p);
}

static int snapshot(const struct target *t, json_t **ret)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    json_t *status = NULL, *state;
    int result = process_open(t, false, &p);

    /* Where there was a supervisor, and it died with its keeper, its releases come back now. */
    if (result == 0 && p.fd >= 0 && faccessat(p.fd, "live.json", F_OK, 0) == 0)
        result = process_status(t, &p, &status);
    if (result)
        return result;
    const json_t *live = control_release(status, process_text(status, "live"));
    state = json_pack("{s:b, s:s, s:s?}", "runs", live != NULL, "release",
                      process_text(live, "release"), "previous",
                      live ? process_text(live, "id") : NULL);
    json_decref(status);
    if (!state)
        return fault_set(FAULT_MEMORY, "no memory for what runs");
    *ret = state;
    return 0;
}

static json_t *environment_of(const struct target *t)
{
    json_t *all = json_array();

    for (char **e = environ; *e; e++)
        if (strncmp(*e, "RELEASE=", 8) != 0 && str_is_utf8(str_of(*e)))
            json_array_append_new(all, json_string(*e));
    json_array_append_new(all, json_sprintf("RELEASE=%s", t->release));
    return all;
}

static json_t *definition_of(const struct target *t)
{
    const struct conf_target *c = &t->environment->target;
    char directory[PATH_MAX];
    json_t *command = json_array();

    for (size_t i = 0; i < c->command.n; i++)
        json_array_append_new(command, json_string(c->command.items[i]));
    return json_pack("{s:s, s:o, s:s, s:o, s:I}", "release", t->release, "command", command,
                     "directory", realpath(c->directory, directory) ? directory : c->directory,
                     "environment", environment_of(t), "stop_ms", (json_int_t)c->stop_ms);
}

static int roll_out(const struct target *t, const json_t *state)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    json_t *status;
    int result = process_open(t, true, &p);

    if (result == 0)
        result = process_ask(t, &p,
                             json_pack("{s:s, s:s, s:o}", "do", "start", "id", t->id, "definition",
                                       definition_of(t)),
                             &status);
    if (result)
        return result;
    result = process_agrees(t, status);
    const json_t *release = control_release(status, t->id);
    progress_say(t->progress, "release %s runs beside as process %d, on port %d", t->release,
                 (int)json_integer_value(json_object_get(release, "pid")),
                 (int)json_integer_value(json_object_get(release, "port")));
    json_decref(status);
    return result;
}

static int wait_stable(const struct target *t, const json_t *state)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    /* So long it has to have accepted connections; its health is asked for next. */
    int64_t own = t->environment->health.interval_ms * t->environment->health.successes;
    int64_t stable = own < STABLE_MAX_MS ? own : STABLE_MAX_MS;
    int result = process_open(t, true, &p);

    if (result == 0)
        result = process_await(t, &p, t->id, stable);
    if (result == 0)
        progress_say(t->progress, "release %s accepts connections", t->release);
    if (result == TARGET_TIMEOUT)
        fault_keep("release %s does not accept connections on its port", t->release);
    return result;
}

static int prove(const struct target *t, const json_t *state)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    int result = process_open(t, true, &p);

    if (result == 0)
        result = process_tell(t, &p, "switch", t->id);
    if (result == 0)
        progress_say(t->progress, "new connections go to release %s", t->release);
    return result;
}

/* What somebody else has given the traffic since is left. */
static int check_live(const struct target *t, const json_t *status, const char *previous)
{
    const char *live = json_string_value(json_object_get(status, "live"));

    if (!live || strcmp(live, t->id) == 0 || (previous && strcmp(live, previous) == 0))
        return 0;
    fault_keep("release %s has been given the traffic since",
               process_text(control_release(status, live), "release"));
    return TARGET_FAILED;
}

/* Starts the previous release where it does not run, and gives it the traffic. */
static int bring_back(const struct target *t, const struct process_place *p, const char *id)
{
    json_t *status;
    int result = process_status(t, p, &status);

    if (result)
        return result;
    const json_t *release = control_release(status, id);
    bool ends = process_is(release, RELEASE_DRAINING) || process_is(release, RELEASE_ENDING);
    result = check_live(t, status, id);
    json_decref(status);
    if (result == 0 && ends)
        result = process_stop(t, p, id);
    if (result == 0)
        result = process_tell(t, p, "start", id);
    if (result == 0)
        result = process_await(t, p, id, 0);
    return result ? result : process_tell(t, p, "switch", id);
}

/* Nothing ran before. */
static int take_away(const struct target *t, const struct process_place *p)
{
    json_t *status;
    int result = process_status(t, p, &status);

    if (result)
        return result;
    result = check_live(t, status, NULL);
    json_decref(status);
    return result ? result : process_tell(t, p, "switch", NULL);
}

static int roll_back(const struct target *t, const json_t *state)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    const char *previous = previous_of(state);
    int result = process_open(t, previous != NULL, &p);

    if (result || p.fd < 0)
        return result;
    if (previous)
        result = bring_back(t, &p, previous);
    else if (faccessat(p.fd, "live.json", F_OK, 0) == 0)
        result = take_away(t, &p);
    if (result == 0 && previous)
        progress_say(t->progress, "release %s has the traffic", process_text(state, "release"));
    return result ? result : process_stop(t, &p, t->id);
}

static int write_evidence(const struct target *t, const struct buf *text)
{
    const char *path = arena_printf(t->a, "%s/release.log", t->logs);
    FILE *f = path ? fopen(path, "we") : NULL;

    if (!f)
        return path ? fault_errno(FAULT_IO, errno, "cannot write %s", path) : FAULT_MEMORY;
    size_t n = fwrite(text->p, 1, text->n, f);
    if (fclose(f) || n != text->n)
        return fault_errno(FAULT_IO, errno, "cannot write %s", path);
    progress_say(t->progress, "what the release printed is in %s", path);
    return 0;
}

/* What the release printed, before it is forgotten. */
static int keep_evidence(const struct target *t, const struct process_place *p)
{
    struct buf text _cleanup_buf_ = buf_init(3 * EVIDENCE_MAX);
    char name[UUID_TEXT_SIZE + 16];

    snprintf(name, sizeof name, "releases/%.36s", t->id);
    int fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int result = files_tail(fd, "output.log.1", EVIDENCE_MAX, &text);
    if (result == 0)
        result = files_tail(fd, "output.log", EVIDENCE_MAX, &text);
    close(fd);
    return result || text.n == 0 ? result : write_evidence(t, &text);
}

/* A supervisor of nothing ends. */
static int end_if_idle(const struct target *t, const struct process_place *p)
{
    json_t *status;
    int result = control_ask(p->fd, json_pack("{s:s}", "do", "status"), PROCESS_ANSWER_MS, &status);

    if (result)
        return result == CONTROL_NONE ? 0 : process_outcome(result);
    bool idle = json_array_size(json_object_get(status, "releases")) == 0;
    json_decref(status);
    if (!idle)
        return 0;
    result = control_ask(p->fd, json_pack("{s:s}", "do", "end"), PROCESS_ANSWER_MS, &status);
    if (result)
        return result == CONTROL_NONE ? 0 : process_outcome(result);
    json_decref(status);
    return process_await_end(t, p);
}

/* The deployment's own release goes, with all that is kept of it. */
static int remove_own(const struct target *t, const struct process_place *p)
{
    char name[UUID_TEXT_SIZE + 16];
    int result = 0;

    snprintf(name, sizeof name, "releases/%.36s", t->id);
    if (faccessat(p->fd, name, F_OK, 0) == 0) {
        result = process_stop(t, p, t->id);
        if (result == 0)
            result = keep_evidence(t, p);
        if (result == 0)
            result = process_tell(t, p, "forget", t->id);
    }
    return result ? result : end_if_idle(t, p);
}

static int clean_up(const struct target *t, const json_t *state, bool proven)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    const char *previous = previous_of(state);
    int result = process_open(t, false, &p);

    if (result || p.fd < 0)
        return result;
    if (!proven)
        return remove_own(t, &p);
    if (!previous || strcmp(previous, t->id) == 0)
        return 0;
    result = process_stop(t, &p, previous);
    if (result == 0)
        progress_say(t->progress, "release %s has stopped, and is kept as the way back",
                     process_text(state, "release"));
    return result;
}

static int describe(const struct target *t, struct buf *out)
{
    const struct conf_target *c = &t->environment->target;

    buf_printf(out, "start release %s in %s:", t->release, c->directory);
    for (size_t i = 0; i < c->command.n; i++)
        buf_printf(out, " %s", c->command.items[i]);
    buf_printf(out,
               "\nwait until it accepts connections on a port of its own\n"
               "give it the new connections of port %d of %s\n"
               "stop the previous release once its connections have ended, after %lld s at the "
               "latest\n",
               (int)c->port, c->address, (long long)c->stop_ms / 1000);
    return buf_fault(out);
}

static int probe_url(const struct target *t, const json_t *state, const char **ret)
{
    struct process_place p _cleanup_process_ = {.fd = -1};
    json_t *status;
    int result = process_open(t, true, &p);

    if (result == 0)
        result = process_status(t, &p, &status);
    if (result)
        return result;
    const json_t *release = control_release(status, t->id);
    char *url = release ? arena_printf(t->a, "http://%s:%d%s", process_text(release, "address"),
                                       (int)json_integer_value(json_object_get(release, "port")),
                                       target_health_path(t->environment))
                        : NULL;
    json_decref(status);
    if (!release) {
        fault_keep("the release is not there any more");
        return TARGET_FAILED;
    }
    if (!url)
        return FAULT_MEMORY;
    *ret = url;
    return 0;
}

const struct target_kind target_process = {.id = TARGET_PROCESS,
                                           .check = check,
                                           .snapshot = snapshot,
                                           .roll_out = roll_out,
                                           .wait_stable = wait_stable,
                                           .prove = prove,
                                           .roll_back = roll_back,
                                           .clean_up = clean_up,
                                           .describe = describe,
                                           .probe_url = probe_url};
