/* Ending sessions: rows, feed, notice, trail and gate together, within the caller's bound. */
#include "sessions/revoke.h"

#include "base/clock.h"
#include "sessions/access.h"
#include "sessions/refresh.h"
#include "sessions/scene.h"

static int64_t ended_rows(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM families WHERE revoked_at IS NOT NULL");
}

static int64_t feed_entries(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM feed");
}

static int check(struct scene *f, struct str token, int64_t now)
{
    struct access access;

    return access_check_blocking(f->s, token, now, &access);
}

static void test_one_family(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family one = scene_begin(f, &user, NOW), two = scene_begin(f, &user, NOW);
    struct str token = scene_grant(f, &one, 0, NOW).access_token;
    struct str other = scene_grant(f, &two, 0, NOW).access_token;
    int64_t n = -1;

    assert_done(sessions_follow(f->s, NULL));
    assert_int_equal(check(f, token, NOW), 0);
    assert_done(
        session_revoke_family(f->s, &f->actor, &f->tenant, &one.id, STR("lost laptop"), NOW, &n));
    assert_int_equal(n, 1);
    assert_int_equal(check(f, token, NOW), ACCESS_REVOKED);
    assert_int_equal(check(f, other, NOW), 0);
    assert_int_equal(ended_rows(f), 1);
    assert_int_equal(scene_notices(f, "session_revoked"), 1);
    assert_int_equal(scene_records(f, "session.revoke"), 1);
    /* Again: nothing is left to end, and nobody hears of it twice. */
    assert_done(session_revoke_family(f->s, &f->actor, &f->tenant, &one.id, STR("again"), NOW, &n));
    assert_int_equal(n, 0);
    assert_int_equal(feed_entries(f), 1);
    assert_int_equal(scene_notices(f, "session_revoked"), 1);
    assert_int_equal(scene_records(f, "session.revoke"), 1);
    assert_int_equal(metric_value(&f->s->counters.revocations), 1);
}

static void test_unknown_and_foreign(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada"), nobody = uuid_new();
    struct session_family family = scene_begin(f, &user, NOW);
    int64_t n = 7;

    assert_int_equal(session_revoke_family(f->s, &f->actor, NULL, &nobody, STR("x"), NOW, &n),
                     REVOKE_UNKNOWN);
    assert_int_equal(
        session_revoke_family(f->s, &f->actor, &f->other, &family.id, STR("x"), NOW, &n),
        REVOKE_UNKNOWN);
    assert_int_equal(session_revoke_user(f->s, &f->actor, NULL, &nobody, STR("x"), NOW, &n),
                     REVOKE_UNKNOWN);
    assert_int_equal(session_revoke_user(f->s, &f->actor, &f->other, &user, STR("x"), NOW, &n),
                     REVOKE_UNKNOWN);
    assert_int_equal(n, 7);
    assert_int_equal(ended_rows(f), 0);
    assert_int_equal(feed_entries(f), 0);
    assert_false(gate_family_ended(f->s->gate, &family.id));
    /* Without a bound it is found. */
    assert_done(session_revoke_family(f->s, &f->actor, NULL, &family.id, STR("x"), NOW, &n));
    assert_int_equal(n, 1);
}

static void test_logout(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");
    struct session_family family = scene_begin(f, &ada, NOW);
    struct trail_actor actor = f->actor;
    int64_t n = 7;

    actor.user_id = bob;
    assert_int_equal(session_logout(f->s, &actor, &family.id, NOW, &n), REVOKE_UNKNOWN);
    assert_int_equal(n, 7);
    actor.user_id = ada;
    assert_done(session_logout(f->s, &actor, &family.id, NOW, &n));
    assert_int_equal(n, 1);
    assert_true(gate_family_ended(f->s->gate, &family.id));
    assert_int_equal(scene_notices(f, "session_revoked"), 0);
    assert_int_equal(scene_records(f, "session.logout"), 1);
    assert_done(session_logout(f->s, &actor, &family.id, NOW, &n));
    assert_int_equal(n, 0);
}

