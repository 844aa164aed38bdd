#include "crypto/mac.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static void assert_hex(const void *bytes, size_t n, const char *expected)
{
    char text[512];

    hex_encode(bytes, n, text);
    assert_string_equal(text, expected);
}

static struct str repeat(char *memory, char c, size_t n)
{
    memset(memory, c, n);
    return (struct str){memory, n};
}

/* FIPS 180-4's examples, whole and in parts. */
static void test_sha256(void **state)
{
    const char *expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    struct str parts[] = {STR("b"), STR(""), STR("c")};
    uint8_t digest[SHA256_SIZE];

    assert_int_equal(sha256(STR("abc"), digest), 0);
    assert_hex(digest, sizeof digest, expected);
    assert_int_equal(sha256_parts(STR("a"), parts, 3, digest), 0);
    assert_hex(digest, sizeof digest, expected);
    struct sha256_stream stream;
    assert_int_equal(sha256_begin(&stream), 0);
    assert_int_equal(sha256_add(&stream, STR("a")), 0);
    assert_int_equal(sha256_add(&stream, STR("")), 0);
    assert_int_equal(sha256_add(&stream, STR("bc")), 0);
    assert_int_equal(sha256_end(&stream, digest), 0);
    assert_hex(digest, sizeof digest, expected);
    assert_int_equal(sha256(STR(""), digest), 0);
    assert_hex(digest, sizeof digest,
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void check_mac(struct str key, struct str message, const char *expected)
{
    struct str parts[] = {{message.p, 3}, STR(""), {message.p + 3, message.n - 3}};
    struct mac_key k;
    uint8_t mac[MAC_SIZE];

    assert_int_equal(mac_key_init(key, &k), 0);
    assert_int_equal(mac_sha256(&k, message, mac), 0);
    assert_hex(mac, sizeof mac, expected);
    memset(mac, 0, sizeof mac);
    assert_int_equal(mac_sha256_parts(&k, parts, 3, mac), 0);
    assert_hex(mac, sizeof mac, expected);
}

/* RFC 4231, cases 1, 2, 3, 6 and 7. */
static void test_hmac(void **state)
{
    char key[131], message[50];

    check_mac(repeat(key, 0x0b, 20), STR("Hi There"),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_mac(STR("Jefe"), STR("what do ya want for nothing?"),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check_mac(repeat(key, (char)0xaa, 20), repeat(message, (char)0xdd, 50),
              "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    check_mac(repeat(key, (char)0xaa, 131),
              STR("Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_mac(repeat(key, (char)0xaa, 131),
              STR("This is a test using a larger than block-size key and a larger than block-size "
                  "data. The key needs to be hashed before being used by the HMAC algorithm."),
              "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

/* Keys of a whole block and of one byte more take different ways in. */
static void test_key_sizes(void **state)
{
    char block[65];
    uint8_t digest[SHA256_SIZE];
    struct mac_key whole, longer, hashed;

    repeat(block, 'k', sizeof block);
    assert_int_equal(mac_key_init((struct str){block, 64}, &whole), 0);
    assert_int_equal(mac_key_init((struct str){block, 65}, &longer), 0);
    assert_int_equal(sha256((struct str){block, 65}, digest), 0);
    assert_int_equal(mac_key_init((struct str){(char *)digest, sizeof digest}, &hashed), 0);
    assert_memory_equal(&longer, &hashed, sizeof longer);
    assert_memory_not_equal(&longer, &whole, sizeof longer);
}

/* RFC 5869, cases 1 and 3. */
static void test_hkdf(void **state)
{
    char ikm[22], salt[13], info[10];
    uint8_t okm[42];

    repeat(ikm, 0x0b, sizeof ikm);
    for (int i = 0; i < 13; i++)
        salt[i] = (char)i;
    for (int i = 0; i < 10; i++)
        info[i] = (char)(0xf0 + i);
    assert_int_equal(mac_hkdf((struct str){ikm, sizeof ikm}, (struct str){salt, sizeof salt},
                              (struct str){info, sizeof info}, okm, sizeof okm),
                     0);
    assert_hex(
        okm, sizeof okm,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_int_equal(mac_hkdf((struct str){ikm, sizeof ikm}, STR(""), STR(""), okm, sizeof okm), 0);
    assert_hex(
        okm, sizeof okm,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void test_derive(void **state)
{
    struct mac_key a, b, again;
    uint8_t bytes[MAC_SIZE];
    struct mac_key plain;

    assert_int_equal(mac_derive(STR("a secret"), STR("one"), &a), 0);
    assert_int_equal(mac_derive(STR("a secret"), STR("two"), &b), 0);
    assert_int_equal(mac_derive(STR("a secret"), STR("one"), &again), 0);
    assert_memory_equal(&a, &again, sizeof a);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_int_equal(mac_hkdf(STR("a secret"), STR(""), STR("one"), bytes, sizeof bytes), 0);
    assert_int_equal(mac_key_init((struct str){(char *)bytes, sizeof bytes}, &plain), 0);
    assert_memory_equal(&a, &plain, sizeof a);
}

/* The first key makes; every one of them, and no other, verifies. */
static void test_ring(void **state)
{
    static const char digits[] = "0123456789";
    const struct str parts[] = {STR("a"), STR("bc")}, others[] = {STR("a"), STR("bd")};
    struct str secrets[MAC_RING_MAX + 1];
    struct mac_ring ring, one = {.n = 77};
    uint8_t mac[MAC_SIZE];

    for (size_t i = 0; i <= MAC_RING_MAX; i++)
        secrets[i] = (struct str){digits + i, 1};
    assert_int_equal(mac_ring_derive(secrets, MAC_RING_MAX, STR("label"), &ring), 0);
    assert_int_equal(mac_ring_derive(secrets, MAC_RING_MAX + 1, STR("label"), &one), FAULT_LIMIT);
    assert_int_equal(one.n, 77);
    for (size_t i = 0; i <= MAC_RING_MAX; i++) {
        assert_int_equal(mac_ring_derive(secrets + i, 1, STR("label"), &one), 0);
        assert_int_equal(mac_ring_make(&one, parts, 2, mac), 0);
        assert_int_equal(mac_ring_check(&ring, parts, 2, mac), i < MAC_RING_MAX ? 0 : MAC_FORGED);
        assert_int_equal(mac_ring_check(&ring, others, 2, mac), MAC_FORGED);
    }
    assert_int_equal(mac_ring_make(&ring, parts, 2, mac), 0);
    assert_int_equal(mac_ring_derive(secrets, 1, STR("label"), &one), 0);
    assert_int_equal(mac_ring_check(&one, parts, 2, mac), 0);
}

static void test_memeq(void **state)
{
    assert_true(crypto_memeq("abcd", "abcd", 4));
    assert_false(crypto_memeq("abcd", "abce", 4));
    assert_true(crypto_memeq("abcd", "abce", 3));
    assert_true(crypto_str_eq(STR("abc"), STR("abc")));
    assert_false(crypto_str_eq(STR("abc"), STR("abcd")));
    assert_true(crypto_str_eq(STR(""), STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),    cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_key_sizes), cmocka_unit_test(test_hkdf),
        cmocka_unit_test(test_derive),    cmocka_unit_test(test_memeq),
        cmocka_unit_test(test_ring),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
