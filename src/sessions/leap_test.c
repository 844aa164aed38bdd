/* What a clock that leaps ahead, and is put back again, does not undo. */
#include "sessions/access.h"
#include "sessions/mass.h"
#include "sessions/overview.h"
#include "sessions/refresh.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"

#define LEAP (400 * (int64_t)SCENE_DAY)

static int reap_epochs_job(struct store_txn *t, void *arg)
{
    struct uuid cursor = {{0}};

    return user_reap_epochs(t, NOW + LEAP, 100, &cursor, NULL);
}

static int64_t reap_epochs(struct scene *f)
{
    assert_done(store_write(f->node.store, reap_epochs_job, NULL));
    return scene_number(f, "SELECT count(*) FROM epochs");
}

static int check(struct scene *f, struct str token)
{
    struct access access;

    gate_forget_all(f->s->gate); /* as a node that has just begun */
    return access_check_blocking(f->s, token, NOW + 3, &access);
}

/* The families are gone, and tokens of theirs live: only the epoch knows. */
static void test_epoch_outlives_leap(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &ada, NOW);
    struct str token = scene_grant(f, &family, 0, NOW).access_token;
    struct mass_result result;
    struct mass_totals totals = {0};
    int64_t deleted;

    assert_done(sessions_follow(f->s, NULL));
    assert_done(check(f, token));
    assert_done(mass_revoke(f->s, &f->actor,
                            &(struct mass_options){.reason = STR("x"), .now = NOW + 1}, &ada, 1,
                            &result, &totals));
    assert_done(overview_reap(f->node.store, NOW + LEAP, 0, 100, &deleted));
    assert_int_equal(deleted, 1);
    assert_int_equal(reap_epochs(f), 1);
    assert_int_equal(check(f, token), ACCESS_REVOKED);
    scene_run(f, "DELETE FROM feed", NO_PARAMS); /* as feed_reap does in its time */
    assert_int_equal(reap_epochs(f), 0);
}

static int end_others_job(struct store_txn *t, void *arg)
{
    const struct session_family *keep = arg;
    int64_t ended = -1;
    int r = user_hold(t, &keep->user_id);

    if (r == 0)
        r = session_end_all(t, &keep->user_id, &keep->id, STR("x"), NOW + LEAP, &ended);
    assert_int_equal(ended, 0);
    return r;
}

/* By the clock that ends them these are over; by another they could be refreshed for months. */
static void test_over_by_one_clock(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    struct session_family families[3];
    struct session_grant grants[3];
    struct overview view;
    int64_t ended = -1;

    assert_done(sessions_follow(f->s, NULL));
    for (int i = 0; i < 3; i++) {
        families[i] = scene_begin(f, &ada, NOW + i);
        grants[i] = scene_grant(f, &families[i], 0, NOW + i);
    }
    assert_done(session_revoke_family(f->s, &f->actor, NULL, &families[0].id, STR("x"), NOW + LEAP,
                                      &ended));
    assert_int_equal(ended, 0);
    assert_int_equal(check(f, grants[0].access_token), ACCESS_REVOKED);
    assert_done(store_write(f->node.store, end_others_job, &families[2]));
    assert_done(session_settle_user(f->s, &ada, NOW + LEAP));
    for (int i = 0; i < 3; i++) {
        struct refresh_input input = {.token = grants[i].refresh_token, .now = NOW + 3};
        assert_int_equal(check(f, grants[i].access_token), i < 2 ? ACCESS_REVOKED : 0);
        assert_int_equal(session_refresh(f->s, &f->a, &input, &grants[i]),
                         i < 2 ? REFRESH_REVOKED : 0);
    }
    assert_done(overview_audit(f->s, &f->a, NULL, &ada, NOW + 3, &view));
    assert_int_equal(view.families[1].revoked_at, NOW + LEAP);
    assert_done(overview_audit(f->s, &f->a, NULL, &ada, NOW + LEAP, &view));
    assert_int_equal(view.families[1].revoked_at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_epoch_outlives_leap),
        SCENE_BOTH(test_over_by_one_clock),
    };
    return FIXTURE_RUN(tests);
}
