/*
 * Shows the loop of mail as it works here: a message to SES's simulator goes into the outbox, the
 * running server hands it over, and what becomes of it comes back by the webhook.
 */
#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "cli/own_url.h"
#include "cli/simulation.h"
#include "crypto/init.h"
#include "identity/tenant.h"
#include "net/http_client.h"

enum {
    ARENA_MAX = 1 << 20,
    PAUSE_MS = 20,
    ANSWER_MAX = 64 * 1024,
    TIMEOUT_S = 30,
    TIMEOUT_MAX_S = 3600,
    LABEL_BYTES = 4
};

/* Whether a server answers there. Returns 0 or an exit code. */
static int find_server(const char *url)
{
    struct http_client_options options = {.guard = {.any = true},
                                          .allow_http = true,
                                          .connect_timeout_ms = 5 * CLOCK_SECOND,
                                          .total_timeout_ms = 10 * CLOCK_SECOND};
    struct buf path _cleanup_buf_ = buf_init(OWN_URL_MAX),
                    body _cleanup_buf_ = buf_init(ANSWER_MAX);
    struct http_client_reply reply = {0};
    struct http_client *client = NULL;

    buf_printf(&path, "%s/health", url);
    int r = buf_fault(&path) ? buf_fault(&path) : http_client_new(&options, &client);
    if (r == 0) {
        struct http_client_request request = {.method = STR("GET"), .url = buf_str(&path)};
        r = http_client_call(client, &request, &body, &reply);
    }
    http_client_free(client);
    if (r == HTTP_CLIENT_INVALID)
        return cli_fail(EXIT_USAGE, "--url: \"%s\" is not the URL of a server", url);
    if (r)
        return cli_fail(EXIT_UNREACHABLE,
                        "no server answers at %s (%s)\nStart one by: holdfast serve", url,
                        fault_message());
    return reply.status == 200 ? 0
                               : cli_fail(EXIT_UNREACHABLE,
                                          "the server at %s is not healthy: its "
                                          "/health answers %d",
                                          url, reply.status);
}

/* What is named is there already; where nothing is, the operator's tenant is made if need be. */
static int find_tenant(struct store_txn *t, struct simulation *s, struct uuid *ret_id)
{
    static const struct str operators = STR_INIT("Holdfast");
    struct str named = str_of(cli_value(s->cli, "tenant"));
    struct tenant tenant = {0};
    int r;

    if (named.n && uuid_parse(named, &tenant.id) == 0)
        r = tenant_find(t, &s->arena, &tenant.id, &tenant);
    else if (named.n)
        r = tenant_find_by_name(t, &s->arena, named, &tenant);
    else
        r = tenant_find_or_insert(t, &s->arena, operators, clock_now(), &tenant);
    if (r == TENANT_REGISTERED)
        r = tenant_find_by_name(t, &s->arena, operators, &tenant);
    if (r == 0)
        *ret_id = tenant.id;
    return r;
}

enum { NO_TENANT = 100 };

static int accept_job(struct store_txn *t, void *arg)
{
    struct simulation *s = arg;
    int r = find_tenant(t, s, &s->request.tenant_id);

    if (r)
        return r < 0 ? r : NO_TENANT;
    return outbox_accept(t, s->mail, &s->request, clock_now(), &s->message_id);
}

/* An address of its own for each time, for one that bounced is not written to again. */
static void make_request(struct simulation *s)
{
    uint8_t bytes[LABEL_BYTES];
    char label[HEX_LENGTH(LABEL_BYTES) + 1];

    crypto_random(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, label);
    snprintf(s->address, sizeof s->address, "%s+%s@simulator.amazonses.com", s->expected->name,
             label);
    s->request = (struct outbox_request){.to = {str_of(s->address)},
                                         .n = 1,
                                         .subject = STR("A simulation"),
                                         .text = STR("Sent by: holdfast email simulate\n"),
                                         .template_name = STR("simulation"),
                                         .purpose = UNSUBSCRIBE_PRODUCT,
                                         .automatic = true};
}

static int accept_message(struct simulation *s)
{
    make_request(s);
    s->arena = arena_init(ARENA_MAX);
    int r = store_write(s->session.store, accept_job, s);
    arena_free(&s->arena);
    if (r == NO_TENANT)
        return cli_fail(EXIT_USAGE, "--tenant: there is no tenant \"%s\"",
                        cli_value(s->cli, "tenant"));
    if (r > 0)
        return cli_fail(EXIT_FAILED, "the message was not accepted (%d)", r);
    return r ? cli_fault("the message was not accepted", r) : 0;
}

/* Looks until all is as expected, or time is over. Returns 0 or a fault. */
static int follow(struct simulation *s)
{
    const struct timespec pause = {0, PAUSE_MS * 1000000L};

    for (;;) {
        int r = simulation_look(s);
        if (r)
            return r;
        simulation_tell_news(s);
        if (simulation_succeeded(s) || clock_mono() >= s->until)
            return 0;
        nanosleep(&pause, NULL);
    }
}

static int print_json(const struct simulation *s)
{
    struct buf out _cleanup_buf_ = buf_init(ARENA_MAX);

    simulation_write(s, &out);
    buf_add_char(&out, '\n');
    if (buf_fault(&out))
        return cli_fault("cannot print", buf_fault(&out));
    printf("%.*s", STR_ARG(buf_str(&out)));
    return 0;
}

