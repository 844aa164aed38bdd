/*
 * Answers of the DNS: whatever comes, every record that is given lies within the limits, a name
 * reads as one, and reading the same packet again gives the same.
 *
 * The first byte of the input chooses the type; the rest is the packet behind its question.
 */
#include "net/dns_answer.h"

#include "fuzz.h"

static const uint8_t question[] = {7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0};

static size_t make_packet(const uint8_t *data, size_t size, enum dns_type type, uint8_t *packet)
{
    const uint8_t head[12] = {0, 1, 0x81, 0x80, 0, 1, data[0], data[1]};
    const uint8_t tail[4] = {0, (uint8_t)type, 0, 1};
    size_t n = 0;

    memcpy(packet, head, sizeof head);
    n += sizeof head;
    memcpy(packet + n, question, sizeof question);
    n += sizeof question;
    memcpy(packet + n, tail, sizeof tail);
    n += sizeof tail;
    memcpy(packet + n, data + 2, size - 2);
    return n + size - 2;
}

static void check(const struct dns_answer *a, enum dns_type type)
{
    FUZZ_CHECK(a->n > 0 && a->n <= DNS_RECORDS_MAX);
    for (size_t i = 0; i < a->n; i++) {
        struct str text = a->records[i].text;
        FUZZ_CHECK(text.n <= DNS_TEXT_MAX);
        FUZZ_CHECK(type == DNS_TXT || (text.n > 0 && memchr(text.p, '\0', text.n) == NULL));
        FUZZ_CHECK(type != DNS_MX || text.n <= 253);
    }
}

static void read_both(struct str packet, struct str name, enum dns_type type)
{
    struct arena first = arena_init(1 << 20), second = arena_init(1 << 20);
    struct dns_answer a = {0}, b = {0};
    int r = dns_answer_read(packet, name, type, &first, &a);

    FUZZ_CHECK(dns_answer_read(packet, name, type, &second, &b) == r && a.n == b.n);
    FUZZ_CHECK(r == 0 || (r >= DNS_NONE && r <= DNS_FAILED && a.n == 0));
    if (r == 0)
        check(&a, type);
    for (size_t i = 0; i < a.n; i++)
        FUZZ_CHECK(str_eq(a.records[i].text, b.records[i].text));
    arena_free(&first);
    arena_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_CNAME, DNS_MX, DNS_TXT, DNS_AAAA};

    if (size < 3 || size > 60000)
        return 0;
    enum dns_type type = types[data[0] % 5];
    uint8_t *packet = malloc(size + 64);
    FUZZ_CHECK(packet);
    size_t n = make_packet(data + 1, size - 1, type, packet);
    read_both((struct str){(const char *)packet, n}, STR("example.com"), type);
    /* As it came, header and all. */
    read_both((struct str){(const char *)data, size}, STR("example.com"), type);
    free(packet);
    return 0;
}
