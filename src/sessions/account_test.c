/* Accounts: who may do what to whom, what hangs on it, and what is shown of a user. */
#include "sessions/account.h"

#include "base/clock.h"
#include "sessions/access.h"
#include "sessions/overview.h"
#include "sessions/refresh.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"

static struct account_power operator_power(struct scene *f)
{
    return (struct account_power){.actor = &f->actor, .operator_ = true};
}

static struct account_power admin_power(struct scene *f, const struct uuid *tenant)
{
    return (struct account_power){.actor = &f->actor, .tenant = tenant};
}

static int create(struct scene *f, const struct account_power *power, const struct uuid *tenant,
                  const char *email, enum role role)
{
    struct user_new user = {
        .tenant_id = *tenant, .email = str_of(email), .role = role, .password_hash = STR("none")};
    struct user made;
    int r = account_create(f->s, &f->a, power, &user, NOW, &made);

    if (r == 0)
        assert_true(str_eq(made.email, str_of(email)) && made.role == role);
    return r;
}

static int patch(struct scene *f, const struct account_power *power, const struct uuid *id,
                 struct user_patch p)
{
    struct user user;

    return account_update(f->s, &f->a, power, id, &p, NOW, &user);
}

static const bool yes = true, no = false;
static const enum role member = ROLE_MEMBER, admin = ROLE_ADMIN, operator_ = ROLE_OPERATOR;

static void test_create(void **state)
{
    struct scene *f = *state;
    struct account_power full = operator_power(f), bound = admin_power(f, &f->tenant);
    struct uuid nowhere = uuid_new();

    assert_done(create(f, &bound, &f->tenant, "ada@example.com", ROLE_ADMIN));
    assert_int_equal(create(f, &bound, &f->tenant, "ada@example.com", ROLE_MEMBER), ACCOUNT_EXISTS);
    assert_int_equal(create(f, &bound, &f->tenant, "op@example.com", ROLE_OPERATOR),
                     ACCOUNT_FORBIDDEN);
    assert_int_equal(create(f, &bound, &f->other, "bob@example.com", ROLE_MEMBER),
                     ACCOUNT_NO_TENANT);
    assert_int_equal(create(f, &full, &nowhere, "bob@example.com", ROLE_MEMBER), ACCOUNT_NO_TENANT);
    assert_done(create(f, &full, &f->other, "op@example.com", ROLE_OPERATOR));
    assert_int_equal(scene_records(f, "user.create"), 2);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM users"), 2);
}

/* An administrator of a tenant reaches neither an operator nor another tenant's users. */
static void test_power(void **state)
{
    struct scene *f = *state;
    struct account_power full = operator_power(f), bound = admin_power(f, &f->tenant);
    struct uuid ada = scene_member(f, "ada");
    struct uuid eve = scene_user(f, &f->other, "eve", ROLE_MEMBER, "none");
    struct uuid op = scene_user(f, &f->tenant, "op", ROLE_OPERATOR, "none");
    struct uuid nobody = uuid_new();

    assert_int_equal(patch(f, &bound, &nobody, (struct user_patch){.disabled = &yes}),
                     ACCOUNT_UNKNOWN);
    assert_int_equal(patch(f, &bound, &eve, (struct user_patch){.disabled = &yes}),
                     ACCOUNT_UNKNOWN);
    assert_int_equal(patch(f, &bound, &op, (struct user_patch){.disabled = &yes}),
                     ACCOUNT_FORBIDDEN);
    assert_int_equal(patch(f, &bound, &op, (struct user_patch){.role = &member}),
                     ACCOUNT_FORBIDDEN);
    assert_int_equal(patch(f, &bound, &ada, (struct user_patch){.role = &operator_}),
                     ACCOUNT_FORBIDDEN);
    assert_int_equal(account_delete(f->s, &f->a, &bound, &op, NOW), ACCOUNT_FORBIDDEN);
    assert_int_equal(account_delete(f->s, &f->a, &bound, &eve, NOW), ACCOUNT_UNKNOWN);
    assert_int_equal(account_reset_password(f->s, &f->a, &bound, &op, STR("h"), NOW),
                     ACCOUNT_FORBIDDEN);
    assert_int_equal(account_reset_password(f->s, &f->a, &bound, &eve, STR("h"), NOW),
                     ACCOUNT_UNKNOWN);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM trail"), 0);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), 0);
    assert_done(patch(f, &bound, &ada, (struct user_patch){.role = &admin}));
    assert_done(patch(f, &full, &ada, (struct user_patch){.role = &operator_}));
    assert_done(patch(f, &full, &eve, (struct user_patch){.disabled = &yes}));
}

