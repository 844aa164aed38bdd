/*
 * Giving up what a server does not need. Rooms: cli. Threads: the main thread, before others.
 */
#ifndef HOLDFAST_CLI_PRIVILEGES_H
#define HOLDFAST_CLI_PRIVILEGES_H

/*
 * Forbids gaining privileges, core dumps and tracing by others (the process holds secrets), and
 * becomes the user of this name where it is not empty and we are root. Returns 0 or a fault.
 */
int privileges_drop(const char *user);

#endif
