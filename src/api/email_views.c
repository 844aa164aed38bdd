#include "api/email_views.h"

#include "mail/tenant_words.h"

/* The members of a log row, in a struct that begins with one. */
#define LOG_FIELD(name, type, flags, member, help)                                                 \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct email_log_view, member), 0, 0, NULL, \
            NULL, help                                                                             \
    }
#define LOG_FIELDS                                                                                 \
    LOG_FIELD("id", FIELD_UUID, 0, id, "Of this message to this recipient."),                      \
        LOG_FIELD("messageId", FIELD_UUID, 0, message_id, "The message; one for all recipients."), \
        LOG_FIELD("tenantId", FIELD_UUID, 0, tenant_id, "Whose message it is."),                   \
        LOG_FIELD("userId", FIELD_UUID, FIELD_NULLABLE, user_id, "The recipient's account."),      \
        LOG_FIELD("recipient", FIELD_STR, 0, recipient, "The address; \"erased\" once it is."),    \
        LOG_FIELD("domain", FIELD_STR, 0, domain, "Its domain."),                                  \
        LOG_FIELD("template", FIELD_STR, FIELD_NULLABLE, template_name, "What kind of message."),  \
        LOG_FIELD("subject", FIELD_STR, 0, subject, "Its subject."),                               \
        LOG_FIELD("transport", FIELD_STR, 0, transport, "sandbox, smtp or ses."),                  \
        LOG_FIELD("status", FIELD_STR, 0, status,                                                  \
                  "queued, sent, delivered, delayed, bounced, complained, rejected, suppressed."), \
        LOG_FIELD("counted", FIELD_BOOL, 0, counted,                                               \
                  "Whether this bounce or complaint counts in the rates."),                        \
        LOG_FIELD("errorCode", FIELD_STR, FIELD_NULLABLE, error_code, "Such as 5.1.1."),           \
        LOG_FIELD("detail", FIELD_STR, FIELD_NULLABLE, detail,                                     \
                  "What a server said; what a transport says of itself, for operators."),          \
        LOG_FIELD("providerId", FIELD_STR, FIELD_NULLABLE, provider_id,                            \
                  "What the transport calls the message; null until it has it."),                  \
        LOG_FIELD("createdAt", FIELD_TIME, 0, created_at, "When it was accepted."),                \
        LOG_FIELD("sentAt", FIELD_TIME, FIELD_NULLABLE, sent_at, "When it was handed over."),      \
        LOG_FIELD("statusAt", FIELD_TIME, 0, status_at, "When what the status tells of happened.")

static const struct field log_fields[] = {LOG_FIELDS};
const struct shape email_log_shape = SHAPE("EmailLog", struct email_log_view, log_fields);

#define EVENT_FIELD(name, type, flags, member, help)                                               \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct email_event_view, member), 0, 0,     \
            NULL, NULL, help                                                                       \
    }
static const struct field event_fields[] = {
    EVENT_FIELD("kind", FIELD_STR, 0, kind, "Such as bounce, complaint, delivery."),
    EVENT_FIELD("subtype", FIELD_STR, FIELD_NULLABLE, subtype,
                "The provider's words, such as Permanent/General."),
    EVENT_FIELD("code", FIELD_STR, FIELD_NULLABLE, code, "Such as 5.1.1."),
    EVENT_FIELD("detail", FIELD_STR, FIELD_NULLABLE, detail, "What a server said."),
    EVENT_FIELD("at", FIELD_TIME, 0, at, "When, by the provider's clock."),
    EVENT_FIELD("receivedAt", FIELD_TIME, 0, received_at, "When we heard of it."),
};
static const struct shape event_shape = SHAPE("EmailEvent", struct email_event_view, event_fields);

static const struct field message_fields[] = {
    LOG_FIELDS,
    {"events", FIELD_LIST, FIELD_REQUIRED, offsetof(struct email_message_view, events), 0, 0, NULL,
     &event_shape, "What happened to it, the oldest first; 1000 at most."},
};
const struct shape email_message_shape =
    SHAPE("EmailMessage", struct email_message_view, message_fields);

#define LISTED_FIELD(name, type, flags, member, help)                                              \
    {                                                                                              \
        name, type, FIELD_REQUIRED | (flags), offsetof(struct suppression_view, member), 0, 0,     \
            NULL, NULL, help                                                                       \
    }
static const struct field suppression_fields[] = {
    LISTED_FIELD("address", FIELD_STR, 0, address, "That is not written to."),
    LISTED_FIELD("reason", FIELD_STR, 0, reason,
                 "bounce, complaint, soft_bounces, unsubscribe, manual or provider."),
    LISTED_FIELD("scope", FIELD_STR, 0, scope, "tenant, or installation: holds for all tenants."),
    LISTED_FIELD("tenantId", FIELD_UUID, FIELD_NULLABLE, tenant_id, "Whose mail it stops."),
    LISTED_FIELD("source", FIELD_STR, 0, source, "Where it is from: event, api, import, ..."),
    LISTED_FIELD("note", FIELD_STR, FIELD_NULLABLE, note,
                 "For people; of the installation's for operators."),
    LISTED_FIELD("createdBy", FIELD_STR, FIELD_NULLABLE, created_by,
                 "Who, or what; of the installation's for operators."),
    LISTED_FIELD("createdAt", FIELD_TIME, 0, created_at, "When."),
    LISTED_FIELD("expiresAt", FIELD_TIME, FIELD_NULLABLE, expires_at, "null: never."),
};
const struct shape email_suppression_shape =
    SHAPE("Suppression", struct suppression_view, suppression_fields);

void email_logs_veil(const struct uuid *bound, struct mail_log_entry *entries, size_t n)
{
    for (size_t i = 0; bound && i < n; i++)
        entries[i].mark.detail = tenant_words_detail(&entries[i].mark);
}

struct email_log_view email_log_view(const struct mail_log_entry *e)
{
    return (struct email_log_view){.id = e->id,
                                   .message_id = e->message_id,
                                   .tenant_id = e->tenant_id,
                                   .user_id = e->user_id,
                                   .recipient = e->recipient,
                                   .domain = e->domain,
                                   .template_name = e->template_name,
                                   .subject = e->subject,
                                   .transport = e->transport,
                                   .status = mail_state_name(e->mark.state),
                                   .error_code = e->mark.code,
                                   .detail = e->mark.detail,
                                   .provider_id = e->provider_id,
                                   .counted = e->mark.counted,
                                   .created_at = e->created_at,
                                   .sent_at = e->sent_at,
                                   .status_at = e->mark.at};
}

struct email_event_view email_event_view(const struct mail_event_entry *e)
{
    return (struct email_event_view){.kind = e->kind,
                                     .subtype = e->subtype,
                                     .code = e->code,
                                     .detail = e->detail,
                                     .at = e->at,
                                     .received_at = e->received_at};
}

struct suppression_view suppression_view(const struct suppression *s)
{
    return (struct suppression_view){.address = s->address,
                                     .reason = suppression_reason_name(s->reason),
                                     .scope = uuid_is_nil(&s->tenant_id) ? STR("installation")
                                                                         : STR("tenant"),
                                     .tenant_id = s->tenant_id,
                                     .source = s->source,
                                     .note = s->note,
                                     .created_by = s->created_by,
                                     .created_at = s->created_at,
                                     .expires_at = s->expires_at};
}
