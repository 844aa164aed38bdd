/* Processes that die, files and servers that are shared, and servers that go away. */
#include "store/fixture.h"

#include "base/clock.h"
#include "store/internal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char insert_log[] = "INSERT INTO log (n) VALUES ($1)";

static char self[512];

/* Starts this program as another process: "PROGRAM MODE URL", writing to *ret_fd. */
static pid_t start_child(const char *mode, const char *url, int *ret_fd)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl(self, self, mode, url, NULL);
        _exit(127);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static int wait_child(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* From the server's start to the first success: a start, and a pause between two tries. */
enum { PG_RECOVERY_MS = 2000 };

enum { CHILD_THREADS = 8, CHILD_ROWS = 300, ACKNOWLEDGED_MIN = 200 };

static struct store *child_store;
static _Atomic int64_t child_next;

static void report(int64_t n)
{
    if (write(STDOUT_FILENO, &n, sizeof n) != sizeof n)
        _exit(4);
}

/* Reports each number when, and only when, its row is acknowledged. */
static void *endless_writer(void *arg)
{
    for (;;) {
        int64_t n = atomic_fetch_add(&child_next, 1);
        if (store_run(child_store, insert_log, NULL, PARAMS(P_INT(n))) != 0)
            _exit(3);
        report(n);
    }
    return NULL;
}

static int wake_job(struct store_txn *t, void *arg)
{
    int r = store_exec(t, insert_log, NULL, PARAMS(P_INT(-7)));

    return r == 0 ? store_wake(t) : r;
}

static int child_main(const char *mode, const char *url)
{
    struct store_options o = {.url = url, .pool = CHILD_THREADS, .timeout_ms = 5000};
    pthread_t thread;

    if (store_open_schema(&o, &fixture_schema, &child_store) != 0)
        return 2;
    if (strcmp(mode, "endless") == 0) {
        for (int i = 0; i < CHILD_THREADS; i++)
            if (pthread_create(&thread, NULL, endless_writer, NULL) != 0)
                return 2;
        pause();
    } else if (strcmp(mode, "rows") == 0) {
        for (int64_t n = 0; n < CHILD_ROWS; n++)
            if (store_run(child_store, insert_log, NULL, PARAMS(P_INT(n))) != 0)
                return 3;
    } else if (strcmp(mode, "wake") == 0) {
        if (store_write(child_store, wake_job, NULL) != 0)
            return 3;
    }
    store_close(child_store);
    return 0;
}

/* What was acknowledged before the process was killed is there afterwards. */
static void test_acknowledged_rows_outlive_the_process(void **state)
{
    struct fixture *f = *state;
    char sql[80];
    int64_t n;
    int fd, killed = 0, reported = 0;
    pid_t pid = start_child("endless", f->url, &fd);
    int64_t *seen = calloc(1 << 20, sizeof *seen);

    assert_non_null(seen);
    while (reported < 1 << 20 && read(fd, &n, sizeof n) == sizeof n) {
        seen[reported++] = n;
        if (reported == ACKNOWLEDGED_MIN)
            killed = kill(pid, SIGKILL) == 0;
    }
    close(fd);
    assert_int_equal(killed, 1);
    assert_int_equal(wait_child(pid), -1);
    assert_true(reported >= ACKNOWLEDGED_MIN);
    for (int i = 0; i < reported; i++) {
        snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM log WHERE n = %lld", (long long)seen[i]);
        assert_int_equal(fixture_number(f->s, sql), 1);
    }
    free(seen);
    assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(-1))));
}

static void test_two_processes_write(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    pid_t children[2];

    for (int i = 0; i < 2; i++)
        children[i] = start_child("rows", f->url, &fds[i]);
    for (int64_t n = 0; n < CHILD_ROWS; n++) {
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(n))));
        assert_true(fixture_number(f->s, "SELECT COUNT(*) FROM log") > n);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wait_child(children[i]), 0);
        close(fds[i]);
    }
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 3 * CHILD_ROWS);
}

