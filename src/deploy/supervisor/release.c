#include "deploy/supervisor/release.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/port.h"
#include "deploy/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 10000,
    WELL_MS = 30000, /* after so long the next end is a new one */
    LOOK_MS = 25,    /* between two looks whether it accepts connections */
    CONNECT_MS = 20,
    ROUND_MS = 1000
};

static const char *const states[] = {"stopped", "starting", "running", "waiting",
                                     "ended",   "draining", "ending"};

static const char definition_file[] = "release.json", run_file[] = "run.json",
                  log_file[] = "output.log";

const char *release_state_name(enum release_state state)
{
    return states[state];
}

const char *release_name(const struct release *r)
{
    return json_string_value(json_object_get(r->definition, "release"));
}

static int64_t stop_ms(const struct release *r)
{
    return json_integer_value(json_object_get(r->definition, "stop_ms"));
}

static bool are_texts(const json_t *list)
{
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item) if (!json_is_string(item)) return false;
    return json_is_array(list);
}

const char *release_check(const json_t *definition)
{
    const json_t *command = json_object_get(definition, "command");

    if (!json_is_string(json_object_get(definition, "release")))
        return "the release is missing";
    if (!are_texts(command) || json_array_size(command) == 0)
        return "the command is missing";
    if (!json_is_string(json_object_get(definition, "directory")))
        return "the directory is missing";
    if (!are_texts(json_object_get(definition, "environment")))
        return "the environment is missing";
    if (!json_is_integer(json_object_get(definition, "stop_ms")))
        return "stop_ms is missing";
    return NULL;
}

static void enter(struct release *r, enum release_state state)
{
    r->state = state;
    r->since = clock_mono();
    r->at = r->since;
    log_info("release %s (%s) is %s%s%s", release_name(r), r->id, states[state],
             *r->why && (state == RELEASE_WAITING || state == RELEASE_ENDED) ? ": " : "",
             state == RELEASE_WAITING || state == RELEASE_ENDED ? r->why : "");
}

