/*
 * The way back of migrations, by the safest rung that undoes what was done:
 * 1. nothing of them is applied: there is nothing to do;
 * 2. what is applied fits the release before, which answers: the schema stays;
 * 3. each has a down.sql, which was reviewed with it: these run;
 * 4. the backup is restored, where nothing was written since or that is accepted.
 * Else a person decides, and is told what there is to decide.
 */
#include "deploy/deployment_data.h"

#include "base/fault.h"
#include "deploy/carry.h"
#include "deploy/deployment_steps.h"
#include "deploy/migrate_down.h"
#include "deploy/restore.h"

#include <stdio.h>

enum { LIST_MAX = 4096, WELL_MS = 30000 };

/* What is applied of those that were pending. */
struct applied {
    const char **names;
    size_t n;
    bool partly;   /* one failed with a part of it done */
    bool breaking; /* the release before may not live with one */
    bool all_down; /* each has a down.sql */
};

static bool holds(const json_t *names, const char *name)
{
    size_t i;
    json_t *item;

    json_array_foreach(names, i, item)
    {
        if (strcmp(json_string_value(item), name) == 0)
            return true;
    }
    return false;
}

static int find_applied(struct deployment *d, const struct migrate_view *view, struct applied *ret)
{
    json_t *noted = step_data(&d->steps, "check");
    const json_t *pending = json_object_get(noted, "pending"),
                 *breaking = json_object_get(noted, "breaking");

    *ret = (struct applied){
        .names = arena_array(d->a, view->count ? view->count : 1, sizeof *ret->names),
        .all_down = true};
    for (size_t i = 0; ret->names && i < view->count; i++) {
        const struct migrate_entry *e = &view->all[i];
        bool failed = e->state == MIGRATE_IS_FAILED;
        if ((!failed && e->state != MIGRATE_APPLIED) || !holds(pending, e->name))
            continue;
        ret->names[ret->n++] = e->name;
        ret->partly |= failed;
        ret->breaking |= holds(breaking, e->name);
        ret->all_down &= e->file && e->file->down.p;
    }
    json_decref(noted);
    return noted && ret->names ? 0 : FAULT_MEMORY;
}

/* Whether the release before serves well with what the database is now. */
static bool previous_is_well(struct deployment *d)
{
    json_t *state = step_data(&d->steps, "snapshot");
    bool runs = state && !json_is_false(json_object_get(state, "runs"));

    json_decref(state);
    return !runs || deployment_probe(d, d->e->health.url, WELL_MS, d->at_once) == 0;
}

static int note_way(struct deployment *d, const char *way)
{
    progress_say(d->progress, "%s", way);
    return step_note(&d->steps, json_pack("{s:{s:s}}", "show", "Way back of the schema", way));
}

/* What was written since is listed, for the person who decides. */
static int refuse(struct deployment *d, const struct writes *writes)
{
    struct buf list _cleanup_buf_ = buf_init(LIST_MAX);
    struct str rest, line;

    writes_print(writes, &list);
    rest = buf_str(&list);
    while (str_next(&rest, '\n', &line))
        if (line.n)
            progress_say(d->progress, "written since the backup: %.*s", STR_ARG(line));
    fault_keep(
        "the database was written to since its backup, which a restore would lose: "
        "\"holdfast rollback --env %s --accept-data-loss\" restores it all the same, and with "
        "--keep-schema in its place the schema stays as it is",
        d->e->name);
    return STEP_FAILED;
}

/* The backup, where it can be restored from, and whether that needs no consent. */
static int find_backup(struct deployment *d, struct backup *ret, bool *ret_free)
{
    char path[DEPLOYMENT_PATH_SIZE];
    bool fenced = false;
    int result = step_text(&d->steps, "backup", "path", path, sizeof path);

    if (result)
        return result;
    if (!*path) {
        fault_keep("there is no backup to restore; --keep-schema leaves the schema as it is");
        return STEP_FAILED;
    }
    result = deployment_fence_stands(d, &fenced);
    if (result == 0)
        result = deployment_backup_outcome(backup_open(path, d->a, ret));
    *ret_free = d->options.accept_data_loss || fenced;
    return result;
}

/* What Holdfast's own tables have, that the backup had not. */
static void tell_carried(struct deployment *d, const struct carry *carry)
{
    struct buf list _cleanup_buf_ = buf_init(LIST_MAX);
    struct str rest, line;

    carry_print(&carry->report, &list);
    rest = buf_str(&list);
    while (str_next(&rest, '\n', &line))
        if (line.n)
            progress_say(d->progress, "carried over: %.*s", STR_ARG(line));
}