static void *wait_thread(void *arg)
{
    int64_t *ended = malloc(sizeof *ended);

    if (ended && store_watch_wait(arg, 10000) == 0)
        *ended = clock_mono();
    else if (ended)
        *ended = -1;
    return ended;
}

static void test_watch_wakes(void **state)
{
    struct fixture *f = *state;
    struct store_watch *w = NULL;
    void *ended;
    int fd;

    assert_done(store_watch_open(f->s, &w));
    assert_done(store_watch_wait(w, 300));
    int64_t from = clock_mono();
    assert_done(store_watch_wait(w, 300));
    assert_in_range(clock_mono() - from, 290, 1500);
    /* Another process commits. */
    from = clock_mono();
    pid_t pid = start_child("wake", f->url, &fd);
    assert_done(store_watch_wait(w, 10000));
    assert_in_range(clock_mono() - from, 0, 5000);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log WHERE n = -7"), 1);
    assert_int_equal(wait_child(pid), 0);
    close(fd);
    /* This process commits, and stops the watch. */
    for (int stop = 0; stop < 2; stop++) {
        pthread_t thread;
        store_watch_wait(w, 250);
        assert_int_equal(pthread_create(&thread, NULL, wait_thread, w), 0);
        from = clock_mono();
        if (stop)
            store_watch_stop(w);
        else
            assert_done(store_write(f->s, wake_job, NULL));
        pthread_join(thread, &ended);
        assert_non_null(ended);
        assert_in_range(*(int64_t *)ended - from, 0, 1000);
        free(ended);
    }
    store_watch_close(w);
}

struct collision {
    struct store *s;
    pthread_barrier_t *barrier;
    int64_t first, second;
    int runs, result;
};

static int collide_job(struct store_txn *t, void *arg)
{
    static const char sql[] = "UPDATE log SET n = n + 1 WHERE seq = $1";
    struct collision *c = arg;
    int r = store_exec(t, sql, NULL, PARAMS(P_INT(c->first)));

    if (c->runs++ == 0)
        pthread_barrier_wait(c->barrier);
    return r != 0 ? r : store_exec(t, sql, NULL, PARAMS(P_INT(c->second)));
}

static void *collide_thread(void *arg)
{
    struct collision *c = arg;

    c->result = store_write(c->s, collide_job, c);
    return NULL;
}

/* Each holds the row that the other wants; PostgreSQL ends one, which is run again. */
static void test_deadlock_is_retried(void **state)
{
    struct fixture *f = *state;
    pthread_barrier_t barrier;
    pthread_t threads[2];
    struct collision c[2] = {{f->s, &barrier, 1, 2, 0, -1}, {f->s, &barrier, 2, 1, 0, -1}};

    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++)
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(0))));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, collide_thread, &c[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_done(c[0].result);
    assert_done(c[1].result);
    assert_true(c[0].runs + c[1].runs > 2);
    assert_int_equal(fixture_number(f->s, "SELECT SUM(n) FROM log"), 4);
    pthread_barrier_destroy(&barrier);
}

static void terminate_all(void)
{
    fixture_admin("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                  " WHERE application_name = 'holdfast' AND pid <> pg_backend_pid()");
}

static int terminated_job(struct store_txn *t, void *arg)
{
    int r = store_exec(t, insert_log, NULL, PARAMS(P_INT(1)));

    if (r == 0 && (*(int *)arg)++ == 0)
        terminate_all();
    return r != 0 ? r : store_exec(t, insert_log, NULL, PARAMS(P_INT(2)));
}

static void test_terminated_connections_are_replaced(void **state)
{
    struct fixture *f = *state;
    int runs = 0;

    for (int i = 0; i < 3; i++) {
        terminate_all();
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(0))));
        terminate_all();
        assert_done(store_ping(f->s));
    }
    /* In the midst of a job, before its commit: it runs again, and leaves its rows once. */
    assert_done(store_write(f->s, terminated_job, &runs));
    assert_int_equal(runs, 2);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 5);
}

