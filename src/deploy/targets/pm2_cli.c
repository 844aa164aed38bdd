#include "deploy/targets/pm2_cli.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RUN_MS = 10 * CLOCK_MINUTE, /* where the operation has no limit */
    LIST_MAX = 32 << 20,
    LOOK_MS = 500,
    SLICE_MS = 50,
    WHY_SIZE = 256
};

/* Where what a program says goes. */
struct hearing {
    int log;
    struct buf *out;
};

static int hear_err(void *context, const char *p, size_t n)
{
    struct hearing *h = context;

    if (h->log >= 0 && write(h->log, p, n) < 0)
        return fault_errno(FAULT_IO, errno, "cannot write pm2.log");
    return 0;
}

static int hear_out(void *context, const char *p, size_t n)
{
    struct hearing *h = context;

    return h->out ? child_into_buf(h->out, p, n) : hear_err(context, p, n);
}

static int outcome_of(int child)
{
    switch (child) {
    case CHILD_FAILED:
        return TARGET_FAILED;
    case CHILD_MISSING:
        return TARGET_UNREACHABLE;
    case CHILD_TIMEOUT:
        return TARGET_TIMEOUT;
    case CHILD_CANCELLED:
        return TARGET_CANCELLED;
    default:
        return child;
    }
}

int pm2_run(const struct target *t, const char *release, const char *const *argv, struct buf *out)
{
    const char *path = arena_printf(t->a, "%s/pm2.log", t->logs),
               *variable = arena_printf(t->a, "RELEASE=%s", release);
    struct hearing hearing = {.out = out};
    int64_t left = t->deadline ? t->deadline - clock_mono() : RUN_MS;

    if (!path || !variable)
        return FAULT_MEMORY;
    hearing.log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const struct child c = {.argv = argv,
                            .environment = (const char *const[]){variable, NULL},
                            .directory = t->environment->target.directory,
                            .out = hear_out,
                            .err = hear_err,
                            .context = &hearing,
                            .timeout_ms = left > 0 ? left : 1,
                            .cancel = t->cancel};
    int result = child_run(&c, NULL);
    if (hearing.log >= 0)
        close(hearing.log);
    return outcome_of(result);
}

int pm2_parse(struct str text, json_t **ret)
{
    struct str line;
    json_t *list = NULL;

    while (str_next(&text, '\n', &line)) {
        json_t *one = *line.p == '[' ? json_loadb(line.p, line.n, 0, NULL) : NULL;
        if (!json_is_array(one)) {
            json_decref(one);
            continue;
        }
        json_decref(list);
        list = one;
    }
    if (!list) {
        fault_keep("pm2 jlist printed no list");
        return TARGET_FAILED;
    }
    *ret = list;
    return 0;
}

int pm2_list(const struct target *t, json_t **ret)
{
    struct buf text _cleanup_buf_ = buf_secret(LIST_MAX); /* the environments are in it */
    int result = pm2_run(t, t->release, (const char *const[]){"pm2", "jlist", NULL}, &text);

    return result ? result : pm2_parse(buf_str(&text), ret);
}

