/*
 * Keeps a supervisor alive: it holds the product's port, so that no connection is refused while
 * another supervisor takes the place of one that died.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: keeper_run: a process of one; keeper_start:
 * one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_SUPERVISOR_KEEPER_H
#define HOLDFAST_DEPLOY_SUPERVISOR_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The process of `holdfast supervise DIRECTORY [FD]`: runs until it is asked to end by SIGTERM or
 * by a command. ready: what becomes of the start is written there ('r' it runs; 'h' another holds
 * the directory; 'e' and why not), and standard error goes to the directory's supervisor.log; -1:
 * it stays what it is. Returns the exit code.
 */
int keeper_run(const char *directory, int ready);

/* Outcome of keeper_start. */
enum { KEEPER_HELD = 1 };

/*
 * Starts one apart from this process, from the same program; it outlives us. It is told of the
 * address and the port by supervisor.json in the directory. Returns 0 once it can be spoken to,
 * KEEPER_HELD where there is one, or FAULT_IO with the reason.
 */
int keeper_start(const char *directory, int64_t timeout_ms);

#endif
