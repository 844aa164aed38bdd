#include "store/store.h"

#include "base/clock.h"
#include "base/fault.h"
#include "store/internal.h"

#include <sys/eventfd.h>
#include <unistd.h>

static const struct store_driver *driver_of(const char *url)
{
    struct str s = str_of(url);

    if (str_has_prefix(s, STR("sqlite:")) && s.n > strlen("sqlite:"))
        return &store_sqlite;
    if (str_has_prefix(s, STR("postgresql://")) || str_has_prefix(s, STR("postgres://")))
        return &store_postgres;
    return NULL;
}

int store_open_schema(const struct store_options *options, const struct store_schema *schema,
                      struct store **ret)
{
    const struct store_driver *driver = driver_of(options->url);
    struct store *s;
    int r;

    /* The URL may hold a password, so it is not repeated. */
    if (!driver)
        return fault_set(FAULT_STORE, "the database URL is neither sqlite:PATH nor postgresql://");
    if (options->pool < 1 || options->timeout_ms < 1)
        return fault_set(FAULT_INTERNAL, "the store needs a pool and a timeout");
    r = driver->open(options, &s);
    if (r != 0)
        return r;
    r = store_migrate(s, schema);
    if (r != 0) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

int store_open(const struct store_options *options, struct store **ret)
{
    struct store_schema schema = {store_migrations, store_migrations_count};

    return store_open_schema(options, &schema, ret);
}

void store_close(struct store *s)
{
    if (s)
        s->driver->close(s);
}

const char *store_engine(const struct store *s)
{
    return s->driver->name;
}

bool store_writes_in_parallel(const struct store *s)
{
    return s->driver->parallel;
}

int store_schema_version(const struct store *s)
{
    return s->schema_version;
}

static _Thread_local bool inside_job;

int store_call_job(struct store_txn *t, store_job *job, void *arg)
{
    inside_job = true;
    int r = job(t, arg);
    inside_job = false;
    return r == 0 ? t->failed : r;
}

/* A job that waits for a second connection, or for the writer it runs on, could wait for ever. */
static int refuse_nesting(void)
{
    return inside_job ? fault_set(FAULT_INTERNAL, "a store job began another one") : 0;
}

/* PostgreSQL refuses such text; so that a mistake shows on either engine, both do. */
static int check_params(const struct store_param *params, size_t n)
{
    if (n > STORE_PARAMS_MAX)
        return fault_set(FAULT_STORE, "%zu parameters, %d at most", n, STORE_PARAMS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct str s = params[i].s;
        if (params[i].type != STORE_TEXT || s.n == 0)
            continue;
        if (memchr(s.p, 0, s.n) || !str_is_utf8(s))
            return fault_set(FAULT_STORE, "parameter $%zu is no text in UTF-8", i + 1);
    }
    return 0;
}

static int finish(struct store *s, struct metric_histogram *h, int64_t begun, int r)
{
    metric_observe_us(h, clock_mono_us() - begun);
    if (r < 0)
        atomic_fetch_add_explicit(&s->errors, 1, memory_order_relaxed);
    return r;
}

int store_read(struct store *s, store_job *job, void *arg)
{
    int64_t begun = clock_mono_us();
    int r = refuse_nesting();

    return finish(s, &s->read, begun, r != 0 ? r : s->driver->read(s, job, arg));
}

int store_write(struct store *s, store_job *job, void *arg)
{
    int64_t begun = clock_mono_us();
    int r = refuse_nesting();

    return finish(s, &s->write, begun, r != 0 ? r : s->driver->write(s, job, arg));
}

int store_run(struct store *s, const char *sql, int64_t *ret_changed,
              const struct store_param *params, size_t n)
{
    struct store_call call = {sql, params, n};
    int64_t begun = clock_mono_us(), changed = 0;
    int r = refuse_nesting();

    if (r == 0)
        r = check_params(params, n);
    if (r == 0)
        r = s->driver->run(s, &call, &changed);
    if (r == 0 && ret_changed)
        *ret_changed = changed;
    return finish(s, &s->write, begun, r);
}

static int ping_job(struct store_txn *t, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL;

    return store_query(t, "SELECT COUNT(*) FROM schema_migrations", &rows, NO_PARAMS);
}

int store_ping(struct store *s)
{
    int r = store_read(s, ping_job, NULL);

    return r == 0 || r == FAULT_UNAVAILABLE ? r : (int)FAULT_UNAVAILABLE;
}

struct finding {
    const struct store_call *call;
    store_reader *reader;
    void *arg;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, f->call->sql, &rows, f->call->params, f->call->n);

    return r ? r : f->reader(rows, f->arg);
}

int store_find(struct store *s, const char *sql, store_reader *reader, void *arg,
               const struct store_param *params, size_t n)
{
    struct store_call call = {sql, params, n};
    struct finding f = {&call, reader, arg};
    int64_t begun = clock_mono_us();
    int r = refuse_nesting();

    if (r == 0)
        r = check_params(params, n);
    if (r == 0)
        r = s->driver->find ? s->driver->find(s, &call, reader, arg)
                            : s->driver->read(s, find_job, &f);
    return finish(s, &s->read, begun, r);
}

