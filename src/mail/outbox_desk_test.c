/* Requests that are accepted together: each has its own outcome, and none spoils another. */
#include "mail/outbox_desk.h"

#include "base/fault.h"
#include "mail/outbox_scene.h"
#include "mail/suppression.h"

#include <semaphore.h>

enum { MANY = 24 };

/* One who asks. */
struct asking {
    struct outbox_scene *s;
    pthread_t thread;
    struct outbox_request request;
    char to[40], key[40];
    int outcome;
    struct uuid id;
};

static void *ask_main(void *arg)
{
    struct asking *a = arg;

    a->outcome = outbox_submit(a->s->m, &a->request, NOW, &a->id);
    return NULL;
}

static struct asking asking_of(struct outbox_scene *s, const char *to)
{
    struct asking a = {.s = s, .request = outbox_scene_request(s, to)};

    return a;
}

static void begin(struct asking *a)
{
    assert_int_equal(pthread_create(&a->thread, NULL, ask_main, a), 0);
}

static void end(struct asking *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pthread_join(a[i].thread, NULL);
}

/* A writing job that keeps what everybody's key has to wait for, until it is let go. */
struct holding {
    struct outbox_scene *s;
    pthread_t thread;
    sem_t held, let_go;
};

static int hold_job(struct store_txn *t, void *arg)
{
    struct holding *h = arg;
    int r = store_exec(t,
                       "INSERT INTO email_requests (tenant_id, request_key, digest, message_id,"
                       " expires_at) VALUES ($1, 'first', $1, $1, 0)",
                       NULL, PARAMS(P_ID(&h->s->f->tenant)));

    sem_post(&h->held);
    while (r == 0 && sem_wait(&h->let_go))
        ;
    return r ? r : 7; /* it is rolled back */
}

static void *hold_main(void *arg)
{
    struct holding *h = arg;

    assert_int_equal(store_write(h->s->f->node.store, hold_job, h), 7);
    return NULL;
}

static void hold(struct outbox_scene *s, struct holding *h)
{
    h->s = s;
    sem_init(&h->held, 0, 0);
    sem_init(&h->let_go, 0, 0);
    assert_int_equal(pthread_create(&h->thread, NULL, hold_main, h), 0);
    while (sem_wait(&h->held))
        ;
}

static void let_go(struct holding *h)
{
    sem_post(&h->let_go);
    pthread_join(h->thread, NULL);
    sem_destroy(&h->held);
    sem_destroy(&h->let_go);
}

/* Whether the holder and a batch are at the store. */
static bool is_writing(struct outbox_scene *s)
{
    struct store_stats stats;

    store_stats(s->f->node.store, &stats);
    return stats.writes_waiting + stats.connections_busy >= 2;
}

/* The first alone, held up; the others meanwhile get in line and are one batch. */
static void ask_together(struct outbox_scene *s, struct asking *all, size_t n)
{
    struct asking first = asking_of(s, "first@x.org");
    struct holding h;

    first.request.key = STR("first");
    hold(s, &h);
    begin(&first);
    fixture_await(is_writing(s));
    for (size_t i = 0; i < n; i++)
        begin(&all[i]);
    fixture_await(outbox_desk_waiting(s->m->desk) == n);
    let_go(&h);
    end(&first, 1);
    end(all, n);
    assert_int_equal(first.outcome, 0);
    scene_run(s->f, "DELETE FROM email_requests WHERE request_key = 'first'", NO_PARAMS);
}

static int64_t messages(struct outbox_scene *s)
{
    return scene_number(s->f, "SELECT count(*) FROM email_outbox") - 1; /* but the first */
}

