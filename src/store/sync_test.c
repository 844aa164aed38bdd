/* What SQLite is told when the disk does not take what was written: a VFS whose syncs fail. */
#include "store/fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

static const char insert_log[] = "INSERT INTO log (n) VALUES ($1)";
static const char insert_thing[] = "INSERT INTO things (id, body) VALUES ($1, $2)";
static const char count_log[] = "SELECT COUNT(*) FROM log";

static sqlite3_vfs *real;
static int (*real_sync)(sqlite3_file *file, int flags);
static _Atomic bool wal_fails, database_fails;
static _Atomic int wal_syncs, failures;

static int sync_unless(bool fails, sqlite3_file *file, int flags)
{
    if (!fails)
        return real_sync(file, flags);
    atomic_fetch_add(&failures, 1);
    return SQLITE_IOERR_FSYNC;
}

static int sync_wal(sqlite3_file *file, int flags)
{
    atomic_fetch_add(&wal_syncs, 1);
    return sync_unless(atomic_load(&wal_fails), file, flags);
}

static int sync_database(sqlite3_file *file, int flags)
{
    return sync_unless(atomic_load(&database_fails), file, flags);
}

/* The journal and the database; files of one kind have the same methods, so a copy each will do. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret)
{
    static struct sqlite3_io_methods wal_methods, database_methods;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool wal = flags & SQLITE_OPEN_WAL;
    struct sqlite3_io_methods *methods = wal ? &wal_methods : &database_methods;
    int rc = real->xOpen(real, name, file, flags, ret);

    if (!file->pMethods || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
        return rc;
    pthread_mutex_lock(&lock);
    if (!methods->xSync) {
        real_sync = file->pMethods->xSync;
        *methods = *file->pMethods;
        methods->xSync = wal ? sync_wal : sync_database;
    }
    pthread_mutex_unlock(&lock);
    file->pMethods = methods;
    return rc;
}

static int register_vfs(void **state)
{
    static sqlite3_vfs failing;

    real = sqlite3_vfs_find(NULL);
    assert_non_null(real);
    failing = *real;
    failing.zName = "failing";
    failing.xOpen = open_file;
    assert_int_equal(sqlite3_vfs_register(&failing, 1), SQLITE_OK);
    return 0;
}

static int heal(void **state)
{
    atomic_store(&wal_fails, false);
    atomic_store(&database_fails, false);
    return fixture_release(state);
}

static void test_each_acknowledged_write_was_synced(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10; i++) {
        int before = atomic_load(&wal_syncs);
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(i))));
        assert_true(atomic_load(&wal_syncs) > before);
    }
}

enum { THREADS = 16, WRITES = 20 };

static int log_job(struct store_txn *t, void *arg)
{
    return store_exec(t, insert_log, NULL, PARAMS(P_INT(1)));
}

static _Atomic int refused, other_answers;

static void *write_many(void *arg)
{
    struct store *s = arg;

    for (int i = 0; i < WRITES; i++) {
        int r = i % 2 ? store_write(s, log_job, NULL)
                      : store_run(s, insert_log, NULL, PARAMS(P_INT(1)));
        bool told = r == FAULT_IO && strstr(fault_message(), "disk I/O error");
        atomic_fetch_add(told ? &refused : &other_answers, 1);
    }
    return NULL;
}

/* Whoever shares a commit that failed is told so, nothing of it is seen, and the store goes on. */
static void test_a_failing_sync_acknowledges_nothing(void **state)
{
    struct fixture *f = *state;

    assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(0))));
    atomic_store(&wal_fails, true);
    fixture_parallel(THREADS, write_many, f->s);
    assert_int_equal(atomic_load(&other_answers), 0);
    assert_int_equal(atomic_load(&refused), THREADS * WRITES);
    assert_int_equal(fixture_number(f->s, count_log), 1);
    atomic_store(&wal_fails, false);
    assert_done(store_write(f->s, log_job, NULL));
    assert_int_equal(fixture_number(f->s, count_log), 2);
    store_close(f->s);
    f->s = fixture_open(f, 1, 2000);
    assert_int_equal(fixture_number(f->s, count_log), 2);
}

enum { BODIES = 100 };

/* The journal alone makes a write durable; folding it into the file can be tried again. */
static void test_a_failing_checkpoint_loses_nothing(void **state)
{
    static char body[64 * 1024];
    struct fixture *f = *state;
    int before = atomic_load(&failures);

    atomic_store(&database_fails, true);
    for (int i = 0; i < BODIES; i++) {
        struct uuid id = uuid_new();
        assert_done(
            store_run(f->s, insert_thing, NULL, PARAMS(P_ID(&id), P_BLOB(body, sizeof body))));
    }
    assert_true(atomic_load(&failures) > before);
    store_close(f->s);
    atomic_store(&database_fails, false);
    f->s = fixture_open(f, 1, 2000);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"), BODIES);
}

static void test_a_schema_that_is_not_synced_does_not_open(void **state)
{
    struct fixture *f = *state;
    struct store_options o = {.url = f->url, .pool = 1, .timeout_ms = 1000};

    atomic_store(&wal_fails, true);
    assert_int_equal(store_open_schema(&o, &fixture_schema, &f->s), FAULT_IO);
    assert_null(f->s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        {"each acknowledged write was synced", test_each_acknowledged_write_was_synced,
         fixture_sqlite, heal, NULL},
        {"a failing sync acknowledges nothing", test_a_failing_sync_acknowledges_nothing,
         fixture_sqlite, heal, NULL},
        {"a failing checkpoint loses nothing", test_a_failing_checkpoint_loses_nothing,
         fixture_sqlite, heal, NULL},
        {"a schema that is not synced does not open",
         test_a_schema_that_is_not_synced_does_not_open, fixture_empty_sqlite, heal, NULL},
    };

    return cmocka_run_group_tests(tests, register_vfs, NULL);
}
