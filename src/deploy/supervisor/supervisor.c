#include "deploy/supervisor/supervisor.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deploy/supervisor/commands.h"
#include "deploy/supervisor/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROUND_MS = 1000,
    CONNECTIONS_MAX = 20000,
    HOLD_MS = 10000,       /* so long connections wait for a release that is started again */
    DESCRIPTORS_OURS = 200 /* that no connection may take */
};

static const char live_file[] = "live.json", log_file[] = "supervisor.log";

struct release *supervisor_find(const struct supervisor *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->releases[i]->id, id) == 0)
            return s->releases[i];
    return NULL;
}

static void drop(struct supervisor *s, struct release *r)
{
    size_t i = 0;

    while (s->releases[i] != r)
        i++;
    s->releases[i] = s->releases[--s->n];
    relay_cut(&s->relay, &r->place);
    release_forget(s->releases_directory, r);
}

/* Of those that stopped, the oldest go; their ids are in the order of time. */
static void forget_old(struct supervisor *s)
{
    for (;;) {
        struct release *oldest = NULL;
        size_t stopped = 0;
        for (size_t i = 0; i < s->n; i++) {
            struct release *r = s->releases[i];
            if (r->state != RELEASE_STOPPED || r == s->live)
                continue;
            stopped++;
            if (!oldest || strcmp(r->id, oldest->id) < 0)
                oldest = r;
        }
        if (stopped <= SUPERVISOR_KEPT)
            return;
        drop(s, oldest);
    }
}

const char *supervisor_start(struct supervisor *s, const char *id, json_t *definition)
{
    struct release *r = supervisor_find(s, id);

    if (!r && !definition)
        return "there is no such release any more";
    if (r && (r->state == RELEASE_DRAINING || r->state == RELEASE_ENDING))
        return "it is still being stopped";
    if (!r) {
        const char *wrong = release_check(definition);
        if (wrong)
            return wrong;
        forget_old(s);
        if (s->n == SUPERVISOR_RELEASES_MAX)
            return "too many releases run";
        if (release_new(s->releases_directory, id, definition, &s->loop, &r))
            return fault_message();
        s->releases[s->n++] = r;
    }
    if (r->state == RELEASE_STOPPED)
        release_start(r);
    return NULL;
}

/* One that had it may have it again while it is being started again. */
static bool may_have_traffic(const struct release *r)
{
    return r->state == RELEASE_RUNNING ||
           (r->proven && (r->state == RELEASE_STARTING || r->state == RELEASE_WAITING));
}

const char *supervisor_switch(struct supervisor *s, const char *id)
{
    struct release *r = id ? supervisor_find(s, id) : NULL;

    if (id && !r)
        return "there is no such release";
    if (r && !may_have_traffic(r))
        return "it does not accept connections";
    if (r && r == s->live)
        return NULL; /* also where the disk is full by now */
    if (r && release_prove(r))
        return fault_message();
    json_t *live = json_pack("{s:s?}", "live", id);
    int result = live ? files_write(s->directory, live_file, live)
                      : fault_set(FAULT_MEMORY, "no memory to switch");
    json_decref(live);
    if (result)
        return fault_message();
    if (r != s->live)
        log_info("the traffic goes to release %s", r ? r->id : "none");
    s->live = r;
    return relay_accept(&s->relay, r != NULL) ? fault_message() : NULL;
}

const char *supervisor_stop(struct supervisor *s, const char *id)
{
    struct release *r = supervisor_find(s, id);

    if (r && r == s->live)
        return "it has the traffic";
    if (r)
        release_stop(r, false);
    return NULL;
}

const char *supervisor_forget(struct supervisor *s, const char *id)
{
    struct release *r = supervisor_find(s, id);

    if (r && (r == s->live || r->state != RELEASE_STOPPED))
        return "it is not stopped";
    if (r)
        drop(s, r);
    return NULL;
}

const char *supervisor_end(struct supervisor *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->releases[i]->state != RELEASE_STOPPED)
            return "a release runs";
    s->over = true;
    return NULL;
}

static struct relay_place *choose(void *context)
{
    struct supervisor *s = context;

    return s->live && s->live->state == RELEASE_RUNNING ? &s->live->place : NULL;
}

