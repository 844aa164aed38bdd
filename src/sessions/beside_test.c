/*
 * What commits beside an act on PostgreSQL: beside a mass revocation in the very moment before it,
 * or the sign-in beside it, takes the lock of the trail; beside a change of one user in the moment
 * before that writes the user. On SQLite one transaction runs at a time.
 */
#include "sessions/account.h"
#include "sessions/mass.h"
#include "sessions/overview.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"
#include "store/internal.h"

static const struct store_driver *inner;
static int (*meanwhile)(void);
static int outcome; /* of it */
static struct scene *scene;
static struct scene_node other;
static struct uuid ada, eve, bob;

static void *act(void *arg)
{
    outcome = meanwhile();
    return NULL;
}

/* On a thread of its own, as a job begins no other. */
static void act_now(void)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, act, NULL);

    if (r == 0)
        r = pthread_join(thread, NULL);
    outcome = r ? r : outcome;
    meanwhile = NULL;
}

static int lock_later(struct store_txn *t, int64_t number)
{
    if (number == STORE_LOCK_TRAIL && meanwhile)
        act_now();
    return inner->lock(t, number);
}

static int write_later(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    if (strstr(call->sql, "UPDATE users") && meanwhile)
        act_now();
    return inner->exec(t, call, ret_changed);
}

/* Ada has a session since NOW, Eve and Bob have none. */
static struct store_driver driver;

static void begin(void **state)
{

    scene = *state;
    ada = scene_member(scene, "ada");
    eve = scene_member(scene, "eve");
    bob = scene_member(scene, "bob");
    scene_begin(scene, &ada, NOW);
    other = scene_node_open(scene);
    inner = scene->node.store->driver;
    driver = *inner;
    driver.lock = lock_later;
    scene->node.store->driver = &driver;
}

/* As above, for changes of one user. */
static void begin_change(void **state)
{
    begin(state);
    driver.lock = inner->lock;
    driver.exec = write_later;
}

static void end(void)
{
    assert_null(meanwhile);
    assert_done(outcome);
    scene->node.store->driver = inner;
    scene_node_close(&other);
}

/* Ada and Eve by a node; Bob is not named. */
static int revoke_by(struct scene_node *node, int64_t now, struct mass_totals *totals)
{
    struct mass_options options = {.reason = STR("breach"), .now = now};
    struct uuid ids[] = {ada, eve};
    struct mass_result results[2];

    *totals = (struct mass_totals){0};
    return mass_revoke(node->s, &scene->actor, &options, ids, 2, results, totals);
}

static struct mass_totals revoke(int64_t now)
{
    struct mass_totals totals;

    assert_done(revoke_by(&scene->node, now, &totals));
    return totals;
}

struct beginning {
    struct scene_node *node;
    struct login_input input;
    struct login_session session;
};

static int begin_job(struct store_txn *t, void *arg)
{
    struct beginning *b = arg;

    return login_begin(b->node->s, t, &scene->a, &b->input, &b->session);
}

static int sign_in(struct scene_node *node, const struct uuid *user, int64_t now)
{
    struct beginning b = {.node = node,
                          .input = {.ip = STR("192.0.2.9"), .user_agent = STR("Tests"), .now = now},
                          .session = {.user = scene_read_user(scene, user), .amr = JWT_AMR_PWD}};

    return store_write(node->store, begin_job, &b);
}

static int64_t active(const struct uuid *user)
{
    struct overview view;

    assert_done(overview_audit(scene->s, &scene->a, NULL, user, NOW + 100, &view));
    return view.active_sessions;
}

static int revoke_all(void)
{
    struct mass_totals totals;
    int r = revoke_by(&other, NOW + 2, &totals);

    return r ? r : totals.sessions != 1;
}

/* Its time lies after that of the revocation, but its password was verified before. */
static void test_sign_in_is_overtaken(void **state)
{
    begin(state);
    meanwhile = revoke_all;
    assert_int_equal(sign_in(&scene->node, &ada, NOW + 5), LOGIN_REFUSED);
    assert_int_equal(active(&ada), 0);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM families"), 1);
    assert_int_equal(scene_records(scene, "user.login"), 1);
    assert_done(sign_in(&scene->node, &ada, NOW + 5));
    assert_int_equal(active(&ada), 1);
    end();
}

static int sign_in_late(void)
{
    const struct uuid *users[] = {&ada, &eve, &eve, &bob};
    int r = 0;

    for (int i = 0; r == 0 && i < 4; i++)
        r = sign_in(&other, users[i], NOW + 5 + i);
    return r;
}

/* Sessions that begin while it runs are found, counted, ended and told. */
static void test_sessions_begin_late(void **state)
{
    begin(state);
    meanwhile = sign_in_late;
    struct mass_totals totals = revoke(NOW + 2);
    assert_int_equal(totals.sessions, 4);
    assert_int_equal(totals.users_with_sessions, 2);
    assert_int_equal(active(&ada), 0);
    assert_int_equal(active(&eve), 0);
    assert_int_equal(active(&bob), 1);
    assert_int_equal(scene_read_user(scene, &ada).not_before, NOW + 5);
    assert_int_equal(scene_read_user(scene, &eve).not_before, NOW + 7);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 2);
    assert_int_equal(revoke(NOW + 3).sessions, 0);
    end();
}

