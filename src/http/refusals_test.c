/* Refused requests on their way into the trail: how many of them get there, and when. */
#include "http/refusals.h"

#include "sessions/scene.h"

static int64_t denied(struct scene *f, const char *condition)
{
    char sql[300];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM trail WHERE action = 'access.denied'%s",
             condition);
    return scene_number(f, sql);
}

enum { KINDS = 100 };

static void note_kinds(struct refusals *r, const struct route *routes, const struct uuid *user)
{
    struct http_request request = {.path = STR("/x")};
    struct call call = {.request = &request,
                        .who = {.present = true, .user_id = *user},
                        .actor = {.user_id = *user, .label = STR("eve@example.com")}};

    for (int i = 0; i < KINDS; i++) {
        call.route = &routes[i];
        refusals_note(r, &call, PROBLEM_FORBIDDEN);
    }
}

/* However much somebody is refused, they fill neither the trail nor the memory. */
static void test_refusals_are_bounded(void **state)
{
    struct scene *f = *state;
    const struct trail *trail = f->s->trail;
    struct route routes[KINDS];
    struct refusals *r;
    struct uuid eve = uuid_new();

    for (int i = 0; i < KINDS; i++)
        routes[i] = (struct route){.method = HTTP_GET, .path = "/x", .permission = PERMIT_ADMIN};
    assert_done(refusals_new(&r));
    note_kinds(r, routes, &eve);
    assert_done(refusals_flush(r, trail, 1));
    note_kinds(r, routes, &eve);
    assert_done(refusals_flush(r, trail, REFUSALS_EVERY_MS));
    assert_int_equal(denied(f, ""), REFUSALS_ACCOUNT_MAX);
    assert_int_equal(denied(f, " AND detail LIKE '%\"count\":85}'"), 1);
    assert_done(refusals_flush(r, trail, REFUSALS_EVERY_MS + 1));
    assert_int_equal(denied(f, ""), 2 * REFUSALS_ACCOUNT_MAX);
    /* Forgotten in time: others find the room again. */
    assert_done(refusals_flush(r, trail, (int64_t)3 * REFUSALS_EVERY_MS));
    for (int i = 0; i < REFUSALS_MAX; i++) {
        struct uuid id = uuid_new();
        note_kinds(r, routes, &id);
    }
    assert_done(refusals_flush(r, trail, (int64_t)4 * REFUSALS_EVERY_MS));
    assert_int_equal(denied(f, ""), 2 * REFUSALS_ACCOUNT_MAX + REFUSALS_MAX);
    refusals_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_refusals_are_bounded)};

    return FIXTURE_RUN(tests);
}
