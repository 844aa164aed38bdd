#include "mail/mail.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "mail/outbox_desk.h"
#include "mail/outbox_quota.h"
#include "sessions/sessions.h"

struct mail_event_policy mail_policy(void)
{
    const struct config *c = config_current();

    return (struct mail_event_policy){.soft_limit = c->soft_bounce_limit,
                                      .soft_suppress_ms = c->soft_bounce_days * CLOCK_DAY};
}

static struct str secret_of(const uint8_t key[SEAL_KEY_SIZE])
{
    return (struct str){(const char *)key, SEAL_KEY_SIZE};
}

static int make_keys(const struct config *config, struct mail *m)
{
    struct encryption_secrets secrets;
    struct str all[1 + SEAL_RETIRED_MAX] = {secret_of(secrets.active)};
    int r = encryption_secrets_read(config, &secrets);

    for (size_t i = 0; r == 0 && i < secrets.n_retired; i++)
        all[1 + i] = secret_of(secrets.retired[i]);
    if (r == 0)
        r = mac_ring_derive(all, 1 + secrets.n_retired, UNSUBSCRIBE_LABEL, &m->unsubscribe);
    if (r == 0)
        r = seal_keys_init(secrets.active, (const uint8_t(*)[SEAL_KEY_SIZE])secrets.retired,
                           secrets.n_retired, &m->seal);
    crypto_wipe(&secrets, sizeof secrets);
    return r;
}

static void set_public_url(const struct config *config, struct mail *m)
{
    struct str url = str_of(config->public_url);

    if (str_has_suffix(url, STR("/")))
        url.n--;
    if (url.n)
        snprintf(m->public_url, sizeof m->public_url, "%.*s", STR_ARG(url));
    else
        snprintf(m->public_url, sizeof m->public_url, "http://localhost:%lld",
                 (long long)config->port);
}

/* The present secret and the retired ones; what is empty is none. */
static size_t list_secrets(const struct config *config, struct str ret[WEBHOOK_SECRETS_MAX])
{
    struct str rest = str_of(config->ses_webhook_retired_secrets), part;
    size_t n = 0;

    if (str_of(config->ses_webhook_secret).n)
        ret[n++] = str_of(config->ses_webhook_secret);
    while (n < WEBHOOK_SECRETS_MAX && str_next(&rest, ',', &part))
        if (str_trim(part).n)
            ret[n++] = str_trim(part);
    return n;
}

int mail_listen(const struct config *config, struct mail *m)
{
    struct str secrets[WEBHOOK_SECRETS_MAX];
    const char *endpoint = config->aws_endpoint_url;
    int r = intake_new(m->store, &m->intake);
    struct webhook_options options = {
        .store = m->store,
        .trail = m->trail,
        .intake = m->intake,
        .secrets = secrets,
        .n_secrets = list_secrets(config, secrets),
        .topics = config->topics,
        .n_topics = config->topic_count,
        .caller = {.api = endpoint && *endpoint ? endpoint : NULL},
    };

    return r ? r : webhook_new(&options, &m->webhook);
}

int mail_new(const struct config *config, struct store *store, struct trail *trail,
             struct mail **ret)
{
    struct mail *m = calloc(1, sizeof *m);

    if (!m)
        return fault_set(FAULT_MEMORY, "no memory for mail");
    m->store = store;
    m->trail = trail;
    mail_watch_init(&m->watch);
    set_public_url(config, m);
    int r = sender_parse(str_of(config->email_from), &m->sender)
                ? fault_set(FAULT_INTERNAL, "EMAIL_FROM is not a mailbox such as Ann <a@x.com>")
                : make_keys(config, m);
    if (r == 0)
        r = sender_domain_new(&m->domain);
    if (r == 0)
        r = share_kept_new(&m->shares);
    if (r == 0)
        r = outbox_desk_new(m, &m->desk);
    if (r == 0)
        r = outbox_quota_new(&m->quota);
    if (r) {
        mail_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mail_free(struct mail *m)
{
    if (!m)
        return;
    intake_free(m->intake);
    webhook_free(m->webhook);
    crypto_wipe(&m->unsubscribe, sizeof m->unsubscribe);
    seal_keys_release(&m->seal);
    sender_domain_free(m->domain);
    share_kept_free(m->shares);
    outbox_desk_free(m->desk);
    outbox_quota_free(m->quota);
    mail_watch_release(&m->watch);
    free(m);
}
