#include "deploy/lock.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/pg.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { HOLDER_SIZE = 200, NAME_SIZE = 64, KEY_SIZE = 400, PATH_SIZE = 4096, STATEMENT_MS = 10000 };

struct deploy_lock {
    const struct conf_environment *environment;
    int fd;
    struct pg *pg;        /* NULL: there is no such database, or it was lost */
    bool held;            /* over pg */
    char key[KEY_SIZE];   /* what the advisory lock is made of */
    char name[NAME_SIZE]; /* as others see the connection; PostgreSQL cuts it at 63 bytes */
    char id[NAME_SIZE];
};

bool deploy_on_postgres(const struct conf_environment *e)
{
    struct str url = str_of(e->database.url);

    return str_has_prefix(url, STR("postgresql://")) || str_has_prefix(url, STR("postgres://"));
}

void deploy_admin_place(const struct conf_environment *e, const char **ret_url,
                        const char **ret_database)
{
    *ret_url = e->database.admin_url ? e->database.admin_url : e->database.url;
    *ret_database = e->database.admin_url ? NULL : "postgres";
}

/* "ann@laptop" */
static void who(char ret[HOLDER_SIZE])
{
    char host[65] = "";
    const struct passwd *entry = getpwuid(getuid());

    gethostname(host, sizeof host - 1);
    snprintf(ret, HOLDER_SIZE, "%.60s@%s", entry ? entry->pw_name : "nobody", host);
}

static int refuse(const char *holder)
{
    fault_keep("another deployment is under way: %s", holder);
    return DEPLOY_LOCK_HELD;
}

/* Who wrote the lock file, which they hold. */
static int refuse_for_file(int fd)
{
    char holder[HOLDER_SIZE] = "";
    ssize_t n = pread(fd, holder, sizeof holder - 1, 0);

    holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
    return refuse(*holder ? holder : "its holder has just begun");
}

static int write_holder(int fd, const char *id)
{
    char name[HOLDER_SIZE], now[CLOCK_TEXT_SIZE], text[2 * HOLDER_SIZE];

    who(name);
    clock_format(clock_now(), now);
    int n = snprintf(text, sizeof text, "%.8s by %s since %s (process %ld)\n", id, name, now,
                     (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n)
        return fault_errno(FAULT_IO, errno, "cannot write the lock file");
    return 0;
}

static int take_file(struct deploy_lock *l, const char *directory)
{
    char path[PATH_SIZE];

    if ((size_t)snprintf(path, sizeof path, "%s/%s.lock", directory, l->environment->name) >=
        sizeof path)
        return fault_set(FAULT_LIMIT, "the path of the lock file is too long");
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->fd < 0)
        return fault_errno(FAULT_IO, errno, "cannot open %s", path);
    if (flock(l->fd, LOCK_EX | LOCK_NB) == 0)
        return write_holder(l->fd, l->id);
    return errno == EWOULDBLOCK ? refuse_for_file(l->fd)
                                : fault_errno(FAULT_IO, errno, "cannot lock %s", path);
}

static int outcome_of(int pg_outcome)
{
    return pg_outcome > 0 ? DEPLOY_LOCK_UNREACHABLE : pg_outcome;
}

static const char take_sql[] = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
static const char holder_sql[] =
    "SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC',"
    " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), coalesce(host(a.client_addr), 'local')"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended($1, 0)";

static int refuse_for_session(struct deploy_lock *l)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {l->key};
    char holder[HOLDER_SIZE] = "its holder has just ended";
    int result = pg_query(l->pg, holder_sql, params, 1, &rows);

    if (result)
        return outcome_of(result);
    if (pg_rows_count(rows) > 0)
        snprintf(holder, sizeof holder, "%.64s since %.32s, from %.48s", pg_text(rows, 0, 0),
                 pg_text(rows, 0, 1), pg_text(rows, 0, 2));
    return refuse(holder);
}

/* Connects to the maintenance database, or to the product's own where that one is closed to us. */
static int connect_somewhere(struct deploy_lock *l)
{
    /* What ends the deployment does not end its lock: going back needs it. */
    struct pg_options o = {.name = l->name, .statement_ms = STATEMENT_MS};
    int result;

    deploy_admin_place(l->environment, &o.url, &o.database);
    result = pg_open(&o, &l->pg);
    if (result != PG_REFUSED)
        return result;
    o.url = l->environment->database.url;
    o.database = NULL;
    return pg_open(&o, &l->pg);
}

static int take_session(struct deploy_lock *l)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {l->key};
    int result = connect_somewhere(l);

    if (result == 0)
        result = pg_query(l->pg, take_sql, params, 1, &rows);
    if (result)
        return outcome_of(result);
    l->held = strcmp(pg_text(rows, 0, 0), "t") == 0;
    return l->held ? 0 : refuse_for_session(l);
}

/* The key is the product's database and the environment: whoever deploys either waits. */
static int prepare_session(struct deploy_lock *l)
{
    struct arena a _cleanup_arena_ = arena_init(1 << 16);
    const char *database;
    char holder[HOLDER_SIZE];
    int result = pg_database_name(&a, l->environment->database.url, &database);

    if (result)
        return outcome_of(result);
    who(holder);
    snprintf(l->key, sizeof l->key, "holdfast deploy of %.64s to %.128s", l->environment->name,
             database);
    snprintf(l->name, sizeof l->name, "holdfast %.8s %.45s", l->id, holder);
    return take_session(l);
}

int deploy_lock_take(const struct conf_environment *e, const char *directory, const char *id,
                     struct deploy_lock **ret)
{
    struct deploy_lock *l = calloc(1, sizeof *l);
    int result;

    if (!l)
        return fault_set(FAULT_MEMORY, "no memory for the lock");
    *l = (struct deploy_lock){.environment = e, .fd = -1};
    snprintf(l->id, sizeof l->id, "%s", id);
    result = take_file(l, directory);
    if (result == 0 && deploy_on_postgres(e))
        result = prepare_session(l);
    if (result) {
        deploy_lock_release(l);
        return result;
    }
    *ret = l;
    return 0;
}

int deploy_lock_check(struct deploy_lock *l)
{
    if (!deploy_on_postgres(l->environment))
        return 0;
    int result = l->held ? pg_run(l->pg, "SELECT 1") : PG_UNREACHABLE;
    if (result != PG_UNREACHABLE)
        return outcome_of(result);
    pg_close(l->pg);
    l->pg = NULL;
    l->held = false;
    return take_session(l);
}

void deploy_lock_release(struct deploy_lock *l)
{
    if (!l)
        return;
    pg_close(l->pg);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}
