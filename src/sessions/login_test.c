/* Signing in: limits, what is told apart and what is not, and what happens in between. */
#include "sessions/login.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/password.h"
#include "sessions/scene.h"

#include <sodium.h>
#include <stdatomic.h>

static const struct str password = STR_INIT("correct horse battery");

/* A hash of yesterday's cost: quickly made, and due for another. */
static char *cheap_hash(void)
{
    static char hash[crypto_pwhash_STRBYTES];

    assert_int_equal(crypto_pwhash_str_alg(hash, password.p, password.n, 1, 64 * 1024,
                                           crypto_pwhash_ALG_ARGON2ID13),
                     0);
    return hash;
}

static char *todays_hash(void)
{
    static char hash[PASSWORD_HASH_SIZE];

    if (!*hash)
        assert_done(password_hash(password, hash));
    return hash;
}

static struct uuid add_ada(struct scene *f, const char *hash)
{
    return scene_user(f, &f->tenant, "ada", ROLE_MEMBER, hash);
}

static struct login_input input_of(const char *email, struct str typed)
{
    return (struct login_input){.email = str_of(email),
                                .password = typed,
                                .ip = STR("192.0.2.9"),
                                .user_agent = STR("Tests"),
                                .now = NOW};
}

static int sign_in(struct scene *f, const char *email, struct str typed)
{
    struct login_input input = input_of(email, typed);
    struct session_grant grant;

    return login_run(f->s, &f->a, &input, &grant);
}

static int64_t families(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM families");
}

static void test_success(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, todays_hash());
    struct login_input input = input_of("ada@example.com", password);
    struct session_grant grant;
    struct jwt_claims claims;

    assert_done(login_run(f->s, &f->a, &input, &grant));
    assert_true(uuid_eq(&grant.user.id, &id));
    assert_done(jwt_verify(f->s->jwt, grant.access_token, NOW, &claims));
    assert_true(uuid_eq(&claims.sid, &grant.session_id));
    assert_int_equal(claims.amr, JWT_AMR_PWD);
    assert_string_equal(claims.role, "member");
    assert_int_equal(families(f), 1);
    assert_int_equal(scene_records(f, "user.login"), 1);
    assert_int_equal(metric_value(&f->s->counters.logins), 1);
    /* The very first device is nothing to tell; another is. */
    assert_int_equal(scene_notices(f, "new_device"), 0);
    input.ip = STR("198.51.100.7");
    assert_done(login_run(f->s, &f->a, &input, &grant));
    assert_int_equal(scene_notices(f, "new_device"), 1);
}

/* Unknown, wrong, locked, disabled: one outcome, no session, no write. */
static void test_refusals(void **state)
{
    struct scene *f = *state;

    add_ada(f, todays_hash());
    assert_int_equal(sign_in(f, "eve@example.com", password), LOGIN_REFUSED);
    assert_int_equal(sign_in(f, "ada@example.com", STR("wrong")), LOGIN_REFUSED);
    assert_int_equal(sign_in(f, "ada@example.com", STR("")), LOGIN_REFUSED);
    scene_run(f, "UPDATE users SET disabled = 1", NO_PARAMS);
    assert_int_equal(sign_in(f, "ada@example.com", password), LOGIN_REFUSED);
    scene_run(f, "UPDATE users SET disabled = 0, locked_at = 1", NO_PARAMS);
    assert_int_equal(sign_in(f, "ada@example.com", password), LOGIN_REFUSED);
    assert_int_equal(families(f), 0);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM trail"), 0);
    assert_int_equal(metric_value(&f->s->counters.login_failures), 5);
    scene_run(f, "UPDATE users SET locked_at = NULL", NO_PARAMS);
    assert_int_equal(sign_in(f, "ada@example.com", password), 0);
}

static void test_locked_after(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, cheap_hash());

    f->config->login_lock_after = 3;
    assert_done(login_flush_failures(f->s, NOW));
    for (int i = 0; i < 3; i++)
        assert_int_equal(sign_in(f, "ada@example.com", STR("wrong")), LOGIN_REFUSED);
    assert_int_equal(sign_in(f, "ada@example.com", password), LOGIN_REFUSED);
    assert_done(login_flush_failures(f->s, NOW));
    assert_true(scene_read_user(f, &id).locked_at != 0);
    assert_int_equal(scene_notices(f, "account_locked"), 1);
    assert_int_equal(scene_records(f, "user.locked"), 1);
    assert_int_equal(families(f), 0);
}

