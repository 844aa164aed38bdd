/*
 * The order in which acts on one account take what they change: the same in all, or two of them at
 * once would wait for each other.
 */
#include "identity/preferences.h"
#include "sessions/account.h"
#include "sessions/mass.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"
#include "store/internal.h"

#include <stdatomic.h>

enum place { OPERATORS, USERS, FAMILIES, EPOCHS, TRAIL, PLACES };

/* When each was first taken, counted from 1; 0: never. */
static const struct store_driver *inner;
static int taken[PLACES], steps;

static void take(enum place place)
{
    steps++;
    if (taken[place] == 0)
        taken[place] = steps;
}

static void note(const char *sql)
{
    if (strstr(sql, "UPDATE users") || strstr(sql, "DELETE FROM users"))
        take(USERS);
    if (strstr(sql, "UPDATE families"))
        take(FAMILIES);
    if (strstr(sql, "INSERT INTO epochs"))
        take(EPOCHS);
}

static int noting_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    note(call->sql);
    return inner->exec(t, call, ret_changed);
}

static int noting_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret)
{
    note(call->sql);
    return inner->query(t, call, ret);
}

static int noting_add(struct store_txn *t, const struct store_addition *rows)
{
    note(rows->insert);
    return inner->add(t, rows);
}

static int noting_lock(struct store_txn *t, int64_t number)
{
    if (number == STORE_LOCK_OPERATORS)
        take(OPERATORS);
    if (number == STORE_LOCK_TRAIL)
        take(TRAIL);
    return inner->lock(t, number);
}

static void watch(struct scene *f)
{
    static struct store_driver driver;

    inner = f->node.store->driver;
    driver = *inner;
    driver.exec = noting_exec;
    driver.query = noting_query;
    driver.add = noting_add;
    driver.lock = noting_lock;
    f->node.store->driver = &driver;
}

static void begin(void)
{
    memset(taken, 0, sizeof taken);
    steps = 0;
}

/* What was taken ascends, and from first on all of it was. */
static void check(const char *what, enum place first)
{
    int before = 0;

    for (int place = 0; place < PLACES; place++) {
        if (taken[place] == 0 && place < (int)first)
            continue;
        if (taken[place] <= before)
            fail_msg("%s takes %d out of order", what, place);
        before = taken[place];
    }
}

static void test_order(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    struct account_power power = {.actor = &f->actor, .operator_ = true};
    const bool yes = true, no = false;
    struct mass_result result;
    struct mass_totals totals = {0};
    struct user user;
    int64_t n;

    scene_begin(f, &ada, NOW);
    watch(f);
    begin();
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &ada, STR("x"), NOW, &n));
    check("revoking", USERS);
    begin();
    assert_done(account_reset_password(f->s, &f->a, &power, &ada, STR("hash"), NOW));
    check("a new password", USERS);
    begin();
    assert_done(account_update(f->s, &f->a, &power, &ada, &(struct user_patch){.disabled = &yes},
                               NOW, &user));
    check("disabling", USERS);
    assert_true(taken[OPERATORS] > 0);
    assert_done(account_update(f->s, &f->a, &power, &ada, &(struct user_patch){.disabled = &no},
                               NOW, &user));
    scene_begin(f, &ada, NOW + 1);
    begin();
    assert_done(mass_revoke(f->s, &f->actor,
                            &(struct mass_options){.reason = STR("x"), .now = NOW + 2}, &ada, 1,
                            &result, &totals));
    check("a mass revocation", EPOCHS);
    assert_true(taken[USERS] == 0 && taken[FAMILIES] == 0); /* it waits for no one of them */
    begin();
    assert_done(account_delete(f->s, &f->a, &power, &ada, NOW));
    check("deleting", USERS);
    assert_true(taken[OPERATORS] > 0);
    f->node.store->driver = inner;
}

/* Two acts on PostgreSQL that wait for the lock of the trail, the first to get it first. */
static struct scene *scene;
static struct scene_node nodes[2];
static struct uuid ada, eve;
static atomic_int failures; /* of statements: PostgreSQL breaks a deadlock by one */

