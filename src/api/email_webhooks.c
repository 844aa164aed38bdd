/* What providers send of what became of mail. mail/webhook.h verifies it and takes it in. */
#include "api/app.h"
#include "base/fault.h"
#include "mail/ses_event.h"

enum { RETRY_SECONDS = 5 };

#define OPEN_SHAPE(name_text, struct_type, table)                                                  \
    {                                                                                              \
        .name = (name_text), .fields = (table), .count = sizeof(table) / sizeof *(table),          \
        .size = sizeof(struct_type), .open = true                                                  \
    }

/*
 * The bodies of the checklist and of SES, for the documents: what is signed are their bytes, so
 * they are read by mail/ses_event.h.
 */
struct recipient {
    uint64_t given;
    struct str address, status, diagnostic;
};

static const struct field recipient_fields[] = {
    {"emailAddress", FIELD_STR, FIELD_REQUIRED, offsetof(struct recipient, address), 0, 0, NULL,
     NULL, "With or without a name in front."},
    {"status", FIELD_STR, 0, offsetof(struct recipient, status), 0, 0, NULL, NULL,
     "Such as 5.1.1 (RFC 3463)."},
    {"diagnosticCode", FIELD_STR, 0, offsetof(struct recipient, diagnostic), 0, 0, NULL, NULL,
     "What the recipient's server said."},
};
static const struct shape recipient_shape =
    OPEN_SHAPE("SesRecipient", struct recipient, recipient_fields);

struct fate {
    uint64_t given;
    struct str type, subtype, feedback_id;
    struct shape_list recipients;
    int64_t timestamp;
};

#define FATE_FIELDS(recipients_name)                                                               \
    {recipients_name,                                                                              \
     FIELD_LIST,                                                                                   \
     FIELD_REQUIRED,                                                                               \
     offsetof(struct fate, recipients),                                                            \
     1,                                                                                            \
     SES_RECIPIENTS_MAX,                                                                           \
     NULL,                                                                                         \
     &recipient_shape,                                                                             \
     "Whom it befell; an entry that is no address is left out."},                                  \
        {"timestamp", FIELD_TIME,         0, offsetof(struct fate, timestamp), 0, 0, NULL,         \
         NULL,        "When it happened."},                                                        \
    {                                                                                              \
        "feedbackId", FIELD_STR, 0, offsetof(struct fate, feedback_id), 0, SES_ID_MAX, NULL, NULL, \
            "By which the same event is known again."                                              \
    }

static const struct field bounce_fields[] = {
    {"bounceType", FIELD_STR, 0, offsetof(struct fate, type), 0, SES_WORD_MAX, NULL, NULL,
     "Permanent, Transient or Undetermined."},
    {"bounceSubType", FIELD_STR, 0, offsetof(struct fate, subtype), 0, SES_WORD_MAX, NULL, NULL,
     "Such as General, Suppressed or MailboxFull."},
    FATE_FIELDS("bouncedRecipients"),
};
static const struct shape bounce_shape = OPEN_SHAPE("SesBounce", struct fate, bounce_fields);

static const struct field complaint_fields[] = {
    {"complaintFeedbackType", FIELD_STR, 0, offsetof(struct fate, type), 0, SES_WORD_MAX, NULL,
     NULL, "Such as abuse; not-spam says that it was none."},
    {"complaintSubType", FIELD_STR, FIELD_NULLABLE, offsetof(struct fate, subtype), 0, SES_WORD_MAX,
     NULL, NULL, "OnAccountSuppressionList, or null."},
    FATE_FIELDS("complainedRecipients"),
};
static const struct shape complaint_shape =
    OPEN_SHAPE("SesComplaint", struct fate, complaint_fields);

struct message {
    uint64_t given;
    struct str id;
};

static const struct field message_fields[] = {
    {"messageId", FIELD_STR, FIELD_REQUIRED, offsetof(struct message, id), 0, SES_ID_MAX, NULL,
     NULL, "What SES called the message when it took it."},
};
static const struct shape message_shape = OPEN_SHAPE("SesMail", struct message, message_fields);

struct event {
    uint64_t given;
    struct str type;
    const struct message *mail;
    const struct fate *bounce, *complaint;
};

