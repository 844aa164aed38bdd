#include "net/guard.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/un.h>

#include <cmocka.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static size_t read_text(const char *text, union address *ret)
{
    *ret = (union address){0};
    if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        return sizeof ret->v4;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &ret->v6.sin6_addr), 1);
    ret->v6.sin6_family = AF_INET6;
    return sizeof ret->v6;
}

static const char *use_of(const char *text)
{
    union address a;
    size_t n = read_text(text, &a);

    return guard_special_use(&a.any, n);
}

static bool permits(const struct guard *g, const char *text)
{
    union address a;
    size_t n = read_text(text, &a);

    return guard_permits(g, &a.any, n);
}

/* The first and the last address of each range, and IPv4 addresses in disguise. */
static const char *const special[][2] = {
    {"0.0.0.0", "this network"},
    {"0.255.255.255", "this network"},
    {"10.0.0.0", "private network"},
    {"10.255.255.255", "private network"},
    {"100.64.0.0", "carrier-grade NAT"},
    {"100.127.255.255", "carrier-grade NAT"},
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"168.63.129.16", "cloud metadata"},
    {"169.254.0.0", "link-local"},
    {"169.254.169.254", "link-local"},
    {"169.254.255.255", "link-local"},
    {"172.16.0.0", "private network"},
    {"172.31.255.255", "private network"},
    {"192.0.0.192", "protocol assignments"},
    {"192.0.2.255", "documentation"},
    {"192.88.99.1", "6to4 relay"},
    {"192.168.255.255", "private network"},
    {"198.18.0.0", "benchmarking"},
    {"198.19.255.255", "benchmarking"},
    {"198.51.100.7", "documentation"},
    {"203.0.113.7", "documentation"},
    {"224.0.0.0", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "not assigned"},
    {"::7f00:1", "not assigned"},
    {"fc00::", "unique-local"},
    {"fd00:ec2::254", "unique-local"},
    {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique-local"},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "site-local"},
    {"ff02::1", "multicast"},
    {"2001:db8::1", "documentation"},
    {"2001::7f00:1", "protocol assignments"},
    {"2001:1ff::1", "protocol assignments"},
    {"2002:7f00:1::", "6to4"},
    {"3fff:fff:ffff::1", "documentation"},
    {"1fff::1", "not assigned"},
    {"4000::1", "not assigned"},
    {"64:ff9b:1::1", "not assigned"},
    {"100::1", "not assigned"},
    /* IPv4 addresses in disguise */
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:169.254.169.254", "link-local"},
    {"::ffff:0.0.0.0", "this network"},
    {"::ffff:10.1.2.3", "private network"},
    {"64:ff9b::7f00:1", "loopback"},
    {"64:ff9b::a9fe:a9fe", "link-local"},
    {"::ffff:0:7f00:1", "not assigned"},
};

static void test_special(void **state)
{
    static const struct guard strict;

    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        const char *use = use_of(special[i][0]);
        if (!use || strcmp(use, special[i][1]) != 0)
            fail_msg("%s: %s", special[i][0], use ? use : "public");
        assert_false(permits(&strict, special[i][0]));
    }
}

static void test_public(void **state)
{
    static const char *const rows[] = {
        "1.0.0.0",       "9.255.255.255",    "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",   "126.255.255.255",  "128.0.0.0",       "168.63.129.15",
        "168.63.129.17", "169.253.255.255",  "169.255.0.0",     "172.15.255.255",
        "172.32.0.0",    "192.0.1.0",        "192.0.3.0",       "192.167.255.255",
        "192.169.0.0",   "198.17.255.255",   "198.20.0.0",      "198.51.101.0",
        "203.0.112.255", "223.255.255.255",  "2001:200::1",     "2001:db7::1",
        "2001:db9::1",   "2000::1",          "2003::1",         "2606:4700::1111",
        "3fff:1000::1",  "::ffff:192.0.1.0", "64:ff9b::808:808"};
    static const struct guard strict;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (use_of(rows[i]))
            fail_msg("%s: %s", rows[i], use_of(rows[i]));
        assert_true(permits(&strict, rows[i]));
    }
}

static void test_allowed(void **state)
{
    struct config_range ranges[3];
    struct guard g = {ranges, 3, false};

    assert_int_equal(config_parse_range(STR("127.0.0.2"), &ranges[0]), 0);
    assert_int_equal(config_parse_range(STR("10.20.0.0/14"), &ranges[1]), 0);
    assert_int_equal(config_parse_range(STR("fd12::/16"), &ranges[2]), 0);
    assert_true(permits(&g, "127.0.0.2"));
    assert_true(permits(&g, "::ffff:127.0.0.2"));
    assert_false(permits(&g, "127.0.0.1"));
    assert_false(permits(&g, "64:ff9b::7f00:2"));
    assert_true(permits(&g, "10.20.0.0"));
    assert_true(permits(&g, "10.23.255.255"));
    assert_false(permits(&g, "10.19.255.255"));
    assert_false(permits(&g, "10.24.0.0"));
    assert_true(permits(&g, "fd12:1::1"));
    assert_false(permits(&g, "fd13::1"));
    assert_true(permits(&g, "1.1.1.1"));
}

static void test_any(void **state)
{
    static const struct guard g = {.any = true};

    assert_true(permits(&g, "127.0.0.1"));
    assert_true(permits(&g, "169.254.169.254"));
    assert_true(permits(&g, "::1"));
}

static void test_no_internet(void **state)
{
    static const struct guard g = {.any = true};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    union address a;
    size_t n = read_text("1.1.1.1", &a);

    assert_false(guard_permits(&g, (const struct sockaddr *)&local, sizeof local));
    assert_string_equal(guard_special_use((const struct sockaddr *)&local, sizeof local),
                        "no Internet address");
    assert_false(guard_permits(&g, &a.any, n - 1));
    n = read_text("2606:4700::1111", &a);
    assert_false(guard_permits(&g, &a.any, n - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special),     cmocka_unit_test(test_public),
        cmocka_unit_test(test_allowed),     cmocka_unit_test(test_any),
        cmocka_unit_test(test_no_internet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