static void test_together(void **state)
{
    struct outbox_scene *s = *state;
    struct asking all[] = {asking_of(s, "a@x.org"),   asking_of(s, "b@x.org"),
                           asking_of(s, "b@x.org"),   asking_of(s, "c@x.org"),
                           asking_of(s, "bad@x.org"), asking_of(s, "bad@x.org,good@x.org"),
                           asking_of(s, "a@x.org")};
    struct uuid user = scene_member(s->f, "ann");

    outbox_scene_suppress(s, "bad@x.org", SUPPRESSION_BOUNCE);
    all[0].request.to[0] = STR("ann@example.com");
    all[1].request.key = all[2].request.key = all[3].request.key = STR("k");
    all[6].request.tenant_id = s->f->other;
    all[6].request.key = STR("k");
    ask_together(s, all, 7);
    assert_int_equal(all[0].outcome, 0);
    struct mail_log_entry e = mail_entry(s->f, &all[0].id);
    assert_true(uuid_eq(&e.user_id, &user));
    assert_int_equal(e.created_at, NOW);
    /* Of those under one key the same requests are one message, and any other is refused. */
    int outcomes[3] = {0};
    for (int i = 1; i <= 3; i++)
        outcomes[all[i].outcome]++;
    if (all[3].outcome == 0) {
        assert_int_equal(outcomes[OUTBOX_CONFLICT], 2);
    } else {
        assert_int_equal(outcomes[0], 1);
        assert_int_equal(outcomes[OUTBOX_REPEATED], 1);
        assert_int_equal(all[3].outcome, OUTBOX_CONFLICT);
        assert_true(uuid_eq(&all[1].id, &all[2].id));
    }
    assert_int_equal(all[4].outcome, OUTBOX_SUPPRESSED);
    assert_string_equal(outbox_scene_state(s, &all[4].id, "bad@x.org"), "suppressed/bounce");
    assert_int_equal(all[5].outcome, 0);
    assert_string_equal(outbox_scene_state(s, &all[5].id, "bad@x.org"), "suppressed/bounce");
    assert_string_equal(outbox_scene_state(s, &all[5].id, "good@x.org"), "queued/");
    assert_int_equal(all[6].outcome, 0);
    assert_string_equal(outbox_scene_state(s, &all[6].id, "a@x.org"), "queued/");
    assert_int_equal(messages(s), 4);
    mail_assert_counters(s->f);
}

static void fill(struct outbox_scene *s, struct asking *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        all[i] = asking_of(s, "x@x.org");
        snprintf(all[i].to, sizeof all[i].to, "u%zu@x.org", i);
        all[i].request.to[0] = str_of(all[i].to);
    }
}

static int64_t count(struct outbox_scene *s, size_t n)
{
    static struct asking all[MANY];

    fill(s, all, n);
    scene_count_statements(s->f);
    ask_together(s, all, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(all[i].outcome, 0);
    return scene_statements();
}

/* A batch takes as many statements however many it is of, but for one for each key. */
static void test_statements(void **state)
{
    struct outbox_scene *s = *state;

    count(s, 8); /* a store's first batch may be taken twice */
    int64_t few = count(s, 8);
    assert_int_equal(count(s, MANY), few);
    mail_assert_counters(s->f);
}

/* What cannot be written is told so; the others of the batch are on disk. */
static void test_one_bad_request(void **state)
{
    struct outbox_scene *s = *state;
    static struct asking all[9];

    fill(s, all, 9);
    all[4].request.template_name = STR("a\xff");
    all[7].request.subject = (struct str){"a\0b", 3};
    ask_together(s, all, 9);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(all[i].outcome, i == 4 || i == 7 ? FAULT_STORE : 0);
        if (i != 4 && i != 7)
            assert_string_equal(outbox_scene_state(s, &all[i].id, all[i].to), "queued/");
    }
    assert_int_equal(messages(s), 7);
    mail_assert_counters(s->f);
}

/* Where nothing can be written, that is found out without asking for each, and all are told. */
static void test_all_fail(void **state)
{
    struct outbox_scene *s = *state;
    static struct asking all[MANY];

    fill(s, all, MANY);
    scene_run(s->f, "ALTER TABLE email_logs RENAME TO email_logs_away", NO_PARAMS);
    for (size_t i = 0; i < MANY; i++)
        begin(&all[i]);
    end(all, MANY);
    scene_run(s->f, "ALTER TABLE email_logs_away RENAME TO email_logs", NO_PARAMS);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(all[i].outcome, FAULT_STORE);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_together),
        OUTBOX_SCENE_BOTH(test_statements),
        OUTBOX_SCENE_BOTH(test_one_bad_request),
        OUTBOX_SCENE_BOTH(test_all_fail),
    };

    return FIXTURE_RUN(tests);
}