static void test_last_operator(void **state)
{
    struct scene *f = *state;
    struct account_power full = operator_power(f);
    struct uuid one = scene_user(f, &f->tenant, "one", ROLE_OPERATOR, "none");
    struct uuid two = scene_user(f, &f->tenant, "two", ROLE_OPERATOR, "none");

    assert_done(patch(f, &full, &two, (struct user_patch){.disabled = &yes}));
    assert_int_equal(patch(f, &full, &one, (struct user_patch){.disabled = &yes}),
                     ACCOUNT_LAST_OPERATOR);
    assert_int_equal(patch(f, &full, &one, (struct user_patch){.role = &admin}),
                     ACCOUNT_LAST_OPERATOR);
    assert_int_equal(patch(f, &full, &one, (struct user_patch){.locked = &yes}),
                     ACCOUNT_LAST_OPERATOR);
    assert_int_equal(account_delete(f->s, &f->a, &full, &one, NOW), ACCOUNT_LAST_OPERATOR);
    assert_done(patch(f, &full, &two, (struct user_patch){.disabled = &no}));
    assert_done(account_delete(f->s, &f->a, &full, &one, NOW));
    assert_int_equal(account_delete(f->s, &f->a, &full, &two, NOW), ACCOUNT_LAST_OPERATOR);
}

static int check(struct scene *f, struct str token)
{
    struct access access;

    return access_check_blocking(f->s, token, NOW, &access);
}

/* Each that ends sessions ends them at once, on this node and for the refresh token. */
static void expect_ended(struct scene *f, const struct session_family *family)
{
    struct session_grant grant = scene_grant(f, family, 0, NOW);
    struct refresh_input input = {.token = grant.refresh_token, .now = NOW};

    assert_int_equal(check(f, grant.access_token), ACCESS_REVOKED);
    assert_int_equal(session_refresh(f->s, &f->a, &input, &grant), REFRESH_REVOKED);
}

static void test_disabling(void **state)
{
    struct scene *f = *state;
    struct account_power bound = admin_power(f, &f->tenant);
    struct uuid ada = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &ada, NOW);

    assert_done(sessions_follow(f->s, NULL));
    assert_int_equal(check(f, scene_grant(f, &family, 0, NOW).access_token), 0);
    assert_done(patch(f, &bound, &ada, (struct user_patch){.disabled = &yes}));
    expect_ended(f, &family);
    assert_done(patch(f, &bound, &ada, (struct user_patch){.disabled = &no}));
    expect_ended(f, &family);
    assert_int_equal(scene_records(f, "user.disable"), 1);
    assert_int_equal(scene_records(f, "user.enable"), 1);
}

static void test_reset_password(void **state)
{
    struct scene *f = *state;
    struct account_power bound = admin_power(f, &f->tenant);
    struct uuid ada = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &ada, NOW);

    assert_done(sessions_follow(f->s, NULL));
    scene_run(f, "UPDATE users SET locked_at = 1, failed_logins = 9", NO_PARAMS);
    assert_done(account_reset_password(f->s, &f->a, &bound, &ada, STR("new hash"), NOW));
    struct user user = scene_read_user(f, &ada);
    assert_true(str_eq(user.password_hash, STR("new hash")));
    assert_true(user.password_temporary);
    assert_int_equal(user.locked_at, 0);
    assert_int_equal(user.failed_logins, 0);
    expect_ended(f, &family);
    assert_int_equal(scene_notices(f, "password_reset"), 1);
    assert_int_equal(scene_records(f, "password.reset"), 1);
}

