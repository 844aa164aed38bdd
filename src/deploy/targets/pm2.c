/*
 * Releases under PM2. A release is what the ecosystem file starts while RELEASE names it: by that
 * variable, and by the link `current` in target.directory where there is one.
 *
 * `pm2 reload` ends with 0 also where the new processes crash, and has then taken all the old ones
 * down. So one process of the new release, the canary, is started first, apart and on a port of its
 * own; only when it is proven the application is reloaded, and watched.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/supervisor/files.h"
#include "deploy/supervisor/port.h"
#include "deploy/supervisor/relay.h"
#include "deploy/targets/pm2_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* So long no process may have been started again; the health that is asked for next tells too.
     */
    WATCH_MIN_MS = 1000,
    WATCH_MAX_MS = 3000,
    CONNECT_MS = 500,
    LAST_LINE = 200,
    CONFIG_MAX = 4 << 20,
    RELOADS = 3, /* of the previous release: one may be refused while another is under way */
    PAUSE_MS = 1000
};

/* Prints the ecosystem of the canary. Only Node reads an ecosystem file as PM2 does. */
static const char canary_script[] =
    "const [file, app, name, port, logs, to] = process.argv.slice(1);"
    "const path = require('path'), link = path.resolve('current');"
    "const move = (p) => { if (!to || p === undefined) return p; const full = path.resolve(p);"
    "  return full === link || full.startsWith(link + path.sep)"
    "    ? path.resolve(to) + full.slice(link.length) : p; };"
    "const read = (f) => f.endsWith('.json') ? Promise.resolve(require(f))"
    "  : import(require('url').pathToFileURL(f)).then((m) => m.default ?? m);"
    "read(path.resolve(move(file))).then((all) => {"
    "  const apps = [].concat(all.apps ?? all.pm2 ?? all), own = apps.find((a) => a.name === app);"
    "  if (!own) { console.error(`${file} has no app ${app}`); process.exit(3); }"
    "  const canary = { ...own, name, instances: 1, exec_mode: 'fork', autorestart: false,"
    "    watch: false, cwd: move(own.cwd), script: own.cwd ? own.script : move(own.script),"
    "    merge_logs: true, out_file: logs + '/canary-out.log',"
    "    error_file: logs + '/canary-err.log',"
    "    env: { ...own.env, PORT: port, RELEASE: process.env.RELEASE } };"
    "  for (const key of ['cron_restart', 'append_env_to_name', 'increment_var', 'log_file'])"
    "    delete canary[key];"
    "  console.log(JSON.stringify({ apps: [canary] }));"
    "}).catch((error) => { console.error(error); process.exit(1); });";

static int64_t watch_ms(const struct target *t)
{
    int64_t own = t->environment->health.interval_ms * t->environment->health.successes;

    return own < WATCH_MIN_MS ? WATCH_MIN_MS : own < WATCH_MAX_MS ? own : WATCH_MAX_MS;
}

static const char *app_of(const struct target *t)
{
    return t->environment->target.app;
}

/* The last part of the id: the first is the time, which two may share. */
static const char *canary_of(const struct target *t)
{
    size_t n = strlen(t->id);

    return arena_printf(t->a, "%s-canary-%s", app_of(t), n > 12 ? t->id + n - 12 : t->id);
}

static const char *text_of(const json_t *state, const char *member)
{
    return json_string_value(json_object_get(state, member));
}

static int check(const struct target *t)
{
    const struct conf_target *c = &t->environment->target;
    const char *file = *c->ecosystem == '/'
                           ? c->ecosystem
                           : arena_printf(t->a, "%s/%s", c->directory, c->ecosystem);
    const char *unused;
    json_t *list;

    if (!file)
        return FAULT_MEMORY;
    if (access(file, R_OK)) {
        fault_keep_errno(errno, "cannot read target.ecosystem, %s", file);
        return TARGET_UNREACHABLE;
    }
    int result = pm2_list(t, &list);
    if (result)
        return result;
    const struct pm2_state s = pm2_state_of(list, c->app);
    if (s.n == 0)
        progress_say(t->progress, "%s is not known to PM2: it will be started", c->app);
    else if (!s.clustered)
        progress_say(t->progress,
                     "%s does not run in cluster mode: it is away while PM2 starts it anew",
                     c->app);
    json_decref(list);
    return pm2_link_for(t, t->release, &unused);
}

static int snapshot(const struct target *t, json_t **ret)
{
    const char *link;
    json_t *list, *state;
    int result = pm2_link_now(t, &link);

    if (result == 0)
        result = pm2_list(t, &list);
    if (result)
        return result;
    const struct pm2_state s = pm2_state_of(list, app_of(t));
    state = json_pack("{s:b, s:s, s:I, s:s?}", "runs", s.n > 0, "release", s.release, "instances",
                      (json_int_t)s.n, "current", link);
    json_decref(list);
    if (!state)
        return fault_set(FAULT_MEMORY, "no memory for what runs");
    *ret = state;
    return 0;
}

