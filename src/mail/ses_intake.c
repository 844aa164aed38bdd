#include "mail/ses_intake.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/sha256.h"
#include "mail/ses_rules.h"

static enum mail_state state_of(enum ses_state state)
{
    switch (state) {
    case SES_STATE_SENT:
        return MAIL_SENT;
    case SES_STATE_DELAYED:
        return MAIL_DELAYED;
    case SES_STATE_DELIVERED:
        return MAIL_DELIVERED;
    case SES_STATE_SUPPRESSED:
        return MAIL_SUPPRESSED;
    case SES_STATE_REJECTED:
        return MAIL_REJECTED;
    case SES_STATE_BOUNCED:
        return MAIL_BOUNCED;
    case SES_STATE_COMPLAINED:
        return MAIL_COMPLAINED;
    case SES_STATE_NONE:
        break;
    }
    return MAIL_NO_STATE;
}

static enum mail_action action_of(enum ses_action action)
{
    switch (action) {
    case SES_ACTION_INVALIDATE:
        return MAIL_ACTION_INVALIDATE;
    case SES_ACTION_SUPPRESS:
        return MAIL_ACTION_SUPPRESS;
    case SES_ACTION_SOFT_COUNT:
        return MAIL_ACTION_SOFT_COUNT;
    case SES_ACTION_SOFT_RESET:
        return MAIL_ACTION_SOFT_RESET;
    case SES_ACTION_UNSUBSCRIBE:
        return MAIL_ACTION_UNSUBSCRIBE;
    case SES_ACTION_ALERT:
        return MAIL_ACTION_ALERT;
    case SES_ACTION_NONE:
        break;
    }
    return MAIL_ACTION_NONE;
}

/* The first that is not empty. */
static struct str first_of(struct str a, struct str b)
{
    return a.n ? a : b;
}

/* SES's own words of it, such as "Permanent/General"; of a kind that is not known, its name. */
static int subtype_of(const struct ses_event *event, struct arena *arena, struct str *ret)
{
    if (event->kind == SES_UNKNOWN) {
        *ret = event->kind_text;
    } else if (event->kind != SES_BOUNCE || event->subtype_text.n == 0) {
        *ret = first_of(event->type_text, first_of(event->subtype_text, event->feedback_text));
    } else {
        char *text = arena_printf(arena, "%.*s/%.*s", STR_ARG(event->type_text),
                                  STR_ARG(event->subtype_text));
        if (!text)
            return FAULT_MEMORY;
        *ret = str_of(text);
    }
    return 0;
}

/* What an error is called where the recipient's server gave no code. */
static struct str reason_of(const struct ses_event *event)
{
    switch (event->kind) {
    case SES_BOUNCE:
        return first_of(event->subtype_text, event->type_text);
    case SES_COMPLAINT:
        return first_of(event->subtype_text, first_of(event->feedback_text, STR("complaint")));
    case SES_DELIVERY_DELAY:
        return event->type_text;
    case SES_REJECT:
    case SES_RENDERING_FAILURE:
        return str_of(ses_kind_name(event->kind));
    case SES_UNKNOWN:
    case SES_SEND:
    case SES_DELIVERY:
    case SES_OPEN:
    case SES_CLICK:
    case SES_SUBSCRIPTION:
    case SES_SETUP:
        break;
    }
    return STR("");
}

static int body_id(struct str body, struct arena *arena, struct str *ret)
{
    uint8_t digest[SHA256_SIZE];
    char hex[HEX_LENGTH(SHA256_SIZE) + 1];
    int r = sha256_parts(STR("holdfast mail body v1"), &body, 1, digest);

    if (r)
        return r;
    hex_encode(digest, sizeof digest, hex);
    *ret = arena_str(arena, (struct str){hex, HEX_LENGTH(SHA256_SIZE)});
    return ret->p ? 0 : FAULT_MEMORY;
}

/* What is the same for all recipients. */
static int common(const struct ses_event *event, struct str body, int64_t now, struct arena *arena,
                  struct mail_event *ret)
{
    const struct ses_rule *rule = ses_rule_of_event(event);

    *ret = (struct mail_event){.kind = str_of(ses_kind_name(event->kind)),
                               .provider_id = event->message_id,
                               .feedback_id = event->feedback_id,
                               .at = event->at ? event->at : now,
                               .state = state_of(rule->state),
                               .counted = rule->counted,
                               .action = action_of(rule->action)};
    int r = subtype_of(event, arena, &ret->subtype);
    if (r == 0 && event->at == 0 && event->feedback_id.n == 0)
        r = body_id(body, arena, &ret->feedback_id);
    return r;
}

int ses_intake_events(const struct ses_event *event, struct str body, int64_t now,
                      struct arena *arena, const struct mail_event **ret_events, size_t *ret_n)
{
    struct mail_event *events = arena_array(arena, event->recipient_count + 1, sizeof *events);
    struct mail_event all;

    if (!events)
        return FAULT_MEMORY;
    if (event->at > now + SES_INTAKE_AHEAD_MS)
        return SES_INTAKE_AHEAD;
    int r = common(event, body, now, arena, &all);
    if (r)
        return r;
    for (size_t i = 0; i < event->recipient_count; i++) {
        const struct ses_recipient *to = &event->recipients[i];
        events[i] = all;
        events[i].recipient = to->address;
        events[i].code = first_of(to->status, reason_of(event));
        events[i].detail = first_of(to->diagnostic, event->detail);
        /* On record, as all that comes; but nobody is to be silenced by another's server. */
        if (to->foreign) {
            events[i].state = MAIL_NO_STATE;
            events[i].counted = false;
            events[i].action = MAIL_ACTION_NONE;
        }
    }
    *ret_events = events;
    *ret_n = event->recipient_count;
    return 0;
}