static int newest_family(const struct uuid *user, struct uuid *ret)
{
    struct overview view;
    int r = overview_audit(other.s, &scene->a, NULL, user, NOW + 100, &view);

    if (r == 0)
        *ret = view.families[0].id;
    return r;
}

static int sign_in_slowly(void)
{
    return sign_in(&other, &ada, NOW + 1);
}

/* One of before the revocation that becomes visible behind its count is ended all the same. */
static void test_session_began_before(void **state)
{
    begin(state);
    meanwhile = sign_in_slowly;
    assert_int_equal(revoke(NOW + 2).sessions, 1);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM families"), 2);
    assert_int_equal(active(&ada), 0);
    end();
}

/* No session is ended, and nobody is told, twice. */
static void test_another_revocation(void **state)
{
    begin(state);
    meanwhile = revoke_all;
    struct mass_totals totals = revoke(NOW + 3);
    assert_int_equal(totals.matched, 2);
    assert_int_equal(totals.sessions, 0);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(scene_records(scene, "session.revoke_mass"), 2);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM epochs"), 4);
    end();
}

static int64_t ended; /* by the act on one alone */

static int revoke_ada(void)
{
    return session_revoke_user(other.s, &scene->actor, NULL, &ada, STR("lost"), NOW + 2, &ended);
}

static int end_a_session(void)
{
    struct uuid id;
    int r = newest_family(&ada, &id);

    return r ? r
             : session_revoke_family(other.s, &scene->actor, NULL, &id, STR("lost"), NOW + 2,
                                     &ended);
}

/* What one act has ended and told, the mass revocation neither counts nor tells. */
static void test_one_user_is_revoked(void **state)
{
    begin(state);
    meanwhile = revoke_ada;
    struct mass_totals totals = revoke(NOW + 3);
    assert_int_equal(ended, 1);
    assert_int_equal(totals.matched, 2);
    assert_int_equal(totals.unknown, 0);
    assert_int_equal(totals.sessions, 0);
    assert_int_equal(totals.users_with_sessions, 0);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(
        scene_number(scene, "SELECT count(*) FROM notifications WHERE detail = 'lost'"), 1);
    end();
}

static void test_one_session_is_ended(void **state)
{
    begin(state);
    assert_done(sign_in(&scene->node, &ada, NOW + 1));
    meanwhile = end_a_session;
    struct mass_totals totals = revoke(NOW + 3);
    assert_int_equal(ended, 1);
    assert_int_equal(totals.sessions, 1);
    assert_int_equal(totals.users_with_sessions, 1);
    assert_int_equal(scene_notices(scene, "session_revoked"), 1);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(active(&ada), 0);
    end();
}

/* The same, the other way round. */
static void test_revoking_one_is_overtaken(void **state)
{
    int64_t n = -1;

    begin(state);
    meanwhile = revoke_all;
    assert_done(
        session_revoke_user(scene->node.s, &scene->actor, NULL, &ada, STR("lost"), NOW + 3, &n));
    assert_int_equal(n, 0);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM families"
                                         " WHERE revoked_at IS NOT NULL"),
                     0);
    assert_int_equal(scene_read_user(scene, &ada).not_before, NOW + 4);
    assert_int_equal(active(&ada), 0);
    end();
}

static void test_ending_one_is_overtaken(void **state)
{
    struct uuid id;
    int64_t n = -1;

    begin(state);
    assert_done(newest_family(&ada, &id));
    meanwhile = revoke_all;
    assert_done(
        session_revoke_family(scene->node.s, &scene->actor, NULL, &id, STR("lost"), NOW + 3, &n));
    assert_int_equal(n, 0);
    assert_int_equal(scene_notices(scene, "session_revoked"), 0);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(scene_records(scene, "session.revoke"), 0);
    assert_int_equal(active(&ada), 0);
    end();
}

/* Also in the same millisecond and for the same reason. */
static void test_the_same_is_overtaken(void **state)
{
    struct uuid id;
    int64_t n = -1;

    begin(state);
    assert_done(newest_family(&ada, &id));
    meanwhile = revoke_all;
    assert_done(
        session_revoke_family(scene->node.s, &scene->actor, NULL, &id, STR("breach"), NOW + 2, &n));
    assert_int_equal(n, 0);
    assert_int_equal(scene_notices(scene, "session_revoked"), 0);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    end();
}

static int delete_ada(void)
{
    struct account_power power = {.actor = &scene->actor, .operator_ = true};

    return account_delete(other.s, &scene->a, &power, &ada, NOW + 2);
}

/* Nothing is left of who is deleted. */
static void test_user_is_deleted(void **state)
{
    begin(state);
    meanwhile = delete_ada;
    struct mass_totals totals = revoke(NOW + 3);
    assert_int_equal(totals.matched, 1);
    assert_int_equal(totals.unknown, 1);
    assert_int_equal(totals.sessions, 0);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM notifications"), 0);
    end();
}

