/*
 * Where a server of this configuration is reached from its own machine. Rooms: cli. Threads: any.
 */
#ifndef HOLDFAST_CLI_OWN_URL_H
#define HOLDFAST_CLI_OWN_URL_H

#include "config/config.h"

enum { OWN_URL_MAX = 400 };

/* "http://127.0.0.1:3000" and path behind it; what does not fit is cut. */
void own_url(const struct config *c, int port, const char *path, char ret_url[OWN_URL_MAX]);

#endif
