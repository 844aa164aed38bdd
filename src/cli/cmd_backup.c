#include "base/clock.h"
#include "base/fault.h"
#include "cli/backup_print.h"
#include "deploy/backup_verify.h"

enum { KEEP_MAX = 100000 };

#define DIRECTORY_OPTION                                                                           \
    {                                                                                              \
        "directory", 'd', "DIR", "Where backups are; \"backups\" by default."                      \
    }

static const char *directory_of(const struct cli *cli)
{
    const char *directory = cli_value(cli, "directory");

    return directory && *directory ? directory : "backups";
}

struct creating {
    struct product_command c;
    int64_t keep, keep_days;
    struct backup backup;
    struct backup_verified verified;
    size_t removed;
};

static int take_number(struct cli *cli, const char *name, int64_t *ret)
{
    const char *text = cli_value(cli, name);

    if (text && str_to_i64(str_of(text), 1, KEEP_MAX, ret))
        return cli_fail(EXIT_USAGE, "--%s: \"%s\" is not a whole number from 1 to %d", name, text,
                        KEEP_MAX);
    return 0;
}

static int print_created(struct creating *n)
{
    struct product_command *c = &n->c;
    struct buf out _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    struct json_writer w = json_writer(&out);
    const struct backup_manifest *m = &n->backup.manifest;

    if (c->quiet) {
        json_object_begin(&w);
        backup_write(&w, &n->backup);
        backup_write_int(&w, "removed", (int64_t)n->removed);
        backup_write_int(&w, "ms", clock_mono() - c->began);
        json_object_end(&w);
        buf_add_char(&out, '\n');
        return backup_print(&out);
    }
    product_end_line(c);
    buf_printf(&out, "%s\n  %s; %s of a database of %s, in %s\n", n->backup.path,
               backup_holds(&c->a, m), product_size(&c->a, m->bytes),
               product_size(&c->a, m->database_bytes),
               product_time(&c->a, clock_mono() - c->began));
    if (m->verified_at)
        buf_printf(&out, "  restored and compared in %s\n",
                   product_time(&c->a, n->verified.restore_ms));
    else
        buf_printf(&out, "  not verified: holdfast backup verify %s\n", n->backup.path);
    if (n->removed)
        buf_printf(&out, "  %zu older backup%s removed\n", n->removed,
                   backup_plural((int64_t)n->removed));
    return backup_print(&out);
}

static int verify_created(struct creating *n)
{
    struct buf findings _cleanup_buf_ = buf_init(BACKUP_TEXT_MAX);
    struct backup_verify options = {.path = n->backup.path};
    int r = backup_verify(&n->c.place, &options, &n->c.a, &findings, &n->verified);

    if (r) {
        product_end_line(&n->c);
        backup_print_lines(stderr, buf_str(&findings));
        return product_fail(&n->c, "the backup was taken, but not verified", r);
    }
    n->backup = n->verified.backup;
    return 0;
}

static int create(struct creating *n)
{
    struct product_command *c = &n->c;
    const char *directory = directory_of(c->cli);

    backup_recover(c);
    int r = backup_create(&c->place, directory, cli_value(c->cli, "pin"), &c->a, &n->backup);
    if (r)
        return product_fail(c, "no backup was taken", r);
    int exit_code = cli_has(c->cli, "verify") ? verify_created(n) : 0;
    if (exit_code == 0 && (n->keep || n->keep_days))
        r = backup_thin_out(directory, n->backup.manifest.database, n->keep, n->keep_days,
                            clock_now(), &n->removed);
    if (r)
        return product_fail(c, "older backups could not be removed", r);
    return exit_code ? exit_code : print_created(n);
}

static int run_create(struct cli *cli)
{
    struct creating n = {0};
    int exit_code = take_number(cli, "keep", &n.keep);

    if (exit_code == 0)
        exit_code = take_number(cli, "keep-days", &n.keep_days);
    if (exit_code == 0)
        exit_code = product_open(cli, &n.c);
    if (exit_code)
        return exit_code;
    exit_code = create(&n);
    product_close(&n.c);
    return exit_code;
}

static const char *state_of(const struct backup_entry *e)
{
    return *e->note ? e->note : e->backup.manifest.verified_at ? "verified" : "not verified";
}

static void list_json(const struct backup_entry *e, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    backup_write(&w, &e->backup);
    backup_write_bool(&w, "there", e->there);
    backup_write_str(&w, "state", state_of(e));
    json_object_end(&w);
    buf_add_char(out, '\n');
}

static void list_line(struct arena *a, const struct backup_entry *e, struct buf *out)
{
    const struct backup_manifest *m = &e->backup.manifest;
    char at[CLOCK_TEXT_SIZE];

    clock_format(m->taken_at, at);
    buf_printf(out, "%.*sZ  %15s  %10s  %s%s%s\n  %s\n", BACKUP_TIME_SHOWN, at,
               product_number(a, survey_rows(&m->survey)), product_size(a, m->bytes), state_of(e),
               *m->kept ? ", pinned: " : "", m->kept, e->backup.path);
}

static int run_list(struct cli *cli)
{
    struct arena a _cleanup_arena_ = arena_init(1 << 30);
    struct buf out _cleanup_buf_ = buf_init(BACKUP_LIST_MAX);
    struct backup_entry *entries;
    size_t n;
    int r = backup_list(directory_of(cli), &a, &entries, &n);

    if (r)
        return cli_fault("the backups could not be listed", r);
    if (n && !cli_has(cli, "json"))
        buf_printf(&out, "%-20s  %15s  %10s  %s\n", "TAKEN", "ROWS", "SIZE", "STATE");
    for (size_t i = 0; i < n; i++) {
        if (cli_has(cli, "json"))
            list_json(&entries[i], &out);
        else
            list_line(&a, &entries[i], &out);
    }
    if (n == 0 && !cli_has(cli, "json"))
        buf_printf(&out, "There are no backups in %s.\n", directory_of(cli));
    return backup_print(&out);
}

const struct cli_command cli_backup_create = {
    .name = "backup",
    .verb = "create",
    .summary = "Take a backup of the product's database",
    .description =
        "Of PRODUCT_DATABASE_URL, else of DATABASE_URL. PostgreSQL needs pg_dump of the server's "
        "version or\na later one. Beside the backup stands what was counted in it "
        "(FILE.json), which a verification\nholds it against. With --keep or --keep-days older "
        "backups of the database are removed, but\nneither the newest, nor the newest that was "
        "verified, nor a pinned one.\n",
    .options = {DIRECTORY_OPTION,
                {"verify", 'v', NULL, "Restore it into a scratch database and compare."},
                {"pin", 'p', "TEXT", "Never remove this one, because of TEXT."},
                {"keep", 'k', "N", "Keep the N newest."},
                {"keep-days", 0, "N", "Keep those of the last N days."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = run_create,
};

const struct cli_command cli_backup_list = {
    .name = "backup",
    .verb = "list",
    .summary = "List the backups that there are, newest first",
    .options = {DIRECTORY_OPTION,
                {"json", 'j', NULL, "Print one JSON object a line."},
                CLI_CONFIG_OPTION},
    .run = run_list,
};
