#include "net/dns.h"

#include "base/clock.h"
#include "net/dns_fixture.h"
#include "net/dns_name.h"

enum hostile {
    HOSTILE_SILENT,
    HOSTILE_WRONG_ID,
    HOSTILE_OTHER_QUESTION,
    HOSTILE_LOOP,
    HOSTILE_CUT,
    HOSTILE_GARBAGE,
    HOSTILE_NO_RESPONSE_BIT,
    HOSTILE_SERVFAIL,
    HOSTILE_REFUSED,
    HOSTILE_TRUNCATED_EVERYWHERE,
    HOSTILE_COUNT
};

static struct arena arena;
static struct dns_answer answer;

static int set_up(void **state)
{
    arena = arena_init(1 << 20);
    answer = (struct dns_answer){0};
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

static int ask(const struct dns_peer *p, const char *name, enum dns_type type)
{
    struct dns_options o = {.server = str_of(p->server), .timeout_ms = 5000};

    return dns_query(&o, str_of(name), type, &arena, &answer);
}

static void assert_text(size_t i, const char *text)
{
    assert_true(i < answer.n);
    assert_true(str_eq(answer.records[i].text, str_of(text)));
}

static void test_zone(void **state)
{
    struct zone_row zone[] = {
        {"example.com", DNS_TXT, "v=spf1 -all"},
        {"example.com", DNS_TXT, "another"},
        {"example.com", DNS_MX, "10 mail.example.com"},
        {"example.com", DNS_A, "192.0.2.1"},
        {"example.com", DNS_AAAA, "2001:db8::1"},
        {"a._domainkey.example.com", DNS_CNAME, "b.example.net"},
        {"b.example.net", DNS_TXT, "p=abcd"},
        {"empty.example.com", DNS_TXT, NULL},
        {NULL, DNS_A, NULL},
    };
    struct dns_peer p = {.answer = zone_answer, .context = zone};

    dns_peer_start(&p);
    assert_int_equal(ask(&p, "example.com", DNS_TXT), 0);
    assert_int_equal(answer.n, 2);
    assert_text(0, "v=spf1 -all");
    assert_text(1, "another");
    assert_int_equal(ask(&p, "Example.COM", DNS_MX), 0);
    assert_text(0, "mail.example.com");
    assert_int_equal(answer.records[0].preference, 10);
    assert_int_equal(ask(&p, "example.com", DNS_A), 0);
    assert_text(0, "192.0.2.1");
    assert_int_equal(ask(&p, "example.com", DNS_AAAA), 0);
    assert_text(0, "2001:db8::1");
    assert_int_equal(ask(&p, "a._domainkey.example.com", DNS_TXT), 0);
    assert_text(0, "p=abcd");
    assert_int_equal(ask(&p, "a._domainkey.example.com", DNS_CNAME), 0);
    assert_text(0, "b.example.net");
    assert_int_equal(ask(&p, "empty.example.com", DNS_TXT), DNS_NONE);
    assert_int_equal(ask(&p, "example.com", DNS_CNAME), DNS_NONE);
    assert_int_equal(ask(&p, "nobody.example.com", DNS_TXT), DNS_NXDOMAIN);
    assert_int_equal(atomic_load(&p.questions), 9);
    dns_peer_stop(&p);
}

static bool answer_large(void *context, const char *name, unsigned type, bool tcp,
                         struct dns_packet *p)
{
    char text[1000];

    if (!tcp) {
        packet_set(p, 2, 0x8380);
        return true;
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 60; i++)
        packet_text(p, name, text);
    return true;
}

/* What does not fit a datagram is asked for again by TCP. */
static void test_truncated(void **state)
{
    struct dns_peer p = {.answer = answer_large};

    dns_peer_start(&p);
    assert_int_equal(ask(&p, "example.com", DNS_TXT), 0);
    assert_int_equal(answer.n, 60);
    assert_int_equal(atomic_load(&p.tcp_questions), 1);
    dns_peer_stop(&p);
}

static bool answer_hostile(void *context, const char *name, unsigned type, bool tcp,
                           struct dns_packet *p)
{
    const unsigned id = packet_get(p, 0);

    packet_text(p, name, "hostile");
    switch (*(enum hostile *)context) {
    case HOSTILE_SILENT:
    case HOSTILE_COUNT:
        return false;
    case HOSTILE_WRONG_ID:
        packet_set(p, 0, id + 1);
        break;
    case HOSTILE_OTHER_QUESTION:
        packet_begin(p, id, 0x8180, "example.net", type);
        packet_text(p, "example.net", "hostile");
        break;
    case HOSTILE_LOOP: /* the record's name points at itself */
        packet_begin(p, id, 0x8180, name, type);
        packet_set(p, 6, 1);
        packet_add(p, (uint8_t[]){(uint8_t)(0xC0 | p->n >> 8), (uint8_t)p->n}, 2);
        packet_add(p, "\0\20\0\1\0\0\0\1\0\2\1x", 12);
        break;
    case HOSTILE_CUT:
        p->n -= 3;
        break;
    case HOSTILE_GARBAGE:
        memset(p->bytes + 2, 0xFF, p->n - 2);
        break;
    case HOSTILE_NO_RESPONSE_BIT:
        packet_set(p, 2, 0x0100);
        break;
    case HOSTILE_SERVFAIL:
        packet_set(p, 2, 0x8182);
        break;
    case HOSTILE_REFUSED:
        packet_set(p, 2, 0x8185);
        break;
    case HOSTILE_TRUNCATED_EVERYWHERE:
        packet_set(p, 2, 0x8380);
        break;
    }
    return true;
}

static void test_hostile(void **state)
{
    for (int i = 0; i < HOSTILE_COUNT; i++) {
        enum hostile kind = (enum hostile)i;
        struct dns_peer p = {.answer = answer_hostile, .context = &kind};
        dns_peer_start(&p);
        struct dns_options o = {.server = str_of(p.server), .timeout_ms = 300};
        int64_t start = clock_mono();
        int r = dns_query(&o, STR("example.com"), DNS_TXT, &arena, &answer);
        if (r != DNS_FAILED)
            fail_msg("hostile answer %d: %d", i, r);
        assert_true(clock_mono() - start < 5000);
        assert_true(atomic_load(&p.questions) > 0);
        assert_null(answer.records);
        dns_peer_stop(&p);
    }
}

/* The time asked for is what it takes, and one lost packet is made good within it. */
static void test_timeout(void **state)
{
    enum hostile kind = HOSTILE_SILENT;
    struct dns_peer p = {.answer = answer_hostile, .context = &kind};

    dns_peer_start(&p);
    struct dns_options o = {.server = str_of(p.server), .timeout_ms = 300};
    int64_t start = clock_mono();
    assert_int_equal(dns_query(&o, STR("example.com"), DNS_TXT, &arena, &answer), DNS_FAILED);
    assert_true(clock_mono() - start >= 250);
    dns_peer_stop(&p);
}

static bool answer_second(void *context, const char *name, unsigned type, bool tcp,
                          struct dns_packet *p)
{
    packet_text(p, name, "here");
    return (*(int *)context)++ > 0;
}

static void test_lost_packet(void **state)
{
    int asked = 0;
    struct dns_peer p = {.answer = answer_second, .context = &asked};

    dns_peer_start(&p);
    struct dns_options o = {.server = str_of(p.server), .timeout_ms = 3000};
    assert_int_equal(dns_query(&o, STR("example.com"), DNS_TXT, &arena, &answer), 0);
    assert_text(0, "here");
    dns_peer_stop(&p);
}

static void test_nobody(void **state)
{
    char server[32];

    snprintf(server, sizeof server, "127.0.0.1:%d", peer_dead_port());
    struct dns_options o = {.server = str_of(server), .timeout_ms = 500};
    assert_int_equal(dns_query(&o, STR("example.com"), DNS_TXT, &arena, &answer), DNS_FAILED);
}

static void test_invalid(void **state)
{
    static const struct {
        const char *name, *server;
        int64_t timeout_ms;
    } rows[] = {
        {"", "127.0.0.1:53", 100},
        {"a..b", "127.0.0.1:53", 100},
        {"example.com.", "127.0.0.1:53", 100},
        {"a b.com", "127.0.0.1:53", 100},
        {"exam\\046ple.com", "127.0.0.1:53", 100},
        {"example.com", "localhost:53", 100},
        {"example.com", "127.0.0.1:53,127.0.0.2:53", 100},
        {"example.com", "127.0.0.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1", 100},
        {"example.com", "127.0.0.1:53", -1},
        {"example.com", "127.0.0.1:53", DNS_TIMEOUT_MAX + 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dns_options o = {str_of(rows[i].server), rows[i].timeout_ms};
        assert_int_equal(dns_query(&o, str_of(rows[i].name), DNS_TXT, &arena, &answer),
                         DNS_INVALID);
    }
}

static void test_names(void **state)
{
    char label[65], name[300] = "";

    memset(label, 'a', 64);
    label[63] = '\0';
    assert_true(dns_name_is_host(str_of(label)));
    assert_true(dns_name_is_host(STR("a-b.1.example")));
    assert_false(dns_name_is_host(STR("_dmarc.example.com")));
    assert_true(dns_name_is_owner(STR("_dmarc.example.com")));
    assert_false(dns_name_is_host(STR("-a.com")));
    assert_false(dns_name_is_host(STR("a-.com")));
    assert_false(dns_name_is_host(STR(".com")));
    assert_false(dns_name_is_host(STR("a.com.")));
    assert_false(dns_name_is_host(STR("127.0.0.1")));
    assert_false(dns_name_is_host((struct str){"a\0b", 3}));
    label[63] = 'a';
    label[64] = '\0';
    assert_false(dns_name_is_host(str_of(label)));
    for (int i = 0; i < 126; i++)
        snprintf(name + 2 * i, sizeof name - 2 * (size_t)i, "a.");
    snprintf(name + 252, 3, "b");
    assert_true(dns_name_is_host(str_of(name)));
    snprintf(name + 252, 3, "bc");
    assert_false(dns_name_is_host(str_of(name)));
}

#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(test_zone),        unit(test_truncated), unit(test_hostile), unit(test_timeout),
        unit(test_lost_packet), unit(test_nobody),    unit(test_invalid), unit(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
