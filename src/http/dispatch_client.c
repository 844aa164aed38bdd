#include "http/dispatch_internal.h"

#include <arpa/inet.h>

struct str dispatch_address_text(struct arena *a, const struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (IN6_IS_ADDR_V4MAPPED(address))
        inet_ntop(AF_INET, address->s6_addr + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, address, text, sizeof text);
    struct str copy = arena_str(a, str_of(text));
    return copy.p ? copy : STR("");
}

/* One entry of X-Forwarded-For: an address, maybe with a port. Returns 0, or 1 for anything else.
 */
static int parse_entry(struct str entry, struct in6_addr *ret)
{
    struct config_range range;
    size_t colon = str_find(entry, ':');

    if (str_has_prefix(entry, STR("["))) {
        size_t end = str_find(entry, ']');
        if (end == entry.n)
            return 1;
        entry = (struct str){entry.p + 1, end - 1};
    } else if (colon < entry.n && str_find(entry, '.') < colon) {
        entry.n = colon;
    }
    if (str_find(entry, '/') < entry.n || config_parse_range(entry, &range))
        return 1;
    *ret = range.address;
    return 0;
}

/* Cuts the last entry off a list. Returns whether there was one. */
static bool take_last(struct str *list, struct str *ret_entry)
{
    size_t at = list->n;

    if (list->n == 0)
        return false;
    while (at > 0 && list->p[at - 1] != ',')
        at--;
    *ret_entry = str_trim((struct str){list->p + at, list->n - at});
    list->n = at > 0 ? at - 1 : 0;
    return true;
}

/*
 * Each proxy appends whom it heard from, so the list is read from its end for as long as the
 * speaker is trusted; what stands before the first untrusted address is that client's own words.
 */
void dispatch_client(const struct config *config, const struct http_request *r,
                     struct in6_addr *ret_address, bool *ret_secure)
{
    struct in6_addr address = r->peer;
    bool trusted = config_trusts(config, &r->peer);

    *ret_secure = r->tls;
    *ret_address = address;
    if (!trusted)
        return;
    size_t count;
    struct str proto = http_header_find(r, STR("X-Forwarded-Proto"), &count);
    if (count == 1)
        *ret_secure = str_eq_ci(proto, STR("https"));
    for (size_t i = r->header_count; i > 0; i--) {
        struct str list = r->headers[i - 1].value, entry;
        if (!str_eq_ci(r->headers[i - 1].name, STR("X-Forwarded-For")))
            continue;
        while (take_last(&list, &entry)) {
            if (parse_entry(entry, &address))
                return;
            *ret_address = address;
            if (!config_trusts(config, &address))
                return;
        }
    }
}
