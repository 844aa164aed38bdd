/*
 * Listening sockets and what may come in through them.
 * Rooms: http (the engine's files). Threads: any.
 */
#ifndef HOLDFAST_HTTP_LISTEN_H
#define HOLDFAST_HTTP_LISTEN_H

#include "http/loop.h"

/*
 * Opens n sockets on the same address and port, one a loop; the kernel spreads connections over
 * them. host NULL is every address, IPv6 and IPv4. Returns 0 with the port, or FAULT_IO (and no
 * socket open).
 */
int listen_open(const char *host, int port, int n, int *ret_fds, int *ret_port);

struct accepted {
    int fd, error;
    struct in6_addr peer;
    bool counted; /* among its address's connections */
};

enum { LISTEN_TAKEN, LISTEN_NONE, LISTEN_REFUSED, LISTEN_EXHAUSTED };

/*
 * Accepts one connection within the limits: LISTEN_TAKEN (it is counted), LISTEN_NONE (none
 * waits), LISTEN_REFUSED (over a limit: answered 503 and closed) or LISTEN_EXHAUSTED (no
 * descriptor or memory, with the error).
 */
int listen_accept(struct loop *loop, struct accepted *ret);

#endif
