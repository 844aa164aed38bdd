#include "cli/serve_sandbox.h"

#include "api/sandbox_http.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "cli/own_url.h"
#include "config/config.h"
#include "crypto/init.h"
#include "mail/courier.h"
#include "mail/sandbox_server.h"

#include <unistd.h>

enum { ADDRESSES = 2, NO_PORT = -1, DRAIN_MS = 2 * CLOCK_SECOND };

struct serve_sandbox {
    struct store *store;
    const char *addresses[ADDRESSES]; /* the second may be NULL */
    struct sandbox_server *smtp[ADDRESSES];
    struct http_engine *http[ADDRESSES];
    struct sandbox_http http_app;
    struct courier *courier;
    int smtp_port, http_port;
};

/* SANDBOX_KEEP may change while the server runs. */
static enum smtp_verdict take(void *context, const struct smtp_message *m)
{
    struct serve_sandbox *s = context;
    struct sandbox_box box = {s->store, config_current()->sandbox_keep};

    return sandbox_receive(&box, m);
}

static int open_smtp(struct serve_sandbox *s, int i, int port, int *ret_port)
{
    struct sandbox_server_options o = {
        .host = s->addresses[i], .port = port, .take = take, .context = s};
    int r = sandbox_server_start(&o, &s->smtp[i]);

    if (r == 0)
        *ret_port = sandbox_server_port(s->smtp[i]);
    return r;
}

static int open_http(struct serve_sandbox *s, int i, int port, int *ret_port)
{
    struct http_app app = sandbox_http_app(&s->http_app);
    struct http_options o;

    sandbox_http_options(&o);
    o.host = s->addresses[i];
    o.port = port;
    int r = http_engine_start(&o, &app, &s->http[i]);
    if (r == 0)
        *ret_port = http_engine_port(s->http[i]);
    return r;
}

/*
 * Listens on all addresses at one port. Two servers on a laptop have one of these ports between
 * them, so one that is taken stops nobody; nor does a machine without IPv6.
 */
static int listen_on(struct serve_sandbox *s, const char *what, int64_t port,
                     int (*open)(struct serve_sandbox *s, int i, int port, int *ret_port))
{
    int bound = NO_PORT, other;

    if (port < 0)
        return NO_PORT;
    if (open(s, 0, (int)port, &bound)) {
        log_warn("the sandbox goes without %s: %s", what, fault_message());
        return NO_PORT;
    }
    if (s->addresses[1] && open(s, 1, bound, &other))
        log_debug("the sandbox goes without %s there: %s", what, fault_message());
    return bound;
}

/* Events are signed as by a stranger, so without a secret, or without the webhook, there are none.
 */
static int start_courier(struct serve_sandbox *s, int port)
{
    static struct config_range loopback[2];
    const struct config *c = config_current();
    char url[OWN_URL_MAX];
    /* An address that the operator names is no stranger's. */
    struct courier_options o = {
        .url = url,
        .guard = {.allowed = loopback, .allowed_count = 2, .any = *c->listen_address != '\0'}};

    if (!c->email_monitoring || !c->ses_webhook_secret || !*c->ses_webhook_secret) {
        log_warn("no events come back from the sandbox: %s",
                 c->email_monitoring ? "SES_WEBHOOK_SECRET is not set"
                                     : "EMAIL_MONITORING_ENABLED is false");
        return 0;
    }
    own_url(c, port, "/v1/email-monitoring/ses/events", url);
    if (config_parse_range(STR("127.0.0.0/8"), &loopback[0]) ||
        config_parse_range(STR("::1"), &loopback[1]))
        return fault_set(FAULT_INTERNAL, "a range of addresses is none");
    int r = mac_key_init(str_of(c->ses_webhook_secret), &o.key);
    if (r == 0)
        r = courier_start(&o, &s->courier);
    crypto_wipe(&o.key, sizeof o.key);
    return r;
}

int serve_sandbox_start(struct store *store, int server_port, struct serve_sandbox **ret)
{
    const struct config *c = config_current();
    bool loopback = !*c->sandbox_address;
    struct serve_sandbox *s;

    *ret = NULL;
    if (c->email_transport != EMAIL_SANDBOX)
        return 0;
    s = calloc(1, sizeof *s);
    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the sandbox");
    s->store = store;
    s->addresses[0] = loopback ? "127.0.0.1" : c->sandbox_address;
    s->addresses[1] = loopback ? "::1" : NULL;
    s->http_app = (struct sandbox_http){.store = store, .open = !loopback};
    int r = start_courier(s, server_port);
    if (r) {
        serve_sandbox_stop(s);
        return r;
    }
    struct sandbox_listener listener = {courier_take, s->courier};
    sandbox_listen(&listener);
    s->smtp_port = listen_on(s, "SMTP", c->sandbox_smtp_port, open_smtp);
    s->http_port = listen_on(s, "its page", c->sandbox_http_port, open_http);
    *ret = s;
    return 0;
}

void serve_sandbox_announce(const struct serve_sandbox *s)
{
    struct log_line l;

    if (!s)
        return;
    if (isatty(STDOUT_FILENO) && s->http_port != NO_PORT)
        printf("Mail is shown at    http://localhost:%d\n", s->http_port);
    if (isatty(STDOUT_FILENO) && s->smtp_port != NO_PORT)
        printf("and taken by SMTP   localhost:%d  (kept, never delivered)\n", s->smtp_port);
    fflush(stdout);
    log_begin(&l, LOG_INFO, "sandbox");
    if (s->smtp_port != NO_PORT)
        log_field_int(&l, "smtpPort", s->smtp_port);
    if (s->http_port != NO_PORT)
        log_field_int(&l, "httpPort", s->http_port);
    log_end(&l);
}

void serve_sandbox_stop(struct serve_sandbox *s)
{
    /* What the outbox still hands over has events that nobody carries; the log tells of them. */
    static const struct sandbox_listener nobody = {courier_take, NULL};

    if (!s)
        return;
    for (int i = 0; i < ADDRESSES; i++)
        sandbox_server_stop(s->smtp[i]);
    sandbox_listen(&nobody);
    courier_stop(s->courier, DRAIN_MS);
    for (int i = 0; i < ADDRESSES; i++)
        if (s->http[i])
            http_engine_stop(s->http[i]);
    free(s);
}
