/* Threads of two nodes append at once, and someone verifies and checkpoints meanwhile. */
#include "trail/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, EACH = 25 };

struct worker {
    const struct trail *trail;
    struct store *s;
    int failures, given_up;
    pthread_t thread;
};

struct step {
    const struct worker *worker;
    int i;
};

/* Each fifth transaction is given up after its append. */
static int step_job(struct store_txn *txn, void *arg)
{
    const struct step *step = arg;
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = TRAIL_CONFIG_RELOAD};
    int e = trail_append(step->worker->trail, txn, &actor, &event);

    return e ? e : step->i % 5 == 4 ? 9 : 0;
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < EACH; i++) {
        struct step step = {w, i};
        int e = store_write(w->s, step_job, &step);
        w->given_up += e == 9;
        w->failures += e != 0 && e != 9;
    }
    return NULL;
}

struct watcher {
    const struct trail *trail;
    atomic_bool stop;
    int failures, rounds;
    pthread_t thread;
};

static void *watch(void *arg)
{
    struct watcher *w = arg;
    bool last = false;

    /* Once more after all have stopped, so that there is a round in any case. */
    while (!last) {
        struct trail_verify_options o = {.against = trail_checkpoint_path(w->trail)};
        struct trail_report report;
        last = atomic_load(&w->stop);
        if (trail_checkpoint_write(w->trail) != 0 || trail_verify(w->trail, &o, &report) != 0 ||
            !report.intact)
            w->failures++;
        w->rounds++;
    }
    return NULL;
}

static void test_one_gapless_chain(void **state)
{
    struct trail_fixture *f = *state;
    struct store *second = fixture_node(f->base);
    struct trail *other = trail_fixture_new(f, second, trail_fixture_secrets[0], NULL, 0);
    struct worker workers[THREADS];
    struct watcher watchers[2] = {{.trail = f->trail}, {.trail = other}};

    for (int i = 0; i < THREADS; i++) {
        workers[i] = i % 2 ? (struct worker){.trail = f->trail, .s = f->s}
                           : (struct worker){.trail = other, .s = second};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
        assert_int_equal(workers[i].given_up, EACH / 5);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&watchers[i].stop, true);
        pthread_join(watchers[i].thread, NULL);
        assert_int_equal(watchers[i].failures, 0);
        assert_true(watchers[i].rounds > 0);
    }
    struct trail_report r = trail_fixture_verify(f, f->trail, f->path);
    assert_true(r.intact);
    assert_int_equal(r.records, THREADS * (EACH - EACH / 5));
    assert_int_equal(r.last_checkpoint, r.records);
    trail_free(other);
    store_close(second);
}

int main(void)
{
    struct CMUnitTest tests[] = {TRAIL_BOTH(test_one_gapless_chain)};

    return FIXTURE_RUN(tests);
}
