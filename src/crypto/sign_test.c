#include "crypto/sign.h"

#include "base/encode.h"
#include "crypto/init.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static void bytes_of(const char *hex, size_t n, void *ret)
{
    assert_int_equal(hex_decode(str_of(hex), n, ret), 0);
}

/* RFC 8032, section 7.1, tests 1 and 3. */
static void test_vectors(void **state)
{
    static const struct {
        const char *seed, *public_key, *message, *signature;
    } vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "cf9"
         "b46bd25bf5f0595bbe24655141438e7a100b"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "84d"
         "c6594a7c15e9716ed28dc027beceea1ec40a"},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t seed[32], public_key[32], signature[64], expected[64];
        char message[8];
        size_t n = strlen(vectors[i].message) / 2;
        struct sign_key key;
        bytes_of(vectors[i].seed, 32, seed);
        bytes_of(vectors[i].public_key, 32, public_key);
        bytes_of(vectors[i].signature, 64, expected);
        bytes_of(vectors[i].message, n, message);
        sign_key_init(seed, &key);
        assert_memory_equal(key.public_key, public_key, 32);
        sign_message(&key, (struct str){message, n}, signature);
        assert_memory_equal(signature, expected, 64);
        assert_int_equal(sign_verify(public_key, (struct str){message, n}, signature), 0);
    }
}

static void test_refusals(void **state)
{
    struct sign_key key, other;
    uint8_t signature[SIGN_SIZE];

    assert_int_equal(sign_key_derive(STR("a secret"), STR("one"), &key), 0);
    assert_int_equal(sign_key_derive(STR("a secret"), STR("two"), &other), 0);
    sign_message(&key, STR("head 7"), signature);
    assert_int_equal(sign_verify(key.public_key, STR("head 7"), signature), 0);
    assert_int_equal(sign_verify(key.public_key, STR("head 8"), signature), 1);
    assert_int_equal(sign_verify(other.public_key, STR("head 7"), signature), 1);
    for (size_t i = 0; i < SIGN_SIZE; i++) {
        signature[i] ^= 1;
        assert_int_equal(sign_verify(key.public_key, STR("head 7"), signature), 1);
        signature[i] ^= 1;
    }
}

static void test_public_text(void **state)
{
    struct sign_key key;
    uint8_t parsed[SIGN_PUBLIC_SIZE];
    char text[SIGN_PUBLIC_TEXT_SIZE];

    assert_int_equal(sign_key_derive(STR("a secret"), STR("one"), &key), 0);
    sign_public_format(key.public_key, text);
    assert_int_equal(strlen(text), SIGN_PUBLIC_TEXT);
    assert_int_equal(sign_public_parse(str_of(text), parsed), 0);
    assert_memory_equal(parsed, key.public_key, sizeof parsed);
    assert_int_equal(sign_public_parse((struct str){text, SIGN_PUBLIC_TEXT - 1}, parsed), 1);
    text[0] = 'E';
    assert_int_equal(sign_public_parse(str_of(text), parsed), 1);
    text[0] = 'e';
    text[20] = '=';
    assert_int_equal(sign_public_parse(str_of(text), parsed), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_public_text),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
