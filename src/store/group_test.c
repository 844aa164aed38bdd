/* Single statements that travel together on PostgreSQL; on SQLite they share a batch. */
#include "store/fixture.h"

#include "base/clock.h"
#include "store/postgres.h"

#include <pthread.h>

static const char insert_thing[] = "INSERT INTO things (id, name, n, body) VALUES ($1, $2, $3, $4)";

static struct uuid number_id(int64_t n)
{
    struct uuid u = {{0}};

    memcpy(u.b, &n, sizeof n);
    return u;
}

static int put_thing(struct store *s, int64_t n, struct store_param name, struct store_param body)
{
    struct uuid id = number_id(n);

    return store_run(s, insert_thing, NULL, PARAMS(P_ID(&id), name, P_INT(n), body));
}

enum { RUN_THREADS = 40, RUN_ROUNDS = 25 };

static int read_name(struct store_rows *rows, void *arg)
{
    int r = store_rows_next(rows);

    if (r == 1)
        *(int64_t *)arg = store_col_int(rows, 0);
    return r == 1 ? 0 : r == 0 ? 7 : r;
}

/* Each puts rows of its own, and every third time one that all try to put: one may. */
static void *run_thread(void *arg)
{
    static _Atomic int64_t next;
    struct store *s = arg;
    intptr_t conflicts = 0;

    for (int i = 0; i < RUN_ROUNDS; i++) {
        int64_t own = 1000 + next++, n = -1;
        struct uuid id = number_id(own), absent = number_id(1000000 + own);
        assert_done(put_thing(s, own, P_NULL, P_NULL));
        assert_done(
            store_find(s, "SELECT n FROM things WHERE id = $1", read_name, &n, PARAMS(P_ID(&id))));
        assert_int_equal(n, own);
        assert_int_equal(store_find(s, "SELECT n FROM things WHERE id = $1", read_name, &n,
                                    PARAMS(P_ID(&absent))),
                         7);
        if (i % 3 == 0)
            conflicts += put_thing(s, i, P_NULL, P_NULL) == STORE_CONFLICT;
    }
    return (void *)conflicts;
}

/* What fails takes nothing else with it, although they share a transaction. */
static void test_runs_together_with_failing_ones(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[RUN_THREADS];
    int64_t conflicts = 0;
    void *own;

    for (int i = 0; i < RUN_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, f->s), 0);
    for (int i = 0; i < RUN_THREADS; i++) {
        pthread_join(threads[i], &own);
        conflicts += (intptr_t)own;
    }
    int64_t shared = (RUN_ROUNDS + 2) / 3;
    assert_int_equal(conflicts, RUN_THREADS * shared - shared);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"),
                     RUN_THREADS * RUN_ROUNDS + shared);
}

struct row_lock {
    struct store *s;
    pthread_barrier_t *begun, *end;
    _Atomic bool changed;
};

static const char touch[] = "UPDATE things SET n = n + 1 WHERE id = $1";

static int hold_row_job(struct store_txn *t, void *arg)
{
    struct row_lock *l = arg;
    struct uuid id = number_id(1);
    int r = store_exec(t, touch, NULL, PARAMS(P_ID(&id)));

    pthread_barrier_wait(l->begun);
    pthread_barrier_wait(l->end);
    return r;
}

static void *hold_row_thread(void *arg)
{
    struct row_lock *l = arg;

    assert_done(store_write(l->s, hold_row_job, l));
    return NULL;
}

static void *touch_thread(void *arg)
{
    struct row_lock *l = arg;
    struct uuid id = number_id(1);

    assert_done(store_run(l->s, touch, NULL, PARAMS(P_ID(&id))));
    l->changed = true;
    return NULL;
}