static int heed(int r)
{
    if (r < 0)
        atomic_fetch_add(&failures, 1);
    return r;
}

static int heeding_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    return heed(inner->exec(t, call, ret_changed));
}

static int heeding_query(struct store_txn *t, const struct store_call *call,
                         struct store_rows **ret)
{
    return heed(inner->query(t, call, ret));
}

static int heeding_add(struct store_txn *t, const struct store_addition *rows)
{
    return heed(inner->add(t, rows));
}

static int heeding_lock(struct store_txn *t, int64_t number)
{
    return heed(inner->lock(t, number));
}

/* Ada has a session since NOW, and one that is late for who revokes at NOW + 2. */
static void begin_two(void **state)
{
    static struct store_driver driver;

    scene = *state;
    ada = scene_member(scene, "ada");
    eve = scene_member(scene, "eve");
    scene_begin(scene, &ada, NOW);
    scene_begin(scene, &ada, NOW + 6);
    inner = scene->node.store->driver;
    driver = *inner;
    driver.exec = heeding_exec;
    driver.query = heeding_query;
    driver.add = heeding_add;
    driver.lock = heeding_lock;
    for (int i = 0; i < 2; i++) {
        nodes[i] = scene_node_open(scene);
        nodes[i].store->driver = &driver;
    }
    atomic_store(&failures, 0);
}

/* An act on Ada, perhaps with Eve, by a node. */
struct act {
    int (*run)(struct scene_node *node, int64_t now, int64_t *ret_ended);
    int64_t now, ended;
    struct scene_node *node;
    pthread_t thread;
    int r;
};

static int revoke_user(struct scene_node *node, int64_t now, int64_t *ret_ended)
{
    return session_revoke_user(node->s, &scene->actor, NULL, &ada, STR("lost"), now, ret_ended);
}

static int revoke_mass(struct scene_node *node, int64_t now, int64_t *ret_ended)
{
    struct mass_options options = {.reason = STR("breach"), .now = now};
    struct uuid ids[] = {ada, eve};
    struct mass_result results[2];
    struct mass_totals totals = {0};
    int r = mass_revoke(node->s, &scene->actor, &options, ids, 2, results, &totals);

    *ret_ended = totals.sessions;
    return r;
}

static int change_password_job(struct store_txn *t, void *arg)
{
    struct uuid keep = uuid_at(NOW + 9);
    int r = user_hold(t, &ada);

    return r ? r : session_end_all(t, &ada, &keep, STR("password changed"), NOW + 9, arg);
}

static int change_password(struct scene_node *node, int64_t now, int64_t *ret_ended)
{
    assert_int_equal(now, NOW + 9);
    return store_write(node->store, change_password_job, ret_ended);
}

static void *run_act(void *arg)
{
    struct act *act = arg;

    act->r = act->run(act->node, act->now, &act->ended);
    return NULL;
}

static int delete_user(struct scene_node *node, int64_t now, int64_t *ret_ended)
{
    struct account_power power = {.actor = &scene->actor, .operator_ = true};
    _cleanup_arena_ struct arena a = arena_init(1 << 16);

    *ret_ended = 0;
    return account_delete(node->s, &a, &power, &ada, now);
}

static int prefer_job(struct store_txn *t, void *arg)
{
    struct scene_node *node = arg;
    struct preferences preferences = {.updated_at = NOW};
    struct trail_event event = {.action = TRAIL_PREFERENCES_UPDATE, .subject_id = ada};
    int r = preferences_put(t, &ada, &preferences);

    return r ? r : trail_append(node->trail, t, &scene->actor, &event);
}

static int prefer(struct scene_node *node, int64_t now, int64_t *ret_ended)
{
    assert_int_equal(now, NOW);
    *ret_ended = 0;
    return store_write(node->store, prefer_job, node);
}

/* Who waits for this transaction, or for one who does. */
static const char waiting_sql[] =
    "WITH w AS (SELECT DISTINCT pid, pg_blocking_pids(pid) AS blocking FROM pg_locks"
    " WHERE NOT granted)"
    " SELECT count(*) FROM w WHERE pg_backend_pid() = ANY (blocking) OR EXISTS"
    " (SELECT 1 FROM w f WHERE pg_backend_pid() = ANY (f.blocking) AND f.pid = ANY (w.blocking))";

