#include "store/sqlite.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Creates what is missing of the path's directories, for the owner alone. */
static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
        *slash = '/';
        if (failed)
            return fault_errno(FAULT_IO, failed, "the directory of %s", path);
    }
    return 0;
}

/* SQLite gives its journals the mode of the file. */
static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "%s", path);
    close(fd);
    return 0;
}

static void configure(void)
{
    /* Its statistics cost a process-wide lock at each allocation; nobody reads them. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    /*
     * What a statement or a job may have to undo is in memory up to so many bytes, and then goes to
     * a file in pieces of that size. SQLite writes no piece of 128 KiB or more: it takes the length
     * modulo that, and reports a full disk where nothing is left.
     */
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, 128 * 1024 - 1);
}

static char *path_of(const char *url)
{
    const char *path = url + strlen("sqlite:");
    char *copy;

    /* With a directory in front no name has a special meaning. */
    if (asprintf(&copy, "%s%s", *path == '/' ? "" : "./", path) < 0)
        return NULL;
    return copy;
}

static int open_writer(struct sqlite_store *s)
{
    struct sqlite_conn *c;
    int r = make_directories(s->path);

    if (r == 0)
        r = make_file(s->path);
    if (r == 0)
        r = sqlite_conn_open(s->path, true, &c);
    if (r != 0)
        return r;
    r = sqlite_writer_start(&s->writer, &s->base, c);
    if (r != 0)
        sqlite_conn_close(c);
    return r;
}

static void init_lock(struct sqlite_store *s)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->returned, &attr);
    pthread_condattr_destroy(&attr);
}

static void release(struct sqlite_store *s)
{
    pthread_cond_destroy(&s->returned);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

static int sqlite_open(const struct store_options *options, struct store **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sqlite_store *s = calloc(1, sizeof *s);

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the store");
    pthread_once(&once, configure);
    s->base = (struct store){.driver = &store_sqlite,
                             .pool = options->pool,
                             .timeout_ms = options->timeout_ms,
                             .open = 1};
    init_lock(s);
    s->path = path_of(options->url);
    int r = s->path ? open_writer(s) : fault_set(FAULT_MEMORY, "no memory for the store");
    if (r != 0) {
        release(s);
        return r;
    }
    *ret = &s->base;
    return 0;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *s = (struct sqlite_store *)base;

    pthread_mutex_lock(&s->lock);
    while (s->borrowed)
        pthread_cond_wait(&s->returned, &s->lock);
    pthread_mutex_unlock(&s->lock);
    while (s->idle) {
        struct sqlite_conn *c = s->idle;
        s->idle = c->next;
        sqlite_conn_close(c);
    }
    /* The last one to close folds the journal into the file. */
    sqlite_writer_stop(&s->writer);
    release(s);
}

/* An idle reader, or NULL for leave to open one; FAULT_UNAVAILABLE when none came back in time. */
static int reserve(struct sqlite_store *s, struct sqlite_conn **ret)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += s->base.timeout_ms / 1000;
    until.tv_nsec += s->base.timeout_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&s->lock);
    while (!s->idle && s->opened >= s->base.pool && error == 0)
        error = pthread_cond_timedwait(&s->returned, &s->lock, &until);
    struct sqlite_conn *c = s->idle;
    bool granted = c || s->opened < s->base.pool;
    if (c)
        s->idle = c->next;
    else
        s->opened += granted;
    s->borrowed += granted;
    pthread_mutex_unlock(&s->lock);
    if (!granted)
        return fault_set(FAULT_UNAVAILABLE, "all %d readers are busy", s->base.pool);
    *ret = c;
    return 0;
}

/* Gives a reader back; NULL is the leave to open one. */
static void give_back(struct sqlite_store *s, struct sqlite_conn *c)
{
    pthread_mutex_lock(&s->lock);
    if (c) {
        c->next = s->idle;
        s->idle = c;
    } else {
        s->opened--;
    }
    s->borrowed--;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub_explicit(&s->base.busy, 1, memory_order_relaxed);
}

