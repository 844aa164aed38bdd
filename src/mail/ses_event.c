#include "mail/ses_event.h"

#include "base/clock.h"
#include "base/fault.h"
#include "mail/recipient.h"
#include "mail/ses_words.h"
#include "mail/strict_json.h"

/* What an event is read with. */
struct reading {
    struct arena *arena;
    const json_t *mail;   /* NULL where there is none */
    const json_t *object; /* what the kind is described by; NULL where there is none */
    const struct ses_form *form;
    struct ses_event *event;
    struct str *sent_to; /* the message's recipients, in order */
    size_t n_sent_to;
    bool alone; /* it had one */
};

/* Keeps a text that outlives the tree; NULL stays empty. */
static int keep(struct arena *arena, struct str text, struct str *ret_text)
{
    struct str kept = {"", 0};

    if (text.n > 0)
        kept = arena_str(arena, text);
    if (!kept.p)
        return FAULT_MEMORY;
    *ret_text = kept;
    return 0;
}

static int take_word(struct reading *r, const char *key, struct str *ret_word)
{
    struct str word;

    if (strict_json_text(r->object, key, SES_WORD_MAX, &word))
        return SES_EVENT_BAD_MEMBER;
    return keep(r->arena, str_trim(word), ret_word);
}

static int take_id(struct reading *r, const json_t *object, const char *key, struct str *ret_id)
{
    struct str id;

    if (strict_json_text(object, key, SES_ID_MAX, &id))
        return SES_EVENT_BAD_MEMBER;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return SES_EVENT_BAD_MEMBER;
    return keep(r->arena, id, ret_id);
}

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/*
 * A stranger's text of at most max bytes. It is never a reason to lose an event: what is too long
 * is cut, controls become spaces, and what is no string is left out.
 */
static int take_strange(struct reading *r, const json_t *object, const char *key, size_t max,
                        struct str *ret_text)
{
    struct str text = str_cut(text_of(json_object_get(object, key)), max);
    char clean[SES_DETAIL_MAX];

    str_without_controls(text, clean);
    return keep(r->arena, str_trim((struct str){clean, text.n}), ret_text);
}

static int take_detail(struct reading *r, const json_t *object, const char *key,
                       struct str *ret_detail)
{
    return take_strange(r, object, key, SES_DETAIL_MAX, ret_detail);
}

static int take_time(const json_t *object, int64_t *ret_at)
{
    struct str text;
    int64_t at;

    if (strict_json_text(object, "timestamp", SES_TIME_MAX, &text))
        return SES_EVENT_BAD_MEMBER;
    if (!text.p)
        return 0;
    if (clock_parse(text, &at) || at < 0)
        return SES_EVENT_BAD_TIME;
    *ret_at = at;
    return 0;
}

/* Tags are lists of values, of which the first is taken. */
static int take_tag(struct reading *r, const char *name, struct str *ret_value)
{
    const json_t *tags = json_object_get(r->mail, "tags");
    struct str value = text_of(json_array_get(json_object_get(tags, name), 0));

    return value.n > SES_TAG_MAX ? SES_EVENT_BAD_MEMBER : keep(r->arena, value, ret_value);
}

/* One to three digits at *i. */
static bool take_digits(struct str s, size_t *i)
{
    size_t start = *i;

    while (*i < s.n && *i < start + 3 && s.p[*i] >= '0' && s.p[*i] <= '9')
        ++*i;
    return *i > start;
}

/* class "." subject "." detail (RFC 3463, section 2). */
static bool is_status(struct str s)
{
    size_t i = 1;

    return s.n >= 5 && (s.p[0] == '2' || s.p[0] == '4' || s.p[0] == '5') && s.p[i++] == '.' &&
           take_digits(s, &i) && i < s.n && s.p[i++] == '.' && take_digits(s, &i) && i == s.n;
}

static int compare_texts(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_compare(*x, *y);
}

/* The addresses that the message went to; none where it does not say. */
static int take_destination(struct reading *r)
{
    const json_t *list = json_object_get(r->mail, "destination");
    size_t size = json_array_size(list);

    if (size > SES_RECIPIENTS_MAX)
        return SES_EVENT_TOO_LARGE;
    r->sent_to = arena_array(r->arena, size + 1, sizeof *r->sent_to);
    if (!r->sent_to)
        return FAULT_MEMORY;
    for (size_t i = 0; i < size; i++) {
        char address[EMAIL_ADDRESS_SIZE];
        size_t n;
        if (recipient_parse(text_of(json_array_get(list, i)), address, &n))
            continue;
        if (keep(r->arena, (struct str){address, n}, &r->sent_to[r->n_sent_to]))
            return FAULT_MEMORY;
        r->n_sent_to++;
    }
    qsort(r->sent_to, r->n_sent_to, sizeof *r->sent_to, compare_texts);
    r->alone = size == 1 && r->n_sent_to == 1;
    return 0;
}

