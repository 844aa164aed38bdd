#include "crypto/seal.h"

#include "base/fault.h"
#include "crypto/init.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static const uint8_t secrets[SEAL_RETIRED_MAX + 1][SEAL_KEY_SIZE] = {{1}, {2}, {3}, {4}, {5},
                                                                     {6}, {7}, {8}, {9}};
static const struct str row[] = {STR_INIT("users"), STR_INIT("totp"), STR_INIT("42")};

static struct seal_keys keys_of(int active, size_t n_retired)
{
    struct seal_keys keys;

    assert_int_equal(seal_keys_init(secrets[active], secrets, n_retired, &keys), 0);
    return keys;
}

static struct buf sealed_by(const struct seal_keys *keys, struct str text)
{
    struct buf sealed = buf_init(4096);

    assert_int_equal(seal(keys, row, 3, text, &sealed), 0);
    assert_int_equal(sealed.n, text.n + SEAL_OVERHEAD);
    return sealed;
}

static void assert_opens(const struct seal_keys *keys, struct str sealed, struct str expected)
{
    _cleanup_buf_ struct buf text = buf_init(4096);

    buf_add_str(&text, STR("before "));
    assert_int_equal(unseal(keys, row, 3, sealed, &text), 0);
    assert_true(text.n == 7 + expected.n && memcmp(text.p, "before ", 7) == 0);
    assert_true(expected.n == 0 || memcmp(text.p + 7, expected.p, expected.n) == 0);
}

static void assert_refused(const struct seal_keys *keys, const struct str *context, size_t n,
                           struct str sealed)
{
    _cleanup_buf_ struct buf text = buf_init(4096);

    assert_int_equal(unseal(keys, context, n, sealed, &text), SEAL_REFUSED);
    assert_int_equal(text.n, 0);
}

static void test_round_trip(void **state)
{
    struct seal_keys keys = keys_of(1, 0);
    _cleanup_buf_ struct buf a = sealed_by(&keys, STR("a secret")),
                             b = sealed_by(&keys, STR("a secret")),
                             empty = sealed_by(&keys, STR(""));

    assert_opens(&keys, buf_str(&a), STR("a secret"));
    assert_opens(&keys, buf_str(&empty), STR(""));
    assert_false(str_eq(buf_str(&a), buf_str(&b)));
}

static void test_every_bit_counts(void **state)
{
    struct seal_keys keys = keys_of(1, 1);
    _cleanup_buf_ struct buf sealed = sealed_by(&keys, STR("text"));

    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] = (char)(sealed.p[i / 8] ^ 1 << i % 8);
        assert_refused(&keys, row, 3, buf_str(&sealed));
        sealed.p[i / 8] = (char)(sealed.p[i / 8] ^ 1 << i % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_refused(&keys, row, 3, (struct str){sealed.p, n});
    assert_opens(&keys, buf_str(&sealed), STR("text"));
}

static void test_context(void **state)
{
    static const struct str moved[] = {STR_INIT("users"), STR_INIT("totp"), STR_INIT("43")},
                            shifted[] = {STR_INIT("userst"), STR_INIT("otp"), STR_INIT("42")},
                            padded[] = {STR_INIT("users"), STR_INIT("totp"), STR_INIT("42"),
                                        STR_INIT("")};
    struct seal_keys keys = keys_of(1, 0);
    _cleanup_buf_ struct buf sealed = sealed_by(&keys, STR("text"));

    assert_refused(&keys, moved, 3, buf_str(&sealed));
    assert_refused(&keys, shifted, 3, buf_str(&sealed));
    assert_refused(&keys, padded, 4, buf_str(&sealed));
    assert_refused(&keys, row, 2, buf_str(&sealed));
    assert_refused(&keys, NULL, 0, buf_str(&sealed));
}

static void test_rotation(void **state)
{
    struct seal_keys old = keys_of(0, 0), both = keys_of(1, 1), new = keys_of(1, 0);
    _cleanup_buf_ struct buf before = sealed_by(&old, STR("old")),
                             after = sealed_by(&both, STR("new"));

    assert_opens(&both, buf_str(&before), STR("old"));
    assert_opens(&both, buf_str(&after), STR("new"));
    assert_opens(&new, buf_str(&after), STR("new"));
    assert_refused(&new, row, 3, buf_str(&before));
    assert_refused(&old, row, 3, buf_str(&after));
    assert_true(seal_needs_reseal(&both, buf_str(&before)));
    assert_false(seal_needs_reseal(&both, buf_str(&after)));
    assert_true(seal_needs_reseal(&both, STR("")));
}

static void test_limits(void **state)
{
    struct seal_keys keys = keys_of(SEAL_RETIRED_MAX, SEAL_RETIRED_MAX);
    struct str context[SEAL_CONTEXT_MAX + 1] = {{0}};
    _cleanup_buf_ struct buf out = buf_init(4096), small = buf_init(SEAL_OVERHEAD);

    assert_int_equal(seal_keys_init(secrets[8], secrets, SEAL_RETIRED_MAX + 1, &keys), FAULT_LIMIT);
    assert_int_equal(seal_keys_init(secrets[0], secrets, 1, &keys), FAULT_CRYPTO);
    assert_int_equal(keys.n, SEAL_RETIRED_MAX + 1);
    assert_int_equal(seal(&keys, context, SEAL_CONTEXT_MAX, STR("x"), &out), 0);
    assert_int_equal(seal(&keys, context, SEAL_CONTEXT_MAX + 1, STR("x"), &out), FAULT_LIMIT);
    assert_int_equal(seal(&keys, NULL, 0, (struct str){NULL, SEAL_PLAINTEXT_MAX + 1}, &out),
                     FAULT_LIMIT);
    assert_int_equal(seal(&keys, NULL, 0, STR("x"), &small), FAULT_LIMIT);
    assert_int_equal(small.n, 0);
    seal_keys_release(&keys);
    assert_int_equal(keys.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_context),    cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_limits),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