/* A line among those of the release's own. */
static void write_log(const struct release *r, const char *what)
{
    char line[RELEASE_WHY_SIZE + 64], time[CLOCK_TEXT_SIZE];
    int fd = openat(r->directory, log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    clock_format(clock_now(), time);
    int n = snprintf(line, sizeof line, "[holdfast %s] %s\n", time, what);
    if (write(fd, line, (size_t)n) != n)
        log_warn("the output of %s cannot be written", r->id);
    close(fd);
}

static int write_run(const struct release *r)
{
    json_t *run = json_pack("{s:i, s:b, s:i}", "port", r->place.port, "proven", r->proven,
                            "restarts", r->restarts);
    int result = run && mark_put(run, &r->mark) == 0
                     ? files_write(r->directory, run_file, run)
                     : fault_set(FAULT_MEMORY, "no memory for a release");

    json_decref(run);
    return result;
}

/* It has no process any more. */
static void lose_process(struct release *r)
{
    loop_forget(r->loop, &r->watch);
    r->mark = (struct mark){0};
}

/* It ended by itself, or could not be started. */
static void fall(struct release *r)
{
    write_log(r, r->why);
    if (!r->proven) {
        enter(r, RELEASE_ENDED);
        return;
    }
    if (clock_mono() - r->since > WELL_MS || r->pause == 0)
        r->pause = PAUSE_MIN_MS;
    else
        r->pause = r->pause * 2 < PAUSE_MAX_MS ? r->pause * 2 : PAUSE_MAX_MS;
    enter(r, RELEASE_WAITING);
    r->at = clock_mono() + r->pause;
}

static void be_stopped(struct release *r)
{
    lose_process(r);
    if (!r->for_now && files_remove(r->directory, run_file))
        log_warn("%s", fault_message());
    r->proven = r->proven && r->for_now;
    write_log(r, "stopped");
    enter(r, RELEASE_STOPPED);
}

/* Where it is not our child it may be waited for already. Then its number can be another's, but
 * not while processes of its group are left. */
static void signal_group(const struct release *r, int signal)
{
    struct mark now;

    if (r->own || mark_of(r->mark.pid, &now) || strcmp(now.start, r->mark.start) == 0)
        kill(-r->mark.pid, signal);
}

static void keep_why(struct release *r)
{
    siginfo_t end = {0};

    signal_group(r, SIGKILL); /* what it has left behind */
    if (!r->own || waitid(P_PIDFD, (id_t)r->watch.fd, &end, WEXITED))
        snprintf(r->why, sizeof r->why, "it ended, how is not known");
    else if (end.si_code == CLD_EXITED)
        snprintf(r->why, sizeof r->why, "it ended with code %d", end.si_status);
    else
        snprintf(r->why, sizeof r->why, "it was ended by signal %d (%s)", end.si_status,
                 sigdescr_np(end.si_status) ? sigdescr_np(end.si_status) : "unknown");
}

static void on_end(struct loop_watch *w, uint32_t events)
{
    struct release *r = (struct release *)w;

    keep_why(r);
    lose_process(r);
    if (r->state == RELEASE_DRAINING || r->state == RELEASE_ENDING)
        be_stopped(r);
    else
        fall(r);
}

/* The process waits until it is on disk. */
static int run_it(struct release *r)
{
    struct spawn s = {.definition = r->definition, .directory = r->directory, .log = log_file};
    int result;

    r->place.port = port_choose(r->place.port);
    s.port = r->place.port;
    result = r->place.port ? spawn_begin(&s) : fault_set(FAULT_IO, "there is no free port");
    if (result)
        return result;
    r->own = true;
    r->watch = (struct loop_watch){.fd = s.pidfd, .ready = on_end};
    r->mark = s.mark;
    result = write_run(r);
    /* A proven one is to serve even where the disk is full. */
    if (result && r->proven) {
        log_warn("%s", fault_message());
        result = 0;
    }
    if (result == 0)
        result = loop_want(r->loop, &r->watch, EPOLLIN);
    spawn_end(&s, result == 0);
    if (result)
        lose_process(r);
    return result;
}

int release_start(struct release *r)
{
    char line[64];
    int result;

    if (r->state != RELEASE_STOPPED && r->state != RELEASE_WAITING && r->state != RELEASE_ENDED)
        return 0;
    result = run_it(r);
    if (result) {
        snprintf(r->why, sizeof r->why, "it cannot be started: %.90s", fault_message());
        fall(r);
        return result;
    }
    snprintf(line, sizeof line, "started as process %d, port %d", (int)r->mark.pid, r->place.port);
    write_log(r, line);
    enter(r, RELEASE_STARTING);
    return 0;
}

int release_prove(struct release *r)
{
    bool before = r->proven;

    r->proven = true;
    int result = before ? 0 : write_run(r);
    if (result)
        r->proven = before;
    return result;
}

void release_stop(struct release *r, bool for_now)
{
    r->for_now = for_now;
    if (r->state == RELEASE_STOPPED || r->state == RELEASE_DRAINING || r->state == RELEASE_ENDING)
        return;
    if (r->mark.pid == 0) {
        be_stopped(r);
        return;
    }
    enter(r, RELEASE_DRAINING);
    r->at = r->since + stop_ms(r);
}

/* Whether somebody takes connections there. */
static bool is_open(struct relay_place *place, int family)
{
    int reason = ENOTCONN;
    socklen_t size = sizeof reason;

    place->family = family;
    struct pollfd p = {.fd = relay_connect(place), .events = POLLOUT};
    if (p.fd < 0)
        return false;
    if (poll(&p, 1, CONNECT_MS) > 0)
        getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &reason, &size);
    close(p.fd);
    return reason == 0;
}

static int tend_starting(struct release *r)
{
    if (is_open(&r->place, AF_INET) || is_open(&r->place, AF_INET6)) {
        enter(r, RELEASE_RUNNING);
        return ROUND_MS;
    }
    return LOOK_MS;
}

static int tend_draining(struct release *r, int64_t now)
{
    if (r->place.open && now < r->at)
        return LOOK_MS;
    enter(r, RELEASE_ENDING);
    r->at = now + stop_ms(r);
    signal_group(r, SIGTERM);
    return LOOK_MS;
}

