/*
 * How a connection's bytes go over its socket: the one place that TLS will have to know.
 * Rooms: http (the engine's files). Threads: the connection's loop.
 *
 * Each returns what the system call of its name does: -1 with EAGAIN where it would block.
 */
#ifndef HOLDFAST_HTTP_TRANSPORT_H
#define HOLDFAST_HTTP_TRANSPORT_H

#include "http/conn.h"

ssize_t transport_recv(struct conn *c, void *p, size_t n);
ssize_t transport_send(struct conn *c, const void *p, size_t n);

/* Says that no more will be sent. */
void transport_end(struct conn *c);

/* Lets the close be seen as one that cut something off. */
void transport_reset(struct conn *c);

#endif