static int terminated_bulk_job(struct store_txn *t, void *arg)
{
    int r = store_exec(t, insert_log, NULL, PARAMS(P_INT(1)));

    if (r == 0)
        r = store_bulk_ids(t, NULL, 0);
    if (r == 0 && (*(int *)arg)++ == 0)
        terminate_all();
    return r ? r : store_exec(t, insert_log, NULL, PARAMS(P_INT(2)));
}

/* The run on a fresh connection knows from the ones before that bulk tables are needed. */
static void test_terminated_with_bulk_tables(void **state)
{
    struct fixture *f = *state;
    int runs = 0;

    assert_done(store_write(f->s, terminated_bulk_job, &runs));
    assert_int_equal(runs, 2);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 2);
}

static void server(const char *verb)
{
    char command[300];

    snprintf(command, sizeof command, "%s %s >/dev/null", getenv("HOLDFAST_TEST_POSTGRES_CTL"),
             verb);
    assert_int_equal(system(command), 0);
}

static void test_server_goes_away_and_comes_back(void **state)
{
    struct fixture *f = *state;
    struct store_watch *w = NULL;

    if (!getenv("HOLDFAST_TEST_POSTGRES_CTL"))
        skip();
    assert_done(store_watch_open(f->s, &w));
    assert_done(store_watch_wait(w, 1000));
    for (int round = 0; round < 2; round++) {
        assert_done(store_ping(f->s));
        server(round ? "kill" : "stop");
        int64_t from = clock_mono();
        for (int i = 0; i < 100; i++) {
            assert_int_equal(store_ping(f->s), FAULT_UNAVAILABLE);
            assert_int_equal(store_run(f->s, insert_log, NULL, PARAMS(P_INT(1))),
                             FAULT_UNAVAILABLE);
        }
        assert_in_range(clock_mono() - from, 0, 1500);
        assert_int_equal(store_watch_wait(w, 100), FAULT_UNAVAILABLE);
        from = clock_mono();
        assert_int_equal(store_watch_wait(w, 200), FAULT_UNAVAILABLE);
        assert_in_range(clock_mono() - from, 150, 1500);
        server("start");
        from = clock_mono();
        while (store_ping(f->s) != 0)
            assert_in_range(clock_mono() - from, 0, PG_RECOVERY_MS);
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(1))));
        assert_done(store_watch_wait(w, 1000));
        assert_done(store_write(f->s, wake_job, NULL));
        from = clock_mono();
        assert_done(store_watch_wait(w, 5000));
        assert_in_range(clock_mono() - from, 0, 1000);
    }
    store_watch_close(w);
}

/* A statement has a limit of time; what follows it on the connection is unharmed. */
static void test_statement_limit(void **state)
{
    struct fixture *f = *state;
    struct store_options o = {.url = f->url, .pool = 1, .timeout_ms = 1000, .statement_ms = 100};
    struct store *s = NULL;

    assert_done(store_open_schema(&o, &fixture_schema, &s));
    int64_t from = clock_mono();
    assert_int_equal(store_run(s, "SELECT pg_sleep(20)", NULL, NO_PARAMS), FAULT_UNAVAILABLE);
    assert_in_range(clock_mono() - from, 90, 2000);
    assert_done(store_ping(s));
    store_close(s);
}