static void test_deleting_is_overtaken(void **state)
{
    struct account_power power = {.actor = NULL, .operator_ = true};

    begin(state);
    power.actor = &scene->actor;
    meanwhile = revoke_all;
    assert_done(account_delete(scene->node.s, &scene->a, &power, &ada, NOW + 3));
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM notifications"), 0);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM epochs"), 1); /* Eve's */
    end();
}

/* An epoch of just this time stands in the way of none. */
static int add_epoch(void)
{
    return store_run(other.store,
                     "INSERT INTO epochs (user_id, not_before, at, reason) VALUES ($1, $2, $2, $3)",
                     NULL, PARAMS(P_ID(&eve), P_INT(NOW + 2), P_TEXT(STR("x"))));
}

static void test_epoch_is_there(void **state)
{
    begin(state);
    assert_done(add_epoch());
    struct mass_totals totals = revoke(NOW + 2);
    assert_int_equal(totals.matched, 2);
    assert_int_equal(totals.sessions, 1);
    assert_int_equal(scene_notices(scene, "sessions_revoked"), 1);
    assert_int_equal(scene_records(scene, "session.revoke_mass"), 1);
    assert_true(scene_read_user(scene, &ada).not_before >= NOW + 2);
    assert_true(scene_read_user(scene, &eve).not_before >= NOW + 2);
    end();
}

static int change(struct scene_node *node, bool operator_, struct user_patch patch)
{
    struct account_power power = {.actor = &scene->actor,
                                  .tenant = operator_ ? NULL : &scene->tenant,
                                  .operator_ = operator_};
    struct user user;

    return account_update(node->s, &scene->a, &power, &ada, &patch, NOW + 2, &user);
}

static int enable_and_sign_in(void)
{
    int r = change(&other, true, (struct user_patch){.disabled = &(bool){false}});

    return r ? r : sign_in(&other, &ada, NOW + 1);
}

/* What began since the account was enabled is ended by disabling it again. */
static void test_disabling_is_overtaken(void **state)
{
    begin_change(state);
    assert_done(change(&other, true, (struct user_patch){.disabled = &(bool){true}}));
    meanwhile = enable_and_sign_in;
    assert_done(change(&scene->node, true, (struct user_patch){.disabled = &(bool){true}}));
    assert_done(change(&other, true, (struct user_patch){.disabled = &(bool){false}}));
    assert_int_equal(active(&ada), 0);
    assert_int_equal(scene_records(scene, "user.disable"), 2);
    end();
}

static int promote(void)
{
    return change(&other, true, (struct user_patch){.role = &(enum role){ROLE_OPERATOR}});
}

/* Who has just become an operator is beyond the power of an administrator of the tenant. */
static void test_power_is_overtaken(void **state)
{
    struct account_power power = {.tenant = NULL, .operator_ = false};

    begin_change(state);
    scene_user(scene, &scene->tenant, "root", ROLE_OPERATOR, "none");
    power.actor = &scene->actor;
    power.tenant = &scene->tenant;
    meanwhile = promote;
    assert_int_equal(
        change(&scene->node, false, (struct user_patch){.email = &STR("x@example.com")}),
        ACCOUNT_FORBIDDEN);
    assert_done(change(&other, true, (struct user_patch){.role = &(enum role){ROLE_MEMBER}}));
    meanwhile = promote;
    assert_int_equal(
        account_reset_password(scene->s, &scene->a, &power, &ada, STR("hash"), NOW + 2),
        ACCOUNT_FORBIDDEN);
    assert_done(change(&other, true, (struct user_patch){.role = &(enum role){ROLE_MEMBER}}));
    meanwhile = promote;
    assert_int_equal(account_delete(scene->s, &scene->a, &power, &ada, NOW + 2), ACCOUNT_FORBIDDEN);
    assert_int_equal(active(&ada), 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_ON_POSTGRES(test_sign_in_is_overtaken, scene),
        FIXTURE_ON_POSTGRES(test_sessions_begin_late, scene),
        FIXTURE_ON_POSTGRES(test_session_began_before, scene),
        FIXTURE_ON_POSTGRES(test_another_revocation, scene),
        FIXTURE_ON_POSTGRES(test_one_user_is_revoked, scene),
        FIXTURE_ON_POSTGRES(test_one_session_is_ended, scene),
        FIXTURE_ON_POSTGRES(test_revoking_one_is_overtaken, scene),
        FIXTURE_ON_POSTGRES(test_ending_one_is_overtaken, scene),
        FIXTURE_ON_POSTGRES(test_the_same_is_overtaken, scene),
        FIXTURE_ON_POSTGRES(test_user_is_deleted, scene),
        FIXTURE_ON_POSTGRES(test_deleting_is_overtaken, scene),
        SCENE_BOTH(test_epoch_is_there),
        FIXTURE_ON_POSTGRES(test_disabling_is_overtaken, scene),
        FIXTURE_ON_POSTGRES(test_power_is_overtaken, scene),
    };
    return FIXTURE_RUN(tests);
}
