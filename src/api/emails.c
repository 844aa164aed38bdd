/* Sending mail, and what became of it. */
#include "api/app.h"
#include "api/email_views.h"
#include "base/fault.h"
#include "mail/fate.h"
#include "mail/outbox_desk.h"
#include "mail/tenant_words.h"

enum { TEMPLATE_MAX = 100, ENTRY_TEXT = 24, FULL_RETRY_S = 30 };

static const char *const purpose_choices[] = {"product", "security", NULL};

struct email_body {
    uint64_t given;
    struct str_list to;
    struct str subject, text, html, template_name, key;
    int64_t purpose;
};

static const struct field email_fields[] = {
    {"to", FIELD_STRS, FIELD_REQUIRED | FIELD_ONE, offsetof(struct email_body, to), 1,
     MAIL_RECIPIENTS_MAX, NULL, NULL,
     "An address, or a list; each gets a copy that names nobody else."},
    {"subject", FIELD_STR, FIELD_REQUIRED, offsetof(struct email_body, subject), 1,
     MIME_SUBJECT_MAX, NULL, NULL, "The subject; at most 500 bytes of UTF-8."},
    {"text", FIELD_STR, 0, offsetof(struct email_body, text), 1, MIME_BODY_MAX, NULL, NULL,
     "The message as plain text; text or html or both."},
    {"html", FIELD_STR, 0, offsetof(struct email_body, html), 1, MIME_BODY_MAX, NULL, NULL,
     "The message as HTML."},
    {"template", FIELD_STR, 0, offsetof(struct email_body, template_name), 1, TEMPLATE_MAX, NULL,
     NULL,
     "What kind of message it is, such as welcome: figures are told apart by it. Without control "
     "characters."},
    {"idempotencyKey", FIELD_STR, 0, offsetof(struct email_body, key), 1, OUTBOX_KEY_MAX, NULL,
     NULL,
     "The same request under the same key, within four days, makes no second message; so does the "
     "header Idempotency-Key."},
    {"purpose", FIELD_CHOICE, 0, offsetof(struct email_body, purpose), 0, 0, purpose_choices, NULL,
     "product, by default; security for what an account's safety depends on, such as a reset of a "
     "password: it is not stopped by an unsubscription, carries no link for one, and is sent again "
     "where it is not known whether it arrived."},
};
static const struct shape email_shape = SHAPE("EmailRequest", struct email_body, email_fields);

struct accepted_view {
    struct uuid id;
    struct str status;
};

static const struct field accepted_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct accepted_view, id), 0, 0, NULL, NULL,
     "The message's id."},
    {"status", FIELD_STR, FIELD_REQUIRED, offsetof(struct accepted_view, status), 0, 0, NULL, NULL,
     "queued; of a repeated request as GET /v1/emails/{id} has it."},
};
static const struct shape accepted_shape =
    SHAPE("EmailAccepted", struct accepted_view, accepted_fields);

/* "to", or "to[3]" of a list. */
static const char *entry_name(struct call *call, size_t i)
{
    const char *name = arena_printf(call->arena, "to[%zu]", i);

    return name ? name : "to";
}

/* What the sandbox keeps may be for anybody; else it would be for users of the mail server itself.
 */
static bool is_out_of_reach(struct str address)
{
    const int64_t transport = config_current()->email_transport;

    return (transport == EMAIL_SMTP || transport == EMAIL_SES) && email_address_is_local(address);
}

/* Each address once, in the form in which it is stored. */
static int take_recipients(struct call *call, const struct str_list *list,
                           struct outbox_request *request)
{
    for (size_t i = 0; i < list->n; i++) {
        char address[EMAIL_ADDRESS_SIZE];
        bool known = false;
        size_t n;
        if (email_address_normalise(list->items[i], address, &n))
            return call_problem_field(call, list->n > 1 ? entry_name(call, i) : "to",
                                      "This is not a mail address.");
        if (is_out_of_reach((struct str){address, n}))
            return call_problem_field(call, list->n > 1 ? entry_name(call, i) : "to",
                                      "Nobody outside is reached at localhost.");
        struct str copy = arena_str(call->arena, (struct str){address, n});
        if (!copy.p)
            return FAULT_MEMORY;
        for (size_t j = 0; j < request->n; j++)
            known = known || str_eq(request->to[j], copy);
        if (!known)
            request->to[request->n++] = copy;
    }
    return 0;
}

static bool is_key(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= OUTBOX_KEY_MAX;
}

