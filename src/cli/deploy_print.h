/*
 * What a deployment shows while it runs: on a terminal a line a step that is redrawn, with the time
 * it has taken and what is left; elsewhere plain lines. And the log of each step.
 * Rooms: cli. Ownership: the caller's. Threads: the one that deploys.
 */
#ifndef HOLDFAST_CLI_DEPLOY_PRINT_H
#define HOLDFAST_CLI_DEPLOY_PRINT_H

#include "deploy/progress.h"
#include "deploy/steps.h"

#include <stdio.h>

enum { DEPLOY_PRINT_LINE = 400 };

struct deploy_print {
    FILE *to; /* NULL: nothing is shown */
    bool terminal;
    const char *directory; /* of the steps' logs */
    const struct step *table;
    size_t n;
    /* Of the step under way. */
    const struct step *step;
    FILE *log;
    int64_t began, drawn, done, total;
    char last[DEPLOY_PRINT_LINE];
    int64_t repeated;         /* how often the last line came again, which is not printed */
    struct progress progress; /* to be given to what works */
};

/* to may be a terminal. */
void deploy_print_init(struct deploy_print *p, FILE *to, const char *directory,
                       const struct step *table, size_t n);

/* To be called for each event. */
void deploy_print_event(struct deploy_print *p, const struct steps_event *event);

/* Ends what is open. */
void deploy_print_end(struct deploy_print *p);

#endif