static void test_deleting(void **state)
{
    struct scene *f = *state;
    struct account_power bound = admin_power(f, &f->tenant);
    struct uuid ada = scene_member(f, "ada");
    struct session_family family = scene_begin(f, &ada, NOW);
    struct session_grant grant = scene_grant(f, &family, 0, NOW);
    struct refresh_input input = {.token = grant.refresh_token, .now = NOW};

    assert_done(sessions_follow(f->s, NULL));
    assert_int_equal(check(f, grant.access_token), 0);
    assert_done(account_delete(f->s, &f->a, &bound, &ada, NOW));
    assert_int_equal(check(f, grant.access_token), ACCESS_REVOKED);
    assert_int_equal(session_refresh(f->s, &f->a, &input, &grant), REFRESH_INVALID);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM families"), 0);
    assert_int_equal(scene_records(f, "user.delete"), 1);
    assert_int_equal(account_delete(f->s, &f->a, &bound, &ada, NOW), ACCOUNT_UNKNOWN);
}

/* Every change leaves a record that says what it was, and a notice where it concerns the user. */
static void test_changes_are_told(void **state)
{
    struct scene *f = *state;
    struct account_power bound = admin_power(f, &f->tenant);
    struct uuid ada = scene_member(f, "ada");
    struct str email = STR("lovelace@example.com");

    scene_member(f, "bob");
    assert_done(patch(f, &bound, &ada, (struct user_patch){.role = &admin, .email = &email}));
    assert_int_equal(scene_notices(f, "role_changed"), 1);
    assert_int_equal(scene_notices(f, "email_changed"), 1);
    assert_int_equal(
        scene_number(f, "SELECT count(*) FROM trail WHERE action = 'user.update' AND detail = "
                        "'{\"role\":[\"member\",\"admin\"],\"email\":[\"ada@example.com\","
                        "\"lovelace@example.com\"]}'"),
        1);
    email = STR("bob@example.com");
    assert_int_equal(patch(f, &bound, &ada, (struct user_patch){.email = &email}), ACCOUNT_EXISTS);
    assert_done(patch(f, &bound, &ada, (struct user_patch){.locked = &yes}));
    assert_int_equal(scene_notices(f, "account_locked"), 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM trail WHERE action = 'user.update' "
                                     "AND detail = '{\"locked\":[\"no\",\"yes\"]}'"),
                     1);
    assert_done(patch(f, &bound, &ada, (struct user_patch){.locked = &no}));
    assert_int_equal(scene_notices(f, "account_unlocked"), 1);
    assert_int_equal(scene_records(f, "user.unlock"), 1);
}

static void test_bootstrap(void **state)
{
    struct scene *f = *state;
    bool made = false;

    for (int i = 0; i < 2; i++) {
        assert_done(account_bootstrap(f->s, &f->a, STR("First"), STR("op@localhost"), STR("hash"),
                                      NOW, &made));
        assert_int_equal(made, i == 0);
    }
    assert_int_equal(scene_number(f, "SELECT count(*) FROM users WHERE role = 'operator' AND "
                                     "password_temporary = 1"),
                     1);
}

static void *bootstrap(void *arg)
{
    struct scene *f = arg;
    struct arena arena _cleanup_arena_ = arena_init(64 * 1024);
    bool made;

    if (account_bootstrap(f->s, &arena, STR("First"), STR("op@localhost"), STR("hash"), NOW, &made))
        abort();
    return NULL;
}

