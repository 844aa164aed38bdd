/* Tokens to unsubscribe: their text is fixed for ever, and no other bytes pass for it. */
#include "mail/unsubscribe.h"

#include "crypto/init.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct mac_ring keys;
static struct uuid tenant;
static char secret[32];

static struct str secret_of(char *bytes, char first)
{
    for (int i = 0; i < 32; i++)
        bytes[i] = (char)(first + i);
    return (struct str){bytes, 32};
}

static int set_up(void **state)
{
    for (int i = 0; i < 16; i++)
        tenant.b[i] = (uint8_t)i;
    struct str active = secret_of(secret, 0);

    return crypto_init() || mac_ring_derive(&active, 1, UNSUBSCRIBE_LABEL, &keys);
}

static struct str make(const struct mac_ring *k, enum unsubscribe_purpose purpose,
                       const char *address, char text[UNSUBSCRIBE_TEXT_SIZE])
{
    assert_int_equal(unsubscribe_make(k, &tenant, purpose, str_of(address), text), 0);
    return str_of(text);
}

static int check(const struct mac_ring *k, struct str text)
{
    struct unsubscribe token;

    return unsubscribe_check(k, text, &token);
}

/* Computed by another implementation of HKDF and HMAC. */
static void test_known_token(void **state)
{
    char text[UNSUBSCRIBE_TEXT_SIZE];
    struct unsubscribe token;

    make(&keys, UNSUBSCRIBE_PRODUCT, "Ada@Example.com", text);
    assert_string_equal(text, "AQEAAQIDBAUGBwgJCgsMDQ4PYWRhQGV4YW1wbGUuY29tDp1oh9KIxYRTOKvWa0Wp7LyB"
                              "dF2Xf8Y2UmwTR4RH4cQ");
    assert_int_equal(unsubscribe_check(&keys, str_of(text), &token), 0);
    assert_true(uuid_eq(&token.tenant_id, &tenant));
    assert_int_equal(token.purpose, UNSUBSCRIBE_PRODUCT);
    assert_string_equal(token.address, "ada@example.com");
}

/* Another tenant, purpose or address is another token. */
static void test_bound(void **state)
{
    char a[UNSUBSCRIBE_TEXT_SIZE], b[UNSUBSCRIBE_TEXT_SIZE];

    make(&keys, UNSUBSCRIBE_PRODUCT, "ada@example.com", a);
    make(&keys, UNSUBSCRIBE_SECURITY, "ada@example.com", b);
    assert_string_not_equal(a, b);
    make(&keys, UNSUBSCRIBE_PRODUCT, "bob@example.com", b);
    assert_string_not_equal(a, b);
    tenant.b[3] ^= 1;
    make(&keys, UNSUBSCRIBE_PRODUCT, "ada@example.com", b);
    tenant.b[3] ^= 1;
    assert_string_not_equal(a, b);
}

static void test_every_bit_counts(void **state)
{
    char text[UNSUBSCRIBE_TEXT_SIZE], other[UNSUBSCRIBE_TEXT_SIZE];
    uint8_t bytes[UNSUBSCRIBE_BYTES_MAX];
    size_t n;
    struct str token = make(&keys, UNSUBSCRIBE_ALL, "ada@example.com", text);

    assert_int_equal(base64url_decode(token, sizeof bytes, bytes, &n), 0);
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct str changed = {other, base64url_encode(bytes, n, other)};
        if (check(&keys, changed) != UNSUBSCRIBE_INVALID)
            fail_msg("bit %zu does not count", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = 0; length < token.n; length++)
        assert_int_equal(check(&keys, (struct str){text, length}), UNSUBSCRIBE_INVALID);
    assert_int_equal(check(&keys, token), 0);
}

/* Nothing that is authentic is taken for another form: a version and purposes yet to come. */
static void test_other_forms(void **state)
{
    char text[UNSUBSCRIBE_TEXT_SIZE];

    make(&keys, (enum unsubscribe_purpose)4, "ada@example.com", text);
    assert_int_equal(check(&keys, str_of(text)), UNSUBSCRIBE_INVALID);
    make(&keys, (enum unsubscribe_purpose)0, "ada@example.com", text);
    assert_int_equal(check(&keys, str_of(text)), UNSUBSCRIBE_INVALID);
}

static void test_addresses(void **state)
{
    char text[UNSUBSCRIBE_TEXT_SIZE], longest[EMAIL_ADDRESS_MAX + 2];

    assert_int_equal(unsubscribe_make(&keys, &tenant, UNSUBSCRIBE_ALL, STR("nobody"), text),
                     UNSUBSCRIBE_ADDRESS);
    memset(longest, 'a', sizeof longest);
    longest[64] = '@';
    for (size_t i = 126; i < EMAIL_ADDRESS_MAX - 4; i += 62)
        longest[i] = '.';
    memcpy(longest + EMAIL_ADDRESS_MAX - 4, ".com", 5);
    make(&keys, UNSUBSCRIBE_ALL, longest, text);
    assert_int_equal(strlen(text), UNSUBSCRIBE_TEXT_MAX);
    assert_int_equal(check(&keys, str_of(text)), 0);
    assert_int_equal(check(&keys, (struct str){text, UNSUBSCRIBE_TEXT_SIZE}), UNSUBSCRIBE_INVALID);
}

static void test_retired_keys(void **state)
{
    char text[UNSUBSCRIBE_TEXT_SIZE], bytes[MAC_RING_MAX][32];
    struct str secrets[MAC_RING_MAX];
    struct mac_ring rotated, alone;

    for (int i = 0; i < MAC_RING_MAX - 1; i++)
        secrets[i] = secret_of(bytes[i], (char)(10 + i));
    secrets[MAC_RING_MAX - 1] = (struct str){secret, 32}; /* the last that fits */
    assert_int_equal(mac_ring_derive(secrets, MAC_RING_MAX, UNSUBSCRIBE_LABEL, &rotated), 0);
    assert_int_equal(mac_ring_derive(secrets, 1, UNSUBSCRIBE_LABEL, &alone), 0);
    make(&keys, UNSUBSCRIBE_PRODUCT, "ada@example.com", text);
    assert_int_equal(check(&rotated, str_of(text)), 0);
    assert_int_equal(check(&alone, str_of(text)), UNSUBSCRIBE_INVALID);
    make(&rotated, UNSUBSCRIBE_PRODUCT, "ada@example.com", text);
    assert_int_equal(check(&alone, str_of(text)), 0);
    assert_int_equal(check(&keys, str_of(text)), UNSUBSCRIBE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_token),      cmocka_unit_test(test_bound),
        cmocka_unit_test(test_every_bit_counts), cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_addresses),        cmocka_unit_test(test_retired_keys),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
