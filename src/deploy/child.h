/*
 * Programs that a deployment runs: pg_dump, docker, kubectl, npm, a hook.
 * Rooms: deploy, cli. Ownership: the caller's throughout. Threads: one that may wait; not an event
 * thread.
 *
 * A program is named by its arguments, never by a line for a shell. It runs in a process group of
 * its own, and the group ends with it: when it ends, when it is to end, and when this process dies,
 * whatever kills it. So no pg_restore and no migration goes on behind a deployment's back. Secrets
 * go to it in its environment or on its standard input, never in its arguments, which others may
 * read.
 */
#ifndef HOLDFAST_DEPLOY_CHILD_H
#define HOLDFAST_DEPLOY_CHILD_H

#include "base/buf.h"

#include <signal.h>
#include <stdatomic.h>

/* Receives what the program prints, piece by piece. Returns 0 to go on; else the program is killed
 * and the value forwarded. */
typedef int child_sink(void *context, const char *p, size_t n);

struct child {
    const char *const *argv;        /* ends with NULL; argv[0] is looked up in PATH */
    const char *const *environment; /* "KEY=VALUE", put over ours; ends with NULL; NULL: none */
    const char *directory;          /* where it runs; NULL: here */
    struct str input;               /* its standard input; empty: /dev/null */
    child_sink *out, *err;          /* NULL: dropped. err NULL, out given: both to out */
    void (*tick)(void *context);    /* called each 100 ms at least while it runs; NULL: not */
    void *context;                  /* of these three */
    int out_fd;                     /* where its standard output goes instead, if above 0 */
    int64_t timeout_ms;             /* until it is ended; 0: none */
    int64_t grace_ms;               /* between SIGTERM and SIGKILL; 0: 5 s */
    const atomic_int *cancel;       /* it is ended once this is not 0; NULL: never */
};

/* Outcomes of child_run. */
enum child_outcome {
    CHILD_FAILED = 1, /* it ended with another code than 0, or by a signal */
    CHILD_MISSING,    /* there is no such program, or it cannot be run */
    CHILD_TIMEOUT,
    CHILD_CANCELLED
};

struct child_end {
    int code;   /* the exit code; -1: ended by a signal, or not run */
    int signal; /* which; 0: none */
    int64_t ms; /* how long it ran */
};

/*
 * Runs the program and waits for its end and for the end of its output. Returns 0 where its code
 * was 0, an outcome above, what a sink returned, or FAULT_IO or FAULT_MEMORY; fault_message() says
 * more of each but 0. ret_end may be NULL; it is written on each outcome.
 */
int child_run(const struct child *child, struct child_end *ret_end);

/* A sink over a struct buf: what does not fit is left out. */
int child_into_buf(void *context, const char *p, size_t n);

#endif
