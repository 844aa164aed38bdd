/*
 * The server: everything between the configuration and the signals. Rooms: cli.
 * Threads: server_run keeps the main thread until a signal ends it.
 */
#ifndef HOLDFAST_CLI_SERVER_H
#define HOLDFAST_CLI_SERVER_H

#include "api/app.h"
#include "cli/cli.h"

#include <signal.h>

/* The signals that a server waits for: to be blocked before any thread starts. */
void server_signals(sigset_t *ret_signals);

/* Serves until SIGTERM or SIGINT. Returns an exit code. */
int server_run(struct cli *cli, struct cli_session *session);

#endif
