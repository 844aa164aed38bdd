#include "cli/deploy_run.h"

#include "base/clock.h"
#include "base/fault.h"
#include "cli/deployments.h"
#include "deploy/deployment_data.h"
#include "deploy/restore.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ARENA_MAX = 1 << 30,
    PROBLEMS_MAX = 64 * 1024,
    TEXT_MAX = 1 << 20,
    SECONDS_MAX = 86400,
    TRIES_MAX = 100000,
    LIST_MAX = 1000
};

static atomic_int cancel, at_once;
static bool interrupted; /* by which a deployment has ended: no other is begun */

/* The first asks to go back, the second to stop even that, the third ends us. */
static void on_signal(int number)
{
    static const char first[] = "\ngoing back; once more gives up at once\n";
    ssize_t ignored;

    if (atomic_load(&at_once)) {
        signal(number, SIG_DFL);
        raise(number);
    } else if (atomic_load(&cancel) == CANCEL_NOT) {
        atomic_store(&cancel, CANCEL_ROLL_BACK);
        ignored = write(STDERR_FILENO, first, sizeof first - 1);
        (void)ignored;
    } else {
        atomic_store(&at_once, 1);
        atomic_store(&cancel, CANCEL_AT_ONCE);
    }
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* Secrets serve for the store and the trail alone: a deployment goes without them too. */
static int read_settings(struct cli *cli)
{
    struct config_source source = cli_config_source(cli);
    struct config *config;

    source.for_server = false;
    return cli_load(&source, &config);
}

static int take_number(const struct cli *cli, const char *option, int64_t max, int64_t configured,
                       int64_t setting, int64_t *ret)
{
    const char *text = cli_value(cli, option);

    *ret = configured ? configured : setting;
    if (text && str_to_i64(str_of(text), 1, max, ret))
        return cli_fail(EXIT_USAGE, "--%s: \"%s\" is not a number from 1 to %lld", option, text,
                        (long long)max);
    return 0;
}

/* It stands in journals, on terminals, and in the environment of programs. */
static int check_release(struct str release)
{
    if (release.n > DEPLOYMENT_RELEASE_MAX)
        return cli_fail(EXIT_USAGE, "--release: is longer than %d bytes", DEPLOYMENT_RELEASE_MAX);
    if (!str_is_utf8(release))
        return cli_fail(EXIT_USAGE, "--release: is no UTF-8");
    if (str_has_control(release))
        return cli_fail(EXIT_USAGE, "--release: has a control character or a line break");
    return 0;
}

static int take_options(struct deploy_run *r)
{
    const struct conf_environment *e = r->d.e;
    const struct config *c = config_current();
    struct deployment_options *o = &r->d.options;
    const char *release = cli_value(r->cli, "release");
    int64_t seconds;
    int exit_code =
        take_number(r->cli, "health-check-timeout", SECONDS_MAX, e->health.within_ms / CLOCK_SECOND,
                    c->deployment_health_check_timeout, &seconds);

    if (exit_code == 0)
        exit_code = take_number(r->cli, "max-retries", TRIES_MAX, e->health.retries,
                                c->deployment_max_retries, &o->tries);
    if (exit_code)
        return exit_code;
    o->health_ms = seconds * CLOCK_SECOND;
    o->release = release ? release : e->release;
    o->skip_migrations = cli_has(r->cli, "skip-migrations");
    o->accept_data_loss = cli_has(r->cli, "accept-data-loss");
    o->keep_schema = cli_has(r->cli, "keep-schema");
    o->destructive = cli_has(r->cli, "yes");
    o->from_unhealthy = cli_has(r->cli, "from-unhealthy");
    return o->release ? check_release(str_of(o->release)) : 0;
}

static void list_environments(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_environments; i++)
        fprintf(stderr, "%s%s", i ? ", " : "holdfast: there are: ", conf->environments[i].name);
    fputs(conf->n_environments ? "\n" : "", stderr);
}

