#include "net/dns_answer.h"

#include "base/fault.h"
#include "net/dns_fixture.h"

enum { NAME_AT = 12, RESPONSE = 0x8180 };

static struct dns_packet packet;
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

/* Reads from memory of exactly the packet's size, so that the sanitizer sees a byte too far. */
static int read_as(const char *name, enum dns_type type)
{
    char *bytes = malloc(packet.n ? packet.n : 1);

    assert_non_null(bytes);
    memcpy(bytes, packet.bytes, packet.n);
    int r = dns_answer_read((struct str){bytes, packet.n}, str_of(name), type, &arena, &answer);
    free(bytes);
    return r;
}

static void assert_text(size_t i, const char *text)
{
    assert_true(i < answer.n);
    assert_true(str_eq(answer.records[i].text, str_of(text)));
}

static void test_types(void **state)
{
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_A);
    packet_record(&packet, "EXAMPLE.com", DNS_A, "\xC0\0\2\1", 4);
    assert_int_equal(read_as("example.com", DNS_A), 0);
    assert_int_equal(answer.n, 1);
    assert_text(0, "192.0.2.1");
    assert_int_equal(answer.records[0].ttl, 3600);

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_AAAA);
    packet_record(&packet, "example.com", DNS_AAAA, "\x20\1\r\xB8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    assert_int_equal(read_as("example.com", DNS_AAAA), 0);
    assert_text(0, "2001:db8::1");

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_MX);
    packet_mx(&packet, "example.com", 300, "mail.example.com");
    packet_mx(&packet, "example.com", 0, "");
    assert_int_equal(read_as("example.com", DNS_MX), 0);
    assert_int_equal(answer.n, 2);
    assert_text(0, "mail.example.com");
    assert_int_equal(answer.records[0].preference, 300);
    assert_text(1, ".");

    packet_begin(&packet, 1, RESPONSE, "a._b.example.com", DNS_CNAME);
    packet_alias(&packet, "a._b.example.com", "c.example.net");
    assert_int_equal(read_as("a._b.example.com", DNS_CNAME), 0);
    assert_text(0, "c.example.net");
}

static void test_text(void **state)
{
    char text[600];

    memset(text, 'x', 599);
    text[599] = '\0';
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", "v=spf1 -all");
    packet_text(&packet, "example.com", "");
    packet_text(&packet, "example.com", text);
    packet_record(&packet, "example.com", DNS_TXT, "\2a\0\1b\0\1c", 8);
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    assert_int_equal(answer.n, 4);
    assert_text(0, "v=spf1 -all");
    assert_text(1, "");
    assert_text(2, text);
    assert_true(str_eq(answer.records[3].text, (struct str){"a\0bc", 4}));
}

static void test_aliases(void **state)
{
    packet_begin(&packet, 1, RESPONSE, "a.example.com", DNS_TXT);
    packet_text(&packet, "c.example.net", "found");
    packet_text(&packet, "d.example.net", "of another name");
    packet_alias(&packet, "b.example.net", "c.example.net");
    packet_alias(&packet, "a.example.com", "b.example.net");
    assert_int_equal(read_as("a.example.com", DNS_TXT), 0);
    assert_int_equal(answer.n, 1);
    assert_text(0, "found");
}

static void add_chain(int hops)
{
    char from[32], to[32];

    packet_begin(&packet, 1, RESPONSE, "0.example.com", DNS_TXT);
    for (int i = 0; i < hops; i++) {
        snprintf(from, sizeof from, "%d.example.com", i);
        snprintf(to, sizeof to, "%d.example.com", i + 1);
        packet_alias(&packet, from, to);
    }
    snprintf(to, sizeof to, "%d.example.com", hops);
    packet_text(&packet, to, "end");
}

static void test_alias_limit(void **state)
{
    add_chain(DNS_ALIASES_MAX);
    assert_int_equal(read_as("0.example.com", DNS_TXT), 0);
    assert_text(0, "end");
    add_chain(DNS_ALIASES_MAX + 1);
    assert_int_equal(read_as("0.example.com", DNS_TXT), DNS_FAILED);

    packet_begin(&packet, 1, RESPONSE, "a.example.com", DNS_TXT);
    packet_alias(&packet, "a.example.com", "b.example.com");
    packet_alias(&packet, "b.example.com", "a.example.com");
    assert_int_equal(read_as("a.example.com", DNS_TXT), DNS_FAILED);
}

static void test_outcomes(void **state)
{
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_NONE);
    packet_text(&packet, "other.example.com", "not asked for");
    packet_record(&packet, "example.com", DNS_A, "\xC0\0\2\1", 4);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_NONE);
    packet_begin(&packet, 1, RESPONSE | 3, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_NXDOMAIN);
    packet_begin(&packet, 1, RESPONSE | 2, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE | 5, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    assert_null(answer.records);
}

/* What is no answer, or one to something else. */
static void test_other_questions(void **state)
{
    packet_begin(&packet, 1, 0x0100, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE | 0x2800, "example.com", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE | 0x0200, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", "cut");
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE, "example.net", DNS_TXT);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_A);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_set(&packet, packet.n - 2, 3); /* class CHAOS */
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_set(&packet, 4, 2);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
}

