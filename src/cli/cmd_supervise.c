#include "cli/cli.h"
#include "deploy/supervisor/keeper.h"

#include <limits.h>

/* A deployment that starts one names a descriptor too, where it waits to hear how the start went.
 */
static int supervise(struct cli *cli)
{
    uint64_t ready = 0;

    if (cli->word_count > 1 && (str_to_u64(str_of(cli->words[1]), INT_MAX, &ready) || ready < 3))
        return cli_fail(EXIT_USAGE, "\"%s\" is no descriptor", cli->words[1]);
    return keeper_run(cli->words[0], ready ? (int)ready : -1) ? EXIT_FAILED : EXIT_DONE;
}

const struct cli_command cli_supervise = {
    .name = "supervise",
    .words = "DIRECTORY",
    .words_min = 1,
    .words_max = 2,
    .summary = "Keep the releases of an environment running, as processes of this machine",
    .description =
        "DIRECTORY is data/process/ENVIRONMENT, which the first deployment to a target of the\n"
        "kind process makes. A deployment starts this by itself where it does not run; a service\n"
        "manager that runs it brings the product back with the machine. SIGTERM ends it and the\n"
        "releases.\n",
    .run = supervise,
};