/* Servers that start at once make one operator. */
static void test_bootstrap_at_once(void **state)
{
    struct scene *f = *state;

    fixture_parallel(6, bootstrap, f);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM users"), 1);
}

static void test_overview_of_sessions(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    struct session_family families[5];
    struct overview_family *list;
    int64_t ended;
    size_t n;

    for (int i = 0; i < 5; i++)
        families[i] = scene_begin(f, &ada, NOW + i);
    assert_done(
        session_revoke_family(f->s, &f->actor, NULL, &families[3].id, STR("x"), NOW + 9, &ended));
    assert_done(overview_sessions(f->s, &f->a, &ada, NULL, 2, NOW + 9, &list, &n));
    assert_int_equal(n, 2);
    assert_true(uuid_eq(&list[0].id, &families[4].id));
    assert_true(uuid_eq(&list[1].id, &families[2].id));
    assert_true(list[0].active);
    assert_true(str_eq(list[0].ip, STR("192.0.2.9")));
    assert_done(overview_sessions(f->s, &f->a, &ada, &list[1].id, 9, NOW + 9, &list, &n));
    assert_int_equal(n, 2);
    assert_true(uuid_eq(&list[1].id, &families[0].id));
    assert_done(
        overview_sessions(f->s, &f->a, &ada, NULL, 9, NOW + 15 * (int64_t)SCENE_DAY, &list, &n));
    assert_int_equal(n, 0);
}

static void test_audit(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada"), nobody = uuid_new();
    struct session_family one = scene_begin(f, &ada, NOW);
    struct overview view;
    int64_t ended;

    scene_begin(f, &ada, NOW + 1);
    assert_done(session_revoke_reused(f->s, &f->actor, &one.id, STR("elsewhere"), NOW + 2));
    struct user user = scene_read_user(f, &ada);
    for (int i = 0; i < 3; i++) {
        assert_done(failures_admit(f->s->failures, &user));
        failures_settle(f->s->failures, &ada, FAILURES_FAILURE);
    }
    assert_done(overview_audit(f->s, &f->a, &f->tenant, &ada, NOW + 3, &view));
    assert_int_equal(view.active_sessions, 1);
    assert_int_equal(view.n_families, 2);
    assert_false(view.families[1].active);
    assert_int_equal(view.families[1].revoked_at, NOW + 2);
    assert_true(str_eq(view.families[1].revoked_reason, STR("token reused")));
    assert_int_equal(view.reuse_detections, 1);
    assert_int_equal(view.failed_logins_24h, 3); /* counted though nothing had flushed them */
    assert_true(view.n_events >= 3);
    assert_true(str_eq(view.events[0].action, STR("session.reuse")));
    assert_int_equal(overview_audit(f->s, &f->a, &f->other, &ada, NOW, &view), OVERVIEW_UNKNOWN);
    assert_int_equal(overview_audit(f->s, &f->a, NULL, &nobody, NOW, &view), OVERVIEW_UNKNOWN);
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &ada, STR("x"), NOW + 4, &ended));
    assert_done(overview_audit(f->s, &f->a, NULL, &ada, NOW + 5, &view));
    assert_int_equal(view.active_sessions, 0);
}