static void test_held_row_delays_its_own_statement_only(void **state)
{
    struct fixture *f = *state;
    pthread_barrier_t begun, end;
    struct row_lock l = {.s = f->s, .begun = &begun, .end = &end};
    pthread_t holder, toucher;
    struct uuid other = number_id(2);

    assert_done(put_thing(f->s, 1, P_NULL, P_NULL));
    assert_done(put_thing(f->s, 2, P_NULL, P_NULL));
    pthread_barrier_init(&begun, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    assert_int_equal(pthread_create(&holder, NULL, hold_row_thread, &l), 0);
    pthread_barrier_wait(&begun);
    assert_int_equal(pthread_create(&toucher, NULL, touch_thread, &l), 0);
    for (int i = 0; i < 20; i++)
        assert_done(store_run(f->s, touch, NULL, PARAMS(P_ID(&other))));
    assert_false(l.changed);
    pthread_barrier_wait(&end);
    pthread_join(holder, NULL);
    pthread_join(toucher, NULL);
    assert_int_equal(fixture_number(f->s, "SELECT SUM(n) FROM things"), 1 + 2 + 2 + 20);
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
}

/* A connection is held while a row is waited for, so that is not for long. */
static void test_held_row_is_given_up(void **state)
{
    struct fixture *f = *state;
    pthread_barrier_t begun, end;
    struct row_lock l = {.s = f->s, .begun = &begun, .end = &end};
    struct uuid id = number_id(1);
    pthread_t holder;

    assert_done(put_thing(f->s, 1, P_NULL, P_NULL));
    pthread_barrier_init(&begun, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    assert_int_equal(pthread_create(&holder, NULL, hold_row_thread, &l), 0);
    pthread_barrier_wait(&begun);
    int64_t from = clock_mono();
    int r = store_run(f->s, touch, NULL, PARAMS(P_ID(&id)));
    int64_t took = clock_mono() - from;
    pthread_barrier_wait(&end);
    pthread_join(holder, NULL);
    assert_int_equal(r, FAULT_UNAVAILABLE);
    assert_in_range(took, 500, STORE_SINGLE_MS);
    assert_int_equal(fixture_number(f->s, "SELECT n FROM things"), 2);
    assert_done(store_run(f->s, touch, NULL, PARAMS(P_ID(&id))));
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
}

struct late {
    struct store *s;
    int result;
    int64_t took;
};

static void *late_thread(void *arg)
{
    struct late *late = arg;
    struct uuid id = number_id(2);
    int64_t from = clock_mono();

    late->result = store_run(late->s, touch, NULL, PARAMS(P_ID(&id)));
    late->took = clock_mono() - from;
    return NULL;
}

/* What is not served in time does not happen later, when its caller has given it up. */
static void test_late_statement_does_not_happen(void **state)
{
    struct fixture *f = *state;
    struct store *s = fixture_open(f, 1, 60000);
    pthread_barrier_t begun, end;
    struct row_lock l = {.s = s, .begun = &begun, .end = &end};
    struct late late = {.s = s};
    pthread_t holder, waiter;

    assert_done(put_thing(s, 1, P_NULL, P_NULL));
    assert_done(put_thing(s, 2, P_NULL, P_NULL));
    pthread_barrier_init(&begun, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    assert_int_equal(pthread_create(&holder, NULL, hold_row_thread, &l), 0);
    pthread_barrier_wait(&begun);
    int64_t from = clock_mono();
    assert_int_equal(pthread_create(&waiter, NULL, late_thread, &late), 0);
    fixture_await(clock_mono() - from > STORE_SINGLE_MS + 500);
    pthread_barrier_wait(&end);
    pthread_join(waiter, NULL);
    pthread_join(holder, NULL);
    assert_int_equal(late.result, FAULT_UNAVAILABLE);
    if (f->postgres)
        assert_in_range(late.took, STORE_SINGLE_MS / 2 - 100, STORE_SINGLE_MS + 500);
    assert_int_equal(fixture_number(s, "SELECT n FROM things WHERE n = 2"), 2);
    assert_int_equal(fixture_number(s, "SELECT SUM(n) FROM things"), 2 + 2);
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
    store_close(s);
}

enum { WAITING = 12 };

/* Nor does anybody wait longer because others do. */
static void test_nobody_waits_for_a_leader_for_long(void **state)
{
    struct fixture *f = *state;
    struct store *s = fixture_open(f, 1, 60000);
    pthread_barrier_t begun, end;
    struct row_lock l = {.s = s, .begun = &begun, .end = &end};
    struct late late[WAITING];
    pthread_t holder, waiters[WAITING];

    assert_done(put_thing(s, 1, P_NULL, P_NULL));
    pthread_barrier_init(&begun, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    assert_int_equal(pthread_create(&holder, NULL, hold_row_thread, &l), 0);
    pthread_barrier_wait(&begun);
    for (int i = 0; i < WAITING; i++) {
        late[i] = (struct late){.s = s};
        assert_int_equal(pthread_create(&waiters[i], NULL, late_thread, &late[i]), 0);
    }
    for (int i = 0; i < WAITING; i++)
        pthread_join(waiters[i], NULL);
    pthread_barrier_wait(&end);
    pthread_join(holder, NULL);
    for (int i = 0; i < WAITING; i++) {
        assert_int_equal(late[i].result, FAULT_UNAVAILABLE);
        assert_in_range(late[i].took, 0, STORE_SINGLE_MS + 500);
    }
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
    store_close(s);
}

enum { TRAVELLERS = 3 };

struct traveller {
    struct store *s;
    const char *sql;
    struct uuid id;
};

static void *travel_thread(void *arg)
{
    const struct traveller *t = arg;

    assert_done(store_run(t->s, t->sql, NULL, PARAMS(P_ID(&t->id))));
    return NULL;
}

static bool has_queued(struct store *base, int n)
{
    struct pg_group *g = &((struct pg_store *)base)->writing;

    pthread_mutex_lock(&g->lock);
    for (const struct pg_member *m = g->first; m; m = m->next)
        n--;
    bool has = n == 0 && g->leaders == 1;
    pthread_mutex_unlock(&g->lock);
    return has;
}

static int hold_lock_job(struct store_txn *t, void *arg)
{
    struct row_lock *l = arg;
    int r = store_exec(t, "SELECT pg_advisory_xact_lock(7)", NULL, NO_PARAMS);

    pthread_barrier_wait(l->begun);
    pthread_barrier_wait(l->end);
    return r;
}

static void *hold_lock_thread(void *arg)
{
    struct row_lock *l = arg;

    assert_done(store_write(l->s, hold_lock_job, l));
    return NULL;
}

/* Groups of two nodes that take rows in different orders could wait for each other. */
static void test_group_takes_rows_in_their_order(void **state)
{
    /* Lasts until the lock is given up, and waits for nothing that a limit is on. */
    static const char last[] =
        "WITH RECURSIVE w AS (SELECT pg_try_advisory_xact_lock(7) AS got UNION ALL"
        " SELECT pg_try_advisory_xact_lock(7) FROM w"
        " WHERE NOT got AND pg_sleep(0.001) IS NOT NULL) SELECT count(*) FROM w WHERE $1 <> ''";
    static const char number[] =
        "UPDATE things SET n = nextval(pg_get_serial_sequence('log', 'seq')) WHERE id = $1";
    static const int64_t order[TRAVELLERS] = {3, 1, 2};
    struct fixture *f = *state;
    pthread_barrier_t begun, end;
    struct row_lock l = {.s = f->s, .begun = &begun, .end = &end};
    struct traveller leader = {f->s, last, number_id(1)}, others[TRAVELLERS];
    pthread_t holding, leading, threads[TRAVELLERS];

    pthread_barrier_init(&begun, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    for (int64_t n = 1; n <= TRAVELLERS; n++)
        assert_done(put_thing(f->s, n, P_NULL, P_NULL));
    assert_int_equal(pthread_create(&holding, NULL, hold_lock_thread, &l), 0);
    pthread_barrier_wait(&begun);
    assert_int_equal(pthread_create(&leading, NULL, travel_thread, &leader), 0);
    fixture_await(has_queued(f->s, 0));
    for (int i = 0; i < TRAVELLERS; i++) {
        others[i] = (struct traveller){f->s, number, number_id(order[i])};
        assert_int_equal(pthread_create(&threads[i], NULL, travel_thread, &others[i]), 0);
        fixture_await(has_queued(f->s, i + 1));
    }
    pthread_barrier_wait(&end);
    for (int i = 0; i < TRAVELLERS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(leading, NULL);
    pthread_join(holding, NULL);
    assert_int_equal(fixture_number(f->s, "SELECT count(DISTINCT xmin::text) FROM things"), 1);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM things a JOIN things b"
                                          " ON a.id < b.id AND a.n < b.n"),
                     3);
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_BOTH(test_runs_together_with_failing_ones),
        FIXTURE_POSTGRES(test_held_row_delays_its_own_statement_only),
        FIXTURE_POSTGRES(test_held_row_is_given_up),
        FIXTURE_BOTH(test_late_statement_does_not_happen),
        FIXTURE_POSTGRES(test_nobody_waits_for_a_leader_for_long),
        FIXTURE_POSTGRES(test_group_takes_rows_in_their_order),
    };

    return FIXTURE_RUN(tests);
}
