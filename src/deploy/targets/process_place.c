#include "deploy/targets/process_place.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/supervisor/control.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/keeper.h"
#include "deploy/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
    START_MS = 15000, /* of a supervisor, or between one's death and the next one's life */
    LOOK_MS = 50,
    LAST_LINE = 200
};

static bool is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return *name && name[strspn(name, plain)] == '\0';
}

int process_open(const struct target *t, bool make, struct process_place *ret)
{
    const char *name = t->environment->name;

    if (!is_plain(name)) {
        fault_keep("the environment's name becomes that of a directory: it may hold letters, "
                   "digits, '-' and '_'");
        return TARGET_FAILED;
    }
    ret->path = arena_printf(t->a, "%s/process/%s", t->data, name);
    if (!ret->path)
        return FAULT_MEMORY;
    if (make)
        return files_directory(ret->path, &ret->fd);
    ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret->fd < 0 && errno != ENOENT)
        return fault_errno(FAULT_IO, errno, "cannot open %s", ret->path);
    return 0;
}

void process_close(struct process_place *p)
{
    if (p->fd >= 0)
        close(p->fd);
}

int process_outcome(int control)
{
    switch (control) {
    case CONTROL_REFUSED:
        return TARGET_FAILED;
    case CONTROL_NONE:
    case CONTROL_TIMEOUT:
        return TARGET_UNREACHABLE;
    default:
        return control;
    }
}

/* Whether what waits has to end. Returns 0 or an outcome. */
static int is_over(const struct target *t)
{
    if (t->cancel && atomic_load(t->cancel)) {
        fault_keep("interrupted");
        return TARGET_CANCELLED;
    }
    if (t->deadline && clock_mono() >= t->deadline) {
        fault_keep("it took too long");
        return TARGET_TIMEOUT;
    }
    return 0;
}

static int start_keeper(const struct target *t, const struct process_place *p)
{
    const struct conf_target *c = &t->environment->target;
    json_t *conf = json_pack("{s:s, s:I}", "address", c->address, "port", (json_int_t)c->port);
    int result = conf ? files_write(p->fd, "supervisor.json", conf)
                      : fault_set(FAULT_MEMORY, "no memory to start the supervisor");

    json_decref(conf);
    if (result == 0)
        result = keeper_start(p->path, START_MS);
    if (result == KEEPER_HELD) {
        poll(NULL, 0, LOOK_MS); /* it is just starting, or its keeper starts the next one */
        return 0;
    }
    if (result == 0)
        progress_say(t->progress, "the supervisor was started");
    return result == FAULT_IO ? TARGET_UNREACHABLE : result;
}

/* The process of pid.json, or one that has ended already. */
static int open_process(const struct process_place *p, const char *who)
{
    json_t *pids;

    if (files_read(p->fd, "pid.json", &pids))
        return -1;
    const struct mark m = mark_get(json_object_get(pids, who));
    json_decref(pids);
    return mark_open(&m);
}

bool process_is_kept(const struct process_place *p)
{
    struct pollfd keeper = {.fd = open_process(p, "keeper"), .events = POLLIN};
    bool lives = keeper.fd >= 0 && poll(&keeper, 1, 0) == 0;

    if (keeper.fd >= 0)
        close(keeper.fd);
    return lives;
}

int process_await_end(const struct target *t, const struct process_place *p)
{
    static const char *const both[] = {"supervisor", "keeper"};
    int result = 0;

    for (int i = 0; i < 2 && result == 0; i++) {
        struct pollfd one = {.fd = open_process(p, both[i]), .events = POLLIN};
        while (one.fd >= 0 && result == 0 && poll(&one, 1, LOOK_MS) <= 0)
            result = is_over(t);
        if (one.fd >= 0)
            close(one.fd);
    }
    return result;
}

int process_ask(const struct target *t, const struct process_place *p, json_t *request,
                json_t **ret)
{
    int64_t until = clock_mono() + START_MS;
    int result;

    for (;;) {
        result = control_ask(p->fd, json_incref(request), PROCESS_ANSWER_MS, ret);
        if (result != CONTROL_NONE)
            break;
        result = start_keeper(t, p);
        if (result || clock_mono() >= until)
            break;
    }
    json_decref(request);
    return process_outcome(result);
}

