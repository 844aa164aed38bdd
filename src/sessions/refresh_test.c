/* Rotation: every branch, and exactly one successor whatever happens at once. */
#include "sessions/refresh.h"

#include "base/clock.h"
#include "base/fault.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"

#include <stdatomic.h>

enum { PARALLEL = 12, ROUNDS = 5, GRACE = 10 * 1000 };

static struct refresh_input input_of(struct str token, int64_t now)
{
    return (struct refresh_input){
        .token = token, .ip = STR("192.0.2.9"), .user_agent = STR("Tests"), .now = now};
}

static int refresh(struct scene *f, struct str token, int64_t now, struct session_grant *ret)
{
    struct refresh_input input = input_of(token, now);

    return session_refresh(f->s, &f->a, &input, ret);
}

static struct str token_of(struct scene *f, const struct session_family *family, uint32_t n)
{
    return scene_grant(f, family, n, NOW).refresh_token;
}

static int64_t generation(struct scene *f)
{
    return scene_number(f, "SELECT max(generation) FROM families");
}

static bool ended(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM families WHERE revoked_at IS NOT NULL") == 1;
}

static struct session_family begin(struct scene *f)
{
    struct uuid user = scene_member(f, "ada");

    return scene_begin(f, &user, NOW);
}

static void test_rotation(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    struct jwt_claims claims;

    for (uint32_t n = 0; n < 5; n++) {
        int64_t now = NOW + 1000 * (n + 1);
        assert_done(refresh(f, token_of(f, &family, n), now, &grant));
        assert_true(str_eq(grant.refresh_token, token_of(f, &family, n + 1)));
        assert_true(uuid_eq(&grant.session_id, &family.id));
        assert_int_equal(grant.expires_in, 900);
        assert_done(jwt_verify(f->s->jwt, grant.access_token, now, &claims));
        assert_true(uuid_eq(&claims.sid, &family.id));
        assert_true(uuid_eq(&claims.sub, &family.user_id));
        assert_int_equal(generation(f), n + 1);
        assert_int_equal(scene_number(f, "SELECT rotated_at FROM families"), now);
    }
    assert_int_equal(scene_number(f, "SELECT count(*) FROM families"), 1);
    assert_int_equal(metric_value(&f->s->counters.refreshes), 5);
}

static void test_invalid(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f), stranger = family;
    struct session_grant grant;
    struct str good = token_of(f, &family, 0);
    char bad[REFRESH_TOKEN_TEXT_SIZE] = "";

    assert_int_equal(refresh(f, STR(""), NOW, &grant), REFRESH_INVALID);
    assert_int_equal(refresh(f, STR("hfr_"), NOW, &grant), REFRESH_INVALID);
    memcpy(bad, good.p, REFRESH_TOKEN_TEXT);
    bad[good.n - 5] = bad[good.n - 5] == 'A' ? 'B' : 'A';
    assert_int_equal(refresh(f, str_of(bad), NOW, &grant), REFRESH_INVALID);
    stranger.id = uuid_new();
    assert_int_equal(refresh(f, token_of(f, &stranger, 0), NOW, &grant), REFRESH_INVALID);
    /* Who knows a family's id alone cannot end it, at whatever generation they claim. */
    stranger = family;
    stranger.seed[0] ^= 1;
    for (uint32_t n = 0; n < 3; n++)
        assert_int_equal(refresh(f, token_of(f, &stranger, n), NOW, &grant), REFRESH_INVALID);
    assert_false(ended(f));
    assert_int_equal(generation(f), 0);
    assert_int_equal(metric_value(&f->s->counters.refresh_refusals), 7);
    assert_done(refresh(f, good, NOW, &grant));
}

/* The window begins at the rotation, does not slide, and is closed at its end. */
static void test_grace(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant first, again;
    struct str token = token_of(f, &family, 0);

    assert_done(refresh(f, token, NOW + 1000, &first));
    for (int64_t after = 0; after <= GRACE; after += GRACE / 4) {
        assert_done(refresh(f, token, NOW + 1000 + after, &again));
        assert_true(str_eq(first.refresh_token, again.refresh_token));
    }
    assert_int_equal(generation(f), 1);
    assert_int_equal(metric_value(&f->s->counters.refresh_graces), 5);
    assert_int_equal(refresh(f, token, NOW + 1000 + GRACE + 1, &again), REFRESH_REUSED);
    assert_true(ended(f));
}

