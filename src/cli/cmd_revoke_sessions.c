#include "base/clock.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/revoke_report.h"
#include "sessions/mass_list.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 30, BAR = 40, THREADS = 4 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    interrupted = 1;
}

/* The file of users, mapped: entries point into it until the command ends. */
static int read_file(const char *path, struct mass_list *list)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0 || fstat(fd, &st))
        return cli_fail(EXIT_USAGE, "--file: cannot read %s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
        close(fd);
        return cli_fail(EXIT_USAGE, "--file: %s is no file of at most 1 GiB", path);
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            r = fault_errno(FAULT_IO, errno, "cannot read %s", path);
        else
            r = mass_list_read(list, (struct str){p, (size_t)st.st_size});
    }
    close(fd);
    return r ? cli_fault("--file", r) : 0;
}

static int read_users(struct cli *cli, struct mass_list *list)
{
    const char *users = cli_value(cli, "users"), *file = cli_value(cli, "file");
    int exit_code = 0;

    if (!users && !file)
        return cli_fail(EXIT_USAGE, "--users or --file is needed");
    if (users && mass_list_split(list, str_of(users)))
        return cli_fault("--users", FAULT_MEMORY);
    if (file)
        exit_code = read_file(file, list);
    if (exit_code == 0 && list->n == 0)
        return cli_fail(EXIT_USAGE, "no user is named");
    return exit_code;
}

static int check_reason(struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");

    if (!reason && !cli_has(cli, "dry-run"))
        return cli_fail(EXIT_USAGE, "--reason is needed: the users are told");
    if (!reason)
        return 0;
    struct str text = str_of(reason);
    if (text.n == 0 || !str_is_utf8(text) || str_utf8_length(text) > SESSION_REASON_MAX)
        return cli_fail(EXIT_USAGE, "--reason: takes 1 to %d characters", SESSION_REASON_MAX);
    return 0;
}

static bool show_progress(size_t done, size_t total, void *context)
{
    const bool *quiet = context;

    if (!*quiet && isatty(STDERR_FILENO)) {
        int filled = (int)(done * BAR / total);
        fprintf(stderr, "\r[%.*s%*s] %zu/%zu", filled, "########################################",
                BAR - filled, "", done, total);
        if (done == total)
            fputc('\n', stderr);
    }
    return !interrupted;
}

/* Copies of the entries, so that what is counted can be run again for real. */
static int count(struct revoke_run *run, struct mass_list *list, struct mass_totals *ret)
{
    struct mass_options options = run->options;
    bool quiet = true;
    int r;

    options.dry_run = true;
    r = mass_list_run(run->session->sessions, &run->session->actor, &options, list, show_progress,
                      &quiet, ret);
    return r;
}

static int confirm(const struct mass_totals *totals)
{
    char answer[8];

    fprintf(stderr, "End %lld session%s of %lld user%s (%lld unknown)? [y/N] ",
            (long long)totals->sessions, totals->sessions == 1 ? "" : "s",
            (long long)totals->users_with_sessions, totals->users_with_sessions == 1 ? "" : "s",
            (long long)totals->unknown);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return cli_fail(EXIT_FAILED, "nothing was changed; --yes answers for you");
}

static int end_sessions(struct revoke_run *run, struct mass_list *list)
{
    bool quiet = cli_has(run->cli, "json");
    struct sigaction action = {.sa_handler = on_interrupt};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    for (size_t i = 0; i < list->n; i++)
        if (list->entries[i].state == MASS_DONE)
            list->entries[i].state = MASS_PENDING;
    int r = mass_list_run(run->session->sessions, &run->session->actor, &run->options, list,
                          show_progress, &quiet, &run->totals);
    if (r < 0)
        return cli_fault("the revocation failed; run it again to complete it", r);
    run->completed = r == 0;
    int exit_code = revoke_report_write(run, list);
    if (exit_code == 0)
        exit_code = revoke_report_print(run, list);
    if (!run->completed)
        return cli_fail(EXIT_FAILED, "interrupted; run it again to complete it");
    return exit_code;
}

/* Each takes a connection for as long as a chunk lasts. */
static int threads(void)
{
    int64_t pool = config_current()->database_pool_size;

    return pool < THREADS ? (int)pool : THREADS;
}

static int run_on(struct revoke_run *run, struct mass_list *list)
{
    struct mass_totals counted;
    bool ask = !run->options.dry_run && !cli_has(run->cli, "yes");
    int r = mass_list_resolve(run->session->sessions, run->options.tenant, list);

    if (r == 0 && (ask || run->options.dry_run))
        r = count(run, list, &counted);
    if (r)
        return cli_fault("the users could not be looked up", r);
    if (run->options.dry_run) {
        run->totals = counted;
        run->completed = true;
        return revoke_report_print(run, list);
    }
    int exit_code = ask ? confirm(&counted) : 0;
    run->options.now = clock_now(); /* the answer may have taken its time */
    return exit_code ? exit_code : end_sessions(run, list);
}

static int revoke_sessions(struct cli *cli)
{
    struct mass_list list = {0};
    struct cli_session session;
    int exit_code = check_reason(cli);

    if (exit_code == 0)
        exit_code = read_users(cli, &list);
    if (exit_code == 0)
        exit_code = cli_open(cli, &session);
    if (exit_code == 0 && !config_current()->session_revocation_enabled) {
        cli_close(&session);
        exit_code = cli_fail(EXIT_FAILED, "SESSION_REVOCATION_ENABLED is false");
    }
    if (exit_code == 0) {
        const char *reason = cli_value(cli, "reason");
        struct revoke_run run = {.cli = cli,
                                 .session = &session,
                                 .options = {.reason = str_of(reason ? reason : ""),
                                             .dry_run = cli_has(cli, "dry-run"),
                                             .threads = threads(),
                                             .now = clock_now()}};
        exit_code = run_on(&run, &list);
        cli_close(&session);
    }
    mass_list_free(&list);
    return exit_code;
}

const struct cli_command cli_revoke_sessions = {
    .name = "revoke-sessions",
    .summary = "End all sessions of a list of users",
    .description =
        "Works with the server up or down; a running one follows within a second. Interrupted, it "
        "is\ncompleted by running it again: nobody's sessions are ended, and nobody is told, "
        "twice. A file\nholds one id or address a line; blank lines and what follows \"#\" are "
        "ignored. What was done to\neach user is written to LOGS_DIR/mass-revoke-<time>.json.\n",
    .options = {{"users", 'u', "A,B,C", "Ids or addresses of users."},
                {"file", 'f', "FILE", "Read them from FILE."},
                {"reason", 'r', "TEXT", "Why; the users are told (needed unless --dry-run)."},
                {"dry-run", 'n', NULL, "Say what would be done, and change nothing."},
                {"yes", 'y', NULL, "Do not ask."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = revoke_sessions,
};
