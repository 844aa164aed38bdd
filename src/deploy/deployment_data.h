/*
 * What the steps of a deployment that concern the database share. Rooms: deploy. Ownership:
 * everything lives in the deployment's arena. Threads: the deployment's.
 */
#ifndef HOLDFAST_DEPLOY_DEPLOYMENT_DATA_H
#define HOLDFAST_DEPLOY_DEPLOYMENT_DATA_H

#include "deploy/backup.h"
#include "deploy/deployment.h"
#include "deploy/migrate_apply.h"
#include "deploy/product_url.h"

/* The outcome of a step for one of backups. */
int deployment_backup_outcome(int outcome);

/* Where the product's data are. Returns 0, STEP_FAILED for a URL that is wrong, or a fault. */
int deployment_place(struct deployment *d, struct backup_place *ret);

/* For the table of steps. */
bool deployment_has_database(const void *context);
bool deployment_migrates(const void *context);
bool deployment_verifies_backup(const void *context);
bool deployment_is_fenced(const void *context);

/* A session on the product's migrations. */
struct deployment_migrations {
    struct migrate *session; /* NULL: none */
    struct migrations files;
    struct migrate_view view;
    struct migrate_plan plan;
};

/* Outcome beyond a step's: the product has no migrations. */
enum { DEPLOYMENT_NO_MIGRATIONS = 60 };

/*
 * Looks at the migrations of the product's database, or of another one of its server; with the turn
 * among all who migrate, where something is to be changed. What stands in the way of applying them
 * is a failure. Returns 0, a step_outcome, DEPLOYMENT_NO_MIGRATIONS, or a fault; to be closed after
 * each.
 */
int deployment_open_migrations(struct deployment *d, const char *database, bool turn,
                               struct deployment_migrations *ret);
/* The same for the way back: in turn, and whatever state they are in; without a plan. Returns as
 * above, but DEPLOYMENT_NO_MIGRATIONS. */
int deployment_see_migrations(struct deployment *d, struct deployment_migrations *ret);
void deployment_close_migrations(struct deployment_migrations *m);

/* The outcome of a step for one of migrations or of deploy/pg.h. */
int deployment_migrate_outcome(int outcome);

/*
 * Applies what is pending: on the product's database, or on another one of its server. Returns 0,
 * a step_outcome, or a fault. The report is the arena's.
 */
int deployment_migrate(struct deployment *d, const char *database, struct migrate_report *ret);

/* Notes under this key what became of each migration. */
int deployment_note_migrations(struct deployment *d, const char *key,
                               const struct migrate_report *report);

/* Lets this deployment's backup go with time, and removes those that are too many or too old.
 * Returns 0, a step_outcome, or a fault. */
int deployment_thin_out_backups(struct deployment *d);

/*
 * Whether the fence has stood since the step that set it: nobody wrote but migrations. It is asked
 * of the database, since a person may have lifted the fence of a killed deployment, and a run may
 * have died between lifting it and saying so. Returns 0, a step_outcome, or a fault.
 */
int deployment_fence_stands(struct deployment *d, bool *ret);

/* Runs commands in their order until one fails. Returns 0, a step_outcome, or a fault. */
int deployment_run_hooks(struct deployment *d, const char *name,
                         const struct conf_commands *commands);

/* Runs migrations.command with DATABASE_URL set to the product's. Same returns. */
int deployment_run_migration_command(struct deployment *d);

#endif
