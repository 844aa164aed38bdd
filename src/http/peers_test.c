#include "http/peers.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct in6_addr address(const char *text)
{
    struct in6_addr a;

    assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
    return a;
}

static int enter(struct peers *t, const char *text)
{
    struct in6_addr a = address(text);

    return peers_enter(t, &a);
}

static void leave(struct peers *t, const char *text)
{
    struct in6_addr a = address(text);

    peers_leave(t, &a);
}

static void count_by_address(void **state)
{
    struct peers *t;

    assert_int_equal(peers_new(2, &t), 0);
    assert_int_equal(enter(t, "::ffff:10.0.0.1"), 0);
    assert_int_equal(enter(t, "::ffff:10.0.0.1"), 0);
    assert_int_equal(enter(t, "::ffff:10.0.0.1"), 1);
    assert_int_equal(enter(t, "::ffff:10.0.0.2"), 0);
    leave(t, "::ffff:10.0.0.1");
    assert_int_equal(enter(t, "::ffff:10.0.0.1"), 0);
    assert_int_equal(enter(t, "::ffff:10.0.0.1"), 1);
    peers_free(t);
}

static void count_ipv6_by_network(void **state)
{
    struct peers *t;

    assert_int_equal(peers_new(1, &t), 0);
    assert_int_equal(enter(t, "2001:db8:1:2::1"), 0);
    assert_int_equal(enter(t, "2001:db8:1:2:ffff::9"), 1);
    assert_int_equal(enter(t, "2001:db8:1:3::1"), 0);
    leave(t, "2001:db8:1:2:8::8");
    assert_int_equal(enter(t, "2001:db8:1:2::1"), 0);
    peers_free(t);
}

static void forget_who_has_left(void **state)
{
    struct peers *t;
    char text[64];

    assert_int_equal(peers_new(1, &t), 0);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "2001:db8:%x::", i);
            assert_int_equal(enter(t, text), 0);
            assert_int_equal(enter(t, text), 1);
        }
        for (unsigned i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "2001:db8:%x::", i);
            leave(t, text);
        }
    }
    peers_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_by_address),
        cmocka_unit_test(count_ipv6_by_network),
        cmocka_unit_test(forget_who_has_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
