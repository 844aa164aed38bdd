/*
 * How many connections each address holds, over all loops. An IPv6 address counts by its /64,
 * which is what one customer gets.
 * Rooms: http (the engine's files). Ownership: the table owns its entries. Threads: any.
 */
#ifndef HOLDFAST_HTTP_PEERS_H
#define HOLDFAST_HTTP_PEERS_H

#include <netinet/in.h>
#include <stddef.h>

struct peers;

/* A table where each address may hold at most max. Returns 0 or FAULT_MEMORY. */
int peers_new(size_t max, struct peers **ret);
void peers_free(struct peers *t);

/* Counts one more. Returns 0, 1 where the address is at its maximum, or FAULT_MEMORY. */
int peers_enter(struct peers *t, const struct in6_addr *address);
void peers_leave(struct peers *t, const struct in6_addr *address);

#endif
