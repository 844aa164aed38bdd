/* Hands messages to the operator's mail server. */
#include "base/fault.h"
#include "mail/transport.h"
#include "net/smtp.h"

struct smtp_transport {
    struct transport base;
    char *url, *ca_file; /* ca_file is NULL for the system's authorities */
    bool allow_plain;
};

/* An id of SES: "0102018f3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-000000". */
static bool is_ses_id(struct str s)
{
    static const uint8_t groups[] = {16, 8, 4, 4, 4, 12, 6};
    size_t i = 0;

    for (size_t g = 0; g < sizeof groups; g++) {
        if (g > 0 && (i >= s.n || s.p[i++] != '-'))
            return false;
        for (uint8_t k = 0; k < groups[g]; k++, i++)
            if (i >= s.n || !((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
                return false;
    }
    return i == s.n;
}

/* SES's own events call a message by what its server answered; others know but its Message-ID. */
static void name_message(const struct transport_message *m, struct str answer,
                         char ret_id[TRANSPORT_ID_SIZE])
{
    struct str id = str_has_prefix_ci(answer, STR("Ok "))
                        ? str_trim((struct str){answer.p + 3, answer.n - 3})
                        : STR("");

    if (!is_ses_id(id))
        id = m->message_id;
    snprintf(ret_id, TRANSPORT_ID_SIZE, "%.*s", STR_ARG(id));
}

static struct transport_fate fate_of(const struct smtp_fate *f)
{
    static const enum transport_result results[] = {
        [SMTP_ACCEPTED] = TRANSPORT_ACCEPTED,
        [SMTP_TEMPORARY] = TRANSPORT_TEMPORARY,
        [SMTP_PERMANENT] = TRANSPORT_PERMANENT,
        [SMTP_UNCERTAIN] = TRANSPORT_UNCERTAIN,
    };
    static const char *const stages[] = {
        [SMTP_STAGE_CONNECT] = "connect", [SMTP_STAGE_SESSION] = "session",
        [SMTP_STAGE_FROM] = "from",       [SMTP_STAGE_RCPT] = "rcpt",
        [SMTP_STAGE_DATA] = "data",
    };
    struct transport_fate fate;
    char code[TRANSPORT_CODE_SIZE];

    if (f->code)
        snprintf(code, sizeof code, "%d", f->code);
    else
        snprintf(code, sizeof code, "smtp_%s", stages[f->stage]);
    transport_fates_set(&fate, 1, results[f->result], str_of(code), str_of(f->text));
    fate.general = f->result == SMTP_TEMPORARY && f->stage <= SMTP_STAGE_SESSION;
    return fate;
}

static int send_by_smtp(struct transport *t, const struct transport_message *m,
                        char ret_provider_id[TRANSPORT_ID_SIZE], struct transport_fate *ret_fates)
{
    const struct smtp_transport *s = (const struct smtp_transport *)t;
    struct smtp_options options = {.url = str_of(s->url),
                                   .guard.any = true, /* the operator names the server */
                                   .allow_plain = s->allow_plain,
                                   .ca_file = s->ca_file,
                                   .total_timeout_ms = TRANSPORT_TIME_MS};
    struct smtp_outgoing out = {m->from, m->recipients, m->n, m->mime};
    struct smtp_fate fates[MAIL_RECIPIENTS_MAX];
    int r = m->n <= MAIL_RECIPIENTS_MAX ? smtp_send(&options, &out, fates) : SMTP_INVALID;

    if (r < 0)
        return r;
    /* What is wrong can only be the setting: a message was checked when it was accepted. */
    if (r == SMTP_INVALID) {
        transport_fates_set(ret_fates, m->n, TRANSPORT_TEMPORARY, STR("smtp_setting"),
                            str_of(fault_message()));
        for (size_t i = 0; i < m->n; i++)
            ret_fates[i].general = true;
        return 0;
    }
    for (size_t i = 0; i < m->n; i++) {
        ret_fates[i] = fate_of(&fates[i]);
        if (fates[i].result == SMTP_ACCEPTED)
            name_message(m, str_of(fates[i].text), ret_provider_id);
    }
    return 0;
}

static void free_smtp(struct transport *t)
{
    struct smtp_transport *s = (struct smtp_transport *)t;

    if (s->url)
        explicit_bzero(s->url, strlen(s->url)); /* it may hold a password */
    free(s->url);
    free(s->ca_file);
    free(s);
}

static const struct transport_kind smtp_kind = {"smtp", send_by_smtp, free_smtp};

int transport_smtp_new(const struct config *config, struct transport **ret)
{
    struct smtp_transport *s = calloc(1, sizeof *s);
    bool own_authorities = *config->smtp_ca_file;

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for the mail server's settings");
    s->base.kind = &smtp_kind;
    s->url = strdup(config->smtp_url);
    s->ca_file = own_authorities ? strdup(config->smtp_ca_file) : NULL;
    s->allow_plain = config->env != ENV_PRODUCTION;
    if (!s->url || (own_authorities && !s->ca_file)) {
        free_smtp(&s->base);
        return fault_set(FAULT_MEMORY, "no memory for the mail server's settings");
    }
    *ret = &s->base;
    return 0;
}
