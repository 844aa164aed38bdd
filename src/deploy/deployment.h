/*
 * One deployment of an environment: its steps, what each does to the product, and its way back.
 *
 * Rooms: deploy, cli. Ownership: everything is the caller's, and lives until the deployment ends.
 * Threads: one, which waits; cancel may be set from a signal handler.
 *
 * Steps, in deployment_steps: check, snapshot, fence, backup, verify_backup (which rehearses the
 * migrations), migrate, roll_out, stabilise, unfence, switch, verify (the proof), finish. The lock
 * of the environment is taken before the journal is begun, and held to the end.
 */
#ifndef HOLDFAST_DEPLOY_DEPLOYMENT_H
#define HOLDFAST_DEPLOY_DEPLOYMENT_H

#include "deploy/lock.h"
#include "deploy/steps.h"
#include "deploy/target.h"

struct config;
struct dirent;
struct pg;

enum { DEPLOYMENT_ID_SIZE = 37, DEPLOYMENT_PATH_SIZE = 4096, DEPLOYMENT_RELEASE_MAX = 255 };

struct deployment_options {
    const char *release; /* NULL: the environment's */
    bool skip_migrations;
    bool accept_data_loss;    /* by a restore */
    bool keep_schema;         /* on any way back */
    bool destructive;         /* statements that destroy data may run */
    bool from_unhealthy;      /* the release that runs need not be well */
    int64_t health_ms, tries; /* limit of the wait for health, failed probes in a row */
    const char *ca_file;      /* whom probes and verification trust; NULL: the system's */
};

struct deployment {
    struct arena *a;
    const struct conf_environment *e;
    struct deployment_options options;
    char id[DEPLOYMENT_ID_SIZE];
    char directory[DEPLOYMENT_PATH_SIZE]; /* logs/deployments/<id> */
    const struct target_kind *target;
    struct deploy_lock *lock;
    const atomic_int *cancel;  /* goes back once it is not 0 */
    const atomic_int *at_once; /* gives up even that */
    const struct progress *progress;
    const struct config *config; /* our own settings */
    const char *version;         /* of this program */
    /* Asks somebody whether so many statements that destroy data may run; NULL: nobody is there. */
    bool (*consent)(void *context, size_t statements);
    void *consent_context;
    void *owner;        /* the caller's, for steps.hear, whose context is the deployment */
    struct steps steps; /* its context is the deployment */
};

extern const struct step deployment_steps[];
extern const size_t deployment_steps_count;

/*
 * Begins a new one under `root`, which exists: an id, its directory and journal, and the first
 * record, which says what it is to be (environment, release, options, who). The fields above from
 * id to directory, and steps but for hear, are set. Returns 0, FAULT_IO, FAULT_MEMORY, FAULT_LIMIT.
 */
int deployment_begin(struct deployment *d, const char *root);

/*
 * Takes up the one in root/id, whose process is dead, as its first record says. Returns 0,
 * JOURNAL_HELD, JOURNAL_NONE, JOURNAL_DAMAGED, or a fault.
 */
int deployment_take_up(struct deployment *d, const char *root, const char *id);

/*
 * Whether one that is done may be undone: nothing is in the way of the schema, as far as can be
 * known before. Otherwise going back would leave the release before on a schema that it may not
 * know. Returns 0, a step_outcome (fault_message() says what is in the way), or a fault.
 */
int deployment_may_go_back(struct deployment *d);

/* Closes its journal. */
void deployment_close(struct deployment *d);

/*
 * The directories of deployments under root, newest first, as scandir gives them: the caller frees
 * each and the array. Returns their number, 0 where there is no root, or FAULT_IO.
 */
int deployment_scan(const char *root, struct dirent ***ret);

/*
 * The newest deployments of an environment under root, by their journals, newest first, at most
 * max. A directory that holds no journal is passed over. Returns 0 or a fault.
 */
struct deployment_entry {
    char id[DEPLOYMENT_ID_SIZE];
    char release[DEPLOYMENT_RELEASE_MAX + 1];
    bool ended, done; /* done: ended well, and was not rolled back since */
    bool damaged;     /* its journal cannot be read to the end */
};
int deployment_list(const char *root, const char *environment, struct deployment_entry *ret,
                    size_t max, size_t *ret_n);

/* What every step will do, for --plan. */
int deployment_describe(struct deployment *d, struct buf *out);

#endif
