#include "cli/server.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "cli/housekeeping.h"
#include "cli/serve_sandbox.h"
#include "crypto/init.h"
#include "crypto/password.h"
#include "http/openapi.h"
#include "mail/notice_mail.h"
#include "sessions/account.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { OPENAPI_MAX = 1 << 20, HEADERS_MAX = 100, WORKER_QUEUE = 4096, ARENA_BASE = 1 << 20 };

static const char operator_address[] = "operator@localhost";
static const char operator_tenant[] = "Holdfast";

struct server {
    struct cli *cli;
    struct cli_session *session;
    struct app app;
    struct buf openapi;
    struct housekeeping *housekeeping;
    struct transport *transport;
    struct notice_mail *notices;
    struct http_engine *engine;
    struct serve_sandbox *sandbox;
    sigset_t signals;
};

/* The feed says that an account changed: what is counted of it in memory may be outdated. */
static void user_changed(void *context, const struct uuid *user_id)
{
    struct sessions *s = context;

    if (user_id)
        failures_reread(s->failures, user_id);
}

static int record(const struct server *server, enum trail_action action)
{
    struct trail_actor actor = {.label = STR("system")};
    struct trail_event event = {.action = action,
                                .detail = STR("{\"version\":\"" HOLDFAST_VERSION "\"}")};

    return trail_append_now(server->session->trail, &actor, &event);
}

static int start_app(struct server *server)
{
    struct cli_session *session = server->session;
    struct app *app = &server->app;
    struct feed_listener listener = {.context = session->sessions, .user_changed = user_changed};

    pthread_mutex_init(&app->exports.lock, NULL);
    api_tables_init();
    app->store = session->store;
    app->trail = session->trail;
    app->sessions = session->sessions;
    int r = mail_new(config_current(), session->store, session->trail, &app->mail);
    if (r == 0)
        r = mail_listen(config_current(), app->mail);
    if (r == 0)
        r = openapi_write(api_tables, API_TABLES, &server->openapi);
    app->openapi = buf_str(&server->openapi);
    if (r == 0)
        r = dispatch_new(api_tables, API_TABLES, session->sessions, app, &app->dispatch);
    if (r == 0)
        r = sessions_follow(session->sessions, &listener);
    if (r == 0)
        r = record(server, TRAIL_SERVER_START);
    return r ? r
             : housekeeping_start(session->sessions, app->dispatch, app->mail,
                                  &server->housekeeping);
}

/*
 * More than there are cores: each hash takes 19 MiB from the kernel and gives them back, and
 * meanwhile the others' memory maps are locked.
 */
static int threads_for_passwords(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return config->password_threads ? (int)config->password_threads : (int)cores * 2 + 2;
}

static int start_engine(struct server *server)
{
    const struct config *c = config_current();
    struct http_app app = dispatch_app(server->app.dispatch);
    struct http_options o;

    http_options_default(&o);
    o.host = *c->listen_address ? c->listen_address : NULL;
    o.port = (int)c->port;
    o.workers = (int)c->worker_threads;
    o.password_workers = threads_for_passwords(c);
    o.worker_queue_max = WORKER_QUEUE;
    o.password_queue_max = (int)c->password_queue;
    o.header_bytes_max = (size_t)c->max_header_bytes;
    o.headers_max = HEADERS_MAX;
    o.arena_max = ARENA_BASE + 8 * (size_t)c->max_body_bytes;
    o.connections_max = (size_t)c->max_connections;
    o.connections_per_address_max = (size_t)c->max_connections_per_address;
    o.head_timeout_ms = (int)c->head_timeout_s * CLOCK_SECOND;
    o.body_timeout_ms = (int)c->body_timeout_s * CLOCK_SECOND;
    o.idle_timeout_ms = (int)c->idle_timeout_s * CLOCK_SECOND;
    o.drain_timeout_ms = (int)c->drain_s * CLOCK_SECOND;
    int r = http_engine_start(&o, &app, &server->engine);
    if (r == 0)
        atomic_store(&server->app.engine, server->engine);
    return r;
}

static int start_outbox(struct server *server)
{
    const struct config *c = config_current();
    struct app *app = &server->app;
    struct outbox *outbox = NULL;
    int r = transport_new(c, app->store, &server->transport);

    if (r == 0 && server->transport)
        r = outbox_start(app->mail, server->transport, (size_t)c->email_senders, &outbox);
    if (r == 0)
        atomic_store(&app->outbox, outbox);
    return r;
}

/*
 * The sandbox's events come in through the engine, so it starts behind it; what the outbox hands
 * over to the sandbox has events, so that comes last.
 */
static int start_serving(struct server *server)
{
    int r = start_engine(server);

    if (r)
        return r;
    r = serve_sandbox_start(server->session->store, http_engine_port(server->engine),
                            &server->sandbox);
    if (r == 0)
        r = start_outbox(server);
    if (r == 0 && server->transport)
        r = notice_mail_start(server->app.mail, atomic_load(&server->app.outbox), &server->notices);
    if (r) {
        serve_sandbox_stop(server->sandbox);
        atomic_store(&server->app.engine, NULL);
        http_engine_stop(server->engine);
        outbox_stop(atomic_load(&server->app.outbox));
    }
    return r;
}

/* In development somebody must be able to begin: the password is shown once, and must be replaced.
 */
