/* What commands open before they work on the store. */
#include "base/fault.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/privileges.h"
#include "crypto/init.h"

#include <pwd.h>
#include <unistd.h>

enum { PROBLEMS_MAX = 64 * 1024, TIMEOUT_MS = 10000 };

struct config_source cli_config_source(const struct cli *cli)
{
    return (struct config_source){
        .file = cli_value(cli, "config"), .environment = environ, .for_server = true};
}

int cli_load(const struct config_source *source, struct config **ret)
{
    struct buf problems _cleanup_buf_ = buf_init(PROBLEMS_MAX);
    struct config *config;
    int r = config_load(source, &problems, &config);

    if (r == CONFIG_INVALID) {
        fprintf(stderr, "holdfast: the configuration is not right:\n%.*s",
                STR_ARG(buf_str(&problems)));
        return EXIT_USAGE;
    }
    if (r)
        return cli_fault("cannot read the configuration", r);
    config_publish(config);
    log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
    *ret = config;
    return 0;
}

int cli_configure(struct cli *cli, struct config **ret)
{
    struct config_source source = cli_config_source(cli);

    return cli_load(&source, ret);
}

bool cli_has_store(const struct config *c)
{
    struct str url = str_of(c->database_url), sqlite = STR("sqlite:");

    return !str_has_prefix(url, sqlite) || access(url.p + sqlite.n, F_OK) == 0;
}

static int open_trail(const struct config *config, struct cli_session *session)
{
    struct encryption_secrets secrets;
    struct trail_options options = {.logs_dir = config->logs_dir};
    int r = encryption_secrets_read(config, &secrets);

    if (r == 0)
        r = trail_new(session->store, secrets.active,
                      (const uint8_t(*)[TRAIL_SECRET_SIZE])secrets.retired, secrets.n_retired,
                      &options, &session->trail);
    crypto_wipe(&secrets, sizeof secrets);
    return r;
}

static int open_store(const struct config *config, struct cli_session *session)
{
    struct store_options options = {.url = config->database_url,
                                    .pool = (int)config->database_pool_size,
                                    .timeout_ms = TIMEOUT_MS};
    int r = store_open(&options, &session->store);

    if (r == STORE_NEWER)
        return cli_fail(EXIT_USAGE, "the database is of a newer version of Holdfast than this one");
    return r ? cli_fault("cannot open the database", r) : 0;
}

/* Who runs this, for the trail. */
static struct str login_name(void)
{
    static char text[80];
    struct passwd *entry = getpwuid(getuid());

    if (entry)
        snprintf(text, sizeof text, "cli:%.60s", entry->pw_name);
    else
        snprintf(text, sizeof text, "cli:uid %u", (unsigned)getuid());
    return str_of(text);
}

int cli_open_store(struct cli_session *ret)
{
    const struct config *config = config_current();
    struct cli_session session = {.actor = {.label = login_name()}};
    int exit_code = open_store(config, &session);

    if (exit_code)
        return exit_code;
    int r = open_trail(config, &session);
    if (r == 0)
        r = sessions_new(config, session.store, session.trail, &session.sessions);
    if (r) {
        cli_close(&session);
        return cli_fault("cannot start", r);
    }
    *ret = session;
    return 0;
}

int cli_open(struct cli *cli, struct cli_session *ret)
{
    struct config *config;
    int exit_code = cli_configure(cli, &config);

    if (exit_code)
        return exit_code;
    /* Keys are in memory from here on. */
    int r = privileges_drop("");
    return r ? cli_fault("cannot start", r) : cli_open_store(ret);
}

void cli_close(struct cli_session *session)
{
    sessions_free(session->sessions);
    trail_free(session->trail);
    store_close(session->store);
    *session = (struct cli_session){0};
}
