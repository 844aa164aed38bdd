/*
 * The command line: one table of commands, each with a table of options; help is made from them.
 * Rooms: cli. Ownership: everything lives until the process ends. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_CLI_H
#define HOLDFAST_CLI_CLI_H

#include "config/config.h"
#include "sessions/sessions.h"

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* or findings */
    EXIT_USAGE = 2,  /* or configuration */
    EXIT_UNREACHABLE = 3,
    EXIT_ROLLED_BACK = 4,
    EXIT_INCOMPLETE = 5,
    EXIT_LOCKED = 6
};

enum { CLI_OPTIONS_MAX = 16, CLI_WORDS_MAX = 8 };

struct cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* how help calls its value; NULL: a switch */
    const char *help;
};

struct cli {
    const struct cli_command *command;
    const char *values[CLI_OPTIONS_MAX]; /* by the command's options; a switch has "" */
    const char *words[CLI_WORDS_MAX];    /* what is no option */
    int word_count;
};

struct cli_command {
    const char *name, *verb; /* "users", "add"; verb NULL: the name alone */
    const char *words;       /* as help shows them: "ID ROLE"; NULL: none */
    int words_min, words_max;
    const char *summary, *description;
    struct cli_option options[CLI_OPTIONS_MAX]; /* ends with a NULL name */
    int (*run)(struct cli *cli);                /* returns an enum cli_exit */
};

/* All commands there are, in the order of help; main.c lists them. */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_commands_count;

extern const struct cli_command cli_serve, cli_users_add, cli_users_list, cli_users_disable,
    cli_users_enable, cli_users_unlock, cli_users_set_role, cli_users_reset_password,
    cli_revoke_sessions, cli_trail_verify, cli_trail_export, cli_email_health, cli_email_metrics,
    cli_email_logs, cli_email_simulate, cli_email_suppressions, cli_email_setup, cli_backup_create,
    cli_backup_verify, cli_backup_restore, cli_backup_list, cli_migrate_status, cli_migrate_deploy,
    cli_migrate_resolve, cli_deployments_list, cli_deployments_show, cli_supervise, cli_deploy,
    cli_rollback;

/* The value of an option, "" for a switch that was given, NULL where it was not. */
const char *cli_value(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);

/* Prints "holdfast: …" to standard error and returns exit_code. */
int cli_fail(enum cli_exit exit_code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what a fault was about and returns the exit code for it. */
int cli_fault(const char *doing, int fault);

/* The options that every command takes, at the head of its table. */
#define CLI_CONFIG_OPTION                                                                          \
    {                                                                                              \
        "config", 'c', "FILE", "Read settings from FILE (KEY=VALUE lines); the environment wins."  \
    }
#define CLI_JSON_OPTION                                                                            \
    {                                                                                              \
        "json", 'j', NULL, "Print one JSON object instead of text."                                \
    }

/* What a command that works on the store opens. */
struct cli_session {
    struct store *store;
    struct trail *trail;
    struct sessions *sessions;
    struct trail_actor actor; /* "cli:<login>" */
};

/*
 * Loads the configuration and publishes it, opens the store, the trail and the sessions. Returns 0,
 * or an exit code after saying why.
 */
int cli_open(struct cli *cli, struct cli_session *ret);
void cli_close(struct cli_session *session);

/* Loads and publishes the configuration alone. Returns 0 or an exit code after saying why. */
int cli_configure(struct cli *cli, struct config **ret);

/* The same from another source, such as without what only a server needs. */
int cli_load(const struct config_source *source, struct config **ret);

/* Whether there is a store to open: to look into one is no reason to make an SQLite file. */
bool cli_has_store(const struct config *c);

/* Opens the store, the trail and the sessions by the published configuration. Likewise. */
int cli_open_store(struct cli_session *ret);

/* Where the settings come from, for a reload. */
struct config_source cli_config_source(const struct cli *cli);

#endif