static int restore(struct deployment *d)
{
    struct restore_report report;
    struct backup backup;
    struct backup_place place;
    bool free_of_loss = false;
    int result = find_backup(d, &backup, &free_of_loss);

    if (result == 0)
        result = deployment_place(d, &place);
    if (result)
        return result;
    place.cancel = d->at_once;
    struct carry carry = {.manifest = &backup.manifest};
    struct restore options = {.path = backup.path,
                              .accept_data_loss = free_of_loss,
                              .carry_over = carry_over,
                              .carry_over_sqlite = carry_over_sqlite,
                              .context = &carry};
    result = restore_run(&place, &options, d->a, &report);
    if (result == BACKUP_WRITTEN)
        return refuse(d, &report.writes);
    if (result)
        return deployment_backup_outcome(result);
    tell_carried(d, &carry);
    if (*report.failed)
        progress_say(d->progress, "the database as it was is kept as %s", report.failed);
    return note_way(d, arena_printf(d->a, "the backup %s was restored%s%s", backup.path,
                                    *report.failed ? "; what it replaced is kept as " : "",
                                    report.failed));
}

static int take_back(struct deployment *d, struct deployment_migrations *m,
                     const struct applied *applied)
{
    int result = note_way(d, "by the down.sql of each migration");

    if (result == 0)
        result = deployment_migrate_outcome(
            migrate_down(m->session, d->a, &m->files, &m->view, applied->names, applied->n));
    return result;
}

static int choose(struct deployment *d, struct deployment_migrations *m)
{
    struct applied applied;
    int result = find_applied(d, &m->view, &applied);

    if (result)
        return result;
    if (applied.n == 0)
        return note_way(d, "nothing to do: none of the migrations is applied");
    if (d->options.keep_schema)
        return note_way(d, "the schema stays as it is: that was asked for");
    if (!applied.breaking && !applied.partly && previous_is_well(d))
        return note_way(d, "the schema stays: it fits the release before, which answers");
    if (applied.all_down)
        return take_back(d, m, &applied);
    deployment_close_migrations(m); /* a restore ends all sessions */
    return restore(d);
}

/* What a command has changed is told by the definitions of all that the database holds. */
static int choose_blindly(struct deployment *d)
{
    if (d->options.keep_schema)
        return note_way(d, "what the command changed stays: that was asked for");
    if (previous_is_well(d))
        return note_way(d, "what the command changed stays: the release before answers");
    return restore(d);
}

/* Whether the backup could be restored, as far as is known without trying. */
static int may_restore(struct deployment *d)
{
    struct pg *pg _cleanup_pg_ = NULL;
    struct backup_place place;
    struct backup backup;
    struct writes writes;
    bool free_of_loss = false;
    int result = find_backup(d, &backup, &free_of_loss);

    if (result == 0)
        result = deployment_place(d, &place);
    if (result || free_of_loss)
        return result;
    struct pg_options options = {.url = place.url, .name = "holdfast deploy"};
    result = deployment_migrate_outcome(pg_open(&options, &pg));
    if (result == 0)
        result = deployment_backup_outcome(writes_since(pg, &backup.manifest, d->a, &writes));
    return result || writes.none ? result : refuse(d, &writes);
}

int deployment_may_go_back(struct deployment *d)
{
    struct deployment_migrations m;
    struct applied applied = {.n = 0};

    if (!step_is_done(&d->steps, "migrate") || d->options.keep_schema || d->e->migrations.command.n)
        return 0;
    int result = deployment_see_migrations(d, &m);
    if (result == 0)
        result = find_applied(d, &m.view, &applied);
    deployment_close_migrations(&m);
    if (result || applied.n == 0 || applied.all_down || (!applied.breaking && !applied.partly))
        return result;
    return may_restore(d);
}

static int undo_migrate(struct deployment *d)
{
    struct deployment_migrations m;
    int result;

    if (d->e->migrations.command.n)
        return choose_blindly(d);
    result = deployment_see_migrations(d, &m);
    if (result == 0)
        result = choose(d, &m);
    deployment_close_migrations(&m);
    return result;
}

int step_undo_migrate(struct steps *s, void *context)
{
    struct deployment *d = context;
    const atomic_int *cancel = d->cancel;

    d->cancel = d->at_once; /* what made us go back does not end the way back */
    int result = undo_migrate(d);
    d->cancel = cancel; /* it ends the next deployment of this run */
    return result;
}