/* Holds the lock of the trail until both wait for it, or one of them for the other. */
static int begin_acts(struct store_txn *t, void *arg)
{
    struct act *acts = arg;
    int64_t waiting = 0;
    int r = store_lock(t, STORE_LOCK_TRAIL);

    for (int i = 0; r == 0 && i < 2; i++) {
        acts[i].node = &nodes[i];
        assert_int_equal(pthread_create(&acts[i].thread, NULL, run_act, &acts[i]), 0);
        fixture_await((r = store_number(t, waiting_sql, &waiting, NO_PARAMS)) != 0 ||
                      waiting == i + 1);
    }
    return r;
}

/* Neither waits for the other for good. */
static void run_two(struct act acts[2])
{
    assert_done(store_write(scene->node.store, begin_acts, acts));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(acts[i].thread, NULL), 0);
        scene_node_close(&nodes[i]);
    }
    assert_int_equal(atomic_load(&failures), 0);
    assert_done(acts[0].r);
}

/* And all of Ada's sessions are ended, each of them once. */
static void check_two(struct act first, struct act second)
{
    struct act acts[] = {first, second};

    run_two(acts);
    assert_done(acts[1].r);
    assert_int_equal(acts[0].ended + acts[1].ended, 2);
    assert_true(scene_read_user(scene, &ada).not_before >= NOW + 6);
}

/* An epoch of that time makes a mass revocation begin again, with the lock from the start. */
static void add_epoch(int64_t not_before)
{
    scene_run(scene, "INSERT INTO epochs (user_id, not_before, at, reason) VALUES ($1, $2, $2, $3)",
              PARAMS(P_ID(&eve), P_INT(not_before), P_TEXT(STR("x"))));
}

/* Both end the late session by an epoch: the mass revocation behind the lock, the other before. */
static void test_one_beside_late(void **state)
{
    begin_two(state);
    check_two((struct act){revoke_mass, NOW + 2}, (struct act){revoke_user, NOW + 2});
}

static void test_one_beside_alone(void **state)
{
    begin_two(state);
    add_epoch(NOW + 8);
    check_two((struct act){revoke_mass, NOW + 8}, (struct act){revoke_user, NOW + 8});
}

static void test_mass_beside_late(void **state)
{
    begin_two(state);
    check_two((struct act){revoke_mass, NOW + 2}, (struct act){revoke_mass, NOW + 6});
}

static void test_mass_beside_one(void **state)
{
    begin_two(state);
    check_two((struct act){revoke_user, NOW + 8}, (struct act){revoke_mass, NOW + 2});
}

/* What changes a password adds an epoch too, of before the session that stays. */
static void test_password_beside_alone(void **state)
{
    begin_two(state);
    add_epoch(NOW + 8);
    check_two((struct act){revoke_mass, NOW + 8}, (struct act){change_password, NOW + 9});
}

static void test_preferences_beside_deletion(void **state)
{
    struct act acts[] = {{delete_user, NOW + 8}, {prefer, NOW}};

    begin_two(state);
    run_two(acts);
    assert_int_equal(acts[1].r, USER_UNKNOWN);
}

static void test_deletion_beside_preferences(void **state)
{
    struct act acts[] = {{prefer, NOW}, {delete_user, NOW + 8}};

    begin_two(state);
    run_two(acts);
    assert_done(acts[1].r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_order),
        FIXTURE_ON_POSTGRES(test_one_beside_late, scene),
        FIXTURE_ON_POSTGRES(test_one_beside_alone, scene),
        FIXTURE_ON_POSTGRES(test_mass_beside_late, scene),
        FIXTURE_ON_POSTGRES(test_mass_beside_one, scene),
        FIXTURE_ON_POSTGRES(test_password_beside_alone, scene),
        FIXTURE_ON_POSTGRES(test_preferences_beside_deletion, scene),
        FIXTURE_ON_POSTGRES(test_deletion_beside_preferences, scene),
    };

    return FIXTURE_RUN(tests);
}
