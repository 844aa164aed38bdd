#include "deploy/backup_tools.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/child.h"

#include <sys/stat.h>
#include <unistd.h>

enum { VERSION_MAX = 256, VERSION_MS = 20000, JOBS_MAX = 4, OWN_ENTRIES = 2, AMOUNT_EACH_MS = 200 };

/* What follows a running program: its lines, and how far its file has grown. */
struct follower {
    const struct backup_place *place;
    struct buf line;
    char error[BACKUP_LINE_MAX]; /* the first line that says what went wrong */
    int fd;
    int64_t shown_at;
};

static void take_line(struct follower *f)
{
    const char *line = buf_cstr(&f->line);

    if (!line || !*line)
        return;
    if (!*f->error && strstr(line, "error:"))
        snprintf(f->error, sizeof f->error, "%s", line);
    progress_say(f->place->progress, "%s", line);
}

static int take(void *context, const char *p, size_t n)
{
    struct follower *f = context;

    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\n') {
            if (f->line.n < f->line.max)
                buf_add_char(&f->line, p[i]);
            continue;
        }
        take_line(f);
        buf_reset(&f->line);
    }
    return 0;
}

static void tick(void *context)
{
    struct follower *f = context;
    int64_t now = clock_mono();
    struct stat st;

    if (f->fd < 0 || now - f->shown_at < AMOUNT_EACH_MS || fstat(f->fd, &st))
        return;
    f->shown_at = now;
    progress_amount(f->place->progress, st.st_size, 0);
}

static int outcome_of(int result, const struct follower *f)
{
    if (result == CHILD_CANCELLED)
        return BACKUP_CANCELLED;
    if (result == CHILD_FAILED && *f->error)
        fault_keep("%s", f->error);
    return result > 0 ? BACKUP_FAILED : result;
}

/* The URL's environment with ours over it: getenv() finds the first. */
static int environment(struct arena *a, const struct backup_place *place, const char *database,
                       const char *const **ret)
{
    const char *const *url, **all;
    size_t n = 0;
    const char *admin = place->admin_url && database ? place->admin_url : place->url;
    int r = pg_environment(a, admin, database, &url);

    if (r)
        return r > 0 ? BACKUP_FAILED : r;
    while (url[n])
        n++;
    all = arena_array(a, n + OWN_ENTRIES, sizeof *all);
    if (!all)
        return FAULT_MEMORY;
    all[0] = "PGAPPNAME=holdfast backup";
    for (size_t i = 0; i < n; i++)
        all[1 + i] = url[i];
    *ret = all;
    return 0;
}

static int run(struct follower *f, const char *const *argv, const char *const *environment)
{
    struct child child = {.argv = argv,
                          .environment = environment,
                          .err = take,
                          .out = f->fd < 0 ? take : NULL,
                          .out_fd = f->fd < 0 ? 0 : f->fd,
                          .tick = tick,
                          .context = f,
                          .cancel = f->place->cancel};
    int r;

    f->line = buf_init(BACKUP_LINE_MAX);
    r = child_run(&child, NULL);
    take_line(f);
    buf_free(&f->line);
    return outcome_of(r, f);
}

int backup_tool_version(const struct backup_place *place, const char *program, struct arena *a,
                        const char **ret_text, int *ret_major)
{
    struct buf said _cleanup_buf_ = buf_init(VERSION_MAX);
    struct child child = {.argv = (const char *const[]){program, "--version", NULL},
                          .out = child_into_buf,
                          .context = &said,
                          .timeout_ms = VERSION_MS,
                          .cancel = place->cancel};
    int r = child_run(&child, NULL);

    if (r)
        return r == CHILD_CANCELLED ? BACKUP_CANCELLED : r > 0 ? BACKUP_FAILED : r;
    struct str text = buf_str(&said);
    text.n = str_find(text, '\n');
    const char *copy = arena_str(a, text).p, *number = copy ? strchr(copy, ')') : NULL;
    if (!copy)
        return FAULT_MEMORY;
    if (!number)
        number = copy;
    long major = strtol(number + strcspn(number, "0123456789"), NULL, 10);
    if (major < 8 || major > 1000) {
        fault_keep("%s says \"%.100s\" for its version, which is none", program, copy);
        return BACKUP_FAILED;
    }
    *ret_text = copy;
    *ret_major = (int)major;
    return 0;
}

int backup_tool_check(const struct backup_place *place, struct pg *server, struct arena *a,
                      const char **ret_text)
{
    int major, of_server = pg_server_version(server) / 10000;
    const char *text;
    int r = backup_tool_version(place, "pg_dump", a, &text, &major);

    if (r)
        return r;
    if (major < of_server) {
        fault_keep("%s is older than the server, which is PostgreSQL %d.%d: it cannot back it up; "
                   "put a pg_dump of version %d or later first in PATH",
                   text, of_server, pg_server_version(server) % 10000, of_server);
        return BACKUP_FAILED;
    }
    *ret_text = text;
    return 0;
}

int backup_tool_dump(const struct backup_place *place, const char *snapshot, int fd,
                     struct arena *a)
{
    struct follower f = {.place = place, .fd = fd};
    const char *const *env;
    const char *of = arena_printf(a, "--snapshot=%s", snapshot);
    const char *wait = arena_printf(a, "--lock-wait-timeout=%d", BACKUP_LOCK_WAIT_MS);
    const char *const argv[] = {
        "pg_dump", "--format=custom", "--compress=1", "--no-password", wait, of, NULL};
    int r = of && wait ? environment(a, place, NULL, &env) : FAULT_MEMORY;

    return r ? r : run(&f, argv, env);
}

/* A name as a value of a connection string. */
static const char *database_argument(struct arena *a, const char *name)
{
    struct buf b _cleanup_buf_ = buf_init(BACKUP_LINE_MAX);

    buf_add_str(&b, STR("--dbname=dbname='"));
    for (; *name; name++) {
        if (*name == '\'' || *name == '\\')
            buf_add_char(&b, '\\');
        buf_add_char(&b, *name);
    }
    buf_add_char(&b, '\'');
    return buf_fault(&b) ? NULL : arena_str(a, buf_str(&b)).p;
}

int backup_tool_restore(const struct backup_place *place, const char *database, const char *path,
                        bool scratch, struct arena *a)
{
    struct follower f = {.place = place, .fd = -1};
    const char *const *env;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const char *into = database_argument(a, database);
    const char *jobs = arena_printf(a, "--jobs=%ld", cores < JOBS_MAX ? cores : JOBS_MAX);
    const char *file = arena_printf(a, "%s%s", *path == '-' ? "./" : "", path);
    const char *const argv[] = {"pg_restore", "--exit-on-error", "--no-password", jobs, into, file,
                                /* What would connect to a publisher has no place in a trial. */
                                scratch ? "--no-subscriptions" : NULL, NULL};
    int r = into && jobs && file ? environment(a, place, database, &env) : FAULT_MEMORY;

    return r ? r : run(&f, argv, env);
}