/* Writes the ecosystem file of the canary, which has what the product's own holds of secrets. */
static int write_canary(const struct target *t, const char *path)
{
    const struct conf_target *c = &t->environment->target;
    struct buf text _cleanup_buf_ = buf_secret(CONFIG_MAX);
    char port[16], logs[PATH_MAX];
    const char *to, *name = canary_of(t);
    int result = pm2_link_for(t, t->release, &to);

    if (result)
        return result;
    if (!name || !realpath(t->logs, logs))
        return name ? fault_errno(FAULT_IO, errno, "cannot find %s", t->logs) : FAULT_MEMORY;
    snprintf(port, sizeof port, "%d", (int)c->port);
    const char *const argv[] = {"node", "-e", canary_script, c->ecosystem, c->app,
                                name,   port, logs,          to ? to : "", NULL};
    result = pm2_run(t, t->release, argv, &text);
    if (result == TARGET_FAILED)
        fault_keep("%s cannot be read, or names no app %s: pm2.log tells more", c->ecosystem,
                   c->app);
    if (result)
        return result;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;
    if (!written)
        result = fault_errno(FAULT_IO, errno, "cannot write %s", path);
    if (fd >= 0)
        close(fd);
    return result;
}

static const char *canary_file(const struct target *t)
{
    char logs[PATH_MAX];

    return realpath(t->logs, logs) ? arena_printf(t->a, "%s/canary.json", logs) : NULL;
}

static int start_canary(const struct target *t)
{
    int port = (int)t->environment->target.port;
    const char *path = canary_file(t);

    if (!path)
        return fault_set(FAULT_IO, "cannot find %s", t->logs);
    if (port_choose(port) != port) {
        fault_keep("port %d, the canary's, is taken", port);
        return TARGET_FAILED;
    }
    int result = write_canary(t, path);
    if (result == 0)
        result = pm2_run(t, t->release, (const char *const[]){"pm2", "start", path, NULL}, NULL);
    unlink(path);
    return result;
}

static int roll_out(const struct target *t, const json_t *state)
{
    const char *name = canary_of(t);
    json_t *list;
    int result = name ? pm2_list(t, &list) : FAULT_MEMORY;

    if (result)
        return result;
    bool there = pm2_state_of(list, name).n > 0;
    json_decref(list);
    result = there ? 0 : start_canary(t);
    if (result == 0)
        progress_say(t->progress, "release %s runs beside as %s, on port %d", t->release, name,
                     (int)t->environment->target.port);
    return result;
}

/* Where the canary accepts connections: AF_INET, AF_INET6, or 0: nowhere. */
static int family_of(const struct target *t)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (int i = 0; i < 2; i++) {
        const struct relay_place place = {.port = (int)t->environment->target.port,
                                          .family = families[i]};
        int reason = ENOTCONN;
        socklen_t size = sizeof reason;
        struct pollfd p = {.fd = relay_connect(&place), .events = POLLOUT};
        if (p.fd < 0)
            continue;
        if (poll(&p, 1, CONNECT_MS) > 0)
            getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &reason, &size);
        close(p.fd);
        if (reason == 0)
            return families[i];
    }
    return 0;
}

