#include "base/fault.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/privileges.h"
#include "cli/server.h"

#include <malloc.h>
#include <sys/resource.h>

/* Each worker's own heap would cost more than sharing a few does. */
enum { HEAPS_MAX = 4, PORT_MAX = 65535 };

/* As many descriptors as we may have: each connection takes one. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void block_signals(void)
{
    sigset_t signals;

    server_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int take_port(struct cli *cli, struct config *config)
{
    const char *text = cli_value(cli, "port");
    uint64_t port;

    if (!text)
        return 0;
    if (str_to_u64(str_of(text), PORT_MAX, &port))
        return cli_fail(EXIT_USAGE, "--port: \"%s\" is not a number from 0 to 65535", text);
    config->port = (int64_t)port;
    return 0;
}

static int serve(struct cli *cli)
{
    struct cli_session session;
    struct config *config;
    int exit_code = cli_configure(cli, &config);

    if (exit_code == 0)
        exit_code = take_port(cli, config);
    if (exit_code)
        return exit_code;
    block_signals();
    mallopt(M_ARENA_MAX, HEAPS_MAX);
    raise_descriptors();
    int r = privileges_drop(config->run_as_user);
    if (r == 0)
        r = log_start();
    if (r)
        return cli_fault("cannot start", r);
    exit_code = cli_open_store(&session);
    if (exit_code == 0) {
        exit_code = server_run(cli, &session);
        cli_close(&session);
    }
    log_stop();
    return exit_code;
}

const struct cli_command cli_serve = {
    .name = "serve",
    .summary = "Serve the API until SIGTERM or SIGINT",
    .description = "SIGHUP takes over those settings of --config (or .env) that can change while "
                   "it runs.\nIn development the first start makes an operator and prints a "
                   "one-time password.\n",
    .options = {{"port", 'p', "PORT", "Listen on PORT in place of the PORT setting."},
                CLI_CONFIG_OPTION},
    .run = serve,
};
