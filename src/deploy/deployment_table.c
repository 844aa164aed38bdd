/* The table of a deployment's steps, and what --plan says of them. */
#include "deploy/deployment_data.h"

#include "deploy/deployment_steps.h"
#include "deploy/verify.h"

#include <stdarg.h>
#include <stdio.h>

const struct step deployment_steps[] = {
    {.name = "check", .title = "Check what has to be so", .run = step_check},
    {.name = "snapshot", .title = "Note what runs", .run = step_snapshot},
    {.name = "fence",
     .title = "Keep writes out",
     .by_hand = "As the database's owner: SET default_transaction_read_only = off; then ALTER "
                "DATABASE … RESET default_transaction_read_only.",
     .wanted = deployment_is_fenced,
     .run = step_fence,
     .undo = step_unfence,
     .alone = true},
    {.name = "backup",
     .title = "Back the database up",
     .wanted = deployment_migrates,
     .run = step_backup},
    {.name = "verify_backup",
     .title = "Restore it aside, and rehearse",
     .wanted = deployment_verifies_backup,
     .run = step_verify_backup},
    {.name = "migrate",
     .title = "Migrate",
     .by_hand = "Decide between what was written since the backup and the schema before: holdfast "
                "rollback with --keep-schema goes on from the database as it is, with "
                "--accept-data-loss it restores the backup.",
     .wanted = deployment_migrates,
     .run = step_migrate,
     .undo = step_undo_migrate},
    {.name = "roll_out",
     .title = "Roll the release out",
     .by_hand = "Bring the release before back by the target's own means.",
     .run = step_roll_out,
     .undo = step_roll_back},
    {.name = "stabilise", .title = "Wait until it is well", .run = step_stabilise},
    {.name = "unfence",
     .title = "Let writes in",
     .wanted = deployment_is_fenced,
     .run = step_unfence},
    {.name = "switch", .title = "Give it the traffic", .run = step_switch},
    {.name = "verify", .title = "Verify from outside", .run = step_verify, .proof = true},
    {.name = "finish", .title = "Clean up", .run = step_finish},
};
const size_t deployment_steps_count = sizeof deployment_steps / sizeof *deployment_steps;

enum { TEXT_MAX = 1000 };

static void add(struct buf *out, const char *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct buf *out, const char *step, const char *format, ...)
{
    char line[TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_printf(out, "%-14s %s\n", step, line);
}

static void add_words(struct buf *out, const char *step, const char *what,
                      const struct conf_words *words)
{
    buf_printf(out, "%-14s %s", step, what);
    for (size_t i = 0; i < words->n; i++)
        buf_printf(out, " %s", words->items[i]);
    buf_add_char(out, '\n');
}

static void describe_database(const struct deployment *d, struct buf *out)
{
    const struct conf_environment *e = d->e;

    if (!e->database.url || d->options.skip_migrations) {
        add(out, "migrate", "%s",
            e->database.url ? "passed over: --skip-migrations"
                            : "passed over: there is no database.url");
        return;
    }
    if (e->database.fence)
        add(out, "fence", "the database refuses writes until the release has the traffic");
    add(out, "backup", "into %s", e->backup.directory);
    if (e->backup.verify)
        add(out, "verify_backup",
            "restored into a scratch database, compared, migrations rehearsed");
    for (size_t i = 0; i < e->hooks.before_migrations.n; i++)
        add_words(out, "migrate", "runs", &e->hooks.before_migrations.items[i]);
    if (e->migrations.command.n)
        add_words(out, "migrate", "runs", &e->migrations.command);
    else
        add(out, "migrate", "what is pending of %s", e->migrations.directory);
}

int deployment_describe(struct deployment *d, struct buf *out)
{
    struct target t = deployment_target(d, 0);
    struct buf lines _cleanup_buf_ = buf_init(out->max);
    struct str rest, line;

    add(out, "check", "target, health, database, pg_dump, disk, what migrations would wait for");
    describe_database(d, out);
    int result = d->target->describe(&t, &lines);
    rest = buf_str(&lines);
    while (result == 0 && str_next(&rest, '\n', &line))
        if (line.n)
            add(out, "target", "%.*s", STR_ARG(line));
    add(out, "stabilise", "asks %s until %lld answers in a row are good, at most %lld s",
        d->e->health.url, (long long)d->e->health.successes,
        (long long)d->options.health_ms / 1000);
    buf_reset(&lines);
    if (result == 0)
        result = verify_describe(d->e, &lines);
    rest = buf_str(&lines);
    while (result == 0 && str_next(&rest, '\n', &line))
        if (line.n)
            add(out, "verify", "%.*s", STR_ARG(line));
    for (size_t i = 0; i < d->e->hooks.after_rollout.n; i++)
        add_words(out, "finish", "runs", &d->e->hooks.after_rollout.items[i]);
    add(out, "finish", "removes the release before");
    if (d->e->database.url && !d->options.skip_migrations)
        add(out, "finish", "removes backups past the %lld newest, and those older than %lld days",
            (long long)d->e->backup.keep, (long long)d->e->backup.keep_days);
    return result ? result : buf_fault(out);
}