int release_tend(struct release *r)
{
    int64_t now = clock_mono();

    if (now >= r->trim_at) {
        files_trim(r->directory, log_file, RELEASE_LOG_MAX);
        r->trim_at = now + ROUND_MS;
    }
    switch (r->state) {
    case RELEASE_STARTING:
        return tend_starting(r);
    case RELEASE_WAITING:
        if (now >= r->at) {
            r->restarts++;
            release_start(r);
        }
        return LOOK_MS;
    case RELEASE_DRAINING:
        return tend_draining(r, now);
    case RELEASE_ENDING:
        if (now >= r->at)
            signal_group(r, SIGKILL);
        return LOOK_MS;
    case RELEASE_STOPPED:
    case RELEASE_RUNNING:
    case RELEASE_ENDED:
        break;
    }
    return ROUND_MS;
}

static int make(int releases, const char *id, struct loop *loop, struct release **ret)
{
    struct release *r = calloc(1, sizeof *r);

    if (!r)
        return fault_set(FAULT_MEMORY, "no memory for a release");
    r->loop = loop;
    r->watch.fd = -1;
    r->since = clock_mono();
    snprintf(r->id, sizeof r->id, "%s", id);
    r->directory = openat(releases, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->directory < 0) {
        free(r);
        return errno == ENOENT ? RELEASE_NONE : fault_errno(FAULT_IO, errno, "cannot open %s", id);
    }
    *ret = r;
    return 0;
}

int release_new(int releases, const char *id, json_t *definition, struct loop *loop,
                struct release **ret)
{
    struct release *r;
    int result;

    if (mkdirat(releases, id, 0700) && errno != EEXIST)
        return fault_errno(FAULT_IO, errno, "cannot make the directory of release %s", id);
    if (fsync(releases))
        return fault_errno(FAULT_IO, errno, "cannot sync a directory");
    result = release_load(releases, id, loop, ret);
    if (result != RELEASE_NONE)
        return result;
    result = make(releases, id, loop, &r);
    if (result)
        return result;
    result = files_write(r->directory, definition_file, definition);
    if (result) {
        release_free(r);
        return result;
    }
    r->definition = json_incref(definition);
    *ret = r;
    return 0;
}

/* Takes up the process that it had, or finds it gone. */
static int take_over(struct release *r, const json_t *run)
{
    r->proven = json_is_true(json_object_get(run, "proven"));
    r->restarts = (int)json_integer_value(json_object_get(run, "restarts"));
    r->place.port = (int)json_integer_value(json_object_get(run, "port"));
    r->mark = mark_get(run);
    r->watch = (struct loop_watch){.fd = mark_open(&r->mark), .ready = on_end};
    if (r->watch.fd >= 0) {
        enter(r, RELEASE_STARTING);
        return loop_want(r->loop, &r->watch, EPOLLIN);
    }
    snprintf(r->why, sizeof r->why, "it ended while nobody watched over it");
    lose_process(r);
    fall(r);
    r->at = r->since;
    return 0;
}

int release_load(int releases, const char *id, struct loop *loop, struct release **ret)
{
    struct release *r;
    json_t *run = NULL;
    int result = make(releases, id, loop, &r);

    if (result)
        return result;
    result = files_read(r->directory, definition_file, &r->definition);
    if (result == 0 && release_check(r->definition))
        result = fault_set(FAULT_IO, "release %s is damaged: %s", id, release_check(r->definition));
    else if (result == FILES_NONE)
        result = RELEASE_NONE;
    if (result == 0) {
        result = files_read(r->directory, run_file, &run);
        result = result == 0 ? take_over(r, run) : result == FILES_NONE ? 0 : result;
        json_decref(run);
    }
    if (result) {
        release_free(r);
        return result;
    }
    *ret = r;
    return 0;
}

void release_free(struct release *r)
{
    if (!r)
        return;
    loop_forget(r->loop, &r->watch);
    json_decref(r->definition);
    close(r->directory);
    free(r);
}

void release_forget(int releases, struct release *r)
{
    static const char *const files[] = {"run.json.new", "release.json.new", "run.json",
                                        "output.log.1", "output.log",       "release.json"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(r->directory, files[i], 0);
    if (unlinkat(releases, r->id, AT_REMOVEDIR))
        log_warn("the directory of release %s cannot be removed", r->id);
    release_free(r);
}