/* The window is whole for who had to wait for a worker, and is judged by when a request came. */
static void test_grace_of_a_request_that_waited(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant first, again;
    struct str token = token_of(f, &family, 0);
    struct refresh_input input = input_of(token, NOW);

    input.rotate_at = NOW + 30000;
    assert_done(session_refresh(f->s, &f->a, &input, &first));
    assert_int_equal(scene_number(f, "SELECT rotated_at FROM families"), NOW + 30000);
    input.now = NOW + 30000 + GRACE;
    input.rotate_at = NOW + 90000;
    assert_done(session_refresh(f->s, &f->a, &input, &again));
    assert_true(str_eq(first.refresh_token, again.refresh_token));
    input.now++;
    assert_int_equal(session_refresh(f->s, &f->a, &input, &again), REFRESH_REUSED);
}

/* A node whose clock is behind sees the rotation in its future. */
static void test_grace_of_a_slow_clock(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    assert_done(refresh(f, token_of(f, &family, 0), NOW + 5000, &grant));
    assert_done(refresh(f, token_of(f, &family, 0), NOW + 1000, &grant));
    assert_int_equal(generation(f), 1);
}

static void test_no_grace(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    f->config->refresh_grace_s = 0;
    assert_done(refresh(f, token_of(f, &family, 0), NOW, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW, &grant), REFRESH_REUSED);
    assert_true(ended(f));
}

/* The grace is the predecessor's alone. */
static void test_grand_predecessor(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    assert_done(refresh(f, token_of(f, &family, 0), NOW, &grant));
    assert_done(refresh(f, token_of(f, &family, 1), NOW, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW, &grant), REFRESH_REUSED);
    assert_true(ended(f));
}

/* Reuse ends this family, its access tokens with it, tells the user, and nothing else. */
static void test_reuse(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f), other;
    struct session_grant grant;

    other = scene_begin(f, &family.user_id, NOW);
    assert_done(refresh(f, token_of(f, &family, 0), NOW, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW + GRACE + 1, &grant), REFRESH_REUSED);
    assert_true(gate_family_ended(f->s->gate, &family.id));
    assert_false(gate_family_ended(f->s->gate, &other.id));
    assert_true(ended(f));
    assert_int_equal(scene_notices(f, "token_reused"), 1);
    assert_int_equal(scene_records(f, "session.reuse"), 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed WHERE kind = 'family'"), 1);
    /* Afterwards every token of it is of an ended session, and nobody is told again. */
    for (uint32_t n = 0; n < 4; n++)
        assert_int_equal(refresh(f, token_of(f, &family, n), NOW + GRACE + 2, &grant),
                         REFRESH_REVOKED);
    assert_int_equal(scene_notices(f, "token_reused"), 1);
    assert_int_equal(metric_value(&f->s->counters.reuses), 1);
    assert_done(refresh(f, token_of(f, &other, 0), NOW, &grant));
}

/* Where it cannot be recorded the row does not move: the token is as good as before. */
static void test_forward_without_a_record(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    struct str token = token_of(f, &family, 7);

    scene_run(f, "UPDATE trail_head SET seq = seq + 1", NO_PARAMS);
    assert_int_equal(refresh(f, token, NOW, &grant), FAULT_STORE);
    assert_int_equal(generation(f), 0);
    assert_int_equal(metric_value(&f->s->counters.refresh_forwards), 0);
    scene_run(f, "UPDATE trail_head SET seq = seq - 1", NO_PARAMS);
    assert_done(refresh(f, token, NOW + 2 * GRACE, &grant));
    assert_int_equal(generation(f), 8);
    assert_int_equal(scene_records(f, "session.forward"), 1);
}