/*
 * Whom an entry is about. A bounce names its recipient by what the receiving server wrote into its
 * report (Final-Recipient, RFC 3464), which may be anybody. Returns 0, 1 where it names no address,
 * or FAULT_MEMORY.
 */
static int take_address(struct reading *r, struct str typed, struct ses_recipient *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (r->alone) {
        ret->address = r->sent_to[0];
        return 0;
    }
    if (recipient_parse(typed, address, &n))
        return 1;
    int e = keep(r->arena, (struct str){address, n}, &ret->address);
    if (e == 0 && r->n_sent_to > 0)
        ret->foreign =
            !bsearch(&ret->address, r->sent_to, r->n_sent_to, sizeof *r->sent_to, compare_texts);
    r->event->foreign_count += ret->foreign;
    return e;
}

/* Returns 0, 1 where the entry names no address, or a fault. */
static int take_recipient(struct reading *r, const json_t *entry, struct ses_recipient *ret)
{
    struct str typed =
        text_of(json_is_object(entry) ? json_object_get(entry, "emailAddress") : entry);
    struct str status = str_trim(text_of(json_object_get(entry, "status")));
    struct str action = str_trim(text_of(json_object_get(entry, "action")));
    int e = take_address(r, typed, ret);

    if (e || (e = keep(r->arena, is_status(status) ? status : STR(""), &ret->status)) ||
        (e = keep(r->arena, action.n <= SES_WORD_MAX ? action : STR(""), &ret->action)))
        return e;
    return take_detail(r, entry, "diagnosticCode", &ret->diagnostic);
}

static int take_recipients(struct reading *r)
{
    bool own = r->form && r->form->recipients;
    const json_t *list = own ? json_object_get(r->object, r->form->recipients)
                             : json_object_get(r->mail, "destination");
    size_t n = json_array_size(list), count = 0;
    struct ses_recipient *recipients;

    if (n == 0)
        return SES_EVENT_NO_RECIPIENTS;
    if (n > SES_RECIPIENTS_MAX)
        return SES_EVENT_TOO_LARGE;
    int e = own ? take_destination(r) : 0;
    if (e)
        return e;
    recipients = arena_array(r->arena, n, sizeof *recipients);
    if (!recipients)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        e = take_recipient(r, json_array_get(list, i), &recipients[count]);
        if (e < 0)
            return e;
        count += e == 0;
    }
    r->event->recipients = recipients;
    r->event->recipient_count = count;
    r->event->bad_count = n - count;
    return 0;
}

static int take_types(struct reading *r)
{
    struct ses_event *event = r->event;
    int e = 0;

    if (event->kind == SES_BOUNCE) {
        if ((e = take_word(r, "bounceType", &event->type_text)) ||
            (e = take_word(r, "bounceSubType", &event->subtype_text)))
            return e;
        event->type = ses_type_of(event->type_text);
        event->subtype = ses_subtype_of(event->subtype_text);
    } else if (event->kind == SES_COMPLAINT) {
        if ((e = take_word(r, "complaintSubType", &event->subtype_text)) ||
            /* The recipient's provider has chosen this word. */
            (e = take_strange(r, r->object, "complaintFeedbackType", SES_WORD_MAX,
                              &event->feedback_text)))
            return e;
        event->subtype = ses_subtype_of(event->subtype_text);
        event->feedback = ses_feedback_of(event->feedback_text);
    } else if (event->kind == SES_DELIVERY_DELAY) {
        e = take_word(r, "delayType", &event->type_text);
    }
    return e;
}

/* The object's own time; of what has none, the message's. */
static int take_times(struct reading *r)
{
    int e = take_time(r->mail, &r->event->at);

    return e ? e : take_time(r->object, &r->event->at);
}

static int take_all(struct reading *r)
{
    struct ses_event *event = r->event;
    bool about_nobody = event->kind == SES_UNKNOWN || event->kind == SES_SETUP;
    int e;

    if ((e = take_id(r, r->mail, "messageId", &event->message_id)) ||
        (e = take_id(r, r->object, "feedbackId", &event->feedback_id)) || (e = take_types(r)) ||
        (e = take_times(r)) || (e = take_tag(r, "template", &event->template_name)) ||
        (e = take_tag(r, "tenant", &event->tenant)))
        return e;
    if (r->form && r->form->detail)
        e = take_detail(r, r->object, r->form->detail, &event->detail);
    if (!e)
        e = take_recipients(r);
    return e == SES_EVENT_NO_RECIPIENTS && about_nobody ? 0 : e;
}

