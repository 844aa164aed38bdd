/*
 * What the verbs of "holdfast email" share, and their output for people.
 * Rooms: cli. Ownership: the verb's. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_EMAIL_H
#define HOLDFAST_CLI_EMAIL_H

#include "api/email_views.h"
#include "cli/cli.h"

/* The open store, an arena for what is read, and the tenant that is meant. */
struct email_verb {
    struct cli *cli;
    struct cli_session session;
    struct arena arena;
    struct uuid tenant_id;
    const struct uuid *tenant; /* NULL: the whole installation */
    int64_t now;
};

/* Opens all, and finds --tenant. Returns 0, or an exit code after saying why. */
int email_verb_open(struct cli *cli, struct email_verb *ret);
void email_verb_close(struct email_verb *v);

/* The option as a time, or as an address in the verb's arena. Returns 0 or EXIT_USAGE. */
int email_verb_time(const struct email_verb *v, const char *option, int64_t *ret);
int email_verb_address(struct email_verb *v, const char *text, struct str *ret);

/* The window that --window, --since, --until and --bucket ask for. Returns 0 or EXIT_USAGE. */
int email_verb_window(const struct email_verb *v, struct mail_window *ret_window,
                      int64_t *ret_bucket);

/* Adds what came from outside, which may be commands to a terminal: '?' for each control. */
void email_verb_add(struct buf *out, struct str text);

/* Writes text to standard output. Returns EXIT_DONE, or EXIT_FAILED after saying why. */
int email_verb_print(const struct buf *out);

/* For people. Failure is the buffer's. */
void email_health_print(struct arena *a, const struct email_health *h, struct buf *out);
void email_figures_print(const struct email_figures *f, struct buf *out);

#define EMAIL_TENANT_OPTION                                                                        \
    {                                                                                              \
        "tenant", 't', "TENANT", "Only of this tenant (id or name); all by default."               \
    }

#endif