/* A success begins the count anew. */
static void test_failures_are_forgotten(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, cheap_hash());

    f->config->login_lock_after = 3;
    assert_done(login_flush_failures(f->s, NOW));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(sign_in(f, "ada@example.com", STR("wrong")), LOGIN_REFUSED);
        assert_done(login_flush_failures(f->s, NOW));
        assert_int_equal(scene_read_user(f, &id).failed_logins, 2);
        assert_int_equal(sign_in(f, "ada@example.com", password), 0);
        assert_int_equal(scene_read_user(f, &id).failed_logins, 0);
    }
}

static void test_burst_is_recorded(void **state)
{
    struct scene *f = *state;

    add_ada(f, cheap_hash());
    for (int i = 0; i < 4; i++)
        sign_in(f, "ada@example.com", STR("wrong"));
    assert_done(login_flush_failures(f->s, NOW));
    assert_int_equal(scene_records(f, "user.login_burst"), 0);
    for (int i = 0; i < 5; i++)
        sign_in(f, "ada@example.com", STR("wrong"));
    assert_done(login_flush_failures(f->s, NOW));
    assert_int_equal(scene_records(f, "user.login_burst"), 1);
    assert_done(login_flush_failures(f->s, NOW));
    assert_int_equal(scene_records(f, "user.login_burst"), 1);
}

static void test_rehash(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, cheap_hash());
    int64_t changed_at = scene_read_user(f, &id).password_changed_at;

    assert_true(password_needs_rehash(scene_read_user(f, &id).password_hash));
    assert_int_equal(sign_in(f, "ada@example.com", STR("wrong")), LOGIN_REFUSED);
    assert_true(password_needs_rehash(scene_read_user(f, &id).password_hash));
    assert_int_equal(sign_in(f, "ada@example.com", password), 0);
    struct user user = scene_read_user(f, &id);
    assert_false(password_needs_rehash(user.password_hash));
    assert_int_equal(password_verify(password, user.password_hash), 0);
    /* No new password: sessions stay, and nothing was changed by anyone. */
    assert_int_equal(user.password_changed_at, changed_at);
    assert_int_equal(sign_in(f, "ada@example.com", password), 0);
    assert_true(str_eq(scene_read_user(f, &id).password_hash, user.password_hash));
}

/* What happens between the verification and the transaction that begins the session. */
static const struct store_driver *inner;
static const char *meanwhile;

static int write_later(struct store *s, store_job *job, void *arg)
{
    struct store_call call = {.sql = meanwhile};
    int64_t changed;
    int r = meanwhile ? inner->run(s, &call, &changed) : 0;

    meanwhile = NULL;
    return r ? r : inner->write(s, job, arg);
}

static void test_changed_meanwhile(void **state)
{
    static const char *const changes[] = {
        "UPDATE users SET password_changed_at = password_changed_at + 1",
        "UPDATE users SET disabled = 1",
        "UPDATE users SET locked_at = 1",
        "UPDATE users SET totp_active = 1",
        "INSERT INTO epochs SELECT id, 1, 1, 'x' FROM users",
        "DELETE FROM users"};
    static const char undo[] = "UPDATE users SET disabled = 0, locked_at = NULL, totp_active = 0";
    struct scene *f = *state;
    static struct store_driver driver;

    add_ada(f, todays_hash());
    inner = f->node.store->driver;
    driver = *inner;
    driver.write = write_later;
    f->node.store->driver = &driver;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        meanwhile = changes[i];
        if (sign_in(f, "ada@example.com", password) != LOGIN_REFUSED)
            fail_msg("signed in over: %s", changes[i]);
        assert_null(meanwhile);
        assert_int_equal(families(f), 0);
        scene_run(f, undo, NO_PARAMS);
    }
    f->node.store->driver = inner;
}

/* A revocation by a faster clock does not end a session that begins after it by accident. */
static void test_revoked_by_a_faster_clock(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, todays_hash());

    scene_end_epochs(f, NOW + 5000);
    assert_int_equal(sign_in(f, "ada@example.com", password), 0);
    assert_int_equal(scene_number(f, "SELECT min(created_at) FROM families"), NOW + 5001);
    assert_int_equal(scene_read_user(f, &id).not_before, NOW + 5000);
}

static void test_second_factor(void **state)
{
    struct scene *f = *state;
    struct login_input input = input_of("ada@example.com", password);
    struct session_grant grant;

    add_ada(f, todays_hash());
    scene_run(f, "UPDATE users SET totp_active = 1", NO_PARAMS);
    assert_int_equal(login_run(f->s, &f->a, &input, &grant), LOGIN_MFA_REQUIRED);
    input.password = STR("wrong");
    assert_int_equal(login_run(f->s, &f->a, &input, &grant), LOGIN_REFUSED);
    assert_int_equal(families(f), 0);
}