#define MAIL_FIELD                                                                                 \
    {                                                                                              \
        "mail", FIELD_OBJECT, 0, offsetof(struct event, mail), 0, 0, NULL, &message_shape,         \
            "The message that it is about; without it the event belongs to no line of the log."    \
    }

static const struct field bounced_fields[] = {
    {"bounce", FIELD_OBJECT, FIELD_REQUIRED, offsetof(struct event, bounce), 0, 0, NULL,
     &bounce_shape, "What came back."},
    MAIL_FIELD,
};
static const struct shape bounced_shape =
    OPEN_SHAPE("SesBounceEvent", struct event, bounced_fields);

static const struct field complained_fields[] = {
    {"complaint", FIELD_OBJECT, FIELD_REQUIRED, offsetof(struct event, complaint), 0, 0, NULL,
     &complaint_shape, "What was called unwanted."},
    MAIL_FIELD,
};
static const struct shape complained_shape =
    OPEN_SHAPE("SesComplaintEvent", struct event, complained_fields);

static const struct field event_fields[] = {
    {"eventType", FIELD_STR, 0, offsetof(struct event, type), 0, SES_WORD_MAX, NULL, NULL,
     "Bounce, Complaint, Delivery, Send, Reject, Open, Click, Rendering Failure, DeliveryDelay or "
     "Subscription; notificationType says the same. The object of its name goes with it."},
    MAIL_FIELD,
    {"bounce", FIELD_OBJECT, 0, offsetof(struct event, bounce), 0, 0, NULL, &bounce_shape,
     "What came back."},
    {"complaint", FIELD_OBJECT, 0, offsetof(struct event, complaint), 0, 0, NULL, &complaint_shape,
     "What was called unwanted."},
};
static const struct shape event_shape = OPEN_SHAPE("SesEvent", struct event, event_fields);

static const struct field taken_fields[] = {
    {"accepted", FIELD_INT, FIELD_REQUIRED, offsetof(struct intake_result, accepted), 0, 0, NULL,
     NULL, "New events, one a recipient."},
    {"duplicates", FIELD_INT, FIELD_REQUIRED, offsetof(struct intake_result, duplicates), 0, 0,
     NULL, NULL, "Events that were known already."},
    {"unmatched", FIELD_INT, FIELD_REQUIRED, offsetof(struct intake_result, unmatched), 0, 0, NULL,
     NULL, "Accepted ones of messages that are not in the log, so far."},
};
static const struct shape taken_shape = SHAPE("EventsTaken", struct intake_result, taken_fields);

static int refuse(struct call *call, int refusal, const char *detail)
{
    const struct webhook_reason *reason = &webhook_reasons[refusal];
    static const enum problem problems[] = {
        [WEBHOOK_CLASS_FORBIDDEN] = PROBLEM_TOPIC_NOT_ALLOWED,
        [WEBHOOK_CLASS_TOO_MANY] = PROBLEM_RATE_LIMITED,
        [WEBHOOK_CLASS_UNAUTHENTIC] = PROBLEM_SIGNATURE_INVALID,
        [WEBHOOK_CLASS_MALFORMED] = PROBLEM_BAD_REQUEST,
        [WEBHOOK_CLASS_LATER] = PROBLEM_UNAVAILABLE,
    };

    if (reason->class == WEBHOOK_CLASS_LATER)
        buf_printf(&call->reply->headers, "Retry-After: %d\r\n", RETRY_SECONDS);
    return call_problem(call,
                        refusal == WEBHOOK_REFUSED_OFF ? PROBLEM_EMAIL_MONITORING_DISABLED
                                                       : problems[reason->class],
                        "%s", detail ? detail : reason->text);
}

static int admit(struct call *call)
{
    struct limiter_state state;
    int r = webhook_admit(app_of(call)->mail->webhook, &call->client, &state);

    if (r == WEBHOOK_REFUSED_LIMITED)
        return api_limited(call, &state);
    return r ? refuse(call, r, NULL) : 0;
}

static int reply(struct call *call, int outcome, const struct intake_result *result,
                 const char *detail)
{
    if (outcome < 0)
        return outcome;
    return outcome ? refuse(call, outcome, detail) : call_reply(call, result);
}

