#include "mail/mail.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"
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
        r = share_cache_new(&m->shares);
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
    crypto_wipe(&m->unsubscribe, sizeof m->unsubscribe);
    seal_keys_release(&m->seal);
    sender_domain_free(m->domain);
    share_cache_free(m->shares);
    mail_watch_release(&m->watch);
    free(m);
}
