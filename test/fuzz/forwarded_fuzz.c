/*
 * X-Forwarded-For: whatever a client writes in front of what the trusted proxy appended, the
 * answer is the same; and from a peer that is not trusted the header changes nothing at all.
 *
 * Lines of the input are header fields in their order.
 */
#include "http/dispatch_internal.h"

#include "fuzz.h"

enum { FIELDS = 8 };

static struct config config;
static struct in6_addr proxy, client;

int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct in6_addr address(struct str text)
{
    struct config_range range;

    FUZZ_CHECK(config_parse_range(text, &range) == 0);
    return range.address;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    FUZZ_CHECK(config_parse_range(STR("10.0.0.0/8"), &config.proxies[0]) == 0);
    FUZZ_CHECK(config_parse_range(STR("2001:db8::/32"), &config.proxies[1]) == 0);
    config.proxy_count = 2;
    proxy = address(STR("10.0.0.1"));
    client = address(STR("203.0.113.9"));
    return 0;
}

static struct in6_addr find(const struct http_header *fields, size_t n, const struct in6_addr *peer)
{
    struct http_request r = {.headers = fields, .header_count = n, .peer = *peer};
    struct in6_addr found;
    bool secure;

    dispatch_client(&config, &r, &found, &secure);
    FUZZ_CHECK(!secure);
    return found;
}

static void expect(struct in6_addr found, const struct in6_addr *want)
{
    FUZZ_CHECK(memcmp(&found, want, sizeof found) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header fields[FIELDS + 1];
    struct str rest = {(const char *)data, size}, line;
    _cleanup_buf_ struct buf joined = buf_init(size + 64);
    size_t n = 0;

    while (n < FIELDS && str_next(&rest, '\n', &line))
        fields[n++] = (struct http_header){STR("x-forwarded-for"), str_trim(line)};
    expect(find(fields, n, &client), &client);
    struct in6_addr found = find(fields, n, &proxy);
    /* Somebody was found by an unbroken chain: a proxy's word, or the peer itself. */
    FUZZ_CHECK(!config_trusts(&config, &client) && config_trusts(&config, &proxy));
    if (n == 0)
        expect(found, &proxy);

    /* As the proxy passes it on: in a field of its own, or behind a comma. */
    fields[n] = (struct http_header){STR("X-Forwarded-For"), STR("203.0.113.9")};
    expect(find(fields, n + 1, &proxy), &client);
    if (n == 0)
        return 0;
    buf_add_str(&joined, fields[n - 1].value);
    buf_add_str(&joined, STR(", 203.0.113.9"));
    FUZZ_CHECK(buf_fault(&joined) == 0);
    fields[n - 1].value = buf_str(&joined);
    expect(find(fields, n, &proxy), &client);
    return 0;
}
