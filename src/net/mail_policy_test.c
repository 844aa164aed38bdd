#include "net/mail_policy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_tags(void **state)
{
    struct tag tags[TAG_LIST_MAX];
    char text[400] = "";
    size_t n = 0, at = 0;

    assert_int_equal(tag_list_read(STR(" a = b c ;d_1=; e=x=y ; "), tags, &n), 0);
    assert_int_equal(n, 3);
    assert_true(str_eq(tags[0].name, STR("a")) && str_eq(tags[0].value, STR("b c")));
    assert_true(str_eq(tags[1].name, STR("d_1")) && str_eq(tags[1].value, STR("")));
    assert_true(str_eq(tags[2].value, STR("x=y")));
    static const char *const bad[] = {"",     ";",     "a",      "=b",      "a=b;;c=d",
                                      "1a=b", "a b=c", "a=\x01", "a=b;a=c", "a=\xC3\xA9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tag_list_read(str_of(bad[i]), tags, &n), 1);

    for (int i = 0; i < TAG_LIST_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "t%d=x;", i);
    assert_int_equal(tag_list_read(str_of(text), tags, &n), 0);
    assert_int_equal(n, TAG_LIST_MAX);
    snprintf(text + at, sizeof text - at, "u=x");
    assert_int_equal(tag_list_read(str_of(text), tags, &n), 1);
}

static void test_dkim(void **state)
{
    struct dkim_key key;

    assert_int_equal(dkim_key_read(STR("v=DKIM1; k=rsa; p=QUJD REVG;"), &key), 0);
    assert_true(key.rsa && !key.revoked && !key.testing && key.key_bytes == 6);
    assert_int_equal(dkim_key_read(STR("p=QQ=="), &key), 0);
    assert_int_equal(key.key_bytes, 1);
    assert_int_equal(dkim_key_read(STR("v=DKIM1; k=ed25519; t=s:y; p=QUI="), &key), 0);
    assert_true(!key.rsa && key.testing && key.key_bytes == 2);
    assert_int_equal(dkim_key_read(STR("v=DKIM1; p="), &key), 0);
    assert_true(key.revoked);
    assert_int_equal(dkim_key_read(STR("h=sha1:sha256; s=email; n=note; p=QUJD"), &key), 0);

    static const char *const bad[] = {
        "",
        "v=DKIM1",
        "v=DKIM2; p=QUJD",
        "p=QUJD; v=DKIM1",
        "v=DKIM1; k=dsa; p=QUJD",
        "v=DKIM1; p=QUJ",
        "v=DKIM1; p=Q===",
        "v=DKIM1; p=QU=JD",
        "v=DKIM1; p=QU!D",
        "v=DKIM1; h=sha1; p=QUJD",
        "v=DKIM1; s=tlsrpt; p=QUJD",
        "v=DKIM1; p=QUJD; p=QUJD",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(dkim_key_read(str_of(bad[i]), &key), 1);
}

static void test_dmarc(void **state)
{
    struct dmarc d;

    assert_int_equal(dmarc_read(STR("v=DMARC1; p=none"), &d), 0);
    assert_true(d.policy == DMARC_NONE && d.subdomain_policy == DMARC_NONE && d.percent == 100 &&
                !d.reports);
    assert_int_equal(dmarc_read(STR("v = DMARC1 ;p=Quarantine; sp=reject; pct=0; adkim=s; aspf=R; "
                                    "rua=mailto:a@example.com; unknown=x;"),
                                &d),
                     0);
    assert_true(d.policy == DMARC_QUARANTINE && d.subdomain_policy == DMARC_REJECT &&
                d.percent == 0 && d.reports);

    static const char *const bad[] = {
        "",
        "v=DMARC1",
        "p=none",
        "v=DMARC2; p=none",
        "v=DMARC1; rua=mailto:a@b; p=none",
        "v=DMARC1; p=",
        "v=DMARC1; p=block",
        "v=DMARC1; p=none; sp=block",
        "v=DMARC1; p=none; pct=101",
        "v=DMARC1; p=none; pct=-1",
        "v=DMARC1; p=none; pct=",
        "v=DMARC1; p=none; adkim=x",
        "v=DMARC1; p=none; aspf=",
        "v=DMARC1; p=none; p=reject",
        "v=DMARC1; p=none; junk",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(dmarc_read(str_of(bad[i]), &d), 1);
    assert_true(dmarc_is_record(STR("v=DMARC1; junk")));
    assert_false(dmarc_is_record(STR("v=spf1 -all")));
    assert_false(dmarc_is_record(STR("v=DMARC10;p=none")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_dkim),
        cmocka_unit_test(test_dmarc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
