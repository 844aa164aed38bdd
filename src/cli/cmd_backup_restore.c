#include "base/clock.h"
#include "base/fault.h"
#include "cli/backup_print.h"
#include "deploy/carry.h"
#include "deploy/pg.h"
#include "deploy/restore.h"

static int describe_place(struct product_command *c, const char **ret)
{
    if (!backup_is_sqlite(c->place.url))
        return pg_describe(&c->a, c->place.url, ret);
    *ret = c->place.url + strlen("sqlite:");
    return 0;
}

static int ask(struct product_command *c, const struct backup *b)
{
    char at[CLOCK_TEXT_SIZE];
    const char *where;

    clock_format(b->manifest.taken_at, at);
    if (describe_place(c, &where))
        return cli_fail(EXIT_USAGE, "%s", fault_message());
    const char *question = arena_printf(
        &c->a, "Put %s (%.*sZ, %s) in the place of %s?\nThe database of now is kept beside it.",
        b->path, BACKUP_TIME_SHOWN, at, backup_holds(&c->a, &b->manifest), where);
    return question ? product_confirm(c, question) : cli_fault("cannot ask", FAULT_MEMORY);
}

/* What restore_run is given as its context. */
struct restoration {
    struct carry carry;
    struct restore_report report;
};

static void print_carried(const struct restoration *it, struct buf *out)
{
    struct buf lines _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);

    carry_print(&it->carry.report, &lines);
    if (lines.n == 0)
        return;
    buf_printf(out, "Of Holdfast's own tables it has, of what came since:\n");
    struct str rest = buf_str(&lines), line;
    while (str_next(&rest, '\n', &line))
        if (line.n)
            buf_printf(out, "  %.*s\n", STR_ARG(line));
}

static void print_restored(struct product_command *c, const struct restoration *it, struct buf *out)
{
    const struct restore_report *report = &it->report;
    struct buf lost _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    char at[CLOCK_TEXT_SIZE];

    clock_format(report->backup.manifest.taken_at, at);
    buf_printf(out, "%s is as it was at %.*sZ: %s.\n", report->database, BACKUP_TIME_SHOWN, at,
               backup_holds(&c->a, &report->backup.manifest));
    if (*report->failed)
        buf_printf(out, "What it was until now is kept as %s.\n", report->failed);
    if (report->interruption_us)
        buf_printf(out, "It was out of reach for %s; all in all it took %s.\n",
                   product_time(&c->a, report->interruption_us / 1000),
                   product_time(&c->a, report->ms));
    print_carried(it, out);
    writes_print(&report->writes, &lost);
    if (lost.n == 0)
        return;
    buf_printf(out, "It no longer has what was written since, which was accepted:\n");
    struct str rest = buf_str(&lost), line;
    while (str_next(&rest, '\n', &line))
        if (line.n)
            buf_printf(out, "  %.*s\n", STR_ARG(line));
    if (*report->late)
        buf_printf(out, "  and while it was restored: %s\n", report->late);
}

static void print_restored_json(const struct restoration *it, int r, struct buf *out)
{
    const struct restore_report *report = &it->report;
    struct buf lost _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    struct json_writer w = json_writer(out);

    writes_print(&report->writes, &lost);
    json_object_begin(&w);
    backup_write_bool(&w, "restored", report->swapped);
    backup_write_str(&w, "database", report->database);
    backup_write_str(&w, "setAside", report->failed);
    backup_write_bool(&w, "resumed", report->resumed);
    backup_write_int(&w, "interruptionMs", report->interruption_us / 1000);
    backup_write_int(&w, "ms", report->ms);
    backup_write_bool(&w, "nothingWritten", report->writes.none && !*report->late);
    backup_write_lines(&w, "writtenSince", buf_str(&lost));
    backup_write_str(&w, "writtenMeanwhile", report->late);
    json_key(&w, "carriedOver");
    if (report->swapped)
        carry_json(&it->carry.report, &w);
    else
        json_nil(&w);
    if (r)
        backup_write_str(&w, "reason", fault_message());
    json_object_end(&w);
    buf_add_char(out, '\n');
}

static int refuse(struct product_command *c, const struct restore_report *report, int r)
{
    struct buf lost _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);

    product_end_line(c);
    if (r == BACKUP_WRITTEN && !c->quiet) {
        writes_print(&report->writes, &lost);
        backup_print_lines(stderr, buf_str(&lost));
    }
    int exit_code = product_fail(c, report->swapped ? "restored, but" : "not restored", r);
    if (r == BACKUP_WRITTEN && !c->quiet)
        fprintf(stderr, "With --accept-data-loss it is restored all the same; the database of now "
                        "is kept beside it.\n");
    return exit_code;
}

/* Behind the fence only its two ends are good ones. */
static int on_stage(void *context, enum restore_stage stage)
{
    product_hold(stage >= RESTORE_FENCE && stage < RESTORE_DONE);
    return 0;
}

static int restore(struct product_command *c)
{
    struct buf out _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    struct backup b;
    struct restoration it = {.carry = {.manifest = &b.manifest,
                                       .accept_trail_break = cli_has(c->cli, "accept-trail-break"),
                                       .trail_export = cli_value(c->cli, "trail-export")}};
    struct restore options = {.path = c->cli->words[0],
                              .on_stage = on_stage,
                              .carry_over = carry_over,
                              .carry_over_sqlite = carry_over_sqlite,
                              .context = &it.carry,
                              .accept_data_loss = cli_has(c->cli, "accept-data-loss")};
    int r = backup_open(options.path, &c->a, &b);

    if (r)
        return product_fail(c, "not restored", r);
    int exit_code = ask(c, &b);
    if (exit_code)
        return exit_code;
    r = restore_run(&c->place, &options, &c->a, &it.report);
    product_end_line(c);
    if (c->quiet)
        print_restored_json(&it, r, &out);
    else if (r == 0)
        print_restored(c, &it, &out);
    char why[400];
    snprintf(why, sizeof why, "%s", fault_message());
    exit_code = backup_print(&out);
    fault_keep("%s", why);
    return r ? refuse(c, &it.report, r) : exit_code;
}

static int run_restore(struct cli *cli)
{
    return backup_with_product(cli, restore);
}

const struct cli_command cli_backup_restore = {
    .name = "backup",
    .verb = "restore",
    .words = "FILE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Put a backup in the place of the product's database",
    .description =
        "It is restored beside the database, which serves meanwhile; then both change their names. "
        "The old\none is kept as NAME_failed_... Refused, with a list, where anything was written "
        "since the backup.\nWhen it was killed, run it again, or any of these commands: nobody "
        "stays locked out.\n\nExit status besides: 4 failed, the old database serves; 5 failed, "
        "and it may be locked out; 6\nsomebody else restores it.\n",
    .options = {{"accept-data-loss", 'a', NULL, "Restore although it was written to since."},
                {"accept-trail-break", 0, NULL,
                 "Leave the backup's trail as it is where the live one is of another history."},
                {"trail-export", 0, "FILE",
                 "Where the live database has lost Holdfast's tables: what is revoked by this "
                 "export, and all sessions."},
                {"yes", 'y', NULL, "Do not ask."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = run_restore,
};