/* What the body says it is: by a word, or by holding a bounce or a complaint alone. */
static int take_kind(struct reading *r, const json_t *tree)
{
    struct str notification, event;
    bool bounce = json_is_object(json_object_get(tree, "bounce"));
    bool complaint = json_is_object(json_object_get(tree, "complaint"));
    int e;

    if (strict_json_text(tree, "notificationType", SES_WORD_MAX, &notification) ||
        strict_json_text(tree, "eventType", SES_WORD_MAX, &event))
        return SES_EVENT_BAD_MEMBER;
    if (notification.p && event.p && !str_eq(notification, event))
        return SES_EVENT_NO_KIND;
    if (!notification.p && !event.p) {
        if (bounce == complaint)
            return SES_EVENT_NO_KIND;
        r->form = ses_form_of_kind(bounce ? SES_BOUNCE : SES_COMPLAINT);
        event = r->form->word;
    }
    e = keep(r->arena, event.p ? event : notification, &r->event->kind_text);
    if (!e && r->event->kind_text.n == 0)
        e = SES_EVENT_NO_KIND;
    if (!e)
        r->form = ses_form_of(r->event->kind_text);
    return e;
}

static int take_objects(struct reading *r, const json_t *tree)
{
    const json_t *mail = json_object_get(tree, "mail");

    if (mail && !json_is_null(mail) && !json_is_object(mail))
        return SES_EVENT_BAD_MEMBER;
    r->mail = json_is_object(mail) ? mail : NULL;
    if (!r->form || !r->form->object)
        return 0;
    r->object = json_object_get(tree, r->form->object);
    if (!json_is_object(r->object))
        r->object = NULL;
    return r->object || !r->form->recipients ? 0 : SES_EVENT_NO_OBJECT;
}

/* SES writes this into a topic that events are to be published to, as plain text. */
static bool is_greeting(struct str body)
{
    return str_has_prefix(body, STR("Successfully validated SNS topic"));
}

static struct ses_event empty_event(void)
{
    const struct str none = {"", 0};

    return (struct ses_event){.kind_text = none,
                              .type_text = none,
                              .subtype_text = none,
                              .feedback_text = none,
                              .message_id = none,
                              .feedback_id = none,
                              .template_name = none,
                              .tenant = none,
                              .detail = none};
}

static int read_tree(const json_t *tree, struct arena *arena, struct ses_event *event)
{
    struct reading r = {.arena = arena, .event = event};
    int e = take_kind(&r, tree);

    if (e)
        return e;
    event->kind = r.form ? r.form->kind : SES_UNKNOWN;
    e = take_objects(&r, tree);
    return e ? e : take_all(&r);
}

int ses_event_parse(struct str body, struct arena *arena, struct ses_event *ret_event)
{
    struct ses_event event = empty_event();
    _cleanup_json_ json_t *tree = NULL;
    int e;

    if (body.n > SES_BODY_MAX)
        return SES_EVENT_TOO_LARGE;
    if (is_greeting(body)) {
        event.kind = SES_SETUP;
        *ret_event = event;
        return 0;
    }
    e = strict_json_mend(body, arena, &body);
    if (!e)
        e = strict_json_load(body, &tree);
    if (e)
        return e < 0 ? e : SES_EVENT_NOT_JSON;
    e = read_tree(tree, arena, &event);
    if (!e)
        *ret_event = event;
    return e;
}

const char *ses_event_outcome_text(int outcome)
{
    static const char *const texts[SES_EVENT_OUTCOMES] = {
        [SES_EVENT_NOT_JSON] = "the event is not one JSON object",
        [SES_EVENT_TOO_LARGE] = "the event is too large or names too many recipients",
        [SES_EVENT_NO_KIND] = "the event does not say what it is about",
        [SES_EVENT_NO_OBJECT] = "the event lacks the object of its type",
        [SES_EVENT_BAD_MEMBER] = "a member of the event is of a wrong type or too long",
        [SES_EVENT_BAD_TIME] = "the event's timestamp is not a time",
        [SES_EVENT_NO_RECIPIENTS] = "the event names no recipients",
    };

    return outcome > 0 && outcome < SES_EVENT_OUTCOMES ? texts[outcome] : "";
}