/* By the body or by the header, which may be between quotation marks as a structured field is. */
static int take_key(struct call *call, struct str in_body, struct str *ret)
{
    size_t count;
    struct str key = http_header_find(call->request, STR("Idempotency-Key"), &count);

    if (key.n >= 2 && key.p[0] == '"' && key.p[key.n - 1] == '"')
        key = (struct str){key.p + 1, key.n - 2};
    if (count > 1 || (count == 1 && !is_key(key)))
        return call_problem_field(call, "Idempotency-Key",
                                  "The header is given once, with 1 to %d printable characters.",
                                  OUTBOX_KEY_MAX);
    if (in_body.n && !is_key(in_body))
        return call_problem_field(call, "idempotencyKey", "This has 1 to %d printable characters.",
                                  OUTBOX_KEY_MAX);
    if (count && in_body.n && !str_eq(key, in_body))
        return call_problem_field(call, "idempotencyKey",
                                  "The header Idempotency-Key has another value.");
    *ret = count ? key : in_body;
    return 0;
}

/* Whether it can be written as a message. The template is shown in tables and in terminals. */
static int check(struct call *call, const struct outbox_request *request)
{
    struct mime_problem problem;

    if (str_has_control(request->template_name))
        return call_problem_field(call, "template", "This %s.", mime_outcome_text(MIME_CONTROL));
    int r = outbox_check(app_of(call)->mail, request, &problem);

    if (r <= 0)
        return r;
    struct str field = arena_str(call->arena, str_of(problem.field));
    if (!field.p)
        return FAULT_MEMORY;
    if (r == MIME_EMPTY && str_eq(field, STR("text")))
        return call_problem_field(call, "text", "A message has text or html.");
    return call_problem_field(call, field.p, "This %s.", mime_outcome_text(r));
}

static int make_request(struct call *call, struct outbox_request *ret)
{
    const struct email_body *body = call->body;
    struct outbox_request request = {.tenant_id = call->who.tenant_id,
                                     .subject = body->subject,
                                     .text = body->text,
                                     .html = body->html,
                                     .template_name = body->template_name,
                                     .purpose = body->purpose ? UNSUBSCRIBE_SECURITY
                                                              : UNSUBSCRIBE_PRODUCT};
    int r = take_recipients(call, &body->to, &request);

    if (r == 0)
        r = take_key(call, body->key, &request.key);
    if (r == 0)
        r = check(call, &request);
    if (r == 0)
        *ret = request;
    return r;
}

struct looking {
    struct call *call;
    struct accepted_view *view;
};

/* What became of a message that was accepted before; its log may be gone already. */
static int read_status(struct store_txn *t, void *arg)
{
    struct looking *l = arg;
    struct mail_log_entry *items;
    size_t n = 0;
    int r =
        mail_log_find_message(t, l->call->arena, &l->call->who.tenant_id, &l->view->id, &items, &n);

    l->view->status = r == 0 ? mail_fate_status(items, n) : STR("unknown");
    return r < 0 ? r : 0;
}

static int refuse_suppressed(struct call *call, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    return call_problem(call, PROBLEM_SUPPRESSED,
                        "Nothing is sent; why, is logged as the message %s.", text);
}

/* The same request was here before. */
static int tell_again(struct call *call, struct accepted_view *view)
{
    struct looking l = {call, view};
    int r = store_read(app_of(call)->store, read_status, &l);

    if (r)
        return r;
    if (str_eq(view->status, mail_state_name(MAIL_SUPPRESSED)))
        return refuse_suppressed(call, &view->id);
    return call_reply(call, view);
}

static int post_email(struct call *call)
{
    struct outbox_request request;
    struct accepted_view view = {.status = mail_state_name(MAIL_QUEUED)};
    int r = make_request(call, &request);

    if (r)
        return r;
    r = outbox_submit(app_of(call)->mail, &request, call->now, &view.id);
    if (r < 0)
        return r;
    switch ((enum outbox_outcome)r) {
    case OUTBOX_CONFLICT:
        return call_problem(call, PROBLEM_IDEMPOTENCY_CONFLICT,
                            "The key stands for another request; each request has its own.");
    case OUTBOX_OFF:
        return call_problem(call, PROBLEM_MAIL_OFF, "EMAIL_TRANSPORT is none.");
    case OUTBOX_FULL:
        buf_printf(&call->reply->headers, "Retry-After: %d\r\n", FULL_RETRY_S);
        return call_problem(call, PROBLEM_OUTBOX_FULL,
                            "%lld messages of the tenant are waiting to be handed over: no more "
                            "are taken (EMAIL_WAITING_LIMIT).",
                            (long long)config_current()->email_waiting_limit);
    case OUTBOX_SUPPRESSED:
        return refuse_suppressed(call, &view.id);
    case OUTBOX_REPEATED:
        return tell_again(call, &view);
    }
    outbox_wake(atomic_load(&app_of(call)->outbox));
    return call_reply(call, &view);
}

struct message_view {
    struct uuid id;
    struct str status, subject, template_name, transport, last_error;
    int64_t created_at, attempts, next_attempt_at;
    struct shape_list recipients;
};

