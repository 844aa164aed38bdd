/* The locks by number: who waits for whom. */
#include "store/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LOCK_THREADS = 6, LOCK_ROUNDS = 25 };

static int increment_job(struct store_txn *t, void *arg)
{
    int64_t n;

    int r = store_lock(t, STORE_LOCK_OPERATORS);
    if (r != 0)
        return r;
    _cleanup_rows_ struct store_rows *rows = NULL;
    r = store_query(t, "SELECT n FROM log", &rows, NO_PARAMS);
    if (r != 0 || (r = store_rows_next(rows)) < 0)
        return r;
    n = store_col_int(rows, 0);
    return store_exec(t, "UPDATE log SET n = $1", NULL, PARAMS(P_INT(n + 1)));
}

static void *lock_thread(void *arg)
{
    for (int i = 0; i < LOCK_ROUNDS; i++)
        if (store_write(arg, increment_job, NULL) != 0)
            return arg;
    return NULL;
}

static void test_lock_serialises(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[LOCK_THREADS];
    void *failed;

    assert_done(store_run(f->s, "INSERT INTO log (n) VALUES ($1)", NULL, PARAMS(P_INT(0))));
    for (int i = 0; i < LOCK_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, lock_thread, f->s), 0);
    for (int i = 0; i < LOCK_THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(fixture_number(f->s, "SELECT n FROM log"), LOCK_THREADS * LOCK_ROUNDS);
}

/* One who takes each lock there is, and when they have got them. */
struct other {
    struct store *s;
    pthread_t thread;
    atomic_bool has;
};

static int take_all_job(struct store_txn *t, void *arg)
{
    int r = 0;

    for (int number = STORE_LOCK_SCHEMA; r == 0 && number <= STORE_LOCK_MAIL; number++)
        r = store_lock(t, (enum store_lock_number)number);
    if (r == 0)
        atomic_store((atomic_bool *)arg, true);
    return r;
}

static void *take_all_thread(void *arg)
{
    struct other *other = arg;

    assert_done(store_write(other->s, take_all_job, &other->has));
    return NULL;
}

static const char waiting_sql[] =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";

/* Has each lock while one in the same schema waits, and one in another does not. */
static int hold_all_job(struct store_txn *t, void *arg)
{
    struct other *others = arg;
    atomic_bool has;
    int64_t waiting = 0;
    int r = take_all_job(t, &has);

    for (int i = 0; r == 0 && i < 2; i++)
        assert_int_equal(pthread_create(&others[i].thread, NULL, take_all_thread, &others[i]), 0);
    if (r == 0)
        fixture_await((r = store_number(t, waiting_sql, &waiting, NO_PARAMS)) != 0 || waiting == 1);
    if (r == 0)
        fixture_await(atomic_load(&others[1].has));
    assert_false(atomic_load(&others[0].has));
    return r;
}

static void test_lock_is_of_one_schema(void **state)
{
    struct fixture *f = *state, *beside = fixture_new(true);
    struct other others[2] = {{.s = f->s}, {.s = beside->s = fixture_open(beside, 4, 2000)}};

    assert_done(store_write(f->s, hold_all_job, others));
    for (int i = 0; i < 2; i++) {
        pthread_join(others[i].thread, NULL);
        assert_true(atomic_load(&others[i].has));
    }
    fixture_free(beside);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_BOTH(test_lock_serialises),
        FIXTURE_POSTGRES(test_lock_is_of_one_schema),
    };

    return FIXTURE_RUN(tests);
}
