/* Ranges of trusted proxies, and who is in them. */
#include "config/config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct in6_addr address(const char *text)
{
    struct config_range range;

    assert_int_equal(config_parse_range(str_of(text), &range), 0);
    assert_int_equal(range.bits, 128);
    return range.address;
}

static bool trusted(const char *range, const char *peer)
{
    struct config c = {.proxy_count = 1};
    struct in6_addr a = address(peer);

    assert_int_equal(config_parse_range(str_of(range), &c.proxies[0]), 0);
    return config_trusts(&c, &a);
}

static void test_ipv4(void **state)
{
    assert_true(trusted("192.0.2.1", "192.0.2.1"));
    assert_false(trusted("192.0.2.1", "192.0.2.2"));
    assert_true(trusted("10.0.0.0/8", "10.255.255.255"));
    assert_false(trusted("10.0.0.0/8", "11.0.0.0"));
    assert_true(trusted("192.0.2.128/25", "192.0.2.255"));
    assert_false(trusted("192.0.2.128/25", "192.0.2.127"));
    assert_true(trusted("192.0.2.254/31", "192.0.2.255"));
    assert_false(trusted("192.0.2.254/31", "192.0.2.253"));
    assert_true(trusted("192.0.2.7/32", "192.0.2.7"));
    assert_true(trusted("0.0.0.0/0", "203.0.113.9"));
}

/* Every bit of a prefix counts, and none behind it. */
static void test_each_length(void **state)
{
    struct in6_addr base = address("2001:db8:1234:5678:9abc:def0:1234:5678");
    struct config c = {.proxy_count = 1};

    for (int bits = 0; bits <= 128; bits++) {
        c.proxies[0] = (struct config_range){base, bits};
        assert_true(config_trusts(&c, &base));
        for (int flip = 0; flip < 128; flip++) {
            struct in6_addr other = base;
            other.s6_addr[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
            assert_int_equal(config_trusts(&c, &other), flip >= bits);
        }
    }
}

static void test_ipv6(void **state)
{
    assert_true(trusted("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(trusted("2001:db8::/32", "2001:db9::1"));
    assert_true(trusted("::1", "::1"));
    assert_false(trusted("::1", "127.0.0.1"));
}

/* An IPv4 peer of a dual-stack socket is a mapped address, and either way of writing it is one. */
static void test_mapped(void **state)
{
    assert_true(trusted("192.0.2.0/24", "::ffff:192.0.2.9"));
    assert_true(trusted("::ffff:192.0.2.0/120", "192.0.2.9"));
    assert_false(trusted("::ffff:192.0.2.0/120", "192.0.3.9"));
    assert_true(trusted("::ffff:0:0/96", "203.0.113.9"));
    /* All of IPv4 is not all of IPv6; all of IPv6 holds the mapped ones. */
    assert_false(trusted("0.0.0.0/0", "2001:db8::1"));
    assert_true(trusted("::/0", "203.0.113.9"));
    /* The same digits without the prefix are another address. */
    assert_false(trusted("192.0.2.9", "::192.0.2.9"));
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "/8",
        "10.0.0",
        "10.0.0.0.0",
        "10.0.0.256",
        "10.0.0.1/",
        "10.0.0.1/33",
        "10.0.0.1/-1",
        "10.0.0.1/+8",
        "10.0.0.1/ 8",
        "10.0.0.1/8/8",
        "::1/129",
        "::g",
        "1:2:3",
        "fe80::1%eth0",
        "[::1]",
        "localhost",
        "010.0.0.1",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1/0x8",
        "*",
        "10.0.0.0/8,",
        "2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000",
    };
    struct config_range range = {.bits = 77};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (config_parse_range(str_of(bad[i]), &range) != 1)
            fail_msg("taken for a range: %s", bad[i]);
    assert_int_equal(config_parse_range((struct str){"10.0.0.1\0", 9}, &range), 1);
    assert_int_equal(range.bits, 77);
}

static void test_no_proxies(void **state)
{
    struct config c = {0};
    struct in6_addr peer = address("127.0.0.1");

    assert_false(config_trusts(&c, &peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4),      cmocka_unit_test(test_each_length),
        cmocka_unit_test(test_ipv6),      cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_no_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