static int simulate(struct simulation *s, int64_t timeout_ms)
{
    s->began = clock_mono();
    s->until = s->began + timeout_ms;
    s->told_state = MAIL_QUEUED;
    int exit_code = accept_message(s);
    if (exit_code)
        return exit_code;
    char id[UUID_TEXT_SIZE];
    uuid_format(&s->message_id, id);
    simulation_tell(s, "accepted", "a message to %s, as %s", s->address, id);
    int r = follow(s);
    if (r)
        return cli_fault("the log of mail could not be read", r);
    simulation_tell_end(s);
    exit_code = cli_has(s->cli, "json") ? print_json(s) : 0;
    return exit_code ? exit_code : simulation_succeeded(s) ? EXIT_DONE : EXIT_FAILED;
}

static int take_fate(struct cli *cli, const struct simulation_fate **ret)
{
    const char *named = cli_value(cli, "fate");
    const struct simulation_fate *fate =
        simulation_fate_find(named ? str_of(named) : STR("bounce"));

    if (!fate)
        return cli_fail(EXIT_USAGE,
                        "--fate: \"%s\" is none of success, bounce, complaint, ooto, "
                        "suppressionlist",
                        named);
    *ret = fate;
    return 0;
}

static int take_timeout(struct cli *cli, int64_t *ret_ms)
{
    const char *text = cli_value(cli, "timeout");
    int64_t seconds = TIMEOUT_S;

    if (text && str_to_i64(str_of(text), 1, TIMEOUT_MAX_S, &seconds))
        return cli_fail(EXIT_USAGE, "--timeout: \"%s\" is not a number from 1 to %d", text,
                        TIMEOUT_MAX_S);
    *ret_ms = seconds * CLOCK_SECOND;
    return 0;
}

/* What of the settings stands against it. Returns 0 or an exit code. */
static int check_settings(const struct config *c)
{
    if (c->env == ENV_PRODUCTION)
        return cli_fail(EXIT_USAGE, "in production a simulated bounce would count in its rates; "
                                    "simulate in staging");
    if (c->email_transport == EMAIL_NONE)
        return cli_fail(EXIT_USAGE, "EMAIL_TRANSPORT is none, so nothing is sent");
    if (!c->email_monitoring)
        return cli_fail(EXIT_USAGE, "EMAIL_MONITORING_ENABLED is false, so nothing comes back");
    return 0;
}

/* The server's URL: as named, or as the settings have it. Returns 0 or an exit code. */
static int take_url(struct cli *cli, const struct config *c, char ret_url[OWN_URL_MAX])
{
    const char *named = cli_value(cli, "url");
    struct str url = str_of(named);

    if (!named && c->port == 0)
        return cli_fail(EXIT_USAGE, "PORT is 0, any free one; say by --url where the server is");
    if (!named) {
        own_url(c, (int)c->port, "", ret_url);
        return 0;
    }
    if (str_has_suffix(url, STR("/")))
        url.n--;
    if (url.n == 0 || url.n >= OWN_URL_MAX - 10)
        return cli_fail(EXIT_USAGE, "--url: \"%s\" is not the URL of a server", named);
    memcpy(ret_url, url.p, url.n);
    ret_url[url.n] = '\0';
    return 0;
}

static int run(struct simulation *s, int64_t timeout_ms)
{
    const struct config *c = config_current();
    char url[OWN_URL_MAX];
    int exit_code = check_settings(c);

    if (exit_code == 0)
        exit_code = take_url(s->cli, c, url);
    if (exit_code == 0)
        exit_code = find_server(url);
    if (exit_code)
        return exit_code;
    int r = mail_new(c, s->session.store, s->session.trail, &s->mail);
    exit_code = r ? cli_fault("cannot start", r) : simulate(s, timeout_ms);
    mail_free(s->mail);
    arena_free(&s->arena);
    return exit_code;
}

static int email_simulate(struct cli *cli)
{
    struct simulation s = {.cli = cli};
    int64_t timeout_ms = 0;
    int exit_code = take_fate(cli, &s.expected);

    if (exit_code == 0)
        exit_code = take_timeout(cli, &timeout_ms);
    if (exit_code == 0)
        exit_code = cli_open(cli, &s.session);
    if (exit_code)
        return exit_code;
    exit_code = run(&s, timeout_ms);
    cli_close(&s.session);
    return exit_code;
}

const struct cli_command cli_email_simulate = {
    .name = "email",
    .verb = "simulate",
    .summary = "Send a message to SES's simulator, and show what comes back",
    .description =
        "Needs a running server of the same settings and database, which sends it. With "
        "EMAIL_TRANSPORT\nsandbox, the default in development, no account is needed anywhere; with "
        "ses, SES itself answers.\nEach message goes to an address of its own, such as "
        "bounce+1a2b3c4d@simulator.amazonses.com.\nExit status 0 means that all came back as it "
        "should, 1 that it did not, 3 that no server answers.\n",
    .options = {{"fate", 'f', "FATE",
                 "bounce (default), success, complaint, ooto or suppressionlist."},
                {"url", 'u', "URL", "The server; by default http://localhost with PORT."},
                {"tenant", 't', "TENANT", "Send as this tenant (id or name); Holdfast by default."},
                {"timeout", 's', "SECONDS", "How long to wait, 1 to 3600; 30 by default."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = email_simulate,
};
