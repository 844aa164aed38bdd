/*
 * What each event of Amazon SES does: one table of rows, looked up by kind, type, subtype and kind
 * of complaint.
 * Rooms: mail and below. Ownership: static. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SES_RULES_H
#define HOLDFAST_MAIL_SES_RULES_H

#include "mail/ses_event.h"

/*
 * What the event makes of the message to this recipient. In the order of precedence: whatever the
 * order of arrival, the greatest of all events stands.
 */
enum ses_state {
    SES_STATE_NONE, /* says nothing of it */
    SES_STATE_SENT,
    SES_STATE_DELAYED,
    SES_STATE_DELIVERED,
    SES_STATE_SUPPRESSED, /* by the provider, which never sent it */
    SES_STATE_REJECTED,
    SES_STATE_BOUNCED,
    SES_STATE_COMPLAINED
};

/* What is to be done about the recipient. */
enum ses_action {
    SES_ACTION_NONE,
    SES_ACTION_INVALIDATE,  /* the address is dead: suppress it as bounced */
    SES_ACTION_SUPPRESS,    /* suppress it; where it is already, the reason stays as it is */
    SES_ACTION_SOFT_COUNT,  /* one message more that could not be delivered just now */
    SES_ACTION_SOFT_RESET,  /* a delivery: forget those */
    SES_ACTION_UNSUBSCRIBE, /* it wants no mail: suppress it as complained */
    SES_ACTION_ALERT        /* nothing about the recipient; the operator has to know */
};

struct ses_rule {
    enum ses_state state;
    bool counted; /* in the rate of bounces or of complaints */
    enum ses_action action;
};

/* The rule for an event; every combination has one. */
const struct ses_rule *ses_rule_of(enum ses_kind kind, enum ses_type type, enum ses_subtype subtype,
                                   enum ses_feedback feedback);

static inline const struct ses_rule *ses_rule_of_event(const struct ses_event *event)
{
    return ses_rule_of(event->kind, event->type, event->subtype, event->feedback);
}

#endif