static int bootstrap(struct server *server)
{
    struct arena arena _cleanup_arena_ = arena_init(64 * 1024);
    char password[PASSWORD_GENERATED_SIZE], hash[PASSWORD_HASH_SIZE];
    bool made = false;

    if (config_current()->env != ENV_DEVELOPMENT)
        return 0;
    password_generate(password);
    int r = password_hash(str_of(password), hash);
    if (r == 0)
        r = account_bootstrap(server->session->sessions, &arena, STR(operator_tenant),
                              STR(operator_address), str_of(hash), clock_now(), &made);
    if (r == 0 && made) {
        printf("Operator:           %s\nOne-time password:  %s\n"
               "(shown this once; replace it by POST /auth/password)\n",
               operator_address, password);
        fflush(stdout);
    }
    crypto_wipe(password, sizeof password);
    return r;
}

/* Whether this is a first start, without writing: hashing a password costs tens of milliseconds. */
static int count_job(struct store_txn *t, void *arg)
{
    return user_count(t, NULL, arg);
}

static int bootstrap_if_empty(struct server *server)
{
    int64_t users;
    int r = store_read(server->session->store, count_job, &users);

    return r || users ? r : bootstrap(server);
}

static void announce(const struct server *server)
{
    static const char *const names[] = {"development", "staging", "production"};
    const struct config *c = config_current();
    int port = http_engine_port(server->engine);
    struct log_line l;

    if (isatty(STDOUT_FILENO))
        printf("Holdfast serves on  http://localhost:%d  (%s, %s; docs at /docs)\n", port,
               names[c->env], store_engine(server->session->store));
    fflush(stdout);
    log_begin(&l, LOG_INFO, "serving");
    log_field_int(&l, "port", port);
    log_field_str(&l, "env", str_of(names[c->env]));
    log_field_str(&l, "store", str_of(store_engine(server->session->store)));
    log_field_str(&l, "version", STR(HOLDFAST_VERSION));
    log_end(&l);
    if (c->env != ENV_DEVELOPMENT && getuid() == 0)
        log_warn("running as root; set RUN_AS_USER or start as another user");
    if (!c->admin_role_required)
        log_warn("ADMIN_ROLE_REQUIRED is false: every user may administer");
    serve_sandbox_announce(server->sandbox);
}

static void reload(const struct server *server)
{
    struct buf problems _cleanup_buf_ = buf_init(64 * 1024);
    struct config_source source = cli_config_source(server->cli);
    struct str rest, line;
    int changed, r = config_reload(&source, &problems, &changed);

    rest = buf_str(&problems);
    while (str_next(&rest, '\n', &line))
        log_warn("configuration: %.*s", STR_ARG(line));
    if (r < 0) {
        log_fault("the configuration could not be reloaded", r);
        return;
    }
    if (r) {
        log_warn("the configuration was not reloaded: it is not right");
        return;
    }
    const struct config *c = config_current();
    log_configure((enum log_level)c->log_level, (enum log_format)c->log_format);
    log_info("configuration reloaded, %d settings changed", changed);
    if (changed) {
        r = record(server, TRAIL_CONFIG_RELOAD);
        if (r)
            log_fault("the reload could not be recorded", r);
    }
}

/* Waits for the end; returns the signal that brought it. */
static int wait_for_end(const struct server *server)
{
    int got;

    for (;;) {
        if (sigwait(&server->signals, &got))
            continue;
        if (got != SIGHUP)
            return got;
        reload(server);
    }
}

/* /ready tells balancers to look elsewhere before connections are refused; a second signal ends it.
 */
static void give_notice(struct server *server)
{
    int64_t until = clock_mono() + config_current()->drain_notice_s * CLOCK_SECOND;
    int64_t left;

    atomic_store(&server->app.draining, true);
    while ((left = until - clock_mono()) > 0) {
        struct timespec t = {left / 1000, left % 1000 * 1000000};
        int got = sigtimedwait(&server->signals, NULL, &t);
        if (got == SIGTERM || got == SIGINT)
            return;
    }
}

static void stop(struct server *server)
{
    struct http_engine *engine = server->engine;
    struct outbox *outbox = atomic_load(&server->app.outbox);

    log_info("draining");
    notice_mail_stop(server->notices);
    /* Handovers in flight end while requests do. What is accepted from now on waits on disk. */
    outbox_drain(outbox);
    give_notice(server);
    serve_sandbox_stop(server->sandbox);
    atomic_store(&server->app.engine, NULL);
    size_t cut = http_engine_stop(engine);
    if (cut)
        log_warn("%zu requests were cut off by the drain limit", cut);
    outbox_stop(outbox);
    int r = record(server, TRAIL_SERVER_STOP);
    if (r)
        log_fault("the stop could not be recorded", r);
}

static void release(struct server *server)
{
    transport_free(server->transport);
    housekeeping_stop(server->housekeeping);
    dispatch_free(server->app.dispatch);
    mail_free(server->app.mail);
    buf_free(&server->openapi);
}

void server_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
}

int server_run(struct cli *cli, struct cli_session *session)
{
    struct server server = {.cli = cli, .session = session, .openapi = buf_init(OPENAPI_MAX)};

    server_signals(&server.signals);
    int r = start_app(&server);
    if (r == 0)
        r = bootstrap_if_empty(&server);
    if (r == 0)
        r = start_serving(&server);
    if (r) {
        int exit_code = cli_fault("cannot serve", r);
        release(&server);
        return exit_code;
    }
    announce(&server);
    wait_for_end(&server);
    stop(&server);
    release(&server);
    log_info("stopped");
    return EXIT_DONE;
}
