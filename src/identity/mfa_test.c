#include "identity/mfa.h"

#include "identity/fixture.h"

#include <liboath/oath.h>

enum { STEP = 30000 };

static struct seal_keys ring;

static struct mfa_keys keys_of(uint8_t active, uint8_t retired)
{
    const uint8_t secrets[2][SEAL_KEY_SIZE] = {{active}, {retired}};
    struct mfa_keys keys = {.seal = &ring};

    assert_done(seal_keys_init(secrets[0], &secrets[1], retired ? 1 : 0, &ring));
    struct str both[] = {{(const char *)secrets[0], SEAL_KEY_SIZE},
                         {(const char *)secrets[1], SEAL_KEY_SIZE}};
    assert_done(mac_ring_derive(both, retired ? 2 : 1, MFA_RECOVERY_LABEL, &keys.recovery));
    return keys;
}

/* The code an app shows at the time, NUL-terminated. */
static void code_at(const struct mfa_enrolment *e, int64_t ms, char ret_code[8])
{
    char *secret;
    size_t n;

    assert_int_equal(oath_base32_decode(e->secret.p, e->secret.n, &secret, &n), OATH_OK);
    assert_int_equal(oath_totp_generate(secret, n, ms / 1000, 30, 0, 6, ret_code), OATH_OK);
    free(secret);
}

static int try_code(struct identity_fixture *f, const struct mfa_keys *keys,
                    const struct user *user, struct str code, int64_t at)
{
    enum mfa_method method;
    int r = mfa_check(identity_begin(f), keys, user, code, at, &method);

    identity_end(f, 0);
    return r;
}

static int try_activate(struct identity_fixture *f, const struct mfa_keys *keys,
                        const struct user *user, struct str code, int64_t at)
{
    int r = mfa_activate(identity_begin(f), keys, user, code, at);

    identity_end(f, 0);
    return r;
}

static struct user enroll(struct identity_fixture *f, const struct mfa_keys *keys, const char *name,
                          struct mfa_enrolment *ret)
{
    struct uuid id = identity_user(f, name, ROLE_ADMIN);
    struct user user = identity_read(f, &id);

    assert_done(mfa_enroll(identity_begin(f), &f->a, keys, &user, STR("Hold fast"), NOW, ret));
    identity_end(f, 0);
    return user;
}

/* An active second factor, the code of NOW used up. */
static struct user activated(struct identity_fixture *f, const struct mfa_keys *keys,
                             struct mfa_enrolment *ret)
{
    struct user user = enroll(f, keys, "ada", ret);
    char code[8];

    code_at(ret, NOW, code);
    assert_done(try_activate(f, keys, &user, str_of(code), NOW));
    return user;
}

static void test_enroll(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e, again;
    struct user user = enroll(f, &keys, "ada", &e);
    char code[8], expected[400];
    int64_t left;

    assert_int_equal(e.secret.n, 32);
    snprintf(expected, sizeof expected,
             "otpauth://totp/Hold%%20fast:ada%%40example.com?secret=%.*s&issuer=Hold%%20fast"
             "&algorithm=SHA1&digits=6&period=30",
             STR_ARG(e.secret));
    assert_true(str_eq(e.uri, str_of(expected)));
    assert_true(str_has_prefix(e.qr_svg, STR("<svg")) || str_has_prefix(e.qr_svg, STR("<?xml")));
    for (int i = 0; i < MFA_RECOVERY_CODES; i++)
        for (int j = 0; j < i; j++)
            assert_false(str_eq(e.codes[i], e.codes[j]));
    /* Inactive: no code is asked for, none is used up. */
    code_at(&e, NOW, code);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW), MFA_NONE);
    assert_int_equal(try_code(f, &keys, &user, e.codes[0], NOW), MFA_NONE);
    assert_false(identity_read(f, &user.id).mfa_active);
    /* Enrolling again before that replaces secret and codes. */
    assert_done(mfa_enroll(identity_begin(f), &f->a, &keys, &user, STR("H"), NOW, &again));
    identity_end(f, 0);
    assert_int_equal(try_activate(f, &keys, &user, str_of(code), NOW), MFA_WRONG);
    code_at(&again, NOW, code);
    assert_done(try_activate(f, &keys, &user, str_of(code), NOW));
    assert_true(identity_read(f, &user.id).mfa_active);
    assert_int_equal(try_code(f, &keys, &user, e.codes[0], NOW), MFA_WRONG);
    assert_int_equal(try_activate(f, &keys, &user, str_of(code), NOW), MFA_ACTIVE);
    assert_int_equal(mfa_enroll(identity_begin(f), &f->a, &keys, &user, STR("H"), NOW, &again),
                     MFA_ACTIVE);
    identity_end(f, 0);
    assert_done(mfa_codes_left(identity_begin(f), &user.id, &left));
    identity_end(f, 0);
    assert_int_equal(left, MFA_RECOVERY_CODES);
}

