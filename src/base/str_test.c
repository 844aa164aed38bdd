#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void compares(void **state)
{
    assert_true(str_eq(STR("a"), STR("a")));
    assert_false(str_eq(STR("a"), STR("A")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq(str_of(NULL), STR("")));
    assert_true(str_eq_ci(STR("Content-Length"), STR("content-lENGTH")));
    assert_false(str_eq_ci(STR("Content-Length"), STR("content-lengt")));
    /* '[' and '{' differ by the bit that tells 'A' from 'a'. */
    assert_false(str_eq_ci(STR("["), STR("{")));
    assert_false(str_eq_ci(STR("\xC4"), STR("\xE4")));
}

static void finds_prefixes_and_suffixes(void **state)
{
    assert_true(str_has_prefix(STR("abc"), STR("ab")));
    assert_true(str_has_prefix(STR("abc"), STR("")));
    assert_true(str_has_prefix(str_of(NULL), str_of(NULL)));
    assert_false(str_has_prefix(STR("ab"), STR("abc")));
    assert_true(str_has_prefix_ci(STR("BEARER x"), STR("Bearer ")));
    assert_true(str_has_suffix(STR("abc"), STR("bc")));
    assert_true(str_has_suffix(STR("abc"), STR("")));
    assert_false(str_has_suffix(STR("c"), STR("bc")));
}

static void trims(void **state)
{
    assert_true(str_eq(str_trim(STR(" \ta b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR(" \t ")), STR("")));
    assert_true(str_eq(str_trim(STR("\na")), STR("\na")));
    assert_int_equal(str_trim(str_of(NULL)).n, 0);
}

static void splits(void **state)
{
    struct str rest = STR("a,,b,"), part;

    assert_true(str_next(&rest, ',', &part));
    assert_true(str_eq(part, STR("a")));
    assert_true(str_next(&rest, ',', &part));
    assert_true(str_eq(part, STR("")));
    assert_true(str_next(&rest, ',', &part));
    assert_true(str_eq(part, STR("b")));
    assert_false(str_next(&rest, ',', &part));
    assert_true(str_eq(part, STR("b")));
    rest = str_of(NULL);
    assert_false(str_next(&rest, ',', &part));
    assert_int_equal(str_find(STR("abc"), 'c'), 2);
    assert_int_equal(str_find(STR("abc"), 'd'), 3);
    assert_int_equal(str_find(str_of(NULL), 'd'), 0);
}

static void reads_unsigned_numbers(void **state)
{
    static const char *const bad[] = {"",
                                      "+1",
                                      "-1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1a",
                                      "1\n",
                                      "1.0",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "000000000000000000001"};
    uint64_t v = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(str_to_u64(str_of(bad[i]), UINT64_MAX, &v), 1);
    assert_int_equal(str_to_u64(STR("11"), 10, &v), 1);
    assert_int_equal(str_to_u64(STR("1\0"), 10, &v), 1);
    assert_int_equal(v, 7);
    assert_int_equal(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(str_to_u64(STR("0010"), 10, &v), 0);
    assert_int_equal(v, 10);
}

static void reads_signed_numbers(void **state)
{
    static const char *const bad[] = {
        "", "-", "--1", "+1", "- 1", "9223372036854775808", "-9223372036854775809"};
    int64_t v = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(str_to_i64(str_of(bad[i]), INT64_MIN, INT64_MAX, &v), 1);
    assert_int_equal(str_to_i64(STR("-6"), -5, 5, &v), 1);
    assert_int_equal(str_to_i64(STR("6"), -5, 5, &v), 1);
    assert_int_equal(v, 7);
    assert_int_equal(str_to_i64(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(str_to_i64(STR("9223372036854775807"), INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(str_to_i64(STR("-0"), -5, 5, &v), 0);
    assert_int_equal(v, 0);
}

static void knows_utf8(void **state)
{
    static const struct str good[] = {STR_INIT(""),
                                      STR_INIT("a\0b"),
                                      STR_INIT("\xC2\x80"),
                                      STR_INIT("\xDF\xBF"),
                                      STR_INIT("\xE0\xA0\x80"),
                                      STR_INIT("\xED\x9F\xBF"),
                                      STR_INIT("\xEE\x80\x80"),
                                      STR_INIT("\xEF\xBF\xBF"),
                                      STR_INIT("\xF0\x90\x80\x80"),
                                      STR_INIT("\xF4\x8F\xBF\xBF")};
    static const struct str bad[] = {STR_INIT("\x80"),
                                     STR_INIT("\xC0\x80"),
                                     STR_INIT("\xC1\xBF"),
                                     STR_INIT("\xC2"),
                                     STR_INIT("\xC2 "),
                                     STR_INIT("\xE0\x9F\xBF"),
                                     STR_INIT("\xED\xA0\x80"),
                                     STR_INIT("\xE2\x82"),
                                     STR_INIT("\xE2\x82("),
                                     STR_INIT("\xF0\x8F\xBF\xBF"),
                                     STR_INIT("\xF4\x90\x80\x80"),
                                     STR_INIT("\xF0\x9F\x98"),
                                     STR_INIT("\xF5\x80\x80\x80"),
                                     STR_INIT("\xFF")};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(str_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_is_utf8(bad[i]));
    assert_int_equal(str_utf8_length(STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")), 4);
}

static void knows_controls(void **state)
{
    const struct str with[] = {STR("a\n"),
                               STR("\033[2J"),
                               STR("a\x7F"),
                               STR("a\0"
                                   "b"),
                               STR("\xC2\x80"),
                               STR("a\xC2\x9Fz"),
                               STR("\xC2\x85"),
                               STR("\xE2\x80\xA8"),
                               STR("a\xE2\x80\xA9"),
                               STR("\xC2\x9B"
                                   "2")};
    /* U+202A comes behind the last of them; no string literal, for it hides what it stands in. */
    static const char embedding[] = {'\xE2', '\x80', '\xAA'};
    const struct str without[] = {STR(""),
                                  STR(" ~"),
                                  STR("\xC2\xA0"),
                                  STR("\xC3\x80"),
                                  STR("\xE2\x80\xA7\xE2\x82\xA8"),
                                  {embedding, sizeof embedding}};

    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_true(str_has_control(with[i]));
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_false(str_has_control(without[i]));
    assert_int_equal(str_control_length(STR("a\n"), 1), 1);
    assert_int_equal(str_control_length(STR("\xC2\x9B"), 0), 2);
    assert_int_equal(str_control_length(STR("\xE2\x80\xA8"), 0), 3);
    assert_int_equal(str_control_length((struct str){"\xE2\x80\xA8", 2}, 0), 0);
}

static void orders(void **state)
{
    (void)state;
    assert_int_equal(str_compare(STR("ab"), STR("ab")), 0);
    assert_int_equal(str_compare((struct str){NULL, 0}, STR("")), 0);
    assert_true(str_compare(STR("a"), STR("ab")) < 0);
    assert_true(str_compare(STR("b"), STR("ab")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
}

static void cuts(void **state)
{
    (void)state;
    assert_true(str_eq(str_cut(STR("abc"), 3), STR("abc")));
    assert_true(str_eq(str_cut(STR("abc"), 2), STR("ab")));
    assert_true(str_eq(str_cut(STR("a\xE2\x82\xAC"), 3), STR("a")));
    assert_true(str_eq(str_cut(STR("a\xE2\x82\xAC"), 4), STR("a\xE2\x82\xAC")));
    assert_int_equal(str_cut(STR("\xE2\x82\xAC"), 1).n, 0);
    assert_non_null(str_cut((struct str){NULL, 0}, 1).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(knows_controls),
                                       cmocka_unit_test(compares),
                                       cmocka_unit_test(finds_prefixes_and_suffixes),
                                       cmocka_unit_test(trims),
                                       cmocka_unit_test(splits),
                                       cmocka_unit_test(reads_unsigned_numbers),
                                       cmocka_unit_test(reads_signed_numbers),
                                       cmocka_unit_test(knows_utf8),
                                       cmocka_unit_test(orders),
                                       cmocka_unit_test(cuts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
