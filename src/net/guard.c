#include "net/guard.h"

#include <netinet/in.h>

struct special {
    struct in6_addr address;
    int bits;
    const char *use;
};

#define V4(a, b, c, d, bits, use)                                                                  \
    {                                                                                              \
        {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d}}}, 96 + (bits), use               \
    }
#define V6(a, b, c, d, e, f, bits, use)                                                            \
    {                                                                                              \
        {{{a, b, c, d, e, f}}}, bits, use                                                          \
    }

static const struct special v4_uses[] = {
    V4(0, 0, 0, 0, 8, "this network"),
    V4(10, 0, 0, 0, 8, "private network"),
    V4(100, 64, 0, 0, 10, "carrier-grade NAT"),
    V4(127, 0, 0, 0, 8, "loopback"),
    V4(168, 63, 129, 16, 32, "cloud metadata"),
    V4(169, 254, 0, 0, 16, "link-local"),
    V4(172, 16, 0, 0, 12, "private network"),
    V4(192, 0, 0, 0, 24, "protocol assignments"),
    V4(192, 0, 2, 0, 24, "documentation"),
    V4(192, 88, 99, 0, 24, "6to4 relay"),
    V4(192, 168, 0, 0, 16, "private network"),
    V4(198, 18, 0, 0, 15, "benchmarking"),
    V4(198, 51, 100, 0, 24, "documentation"),
    V4(203, 0, 113, 0, 24, "documentation"),
    V4(224, 0, 0, 0, 4, "multicast"),
    V4(255, 255, 255, 255, 32, "broadcast"),
    V4(240, 0, 0, 0, 4, "reserved"),
};

static const struct special v6_uses[] = {
    {IN6ADDR_ANY_INIT, 128, "unspecified"},
    {IN6ADDR_LOOPBACK_INIT, 128, "loopback"},
    V6(0xFC, 0, 0, 0, 0, 0, 7, "unique-local"),
    V6(0xFE, 0x80, 0, 0, 0, 0, 10, "link-local"),
    V6(0xFE, 0xC0, 0, 0, 0, 0, 10, "site-local"),
    V6(0xFF, 0, 0, 0, 0, 0, 8, "multicast"),
    V6(0x20, 0x01, 0x0D, 0xB8, 0, 0, 32, "documentation"),
    V6(0x20, 0x01, 0, 0, 0, 0, 23, "protocol assignments"), /* Teredo, ORCHID and others */
    V6(0x20, 0x02, 0, 0, 0, 0, 16, "6to4"),
    V6(0x3F, 0xFF, 0, 0, 0, 0, 20, "documentation"),
};

/* What is assigned as global unicast at all; whatever else there is has some other use. */
static const struct special global = V6(0x20, 0, 0, 0, 0, 0, 3, NULL);
static const struct special nat64 = V6(0x00, 0x64, 0xFF, 0x9B, 0, 0, 96, NULL);

static bool matches(const struct in6_addr *a, const struct in6_addr *prefix, int bits)
{
    size_t bytes = (size_t)bits / 8;
    int rest = bits % 8;

    if (memcmp(a->s6_addr, prefix->s6_addr, bytes) != 0)
        return false;
    return rest == 0 || (a->s6_addr[bytes] ^ prefix->s6_addr[bytes]) >> (8 - rest) == 0;
}

static const char *find(const struct special *uses, size_t n, const struct in6_addr *a)
{
    for (size_t i = 0; i < n; i++)
        if (matches(a, &uses[i].address, uses[i].bits))
            return uses[i].use;
    return NULL;
}

static void map_v4(const void *bytes, struct in6_addr *ret)
{
    *ret = (struct in6_addr){0};
    memset(ret->s6_addr + 10, 0xFF, 2);
    memcpy(ret->s6_addr + 12, bytes, 4);
}

static const char *use_of(const struct in6_addr *a)
{
    struct in6_addr inner = *a;
    bool v4 = IN6_IS_ADDR_V4MAPPED(a);

    if (matches(a, &nat64.address, nat64.bits)) {
        map_v4(a->s6_addr + 12, &inner);
        v4 = true;
    }
    if (v4)
        return find(v4_uses, sizeof v4_uses / sizeof *v4_uses, &inner);
    const char *use = find(v6_uses, sizeof v6_uses / sizeof *v6_uses, a);
    if (!use && !matches(a, &global.address, global.bits))
        use = "not assigned";
    return use;
}

/* IPv4 as a mapped address. Returns false for what is no Internet address. */
static bool read_address(const struct sockaddr *address, size_t size, struct in6_addr *ret)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (size >= sizeof v4 && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        map_v4(&v4.sin_addr, ret);
        return true;
    }
    if (size >= sizeof v6 && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        *ret = v6.sin6_addr;
        return true;
    }
    return false;
}

const char *guard_special_use(const struct sockaddr *address, size_t size)
{
    struct in6_addr a;

    return read_address(address, size, &a) ? use_of(&a) : "no Internet address";
}

bool guard_permits(const struct guard *g, const struct sockaddr *address, size_t size)
{
    struct in6_addr a;

    if (!read_address(address, size, &a))
        return false;
    if (g->any || !use_of(&a))
        return true;
    for (size_t i = 0; i < g->allowed_count; i++)
        if (matches(&a, &g->allowed[i].address, g->allowed[i].bits))
            return true;
    return false;
}
