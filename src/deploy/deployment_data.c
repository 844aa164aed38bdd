/* The steps of a deployment that concern the product's database. */
#include "deploy/deployment_data.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_verify.h"
#include "deploy/deployment_steps.h"
#include "deploy/restore.h"

#include <stdio.h>
#include <sys/stat.h>

enum { FINDINGS_MAX = 64 * 1024, REHEARSAL_FAILED = 100, WHY_MAX = 1000 };

int deployment_backup_outcome(int outcome)
{
    return outcome == BACKUP_UNREACHABLE ? STEP_UNREACHABLE
           : outcome == BACKUP_CANCELLED ? STEP_CANCELLED
           : outcome > 0                 ? STEP_FAILED
                                         : outcome;
}

int deployment_place(struct deployment *d, struct backup_place *ret)
{
    struct product_url url = {.url = d->e->database.url};

    if (deploy_on_postgres(d->e)) {
        int result = product_url_read(d->a, d->e->database.url, &url);
        if (result)
            return result < 0 ? result : STEP_FAILED;
    }
    *ret = (struct backup_place){.url = url.url,
                                 .admin_url = d->e->database.admin_url,
                                 .progress = d->progress,
                                 .cancel = d->cancel};
    return 0;
}

bool deployment_has_database(const void *context)
{
    const struct deployment *d = context;

    return d->e->database.url != NULL;
}

/* Whether migrations are to run; the check has noted how many are pending. */
bool deployment_migrates(const void *context)
{
    const struct deployment *d = context;
    json_t *noted;
    bool migrates;

    if (!d->e->database.url || d->options.skip_migrations)
        return false;
    if (d->e->migrations.command.n)
        return true;
    noted = step_data(&d->steps, "check");
    migrates = json_array_size(json_object_get(noted, "pending")) > 0;
    json_decref(noted);
    return migrates;
}

bool deployment_verifies_backup(const void *context)
{
    const struct deployment *d = context;

    return d->e->backup.verify && deployment_migrates(context);
}

int step_backup(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct backup_place place;
    struct backup backup;
    char kept[128];
    int result = deployment_place(d, &place);

    if (result)
        return result;
    /* Kept until the deployment has ended: the way back must not be thinned out meanwhile. */
    snprintf(kept, sizeof kept, "deployment %s", d->id);
    result = backup_create(&place, d->e->backup.directory, kept, d->a, &backup);
    if (result)
        return deployment_backup_outcome(result);
    return step_note(
        s, json_pack("{s:s, s:{s:s}}", "path", backup.path, "show", "Backup", backup.path));
}

/* Notes what became of the migrations, and gives what was to be returned, with its message. */
static int noted(struct deployment *d, const char *key, const struct migrate_report *report,
                 int result)
{
    char why[WHY_MAX];

    snprintf(why, sizeof why, "%s", fault_message());
    int fault = deployment_note_migrations(d, key, report);
    if (fault)
        return fault;
    fault_keep("%s", why);
    return result;
}

/* Runs the pending migrations on the restored database, which is dropped afterwards. */
static int rehearse(void *context, const char *database)
{
    struct deployment *d = context;
    struct migrate_report report;
    int result = deployment_migrate(d, database, &report);

    if (result == 0 || result == STEP_FAILED)
        result = noted(d, "rehearsal", &report, result);
    return result > 0 ? result + REHEARSAL_FAILED : result;
}

int step_verify_backup(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct buf findings _cleanup_buf_ = buf_init(FINDINGS_MAX);
    struct backup_verified verified;
    struct backup_place place;
    char path[DEPLOYMENT_PATH_SIZE];
    int result = step_text(s, "backup", "path", path, sizeof path);

    if (result == 0)
        result = deployment_place(d, &place);
    if (result)
        return result;
    struct backup_verify options = {
        .path = path, .use = d->e->migrations.command.n ? NULL : rehearse, .context = d};
    result = backup_verify(&place, &options, d->a, &findings, &verified);
    if (result > REHEARSAL_FAILED)
        return result - REHEARSAL_FAILED;
    if (result == BACKUP_DAMAGED)
        fault_keep("the backup is not whole: %.300s", buf_cstr(&findings));
    return deployment_backup_outcome(result);
}

int step_migrate(struct steps *s, void *context)
{
    struct deployment *d = context;
    struct migrate_report report;
    int result = deployment_run_hooks(d, "before_migrations", &d->e->hooks.before_migrations);

    if (result)
        return result;
    if (d->e->migrations.command.n)
        return deployment_run_migration_command(d);
    result = deployment_migrate(d, NULL, &report);
    return result == 0 || result == STEP_FAILED ? noted(d, "applied", &report, result) : result;
}

int deployment_thin_out_backups(struct deployment *d)
{
    char path[DEPLOYMENT_PATH_SIZE];
    struct backup backup;
    size_t removed;
    int result = step_text(&d->steps, "backup", "path", path, sizeof path);

    if (result || !*path)
        return result;
    result = backup_open(path, d->a, &backup);
    if (result == 0)
        result = backup_let_go(&backup);
    if (result == 0)
        result = backup_thin_out(d->e->backup.directory, backup.manifest.database,
                                 d->e->backup.keep, d->e->backup.keep_days, clock_now(), &removed);
    if (result == 0 && removed)
        progress_say(d->progress, "%zu backups removed that were too many or too old", removed);
    return deployment_backup_outcome(result);
}
