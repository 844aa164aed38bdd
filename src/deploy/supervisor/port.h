/*
 * Ports on loopback for releases to listen on.
 * Rooms: deploy. Threads: one.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_PORT_H
#define HOLDFAST_DEPLOY_SUPERVISOR_PORT_H

/* The wanted port where it is free, else another that is; 0: there is none. Below those that the
 * kernel gives to clients, so that none of them takes it before the release does. */
int port_choose(int wanted);

/*
 * Binds sockets to the port at the address, a name or a number, "localhost" being both 127.0.0.1
 * and ::1 where the machine has it. Returns how many (at most max), or FAULT_IO.
 */
int port_bind(const char *address, int port, int max, int ret_fds[]);

#endif