static int read_conf(struct deploy_run *r)
{
    struct buf problems _cleanup_buf_ = buf_init(PROBLEMS_MAX);
    const char *file = cli_value(r->cli, "file"), *name = cli_value(r->cli, "env");

    if (!name || !*name)
        return cli_fail(EXIT_USAGE, "--env is needed: an environment of holdfast.yml");
    int result = conf_load(&r->a, file ? file : "holdfast.yml", name, environ, &problems, &r->conf);
    if (result == CONF_INVALID) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&problems)));
        return cli_fail(EXIT_USAGE, "nothing was done");
    }
    if (result)
        return cli_fault("cannot read holdfast.yml", result);
    r->d.e = conf_environment(&r->conf, name);
    if (r->d.e)
        return 0;
    list_environments(&r->conf);
    return cli_fail(EXIT_USAGE, "--env: holdfast.yml has no environment \"%.64s\"", name);
}

/* A person at a terminal may consent; nobody else is asked. */
static bool ask_consent(void *context, size_t statements)
{
    struct deploy_run *r = context;
    char answer[16];

    if (r->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr,
            "\n%zu statements destroy data, or stop the product. Go on? Type yes: ", statements);
    return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

int deploy_run_open(struct cli *cli, struct deploy_run *ret)
{
    struct deploy_run *r = ret;
    int exit_code = read_settings(cli);

    if (exit_code)
        return exit_code;
    *r = (struct deploy_run){.cli = cli, .a = arena_init(ARENA_MAX), .json = cli_has(cli, "json")};
    r->d = (struct deployment){.a = &r->a,
                               .cancel = &cancel,
                               .at_once = &at_once,
                               .config = config_current(),
                               .version = HOLDFAST_VERSION,
                               .consent = ask_consent,
                               .consent_context = r,
                               .owner = r};
    exit_code = read_conf(r);
    if (exit_code == 0 && r->d.e)
        exit_code = take_options(r);
    if (exit_code == 0 && (size_t)snprintf(r->root, sizeof r->root, "%s/deployments",
                                           config_current()->logs_dir) >= sizeof r->root)
        exit_code = cli_fail(EXIT_USAGE, "LOGS_DIR is too long");
    if (exit_code)
        arena_free(&r->a);
    else
        r->d.target = target_kind(r->d.e);
    return exit_code;
}

void deploy_run_close(struct deploy_run *r)
{
    deploy_lock_release(r->d.lock);
    arena_free(&r->a);
}

static void hear(void *context, const struct steps_event *event)
{
    struct deployment *d = context;
    struct deploy_run *r = d->owner;

    deploy_print_event(&r->print, event);
}

static void begin_printing(struct deploy_run *r)
{
    deploy_print_init(&r->print, r->json ? NULL : stderr, r->d.directory, deployment_steps,
                      deployment_steps_count);
    r->d.progress = &r->print.progress;
    r->d.steps.hear = hear;
}

/* Makes the report of what is in the journal, and keeps it, where that can be. Returns 0 or a
 * fault.
 */
static int report_now(struct deploy_run *r, bool alive, struct report *ret)
{
    struct uuid id;
    int result = uuid_parse(str_of(r->d.id), &id);

    if (result == 0)
        result = report_make(&r->a, r->d.steps.journal, &id, alive, clock_now(), ret);
    if (result == 0 && report_keep(ret, r->d.directory))
        fprintf(stderr, "holdfast: the report cannot be kept: %s\n", fault_message());
    return result > 0 ? fault_set(FAULT_INTERNAL, "the journal is of no deployment") : result;
}

static int exit_of(int result)
{
    static const enum cli_exit exits[] = {[STEPS_DONE] = EXIT_DONE,
                                          [STEPS_FAILED] = EXIT_FAILED,
                                          [STEPS_UNREACHABLE] = EXIT_UNREACHABLE,
                                          [STEPS_ROLLED_BACK] = EXIT_ROLLED_BACK,
                                          [STEPS_INCOMPLETE] = EXIT_INCOMPLETE};

    return result < 0 ? EXIT_INCOMPLETE : (int)exits[result];
}

static void print_report(const struct deploy_run *r, const struct report *report)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);

    if (r->json) {
        report_write_json(report, &out);
        buf_add_char(&out, '\n');
    } else {
        buf_add_char(&out, '\n');
        deployments_print_end(report, r->d.directory, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
                              &out);
    }
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
}

