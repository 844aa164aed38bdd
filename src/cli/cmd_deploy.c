/* holdfast deploy, holdfast rollback. */
#include "base/fault.h"
#include "cli/deploy_run.h"

enum { LIST_MAX = 1000, PLAN_MAX = 64 * 1024 };

static int print_plan(struct deploy_run *r)
{
    struct buf out _cleanup_buf_ = buf_init(PLAN_MAX);

    printf("%s: %s, by %s\n\n", r->d.e->name, r->d.options.release,
           target_id_name((enum target_id)r->d.e->target.kind));
    if (deployment_describe(&r->d, &out))
        return cli_fail(EXIT_FAILED, "%s", fault_message());
    printf("%.*s\nNothing was done.\n", STR_ARG(buf_str(&out)));
    return 0;
}

/* The one that --to means, by the beginning of its id. */
static int find_to(const struct deploy_run *r, const struct deployment_entry *entries, size_t n,
                   const char *to, size_t *ret)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (entries[i].done && strncmp(entries[i].id, to, strlen(to)) == 0) {
            *ret = i;
            found++;
        }
    if (!*to || found == 0)
        return cli_fail(EXIT_USAGE, "--to: no deployment of %s that is done has the id \"%s\"",
                        r->d.e->name, to);
    return found == 1
               ? 0
               : cli_fail(EXIT_USAGE, "--to: %zu deployments of %s have ids that begin so: %s",
                          found, r->d.e->name, to);
}

/* Undoes those that are done, newest first, down to the one called `to`, which stays; or just the
 * newest, where to is NULL. */
static int go_back(struct deploy_run *r, const char *to)
{
    struct deployment_entry *entries = arena_array(&r->a, LIST_MAX, sizeof *entries);
    size_t n = 0, stays = SIZE_MAX, undone = 0;

    if (!entries || deployment_list(r->root, r->d.e->name, entries, LIST_MAX, &n))
        return cli_fail(EXIT_FAILED, "%s", fault_message());
    int exit_code = to ? find_to(r, entries, n, to, &stays) : 0;
    for (size_t i = 0; exit_code == 0 && i < n && i < stays && (to || undone == 0); i++) {
        if (!entries[i].done)
            continue;
        exit_code = deploy_run_back(r, entries[i].id);
        undone++;
    }
    if (exit_code || undone)
        return exit_code;
    return to ? cli_fail(EXIT_USAGE, "--to: %s is the newest that is done: nothing is newer", to)
              : cli_fail(EXIT_FAILED, "no deployment of %s is there to go back from", r->d.e->name);
}

/* One that was left unfinished, and undone, is what was asked for. */
static int roll_back(struct deploy_run *r, const char *to)
{
    bool resumed;
    int exit_code = deploy_run_lock(r, &resumed);

    return exit_code || (resumed && !to) ? exit_code : go_back(r, to);
}

static int go_forward(struct deploy_run *r)
{
    bool resumed;
    int exit_code;

    if (!r->d.options.release || !*r->d.options.release)
        return cli_fail(EXIT_USAGE, "--release is needed: environments.%s has no release",
                        r->d.e->name);
    if (cli_has(r->cli, "plan"))
        return print_plan(r);
    exit_code = deploy_run_lock(r, &resumed);
    return exit_code ? exit_code : deploy_run_forward(r);
}

static int deploy(struct cli *cli)
{
    struct deploy_run r;
    int exit_code = deploy_run_open(cli, &r);

    if (exit_code)
        return exit_code;
    exit_code = cli_has(cli, "force-rollback") ? roll_back(&r, NULL) : go_forward(&r);
    deploy_run_close(&r);
    return exit_code;
}

static int rollback(struct cli *cli)
{
    struct deploy_run r;
    int exit_code = deploy_run_open(cli, &r);

    if (exit_code)
        return exit_code;
    exit_code = roll_back(&r, cli_value(cli, "to"));
    deploy_run_close(&r);
    return exit_code;
}

/* clang-format off */
#define ENV_OPTION      {"env", 'e', "ENV", "Which environment of holdfast.yml: dev, staging, prod."}
#define FILE_OPTION     {"file", 'f', "FILE", "Where the environments are; holdfast.yml by default."}
#define TIMEOUT_OPTION  {"health-check-timeout", 0, "SECONDS", "How long to wait for health; 300."}
#define RETRIES_OPTION  {"max-retries", 0, "N", "Failed probes in a row at most; 30 by default."}
#define LOSS_OPTION     {"accept-data-loss", 0, NULL, "Restore a backup though later writes are lost."}
#define KEEP_OPTION     {"keep-schema", 0, NULL, "Leave the schema as it is, on any way back."}
/* clang-format on */

const struct cli_command cli_deploy = {
    .name = "deploy",
    .summary = "Take an environment to a release, and back where that fails",
    .description =
        "Checks, backs the database up, restores that aside and rehearses the migrations there, "
        "migrates, rolls the\nrelease out, proves it, and only then lets the one before go. "
        "Whatever fails, the release before serves.\nThe first interrupt goes back, the second "
        "gives up at once. What a killed run left, the next one finishes\nor undoes.\n",
    .options = {ENV_OPTION,
                {"release", 'r', "REF", "What to roll out: a tag, a digest, a directory."},
                {"plan", 'p', NULL, "Print every step with what it will run, and change nothing."},
                {"skip-migrations", 0, NULL, "Neither back up nor migrate."},
                TIMEOUT_OPTION,
                RETRIES_OPTION,
                {"yes", 'y', NULL, "Consent to statements that destroy data."},
                {"from-unhealthy", 0, NULL, "Go on though the release that runs is not well."},
                LOSS_OPTION,
                KEEP_OPTION,
                {"force-rollback", 0, NULL, "Undo the newest deployment; as rollback does."},
                FILE_OPTION,
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = deploy,
};

const struct cli_command cli_rollback = {
    .name = "rollback",
    .summary = "Undo the newest deployment of an environment, or several",
    .description =
        "The release before serves again. Of migrations the safest way back is taken: the schema "
        "stays where the\nrelease before fits it; else their down.sql; else the backup is "
        "restored, "
        "where nothing was written since.\n",
    .options = {ENV_OPTION,
                {"to", 't', "ID", "Undo all that is newer than this deployment, which stays."},
                TIMEOUT_OPTION,
                RETRIES_OPTION,
                LOSS_OPTION,
                KEEP_OPTION,
                FILE_OPTION,
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = rollback,
};