/* A server that holds the connection and says nothing is given up, not waited for. */
static int64_t time_of_silence(struct fixture *f, bool single)
{
    struct store_options o = {.url = f->url, .pool = 1, .timeout_ms = 1000, .statement_ms = 100};
    struct store *s = NULL;

    assert_done(store_open_schema(&o, &fixture_schema, &s));
    pid_t backend = (pid_t)fixture_number(s, "SELECT pg_backend_pid()");
    assert_true(backend > 1);
    /* Its answer leaves nothing to be read before the next statement. */
    assert_done(store_run(s, insert_log, NULL, PARAMS(P_INT(0))));
    assert_int_equal(kill(backend, SIGSTOP), 0);
    int64_t from = clock_mono();
    int r =
        single ? store_run(s, insert_log, NULL, PARAMS(P_INT(1))) : store_write(s, wake_job, NULL);
    int64_t took = clock_mono() - from;
    assert_int_equal(kill(backend, SIGCONT), 0);
    assert_int_equal(r, FAULT_UNAVAILABLE);
    assert_done(store_ping(s));
    store_close(s);
    return took;
}

static void test_silent_server(void **state)
{
    if (!getenv("HOLDFAST_TEST_POSTGRES_CTL"))
        skip();
    assert_in_range(time_of_silence(*state, false), 4000, 8000);
    assert_in_range(time_of_silence(*state, true), STORE_SINGLE_MS / 2 - 100,
                    STORE_SINGLE_MS + 500);
}

enum { SILENT_POOL = 4, SILENT_WRITERS = 8 };

struct silence {
    struct store *s;
    pthread_barrier_t *barrier;
    pid_t backends[SILENT_POOL]; /* all, and then those that say nothing */
    _Atomic int n;
    int lost;
    _Atomic int64_t longest;
};

static int backend_job(struct store_txn *t, void *arg)
{
    struct silence *silence = arg;
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, "SELECT pg_backend_pid()", &rows, NO_PARAMS);

    if (r == 0 && (r = store_rows_next(rows)) == 1)
        silence->backends[silence->n++] = (pid_t)store_col_int(rows, 0);
    pthread_barrier_wait(silence->barrier); /* each has a connection of its own */
    return r < 0 ? r : 0;
}

static void *backend_thread(void *arg)
{
    struct silence *silence = arg;

    assert_done(store_write(silence->s, backend_job, silence));
    return NULL;
}

static void stop(struct silence *silence, pid_t backend)
{
    assert_int_equal(kill(backend, SIGSTOP), 0);
    silence->backends[silence->n++] = backend;
}

/* Opens all connections there may be, and has n of their backends say nothing. */
static void fall_silent(struct fixture *f, struct silence *silence, int n)
{
    struct store_options o = {
        .url = f->url, .pool = SILENT_POOL, .timeout_ms = 1000, .statement_ms = 100};
    pthread_barrier_t barrier;

    *silence = (struct silence){.barrier = &barrier};
    assert_done(store_open_schema(&o, &fixture_schema, &silence->s));
    pthread_barrier_init(&barrier, NULL, SILENT_POOL);
    fixture_parallel(SILENT_POOL, backend_thread, silence);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(silence->n, SILENT_POOL);
    silence->n = 0;
    while (silence->n < n)
        stop(silence, silence->backends[silence->n]);
}

static void speak(struct silence *silence)
{
    for (int i = 0; i < silence->n; i++)
        assert_int_equal(kill(silence->backends[i], SIGCONT), 0);
    store_close(silence->s);
}

/* One connection's silence says that the others are not to be tried one after another. */
static void test_silent_connections_are_given_up_together(void **state)
{
    struct fixture *f = *state;
    struct silence silence;

    if (!getenv("HOLDFAST_TEST_POSTGRES_CTL"))
        skip();
    fall_silent(f, &silence, SILENT_POOL);
    int64_t from = clock_mono();
    int r = store_run(silence.s, insert_log, NULL, PARAMS(P_INT(1)));
    int again = store_run(silence.s, insert_log, NULL, PARAMS(P_INT(2)));
    int64_t took = clock_mono() - from;
    speak(&silence);
    assert_int_equal(r, FAULT_UNAVAILABLE);
    assert_done(again);
    assert_in_range(took, STORE_SINGLE_MS / 2 - 100, STORE_SINGLE_MS + 1000);
}

