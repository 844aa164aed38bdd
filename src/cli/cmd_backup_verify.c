#include "base/fault.h"
#include "cli/backup_print.h"
#include "deploy/backup_verify.h"

static int print_verified(struct product_command *c, const struct backup_verified *v)
{
    struct buf out _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);

    product_end_line(c);
    if (v->restore_ms)
        buf_printf(&out, "%s is whole: it restores to %s, as they were counted (%s).\n",
                   v->backup.path, backup_holds(&c->a, &v->backup.manifest),
                   product_time(&c->a, v->restore_ms));
    else
        buf_printf(&out, "%s is as it was written; whether it restores was not tried.\n",
                   v->backup.path);
    return backup_print(&out);
}

static int print_verdict_json(const char *path, const struct backup_verified *v, int r,
                              const struct buf *findings)
{
    struct buf out _cleanup_buf_ = buf_init(BACKUP_LIST_MAX);
    struct json_writer w = json_writer(&out);
    char why[400];

    snprintf(why, sizeof why, "%s", r ? fault_message() : "");
    json_object_begin(&w);
    backup_write_bool(&w, "whole", r == 0);
    if (r == 0) {
        backup_write(&w, &v->backup);
        backup_write_int(&w, "restoreMs", v->restore_ms);
    } else {
        backup_write_str(&w, "path", path);
        backup_write_str(&w, "reason", why);
    }
    backup_write_lines(&w, "differences", buf_str(findings));
    json_object_end(&w);
    buf_add_char(&out, '\n');
    int exit_code = backup_print(&out);
    fault_keep("%s", why);
    return exit_code;
}

static int verify(struct product_command *c)
{
    struct buf findings _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    struct backup_verify options = {.path = c->cli->words[0], .quick = cli_has(c->cli, "quick")};
    struct backup_verified v;

    if (!options.quick)
        backup_recover(c);
    int r = backup_verify(&c->place, &options, &c->a, &findings, &v);
    if (c->quiet) {
        int exit_code = print_verdict_json(options.path, &v, r, &findings);
        if (exit_code)
            return exit_code;
    }
    if (r) {
        product_end_line(c);
        if (!c->quiet)
            backup_print_lines(stderr, buf_str(&findings));
        return product_fail(c, r == BACKUP_DAMAGED ? "not a good backup" : "not verified", r);
    }
    return c->quiet ? EXIT_DONE : print_verified(c, &v);
}

static int run_verify(struct cli *cli)
{
    return backup_with_product(cli, verify);
}

const struct cli_command cli_backup_verify = {
    .name = "backup",
    .verb = "verify",
    .words = "FILE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Find out whether a backup restores",
    .description =
        "Holds it against its checksum, restores it into a scratch database on the product's "
        "server,\ncompares tables, rows, sequences and schema with what was backed up, and drops "
        "the scratch\ndatabase.\n",
    .options = {{"quick", 'q', NULL, "Hold it against its checksum alone; needs no database."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = run_verify,
};
