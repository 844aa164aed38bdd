/* Locks that failed sign-ins bring about pass; those of administrators do not. */
#include "sessions/lockout.h"

#include "sessions/account.h"
#include "sessions/scene.h"

#include <sodium.h>

enum { LOCK_AFTER = 3 };

static const struct str password = STR_INIT("correct horse battery");

/* An operator, the only one there is. */
static struct uuid add_operator(struct scene *f)
{
    static char hash[crypto_pwhash_STRBYTES];

    assert_int_equal(crypto_pwhash_str_alg(hash, password.p, password.n, 1, 64 * 1024,
                                           crypto_pwhash_ALG_ARGON2ID13),
                     0);
    f->config->login_lock_after = LOCK_AFTER;
    assert_done(login_flush_failures(f->s, NOW));
    return scene_user(f, &f->tenant, "ada", ROLE_OPERATOR, hash);
}

static int sign_in(struct scene *f, struct str typed, int64_t now)
{
    struct login_input input = {.email = STR("ada@example.com"),
                                .password = typed,
                                .ip = STR("192.0.2.9"),
                                .user_agent = STR("Tests"),
                                .now = now};
    struct session_grant grant;

    return login_run(f->s, &f->a, &input, &grant);
}

static void lock_by_failures(struct scene *f, int64_t now)
{
    for (int i = 0; i < LOCK_AFTER; i++)
        assert_int_equal(sign_in(f, STR("wrong"), now), LOGIN_REFUSED);
    assert_done(login_flush_failures(f->s, now));
}

static void test_a_lock_passes(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_operator(f);

    lock_by_failures(f, NOW);
    struct user user = scene_read_user(f, &id);
    assert_true(user.locked_at == NOW && user.locked_until == NOW + FAILURES_LOCK_MS);
    assert_done(lockout_lift(f->s, NOW + FAILURES_LOCK_MS - 1));
    assert_int_equal(sign_in(f, password, NOW + FAILURES_LOCK_MS - 1), LOGIN_REFUSED);
    assert_int_equal(scene_records(f, "user.unlock"), 0);
    assert_done(lockout_lift(f->s, NOW + FAILURES_LOCK_MS));
    user = scene_read_user(f, &id);
    assert_true(user.locked_at == 0 && user.locked_until == 0 && user.failed_logins == 0);
    assert_int_equal(scene_records(f, "user.unlock"), 1);
    assert_int_equal(scene_notices(f, "account_unlocked"), 1);
    assert_int_equal(sign_in(f, password, NOW + FAILURES_LOCK_MS), 0);
    /* The limit is the same again. */
    lock_by_failures(f, NOW + FAILURES_LOCK_MS);
    assert_int_equal(sign_in(f, password, NOW + FAILURES_LOCK_MS), LOGIN_REFUSED);
}

static void test_another_node_follows(void **state)
{
    struct scene *f = *state;

    add_operator(f);
    lock_by_failures(f, NOW);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'user'"), 0);
    assert_done(lockout_lift(f->s, NOW + FAILURES_LOCK_MS));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'user'"), 1);
}

static void test_an_administrators_lock_stays(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_operator(f);
    struct account_power power = {.actor = &f->actor, .operator_ = true};
    const bool yes = true;
    struct user user;

    scene_user(f, &f->tenant, "eve", ROLE_OPERATOR, "none");
    lock_by_failures(f, NOW);
    assert_done(
        account_update(f->s, &f->a, &power, &id, &(struct user_patch){.locked = &yes}, NOW, &user));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM trail WHERE action = 'user.update' AND "
                                     "detail = '{\"locked\":[\"for a time\",\"yes\"]}'"),
                     1);
    assert_done(lockout_lift(f->s, NOW + (int64_t)1000 * FAILURES_LOCK_MS));
    assert_int_equal(sign_in(f, password, NOW), LOGIN_REFUSED);
    assert_int_equal(scene_read_user(f, &id).locked_at, NOW);
}

struct crossing {
    struct scene *f;
    struct uuid id;
    pthread_barrier_t begun, end;
};

