/*
 * What commands on the product's own database share: where it is, being interrupted, and how a long
 * piece of work shows on a terminal or in a pipeline's log.
 * Rooms: cli. Ownership: everything lives until the process ends. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_PRODUCT_H
#define HOLDFAST_CLI_PRODUCT_H

#include "cli/cli.h"
#include "deploy/backup.h"

struct product_command {
    struct cli *cli;
    struct arena a;
    struct backup_place place;
    struct progress progress;
    bool quiet, terminal; /* neither lines nor amounts; amounts over each other */
    int64_t began, line_began, shown_at;
};

/* Reads the settings, but not those that only a server needs. Returns 0 or an exit code after
 * saying why. */
int product_settings(struct cli *cli);

/*
 * Reads the settings and takes signals: the first SIGINT or SIGTERM cancels. Returns 0 or an exit
 * code after saying why.
 */
int product_open(struct cli *cli, struct product_command *ret);
void product_close(struct product_command *c);

/* Whether a second signal has to wait: it ends the command at once otherwise. */
void product_hold(bool hold);

/* The exit code for an outcome of deploy/backup.h or a fault, after saying what fault_message()
 * has. doing: what could not be done. */
int product_fail(struct product_command *c, const char *doing, int result);

/* Ends the line that amounts are shown in. */
void product_end_line(struct product_command *c);

/* "12.3 MB", "1,234,567", "1.2 s"; each in a buffer of its own of the arena. */
const char *product_size(struct arena *a, int64_t bytes);
const char *product_number(struct arena *a, int64_t n);
const char *product_time(struct arena *a, int64_t ms);

/* Asks on the terminal; --yes answers. Returns 0 or EXIT_FAILED after saying so. */
int product_confirm(struct product_command *c, const char *question);

#endif