/* What came of it, told to all; gives the exit code. */
static int conclude(struct deploy_run *r, int result)
{
    struct report report;

    interrupted = interrupted || atomic_load(&cancel) != CANCEL_NOT;
    if (result == STEPS_ROLLED_BACK) {
        atomic_store(&cancel, CANCEL_NOT); /* it has been heard */
        if (deployment_run_hooks(&r->d, "after_rollback", &r->d.e->hooks.after_rollback))
            progress_say(r->d.progress, "warning: %s", fault_message());
    }
    if ((result == STEPS_ROLLED_BACK || result == STEPS_FAILED || result == STEPS_UNREACHABLE) &&
        deployment_thin_out_backups(&r->d) < 0) /* nobody needs this one as the way back any more */
        progress_say(r->d.progress, "warning: %s", fault_message());
    deploy_print_end(&r->print);
    if (result < 0)
        return cli_fail(EXIT_INCOMPLETE,
                        "the journal cannot be written (%s): the deployment stands where it was; "
                        "the next run finishes or undoes it",
                        fault_message());
    int fault = report_now(r, false, &report);
    if (fault) {
        cli_fault("the report cannot be made", fault);
        return exit_of(result);
    }
    deploy_tell(r, &report);
    print_report(r, &report);
    return exit_of(result);
}

/* Whose it is, and whether it ended, nobody can tell: a person has to look. */
static void warn_of_damage(const struct deploy_run *r, const struct deployment_entry *e)
{
    fprintf(
        stderr,
        "holdfast: warning: %s/%s/journal.jsonl cannot be read: if that deployment did not end, "
        "what it left is not seen to; look at its report and logs, then move the directory "
        "away\n",
        r->root, e->id);
}

static int resume(struct deploy_run *r, const struct deployment_entry *e)
{
    int result = deployment_take_up(&r->d, r->root, e->id);

    if (result == JOURNAL_HELD)
        return cli_fail(EXIT_LOCKED, "the deployment %s is under way", e->id);
    if (result)
        return cli_fail(EXIT_INCOMPLETE, "the journal of the deployment %s cannot be read: %s",
                        e->id, fault_message());
    if (!r->json)
        fprintf(stderr, "The deployment %s of %s was left unfinished; it is seen to first.\n",
                e->id, e->release);
    begin_printing(r);
    result = steps_resume(&r->d.steps);
    int exit_code = conclude(r, result);
    deployment_close(&r->d);
    if (exit_code == EXIT_INCOMPLETE || !interrupted)
        return exit_code == EXIT_INCOMPLETE ? exit_code : 0;
    return cli_fail(EXIT_FAILED, "interrupted: nothing else was begun");
}

static int see_to_leftovers(struct deploy_run *r, bool *ret_resumed)
{
    struct deployment_options options = r->d.options;
    struct deployment_entry *entries = arena_array(&r->a, LIST_MAX, sizeof *entries);
    size_t n = 0;
    int exit_code = 0;

    *ret_resumed = false;
    if (!entries || deployment_list(r->root, r->d.e->name, entries, LIST_MAX, &n))
        return cli_fail(EXIT_FAILED, "%s", fault_message());
    for (size_t i = 0; exit_code == 0 && i < n; i++) {
        if (entries[i].damaged)
            warn_of_damage(r, &entries[i]);
        if (entries[i].ended || entries[i].damaged)
            continue;
        exit_code = resume(r, &entries[i]);
        *ret_resumed = true;
        r->d.options = options;
    }
    return exit_code;
}

