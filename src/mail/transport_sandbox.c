/* Keeps messages to be looked at: nothing leaves. */
#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"
#include "mail/sandbox.h"
#include "mail/transport.h"

enum { LINES_MAX = MAIL_RECIPIENTS_MAX * 256, ID_RANDOM = 16 };

struct sandbox_transport {
    struct transport base;
    struct store *store;
    transport_kept *kept;
    void *context;
};

/* An id of the form that SES gives, so that whoever reads one reads both. */
static void make_id(int64_t now, char ret_id[TRANSPORT_ID_SIZE])
{
    uint8_t bytes[ID_RANDOM];
    char hex[HEX_LENGTH(ID_RANDOM) + 1];

    crypto_random(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, hex);
    snprintf(ret_id, TRANSPORT_ID_SIZE, "0102%012llx-%.8s-%.4s-%.4s-%.4s-%.12s-000000",
             (unsigned long long)now & 0xFFFFFFFFFFFF, hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static int keep(struct sandbox_transport *s, const struct transport_message *m, int64_t now)
{
    struct buf to _cleanup_buf_ = buf_init(LINES_MAX);

    for (size_t i = 0; i < m->n; i++) {
        buf_add_str(&to, m->recipients[i]);
        buf_add_char(&to, '\n');
    }
    struct sandbox_message kept = {.id = uuid_at(now),
                                   .at = now,
                                   .helo = STR("holdfast"),
                                   .from = m->from,
                                   .to = buf_str(&to),
                                   .data = m->mime};
    int r = buf_fault(&to);
    return r ? r : sandbox_keep(s->store, &kept, config_current()->sandbox_keep);
}

static int send_to_sandbox(struct transport *t, const struct transport_message *m,
                           char ret_provider_id[TRANSPORT_ID_SIZE],
                           struct transport_fate *ret_fates)
{
    struct sandbox_transport *s = (struct sandbox_transport *)t;
    char id[TRANSPORT_ID_SIZE];
    int64_t now = clock_now();
    int r = keep(s, m, now);

    if (r)
        return r;
    make_id(now, id);
    if (s->kept)
        s->kept(s->context, m, str_of(id), now);
    memcpy(ret_provider_id, id, sizeof id);
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

void transport_sandbox_watch(struct transport *t, transport_kept *kept, void *context)
{
    if (!t || t->kind != &sandbox_kind)
        return;
    ((struct sandbox_transport *)t)->kept = kept;
    ((struct sandbox_transport *)t)->context = context;
}