static void test_whole_user(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada"), other = scene_member(f, "bob");
    struct session_family families[3], foreign = scene_begin(f, &other, NOW);
    struct str tokens[3];
    int64_t n = -1;

    assert_done(sessions_follow(f->s, NULL));
    for (int i = 0; i < 3; i++) {
        families[i] = scene_begin(f, &user, NOW);
        tokens[i] = scene_grant(f, &families[i], 0, NOW).access_token;
        assert_int_equal(check(f, tokens[i], NOW), 0);
    }
    assert_done(session_revoke_user(f->s, &f->actor, &f->tenant, &user, STR("left"), NOW + 5, &n));
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(check(f, tokens[i], NOW + 5), ACCESS_REVOKED);
        assert_true(gate_family_ended(f->s->gate, &families[i].id));
    }
    assert_int_equal(check(f, scene_grant(f, &foreign, 0, NOW).access_token, NOW + 5), 0);
    assert_int_equal(scene_notices(f, "sessions_revoked"), 1);
    /* A session that begins afterwards, even in the same millisecond, is a new one. */
    struct session_family next = scene_begin(f, &user, NOW + 5);
    assert_int_equal(check(f, scene_grant(f, &next, 0, NOW + 5).access_token, NOW + 5), 0);
    /* Nothing to end is nobody to tell, but a record all the same. */
    assert_done(session_revoke_user(f->s, &f->actor, &f->tenant, &other, STR("x"), NOW + 6, &n));
    assert_done(session_revoke_user(f->s, &f->actor, &f->tenant, &other, STR("x"), NOW + 7, &n));
    assert_int_equal(n, 0);
    assert_int_equal(scene_notices(f, "sessions_revoked"), 2);
    assert_int_equal(scene_records(f, "session.revoke_user"), 3);
}

/* A session of a node whose clock is ahead ends with the others. */
static void test_fast_clock(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family ahead = scene_begin(f, &user, NOW + 30000);
    struct str token = scene_grant(f, &ahead, 0, NOW + 30000).access_token;
    struct scene_node other = scene_node_open(f);
    struct access access;
    int64_t n;

    assert_done(session_revoke_user(f->s, &f->actor, NULL, &user, STR("x"), NOW, &n));
    assert_int_equal(n, 1);
    assert_true(scene_read_user(f, &user).not_before >= NOW + 30000);
    /* Also for a node that sees no more than the account. */
    scene_run(f, "DELETE FROM feed", NO_PARAMS);
    assert_done(sessions_follow(other.s, NULL));
    assert_int_equal(access_check_blocking(other.s, token, NOW + 30000, &access), ACCESS_REVOKED);
    scene_node_close(&other);
}

struct all_but {
    const struct uuid *user, *keep;
    int64_t now, ended;
};

static int all_but_job(struct store_txn *t, void *arg)
{
    struct all_but *a = arg;

    return session_end_all(t, a->user, a->keep, STR("password changed"), a->now, &a->ended);
}

static void test_all_but_one(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family keep = scene_begin(f, &user, NOW), one = scene_begin(f, &user, NOW);
    struct session_family two = scene_begin(f, &user, NOW);
    struct all_but a = {.user = &user, .keep = &keep.id, .now = NOW};

    assert_done(sessions_follow(f->s, NULL));
    assert_done(store_write(f->node.store, all_but_job, &a));
    assert_int_equal(a.ended, 2);
    assert_done(session_settle_user(f->s, &user, NOW));
    assert_int_equal(check(f, scene_grant(f, &keep, 0, NOW).access_token, NOW), 0);
    assert_int_equal(check(f, scene_grant(f, &one, 0, NOW).access_token, NOW), ACCESS_REVOKED);
    assert_int_equal(check(f, scene_grant(f, &two, 0, NOW).access_token, NOW), ACCESS_REVOKED);
}

enum { DEAD = 20 };

/* One that lives, and many that are over: half of them begun before the one that is kept. */
static struct session_family begin_over(struct scene *f, const struct uuid *user,
                                        struct session_family dead[DEAD], int64_t now,
                                        struct session_family *ret_live)
{
    struct session_family keep;

    for (int i = 0; i < DEAD; i++) {
        if (i == DEAD / 2)
            keep = scene_begin(f, user, NOW + (int64_t)i * 1000);
        dead[i] = scene_begin(f, user, NOW + (int64_t)i * 1000 + 10);
    }
    *ret_live = scene_begin(f, user, now - 1000);
    scene_run(f, "UPDATE families SET idle_expires_at = $2, issued_at = $3 WHERE id = $1",
              PARAMS(P_ID(&keep.id), P_INT(now + SCENE_DAY), P_INT(now)));
    return keep;
}

static int refresh(struct scene *f, const struct session_family *family, int64_t now)
{
    struct session_grant grant = scene_grant(f, family, 0, NOW);
    struct refresh_input input = {.token = grant.refresh_token, .now = now};

    return session_refresh(f->s, &f->a, &input, &grant);
}

static int64_t family_entries(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'family'");
}