static void test_codes_work_once(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e;
    struct user user = activated(f, &keys, &e);
    char code[8], next[8], spaced[9];
    int64_t left;

    code_at(&e, NOW, code);
    code_at(&e, NOW + STEP, next);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW),
                     MFA_WRONG); /* used to activate */
    snprintf(spaced, sizeof spaced, "%.3s %.3s", next, next + 3);
    assert_done(try_code(f, &keys, &user, str_of(spaced), NOW + STEP));
    assert_int_equal(try_code(f, &keys, &user, str_of(next), NOW + STEP), MFA_WRONG);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW + STEP), MFA_WRONG);
    code_at(&e, NOW + 10 * STEP, code);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW + 12 * STEP), MFA_WRONG);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW + 8 * STEP), MFA_WRONG);
    assert_done(try_code(f, &keys, &user, str_of(code), NOW + 11 * STEP));
    assert_done(try_code(f, &keys, &user, e.codes[3], NOW));
    assert_int_equal(try_code(f, &keys, &user, e.codes[3], NOW), MFA_WRONG);
    assert_done(mfa_codes_left(identity_begin(f), &user.id, &left));
    identity_end(f, 0);
    assert_int_equal(left, MFA_RECOVERY_CODES - 1);
}

static void test_hostile_codes(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e;
    struct user user = activated(f, &keys, &e);
    char big[5000];
    static const struct str bad[] = {STR_INIT(""),
                                     STR_INIT("12345"),
                                     STR_INIT("1234567"),
                                     STR_INIT("abcdef"),
                                     STR_INIT("\0\0\0\0\0\0"),
                                     STR_INIT("-12345"),
                                     STR_INIT("' OR 1"),
                                     STR_INIT("\xff\xff"),
                                     STR_INIT("      "),
                                     STR_INIT("0000-0000-0000-0000"),
                                     STR_INIT("%%%%-%%%%-%%%%-%%%%")};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(try_code(f, &keys, &user, bad[i], NOW), MFA_WRONG);
    memset(big, '1', sizeof big);
    assert_int_equal(try_code(f, &keys, &user, (struct str){big, sizeof big}, NOW), MFA_WRONG);
    memset(big, ' ', sizeof big);
    memcpy(big + sizeof big - e.codes[0].n, e.codes[0].p, e.codes[0].n);
    assert_int_equal(try_code(f, &keys, &user, (struct str){big, sizeof big}, NOW), MFA_WRONG);
    assert_done(try_code(f, &keys, &user, e.codes[0], NOW));
}

static void test_secrets_of_another(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e, e2;
    struct user ada = activated(f, &keys, &e), bob = enroll(f, &keys, "bob", &e2);
    char code[8];

    code_at(&e2, NOW, code);
    assert_done(try_activate(f, &keys, &bob, str_of(code), NOW));
    assert_int_equal(try_code(f, &keys, &bob, e.codes[0], NOW), MFA_WRONG);
    /* A secret or a MAC moved to another row is of no use there. */
    assert_done(store_run(f->s,
                          "UPDATE users SET totp_secret = (SELECT totp_secret FROM users"
                          " WHERE email = 'ada@example.com'), totp_last_step = 0",
                          NULL, NO_PARAMS));
    code_at(&e, NOW + STEP, code);
    assert_done(try_code(f, &keys, &ada, str_of(code), NOW + STEP));
    assert_int_equal(try_code(f, &keys, &bob, str_of(code), NOW + STEP), FAULT_CRYPTO);
    assert_done(store_run(f->s,
                          "DELETE FROM recovery_codes WHERE user_id ="
                          " (SELECT id FROM users WHERE email = 'bob@example.com')",
                          NULL, NO_PARAMS));
    assert_done(store_run(f->s,
                          "UPDATE recovery_codes SET user_id ="
                          " (SELECT id FROM users WHERE email = 'bob@example.com')",
                          NULL, NO_PARAMS));
    assert_int_equal(try_code(f, &keys, &bob, e.codes[1], NOW), MFA_WRONG);
}