/* A restored database is behind its users: the row moves forward, and the session lives on. */
static void test_forward(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    assert_done(refresh(f, token_of(f, &family, 41), NOW, &grant));
    assert_int_equal(generation(f), 42);
    assert_true(str_eq(grant.refresh_token, token_of(f, &family, 42)));
    assert_int_equal(scene_records(f, "session.forward"), 1);
    assert_int_equal(metric_value(&f->s->counters.refresh_forwards), 1);
    /* From here all is as ever: grace for its predecessor, reuse before. */
    assert_done(refresh(f, token_of(f, &family, 41), NOW, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW, &grant), REFRESH_REUSED);
}

static void test_last_generation(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    assert_done(refresh(f, token_of(f, &family, REFRESH_GENERATION_MAX - 1), NOW, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, REFRESH_GENERATION_MAX), NOW, &grant),
                     REFRESH_EXPIRED);
}

static void test_expiry(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    int64_t idle = 14 * (int64_t)SCENE_DAY, whole = 90 * (int64_t)SCENE_DAY, now = NOW;
    uint32_t n = 0;

    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW + idle, &grant), REFRESH_EXPIRED);
    /* Each use moves the idle limit on, and none the absolute one. */
    while (now + idle - 1 < NOW + whole) {
        now += idle - 1;
        assert_done(refresh(f, token_of(f, &family, n++), now, &grant));
    }
    assert_done(refresh(f, token_of(f, &family, n++), NOW + whole - 1, &grant));
    assert_int_equal(refresh(f, token_of(f, &family, n), NOW + whole, &grant), REFRESH_EXPIRED);
    /* An expired token that was used before ends nothing: it is only expired. */
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW + whole, &grant), REFRESH_EXPIRED);
    assert_false(ended(f));
}

/* An access token does not outlive the session that it is of. */
static void test_access_token_ends_with_the_session(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    int64_t end = NOW + 90 * (int64_t)SCENE_DAY;
    struct jwt_claims claims;
    struct session_grant grant;

    scene_run(f, "UPDATE families SET idle_expires_at = expires_at", NO_PARAMS);
    assert_done(refresh(f, token_of(f, &family, 0), end - 60 * CLOCK_SECOND, &grant));
    assert_int_equal(grant.expires_in, 60);
    assert_done(jwt_verify(f->s->jwt, grant.access_token, end - 1000, &claims));
    assert_int_equal(claims.exp * 1000, end);
    assert_done(refresh(f, token_of(f, &family, 1), end - 1, &grant));
    assert_int_equal(grant.expires_in, 1);
}

/* The window of grace lies after the rotation, whatever becomes of the clock. */
static void test_grace_and_a_clock_put_back(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    struct refresh_status status;
    struct str first = token_of(f, &family, 0);

    assert_done(refresh(f, first, NOW, &grant));
    assert_done(refresh(f, first, NOW - SESSION_SKEW_MS, &grant)); /* another node's clock */
    assert_int_equal(
        session_refresh_inspect(f->s, &f->a, first, NOW - SESSION_SKEW_MS - 1, &status),
        REFRESH_REUSED);
    assert_int_equal(refresh(f, first, NOW - SESSION_SKEW_MS - 1, &grant), REFRESH_REUSED);
    assert_true(ended(f));
}

static void test_revoked_and_disabled(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    struct str token = token_of(f, &family, 0);

    scene_run(f, "UPDATE users SET disabled = 1", NO_PARAMS);
    assert_int_equal(refresh(f, token, NOW, &grant), REFRESH_REVOKED);
    scene_run(f, "UPDATE users SET disabled = 0", NO_PARAMS);
    scene_end_epochs(f, NOW);
    assert_int_equal(refresh(f, token, NOW, &grant), REFRESH_REVOKED);
    scene_run(f, "DELETE FROM epochs", NO_PARAMS);
    scene_end_epochs(f, NOW - 1);
    assert_done(refresh(f, token, NOW, &grant));
    scene_run(f, "UPDATE families SET revoked_at = 1, revoked_reason = 'x'", NO_PARAMS);
    assert_int_equal(refresh(f, token_of(f, &family, 1), NOW, &grant), REFRESH_REVOKED);
    scene_run(f, "DELETE FROM families", NO_PARAMS);
    assert_int_equal(refresh(f, token, NOW, &grant), REFRESH_INVALID);
}

