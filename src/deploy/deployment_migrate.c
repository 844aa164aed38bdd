/* Migrations and hooks as steps of a deployment run them. */
#include "deploy/deployment_data.h"

#include "base/fault.h"
#include "deploy/child.h"
#include "deploy/deployment_steps.h"

#include <stdio.h>

enum { ENVIRONMENT_ROOM = 8, SHOWN_MAX = 400 };

int deployment_migrate_outcome(int outcome)
{
    return outcome == PG_UNREACHABLE ? STEP_UNREACHABLE
           : outcome == PG_CANCELLED ? STEP_CANCELLED
           : outcome > 0             ? STEP_FAILED
                                     : outcome;
}

static struct migrate_options options_of(const struct deployment *d, const struct product_url *url,
                                         const char *database)
{
    const struct conf_environment *e = d->e;

    return (struct migrate_options){.url = url->url,
                                    .schema = url->schema,
                                    .database = database,
                                    .name = "holdfast deploy",
                                    .lock_ms = e->migrations.lock_ms,
                                    .statement_ms = e->migrations.statement_ms,
                                    .retries =
                                        e->migrations.retries ? (int)e->migrations.retries : -1,
                                    .through_fence = e->database.fence,
                                    .cancel = d->cancel,
                                    .progress = d->progress};
}

static int open_session(struct deployment *d, const char *database,
                        struct deployment_migrations *ret)
{
    struct product_url url;
    int result = product_url_read(d->a, d->e->database.url, &url);

    if (result)
        return result;
    struct migrate_options options = options_of(d, &url, database);
    return migrate_open(d->a, &options, &ret->session);
}

static int see(struct deployment *d, const char *database, bool turn,
               struct deployment_migrations *ret)
{
    int result;

    *ret = (struct deployment_migrations){.session = NULL};
    result = migrations_read(d->a, d->e->migrations.directory, &ret->files);
    if (result == 0)
        result = open_session(d, database, ret);
    if (result == 0 && turn)
        result = migrate_lock(ret->session);
    return result ? result : migrate_look(ret->session, d->a, &ret->files, &ret->view);
}

int deployment_see_migrations(struct deployment *d, struct deployment_migrations *ret)
{
    return deployment_migrate_outcome(see(d, NULL, true, ret));
}

int deployment_open_migrations(struct deployment *d, const char *database, bool turn,
                               struct deployment_migrations *ret)
{
    int result = see(d, database, turn, ret);

    if (result == MIGRATIONS_MISSING)
        return DEPLOYMENT_NO_MIGRATIONS;
    if (result == 0)
        result = migrate_ready(&ret->view);
    if (result == 0)
        result = migrate_plan(ret->session, d->a, &ret->files, &ret->view, &ret->plan);
    return deployment_migrate_outcome(result);
}

void deployment_close_migrations(struct deployment_migrations *m)
{
    migrate_close(m->session);
    m->session = NULL;
}

/* The file and the line of what failed, and who was in its way. */
static void say_what_failed(const struct migrate_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct migrate_failure *f = &report->all[i].failure;
        const char *name = report->all[i].file->name;
        if (report->all[i].fate == MIGRATE_FATE_APPLIED || !f->message)
            continue;
        char line[16] = "";
        if (f->line)
            snprintf(line, sizeof line, ":%d", f->line);
        fault_keep("%s/migration.sql%s: %s%s%s%s%s%s%s", name, line, f->message,
                   *f->sqlstate ? " (" : "", f->sqlstate, *f->sqlstate ? ")" : "",
                   *f->blockers ? "; in the way: " : "", f->blockers,
                   report->all[i].fate == MIGRATE_FATE_PARTLY ? "; a part of it is applied" : "");
        return;
    }
}

/* What runs is what was checked, consented to and rehearsed: files may have changed since. */
static int check_unchanged(const struct deployment *d, const struct migrate_plan *plan)
{
    json_t *noted = step_data(&d->steps, "check");
    const json_t *sums = json_object_get(noted, "checksums");
    int result = noted ? 0 : FAULT_MEMORY;

    for (size_t i = 0; result == 0 && sums && i < plan->count; i++) {
        const struct migration *file = plan->all[i].file;
        const char *sum = json_string_value(json_object_get(sums, file->name));
        if (sum && strcmp(sum, file->checksum) == 0)
            continue;
        fault_keep("%s/migration.sql %s since the check: nothing of it was run", file->name,
                   sum ? "was changed" : "has come");
        result = STEP_FAILED;
    }
    json_decref(noted);
    return result;
}