/* What was over leaves no entries, and lives for no other clock all the same. */
static void test_many_are_over(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    int64_t now = NOW + 20 * (int64_t)SCENE_DAY;
    struct session_family dead[DEAD], live, keep = begin_over(f, &user, dead, now, &live);
    struct all_but a = {.user = &user, .keep = &keep.id, .now = now};
    struct str token = scene_grant(f, &live, 0, now).access_token;
    struct str kept = scene_grant(f, &keep, 0, now).access_token;

    assert_done(sessions_follow(f->s, NULL));
    assert_done(store_write(f->node.store, all_but_job, &a));
    assert_int_equal(a.ended, 1);
    assert_int_equal(family_entries(f), 1);
    assert_int_equal(feed_entries(f), 2);
    assert_int_equal(ended_rows(f), 1 + DEAD / 2); /* an epoch ends the others */
    assert_done(session_settle_user(f->s, &user, now));
    assert_int_equal(check(f, token, now), ACCESS_REVOKED);
    assert_int_equal(check(f, kept, now), 0);
    for (int i = 0; i < DEAD; i++)
        assert_int_equal(refresh(f, &dead[i], NOW + SCENE_DAY), REFRESH_REVOKED);
    assert_int_equal(refresh(f, &keep, now), 0);
    /* Again: there is nothing left. */
    assert_done(store_write(f->node.store, all_but_job, &a));
    assert_int_equal(a.ended, 0);
    assert_int_equal(ended_rows(f), 1 + DEAD / 2);
}

static void test_many_are_over_and_none_is_kept(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    int64_t now = NOW + 20 * (int64_t)SCENE_DAY, n = -1;
    struct session_family dead[DEAD], live;

    begin_over(f, &user, dead, now, &live);
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &user, STR("x"), now, &n));
    assert_int_equal(n, 2);
    assert_int_equal(family_entries(f), 2);
    assert_int_equal(feed_entries(f), 3);
    assert_int_equal(ended_rows(f), 2);
    for (int i = 0; i < DEAD; i++)
        assert_int_equal(refresh(f, &dead[i], NOW + SCENE_DAY), REFRESH_REVOKED);
}

/* What has only just been over, by this clock, may have tokens that live by another. */
static void test_just_over(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family keep = scene_begin(f, &user, NOW), just = scene_begin(f, &user, NOW);
    struct session_family ahead = scene_begin(f, &user, NOW), long_ago = scene_begin(f, &user, NOW);
    struct all_but a = {.user = &user, .keep = &keep.id, .now = NOW + 20 * (int64_t)SCENE_DAY};
    int64_t life = session_access_horizon(a.now) - a.now;
    static const char sql[] =
        "UPDATE families SET idle_expires_at = $2, issued_at = $3 WHERE id = $1";

    scene_run(f, sql, PARAMS(P_ID(&just.id), P_INT(a.now - life + 1), P_INT(NOW)));
    scene_run(f, sql, PARAMS(P_ID(&ahead.id), P_INT(NOW + 1), P_INT(a.now - life + 1)));
    scene_run(f, sql, PARAMS(P_ID(&long_ago.id), P_INT(a.now - life), P_INT(a.now - life)));
    assert_done(store_write(f->node.store, all_but_job, &a));
    assert_int_equal(a.ended, 0);
    assert_int_equal(ended_rows(f), 3);
    assert_int_equal(family_entries(f), 2);
    assert_int_equal(
        scene_run(f, "UPDATE feed SET at = at WHERE subject_id = $1", PARAMS(P_ID(&long_ago.id))),
        0);
}

/* Sessions that were over already are not counted as ended, nor told. */
static void test_expired(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &user, NOW);
    int64_t n = -1, later = NOW + 100 * (int64_t)SCENE_DAY;

    assert_done(session_revoke_family(f->s, &f->actor, NULL, &family.id, STR("x"), later, &n));
    assert_int_equal(n, 0);
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &user, STR("x"), later, &n));
    assert_int_equal(n, 0);
    assert_int_equal(
        scene_number(f, "SELECT count(*) FROM notifications WHERE kind <> 'new_device'"), 0);
}

/* Another node follows each of them within a second. */
static void test_seen_by_another_node(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct uuid ada = scene_member(f, "ada"), bob = scene_member(f, "bob");
    int64_t now = clock_now(), n;
    struct session_family one = scene_begin(f, &ada, now), two = scene_begin(f, &bob, now);
    struct str first = scene_grant(f, &one, 0, now).access_token;
    struct str second = scene_grant(f, &two, 0, now).access_token;
    struct access access;

    assert_done(sessions_follow(other.s, NULL));
    assert_int_equal(access_check_blocking(other.s, first, now, &access), 0);
    assert_int_equal(access_check_blocking(other.s, second, now, &access), 0);
    assert_done(session_revoke_family(f->s, &f->actor, NULL, &one.id, STR("x"), now, &n));
    fixture_await(access_check_blocking(other.s, first, now, &access) == ACCESS_REVOKED);
    assert_int_equal(access_check_blocking(other.s, second, now, &access), 0);
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &bob, STR("x"), now, &n));
    fixture_await(access_check_blocking(other.s, second, now, &access) == ACCESS_REVOKED);
    scene_node_close(&other);
}