static const struct field message_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct message_view, id), 0, 0, NULL, NULL,
     "The message's id."},
    {"status", FIELD_STR, FIELD_REQUIRED, offsetof(struct message_view, status), 0, 0, NULL, NULL,
     "queued while any recipient is, else the status that all have, else mixed."},
    {"subject", FIELD_STR, FIELD_REQUIRED, offsetof(struct message_view, subject), 0, 0, NULL, NULL,
     "Its subject."},
    {"template", FIELD_STR, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct message_view, template_name), 0, 0, NULL, NULL, "What kind of message it is."},
    {"transport", FIELD_STR, FIELD_REQUIRED, offsetof(struct message_view, transport), 0, 0, NULL,
     NULL, "By which it was accepted: sandbox, smtp or ses."},
    {"createdAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct message_view, created_at), 0, 0, NULL,
     NULL, "When it was accepted."},
    {"attempts", FIELD_INT, FIELD_OMIT, offsetof(struct message_view, attempts), 0, 0, NULL, NULL,
     "How often it was tried, while it is queued."},
    {"nextAttemptAt", FIELD_TIME, FIELD_OMIT, offsetof(struct message_view, next_attempt_at), 0, 0,
     NULL, NULL, "When it is tried next, unless it is just being handed over."},
    {"lastError", FIELD_STR, FIELD_OMIT, offsetof(struct message_view, last_error), 0, 0, NULL,
     NULL, "Why the last attempt did not end it; of a transport's own words, for operators."},
    {"recipients", FIELD_LIST, FIELD_REQUIRED, offsetof(struct message_view, recipients), 0, 0,
     NULL, &email_message_shape, "What became of it for each, by address."},
};
static const struct shape message_shape = SHAPE("EmailFate", struct message_view, message_fields);

struct finding {
    struct call *call;
    struct uuid id;
    struct mail_fate fate;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    const struct uuid *bound = app_bound(f->call);
    int r = mail_fate_find(t, f->call->arena, bound, &f->id, &f->fate);

    if (r)
        return r == MAIL_LOG_UNKNOWN ? PROBLEM_NOT_FOUND : r;
    email_logs_veil(bound, f->fate.recipients, f->fate.n);
    if (bound)
        f->fate.problem = tenant_words_error(f->fate.problem);
    return 0;
}

/* The events of a recipient. */
static int view_events(struct call *call, const struct mail_fate *fate, const struct uuid *log_id,
                       struct shape_list *ret)
{
    struct email_event_view *views = arena_array(call->arena, fate->n_events + 1, sizeof *views);
    size_t n = 0;

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < fate->n_events; i++)
        if (uuid_eq(&fate->events[i].log_id, log_id))
            views[n++] = email_event_view(&fate->events[i]);
    *ret = (struct shape_list){views, n};
    return 0;
}

static int view_recipients(struct call *call, const struct mail_fate *fate, struct shape_list *ret)
{
    struct email_message_view *views = arena_array(call->arena, fate->n, sizeof *views);
    int r = views ? 0 : FAULT_MEMORY;

    for (size_t i = 0; r == 0 && i < fate->n; i++) {
        views[i].log = email_log_view(&fate->recipients[i]);
        r = view_events(call, fate, &views[i].log.id, &views[i].events);
    }
    if (r == 0)
        *ret = (struct shape_list){views, fate->n};
    return r;
}

static int get_email(struct call *call)
{
    struct finding f = {.call = call};
    int r = call_param_id(call, 0, &f.id);

    if (r == 0)
        r = store_read(app_of(call)->store, find_job, &f);
    if (r)
        return r;
    const struct mail_log_entry *first = &f.fate.recipients[0];
    struct message_view view = {.id = f.id,
                                .status = mail_fate_status(f.fate.recipients, f.fate.n),
                                .subject = first->subject,
                                .template_name = first->template_name,
                                .transport = first->transport,
                                .last_error = f.fate.problem,
                                .created_at = first->created_at,
                                .attempts = f.fate.attempts,
                                .next_attempt_at = f.fate.next_at};
    r = view_recipients(call, &f.fate, &view.recipients);
    return r ? r : call_reply(call, &view);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_POST, "/v1/emails", PERMIT_SENDER, LANE_WORKER, 0, 202, NULL, &email_shape,
     &accepted_shape, "Send a message: accepted is on disk, and handed over at most once",
     post_email, ROUTE_PROBLEM(PROBLEM_IDEMPOTENCY_CONFLICT) | ROUTE_PROBLEM(PROBLEM_SUPPRESSED) |
     ROUTE_PROBLEM(PROBLEM_MAIL_OFF) | ROUTE_PROBLEM(PROBLEM_OUTBOX_FULL)},
    {HTTP_GET, "/v1/emails/:id", PERMIT_SENDER, LANE_WORKER, 0, 200, NULL, NULL, &message_shape,
     "What became of a message, by recipient", get_email},
};
/* clang-format on */

const struct route_table api_emails = ROUTE_TABLE("Mail", routes);