int deployment_migrate(struct deployment *d, const char *database, struct migrate_report *ret)
{
    struct deployment_migrations m;
    int result = deployment_open_migrations(d, database, true, &m);

    *ret = (struct migrate_report){.count = 0};
    if (result == 0)
        result = check_unchanged(d, &m.plan);
    if (result == 0)
        result = deployment_migrate_outcome(migrate_apply(m.session, d->a, &m.plan, ret));
    if (result == STEP_FAILED)
        say_what_failed(ret);
    deployment_close_migrations(&m);
    return result == DEPLOYMENT_NO_MIGRATIONS ? 0 : result;
}

static json_t *describe_locks(const struct migrate_result *r)
{
    json_t *all = json_array();

    for (size_t i = 0; all && i < r->held_count; i++)
        if (json_array_append_new(all, json_pack("{s:s, s:s, s:I}", "table", r->held[i].table,
                                                 "lock", sql_lock_name(r->held[i].lock), "ms",
                                                 (json_int_t)r->held[i].ms))) {
            json_decref(all);
            return NULL;
        }
    return all;
}

/* "applied in 12 ms, ACCESS EXCLUSIVE on "User" for 9 ms" */
static void show_migration(json_t *show, const struct migrate_result *r)
{
    struct buf text _cleanup_buf_ = buf_init(SHOWN_MAX);

    buf_printf(&text, "%s in %lld ms", migrate_fate_name(r->fate), (long long)r->ms);
    for (size_t i = 0; i < r->held_count; i++)
        buf_printf(&text, ", %s on %s for %lld ms", sql_lock_name(r->held[i].lock),
                   r->held[i].table, (long long)r->held[i].ms);
    const char *shown = buf_cstr(&text);
    json_object_set_new(show, r->file->name, json_string(shown ? shown : "many locks"));
}

int deployment_note_migrations(struct deployment *d, const char *key,
                               const struct migrate_report *report)
{
    json_t *all = json_array(), *show = json_object();

    for (size_t i = 0; all && i < report->count; i++) {
        const struct migrate_result *r = &report->all[i];
        show_migration(show, r);
        json_t *one = json_pack("{s:s, s:s, s:I, s:o}", "name", r->file->name, "fate",
                                migrate_fate_name(r->fate), "ms", (json_int_t)r->ms, "locks",
                                describe_locks(r));
        if (json_array_append_new(all, one)) {
            json_decref(all);
            all = NULL;
        }
    }
    json_t *data = all ? json_pack("{s:o, s:o}", key, all, "show", show) : NULL;
    if (!data)
        return fault_set(FAULT_MEMORY, "no memory for what became of the migrations");
    return step_note(&d->steps, data);
}

/* What a program prints, line by line; a long one is cut. */
struct heard {
    const struct progress *progress;
    struct buf line;
};

static void say_line(struct heard *h)
{
    if (h->line.n)
        progress_say(h->progress, "%.*s", STR_ARG(buf_str(&h->line)));
    buf_reset(&h->line);
}

static int hear(void *context, const char *p, size_t n)
{
    struct heard *h = context;

    for (size_t i = 0; i < n; i++)
        if (p[i] == '\n')
            say_line(h);
        else if (h->line.n < h->line.max)
            buf_add_char(&h->line, p[i]);
    return 0;
}

/* Runs one command with the deployment's variables. */
static int run_command(struct deployment *d, const char *name, const struct conf_words *words)
{
    const char *environment[ENVIRONMENT_ROOM];
    size_t n = 0;

    environment[n++] = arena_printf(d->a, "RELEASE=%s", d->options.release);
    environment[n++] = arena_printf(d->a, "DEPLOYMENT_ID=%s", d->id);
    if (d->e->database.url)
        environment[n++] = arena_printf(d->a, "DATABASE_URL=%s", d->e->database.url);
    environment[n] = NULL;
    for (size_t i = 0; i < n; i++)
        if (!environment[i])
            return FAULT_MEMORY;
    progress_say(d->progress, "%s: runs %s", name, words->items[0]);
    struct heard heard = {.progress = d->progress, .line = buf_init(SHOWN_MAX)};
    struct child c = {.argv = words->items,
                      .environment = environment,
                      .out = hear,
                      .context = &heard,
                      .cancel = d->cancel};
    int result = child_run(&c, NULL);
    say_line(&heard);
    buf_free(&heard.line);
    if (result > 0) {
        struct str why = arena_str(d->a, str_of(fault_message()));
        fault_keep("%s: %s", name, why.p ? why.p : "");
    }
    return result == CHILD_CANCELLED ? STEP_CANCELLED : result > 0 ? STEP_FAILED : result;
}

int deployment_run_hooks(struct deployment *d, const char *name,
                         const struct conf_commands *commands)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < commands->n; i++)
        result = run_command(d, name, &commands->items[i]);
    return result;
}

int deployment_run_migration_command(struct deployment *d)
{
    return run_command(d, "migrations.command", &d->e->migrations.command);
}
