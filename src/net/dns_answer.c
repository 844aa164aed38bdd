#include "net/dns_answer.h"

#include "base/fault.h"
#include "net/dns_name.h"

#include <arpa/inet.h>

enum { HEADER = 12, CLASS_IN = 1, POINTER = 0xC0, A_SIZE = 4, AAAA_SIZE = 16 };

struct name {
    char text[DNS_NAME_MAX + 1];
    size_t n; /* 0: the root */
};

struct record {
    struct name owner;
    unsigned type, class;
    uint32_t ttl;
    size_t data, size; /* of its data, within the packet */
};

static int failed(const char *reason)
{
    fault_keep("%s", reason);
    return DNS_FAILED;
}

static unsigned byte_at(struct str packet, size_t at)
{
    return (unsigned char)packet.p[at];
}

static unsigned u16_at(struct str packet, size_t at)
{
    return byte_at(packet, at) << 8 | byte_at(packet, at + 1);
}

/* Adds a label. What would not read back as the same labels is refused. */
static bool add_label(struct name *name, struct str label)
{
    if (name->n + (name->n > 0) + label.n > DNS_NAME_MAX)
        return false;
    if (name->n > 0)
        name->text[name->n++] = '.';
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if (c <= ' ' || c > '~' || c == '.' || c == '\\')
            return false;
        name->text[name->n++] = c;
    }
    return true;
}

/*
 * Reads the name at *at and moves *at past it (RFC 1035, section 4.1.4). A pointer may lead only to
 * before the part of the name that it ends, so that no chain of them can go round.
 */
static bool read_name(struct str packet, size_t *at, struct name *ret)
{
    size_t here = *at, start = here, end = 0;

    ret->n = 0;
    while (here < packet.n) {
        unsigned n = byte_at(packet, here);
        if ((n & POINTER) == POINTER) {
            if (packet.n - here < 2)
                return false;
            size_t target = u16_at(packet, here) & 0x3FFF;
            if (target >= start)
                return false;
            end = end ? end : here + 2;
            here = start = target;
        } else if (n == 0) {
            *at = end ? end : here + 1;
            return true;
        } else {
            if (n > DNS_LABEL_MAX || packet.n - here - 1 < n ||
                !add_label(ret, (struct str){packet.p + here + 1, n}))
                return false;
            here += 1 + n;
        }
    }
    return false;
}

static bool name_eq(const struct name *name, struct str text)
{
    return str_eq_ci((struct str){name->text, name->n}, text);
}

static bool read_record(struct str packet, size_t *at, struct record *ret)
{
    enum { FIXED = 10 };

    if (!read_name(packet, at, &ret->owner) || packet.n - *at < FIXED)
        return false;
    ret->type = u16_at(packet, *at);
    ret->class = u16_at(packet, *at + 2);
    ret->ttl = (uint32_t)u16_at(packet, *at + 4) << 16 | u16_at(packet, *at + 6);
    ret->size = u16_at(packet, *at + 8);
    ret->data = *at + FIXED;
    if (packet.n - ret->data < ret->size)
        return false;
    *at = ret->data + ret->size;
    return true;
}

/* The header and the question. Moves *at to the first record. */
static int read_head(struct str packet, struct str name, enum dns_type type, size_t *at,
                     size_t *ret_count)
{
    struct name question;

    if (packet.n < HEADER || u16_at(packet, 4) != 1)
        return failed("the answer is cut short or has not one question");
    unsigned flags = u16_at(packet, 2), code = flags & 0xF;
    if (!(flags & 0x8000) || (flags & 0x7800))
        return failed("the packet is no answer to a question");
    if (flags & 0x0200)
        return failed("the answer is truncated");
    *at = HEADER;
    if (!read_name(packet, at, &question) || packet.n - *at < 4 || !name_eq(&question, name) ||
        u16_at(packet, *at) != type || u16_at(packet, *at + 2) != CLASS_IN)
        return failed("the answer is to another question");
    *at += 4;
    if (code == 3)
        return DNS_NXDOMAIN;
    if (code != 0)
        return failed("the server refused or failed");
    *ret_count = u16_at(packet, 6);
    return *ret_count > DNS_SEEN_MAX ? failed("the answer has too many records") : 0;
}

/* The name that data holds and nothing else. */
static bool read_target(struct str packet, const struct record *r, size_t skip, struct name *ret)
{
    size_t at = r->data + skip;

    return r->size > skip && read_name(packet, &at, ret) && at == r->data + r->size;
}

/*
 * Goes through the records once, for the alias of name. Returns 0 with *ret_found whether there is
 * one, or DNS_FAILED where a record cannot be read.
 */
static int find_alias(struct str packet, size_t at, size_t count, const struct name *name,
                      struct name *ret_target, bool *ret_found)
{
    struct record r;

