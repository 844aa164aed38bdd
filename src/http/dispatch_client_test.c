/* Whom a request is from, behind proxies that are trusted and others that are not. */
#include "base/fault.h"
#include "http/dispatch_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { FIELDS_MAX = 8 };

static struct config config;

static struct in6_addr address(const char *text)
{
    struct config_range range;

    assert_int_equal(config_parse_range(str_of(text), &range), 0);
    return range.address;
}

static int set_up(void **state)
{
    assert_int_equal(config_parse_range(STR("10.0.0.0/8"), &config.proxies[0]), 0);
    assert_int_equal(config_parse_range(STR("2001:db8::/32"), &config.proxies[1]), 0);
    config.proxy_count = 2;
    return 0;
}

/* The client that a peer and fields "name: value" tell of. */
static void expect(const char *want, const char *peer, ...)
{
    struct http_header fields[FIELDS_MAX];
    struct http_request r = {.headers = fields, .peer = address(peer)};
    struct in6_addr found, wanted = address(want);
    struct arena a = arena_init(4096);
    const char *field;
    va_list args;
    bool secure;

    va_start(args, peer);
    while ((field = va_arg(args, const char *))) {
        struct str whole = str_of(field);
        size_t colon = str_find(whole, ':');
        fields[r.header_count++] = (struct http_header){
            {field, colon}, str_trim((struct str){field + colon + 1, whole.n - colon - 1})};
    }
    va_end(args);
    dispatch_client(&config, &r, &found, &secure);
    if (memcmp(&found, &wanted, sizeof found) != 0)
        fail_msg("not %s but %.*s", want, STR_ARG(dispatch_address_text(&a, &found)));
    arena_free(&a);
}

#define XFF "X-Forwarded-For: "

static void test_untrusted_peer(void **state)
{
    expect("203.0.113.9", "203.0.113.9", NULL);
    expect("203.0.113.9", "203.0.113.9", XFF "198.51.100.1", NULL);
    expect("203.0.113.9", "203.0.113.9", XFF "10.0.0.1, 10.0.0.2", NULL);
    expect("2001:db9::1", "2001:db9::1", XFF "198.51.100.1", NULL);
}

static void test_trusted_peer(void **state)
{
    expect("10.0.0.1", "10.0.0.1", NULL);
    expect("203.0.113.9", "10.0.0.1", XFF "203.0.113.9", NULL);
    expect("203.0.113.9", "2001:db8::1", XFF "203.0.113.9", NULL);
    expect("2001:db9::7", "10.0.0.1", "x-forwarded-for: 2001:db9::7", NULL);
    /* Another header of a like name is none. */
    expect("10.0.0.1", "10.0.0.1", "X-Forwarded-Fo: 203.0.113.9", "X-Real-IP: 203.0.113.9", NULL);
}

/* What stands before the first untrusted address is that client's own invention. */
static void test_chain(void **state)
{
    expect("203.0.113.9", "10.0.0.1", XFF "198.51.100.1, 203.0.113.9", NULL);
    expect("203.0.113.9", "10.0.0.1", XFF "198.51.100.1, 203.0.113.9, 10.0.0.2,2001:db8::2", NULL);
    expect("10.0.0.3", "10.0.0.1", XFF "10.0.0.3, 10.0.0.2", NULL);
    /* Several fields are one list. */
    expect("203.0.113.9", "10.0.0.1", XFF "198.51.100.1", XFF "203.0.113.9", NULL);
    expect("203.0.113.9", "10.0.0.1", XFF "198.51.100.1, 203.0.113.9", XFF "10.0.0.2", NULL);
    expect("203.0.113.9", "10.0.0.1", XFF "203.0.113.9", "Other: x", XFF "10.0.0.2", NULL);
}

static void test_ways_of_writing(void **state)
{
    static const char *const same[] = {
        XFF "203.0.113.9:4711",      XFF "203.0.113.9:",
        XFF "::ffff:203.0.113.9",    XFF "[::ffff:203.0.113.9]:80",
        XFF "[::ffff:203.0.113.9]",  XFF " \t203.0.113.9\t ",
        XFF "1.2.3.4,\t203.0.113.9", XFF "1.2.3.4 ,203.0.113.9 , 10.0.0.2:80",
        XFF "x, 203.0.113.9",        XFF ",203.0.113.9",
    };

    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        expect("203.0.113.9", "10.0.0.1", same[i], NULL);
    expect("2001:db9::7", "10.0.0.1", XFF "[2001:db9::7]:443", NULL);
    expect("2001:db9::7", "10.0.0.1", XFF "[2001:db9::7]", NULL);
}

/* What cannot be read ends the chain at the last speaker who is known. */
static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        ",",
        " , ",
        "unknown",
        "_hidden",
        "203.0.113",
        "[",
        "[]",
        "]",
        "[::1",
        "203.0.113.9/8",
        "203.0.113.256",
        "\"::1\"",
        "::1%lo",
        "0x7f.0.0.1",
        "1.2.3.4 x",
        "1.2.3.4;x",
        "for=1.2.3.4",
        "2001:db9",
        "2001:db9::7:",
        "-1.2.3.4",
        "1.2.3.4,",
        "1.2.3.4, ",
        "\xFF",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd",
    };
    char field[200];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(field, sizeof field, XFF "%s", bad[i]);
        expect("10.0.0.1", "10.0.0.1", field, NULL);
        snprintf(field, sizeof field, XFF "203.0.113.9, %s", bad[i]);
        expect("10.0.0.1", "10.0.0.1", field, NULL);
        snprintf(field, sizeof field, XFF "%s, 10.0.0.2", bad[i]);
        expect("10.0.0.2", "10.0.0.1", field, NULL);
    }
}

static bool secure(const char *peer, bool tls, const char *proto, int times)
{
    struct http_header fields[2] = {{STR("X-Forwarded-Proto"), str_of(proto)},
                                    {STR("X-Forwarded-Proto"), str_of(proto)}};
    struct http_request r = {
        .headers = fields, .header_count = (size_t)times, .peer = address(peer), .tls = tls};
    struct in6_addr found;
    bool ret;

    dispatch_client(&config, &r, &found, &ret);
    return ret;
}

static void test_protocol(void **state)
{
    assert_true(secure("10.0.0.1", false, "https", 1));
    assert_true(secure("10.0.0.1", false, "HTTPS", 1));
    assert_false(secure("10.0.0.1", false, "http", 1));
    assert_false(secure("10.0.0.1", true, "http", 1));
    assert_false(secure("10.0.0.1", false, "https,http", 1));
    assert_false(secure("10.0.0.1", false, "https", 2));
    assert_true(secure("10.0.0.1", true, "", 0));
    assert_false(secure("203.0.113.9", false, "https", 1));
    assert_true(secure("203.0.113.9", true, "http", 1));
}

static void test_text(void **state)
{
    struct arena a = arena_init(4096);
    struct in6_addr v4 = address("203.0.113.9"), v6 = address("2001:DB8:0:0::1");

    assert_true(str_eq(dispatch_address_text(&a, &v4), STR("203.0.113.9")));
    assert_true(str_eq(dispatch_address_text(&a, &v6), STR("2001:db8::1")));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untrusted_peer), cmocka_unit_test(test_trusted_peer),
        cmocka_unit_test(test_chain),          cmocka_unit_test(test_ways_of_writing),
        cmocka_unit_test(test_malformed),      cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
