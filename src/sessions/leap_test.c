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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_epoch_outlives_leap),
    };
    return FIXTURE_RUN(tests);
}
