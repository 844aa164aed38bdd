/* holdfast migrate: Prisma's migrations of the product's database. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/migrate_print.h"
#include "cli/privileges.h"
#include "cli/product.h"
#include "deploy/product_url.h"

#include <signal.h>
#include <unistd.h>

enum {
    ARENA_MAX = 512 * 1024 * 1024,
    ERROR_MAX = 400,
    ANSWER_MAX = 16,
    TIMEOUT_MAX_S = 86400,
    STATEMENT_S = 900
};

static const char default_directory[] = "prisma/migrations";

/* One run. */
struct run {
    struct cli *cli;
    struct arena arena;
    struct product_url url;
    struct migrate_options options;
    struct progress progress;
    struct migrate *migrate;
    struct migrations files;
    struct migrate_view view;
    struct migrate_plan plan;
    struct migrate_report report;
    struct migrate_shown shown;
    char error[ERROR_MAX];
    bool json;
};

static atomic_int interrupted;

/* The first asks, the second ends us: what runs is then undone by the server. */
static void on_signal(int number)
{
    atomic_store(&interrupted, 1);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* What it says meanwhile is no part of what it prints. */
static void hear(void *context, const char *line)
{
    fprintf(stderr, "  %s\n", line);
}

static int take_seconds(struct run *r, const char *name, int64_t min, int64_t by_default,
                        int64_t *ret_ms)
{
    const char *text = cli_value(r->cli, name);
    int64_t seconds = by_default;

    if (text && str_to_i64(str_of(text), min, TIMEOUT_MAX_S, &seconds))
        return cli_fail(EXIT_USAGE, "--%s: \"%s\" is not a number of seconds from %lld to %d", name,
                        text, (long long)min, TIMEOUT_MAX_S);
    *ret_ms = seconds * 1000;
    return 0;
}

/* Prisma's own variable serves, as in a pipeline that has it for Prisma already. */
static int take_url(struct run *r, const struct config *config)
{
    bool own = *config->product_database_url != '\0';
    const char *key = own ? "PRODUCT_DATABASE_URL" : "DATABASE_URL",
               *url = own ? config->product_database_url : config->database_url;

    if (!own && str_has_prefix(str_of(url), STR("sqlite:")))
        return cli_fail(EXIT_USAGE, "PRODUCT_DATABASE_URL: is not set; it takes the product's "
                                    "database, such as postgresql://user:password@host/name");
    int result = product_url_read(&r->arena, url, &r->url);
    if (result == 0)
        result = pg_describe(&r->arena, r->url.url, &r->shown.place);
    if (result > 0)
        return cli_fail(EXIT_USAGE, "%s: %s", key, fault_message());
    return result ? cli_fault("cannot start", result) : 0;
}

static int take_options(struct run *r)
{
    const char *directory = cli_value(r->cli, "directory");
    int exit_code = product_settings(r->cli);

    if (exit_code == 0)
        exit_code = take_url(r, config_current());
    if (exit_code == 0)
        exit_code = take_seconds(r, "lock-timeout", 1, 5, &r->options.lock_ms);
    if (exit_code == 0)
        exit_code = take_seconds(r, "statement-timeout", 0, STATEMENT_S, &r->options.statement_ms);
    if (exit_code)
        return exit_code;
    r->json = cli_has(r->cli, "json");
    r->progress.say = r->json ? NULL : hear;
    r->options.url = r->url.url;
    r->options.schema = r->url.schema;
    r->options.cancel = &interrupted;
    r->options.progress = &r->progress;
    r->shown.schema = r->url.schema;
    r->shown.directory = directory ? directory : default_directory;
    r->shown.colour = !r->json && isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    return 0;
}

/* Keeps why something ended, which later calls would overwrite. */
static int note(struct run *r, int outcome)
{
    snprintf(r->error, sizeof r->error, "%s", outcome ? fault_message() : "");
    r->shown.outcome = outcome;
    r->shown.error = r->error;
    return outcome;
}

static enum cli_exit exit_of(const struct run *r, int outcome)
{
    switch (outcome) {
    case 0:
        return EXIT_DONE;
    case MIGRATIONS_MISSING:
        return EXIT_USAGE;
    case MIGRATE_LOCKED:
        return EXIT_LOCKED;
    case PG_UNREACHABLE:
        return EXIT_UNREACHABLE;
    case PG_REFUSED: /* such as a wrong password, or no right to look */
        return r->migrate ? EXIT_FAILED : EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

static int print(const struct buf *out)
{
    if (buf_fault(out))
        return cli_fault("cannot print", buf_fault(out));
    printf("%.*s", STR_ARG(buf_str(out)));
    return fflush(stdout) ? cli_fail(EXIT_FAILED, "standard output cannot be written") : 0;
}

/* Prints with one of the writers; nothing where JSON comes at the end. */
static int show(struct run *r, int (*write)(const struct migrate_shown *s, struct buf *out))
{
    struct buf out _cleanup_buf_ = buf_init(MIGRATE_PRINT_MAX);

    if (r->json)
        return 0;
    write(&r->shown, &out);
    return print(&out);
}

/* Says how it ended, by the outcome that was noted, and returns the exit code. */
static int conclude(struct run *r, enum cli_exit exit_code)
{
    struct buf out _cleanup_buf_ = buf_init(MIGRATE_PRINT_MAX);
    const char *code = r->shown.outcome > 0 ? migrate_code(r->shown.outcome) : NULL;

    if (r->json) {
        migrate_print_json(&r->shown, &out);
        int failed = print(&out);
        return failed ? failed : (int)exit_code;
    }
    if (r->shown.outcome)
        fprintf(stderr, "holdfast: %s%s%s\n", code ? code : "", code ? ": " : "", r->error);
    return (int)exit_code;
}

static int connect_and_read(struct run *r)
{
    int outcome = migrations_read(&r->arena, r->shown.directory, &r->files);

    return outcome ? outcome : migrate_open(&r->arena, &r->options, &r->migrate);
}

static int look(struct run *r)
{
    int outcome = migrate_look(r->migrate, &r->arena, &r->files, &r->view);

    if (outcome == 0)
        r->shown.view = &r->view;
    return outcome;
}

static int plan(struct run *r)
{
    int outcome = migrate_plan(r->migrate, &r->arena, &r->files, &r->view, &r->plan);

    if (outcome == 0)
        r->shown.plan = &r->plan;
    return outcome;
}

static bool is_behind(const struct migrate_view *view)
{
    return view->count != view->counts[MIGRATE_APPLIED];
}

static int run_status(struct run *r)
{
    int outcome = note(r, connect_and_read(r));

    if (outcome == 0)
        outcome = note(r, look(r));
    if (outcome)
        return conclude(r, exit_of(r, outcome));
    int failed = show(r, migrate_print_head);
    if (failed == 0)
        failed = show(r, migrate_print_view);
    if (failed)
        return failed;
    outcome = note(r, plan(r));
    if (outcome)
        return conclude(r, exit_of(r, outcome));
    failed = show(r, migrate_print_plan);
    if (failed)
        return failed;
    note(r, migrate_ready(&r->view));
    return conclude(r, is_behind(&r->view) ? EXIT_FAILED : EXIT_DONE);
}

/* Whether somebody at a terminal consents. */
static bool asks_and_hears_yes(void)
{
    char answer[ANSWER_MAX];

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fputs("\nApply it? Type yes: ", stderr);
    return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static bool has_consent(struct run *r)
{
    if (r->plan.destroying == 0 || cli_has(r->cli, "yes"))
        return true;
    return !r->json && asks_and_hears_yes();
}

/* The one that ended the run; NULL: none did. */
static const struct migrate_result *failed_one(const struct run *r)
{
    const struct migrate_result *all = r->report.all;

    for (size_t i = 0; all && i < r->report.count; i++)
        if (all[i].attempts > 0 && all[i].fate != MIGRATE_FATE_APPLIED)
            return &all[i];
    return NULL;
}

static enum cli_exit exit_of_report(const struct run *r, int outcome)
{
    const struct migrate_result *failed = failed_one(r);
    bool whole = !failed || failed->fate == MIGRATE_FATE_ROLLED_BACK;

    return whole ? exit_of(r, outcome) : EXIT_INCOMPLETE;
}

static int show_results(struct run *r)
{
    struct buf out _cleanup_buf_ = buf_init(MIGRATE_PRINT_MAX);

    if (r->json)
        return 0;
    for (size_t i = 0; i < r->report.count; i++)
        migrate_print_result(&r->shown, &r->report.all[i], &out);
    migrate_print_indexes(&r->shown, &out);
    buf_printf(&out, "\n%zu of %zu applied.\n", r->report.applied, r->report.count);
    return print(&out);
}

/* The last line is often all that is read of a pipeline. */
static void name_failed(struct run *r)
{
    const struct migrate_result *failed = failed_one(r);
    char why[ERROR_MAX];

    if (!failed)
        return;
    snprintf(why, sizeof why, "%s", r->error);
    snprintf(r->error, sizeof r->error, "%s: %s: %.300s", failed->file->name,
             migrate_fate_name(failed->fate), why);
}

static int apply(struct run *r)
{
    fputs(r->json ? "" : "\n", stderr);
    int outcome = note(r, migrate_apply(r->migrate, &r->arena, &r->plan, &r->report));
    if (r->report.all)
        r->shown.report = &r->report;
    name_failed(r);
    int failed = r->report.all ? show_results(r) : 0;
    return failed ? failed : conclude(r, exit_of_report(r, outcome));
}

static int refuse(struct run *r)
{
    snprintf(r->error, sizeof r->error,
             "nothing was applied: what is destroyed takes consent, by --yes");
    r->shown.outcome = MIGRATE_DESTROYS;
    return conclude(r, EXIT_FAILED);
}

static int run_deploy(struct run *r)
{
    int outcome = note(r, connect_and_read(r));

    if (outcome == 0)
        outcome = note(r, migrate_lock(r->migrate));
    if (outcome == 0)
        outcome = note(r, look(r));
    if (outcome == 0)
        outcome = note(r, migrate_ready(&r->view));
    if (outcome == 0)
        outcome = note(r, plan(r));
    if (outcome)
        return conclude(r, exit_of(r, outcome));
    int failed = show(r, migrate_print_head);
    if (failed)
        return failed;
    if (r->plan.count == 0) {
        if (!r->json)
            puts("\nNothing is to be applied.");
        return conclude(r, EXIT_DONE);
    }
    failed = show(r, migrate_print_plan);
    if (failed)
        return failed;
    return has_consent(r) ? apply(r) : refuse(r);
}

static int run_resolve(struct run *r)
{
    const char *applied = cli_value(r->cli, "applied"),
               *rolled_back = cli_value(r->cli, "rolled-back");
    int outcome = note(r, connect_and_read(r));

    if (outcome == 0)
        outcome = note(r, migrate_lock(r->migrate));
    if (outcome == 0)
        outcome = note(r, applied ? migrate_resolve_applied(r->migrate, &r->files, applied)
                                  : migrate_resolve_rolled_back(r->migrate, rolled_back));
    if (outcome == 0 && !r->json)
        printf("%s is taken for %s.\n", applied ? applied : rolled_back,
               applied ? "applied" : "rolled back");
    return conclude(r, exit_of(r, outcome));
}

static int run(struct cli *cli, int (*verb)(struct run *r))
{
    struct run *r;
    int fault = privileges_drop("");

    if (fault)
        return cli_fault("cannot start", fault);
    r = calloc(1, sizeof *r);
    if (!r)
        return cli_fault("cannot start", fault_set(FAULT_MEMORY, "no memory for a run"));
    r->cli = cli;
    r->arena = arena_init(ARENA_MAX);
    catch_signals();
    int exit_code = take_options(r);
    if (exit_code == 0)
        exit_code = verb(r);
    migrate_close(r->migrate);
    arena_free(&r->arena);
    free(r);
    return exit_code;
}

static int status(struct cli *cli)
{
    return run(cli, run_status);
}

static int deploy(struct cli *cli)
{
    return run(cli, run_deploy);
}

static int resolve(struct cli *cli)
{
    if (cli_has(cli, "applied") == cli_has(cli, "rolled-back"))
        return cli_fail(EXIT_USAGE, "give either --applied or --rolled-back, with a migration");
    return run(cli, run_resolve);
}

#define DIRECTORY_OPTION                                                                           \
    {                                                                                              \
        "directory", 'd', "DIRECTORY", "Where the migrations are; prisma/migrations."              \
    }

const struct cli_command cli_migrate_status = {
    .name = "migrate",
    .verb = "status",
    .summary = "Show which of the product's migrations are applied",
    .description =
        "Holds the directory of Prisma's migrations against the product's database, which is that "
        "of\nPRODUCT_DATABASE_URL, or of DATABASE_URL where that is PostgreSQL. Shows what is to "
        "be applied\nand how, what it destroys and what it locks; changes nothing. Exit status 1 "
        "means that the two\nare not the same.\n",
    .options = {DIRECTORY_OPTION, CLI_JSON_OPTION, CLI_CONFIG_OPTION},
    .run = status,
};

const struct cli_command cli_migrate_deploy = {
    .name = "migrate",
    .verb = "deploy",
    .summary = "Apply the product's migrations that are pending",
    .description =
        "Applies what \"holdfast migrate status\" shows, each file in one transaction where "
        "PostgreSQL\nallows it, and else statement by statement. What destroys data, or stops the "
        "product, is listed\nfirst and takes consent. Exit status 5 means that a part of a "
        "migration is applied, so that a\nperson has to look; 6 that another migrates.\n",
    .options = {DIRECTORY_OPTION,
                {"yes", 'y', NULL, "Consent to what is destroyed."},
                {"lock-timeout", 0, "SECONDS", "Wait so long for a lock, five times over; 5."},
                {"statement-timeout", 0, "SECONDS",
                 "End a statement that takes longer; 900, 0: never."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = deploy,
};

const struct cli_command cli_migrate_resolve = {
    .name = "migrate",
    .verb = "resolve",
    .summary = "Say what became of a migration that failed, or that was applied by hand",
    .description = "Changes the history alone, nothing of what it is about.\n",
    .options = {DIRECTORY_OPTION,
                {"applied", 0, "NAME", "Take the migration for applied."},
                {"rolled-back", 0, "NAME",
                 "Take its failed attempt for rolled back; it is applied again."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = resolve,
};