static int borrow(struct sqlite_store *s, struct sqlite_conn **ret)
{
    struct sqlite_conn *c;
    int r = reserve(s, &c);

    if (r != 0)
        return r;
    atomic_fetch_add_explicit(&s->base.busy, 1, memory_order_relaxed);
    if (!c) {
        r = sqlite_conn_open(s->path, false, &c);
        if (r != 0) {
            give_back(s, NULL);
            return r;
        }
        atomic_fetch_add_explicit(&s->base.open, 1, memory_order_relaxed);
    }
    *ret = c;
    return 0;
}

/* Ends a reading transaction whatever came of it; a connection that cannot is closed. */
static struct sqlite_conn *end_read(struct sqlite_store *s, struct sqlite_conn *c)
{
    char why[STORE_MESSAGE_MAX];

    snprintf(why, sizeof why, "%s", fault_message());
    int r = sqlite_bulk_clear(c);
    if (!sqlite3_get_autocommit(c->db))
        r = sqlite_conn_run(c, r == 0 ? "COMMIT" : "ROLLBACK");
    if (r != 0 || !sqlite3_get_autocommit(c->db)) {
        sqlite_conn_close(c);
        atomic_fetch_sub_explicit(&s->base.open, 1, memory_order_relaxed);
        c = NULL;
    }
    fault_set(FAULT_INTERNAL, "%s", why);
    return c;
}

static int sqlite_read(struct store *base, store_job *job, void *arg)
{
    struct sqlite_store *s = (struct sqlite_store *)base;
    struct sqlite_txn t = {.base = {.store = base}};
    int r = borrow(s, &t.conn);

    if (r != 0)
        return r;
    r = sqlite_conn_run(t.conn, "BEGIN");
    if (r == 0)
        r = store_call_job(&t.base, job, arg);
    give_back(s, end_read(s, t.conn));
    return r;
}

static int sqlite_write(struct store *base, store_job *job, void *arg)
{
    return sqlite_writer_job(&((struct sqlite_store *)base)->writer, job, arg);
}

static int sqlite_run(struct store *base, const struct store_call *call, int64_t *ret_changed)
{
    return sqlite_writer_call(&((struct sqlite_store *)base)->writer, call, ret_changed);
}

static int sqlite_exec_in(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    return sqlite_exec_on(((struct sqlite_txn *)t)->conn, call, ret_changed);
}

static int sqlite_script(struct store_txn *t, const char *sql)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    t->failed = rc == SQLITE_OK ? 0 : sqlite_failure(c, rc, "");
    return t->failed;
}

/* The writer's transaction keeps all other writers out, and each commit wakes by itself. */
static int sqlite_lock(struct store_txn *t, int64_t number)
{
    return 0;
}

static int sqlite_no_op(struct store_txn *t)
{
    return 0;
}

const struct store_driver store_sqlite = {
    .name = "sqlite",
    /* Without AUTOINCREMENT the numbers of deleted rows would come again. */
    .serial = "INTEGER PRIMARY KEY AUTOINCREMENT",
    .open = sqlite_open,
    .close = sqlite_close,
    .read = sqlite_read,
    .write = sqlite_write,
    .run = sqlite_run,
    .exec = sqlite_exec_in,
    .query = sqlite_query,
    .script = sqlite_script,
    .lock = sqlite_lock,
    .wake = sqlite_no_op,
    .migrating = sqlite_no_op,
    .bulk = sqlite_bulk,
    .bulk_rows = sqlite_bulk_rows,
    .add = sqlite_add,
    .look_up = sqlite_look_up,
    .rows_next = sqlite_rows_next,
    .rows_free = sqlite_rows_free,
    .col_is_null = sqlite_col_is_null,
    .col_int = sqlite_col_int,
    .col_bytes = sqlite_col_bytes,
    .watch_open = sqlite_watch_open,
    .watch_close = sqlite_watch_close,
    .watch_wait = sqlite_watch_wait,
};
