#include "mail/transport.h"

#include "base/fault.h"

int transport_new(const struct config *config, struct store *store, struct transport **ret)
{
    switch ((enum email_transport)config->email_transport) {
    case EMAIL_SANDBOX:
        return transport_sandbox_new(config, store, ret);
    case EMAIL_SMTP:
        return transport_smtp_new(config, ret);
    case EMAIL_SES:
        return transport_ses_new(config, ret);
    case EMAIL_NONE:
        *ret = NULL;
        return 0;
    }
    return fault_set(FAULT_INTERNAL, "EMAIL_TRANSPORT is none of its choices");
}

/* What comes from a server may be any bytes; the store takes text alone. */
static void put_text(char *out, size_t size, struct str text)
{
    struct str cut = str_cut(text, size - 1);

    for (size_t i = 0; i < cut.n; i++)
        out[i] = cut.p[i] >= ' ' && cut.p[i] <= '~' ? cut.p[i] : '?';
    out[cut.n] = '\0';
}

void transport_fates_set(struct transport_fate *fates, size_t n, enum transport_result result,
                         struct str code, struct str text)
{
    for (size_t i = 0; i < n; i++) {
        fates[i] = (struct transport_fate){.result = result};
        put_text(fates[i].code, sizeof fates[i].code, code);
        put_text(fates[i].text, sizeof fates[i].text, text);
    }
}