static int make_root(const struct deploy_run *r)
{
    char parent[DEPLOYMENT_PATH_SIZE];

    snprintf(parent, sizeof parent, "%s", config_current()->logs_dir);
    if ((mkdir(parent, 0700) && errno != EEXIST) || (mkdir(r->root, 0700) && errno != EEXIST))
        return cli_fail(EXIT_FAILED, "cannot make %s: %s", r->root, strerrordesc_np(errno));
    return 0;
}

static int lock(struct deploy_run *r)
{
    struct uuid id = uuid_new();

    uuid_format(&id, r->d.id);
    switch (deploy_lock_take(r->d.e, r->root, r->d.id, &r->d.lock)) {
    case 0:
        return 0;
    case DEPLOY_LOCK_HELD:
        return cli_fail(EXIT_LOCKED, "%s", fault_message());
    case DEPLOY_LOCK_UNREACHABLE:
        return cli_fail(EXIT_UNREACHABLE, "%s", fault_message());
    default:
        return cli_fail(EXIT_FAILED, "%s", fault_message());
    }
}

/* A restore that was killed may have left the database fenced off. */
static int recover_database(struct deploy_run *r)
{
    struct backup_place place;
    bool lifted = false;
    int result = 0;

    if (!deployment_has_database(&r->d) || !deploy_on_postgres(r->d.e))
        return 0;
    result = deployment_place(&r->d, &place);
    if (result == 0)
        result = restore_recover(&place, &r->a, &lifted);
    if (lifted)
        fprintf(stderr,
                "A restore that was killed had fenced the database off; it serves again.\n");
    return result == 0                    ? 0
           : result == BACKUP_UNREACHABLE ? cli_fail(EXIT_UNREACHABLE, "%s", fault_message())
                                          : cli_fail(EXIT_FAILED, "%s", fault_message());
}

int deploy_run_lock(struct deploy_run *r, bool *ret_resumed)
{
    int exit_code = make_root(r);

    take_signals();
    if (exit_code == 0)
        exit_code = lock(r);
    if (exit_code == 0)
        exit_code = recover_database(r);
    return exit_code ? exit_code : see_to_leftovers(r, ret_resumed);
}

int deploy_run_forward(struct deploy_run *r)
{
    struct report report;
    int result = deployment_begin(&r->d, r->root);

    if (result)
        return cli_fault("the deployment cannot begin", result);
    begin_printing(r);
    if (report_now(r, true, &report) == 0)
        deploy_tell(r, &report);
    int exit_code = conclude(r, steps_run(&r->d.steps));
    deployment_close(&r->d);
    return exit_code;
}

/* Before the first deployment nothing served: going back from it would end the product. */
static bool is_first(const struct deploy_run *r)
{
    json_t *state = step_data(&r->d.steps, "snapshot");
    bool first = json_is_false(json_object_get(state, "runs"));

    json_decref(state);
    return first;
}

int deploy_run_back(struct deploy_run *r, const char *id)
{
    struct deployment_options options = r->d.options;
    int result = deployment_take_up(&r->d, r->root, id);

    if (result)
        return cli_fail(EXIT_INCOMPLETE, "the journal of the deployment %s cannot be read: %s", id,
                        fault_message());
    if (is_first(r)) {
        deployment_close(&r->d);
        return cli_fail(EXIT_FAILED, "before the deployment %s of %s nothing served: it stays", id,
                        r->d.options.release);
    }
    r->d.options.accept_data_loss = options.accept_data_loss;
    begin_printing(r);
    result = deployment_may_go_back(&r->d);
    if (result) {
        deployment_close(&r->d);
        return cli_fail(result == STEP_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_FAILED,
                        "nothing was undone: %s", fault_message());
    }
    int exit_code = conclude(r, steps_undo(&r->d.steps));
    deployment_close(&r->d);
    r->d.options = options;
    return exit_code == EXIT_ROLLED_BACK ? EXIT_DONE : exit_code; /* as was asked for */
}