int process_agrees(const struct target *t, const json_t *status)
{
    const struct conf_target *c = &t->environment->target;
    json_int_t version = json_integer_value(json_object_get(status, "version")),
               port = json_integer_value(json_object_get(status, "port"));
    const char *address = json_string_value(json_object_get(status, "address"));
    int keeper = (int)json_integer_value(json_object_get(status, "keeper"));

    if (version != SUPERVISOR_VERSION)
        fault_keep("another version of Holdfast supervises the releases: end it (kill %d), and the "
                   "next deployment starts them again",
                   keeper);
    else if (port != c->port || !address || strcmp(address, c->address) != 0)
        fault_keep("the product is at port %d of %s: to move it, end its supervisor (kill %d), and "
                   "the next deployment starts it at the other one",
                   (int)port, address ? address : "?", keeper);
    else
        return 0;
    return TARGET_FAILED;
}

int process_status(const struct target *t, const struct process_place *p, json_t **ret)
{
    json_t *status;
    int result = process_ask(t, p, json_pack("{s:s}", "do", "status"), &status);

    if (result)
        return result;
    result = process_agrees(t, status);
    if (result)
        json_decref(status);
    else
        *ret = status;
    return result;
}

/* A request that concerns one release, of which only success matters. */
int process_tell(const struct target *t, const struct process_place *p, const char *what,
                 const char *id)
{
    json_t *status;
    int result = process_ask(t, p, json_pack("{s:s, s:s?}", "do", what, "id", id), &status);

    if (result == 0)
        json_decref(status);
    return result;
}

const char *process_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

bool process_is(const json_t *release, enum release_state state)
{
    return release && strcmp(process_text(release, "state"), release_state_name(state)) == 0;
}

/* The last line that the release has printed. */
static void last_line(const struct process_place *p, const char *id, char ret[LAST_LINE])
{
    struct buf text _cleanup_buf_ = buf_init(64 * 1024);
    char name[UUID_TEXT_SIZE + 16];
    struct str rest, line, last = {"", 0};

    snprintf(name, sizeof name, "releases/%.36s", id);
    int fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        files_tail(fd, "output.log", 4096, &text);
        close(fd);
    }
    rest = buf_str(&text);
    while (str_next(&rest, '\n', &line))
        if (str_trim(line).n && !str_has_prefix(line, STR("[holdfast ")))
            last = str_trim(line);
    last = str_cut(last, LAST_LINE - 1);
    snprintf(ret, LAST_LINE, "%.*s", STR_ARG(last));
}

static int say_ended(const struct process_place *p, const json_t *release)
{
    char line[LAST_LINE];

    last_line(p, process_text(release, "id"), line);
    fault_keep("release %s does not stay up: %s%s%s", process_text(release, "release"),
               process_text(release, "why"), *line ? "; it said: " : "", line);
    return TARGET_FAILED;
}

enum { LOOK_AGAIN = TARGET_CANCELLED + 1 };

/* One look at a release that is to become stable. Returns 0, LOOK_AGAIN, an outcome or a fault. */
static int look(const struct target *t, const struct process_place *p, const char *id,
                int64_t stable_ms)
{
    json_t *status;
    int result = process_status(t, p, &status);

    if (result)
        return result;
    const json_t *release = control_release(status, id);
    bool running = process_is(release, RELEASE_RUNNING);
    json_int_t for_ms = json_integer_value(json_object_get(release, "for_ms"));
    result = LOOK_AGAIN;
    if (running && for_ms >= stable_ms) {
        result = 0;
    } else if (!release) {
        fault_keep("the release is not there any more");
        result = TARGET_FAILED;
    } else if (process_is(release, RELEASE_ENDED)) {
        result = say_ended(p, release);
    }
    json_decref(status);
    return result;
}

int process_await(const struct target *t, const struct process_place *p, const char *id,
                  int64_t stable_ms)
{
    for (;;) {
        int result = look(t, p, id, stable_ms);
        if (result != LOOK_AGAIN)
            return result;
        result = is_over(t);
        if (result)
            return result;
        poll(NULL, 0, LOOK_MS);
    }
}

/* Waits until the release, which was told to, has stopped; each has its limit of time there. */
static int await_stopped(const struct target *t, const struct process_place *p, const char *id)
{
    for (;;) {
        json_t *status;
        int result = process_status(t, p, &status);
        if (result)
            return result;
        const json_t *release = control_release(status, id);
        bool stopped = !release || process_is(release, RELEASE_STOPPED);
        json_decref(status);
        if (stopped)
            return 0;
        result = is_over(t);
        if (result)
            return result;
        poll(NULL, 0, LOOK_MS);
    }
}

int process_stop(const struct target *t, const struct process_place *p, const char *id)
{
    int result = process_tell(t, p, "stop", id);

    return result ? result : await_stopped(t, p, id);
}
