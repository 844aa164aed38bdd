/* Refresh tokens: their text is fixed for ever, and no other bytes pass for it. */
#include "sessions/refresh_token.h"

#include "base/encode.h"
#include "crypto/init.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const struct str secret = STR_INIT(DIGITS DIGITS);

static struct mac_ring keys;
static struct uuid family;
static uint8_t seed[REFRESH_SEED_SIZE];

static int set_up(void **state)
{
    for (int i = 0; i < 16; i++)
        family.b[i] = (uint8_t)i;
    for (int i = 0; i < REFRESH_SEED_SIZE; i++)
        seed[i] = (uint8_t)(32 + i);
    return crypto_init() || mac_ring_derive(&secret, 1, REFRESH_LABEL, &keys);
}

static struct str make(const struct mac_ring *k, uint32_t generation, char *text)
{
    assert_int_equal(refresh_token_make(k, &family, generation, seed, text), 0);
    assert_int_equal(strlen(text), REFRESH_TOKEN_TEXT);
    return (struct str){text, REFRESH_TOKEN_TEXT};
}

/* 0 where the text is a token of the family and the seed. */
static int check(const struct mac_ring *k, struct str text)
{
    struct refresh_token token;
    int r = refresh_token_parse(text, &token);

    return r ? r : refresh_token_check(k, &token, seed);
}

/* Computed by another implementation of HKDF and HMAC. */
static void test_known_token(void **state)
{
    char text[REFRESH_TOKEN_TEXT_SIZE];
    struct refresh_token token;

    make(&keys, 258, text);
    assert_string_equal(
        text, "hfr_AAECAwQFBgcICQoLDA0ODwAAAQIIicQD8PwSaKeXAED3uqDm5vynPGKSr67ZlB8uNMeFcg");
    assert_int_equal(refresh_token_parse(str_of(text), &token), 0);
    assert_true(uuid_eq(&token.family_id, &family));
    assert_int_equal(token.generation, 258);
    assert_int_equal(refresh_token_check(&keys, &token, seed), 0);
}

/* The same family and generation always give the same token; every other gives another. */
static void test_deterministic(void **state)
{
    char a[REFRESH_TOKEN_TEXT_SIZE], b[REFRESH_TOKEN_TEXT_SIZE];

    make(&keys, 7, a);
    make(&keys, 7, b);
    assert_string_equal(a, b);
    make(&keys, 8, b);
    assert_string_not_equal(a, b);
    seed[31] ^= 1;
    make(&keys, 7, b);
    seed[31] ^= 1;
    assert_string_not_equal(a, b);
}

static void test_every_bit_counts(void **state)
{
    char text[REFRESH_TOKEN_TEXT_SIZE], other[REFRESH_TOKEN_TEXT_SIZE];
    uint8_t bytes[REFRESH_TOKEN_BYTES];
    size_t n;

    make(&keys, 3, text);
    assert_int_equal(base64url_decode(str_of(text + 4), sizeof bytes, bytes, &n), 0);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memcpy(other, "hfr_", 4);
        n = base64url_encode(bytes, sizeof bytes, other + 4);
        other[4 + n] = '\0';
        if (check(&keys, str_of(other)) != REFRESH_TOKEN_INVALID)
            fail_msg("bit %zu does not count", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < REFRESH_SEED_SIZE * 8; bit++) {
        seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(check(&keys, str_of(text)), REFRESH_TOKEN_INVALID);
        seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(check(&keys, str_of(text)), 0);
}

/* Every character in every place by every other byte: one text a token. */
static void test_every_character_counts(void **state)
{
    char text[REFRESH_TOKEN_TEXT_SIZE];

    make(&keys, 3, text);
    for (size_t i = 0; i < REFRESH_TOKEN_TEXT; i++) {
        char right = text[i];
        for (int c = 0; c < 256; c++) {
            text[i] = (char)c;
            int r = check(&keys, (struct str){text, REFRESH_TOKEN_TEXT});
            if (r != (text[i] == right ? 0 : REFRESH_TOKEN_INVALID))
                fail_msg("character %zu as %d gives %d", i, c, r);
        }
        text[i] = right;
    }
}

static void test_lengths(void **state)
{
    char text[REFRESH_TOKEN_TEXT_SIZE + 8] = {0};
    struct refresh_token token;

    make(&keys, 3, text);
    memcpy(text + REFRESH_TOKEN_TEXT, "AAAA", 4);
    for (size_t n = 0; n < REFRESH_TOKEN_TEXT + 5; n++)
        assert_int_equal(refresh_token_parse((struct str){text, n}, &token),
                         n == REFRESH_TOKEN_TEXT ? 0 : REFRESH_TOKEN_INVALID);
    assert_int_equal(refresh_token_parse((struct str){NULL, 0}, &token), REFRESH_TOKEN_INVALID);
}

static void test_generations(void **state)
{
    char text[REFRESH_TOKEN_TEXT_SIZE];
    struct refresh_token token = {.generation = 77};

    make(&keys, REFRESH_GENERATION_MAX, text);
    assert_int_equal(check(&keys, str_of(text)), 0);
    make(&keys, (uint32_t)REFRESH_GENERATION_MAX + 1, text);
    assert_int_equal(refresh_token_parse(str_of(text), &token), REFRESH_TOKEN_INVALID);
    assert_int_equal(token.generation, 77);
}

static void test_retired_keys(void **state)
{
    struct str secrets[MAC_RING_MAX] = {STR("new" DIGITS)};
    char texts[MAC_RING_MAX][200], text[REFRESH_TOKEN_TEXT_SIZE];
    struct mac_ring rotated, alone;

    for (int i = 1; i < MAC_RING_MAX; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "%d%s", i, DIGITS);
        secrets[i] = (struct str){texts[i], (size_t)n};
    }
    secrets[MAC_RING_MAX - 1] = secret; /* the last that fits */
    assert_int_equal(mac_ring_derive(secrets, MAC_RING_MAX, REFRESH_LABEL, &rotated), 0);
    make(&keys, 5, text);
    assert_int_equal(check(&rotated, str_of(text)), 0);
    /* What is made from now on is made by the new key. */
    make(&rotated, 5, text);
    assert_int_equal(check(&rotated, str_of(text)), 0);
    assert_int_equal(check(&keys, str_of(text)), REFRESH_TOKEN_INVALID);
    assert_int_equal(mac_ring_derive(secrets, 1, REFRESH_LABEL, &alone), 0);
    make(&keys, 5, text);
    assert_int_equal(check(&alone, str_of(text)), REFRESH_TOKEN_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_token),      cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_every_bit_counts), cmocka_unit_test(test_every_character_counts),
        cmocka_unit_test(test_lengths),          cmocka_unit_test(test_generations),
        cmocka_unit_test(test_retired_keys),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
