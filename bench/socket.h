/*
 * Connections to a server on this machine.
 * Used by: the benchmark's programs. Ownership: descriptors are the caller's. Threads: any.
 */
#ifndef BENCH_SOCKET_H
#define BENCH_SOCKET_H

#include "base/str.h"

/*
 * Connects to 127.0.0.1:port, from 127.0.0.(1 + source) so that many connections neither exhaust
 * one address's ports nor look like one client. Blocks. Returns 0 or FAULT_IO.
 */
int socket_connect(uint16_t port, unsigned source, int *ret_fd);

/* Writes all bytes to a blocking socket. Returns 0 or FAULT_IO. */
int socket_send(int fd, struct str bytes);

/* Raises the limit of open descriptors as far as allowed. Returns 0, or FAULT_LIMIT below n. */
int socket_allow(size_t n);

#endif