/* A request whose events are on their way to the disk. */
struct waiting {
    struct intake_ticket ticket; /* first: it is turned back into what waits for it */
    struct call *call;
};

static void written(struct intake_ticket *ticket)
{
    struct call *call = ((struct waiting *)ticket)->call;
    int r = webhook_settle(app_of(call)->mail->webhook, ticket->outcome);

    call_finish(call, reply(call, r, &ticket->result, NULL));
}

/* No thread waits for the disk. */
static int take_later(struct call *call, const struct intake_request *events)
{
    struct waiting *w = arena_alloc(call->arena, sizeof *w);
    struct mail *m = app_of(call)->mail;

    if (!w)
        return FAULT_MEMORY;
    *w = (struct waiting){.ticket = {.request = *events, .now = call->now, .done = written},
                          .call = call};
    call_later(call);
    int r = intake_begin(m->intake, &w->ticket);
    if (r)
        call_finish(call, reply(call, webhook_settle(m->webhook, r), NULL, NULL));
    return CALL_LATER;
}

static struct webhook_request request_of(struct call *call, enum webhook_path path)
{
    size_t signatures, types;
    struct webhook_request request = {
        .path = path,
        .signature = http_header_find(call->request, STR("X-Webhook-Signature"), &signatures),
        .body = call->request->body,
        .address = &call->client,
        .actor = &call->actor};

    http_header_find(call->request, STR("x-amz-sns-message-type"), &types);
    request.is_sns = types > 0;
    if (signatures != 1)
        request.signature = signatures ? STR("") : (struct str){NULL, 0};
    return request;
}

/* On an event thread at first, where it stays unless it has to call somebody or takes long. */
static int take(struct call *call, enum webhook_path path)
{
    struct mail *m = app_of(call)->mail;
    struct webhook_request request = request_of(call, path);
    struct intake_request events;
    struct intake_result result;
    const char *detail;

    if (!call->deferred && !webhook_is_quick(&request))
        return CALL_DEFER;
    int r = webhook_verify(m->webhook, &request, call->arena, call->now, &events, &result, &detail);
    if (r)
        return reply(call, r == WEBHOOK_ANSWERED ? 0 : r, &result, detail);
    if (call->request->can_wait)
        return take_later(call, &events);
    r = webhook_settle(m->webhook, intake_submit(m->intake, &events, call->now, &result));
    return reply(call, r, &result, NULL);
}

static int post_bounce(struct call *call)
{
    return take(call, WEBHOOK_BOUNCES);
}

static int post_complaint(struct call *call)
{
    return take(call, WEBHOOK_COMPLAINTS);
}

static int post_event(struct call *call)
{
    return take(call, WEBHOOK_EVENTS);
}

#define REFUSALS                                                                                   \
    (ROUTE_PROBLEM(PROBLEM_EMAIL_MONITORING_DISABLED) | ROUTE_PROBLEM(PROBLEM_TOPIC_NOT_ALLOWED)), \
        .body_max = WEBHOOK_BODY_MAX, .admit = admit

/* clang-format off */
static const struct route routes[] = {
    {HTTP_POST, "/v1/email-monitoring/ses/bounce", PERMIT_WEBHOOK, LANE_EVENT, ROUTE_RAW, 202,
     NULL, &bounced_shape, &taken_shape, "Take a bounce, plain or as a message of SNS",
     post_bounce, REFUSALS},
    {HTTP_POST, "/v1/email-monitoring/ses/complaint", PERMIT_WEBHOOK, LANE_EVENT, ROUTE_RAW, 202,
     NULL, &complained_shape, &taken_shape, "Take a complaint, plain or as a message of SNS",
     post_complaint, REFUSALS},
    {HTTP_POST, "/v1/email-monitoring/ses/events", PERMIT_WEBHOOK, LANE_EVENT, ROUTE_RAW, 202,
     NULL, &event_shape, &taken_shape, "Take any event of SES, plain or as a message of SNS",
     post_event, REFUSALS},
};
/* clang-format on */

const struct route_table api_email_webhooks = ROUTE_TABLE("Events of mail", routes);