static void test_reaping(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    int64_t whole = 90 * (int64_t)SCENE_DAY, deleted;

    for (int i = 0; i < 5; i++)
        scene_begin(f, &ada, NOW + i);
    assert_done(overview_reap(f->node.store, NOW + whole + 99, 100, 10, &deleted));
    assert_int_equal(deleted, 0);
    assert_done(overview_reap(f->node.store, NOW + whole + 102, 100, 2, &deleted));
    assert_int_equal(deleted, 2);
    assert_done(overview_reap(f->node.store, NOW + whole + 102, 100, 2, &deleted));
    assert_int_equal(deleted, 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM families"), 2);
}

/* The time and the reason are of the first end that found a session active. */
static void test_audit_of_epochs(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    static const struct {
        int64_t began, over, ended;
        const char *reason;
    } cases[] = {{NOW + 30, 0, 0, ""},
                 {NOW + 20, NOW + 40, 0, ""},
                 {NOW + 10, 0, NOW + 15, "b"},
                 {NOW + 2, NOW + 9, 0, ""},
                 {NOW, 0, NOW + 5, "a"}};
    struct overview view;

    for (int i = 4; i >= 0; i--) {
        struct session_family family = scene_begin(f, &ada, cases[i].began);
        if (cases[i].over)
            scene_run(f, "UPDATE families SET idle_expires_at = $1 WHERE id = $2",
                      PARAMS(P_INT(cases[i].over), P_ID(&family.id)));
    }
    scene_run(f, "INSERT INTO epochs SELECT id, $1, $2, 'a' FROM users WHERE id = $3",
              PARAMS(P_INT(NOW + 1), P_INT(NOW + 5), P_ID(&ada)));
    scene_run(f, "INSERT INTO epochs SELECT id, $1, $1, 'b' FROM users", PARAMS(P_INT(NOW + 15)));
    assert_done(overview_audit(f->s, &f->a, NULL, &ada, NOW + 50, &view));
    assert_int_equal(view.active_sessions, 1);
    assert_int_equal(view.n_families, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(view.families[i].active, i == 0);
        assert_int_equal(view.families[i].revoked_at, cases[i].ended);
        assert_true(str_eq(view.families[i].revoked_reason, str_of(cases[i].reason)));
    }
}

struct epochs_reaping {
    int64_t before, removed;
    struct uuid cursor;
};

static int reap_epochs_job(struct store_txn *t, void *arg)
{
    struct epochs_reaping *r = arg;

    return user_reap_epochs(t, r->before, 2, &r->cursor, &r->removed);
}

/* Whole rounds, in bounded steps; what a session may still be of stays, and what is new. */
static void test_reaping_epochs(void **state)
{
    static const struct uuid start;
    struct scene *f = *state;
    struct epochs_reaping r = {.before = NOW + 10};
    int64_t removed = 0;
    int steps = 0;

    struct uuid ada = scene_member(f, "ada");
    scene_member(f, "bob");
    scene_member(f, "eve");
    scene_begin(f, &ada, NOW + 3);
    for (int i = 0; i < 4; i++) {
        static const int64_t times[] = {NOW + 2, NOW + 3, NOW + 9, NOW + 10};
        scene_end_epochs(f, times[i]);
    }
    do {
        assert_done(store_write(f->node.store, reap_epochs_job, &r));
        removed += r.removed;
        steps++;
    } while (!uuid_eq(&r.cursor, &start));
    assert_int_equal(removed, 1 + 3 + 3);
    assert_in_range(steps, 3, 6);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM epochs"), 3 + 1 + 1);
    scene_run(f, "DELETE FROM families", NO_PARAMS);
    assert_done(store_write(f->node.store, reap_epochs_job, &r));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM epochs WHERE not_before < 1000"), 0);
    assert_int_equal(scene_read_user(f, &ada).not_before, NOW + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_create),
        SCENE_BOTH(test_power),
        SCENE_BOTH(test_last_operator),
        SCENE_BOTH(test_disabling),
        SCENE_BOTH(test_reset_password),
        SCENE_BOTH(test_deleting),
        SCENE_BOTH(test_changes_are_told),
        SCENE_BOTH(test_bootstrap),
        SCENE_BOTH(test_bootstrap_at_once),
        SCENE_BOTH(test_overview_of_sessions),
        SCENE_BOTH(test_audit),
        SCENE_BOTH(test_reaping),
        SCENE_BOTH(test_audit_of_epochs),
        SCENE_BOTH(test_reaping_epochs),
    };
    return FIXTURE_RUN(tests);
}
