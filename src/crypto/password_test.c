#include "crypto/password.h"

#include "base/fault.h"
#include "crypto/init.h"

#include <sodium.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

/* n copies of the character. */
static struct str many(char *memory, const char *character, size_t n)
{
    size_t size = strlen(character);

    for (size_t i = 0; i < n; i++)
        for (size_t byte = 0; byte < size; byte++)
            memory[i * size + byte] = character[byte];
    return (struct str){memory, n * size};
}

static void test_lengths(void **state)
{
    char memory[1024];

    assert_int_equal(password_check(STR("")), PASSWORD_SHORT);
    assert_int_equal(password_check(STR("zq7#kLm")), PASSWORD_SHORT);
    assert_int_equal(password_check(STR("zq7#kLm!")), 0);
    assert_int_equal(password_check(many(memory, "\xf0\x9f\x94\x91", 7)), PASSWORD_SHORT);
    assert_int_equal(password_check(many(memory, "\xf0\x9f\x94\x91", 8)), 0);
    assert_int_equal(password_check(many(memory, "x", 128)), 0);
    assert_int_equal(password_check(many(memory, "x", 129)), PASSWORD_LONG);
    assert_int_equal(password_check(many(memory, "\xf0\x9f\x94\x91", 128)), 0);
    assert_int_equal(password_check(many(memory, "\xf0\x9f\x94\x91", 129)), PASSWORD_LONG);
    assert_int_equal(password_check(STR("abcdefgh\xff")), PASSWORD_NOT_UTF8);
}

static void test_common(void **state)
{
    assert_int_equal(password_check(STR("password")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("PassWord")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("12345678")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("iloveyou")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("p@ssw0rd")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("Jennifer")), PASSWORD_COMMON);
    assert_int_equal(password_check(STR("password\0")), 0);
    assert_int_equal(password_check(STR("passwordpasswordpassword")), 0);
}

/* Every line of the list is refused, so that the table's order and search are right for each. */
static void test_list(void **state)
{
    FILE *list = fopen(COMMON_PASSWORDS, "r");
    char line[256];
    int common = 0, brief = 0;

    assert_non_null(list);
    while (fgets(line, sizeof line, list)) {
        struct str entry = {line, strcspn(line, "\n")};
        if (line[0] == '#')
            continue;
        if (entry.n < PASSWORD_MIN)
            brief += password_check(entry) == PASSWORD_SHORT;
        else
            common += password_check(entry) == PASSWORD_COMMON;
    }
    fclose(list);
    assert_int_equal(brief, 5949);
    assert_int_equal(common, 5077);
}

static void test_hash(void **state)
{
    char hash[PASSWORD_HASH_SIZE], again[PASSWORD_HASH_SIZE], memory[1024];
    struct str longest = many(memory, "x", PASSWORD_MAX_BYTES);

    assert_int_equal(password_hash(STR("correct horse"), hash), 0);
    assert_int_equal(password_hash(STR("correct horse"), again), 0);
    assert_string_not_equal(hash, again);
    assert_memory_equal(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_int_equal(password_verify(STR("correct horse"), str_of(hash)), 0);
    assert_int_equal(password_verify(STR("correct horsf"), str_of(hash)), 1);
    assert_int_equal(password_verify(STR(""), str_of(hash)), 1);
    assert_int_equal(password_hash(longest, hash), 0);
    assert_int_equal(password_verify(longest, str_of(hash)), 0);
    longest.n++;
    assert_int_equal(password_hash(longest, hash), FAULT_LIMIT);
    assert_int_equal(password_verify(longest, str_of(hash)), 1);
}

static void test_damaged_hash(void **state)
{
    char hash[PASSWORD_HASH_SIZE];

    assert_int_equal(password_hash(STR("correct horse"), hash), 0);
    assert_int_equal(password_verify(STR("correct horse"), STR("")), FAULT_CRYPTO);
    assert_int_equal(password_verify(STR("correct horse"), (struct str){hash, 40}), FAULT_CRYPTO);
    assert_int_equal(password_verify(STR("correct horse"), (struct str){hash, sizeof hash}),
                     FAULT_CRYPTO);
    char *damaged = hash + strlen(hash) - 2;
    *damaged = *damaged == 'A' ? 'B' : 'A'; /* another letter of base64, so still a hash */
    assert_int_equal(password_verify(STR("correct horse"), str_of(hash)), 1);
}

static void test_rehash(void **state)
{
    char hash[PASSWORD_HASH_SIZE], cheap[PASSWORD_HASH_SIZE];

    assert_int_equal(password_hash(STR("correct horse"), hash), 0);
    assert_false(password_needs_rehash(str_of(hash)));
    assert_int_equal(crypto_pwhash_str(cheap, "correct horse", 13, 1, 8 << 20), 0);
    assert_true(password_needs_rehash(str_of(cheap)));
    assert_int_equal(password_verify(STR("correct horse"), str_of(cheap)), 0);
    assert_true(password_needs_rehash(STR("")));
}

static void test_dummy(void **state)
{
    char memory[1024];

    assert_int_equal(password_verify_dummy(STR("correct horse")), 1);
    assert_int_equal(password_verify_dummy(STR("")), 1);
    assert_int_equal(password_verify_dummy(many(memory, "x", PASSWORD_MAX_BYTES + 1)), 1);
}

static void test_generate(void **state)
{
    char a[PASSWORD_GENERATED_SIZE], b[PASSWORD_GENERATED_SIZE];

    for (int round = 0; round < 200; round++) {
        password_generate(a);
        assert_int_equal(strlen(a), PASSWORD_GENERATED_SIZE - 1);
        assert_int_equal(strspn(a, "abcdefghjkmnpqrstuvwxyz23456789-"), strlen(a));
        for (size_t i = 0; i < strlen(a); i++)
            assert_int_equal(a[i] == '-', i % 7 == 6);
        assert_int_equal(password_check(str_of(a)), 0);
    }
    password_generate(b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),      cmocka_unit_test(test_common),
        cmocka_unit_test(test_list),         cmocka_unit_test(test_hash),
        cmocka_unit_test(test_damaged_hash), cmocka_unit_test(test_rehash),
        cmocka_unit_test(test_dummy),        cmocka_unit_test(test_generate),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