/* What a token says of itself, and what the account says of it. */
static void test_access_outcomes(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &user, NOW);
    struct str token = scene_grant(f, &family, 0, NOW).access_token;
    struct access access;

    assert_int_equal(access_check(f->s, token, NOW, &access), ACCESS_STALE);
    assert_done(sessions_follow(f->s, NULL));
    assert_int_equal(access_check(f->s, STR("x"), NOW, &access), ACCESS_INVALID);
    assert_int_equal(access_check(f->s, token, NOW + 900000, &access), ACCESS_EXPIRED);
    assert_int_equal(access_check(f->s, token, NOW, &access), ACCESS_MISS);
    assert_int_equal(check(f, token, NOW), 0);
    assert_int_equal(access_check(f->s, token, NOW, &access), 0);
    assert_string_equal(access.account.email, "ada@example.com");
    scene_run(f, "UPDATE users SET disabled = 1", NO_PARAMS);
    gate_account_forget(f->s->gate, &user);
    assert_int_equal(check(f, token, NOW), ACCESS_REVOKED);
    scene_run(f, "DELETE FROM users", NO_PARAMS);
    gate_account_forget(f->s->gate, &user);
    assert_int_equal(check(f, token, NOW), ACCESS_REVOKED);
}

enum { AHEAD = 600 * 1000 };

/* A session that was begun and granted ahead of now, and rotated after the clock was put back. */
static struct str grant_ahead(struct scene *f, const struct uuid *user, struct session_family *ret)
{
    struct session_grant grant;

    *ret = scene_begin(f, user, NOW + AHEAD);
    struct refresh_input input = {.token = scene_grant(f, ret, 0, NOW).refresh_token, .now = NOW};
    assert_done(session_refresh(f->s, &f->a, &input, &grant));
    return scene_grant(f, ret, 0, NOW + AHEAD).access_token;
}

/* The gate and the feed remember an ended family for as long as the tokens that are out can live.
 */
static void test_a_clock_put_back(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family family;
    struct str token = grant_ahead(f, &user, &family);
    int64_t n, last = NOW + AHEAD + 900 * 1000 - 1;

    assert_done(sessions_follow(f->s, NULL));
    assert_int_equal(check(f, token, last), 0);
    assert_done(session_revoke_family(f->s, &f->actor, NULL, &family.id, STR("x"), NOW, &n));
    assert_int_equal(n, 1);
    gate_reap(f->s->gate, last);
    assert_int_equal(check(f, token, last), ACCESS_REVOKED);
    assert_true(scene_number(f, "SELECT expires_at FROM feed") > last);
}

static void test_a_clock_put_back_and_all_but_one(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "ada");
    struct session_family family, keep = scene_begin(f, &user, NOW);
    struct str token = grant_ahead(f, &user, &family);
    struct all_but a = {.user = &user, .keep = &keep.id, .now = NOW};
    int64_t last = NOW + AHEAD + 900 * 1000 - 1;

    assert_done(sessions_follow(f->s, NULL));
    assert_done(store_write(f->node.store, all_but_job, &a));
    assert_done(session_settle_user(f->s, &user, NOW));
    gate_reap(f->s->gate, last);
    assert_int_equal(check(f, token, last), ACCESS_REVOKED);
    assert_true(scene_number(f, "SELECT min(expires_at) FROM feed WHERE kind = 'family'") > last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_one_family),
        SCENE_BOTH(test_unknown_and_foreign),
        SCENE_BOTH(test_logout),
        SCENE_BOTH(test_whole_user),
        SCENE_BOTH(test_fast_clock),
        SCENE_BOTH(test_all_but_one),
        SCENE_BOTH(test_many_are_over),
        SCENE_BOTH(test_many_are_over_and_none_is_kept),
        SCENE_BOTH(test_just_over),
        SCENE_BOTH(test_expired),
        SCENE_BOTH(test_seen_by_another_node),
        SCENE_BOTH(test_access_outcomes),
        SCENE_BOTH(test_a_clock_put_back),
        SCENE_BOTH(test_a_clock_put_back_and_all_but_one),
    };
    return FIXTURE_RUN(tests);
}
