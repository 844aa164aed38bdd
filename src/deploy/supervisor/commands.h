/*
 * What a supervisor is told, over a socket that its own user and root may connect to.
 *
 * Rooms: deploy. Ownership: commands_close frees all. Threads: the supervisor's.
 *
 * A connection carries one request and its answer, a line of JSON each:
 *   {"do": "status"}
 *   {"do": "start", "id", "definition"?}   also again; without a definition one that has stopped
 *   {"do": "switch", "id": ID or null}
 *   {"do": "stop", "id"}                   answered at once: the status tells when it has
 *   {"do": "forget", "id"}                 removes what is kept of a stopped one
 *   {"do": "end"}
 * The answer is the status, with a member "error" where the request was not done.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_COMMANDS_H
#define HOLDFAST_DEPLOY_SUPERVISOR_COMMANDS_H

#include "deploy/supervisor/supervisor.h"

enum { COMMANDS_LINE_MAX = 4 << 20, COMMANDS_MAX = 16, COMMANDS_PATIENCE_MS = 10000 };

struct commands;

/* Returns 0 or a fault. */
int commands_open(struct supervisor *s, struct commands **ret);

/* To be called after each round. */
void commands_tend(struct commands *c);

/* NULL is allowed. */
void commands_close(struct commands *c);

#endif