static void test_rotated_key(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys old = keys_of(1, 0);
    struct mfa_enrolment e;
    struct user user = activated(f, &old, &e);
    char code[8];

    struct mfa_keys keys = keys_of(2, 1);
    code_at(&e, NOW + STEP, code);
    assert_done(try_code(f, &keys, &user, str_of(code), NOW + STEP));
    keys = keys_of(2, 0); /* it was sealed anew */
    code_at(&e, NOW + 2 * STEP, code);
    assert_done(try_code(f, &keys, &user, str_of(code), NOW + 2 * STEP));
    keys = keys_of(3, 0);
    code_at(&e, NOW + 3 * STEP, code);
    assert_int_equal(try_code(f, &keys, &user, str_of(code), NOW + 3 * STEP), FAULT_CRYPTO);
    /* Recovery codes stay as they are, and work once for as long as their key is there. */
    assert_int_equal(try_code(f, &keys, &user, e.codes[0], NOW), MFA_WRONG);
    keys = keys_of(2, 1);
    assert_done(try_code(f, &keys, &user, e.codes[0], NOW));
    assert_int_equal(try_code(f, &keys, &user, e.codes[0], NOW), MFA_WRONG);
    assert_int_equal(try_code(f, &old, &user, e.codes[0], NOW), MFA_WRONG);
    assert_done(try_code(f, &old, &user, e.codes[1], NOW));
}

static void test_remove(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e;
    struct user user = activated(f, &keys, &e);
    struct store_txn *t = identity_begin(f);
    int64_t left;

    assert_done(mfa_remove(t, &user.id, NOW));
    assert_int_equal(mfa_remove(t, &user.id, NOW), MFA_NONE);
    assert_done(mfa_codes_left(t, &user.id, &left));
    assert_int_equal(left, 0);
    identity_end(f, 0);
    assert_int_equal(try_code(f, &keys, &user, e.codes[0], NOW), MFA_NONE);
    assert_int_equal(try_activate(f, &keys, &user, STR("123456"), NOW), MFA_NONE);
    assert_done(mfa_enroll(identity_begin(f), &f->a, &keys, &user, STR("H"), NOW, &e));
    identity_end(f, 0);
}

struct race {
    struct identity_fixture *f;
    const struct mfa_keys *keys;
    const struct user *user;
    struct str code;
    int64_t at;
    atomic_int won, wrong, other;
};

static int check_job(struct store_txn *t, void *arg)
{
    struct race *race = arg;
    enum mfa_method method;

    return mfa_check(t, race->keys, race->user, race->code, race->at, &method);
}

static void *check_main(void *arg)
{
    struct race *race = arg;
    int r = store_write(race->f->s, check_job, race);

    atomic_fetch_add(r == 0 ? &race->won : r == MFA_WRONG ? &race->wrong : &race->other, 1);
    return NULL;
}

static void run_race(struct race *race)
{
    enum { THREADS = 24 };

    race->won = race->wrong = race->other = 0;
    fixture_parallel(THREADS, check_main, race);
    assert_int_equal(race->won, 1);
    assert_int_equal(race->wrong, THREADS - 1);
}

static void test_one_code_many_threads(void **state)
{
    struct identity_fixture *f = *state;
    struct mfa_keys keys = keys_of(1, 0);
    struct mfa_enrolment e;
    struct user user = activated(f, &keys, &e);
    struct race race = {.f = f, .keys = &keys, .user = &user};
    char code[8];

    for (int i = 1; i <= MFA_RECOVERY_CODES; i++) {
        race.at = NOW + (int64_t)i * STEP;
        code_at(&e, race.at, code);
        race.code = str_of(code);
        run_race(&race);
        race.code = e.codes[i - 1];
        run_race(&race);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IDENTITY_BOTH(test_enroll),
        IDENTITY_BOTH(test_codes_work_once),
        IDENTITY_BOTH(test_hostile_codes),
        IDENTITY_BOTH(test_secrets_of_another),
        IDENTITY_BOTH(test_rotated_key),
        IDENTITY_BOTH(test_remove),
        IDENTITY_BOTH(test_one_code_many_threads),
    };

    return FIXTURE_RUN(tests);
}