/* What the canary said last, behind what is known of it. */
static void add_last_words(const struct target *t)
{
    struct buf text _cleanup_buf_ = buf_init(1 << 18);
    struct str rest, line, last = {"", 0};
    int fd = open(t->logs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    files_tail(fd, "canary-err.log", 4096, &text);
    close(fd);
    rest = buf_str(&text);
    while (str_next(&rest, '\n', &line))
        if (str_trim(line).n)
            last = str_cut(str_trim(line), LAST_LINE);
    if (last.n)
        fault_keep("%s; it said: %.*s", fault_message(), STR_ARG(last));
}

static int wait_stable(const struct target *t, const json_t *state)
{
    const char *name = canary_of(t);
    int result = name ? pm2_await(t, name, 1, t->release, watch_ms(t)) : FAULT_MEMORY;
    bool online = result == 0;

    while (result == 0 && family_of(t) == 0) {
        result = pm2_pause(t, PAUSE_MS);
        if (result == 0)
            result = pm2_await(t, name, 1, t->release, 0);
    }
    if (online && result == TARGET_TIMEOUT)
        fault_keep("release %s does not accept connections on port %d, the canary's", t->release,
                   (int)t->environment->target.port);
    if (result == TARGET_FAILED)
        add_last_words(t);
    if (result == 0)
        progress_say(t->progress, "the canary accepts connections");
    return result;
}

static int reload(const struct target *t, const char *release)
{
    const struct conf_target *c = &t->environment->target;
    const char *const argv[] = {"pm2",  "reload",       c->ecosystem, "--only",
                                c->app, "--update-env", NULL};

    return pm2_run(t, release, argv, NULL);
}

/* Of an application that PM2 does not know yet, the reload is its start. */
static int prove(const struct target *t, const json_t *state)
{
    int64_t wanted = json_integer_value(json_object_get(state, "instances"));
    const char *to;
    int result = pm2_link_for(t, t->release, &to);

    if (result == 0 && to)
        result = pm2_link_set(t, to);
    if (result == 0)
        result = reload(t, t->release);
    if (result == 0)
        result = pm2_await(t, app_of(t), wanted > 0 ? wanted : 1, t->release, watch_ms(t));
    if (result == 0)
        progress_say(t->progress, "%s runs release %s", app_of(t), t->release);
    return result;
}

/* What somebody else has put in place since is left. */
static int check_owner(const struct target *t, const struct pm2_state *s, const char *previous)
{
    if (s->n == 0 || s->mixed || strcmp(s->release, t->release) == 0 ||
        strcmp(s->release, previous) == 0)
        return 0;
    fault_keep("%s runs release %s, which was put in place since", app_of(t), s->release);
    return TARGET_FAILED;
}

/* Whether nothing of the application was touched. */
static int is_as_before(const struct target *t, const json_t *state, bool *ret)
{
    const char *then = text_of(state, "current"), *previous = text_of(state, "release"), *now;
    json_t *list;
    int result = pm2_link_now(t, &now);

    if (result == 0)
        result = pm2_list(t, &list);
    if (result)
        return result;
    const struct pm2_state s = pm2_state_of(list, app_of(t));
    *ret = !s.bad && !s.mixed && s.n >= json_integer_value(json_object_get(state, "instances")) &&
           strcmp(s.release, previous) == 0 &&
           (then == now || (then && now && strcmp(then, now) == 0));
    result = check_owner(t, &s, previous);
    json_decref(list);
    return result;
}

static int delete_app(const struct target *t, const char *name)
{
    json_t *list;
    int result = pm2_list(t, &list);

    if (result)
        return result;
    bool there = pm2_state_of(list, name).n > 0;
    json_decref(list);
    return there ? pm2_run(t, t->release, (const char *const[]){"pm2", "delete", name, NULL}, NULL)
                 : 0;
}

static int reload_previous(const struct target *t, const json_t *state)
{
    const char *previous = text_of(state, "release");
    int64_t wanted = json_integer_value(json_object_get(state, "instances"));
    int result = TARGET_FAILED;

    for (int i = 0; i < RELOADS && result == TARGET_FAILED; i++) {
        result = i ? pm2_pause(t, PAUSE_MS) : 0;
        if (result == 0)
            result = reload(t, previous);
        if (result == 0)
            result = pm2_await(t, app_of(t), wanted, previous, watch_ms(t));
    }
    if (result == 0)
        progress_say(t->progress, "%s runs release %s again", app_of(t), previous);
    return result;
}

static int roll_back(const struct target *t, const json_t *state)
{
    const char *link = text_of(state, "current");
    bool untouched = false;
    int result = is_as_before(t, state, &untouched);

    if (result || untouched)
        return result;
    if (link)
        result = pm2_link_set(t, link);
    if (result)
        return result;
    return json_is_true(json_object_get(state, "runs")) ? reload_previous(t, state)
                                                        : delete_app(t, app_of(t));
}

/* Where PM2 is to start its processes with the machine, it starts those of now. */
static int save(const struct target *t)
{
    const char *home = getenv("PM2_HOME"), *user = getenv("HOME");
    const char *dump = home ? arena_printf(t->a, "%s/dump.pm2", home)
                            : arena_printf(t->a, "%s/.pm2/dump.pm2", user ? user : "");

    if (!dump)
        return FAULT_MEMORY;
    return access(dump, F_OK)
               ? 0
               : pm2_run(t, t->release, (const char *const[]){"pm2", "save", NULL}, NULL);
}

static int clean_up(const struct target *t, const json_t *state, bool proven)
{
    const char *name = canary_of(t), *path = canary_file(t);
    int result = name ? delete_app(t, name) : FAULT_MEMORY;

    if (path)
        unlink(path); /* of one that died while it wrote it */
    return result ? result : save(t);
}

static int describe(const struct target *t, struct buf *out)
{
    const struct conf_target *c = &t->environment->target;

    buf_printf(out,
               "pm2 start one process of %s with RELEASE=%s and PORT=%d, the canary\n"
               "wait until it is online, is not started again, and accepts connections\n"
               "RELEASE=%s pm2 reload %s --only %s --update-env\n"
               "pm2 delete the canary\n",
               c->app, t->release, (int)c->port, t->release, c->ecosystem, c->app);
    return buf_fault(out);
}

static int probe_url(const struct target *t, const json_t *state, const char **ret)
{
    const char *url =
        arena_printf(t->a, "http://%s:%d%s", family_of(t) == AF_INET6 ? "[::1]" : "127.0.0.1",
                     (int)t->environment->target.port, target_health_path(t->environment));

    if (!url)
        return FAULT_MEMORY;
    *ret = url;
    return 0;
}

const struct target_kind target_pm2 = {.id = TARGET_PM2,
                                       .check = check,
                                       .snapshot = snapshot,
                                       .roll_out = roll_out,
                                       .wait_stable = wait_stable,
                                       .prove = prove,
                                       .roll_back = roll_back,
                                       .clean_up = clean_up,
                                       .describe = describe,
                                       .probe_url = probe_url};
