/*
 * The sandbox of mail in a server: SMTP and MailHog's API on ports of their own, and the events of
 * SES's simulator, which come back to the server's own webhook. Rooms: cli. Threads: the main
 * thread.
 */
#ifndef HOLDFAST_CLI_SERVE_SANDBOX_H
#define HOLDFAST_CLI_SERVE_SANDBOX_H

#include "store/store.h"

struct serve_sandbox;

/*
 * Starts what the configuration asks for; *ret is NULL where EMAIL_TRANSPORT is another. A port
 * that is taken is gone without, with a warning. server_port is where this server serves. Returns 0
 * or a fault.
 */
int serve_sandbox_start(struct store *store, int server_port, struct serve_sandbox **ret);

/* Says where it is, to the log and to a terminal. NULL is allowed. */
void serve_sandbox_announce(const struct serve_sandbox *s);

/* Takes nothing more, and posts the events that wait while the server still serves. NULL is
 * allowed.
 */
void serve_sandbox_stop(struct serve_sandbox *s);

#endif
