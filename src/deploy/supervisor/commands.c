#include "deploy/supervisor/commands.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deploy/supervisor/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PIECE = 1 << 16, QUEUE = 16 };

/* A connection; free where its descriptor is -1. */
struct talk {
    struct loop_watch watch;
    struct commands *of;
    struct buf in;
    int64_t until; /* monotonic ms */
};

struct commands {
    struct loop_watch watch; /* the first member */
    struct supervisor *supervisor;
    struct talk talks[COMMANDS_MAX];
};

static json_t *describe(const struct release *r)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:I, s:b, s:I, s:s}", "id", r->id,
                     "release", release_name(r), "state", release_state_name(r->state), "pid",
                     (int)r->mark.pid, "port", r->place.port, "address",
                     r->place.family == AF_INET6 ? "[::1]" : "127.0.0.1", "restarts", r->restarts,
                     "connections", (json_int_t)r->place.open, "proven", r->proven, "for_ms",
                     (json_int_t)(clock_mono() - r->since), "why", r->why);
}

static json_t *status_of(const struct supervisor *s)
{
    json_t *releases = json_array();

    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(releases, describe(s->releases[i]));
    return json_pack("{s:i, s:i, s:i, s:s, s:i, s:s?, s:I, s:o}", "version", SUPERVISOR_VERSION,
                     "pid", (int)getpid(), "keeper", (int)getppid(), "address", s->address, "port",
                     s->port, "live", s->live ? s->live->id : NULL, "connections",
                     (json_int_t)s->relay.n, "releases", releases);
}

/* Does what is asked. Returns NULL, or why not. */
static const char *obey(struct supervisor *s, const json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "do"));
    const char *id = json_string_value(json_object_get(request, "id"));
    struct uuid uuid;

    if (!what)
        return "nothing is asked for";
    if (strcmp(what, "status") == 0)
        return NULL;
    if (s->ending)
        return "the supervisor is ending";
    if (strcmp(what, "end") == 0)
        return supervisor_end(s);
    if (strcmp(what, "switch") == 0 && json_is_null(json_object_get(request, "id")))
        return supervisor_switch(s, NULL);
    if (!id || uuid_parse(str_of(id), &uuid))
        return "the id is missing";
    if (strcmp(what, "start") == 0)
        return supervisor_start(s, id, json_object_get(request, "definition"));
    if (strcmp(what, "switch") == 0)
        return supervisor_switch(s, id);
    if (strcmp(what, "stop") == 0)
        return supervisor_stop(s, id);
    if (strcmp(what, "forget") == 0)
        return supervisor_forget(s, id);
    return "there is no such request";
}

static void hang_up(struct talk *t)
{
    loop_forget(&t->of->supervisor->loop, &t->watch);
    buf_free(&t->in);
}

/* An answer is small: the socket takes it at once, or the one who asked does not listen. */
static void answer(struct talk *t, struct str line)
{
    json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong =
        json_is_object(request) ? obey(t->of->supervisor, request) : "that is no JSON object";
    json_t *status = status_of(t->of->supervisor);

    if (status && wrong)
        json_object_set_new(status, "error", json_string(wrong));
    char *text = status ? json_dumps(status, JSON_COMPACT) : NULL;
    if (text && send(t->watch.fd, text, strlen(text), MSG_NOSIGNAL | MSG_MORE) > 0)
        send(t->watch.fd, "\n", 1, MSG_NOSIGNAL);
    free(text);
    json_decref(status);
    json_decref(request);
}

static void on_request(struct loop_watch *w, uint32_t events)
{
    struct talk *t = (struct talk *)w;

    if (buf_reserve(&t->in, PIECE)) {
        hang_up(t);
        return;
    }
    ssize_t n = recv(w->fd, t->in.p + t->in.n, PIECE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        t->in.n += (size_t)n;
        struct str line = buf_str(&t->in);
        if (line.p[line.n - 1] != '\n')
            return;
        answer(t, line);
    }
    hang_up(t);
}

static bool may_speak(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void on_caller(struct loop_watch *w, uint32_t events)
{
    struct commands *c = (struct commands *)w;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct talk *t = c->talks;

    if (fd < 0)
        return;
    while (t < c->talks + COMMANDS_MAX && t->watch.fd >= 0)
        t++;
    if (t == c->talks + COMMANDS_MAX || !may_speak(fd)) {
        close(fd);
        return;
    }
    *t = (struct talk){.watch = {.fd = fd, .ready = on_request},
                       .of = c,
                       .in = buf_secret(COMMANDS_LINE_MAX),
                       .until = clock_mono() + COMMANDS_PATIENCE_MS};
    if (loop_want(&c->supervisor->loop, &t->watch, EPOLLIN))
        hang_up(t);
}

/* A path of any length, as that of a descriptor. */
static struct sockaddr_un address_in(int directory)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/control", directory);
    return a;
}

static int listen_in(int directory)
{
    struct sockaddr_un a = address_in(directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    unlinkat(directory, "control", 0);
    mode_t before = umask(0177);
    int bad = bind(fd, (struct sockaddr *)&a, sizeof a);
    umask(before);
    if (!bad && listen(fd, QUEUE) == 0)
        return fd;
    close(fd);
    return -1;
}

static int write_pids(int directory)
{
    struct mark own = {0}, keeper = {0};
    json_t *a = json_object(), *b = json_object();

    mark_of(getpid(), &own);
    mark_of(getppid(), &keeper);
    mark_put(a, &own);
    mark_put(b, &keeper);
    json_t *pids = json_pack("{s:o, s:o}", "supervisor", a, "keeper", b);
    int result = pids ? files_write(directory, "pid.json", pids)
                      : fault_set(FAULT_MEMORY, "no memory for the numbers of processes");
    json_decref(pids);
    return result;
}

int commands_open(struct supervisor *s, struct commands **ret)
{
    struct commands *c = calloc(1, sizeof *c);
    int result;

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory to be spoken to");
    c->supervisor = s;
    for (size_t i = 0; i < COMMANDS_MAX; i++)
        c->talks[i].watch.fd = -1;
    c->watch = (struct loop_watch){.fd = listen_in(s->directory), .ready = on_caller};
    result = c->watch.fd < 0 ? fault_errno(FAULT_IO, errno, "cannot listen for commands")
                             : loop_want(&s->loop, &c->watch, EPOLLIN);
    if (result == 0)
        result = write_pids(s->directory);
    if (result) {
        commands_close(c);
        return result;
    }
    *ret = c;
    return 0;
}

void commands_tend(struct commands *c)
{
    int64_t now = clock_mono();

    for (size_t i = 0; i < COMMANDS_MAX; i++)
        if (c->talks[i].watch.fd >= 0 && now >= c->talks[i].until)
            hang_up(&c->talks[i]);
}

void commands_close(struct commands *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < COMMANDS_MAX; i++)
        if (c->talks[i].watch.fd >= 0)
            hang_up(&c->talks[i]);
    loop_forget(&c->supervisor->loop, &c->watch);
    free(c);
}