/* What cannot be taken up is said, and left as it is: others have to run nevertheless. */
static void load_release(struct supervisor *s, const char *id)
{
    struct release *r;

    if (s->n == SUPERVISOR_RELEASES_MAX) {
        log_warn("too many releases: %s is left out", id);
        return;
    }
    int result = release_load(s->releases_directory, id, &s->loop, &r);
    if (result == 0)
        s->releases[s->n++] = r;
    else if (result == RELEASE_NONE)
        unlinkat(s->releases_directory, id, AT_REMOVEDIR); /* a start that did not get so far */
    else
        log_error("release %s cannot be taken up: %s", id, fault_message());
}

static int load_live(struct supervisor *s)
{
    json_t *live = NULL;
    int result = files_read(s->directory, live_file, &live);

    if (result == FILES_NONE)
        return 0;
    if (result)
        return result;
    const char *id = json_string_value(json_object_get(live, "live"));
    s->live = id ? supervisor_find(s, id) : NULL;
    if (id && !s->live)
        log_error("release %s had the traffic, and is not there", id);
    json_decref(live);
    return s->live ? relay_accept(&s->relay, true) : 0;
}

static int load(struct supervisor *s)
{
    struct uuid id;

    if (mkdirat(s->directory, "releases", 0700) && errno != EEXIST)
        return fault_errno(FAULT_IO, errno, "cannot make the directory of releases");
    s->releases_directory = openat(s->directory, "releases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = s->releases_directory < 0 ? NULL : fdopendir(dup(s->releases_directory));
    if (!d)
        return fault_errno(FAULT_IO, errno, "cannot read the directory of releases");
    for (struct dirent *e; (e = readdir(d));)
        if (uuid_parse(str_of(e->d_name), &id) == 0)
            load_release(s, e->d_name);
    closedir(d);
    return load_live(s);
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct supervisor *s =
        (struct supervisor *)(void *)((char *)w - offsetof(struct supervisor, signals));
    struct signalfd_siginfo info;

    if (read(w->fd, &info, sizeof info) != sizeof info || s->ending)
        return;
    log_info("asked to end");
    s->ending = true;
    relay_accept(&s->relay, false);
    for (size_t i = 0; i < s->n; i++)
        release_stop(s->releases[i], true);
}

static int watch_signals(struct supervisor *s)
{
    sigset_t signals;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    s->signals = (struct loop_watch){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
                                     .ready = on_signal};
    if (s->signals.fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot wait for signals");
    return loop_want(&s->loop, &s->signals, EPOLLIN);
}

/* As many connections as there are descriptors for, two each. Releases get the limit that we got.
 */
static size_t connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 1;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur <= DESCRIPTORS_OURS + 2)
        return 1;
    rlim_t most = (limit.rlim_cur - DESCRIPTORS_OURS) / 2;
    return most < CONNECTIONS_MAX ? (size_t)most : CONNECTIONS_MAX;
}

static int open_all(struct supervisor *s, const struct supervisor_options *o)
{
    int result = loop_open(&s->loop);

    s->relay = (struct relay){.loop = &s->loop,
                              .choose = choose,
                              .hold_ms = HOLD_MS,
                              .context = s,
                              .max = connections_max()};
    for (size_t i = 0; i < o->n_sockets; i++)
        relay_listen_on(&s->relay, dup(o->sockets[i]));
    if (result == 0)
        result = watch_signals(s);
    if (result == 0)
        result = load(s);
    return result;
}

static int round_of(struct supervisor *s, struct commands *c)
{
    int ms = ROUND_MS;
    bool running = false;

    for (size_t i = 0; i < s->n; i++) {
        int own = release_tend(s->releases[i]);
        ms = own < ms ? own : ms;
        running = running || s->releases[i]->state != RELEASE_STOPPED;
    }
    if (relay_tend(&s->relay) && ms > RELAY_RETRY_MS)
        ms = RELAY_RETRY_MS;
    commands_tend(c);
    files_trim(s->directory, log_file, SUPERVISOR_LOG_MAX);
    if (s->ending && !running)
        s->over = true;
    return s->over ? 0 : loop_round(&s->loop, ms);
}

int supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s = {.directory = o->directory, .address = o->address, .port = o->port};
    struct commands *c = NULL;
    int result = open_all(&s, o);

    if (result == 0)
        result = commands_open(&s, &c);
    if (result == 0 && o->ready >= 0) {
        if (write(o->ready, "r", 1) != 1)
            log_debug("nobody waits for the start");
        close(o->ready);
    }
    while (result == 0 && !s.over)
        result = round_of(&s, c);
    commands_close(c);
    relay_close(&s.relay);
    for (size_t i = 0; i < s.n; i++)
        release_free(s.releases[i]);
    loop_forget(&s.loop, &s.signals);
    loop_close(&s.loop);
    return result;
}