/* Every packet that ends too early. */
static void test_cut(void **state)
{
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_alias(&packet, "example.com", "example.net");
    packet_text(&packet, "example.net", "one");
    size_t whole = packet.n;
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    for (packet.n = 0; packet.n < whole; packet.n++)
        assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
}

static void begin_pointed(const void *name, size_t n, const void *tail, size_t tail_n)
{
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_set(&packet, 6, 1);
    packet_add(&packet, name, n);
    packet_add(&packet, tail, tail_n);
}

static void test_pointers(void **state)
{
    static const char tail[] = {0, 16, 0, 1, 0, 0, 0, 9, 0, 3, 2, 'o', 'k'};
    unsigned char self[2] = {0xC0, 29}, forward[2] = {0xC0, 60}, far[2] = {0xFF, 0xFF};
    unsigned char pair[4] = {0xC0, 31, 0xC0, 29}, label[4] = {1, 'a', 0xC0, 29};

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    assert_int_equal(packet.n, 29); /* where the first record's name begins */

    begin_pointed("\xC0\x0C", 2, tail, sizeof tail); /* the question's name */
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    assert_text(0, "ok");
    begin_pointed("\7example\xC0\x14", 10, tail, sizeof tail); /* its "com" */
    assert_int_equal(read_as("example.com", DNS_TXT), 0);

    begin_pointed(self, 2, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed(forward, 2, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed(far, 2, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed(pair, 4, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed(label, 4, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed("\x41"
                  "a",
                  2, tail, sizeof tail); /* neither length nor pointer */
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed("\3a.b\0", 5, tail, sizeof tail); /* a dot inside a label */
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
    begin_pointed("\3a\0b\0", 5, tail, sizeof tail);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
}

/* A name of 253 bytes is one; a longer one is none, even if it is only passed over. */
static void test_name_length(void **state)
{
    char name[300];
    size_t n = 0;

    while (n < 250)
        n += (size_t)snprintf(name + n, sizeof name - n, "a.");
    snprintf(name + n, sizeof name - n, "com");
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", "ok");
    packet_text(&packet, name, "long");
    assert_int_equal(strlen(name), 253);
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    snprintf(name + n, sizeof name - n, "comm");
    packet_text(&packet, name, "longer");
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
}

static void test_data(void **state)
{
    static const struct {
        enum dns_type type;
        const char *data;
        size_t n;
    } rows[] = {
        {DNS_A, "\1\2\3", 3},    {DNS_A, "\1\2\3\4\5", 5},    {DNS_AAAA, "\1\2\3\4", 4},
        {DNS_TXT, "", 0},        {DNS_TXT, "\3ab", 3},        {DNS_TXT, "\1a\1", 3},
        {DNS_MX, "\0\1", 2},     {DNS_MX, "\0", 1},           {DNS_MX, "\0\1\3com\0x", 8},
        {DNS_CNAME, "\3com", 4}, {DNS_CNAME, "\3com\0\0", 6}, {DNS_CNAME, "", 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        packet_begin(&packet, 1, RESPONSE, "example.com", rows[i].type);
        packet_record(&packet, "example.com", rows[i].type, rows[i].data, rows[i].n);
        assert_int_equal(read_as("example.com", rows[i].type), DNS_FAILED);
    }
}

static void test_limits(void **state)
{
    static char text[DNS_TEXT_MAX + 2];

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    for (int i = 0; i < DNS_RECORDS_MAX; i++)
        packet_text(&packet, "example.com", "x");
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    assert_int_equal(answer.n, DNS_RECORDS_MAX);
    packet_text(&packet, "example.com", "x");
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", "x");
    for (int i = 1; i < DNS_SEEN_MAX; i++)
        packet_record(&packet, "example.com", DNS_A, "\1\2\3\4", 4);
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    packet_record(&packet, "example.com", DNS_A, "\1\2\3\4", 4);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);

    memset(text, 'x', DNS_TEXT_MAX);
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", text);
    assert_int_equal(read_as("example.com", DNS_TXT), 0);
    text[DNS_TEXT_MAX] = 'x';
    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", text);
    assert_int_equal(read_as("example.com", DNS_TXT), DNS_FAILED);
}

static void test_memory(void **state)
{
    struct arena small = arena_init(64);

    packet_begin(&packet, 1, RESPONSE, "example.com", DNS_TXT);
    packet_text(&packet, "example.com", "x");
    assert_int_equal(dns_answer_read((struct str){(const char *)packet.bytes, packet.n},
                                     STR("example.com"), DNS_TXT, &small, &answer),
                     FAULT_MEMORY);
    arena_free(&small);
}

#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(test_types),    unit(test_text),        unit(test_aliases),
        unit(test_cut),      unit(test_outcomes),    unit(test_other_questions),
        unit(test_pointers), unit(test_alias_limit), unit(test_name_length),
        unit(test_data),     unit(test_limits),      unit(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