static void *insert_thread(void *arg)
{
    struct silence *silence = arg;
    int64_t from = clock_mono();

    assert_done(store_run(silence->s, insert_log, NULL, PARAMS(P_INT(2))));
    int64_t took = clock_mono() - from;
    if (took > silence->longest)
        silence->longest = took;
    return NULL;
}

static void *lost_thread(void *arg)
{
    struct silence *silence = arg;

    silence->lost = store_run(silence->s, insert_log, NULL, PARAMS(P_INT(1)));
    return NULL;
}

/* Who travels with a silent connection waits for it; others have connections of their own. */
static void test_silent_connection_stops_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct silence silence;
    struct store_stats stats;
    pthread_t lost;

    if (!getenv("HOLDFAST_TEST_POSTGRES_CTL"))
        skip();
    fall_silent(f, &silence, 0);
    /* The connection that was used last is used first. */
    pid_t backend = (pid_t)fixture_number(silence.s, "SELECT pg_backend_pid()");
    assert_true(backend > 1);
    assert_done(store_run(silence.s, insert_log, NULL, PARAMS(P_INT(0))));
    stop(&silence, backend);
    assert_int_equal(pthread_create(&lost, NULL, lost_thread, &silence), 0);
    do {
        fixture_pause();
        store_stats(silence.s, &stats);
    } while (stats.connections_busy == 0);
    fixture_parallel(SILENT_WRITERS, insert_thread, &silence);
    pthread_join(lost, NULL);
    speak(&silence);
    assert_int_equal(silence.lost, FAULT_UNAVAILABLE);
    assert_in_range(silence.longest, 0, 3500);
}

/* What does not fit on the disk is not acknowledged, and does no harm to what did. */
static void test_full_disk(void **state)
{
    static char body[64 * 1024];
    struct fixture *f = *state;
    struct rlimit before, small = {.rlim_cur = 1 << 20};
    int64_t acknowledged = 0;
    struct uuid id;
    int r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    do {
        id = uuid_new();
        r = store_run(f->s, "INSERT INTO things (id, body) VALUES ($1, $2)", NULL,
                      PARAMS(P_ID(&id), P_BLOB(body, sizeof body)));
        acknowledged += r == 0;
    } while (r == 0 && acknowledged < 1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(r, FAULT_IO);
    assert_in_range(acknowledged, 1, 100);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"), acknowledged);
    assert_done(store_run(f->s, "INSERT INTO things (id, body) VALUES ($1, $2)", NULL,
                          PARAMS(P_ID(&id), P_BLOB(body, sizeof body))));
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"), acknowledged + 1);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_BOTH(test_acknowledged_rows_outlive_the_process),
        FIXTURE_BOTH(test_two_processes_write),
        FIXTURE_BOTH(test_watch_wakes),
        FIXTURE_POSTGRES(test_deadlock_is_retried),
        FIXTURE_POSTGRES(test_statement_limit),
        FIXTURE_POSTGRES(test_silent_server),
        FIXTURE_POSTGRES(test_silent_connections_are_given_up_together),
        FIXTURE_POSTGRES(test_silent_connection_stops_nobody_else),
        FIXTURE_SQLITE(test_full_disk),
    };
    /* These disturb whoever else uses the server, so they run alone and last. */
    static const struct CMUnitTest outages[] = {
        FIXTURE_POSTGRES(test_terminated_connections_are_replaced),
        FIXTURE_POSTGRES(test_terminated_with_bulk_tables),
        FIXTURE_POSTGRES(test_server_goes_away_and_comes_back),
    };

    if (argc == 3)
        return child_main(argv[1], argv[2]);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return 2;
    if (argc == 2 && strcmp(argv[1], "outages") == 0)
        return FIXTURE_RUN(outages);
    return FIXTURE_RUN(tests);
}