    *ret_found = false;
    for (size_t i = 0; i < count; i++) {
        if (!read_record(packet, &at, &r))
            return failed("a record cannot be read");
        if (*ret_found || r.type != DNS_CNAME || r.class != CLASS_IN ||
            !name_eq(&r.owner, (struct str){name->text, name->n}))
            continue;
        if (!read_target(packet, &r, 0, ret_target))
            return failed("an alias cannot be read");
        *ret_found = true;
    }
    return 0;
}

static int follow_aliases(struct str packet, size_t at, size_t count, enum dns_type type,
                          struct name *name)
{
    struct name target;
    bool found;

    for (int hops = 0; hops <= DNS_ALIASES_MAX; hops++) {
        int r = find_alias(packet, at, count, name, &target, &found);
        if (r || !found || type == DNS_CNAME)
            return r;
        *name = target;
    }
    return failed("the answer has too many aliases");
}

/* The strings, put together. */
static int read_text(struct str packet, const struct record *r, char text[DNS_TEXT_MAX],
                     size_t *ret_n)
{
    size_t at = r->data, end = r->data + r->size, n = 0;

    while (at < end) {
        size_t part = byte_at(packet, at);
        if (part > end - at - 1)
            return failed("a text cannot be read");
        if (n + part > DNS_TEXT_MAX)
            return failed("a text is too long");
        memcpy(text + n, packet.p + at + 1, part);
        n += part;
        at += 1 + part;
    }
    *ret_n = n;
    return r->size > 0 ? 0 : failed("a text cannot be read");
}

static int read_address(struct str packet, const struct record *r, char *text, size_t *ret_n)
{
    bool v6 = r->type == DNS_AAAA;

    if (r->size != (v6 ? AAAA_SIZE : A_SIZE) ||
        !inet_ntop(v6 ? AF_INET6 : AF_INET, packet.p + r->data, text, INET6_ADDRSTRLEN))
        return failed("an address cannot be read");
    *ret_n = strlen(text);
    return 0;
}

static int read_data(struct str packet, const struct record *r, char text[DNS_TEXT_MAX],
                     struct dns_record *ret)
{
    struct name name;
    size_t skip = r->type == DNS_MX ? 2 : 0;

    if (r->type == DNS_TXT)
        return read_text(packet, r, text, &ret->text.n);
    if (r->type == DNS_A || r->type == DNS_AAAA)
        return read_address(packet, r, text, &ret->text.n);
    if (!read_target(packet, r, skip, &name))
        return failed("a name cannot be read");
    if (name.n == 0)
        name.text[name.n++] = '.';
    memcpy(text, name.text, name.n);
    ret->text.n = name.n;
    if (skip)
        ret->preference = (uint16_t)u16_at(packet, r->data);
    return 0;
}

static int keep_record(struct str packet, const struct record *r, struct arena *arena,
                       struct dns_record *ret)
{
    char text[DNS_TEXT_MAX];
    struct dns_record record = {.ttl = r->ttl};
    int outcome = read_data(packet, r, text, &record);

    if (outcome)
        return outcome;
    record.text = arena_str(arena, (struct str){text, record.text.n});
    if (!record.text.p)
        return FAULT_MEMORY;
    *ret = record;
    return 0;
}

static int collect(struct str packet, size_t at, size_t count, const struct name *name,
                   enum dns_type type, struct arena *arena, struct dns_answer *ret)
{
    struct dns_record *records = arena_array(arena, DNS_RECORDS_MAX, sizeof *records);
    struct record r;
    size_t n = 0;

    if (!records)
        return FAULT_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!read_record(packet, &at, &r))
            return failed("a record cannot be read");
        if (r.type != type || r.class != CLASS_IN ||
            !name_eq(&r.owner, (struct str){name->text, name->n}))
            continue;
        if (n == DNS_RECORDS_MAX)
            return failed("the answer has too many records");
        int outcome = keep_record(packet, &r, arena, &records[n]);
        if (outcome)
            return outcome;
        n++;
    }
    if (n == 0)
        return DNS_NONE;
    *ret = (struct dns_answer){records, n};
    return 0;
}

int dns_answer_read(struct str packet, struct str name, enum dns_type type, struct arena *arena,
                    struct dns_answer *ret)
{
    struct name at_last = {.n = name.n};
    size_t at = 0, count = 0;
    int r;

    if (name.n > DNS_NAME_MAX)
        return DNS_INVALID;
    memcpy(at_last.text, name.p, name.n);
    if ((r = read_head(packet, name, type, &at, &count)) ||
        (r = follow_aliases(packet, at, count, type, &at_last)))
        return r;
    return collect(packet, at, count, &at_last, type, arena, ret);
}
