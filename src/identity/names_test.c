/* Roles, addresses, names of tenants, devices: what needs no store. */
#include "crypto/init.h"
#include "identity/device.h"
#include "identity/email_address.h"
#include "identity/role.h"
#include "identity/tenant.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_roles(void **state)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        enum role role = i == 0 ? ROLE_ADMIN : ROLE_MEMBER;
        assert_int_equal(role_parse(role_name((enum role)i), &role), 0);
        assert_int_equal(role, i);
    }
    enum role role = ROLE_ADMIN;
    static const char *const bad[] = {"", "Admin", "admin ", "root", "operators"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(role_parse(str_of(bad[i]), &role), 1);
    assert_int_equal(role, ROLE_ADMIN);
}

static void test_addresses(void **state)
{
    static const char *const good[][2] = {
        {"ada@example.com", "ada@example.com"},
        {"Ada.B@EXAMPLE.Com", "ada.b@example.com"},
        {"a+b_c-d!#$%&'*/=?^`{|}~@a-b.c0", "a+b_c-d!#$%&'*/=?^`{|}~@a-b.c0"},
        {"operator@localhost", "operator@localhost"},
        {"x@1.2.example", "x@1.2.example"},
        {"x@xn--bcher-kva.example", "x@xn--bcher-kva.example"},
    };
    char text[EMAIL_ADDRESS_SIZE];
    size_t n;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(email_address_normalise(str_of(good[i][0]), text, &n), 0);
        assert_string_equal(text, good[i][1]);
        assert_int_equal(n, strlen(good[i][1]));
    }
}

static void test_local_addresses(void **state)
{
    assert_true(email_address_is_local(STR("operator@localhost")));
    assert_true(email_address_is_local(STR("a@mail.localhost")));
    assert_false(email_address_is_local(STR("localhost@example.com")));
    assert_false(email_address_is_local(STR("a.localhost@example.com")));
    assert_false(email_address_is_local(STR("a@notlocalhost")));
    assert_false(email_address_is_local(STR("a@localhost.example")));
    assert_false(email_address_is_local(STR("")));
}

static void test_bad_addresses(void **state)
{
    static const struct str bad[] = {
        STR_INIT(""),
        STR_INIT("@"),
        STR_INIT("a@"),
        STR_INIT("@b.c"),
        STR_INIT("a"),
        STR_INIT("a@b"),
        STR_INIT("a@b@c.d"),
        STR_INIT(" a@b.c"),
        STR_INIT("a@b.c "),
        STR_INIT("a b@c.d"),
        STR_INIT("a@b .c"),
        STR_INIT(".a@b.c"),
        STR_INIT("a.@b.c"),
        STR_INIT("a..b@c.d"),
        STR_INIT("a@.b.c"),
        STR_INIT("a@b..c"),
        STR_INIT("a@b.c."),
        STR_INIT("a@-b.c"),
        STR_INIT("a@b-.c"),
        STR_INIT("a@b_c.d"),
        STR_INIT("\"a\"@b.c"),
        STR_INIT("a@[1.2.3.4]"),
        STR_INIT("a@1.2.3.4"),
        STR_INIT("a@b.c\n"),
        STR_INIT("a\r\nb@c.d"),
        STR_INIT("a\0b@c.d"),
        STR_INIT("a@b.c\0"),
        STR_INIT("a@b\0.c"),
        STR_INIT("\xc3\xa4@b.c"),
        STR_INIT("a@\xc3\xa4.c"),
        STR_INIT("a,b@c.d"),
        STR_INIT("<a@b.c>"),
        STR_INIT("a(x)@b.c"),
        STR_INIT("a\x7f@b.c"),
        STR_INIT("a@localhost."),
        STR_INIT("a:b@c.d"),
    };
    char text[EMAIL_ADDRESS_SIZE] = "untouched";
    size_t n = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (email_address_normalise(bad[i], text, &n) != 1)
            fail_msg("accepted: %.*s", STR_ARG(bad[i]));
    assert_string_equal(text, "untouched");
    assert_int_equal(n, 7);
}