static void test_inspect(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;
    struct refresh_status status;
    struct str first = token_of(f, &family, 0);

    assert_done(session_refresh_inspect(f->s, &f->a, first, NOW, &status));
    assert_true(str_eq(status.user.email, STR("ada@example.com")));
    assert_true(uuid_eq(&status.family.id, &family.id));
    assert_done(refresh(f, first, NOW, &grant));
    assert_done(session_refresh_inspect(f->s, &f->a, first, NOW + GRACE, &status));
    assert_int_equal(session_refresh_inspect(f->s, &f->a, first, NOW + GRACE + 1, &status),
                     REFRESH_REUSED);
    assert_false(ended(f));
    assert_int_equal(session_refresh_inspect(f->s, &f->a, STR("x"), NOW, &status), REFRESH_INVALID);
    assert_int_equal(
        session_refresh_inspect(f->s, &f->a, first, NOW + 15 * (int64_t)SCENE_DAY, &status),
        REFRESH_EXPIRED);
    assert_int_equal(generation(f), 1);
}

/* Whose row is changed by another between the reading and the swap. */
static const struct store_driver *inner;
static _Atomic int meddling;
static const char *meddling_sql;

static int meddle(struct store *s)
{
    struct store_param one = {STORE_INT, 1, {NULL, 0}};
    struct store_call before = {meddling_sql, &one, 1};
    int64_t changed;

    if (atomic_load(&meddling) == 0)
        return 0;
    atomic_fetch_sub(&meddling, 1);
    return inner->run(s, &before, &changed);
}

static int meddle_run(struct store *s, const struct store_call *call, int64_t *ret_changed)
{
    int r = meddle(s);

    return r ? r : inner->run(s, call, ret_changed);
}

static int meddle_write(struct store *s, store_job *job, void *arg)
{
    int r = meddle(s);

    return r ? r : inner->write(s, job, arg);
}

static void install_meddler(struct scene *f, int times, const char *sql)
{
    static struct store_driver driver;

    inner = f->node.store->driver;
    driver = *inner;
    driver.run = meddle_run;
    driver.write = meddle_write;
    f->node.store->driver = &driver;
    meddling_sql = sql;
    atomic_store(&meddling, times);
}

static const char rotated_sql[] = "UPDATE families SET generation = generation + $1";
static const char revoked_sql[] = "UPDATE families SET revoked_at = $1, revoked_reason = 'x'";

/* The swap is lost once: the second look finds the predecessor within its grace. */
static void test_lost_swap(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    install_meddler(f, 1, rotated_sql);
    assert_done(refresh(f, token_of(f, &family, 0), NOW, &grant));
    assert_true(str_eq(grant.refresh_token, token_of(f, &family, 1)));
    assert_int_equal(generation(f), 1);
    assert_int_equal(metric_value(&f->s->counters.refresh_graces), 1);
}

/* Revoked between the look and the swap: nothing is granted, and the row stays as it was ended. */
static void test_revoked_before_the_swap(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    install_meddler(f, 1, revoked_sql);
    assert_int_equal(refresh(f, token_of(f, &family, 0), NOW, &grant), REFRESH_REVOKED);
    assert_int_equal(generation(f), 0);
    assert_true(ended(f));
}

/* A row that is changed before every swap: tried again, but not for ever. */
static void test_always_lost_swap(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct session_grant grant;

    install_meddler(f, 1000, rotated_sql);
    /* Far ahead, so that it stays ahead of the row whatever happens to it. */
    assert_int_equal(refresh(f, token_of(f, &family, 5000), NOW, &grant), FAULT_UNAVAILABLE);
    assert_true(atomic_load(&meddling) > 900);
    atomic_store(&meddling, 0);
    assert_done(refresh(f, token_of(f, &family, 5000), NOW, &grant));
}

struct racing {
    struct scene *f;
    struct str token;
    _Atomic int granted, revoked, other;
    char successor[REFRESH_TOKEN_TEXT_SIZE];
};