static struct in6_addr address(const char *text)
{
    struct config_range range;

    assert_int_equal(config_parse_range(str_of(text), &range), 0);
    return range.address;
}

static int admit(struct scene *f, const char *from, const char *email, struct limiter_state *ret)
{
    struct in6_addr a = address(from);

    return login_admit(f->s, &a, str_of(email), ret);
}

static void test_limits(void **state)
{
    struct scene *f = *state;
    struct limiter_state limit;
    char text[64];

    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "192.0.2.%d", i);
        assert_done(admit(f, text, "ada@example.com", &limit));
        assert_int_equal(limit.remaining, 4 - i);
    }
    /* The account's limit, from wherever; and whether there is such an account or not. */
    assert_int_equal(admit(f, "192.0.2.99", "ada@example.com", &limit), LOGIN_LIMITED);
    assert_in_range(limit.reset_ms, 1, CLOCK_MINUTE);
    assert_done(admit(f, "192.0.2.98", "bob@example.com", &limit));
    /* The address's limit, for whomever. */
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "u%d@example.com", i);
        assert_done(admit(f, "198.51.100.1", text, &limit));
    }
    assert_int_equal(admit(f, "198.51.100.1", "u9@example.com", &limit), LOGIN_LIMITED);
    assert_done(admit(f, "198.51.100.2", "u9@example.com", &limit));
    /* One customer's /64 is one address. */
    for (int i = 0; i < 6; i++) {
        char from[40];
        snprintf(from, sizeof from, "2001:db8::%d", i);
        snprintf(text, sizeof text, "v%d@example.com", i);
        assert_int_equal(admit(f, from, text, &limit), i < 5 ? 0 : LOGIN_LIMITED);
    }
    assert_int_equal(metric_value(&f->s->counters.login_limited), 3);
}

/* The hour's limit is the account's. */
static void test_limit_of_an_hour(void **state)
{
    struct scene *f = *state;
    struct limiter_state limit;
    char from[40];

    f->config->login_per_minute = 1000;
    for (int i = 0; i < 30; i++) {
        snprintf(from, sizeof from, "192.0.2.%d", i);
        assert_done(admit(f, from, "ada@example.com", &limit));
    }
    assert_int_equal(admit(f, "192.0.2.99", "ada@example.com", &limit), LOGIN_LIMITED);
    assert_true(limit.reset_ms > CLOCK_MINUTE);
    assert_done(admit(f, "192.0.2.99", "bob@example.com", &limit));
}

struct guessing {
    struct scene *f;
    _Atomic int admitted;
};

static void *guess(void *arg)
{
    struct guessing *g = arg;
    struct in6_addr from;
    struct limiter_state limit;

    for (int i = 0; i < 10; i++) {
        randombytes_buf(&from, sizeof from);
        if (login_admit(g->f->s, &from, STR("ada@example.com"), &limit) == 0)
            atomic_fetch_add(&g->admitted, 1);
    }
    return NULL;
}

/* However many guess at once, no more than the limit's worth is let in. */
static void test_parallel_guesses(void **state)
{
    struct guessing g = {.f = *state};

    fixture_parallel(10, guess, &g);
    assert_int_equal(atomic_load(&g.admitted), 5);
}

static void test_verify_password(void **state)
{
    struct scene *f = *state;
    struct uuid id = add_ada(f, todays_hash());
    struct user user = scene_read_user(f, &id);
    struct in6_addr from = address("192.0.2.1");
    struct limiter_state limit;

    assert_done(login_verify_password(f->s, &user, password, &from, &limit));
    for (int i = 0; i < 4; i++)
        assert_int_equal(login_verify_password(f->s, &user, STR("x"), &from, &limit),
                         LOGIN_REFUSED);
    assert_int_equal(login_verify_password(f->s, &user, password, &from, &limit), LOGIN_LIMITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_success),
        SCENE_BOTH(test_refusals),
        SCENE_BOTH(test_locked_after),
        SCENE_BOTH(test_failures_are_forgotten),
        SCENE_BOTH(test_burst_is_recorded),
        SCENE_BOTH(test_rehash),
        SCENE_BOTH(test_changed_meanwhile),
        SCENE_BOTH(test_revoked_by_a_faster_clock),
        SCENE_BOTH(test_second_factor),
        {"limits", test_limits, scene_sqlite, scene_release, NULL},
        {"limit of an hour", test_limit_of_an_hour, scene_sqlite, scene_release, NULL},
        {"parallel guesses", test_parallel_guesses, scene_sqlite, scene_release, NULL},
        SCENE_BOTH(test_verify_password),
    };
    return FIXTURE_RUN(tests);
}
