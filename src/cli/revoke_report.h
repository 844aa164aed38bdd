/*
 * What a mass revocation did: on standard output, and as a file. Rooms: cli.
 */
#ifndef HOLDFAST_CLI_REVOKE_REPORT_H
#define HOLDFAST_CLI_REVOKE_REPORT_H

#include "cli/cli.h"
#include "sessions/mass_list.h"

struct revoke_run {
    struct cli *cli;
    struct cli_session *session;
    struct mass_options options;
    struct mass_totals totals;
    bool completed;
    char path[512]; /* of the report; "" before it is written */
};

/* Prints totals and what was not found. Returns an exit code. */
int revoke_report_print(const struct revoke_run *run, const struct mass_list *list);

/*
 * Writes LOGS_DIR/mass-revoke-<time>.json (0600; on disk, and whole or not there): who, when, why,
 * and each user's result. Returns an exit code after saying why.
 */
int revoke_report_write(struct revoke_run *run, const struct mass_list *list);

#endif
