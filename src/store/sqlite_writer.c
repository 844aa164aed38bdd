/*
 * One thread writes. It takes whatever is queued, runs each job in a savepoint of one
 * transaction, and commits them together, so that a single flush to disk serves all who wait.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "store/sqlite.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>

/* Lies on its caller's stack until done is posted. */
struct sqlite_job {
    store_job *job; /* or NULL, and then call */
    void *arg;
    const struct store_call *call;
    int64_t until; /* monotonic ms; call is not run past it */
    int64_t changed;
    int result;
    char message[STORE_MESSAGE_MAX];
    sem_t done;
    struct sqlite_job *next;
};

static struct sqlite_job *take_queued(struct sqlite_writer *w, bool wait)
{
    pthread_mutex_lock(&w->lock);
    while (wait && !w->first && !w->stopping)
        pthread_cond_wait(&w->arrived, &w->lock);
    struct sqlite_job *list = w->first;
    w->first = NULL;
    w->end = &w->first;
    pthread_mutex_unlock(&w->lock);
    return list;
}

static void set_result(struct sqlite_job *j, int r)
{
    j->result = r;
    if (r < 0)
        snprintf(j->message, sizeof j->message, "%s", fault_message());
}

/* A fault keeps its message while what failed is undone. */
static int undo(struct sqlite_conn *c, const char *sql, int r)
{
    char why[STORE_MESSAGE_MAX];

    snprintf(why, sizeof why, "%s", fault_message());
    sqlite_conn_run(c, sql);
    return r < 0 ? fault_set((enum fault)r, "%s", why) : r;
}

static int run_in_savepoint(struct sqlite_writer *w, struct sqlite_job *j)
{
    struct sqlite_txn t = {.base = {.store = w->store, .writing = true}, .conn = w->conn};
    int r = sqlite_conn_run(w->conn, "SAVEPOINT job");

    if (r != 0)
        return r;
    r = store_call_job(&t.base, j->job, j->arg);
    if (r == 0)
        r = sqlite_bulk_clear(w->conn);
    w->conn->bulk = false;
    sqlite_rows_clear(w->conn, false);
    if (r != 0 && !sqlite3_get_autocommit(w->conn->db))
        r = undo(w->conn, "ROLLBACK TO job", r);
    if (!sqlite3_get_autocommit(w->conn->db)) {
        int released = sqlite_conn_run(w->conn, "RELEASE job");
        r = r != 0 ? r : released;
    }
    return r;
}

/* One statement undoes itself when it fails; it needs no savepoint. */
static int run_call(struct sqlite_writer *w, struct sqlite_job *j)
{
    if (clock_mono() > j->until)
        return fault_set(FAULT_UNAVAILABLE, "sqlite: the writer was not free in time");
    return sqlite_exec_on(w->conn, j->call, &j->changed);
}

static void run_one(struct sqlite_writer *w, struct sqlite_job *j)
{
    set_result(j, j->job ? run_in_savepoint(w, j) : run_call(w, j));
}

/* Those that succeeded share the fate of the commit. */
static void finish(struct sqlite_writer *w, struct sqlite_job *list, int commit)
{
    while (list) {
        struct sqlite_job *next = list->next; /* the job is gone once it is posted */
        if (list->result == 0 && commit != 0)
            set_result(list, commit);
        atomic_fetch_sub_explicit(&w->store->waiting, 1, memory_order_relaxed);
        sem_post(&list->done);
        list = next;
    }
}

static int commit(struct sqlite_conn *c)
{
    /* SQLite gives a transaction up by itself when the disk is full, say; nothing is left then. */
    if (sqlite3_get_autocommit(c->db))
        return fault_set(FAULT_IO, "sqlite gave the transaction up");
    int r = sqlite_conn_run(c, "COMMIT");
    if (r != 0 && !sqlite3_get_autocommit(c->db))
        r = undo(c, "ROLLBACK", r);
    return r > 0 ? fault_set(FAULT_STORE, "a conflict at the commit") : r;
}

/* Runs jobs of *list and further ones that arrive meanwhile; leaves in *list what it did not. */
static void run_batch(struct sqlite_writer *w, struct sqlite_job **list)
{
    int64_t begun = clock_mono_us();
    struct sqlite_job *done = NULL, **end = &done;
    int r = sqlite_conn_run(w->conn, "BEGIN IMMEDIATE");

    if (r != 0) {
        for (struct sqlite_job *j = *list; j; j = j->next)
            set_result(j, r);
        done = *list;
        *list = NULL;
        finish(w, done, r);
        return;
    }
    for (int n = 1; *list && !sqlite3_get_autocommit(w->conn->db); n++) {
        struct sqlite_job *j = *list;
        *list = j->next;
        j->next = NULL;
        run_one(w, j);
        *end = j;
        end = &j->next;
        if (!*list && n < SQLITE_BATCH_MAX && clock_mono_us() - begun < SQLITE_BATCH_US)
            *list = take_queued(w, false);
    }
    finish(w, done, commit(w->conn));
}

static void *writer_main(void *arg)
{
    struct sqlite_writer *w = arg;
    struct sqlite_job *list;

    while ((list = take_queued(w, true)) != NULL)
        while (list)
            run_batch(w, &list);
    return NULL;
}

static int submit(struct sqlite_writer *w, struct sqlite_job *j)
{
    if (sem_init(&j->done, 0, 0) != 0)
        return fault_errno(FAULT_INTERNAL, errno, "sem_init");
    atomic_fetch_add_explicit(&w->store->waiting, 1, memory_order_relaxed);
    pthread_mutex_lock(&w->lock);
    bool idle = !w->first;
    *w->end = j;
    w->end = &j->next;
    if (idle)
        pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->lock);
    while (sem_wait(&j->done) != 0)
        ;
    sem_destroy(&j->done);
    return j->result < 0 ? fault_set((enum fault)j->result, "%s", j->message) : j->result;
}

int sqlite_writer_job(struct sqlite_writer *w, store_job *job, void *arg)
{
    struct sqlite_job j = {.job = job, .arg = arg};

    return submit(w, &j);
}

int sqlite_writer_call(struct sqlite_writer *w, const struct store_call *call, int64_t *ret_changed)
{
    struct sqlite_job j = {.call = call, .until = clock_mono() + STORE_SINGLE_MS};
    int r = submit(w, &j);

    if (r == 0)
        *ret_changed = j.changed;
    return r;
}

int sqlite_writer_start(struct sqlite_writer *w, struct store *s, struct sqlite_conn *c)
{
    sigset_t all, before;

    *w = (struct sqlite_writer){.store = s, .conn = c, .end = &w->first};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->arrived, NULL);
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, writer_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return 0;
    pthread_cond_destroy(&w->arrived);
    pthread_mutex_destroy(&w->lock);
    return fault_errno(FAULT_INTERNAL, error, "the writer thread");
}

void sqlite_writer_stop(struct sqlite_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->arrived);
    pthread_mutex_destroy(&w->lock);
    sqlite_conn_close(w->conn);
}