static int lock_job(struct store_txn *t, void *arg)
{
    struct crossing *c = arg;
    struct arena a = arena_init(1 << 20);
    const bool yes = true;
    struct user_change change;
    int r = user_update(t, &a, NULL, &c->id, &(struct user_patch){.locked = &yes}, NOW, &change);

    arena_free(&a);
    pthread_barrier_wait(&c->begun);
    pthread_barrier_wait(&c->end);
    return r;
}

static void *lock_thread(void *arg)
{
    struct crossing *c = arg;

    assert_done(store_write(c->f->node.store, lock_job, c));
    return NULL;
}

static void *lift_thread(void *arg)
{
    struct crossing *c = arg;

    assert_done(lockout_lift(c->f->s, NOW + FAILURES_LOCK_MS));
    return NULL;
}

/* Whoever has read that the lock passed waits for the row, and finds another lock then. */
static void test_an_administrator_locks_as_the_lock_passes(void **state)
{
    struct scene *f = *state;
    struct crossing c = {.f = f, .id = add_operator(f)};
    pthread_t locking, lifting;

    scene_user(f, &f->tenant, "eve", ROLE_OPERATOR, "none");
    lock_by_failures(f, NOW);
    pthread_barrier_init(&c.begun, NULL, 2);
    pthread_barrier_init(&c.end, NULL, 2);
    assert_int_equal(pthread_create(&locking, NULL, lock_thread, &c), 0);
    pthread_barrier_wait(&c.begun);
    assert_int_equal(pthread_create(&lifting, NULL, lift_thread, &c), 0);
    fixture_await(scene_number(f, "SELECT count(*) FROM pg_locks w JOIN pg_locks h ON h.pid = w.pid"
                                  " WHERE NOT w.granted AND h.relation = 'users'::regclass") > 0);
    pthread_barrier_wait(&c.end);
    pthread_join(locking, NULL);
    pthread_join(lifting, NULL);
    pthread_barrier_destroy(&c.begun);
    pthread_barrier_destroy(&c.end);
    struct user user = scene_read_user(f, &c.id);
    assert_true(user.locked_at == NOW && user.locked_until == 0);
    assert_int_equal(scene_records(f, "user.unlock"), 0);
}

/* A clock that ran ahead when it locked does not lock for longer than any other. */
static void test_a_clock_that_was_put_back(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_operator(f);
    const int64_t year = (int64_t)365 * SCENE_DAY;

    lock_by_failures(f, NOW + year);
    assert_int_equal(scene_read_user(f, &id).locked_until, NOW + year + FAILURES_LOCK_MS);
    assert_done(lockout_lift(f->s, NOW));
    assert_int_equal(scene_read_user(f, &id).locked_at, 0);
}

/* Who is over a limit that was lowered is locked for a time as well, not for good. */
static void test_a_limit_that_was_lowered(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_operator(f);

    scene_run(f, "UPDATE users SET failed_logins = 50", NO_PARAMS);
    assert_int_equal(sign_in(f, password, NOW), LOGIN_REFUSED);
    assert_done(login_flush_failures(f->s, NOW));
    assert_int_equal(scene_read_user(f, &id).locked_until, NOW + FAILURES_LOCK_MS);
    assert_done(lockout_lift(f->s, NOW + FAILURES_LOCK_MS));
    assert_int_equal(sign_in(f, password, NOW + FAILURES_LOCK_MS), 0);
}

/* Nothing is written where there is nothing to lift. */
static void test_nothing_to_lift(void **state)
{
    struct scene *f = *state;

    add_operator(f);
    scene_count_statements(f);
    assert_done(lockout_lift(f->s, NOW));
    assert_int_equal(scene_statements(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_a_lock_passes),
        SCENE_BOTH(test_another_node_follows),
        SCENE_BOTH(test_an_administrators_lock_stays),
        FIXTURE_ON_POSTGRES(test_an_administrator_locks_as_the_lock_passes, scene),
        SCENE_BOTH(test_a_clock_that_was_put_back),
        SCENE_BOTH(test_a_limit_that_was_lowered),
        SCENE_BOTH(test_nothing_to_lift),
    };

    return FIXTURE_RUN(tests);
}