int store_exec(struct store_txn *t, const char *sql, int64_t *ret_changed,
               const struct store_param *params, size_t n)
{
    struct store_call call = {sql, params, n};
    int64_t changed = 0;

    if (t->failed)
        return t->failed;
    int r = check_params(params, n);
    if (r == 0)
        r = t->store->driver->exec(t, &call, &changed);
    if (r == 0 && ret_changed)
        *ret_changed = changed;
    t->failed = r;
    return r;
}

int store_add(struct store_txn *t, const struct store_addition *rows)
{
    struct store_param params[STORE_PARAMS_MAX];
    int r = t->failed;

    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        rows->put(rows->rows, i, params);
        r = check_params(params, rows->columns);
    }
    if (r == 0 && rows->n)
        r = t->store->driver->add(t, rows);
    return t->failed = r;
}

int store_look_up(struct store_txn *t)
{
    if (!t->failed)
        t->failed = t->store->driver->look_up(t);
    return t->failed;
}

int store_query(struct store_txn *t, const char *sql, struct store_rows **ret_rows,
                const struct store_param *params, size_t n)
{
    struct store_call call = {sql, params, n};

    if (t->failed)
        return t->failed;
    int r = check_params(params, n);
    if (r == 0)
        r = t->store->driver->query(t, &call, ret_rows);
    t->failed = r;
    return r;
}

int store_number(struct store_txn *t, const char *sql, int64_t *ret,
                 const struct store_param *params, size_t n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, sql, &rows, params, n);

    if (r != 0)
        return r;
    r = store_rows_next(rows);
    if (r < 0)
        return r;
    *ret = r > 0 ? store_col_int(rows, 0) : 0;
    return 0;
}

int store_lock(struct store_txn *t, enum store_lock_number number)
{
    if (t->failed)
        return t->failed;
    if (t->locks & 1U << number)
        return 0;
    t->failed = t->writing ? t->store->driver->lock(t, number)
                           : fault_set(FAULT_INTERNAL, "store_lock in a reading job");
    if (t->failed == 0)
        t->locks |= 1U << number;
    return t->failed;
}

int store_wake(struct store_txn *t)
{
    if (t->failed)
        return t->failed;
    t->failed = t->writing ? t->store->driver->wake(t)
                           : fault_set(FAULT_INTERNAL, "store_wake in a reading job");
    return t->failed;
}

int store_rows_next(struct store_rows *rows)
{
    struct store_txn *t = rows->txn;
    int r = t->store->driver->rows_next(rows);

    if (r < 0)
        t->failed = r;
    return r;
}

void store_rows_free(struct store_rows *rows)
{
    if (rows)
        rows->txn->store->driver->rows_free(rows);
}

void store_rows_cleanup(struct store_rows **rows)
{
    store_rows_free(*rows);
}

bool store_col_is_null(struct store_rows *rows, int column)
{
    return rows->txn->store->driver->col_is_null(rows, column);
}

int64_t store_col_int(struct store_rows *rows, int column)
{
    return rows->txn->store->driver->col_int(rows, column);
}

struct str store_col_text(struct store_rows *rows, int column)
{
    return rows->txn->store->driver->col_bytes(rows, column, true);
}

struct str store_col_blob(struct store_rows *rows, int column)
{
    return rows->txn->store->driver->col_bytes(rows, column, false);
}

struct uuid store_col_id(struct store_rows *rows, int column)
{
    struct str s = store_col_blob(rows, column);
    struct uuid u = {{0}};

    if (s.n == sizeof u.b)
        memcpy(u.b, s.p, sizeof u.b);
    return u;
}

int store_watch_open(struct store *s, struct store_watch **ret)
{
    struct store_watch *w;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return fault_set(FAULT_IO, "no descriptor to watch the store with");
    int r = s->driver->watch_open(s, &w);
    if (r != 0) {
        close(fd);
        return r;
    }
    w->driver = s->driver;
    w->stop_fd = fd;
    *ret = w;
    return 0;
}

void store_watch_close(struct store_watch *w)
{
    if (!w)
        return;
    close(w->stop_fd);
    w->driver->watch_close(w);
}

void store_watch_stop(struct store_watch *w)
{
    /* It fails only when the counter is full, and then the watch is stopped already. */
    (void)!eventfd_write(w->stop_fd, 1);
}

int store_watch_wait(struct store_watch *w, int timeout_ms)
{
    return w->driver->watch_wait(w, timeout_ms);
}

void store_stats(struct store *s, struct store_stats *ret)
{
    *ret = (struct store_stats){
        .read = &s->read,
        .write = &s->write,
        .writes_waiting = atomic_load_explicit(&s->waiting, memory_order_relaxed),
        .connections_busy = atomic_load_explicit(&s->busy, memory_order_relaxed),
        .connections_open = atomic_load_explicit(&s->open, memory_order_relaxed),
        .errors = atomic_load_explicit(&s->errors, memory_order_relaxed),
    };
}