static const char *text_in(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

static void add(struct pm2_state *s, const json_t *process)
{
    const json_t *env = json_object_get(process, "pm2_env");
    const char *status = text_in(env, "status"),
               *release = text_in(json_object_get(env, "env"), "RELEASE");
    int64_t since = json_integer_value(json_object_get(env, "pm_uptime"));

    if (s->n == 0)
        s->release = release;
    else if (strcmp(s->release, release) != 0)
        s->mixed = true;
    s->n++;
    s->restarts += json_integer_value(json_object_get(env, "restart_time"));
    s->pids += json_integer_value(json_object_get(process, "pid"));
    s->youngest = since > s->youngest ? since : s->youngest;
    s->clustered = strcmp(text_in(env, "exec_mode"), "cluster_mode") == 0;
    if (strcmp(status, "online") == 0)
        s->online++;
    else
        s->bad = status;
}

struct pm2_state pm2_state_of(const json_t *list, const char *name)
{
    struct pm2_state s = {.release = ""};
    size_t i;
    json_t *process;

    json_array_foreach(list, i, process) if (strcmp(text_in(process, "name"), name) == 0)
        add(&s, process);
    return s;
}

int pm2_pause(const struct target *t, int64_t ms)
{
    int64_t until = clock_mono() + ms;

    for (;;) {
        int64_t now = clock_mono();
        if (t->cancel && atomic_load(t->cancel)) {
            fault_keep("interrupted");
            return TARGET_CANCELLED;
        }
        if (t->deadline && now >= t->deadline) {
            fault_keep("it took too long");
            return TARGET_TIMEOUT;
        }
        if (now >= until)
            return 0;
        poll(NULL, 0, SLICE_MS);
    }
}

/* What a look at the processes tells. */
enum { LOOK_GOOD, LOOK_LATER, LOOK_BAD };

static int judge(const struct pm2_state *s, const char *name, int64_t wanted, const char *release)
{
    bool ends = s->bad && (strcmp(s->bad, "errored") == 0 || strcmp(s->bad, "stopped") == 0);

    if (s->n == 0 || ends) {
        fault_keep("%s is %s", name, s->n ? s->bad : "not there");
        return LOOK_BAD;
    }
    if (s->bad || s->online < wanted) {
        fault_keep("%s has %lld processes online of %lld%s%s", name, (long long)s->online,
                   (long long)(wanted > s->n ? wanted : s->n), s->bad ? ", one is " : "",
                   s->bad ? s->bad : "");
        return LOOK_LATER;
    }
    if (release && (s->mixed || strcmp(s->release, release) != 0)) {
        fault_keep("%s runs release %s", name, s->mixed ? "one and another" : s->release);
        return LOOK_LATER;
    }
    return LOOK_GOOD;
}

/* From the first good look on, nothing may change. */
struct watching {
    bool good;
    int64_t since, restarts, pids;
};

static int take_in(struct watching *w, const struct pm2_state *s, const char *name, int look)
{
    if (look == LOOK_BAD)
        return TARGET_FAILED;
    if (w->good && (s->restarts != w->restarts || s->pids != w->pids)) {
        fault_keep("%s ended, and PM2 started it again", name);
        return TARGET_FAILED;
    }
    if (!w->good && look == LOOK_GOOD)
        *w = (struct watching){
            .good = true, .since = clock_mono(), .restarts = s->restarts, .pids = s->pids};
    return 0;
}

/* What kept us waiting, in place of what it was that took too long. */
static int say_why(int result, const char *why)
{
    if (result == TARGET_TIMEOUT && *why)
        fault_keep("%s", why);
    return result;
}

int pm2_await(const struct target *t, const char *name, int64_t wanted, const char *release,
              int64_t watch_ms)
{
    struct watching w = {0};
    char why[WHY_SIZE] = ""; /* it is not good yet */

    for (;;) {
        json_t *list;
        int result = pm2_list(t, &list);
        if (result)
            return say_why(result, why);
        const struct pm2_state s = pm2_state_of(list, name);
        int look = judge(&s, name, wanted, release);
        snprintf(why, sizeof why, "%s", look == LOOK_LATER ? fault_message() : "");
        result = take_in(&w, &s, name, look);
        json_decref(list);
        if (result)
            return result;
        if (w.good && look == LOOK_GOOD && clock_mono() - w.since >= watch_ms)
            return 0;
        /* What ends and is started again meanwhile is counted by PM2. */
        int64_t rest = w.good ? w.since + watch_ms - clock_mono() : 0;
        result = pm2_pause(t, rest > LOOK_MS ? rest : LOOK_MS);
        if (result)
            return say_why(result, why);
    }
}

static const char *link_path(const struct target *t)
{
    return arena_printf(t->a, "%s/current", t->environment->target.directory);
}

int pm2_link_now(const struct target *t, const char **ret_path)
{
    const char *path = link_path(t);
    char names[PATH_MAX];
    ssize_t n = path ? readlink(path, names, sizeof names) : -1;

    if (!path)
        return FAULT_MEMORY;
    if (n < 0 && errno != ENOENT && errno != EINVAL)
        return fault_errno(FAULT_IO, errno, "cannot read %s", path);
    if (n == sizeof names)
        return fault_set(FAULT_LIMIT, "%s names too long a path", path);
    struct str copy = n < 0 ? (struct str){0} : arena_str(t->a, (struct str){names, (size_t)n});
    if (n >= 0 && !copy.p)
        return FAULT_MEMORY;
    *ret_path = copy.p;
    return 0;
}

int pm2_link_for(const struct target *t, const char *release, const char **ret_path)
{
    const char *now;
    struct stat s;
    int result = pm2_link_now(t, &now);

    if (result || !now) {
        if (result == 0)
            *ret_path = NULL;
        return result;
    }
    const char *slash = strrchr(now, '/');
    const char *wanted =
        arena_printf(t->a, "%.*s%s", slash ? (int)(slash - now + 1) : 0, now, release);
    const char *path = !wanted ? NULL
                       : *wanted == '/'
                           ? wanted
                           : arena_printf(t->a, "%s/%s", t->environment->target.directory, wanted);
    if (!path)
        return FAULT_MEMORY;
    if (strchr(release, '/') || *release == '.' || stat(path, &s) || !S_ISDIR(s.st_mode)) {
        fault_keep("there is no directory %s, which `current` would name", path);
        return TARGET_FAILED;
    }
    *ret_path = wanted;
    return 0;
}

int pm2_link_set(const struct target *t, const char *path)
{
    const char *link = link_path(t), *fresh = arena_printf(t->a, "%s.%s", link ? link : "", t->id);

    if (!link || !fresh)
        return FAULT_MEMORY;
    if ((unlink(fresh) && errno != ENOENT) || symlink(path, fresh) || rename(fresh, link))
        return fault_errno(FAULT_IO, errno, "cannot have %s name %s", link, path);
    return 0;
}
