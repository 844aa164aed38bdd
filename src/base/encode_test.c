#include "base/encode.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 4648, section 10, without the padding. */
static void encodes_the_known_vectors(void **state)
{
    static const char *const vectors[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF", "-_8"}};
    char text[16];
    uint8_t bytes[16];

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct str plain = str_of(vectors[i][0]), coded = str_of(vectors[i][1]);
        size_t n = 99;
        assert_int_equal(base64url_encode(plain.p, plain.n, text), coded.n);
        assert_int_equal(BASE64URL_LENGTH(plain.n), coded.n);
        assert_memory_equal(text, coded.p, coded.n);
        assert_int_equal(base64url_decode(coded, plain.n, bytes, &n), 0);
        assert_true(str_eq((struct str){(char *)bytes, n}, plain));
    }
}

/* RFC 4648, section 10. */
static void writes_base64_with_its_padding(void **state)
{
    static const char *const vectors[][2] = {
        {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF", "+/8="}};
    char text[16];

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct str plain = str_of(vectors[i][0]);
        base64_encode(plain.p, plain.n, text);
        assert_string_equal(text, vectors[i][1]);
        assert_int_equal(BASE64_LENGTH(plain.n), strlen(text));
    }
}

static void refuses_base64url_of_another_form(void **state)
{
    static const char *const bad[] = {
        "Z",  "Zm9vY", "Zg==",   "Zg=",    "Zm9+", "Zm9/", "Zm 9", "Zm9\n", "\xC3\xA9\xC3\xA9",
        "Zh", "Zm9",   "Zm9vYh", "Zm9vYmF"};
    uint8_t bytes[16];
    size_t n = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (base64url_decode(str_of(bad[i]), sizeof bytes, bytes, &n) != 1)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(base64url_decode(STR("Zm\0v"), sizeof bytes, bytes, &n), 1);
    assert_int_equal(n, 7);
}

static void decodes_no_more_than_there_is_room_for(void **state)
{
    uint8_t bytes[4] = {0, 0, 0, 0xA5};
    size_t n = 7;

    assert_int_equal(base64url_decode(STR("Zm9vYg"), 3, bytes, &n), 1);
    assert_int_equal(n, 7);
    assert_int_equal(base64url_decode(STR("Zm9v"), 3, bytes, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(bytes[3], 0xA5);
}

/* One text for each byte string: whatever decodes encodes to the same text. */
static void every_text_of_three_is_the_only_one(void **state)
{
    for (int i = 0; i < 256 * 256; i++) {
        char text[3] = {'Z', (char)(i >> 8), (char)i}, back[4];
        uint8_t bytes[2];
        size_t n;
        if (base64url_decode((struct str){text, 3}, sizeof bytes, bytes, &n))
            continue;
        assert_int_equal(n, 2);
        assert_int_equal(base64url_encode(bytes, n, back), 3);
        assert_memory_equal(back, text, 3);
    }
}

static void hex(void **state)
{
    char text[7];
    uint8_t bytes[3] = {0x00, 0xAF, 0xFF}, back[3];

    hex_encode(bytes, 3, text);
    assert_string_equal(text, "00afff");
    assert_int_equal(hex_decode(STR("00AFff"), 3, back), 0);
    assert_memory_equal(back, bytes, 3);
    assert_int_equal(hex_decode(STR(""), 0, back), 0);
    static const char *const bad[] = {"",       "00aff",  "00afff0", "00afff00",
                                      "00afgf", "0 afff", "00:aff",  "0x00af"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hex_decode(str_of(bad[i]), 3, back), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(encodes_the_known_vectors),
                                       cmocka_unit_test(writes_base64_with_its_padding),
                                       cmocka_unit_test(refuses_base64url_of_another_form),
                                       cmocka_unit_test(decodes_no_more_than_there_is_room_for),
                                       cmocka_unit_test(every_text_of_three_is_the_only_one),
                                       cmocka_unit_test(hex)};

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