/* "<local of n>@<labels of 63, 63, ...>.example", whole bytes long. */
static struct str long_address(char *out, size_t local, size_t whole)
{
    memset(out, 'a', whole);
    out[local] = '@';
    for (size_t i = local + 1 + 60; i < whole - 8; i += 61)
        out[i] = '.';
    memcpy(out + whole - 8, ".example", 8);
    if (out[whole - 9] == '.')
        out[whole - 9] = 'a';
    return (struct str){out, whole};
}

static void test_lengths_of_addresses(void **state)
{
    char in[300], text[EMAIL_ADDRESS_SIZE];
    size_t n;

    assert_int_equal(email_address_normalise(long_address(in, 64, 100), text, &n), 0);
    assert_int_equal(email_address_normalise(long_address(in, 65, 100), text, &n), 1);
    assert_int_equal(email_address_normalise(long_address(in, 64, 254), text, &n), 0);
    assert_int_equal(n, 254);
    assert_int_equal(email_address_normalise(long_address(in, 64, 255), text, &n), 1);
    memset(in, 'a', sizeof in);
    memcpy(in, "a@", 2);
    memcpy(in + 2 + 63, ".b", 2);
    assert_int_equal(email_address_normalise((struct str){in, 67}, text, &n), 0);
    in[2 + 63] = 'a';
    memcpy(in + 2 + 64, ".b", 2);
    assert_int_equal(email_address_normalise((struct str){in, 68}, text, &n), 1);
}

static void test_tenant_names(void **state)
{
    char name[2 * TENANT_NAME_MAX + 2];

    assert_true(tenant_name_valid(STR("A")));
    assert_true(tenant_name_valid(STR("Caf\xc3\xa9 & S\xc3\xb6hne")));
    static const struct str bad[] = {STR_INIT(""),     STR_INIT(" a"),       STR_INIT("a "),
                                     STR_INIT("a\nb"), STR_INIT("a\0b"),     STR_INIT("a\x7f"),
                                     STR_INIT("\xff"), STR_INIT("\xc2\x85"), STR_INIT("\t")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tenant_name_valid(bad[i]));
    for (size_t i = 0; i < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    assert_true(tenant_name_valid((struct str){name, (size_t)2 * TENANT_NAME_MAX}));
    assert_false(tenant_name_valid((struct str){name, (size_t)2 * TENANT_NAME_MAX + 2}));
}

static struct device_fingerprint print_of(const char *agent, struct str address)
{
    static const uint8_t secret[32] = {1};
    struct mac_key key;
    struct device_fingerprint print;

    assert_int_equal(mac_derive((struct str){(const char *)secret, 32}, DEVICE_LABEL, &key), 0);
    assert_int_equal(device_fingerprint(&key, str_of(agent), address, &print), 0);
    return print;
}

static bool same(const char *agent, const char *address, const char *agent2, const char *address2)
{
    struct device_fingerprint a = print_of(agent, str_of(address));
    struct device_fingerprint b = print_of(agent2, str_of(address2));

    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_fingerprints(void **state)
{
    assert_true(same("Fox/120.0", "192.0.2.1", "Fox/121.3", "192.0.2.254"));
    assert_false(same("Fox/1", "192.0.2.1", "Fox/1", "192.0.3.1"));
    assert_false(same("Fox/1", "192.0.2.1", "Cat/1", "192.0.2.1"));
    assert_true(same("Fox", "2001:db8:1::1", "Fox", "2001:db8:1:ffff::2"));
    assert_false(same("Fox", "2001:db8:1::1", "Fox", "2001:db8:2::1"));
    assert_true(same("Fox", "::ffff:192.0.2.7", "Fox", "192.0.2.8"));
    assert_false(same("Fox", "unix", "Fox", "unix2"));
    assert_true(same("", "", "", ""));
    /* The parts do not run into each other. */
    assert_false(same("bFox", "a", "Fox", "ab"));
    char agent[2000];
    memset(agent, 0xff, sizeof agent - 1);
    agent[sizeof agent - 1] = 0;
    print_of(agent, str_of(agent));
    print_of("Fox", STR("192.0.2.1\0x"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_local_addresses),
        cmocka_unit_test(test_lengths_of_addresses),
        cmocka_unit_test(test_tenant_names),
        cmocka_unit_test(test_fingerprints),
    };

    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
