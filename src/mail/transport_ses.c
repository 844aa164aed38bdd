/*
 * Through Amazon SES (SendEmail of the second version of its API): one call for all recipients, and
 * one message id, which is what events will call the message for each of them.
 */
#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "mail/mime.h"
#include "mail/ses_answer.h"
#include "mail/transport.h"
#include "net/aws.h"

#include <stdlib.h>

enum {
    BODY_MAX = BASE64_LENGTH(MIME_MESSAGE_MAX) + 64 * 1024,
    ANSWER_MAX = 64 * 1024,
    TAG_MAX = 256,
    /*
     * Of a call. Credentials are fetched within 6 s, and a second time only after an answer that
     * came within 5 s, so that all of it ends within TRANSPORT_TIME_MS.
     */
    CALL_MS = TRANSPORT_TIME_MS - 12 * 1000
};

struct ses {
    struct transport transport;
    struct aws *aws;
    struct str configuration_set;
};

/* What SES takes in a tag; another value would have the whole message refused. */
static bool fits_tag(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= TAG_MAX;
}

static void add_tag(struct json_writer *w, const char *name, struct str value)
{
    if (!fits_tag(value))
        return;
    json_object_begin(w);
    json_key(w, "Name");
    json_str(w, str_of(name));
    json_key(w, "Value");
    json_str(w, value);
    json_object_end(w);
}

/* Events repeat the tags, so an event of a message that is not in the log tells whose it is. */
static void add_tags(struct json_writer *w, const struct transport_message *m)
{
    char tenant[UUID_TEXT_SIZE];

    uuid_format(&m->tenant_id, tenant);
    json_key(w, "EmailTags");
    json_array_begin(w);
    add_tag(w, "tenant", str_of(tenant));
    add_tag(w, "template", m->template_name);
    json_array_end(w);
}

/* {"Data":"..."}: the message in base64, written in place for it may be large. */
static void add_raw(struct json_writer *w, struct str mime)
{
    size_t n = BASE64_LENGTH(mime.n);

    json_object_begin(w);
    json_key(w, "Data");
    buf_add_char(w->out, '"');
    if (buf_reserve(w->out, n + 1) == 0) {
        base64_encode(mime.p, mime.n, w->out->p + w->out->n);
        w->out->n += n;
    }
    buf_add_char(w->out, '"');
    json_object_end(w);
}

static void write_request(const struct ses *s, const struct transport_message *m, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "FromEmailAddress");
    json_str(&w, m->from);
    json_key(&w, "Destination");
    json_object_begin(&w);
    json_key(&w, "ToAddresses");
    json_array_begin(&w);
    for (size_t i = 0; i < m->n; i++)
        json_str(&w, m->recipients[i]);
    json_array_end(&w);
    json_object_end(&w);
    json_key(&w, "Content");
    json_object_begin(&w);
    json_key(&w, "Raw");
    add_raw(&w, m->mime);
    json_object_end(&w);
    add_tags(&w, m);
    if (s->configuration_set.n > 0) {
        json_key(&w, "ConfigurationSetName");
        json_str(&w, s->configuration_set);
    }
    json_object_end(&w);
}

/* What is about our account or its settings passes once they are mended; the message can wait. */
static bool is_of_account(const char *code)
{
    static const char *const codes[] = {
        "SendingPaused",
        "MailFromDomainNotVerified",
        "NotFound", /* the configuration set */
        "ConfigurationSetDoesNotExist",
        "ConfigurationSetSendingPaused",
    };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i], code) == 0)
            return true;
    return false;
}

/* Everything but a temporary failure of SES's own would befall any other message as well. */
static enum transport_result result_of(int outcome, const struct aws_error *e, bool *ret_general,
                                       int64_t *ret_retry)
{
    *ret_general = outcome != AWS_TEMPORARY;
    switch ((enum aws_outcome)outcome) {
    case AWS_THROTTLED:
        /* The quota of a day frees itself as the day goes on; that of a second, at once. */
        *ret_retry = strstr(e->text, "Daily") || strcmp(e->code, "LimitExceeded") == 0
                         ? 10 * CLOCK_MINUTE
                         : CLOCK_SECOND;
        return TRANSPORT_TEMPORARY;
    case AWS_CREDENTIALS:
        *ret_retry = CLOCK_MINUTE;
        return TRANSPORT_TEMPORARY;
    case AWS_TEMPORARY:
    case AWS_UNREACHABLE:
        return TRANSPORT_TEMPORARY;
    case AWS_UNCERTAIN:
        return TRANSPORT_UNCERTAIN;
    case AWS_PERMANENT:
        break;
    }
    if (!is_of_account(e->code))
        return TRANSPORT_PERMANENT;
    *ret_retry = 5 * CLOCK_MINUTE;
    return TRANSPORT_TEMPORARY;
}

static void refuse(int outcome, const struct aws_error *e, size_t n, struct transport_fate *fates)
{
    int64_t retry = 0;
    bool general;
    enum transport_result result = result_of(outcome, e, &general, &retry);

    transport_fates_set(fates, n, result, str_of(e->code), str_of(e->text));
    for (size_t i = 0; i < n; i++) {
        fates[i].general = general && result == TRANSPORT_TEMPORARY;
        fates[i].retry_after_ms = e->retry_after_ms > 0 ? e->retry_after_ms : retry;
    }
}

static int send_by_ses(struct transport *t, const struct transport_message *m,
                       char ret_provider_id[TRANSPORT_ID_SIZE], struct transport_fate *ret_fates)
{
    struct ses *s = (struct ses *)t;
    struct buf body _cleanup_buf_ = buf_secret(BODY_MAX),
                    answer _cleanup_buf_ = buf_init(ANSWER_MAX);
    struct aws_request request = {.service = AWS_SES, .path = STR("/v2/email/outbound-emails")};
    struct aws_error error;
    char id[TRANSPORT_ID_SIZE];

    write_request(s, m, &body);
    if (buf_fault(&body))
        return buf_fault(&body);
    request.body = buf_str(&body);
    int r = aws_call(s->aws, &request, &answer, &error);
    if (r < 0)
        return r;
    if (r) {
        refuse(r, &error, m->n, ret_fates);
    } else if (ses_answer_message_id(buf_str(&answer), id, sizeof id)) {
        transport_fates_set(ret_fates, m->n, TRANSPORT_UNCERTAIN, STR("NoMessageId"),
                            STR("SES took the message, but its answer holds no message id"));
    } else {
        memcpy(ret_provider_id, id, sizeof id);
        transport_fates_set(ret_fates, m->n, TRANSPORT_ACCEPTED, STR(""), STR(""));
    }
    return 0;
}

static void free_ses(struct transport *t)
{
    struct ses *s = (struct ses *)t;

    aws_free(s->aws);
    free(s);
}

static const struct transport_kind kind = {.name = "ses", .send = send_by_ses, .free = free_ses};

int transport_ses_new(const struct config *config, struct transport **ret)
{
    struct aws_options options = aws_options_of(config);
    struct ses *s = calloc(1, sizeof *s);

    if (!s)
        return fault_set(FAULT_MEMORY, "no memory for sending by SES");
    s->transport.kind = &kind;
    options.timeout_ms = CALL_MS;
    s->configuration_set = str_of(config->ses_configuration_set);
    int r = aws_new(&options, &s->aws);
    if (r) {
        free_ses(&s->transport);
        return r;
    }
    *ret = &s->transport;
    return 0;
}
