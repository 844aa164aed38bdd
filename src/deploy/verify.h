/*
 * What a release that has the traffic must show from outside, before it is taken for proven: a
 * table of questions, each asked where the environment's configuration names what it needs.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_VERIFY_H
#define HOLDFAST_DEPLOY_VERIFY_H

#include "deploy/conf.h"

#include <stdatomic.h>

enum { VERIFY_CHECKS_MAX = 8, VERIFY_WHY_SIZE = 300 };

enum verify_verdict { VERIFY_PASSED, VERIFY_FAILED, VERIFY_NOT_ASKED };

struct verify_answer {
    const char *name, *title; /* "rate-limit", "The 6th wrong password in a minute is refused" */
    enum verify_verdict verdict;
    char why[VERIFY_WHY_SIZE]; /* what was seen instead; "" where it passed */
};

struct verify_report {
    struct verify_answer answers[VERIFY_CHECKS_MAX]; /* in the table's order */
    size_t n;
};

/* Outcomes. */
enum { VERIFY_SOME_FAILED = 1, VERIFY_CANCELLED };

struct verify_options {
    const struct conf_environment *environment;
    const char *ca_file; /* NULL: the system's authorities */
    const atomic_int *cancel;
};

/*
 * Asks all of them, also behind one that failed. Returns 0, an outcome (fault_message() says what
 * failed first), or a fault. *ret is written on all but a fault.
 */
int verify_run(const struct verify_options *options, struct verify_report *ret);

/* What will be asked, a line each, for --plan. */
int verify_describe(const struct conf_environment *e, struct buf *out);

#endif
