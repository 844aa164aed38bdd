/* Keeps messages to be looked at: nothing leaves. */
#include "base/clock.h"
#include "base/fault.h"
#include "mail/sandbox.h"
#include "mail/transport.h"

enum { LINES_MAX = MAIL_RECIPIENTS_MAX * 256 };

struct sandbox_transport {
    struct transport base;
    struct store *store;
};

/* As a provider, the sandbox calls a message what its page and its events call it. */
static int send_to_sandbox(struct transport *t, const struct transport_message *m,
                           char ret_provider_id[TRANSPORT_ID_SIZE],
                           struct transport_fate *ret_fates)
{
    const struct sandbox_transport *s = (const struct sandbox_transport *)t;
    struct buf to _cleanup_buf_ = buf_init(LINES_MAX);
    int64_t now = clock_now();

    for (size_t i = 0; i < m->n; i++) {
        buf_add_str(&to, m->recipients[i]);
        buf_add_char(&to, '\n');
    }
    if (buf_fault(&to))
        return buf_fault(&to);
    struct sandbox_message kept = {.id = uuid_at(now),
                                   .at = now,
                                   .helo = STR("holdfast"),
                                   .from = m->from,
                                   .to = buf_str(&to),
                                   .data = m->mime};
    int r = sandbox_keep(s->store, &kept, config_current()->sandbox_keep);
    if (r)
        return r;
    uuid_format(&kept.id, ret_provider_id);
    transport_fates_set(ret_fates, m->n, TRANSPORT_ACCEPTED, STR(""), STR(""));
    return 0;
}

static void free_sandbox(struct transport *t)
{
    free(t);
}

static const struct transport_kind sandbox_kind = {"sandbox", send_to_sandbox, free_sandbox};

int transport_sandbox_new(const struct config *config, struct store *store, struct transport **ret)
{
    struct sandbox_transport *s = calloc(1, sizeof *s);

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the sandbox");
    s->base.kind = &sandbox_kind;
    s->store = store;
    *ret = &s->base;
    return 0;
}