static void *race(void *arg)
{
    struct racing *r = arg;
    struct arena arena _cleanup_arena_ = arena_init(64 * 1024);
    struct refresh_input input = input_of(r->token, NOW);
    struct session_grant grant;
    int outcome = session_refresh(r->f->s, &arena, &input, &grant);

    if (outcome == 0 && str_eq(grant.refresh_token, str_of(r->successor)))
        atomic_fetch_add(&r->granted, 1);
    else if (outcome == REFRESH_REVOKED)
        atomic_fetch_add(&r->revoked, 1);
    else
        atomic_fetch_add(&r->other, 1);
    return NULL;
}

static void aim(struct racing *r, struct scene *f, const struct session_family *family, uint32_t n)
{
    struct str successor = token_of(f, family, n + 1);

    *r = (struct racing){.f = f, .token = token_of(f, family, n)};
    memcpy(r->successor, successor.p, successor.n);
}

/* All at once get the same successor, and the row rotates once. */
static void test_parallel(void **state)
{
    struct scene *f = *state;
    struct session_family family = begin(f);
    struct racing r;

    for (uint32_t n = 0; n < ROUNDS; n++) {
        aim(&r, f, &family, n);
        fixture_parallel(PARALLEL, race, &r);
        assert_int_equal(atomic_load(&r.granted), PARALLEL);
        assert_int_equal(generation(f), n + 1);
    }
    assert_int_equal(metric_value(&f->s->counters.refreshes), ROUNDS);
    assert_false(ended(f));
}

static void *race_and_revoke(void *arg)
{
    struct racing *r = arg;
    static _Atomic int turn;

    if (atomic_fetch_add(&turn, 1) % 4 != 0)
        return race(arg);
    struct refresh_token token;
    int64_t count;
    if (refresh_token_parse(r->token, &token) ||
        session_revoke_family(r->f->s, &r->f->actor, NULL, &token.family_id, STR("race"), NOW,
                              &count))
        abort();
    return NULL;
}

/* However it interleaves with rotations, a revocation leaves no token alive. */
static void test_revocation_wins(void **state)
{
    struct scene *f = *state;
    struct session_grant grant;
    struct uuid user = scene_member(f, "ada");
    struct racing r;

    for (int round = 0; round < ROUNDS * 4; round++) {
        struct session_family family = scene_begin(f, &user, NOW);
        aim(&r, f, &family, 0);
        fixture_parallel(4, race_and_revoke, &r);
        assert_int_equal(atomic_load(&r.other), 0);
        assert_int_equal(atomic_load(&r.granted) + atomic_load(&r.revoked), 3);
        assert_true(gate_family_ended(f->s->gate, &family.id));
        for (uint32_t n = 0; n < 3; n++)
            assert_int_equal(refresh(f, token_of(f, &family, n), NOW, &grant), REFRESH_REVOKED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_rotation),
        SCENE_BOTH(test_invalid),
        SCENE_BOTH(test_grace),
        SCENE_BOTH(test_grace_of_a_request_that_waited),
        SCENE_BOTH(test_grace_of_a_slow_clock),
        SCENE_BOTH(test_no_grace),
        SCENE_BOTH(test_grand_predecessor),
        SCENE_BOTH(test_reuse),
        SCENE_BOTH(test_forward),
        SCENE_BOTH(test_forward_without_a_record),
        SCENE_BOTH(test_last_generation),
        SCENE_BOTH(test_expiry),
        SCENE_BOTH(test_access_token_ends_with_the_session),
        SCENE_BOTH(test_revoked_and_disabled),
        SCENE_BOTH(test_grace_and_a_clock_put_back),
        SCENE_BOTH(test_inspect),
        SCENE_BOTH(test_lost_swap),
        SCENE_BOTH(test_revoked_before_the_swap),
        SCENE_BOTH(test_always_lost_swap),
        SCENE_BOTH(test_parallel),
        SCENE_BOTH(test_revocation_wins),
    };
    return FIXTURE_RUN(tests);
}
