/*
 * Which addresses may be connected to from here: a URL that somebody else chose must not reach this
 * machine, its network, or the metadata of its cloud.
 * Rooms: net and below. Ownership: a guard borrows its list. Threads: any.
 *
 * What is judged is the address of the socket about to be connected, never a name or a spelling of
 * a URL, so a name that resolves anew, and 2130706433 or 0x7f.1 for 127.0.0.1, change nothing.
 */
#ifndef HOLDFAST_GUARD_H
#define HOLDFAST_GUARD_H

#include "config/config.h"

#include <sys/socket.h>

/* Zeroed, it permits the public Internet and nothing else. */
struct guard {
    const struct config_range *allowed; /* permitted all the same; IPv4 as mapped addresses */
    size_t allowed_count;
    bool any; /* everything is permitted: for servers that the operator names */
};

/*
 * What special use an address has: "loopback", "private network", "link-local" and so on, by the
 * registries of RFC 6890 and what was added to them; NULL for a public unicast address. An IPv4
 * address inside an IPv6 one (mapped, or behind NAT64's 64:ff9b::/96) is judged as what it is.
 * Families other than AF_INET and AF_INET6, and addresses cut short, are "no Internet address".
 */
const char *guard_special_use(const struct sockaddr *address, size_t size);

/* Whether the guard lets a socket be connected to the address. */
bool guard_permits(const struct guard *g, const struct sockaddr *address, size_t size);

#endif
