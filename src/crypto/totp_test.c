#include "crypto/totp.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/qr.h"
#include "crypto/recovery.h"

#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

static const uint8_t secret[TOTP_SECRET_SIZE] = {'1', '2', '3', '4', '5', '6', '7', '8', '9', '0',
                                                 '1', '2', '3', '4', '5', '6', '7', '8', '9', '0'};

/* RFC 6238, appendix B, SHA-1: the last six of its eight digits. */
static void test_vectors(void **state)
{
    static const struct {
        int64_t s;
        const char *code;
    } vectors[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                   {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        int64_t step = 0;
        assert_int_equal(
            totp_verify(secret, str_of(vectors[i].code), vectors[i].s * 1000, 0, &step), 0);
        assert_int_equal(step, vectors[i].s / 30);
    }
}

static void test_window(void **state)
{
    const int64_t at = INT64_C(1111111109) / 30 * 30000; /* the step of "081804" begins */
    int64_t step = 7;

    assert_int_equal(totp_verify(secret, STR("081804"), at - 30001, 0, &step), TOTP_WRONG);
    assert_int_equal(step, 7);
    assert_int_equal(totp_verify(secret, STR("081804"), at - 30000, 0, &step), 0);
    assert_int_equal(totp_verify(secret, STR("081804"), at + 59999, 0, &step), 0);
    assert_int_equal(step, at / 30000);
    assert_int_equal(totp_verify(secret, STR("081804"), at + 60000, 0, &step), TOTP_WRONG);
}

static void test_once(void **state)
{
    const int64_t now = INT64_C(1111111109) * 1000;
    int64_t step, none = 0;

    assert_int_equal(totp_verify(secret, STR("081804"), now, 0, &step), 0);
    assert_int_equal(totp_verify(secret, STR("081804"), now, step, &none), TOTP_WRONG);
    assert_int_equal(totp_verify(secret, STR("081804"), now, step + 1, &none), TOTP_WRONG);
    assert_int_equal(totp_verify(secret, STR("050471"), now, step, &none), 0);
    assert_int_equal(none, step + 1);
}

static void test_wrong_forms(void **state)
{
    static const struct str wrong[] = {
        STR_INIT(""),       STR_INIT("81804"),  STR_INIT("0818040"), STR_INIT("081805"),
        STR_INIT(" 81804"), STR_INIT("08180a"), STR_INIT("081804 "), STR_INIT("07081804")};
    int64_t step;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(totp_verify(secret, wrong[i], INT64_C(1111111109000), 0, &step),
                         TOTP_WRONG);
    assert_int_equal(totp_verify(secret, STR("755224"), -1, -9, &step), TOTP_WRONG);
}

static void test_uri(void **state)
{
    _cleanup_buf_ struct buf uri = buf_init(1024), small = buf_init(40);

    assert_int_equal(totp_uri(secret, STR("Hold fast&Co"), STR("zo\xc3\xab+1@example.com"), &uri),
                     0);
    assert_string_equal(buf_cstr(&uri),
                        "otpauth://totp/Hold%20fast%26Co:zo%C3%AB%2B1%40example.com"
                        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Hold%20fast%26Co"
                        "&algorithm=SHA1&digits=6&period=30");
    assert_int_equal(totp_uri(secret, STR("Holdfast"), STR("a@example.com"), &small), FAULT_LIMIT);
}

static void test_secret(void **state)
{
    uint8_t a[TOTP_SECRET_SIZE], b[TOTP_SECRET_SIZE];
    char text[TOTP_SECRET_TEXT_SIZE];

    totp_secret_new(a);
    totp_secret_new(b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(totp_secret_format(a, text), 0);
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 32);
    assert_int_equal(strlen(text), 32);
}

static void test_recovery(void **state)
{
    char shown[RECOVERY_SHOWN_SIZE], other[RECOVERY_SHOWN_SIZE];
    char code[RECOVERY_CODE_SIZE], typed[RECOVERY_CODE_SIZE];

    recovery_code_new(shown);
    recovery_code_new(other);
    assert_string_not_equal(shown, other);
    assert_int_equal(strlen(shown), 19);
    assert_true(shown[4] == '-' && shown[9] == '-' && shown[14] == '-');
    assert_int_equal(recovery_code_normalise(str_of(shown), code), 0);
    assert_int_equal(recovery_code_normalise(str_of(code), typed), 0);
    assert_string_equal(code, typed);
    assert_int_equal(recovery_code_normalise(STR(" K7QD 2m9x--OIL0-abcd "), code), 0);
    assert_string_equal(code, "k7qd2m9x0110abcd");
}

static void test_recovery_refusals(void **state)
{
    char code[RECOVERY_CODE_SIZE] = "kept";

    assert_int_equal(recovery_code_normalise(STR(""), code), 1);
    assert_int_equal(recovery_code_normalise(STR("k7qd-2m9x-abcd-abc"), code), 1);
    assert_int_equal(recovery_code_normalise(STR("k7qd-2m9x-abcd-abcde"), code), 1);
    assert_int_equal(recovery_code_normalise(STR("k7qd-2m9x-abcd-abcu"), code), 1);
    assert_int_equal(recovery_code_normalise(STR("k7qd-2m9x-abcd-abc\0"), code), 1);
    assert_int_equal(recovery_code_normalise(STR("k7qd_2m9x_abcd_abcd"), code), 1);
    assert_string_equal(code, "kept");
}

/* Version 1 has 21 modules; its first row begins with the finder's seven dark ones. */
static void test_qr(void **state)
{
    _cleanup_buf_ struct buf svg = buf_init(65536);

    assert_int_equal(qr_svg(STR("holdfast"), &svg), 0);
    assert_true(str_has_prefix(buf_str(&svg), STR("<svg xmlns=\"http://www.w3.org/2000/svg\" "
                                                  "viewBox=\"0 0 29 29\"")));
    assert_true(str_has_suffix(buf_str(&svg), STR("\"/></svg>")));
    assert_non_null(strstr(buf_cstr(&svg), "d=\"M4 4.5h7M"));
    assert_non_null(strstr(buf_cstr(&svg), "M18 10.5h7M12 11.5"));
    assert_null(strstr(buf_cstr(&svg), "href"));
}

static void test_qr_limits(void **state)
{
    char text[QR_TEXT_MAX + 1];
    _cleanup_buf_ struct buf svg = buf_init(1 << 20), small = buf_init(100);

    memset(text, 'x', sizeof text);
    assert_int_equal(qr_svg((struct str){text, QR_TEXT_MAX}, &svg), 0);
    assert_int_equal(qr_svg((struct str){text, QR_TEXT_MAX + 1}, &svg), FAULT_LIMIT);
    assert_int_equal(qr_svg(STR(""), &svg), FAULT_LIMIT);
    assert_int_equal(qr_svg(STR("holdfast"), &small), FAULT_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),  cmocka_unit_test(test_window),
        cmocka_unit_test(test_once),     cmocka_unit_test(test_wrong_forms),
        cmocka_unit_test(test_uri),      cmocka_unit_test(test_secret),
        cmocka_unit_test(test_recovery), cmocka_unit_test(test_recovery_refusals),
        cmocka_unit_test(test_qr),       cmocka_unit_test(test_qr_limits),
    };

    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
