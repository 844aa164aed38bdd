/* A mass revocation by a clock that is behind: of sessions that began after its time. */
#include "sessions/mass.h"
#include "sessions/overview.h"
#include "sessions/scene.h"
#include "store/internal.h"

enum { USERS = 40, NAMED = 3 };

/* All rows that are read of the store are counted. */
static const struct store_driver *inner;
static int64_t rows_read;

static int counting_next(struct store_rows *rows)
{
    int r = inner->rows_next(rows);

    rows_read += r == 1;
    return r;
}

static void count_rows(struct scene *f)
{
    static struct store_driver driver;

    inner = f->node.store->driver;
    driver = *inner;
    driver.rows_next = counting_next;
    f->node.store->driver = &driver;
    rows_read = 0;
}

static int64_t active(struct scene *f, const struct uuid *user)
{
    struct overview view;

    assert_done(overview_audit(f->s, &f->a, NULL, user, NOW + 1, &view));
    return view.active_sessions;
}

static int64_t revoke(struct scene *f, int64_t now, const struct uuid *ids, size_t n,
                      struct mass_result *results)
{
    struct mass_options options = {.tenant = &f->tenant, .reason = STR("breach"), .now = now};
    struct mass_totals totals = {0};

    assert_done(mass_revoke(f->s, &f->actor, &options, ids, n, results, &totals));
    assert_int_equal(totals.requested, n);
    return totals.sessions;
}

/* Of who is named, the first has two sessions and one that was ended, and all others one each. */
static void begin(struct scene *f, struct uuid users[USERS])
{
    struct session_family ended;

    for (int i = 0; i < USERS; i++) {
        users[i] = scene_member(f, arena_printf(&f->a, "u%d", i));
        if (i == 0)
            ended = scene_begin(f, &users[i], NOW - 9);
        scene_begin(f, &users[i], NOW - 5 + i % 4);
    }
    scene_begin(f, &users[0], NOW);
    scene_run(f, "UPDATE families SET revoked_at = $2, revoked_reason = 'x' WHERE id = $1",
              PARAMS(P_ID(&ended.id), P_INT(NOW)));
}

/* However many others there are, what is read is what the users of the chunk have. */
static void test_clock_far_behind(void **state)
{
    struct scene *f = *state;
    struct uuid users[USERS];
    struct mass_result results[NAMED];

    begin(f, users);
    count_rows(f);
    assert_int_equal(revoke(f, NOW - SCENE_DAY, users, NAMED, results), NAMED + 1);
    assert_in_range(rows_read, NAMED + 1, USERS / 2);
    f->node.store->driver = inner;
    for (int i = 0; i < NAMED; i++) {
        assert_true(results[i].late);
        assert_int_equal(results[i].sessions, i == 0 ? 2 : 1);
    }
    for (int i = 0; i < USERS; i++)
        assert_int_equal(active(f, &users[i]), i < NAMED ? 0 : 1);
    assert_int_equal(scene_notices(f, "sessions_revoked"), NAMED);
    /* What an epoch has ended is not counted again. */
    assert_int_equal(revoke(f, NOW - SCENE_DAY, users, NAMED, results), 0);
    assert_int_equal(scene_notices(f, "sessions_revoked"), NAMED);
}

/* Where few began since, they are found by the time; those of others stay. */
static void test_clock_a_little_behind(void **state)
{
    struct scene *f = *state;
    struct uuid users[USERS];
    struct mass_result results[NAMED];

    begin(f, users);
    assert_int_equal(revoke(f, NOW - 2, users, NAMED, results), NAMED + 1);
    assert_true(results[0].late);
    assert_false(results[1].late);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(active(f, &users[i]), i < NAMED ? 0 : 1);
    assert_int_equal(scene_notices(f, "sessions_revoked"), NAMED);
}

/* Another tenant's users are not reached by either way. */
static void test_bound_to_a_tenant(void **state)
{
    struct scene *f = *state;
    struct uuid ids[2] = {scene_member(f, "ada"),
                          scene_user(f, &f->other, "zoe", ROLE_MEMBER, "none")};
    struct mass_result results[2];

    for (int i = 0; i < 4; i++)
        scene_begin(f, &ids[i % 2], NOW + i);
    assert_int_equal(revoke(f, NOW - SCENE_DAY, ids, 2, results), 2);
    assert_int_equal(active(f, &ids[0]), 0);
    assert_int_equal(active(f, &ids[1]), 2);
    assert_int_equal(scene_number(f, "SELECT count(DISTINCT user_id) FROM epochs"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_clock_far_behind),
        SCENE_BOTH(test_clock_a_little_behind),
        SCENE_BOTH(test_bound_to_a_tenant),
    };
    return FIXTURE_RUN(tests);
}
