#include "mail/webhook_signature.h"

#include "base/fault.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static const int64_t now = INT64_C(1700000000) * 1000;
static const struct str body = STR_INIT("{\"bounce\":{}}");

static struct mac_key keys[2], stranger;

static int set_up(void **state)
{
    return mac_key_init(STR("the first secret"), &keys[0]) ||
           mac_key_init(STR("the second secret"), &keys[1]) ||
           mac_key_init(STR("a stranger's"), &stranger);
}

static int verify(const char *header)
{
    return webhook_signature_verify(keys, 2, str_of(header), body, now);
}

/* printf '1700000000.{"bounce":{}}' | openssl dgst -sha256 -hmac 'the first secret' */
#define KNOWN "0424961d030a2318726c43ca7e3eb286af2c94f91e727e36bf37c128de3e9445"

static void test_known_value(void **state)
{
    assert_int_equal(verify("t=1700000000,v1=" KNOWN), 0);
}

static void test_write_and_verify(void **state)
{
    _cleanup_buf_ struct buf header = buf_init(WEBHOOK_HEADER_MAX);
    _cleanup_buf_ struct buf small = buf_init(40);

    assert_int_equal(webhook_signature_write(keys, 2, body, now + 999, &header), 0);
    assert_int_equal(header.n, 2 + 10 + 2 * (4 + 64));
    assert_true(str_has_prefix(buf_str(&header), STR("t=1700000000,v1=" KNOWN ",v1=")));
    /* Either side may know but one of the two secrets. */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(webhook_signature_verify(&keys[i], 1, buf_str(&header), body, now), 0);
    assert_int_equal(webhook_signature_verify(&stranger, 1, buf_str(&header), body, now),
                     WEBHOOK_MISMATCH);
    assert_int_equal(webhook_signature_verify(keys, 0, buf_str(&header), body, now),
                     WEBHOOK_MISMATCH);
    assert_int_equal(
        webhook_signature_verify(keys, 2, buf_str(&header), STR("{\"bounce\":{} }"), now),
        WEBHOOK_MISMATCH);
    assert_int_equal(webhook_signature_write(keys, 2, body, now, &small), FAULT_LIMIT);
}

/* The time is signed with the body: it cannot be moved. */
static void test_other_time(void **state)
{
    assert_int_equal(verify("t=1700000001,v1=" KNOWN), WEBHOOK_MISMATCH);
}

static void test_tolerance(void **state)
{
    static const struct {
        int64_t offset;
        int outcome;
    } cases[] = {
        {0, 0},
        {WEBHOOK_TOLERANCE_MS, 0},
        {WEBHOOK_TOLERANCE_MS + 1, WEBHOOK_STALE},
        {-WEBHOOK_TOLERANCE_MS, 0},
        {-WEBHOOK_TOLERANCE_MS - 1, WEBHOOK_STALE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(webhook_signature_verify(keys, 2, STR("t=1700000000,v1=" KNOWN), body,
                                                  now + cases[i].offset),
                         cases[i].outcome);
}

#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"
#define FOUR ",v1=" OTHER ",v1=" OTHER ",v1=" OTHER ",v1=" OTHER

static void test_rotation(void **state)
{
    assert_int_equal(verify("t=1700000000,v1=" OTHER ",v1=" KNOWN), 0);
    assert_int_equal(verify("t=1700000000,v1=" KNOWN ",v1=" OTHER), 0);
    assert_int_equal(
        verify("t=1700000000" FOUR ",v1=" OTHER ",v1=" OTHER ",v1=" OTHER ",v1=" KNOWN), 0);
    assert_int_equal(verify("t=1700000000" FOUR FOUR ",v1=" KNOWN), WEBHOOK_MALFORMED);
}

static void test_malformed(void **state)
{
    static const char *const cases[] = {
        "",
        ",",
        "t=1700000000",
        "t=1700000000,",
        "v1=" KNOWN,
        "v1=" KNOWN ",t=1700000000",
        "t=,v1=" KNOWN,
        "t=0,v1=" KNOWN,
        "t=01700000000,v1=" KNOWN,
        "t=+1700000000,v1=" KNOWN,
        "t=-1700000000,v1=" KNOWN,
        "t=1700000000.0,v1=" KNOWN,
        "t=1.7e9,v1=" KNOWN,
        "t= 1700000000,v1=" KNOWN,
        "t=253402300800,v1=" KNOWN,
        "t=99999999999999999999999999,v1=" KNOWN,
        "T=1700000000,v1=" KNOWN,
        "t=1700000000,V1=" KNOWN,
        "t=1700000000, v1=" KNOWN,
        "t=1700000000,v1=" KNOWN ",",
        "t=1700000000,,v1=" KNOWN,
        "t=1700000000,v1=" KNOWN " ",
        "t=1700000000,v1=" KNOWN "00",
        "t=1700000000,v1=",
        "t=1700000000,v1=zz",
        "t=1700000000,v0=" KNOWN,
        "t=1700000000,v0=" KNOWN ",v1=" KNOWN,
        "t=1700000000,t=1700000000,v1=" KNOWN,
        "t=1700000000;v1=" KNOWN,
        "sha256=" KNOWN,
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(verify(cases[i]), WEBHOOK_MALFORMED);
    assert_int_equal(
        webhook_signature_verify(keys, 2, STR("t=1700000000,v1=" KNOWN "\0"), body, now),
        WEBHOOK_MALFORMED);
}

static void test_texts(void **state)
{
    for (int i = WEBHOOK_MALFORMED; i <= WEBHOOK_STALE; i++)
        assert_true(strlen(webhook_outcome_text(i)) > 0);
    assert_string_equal(webhook_outcome_text(0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_value), cmocka_unit_test(test_write_and_verify),
        cmocka_unit_test(test_other_time),  cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_rotation),    cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
