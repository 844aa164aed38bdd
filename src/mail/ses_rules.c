#include "mail/ses_rules.h"

/* Stands for every value; the first row that fits is taken. */
enum { ANY = -1 };

struct row {
    int kind, type, subtype, feedback;
    struct ses_rule rule;
};

#define BOUNCE(type, subtype) SES_BOUNCE, (type), (subtype), ANY
#define COMPLAINT(subtype, feedback) SES_COMPLAINT, ANY, (subtype), (feedback)
#define OTHER(kind) (kind), ANY, ANY, ANY

static const struct row rows[] = {
    /* Never sent by SES: such a bounce says nothing new of the address, and costs no reputation. */
    {BOUNCE(SES_TYPE_PERMANENT, SES_SUBTYPE_ON_ACCOUNT_LIST),
     {SES_STATE_SUPPRESSED, false, SES_ACTION_SUPPRESS}},
    {BOUNCE(SES_TYPE_PERMANENT, SES_SUBTYPE_ON_TENANT_LIST),
     {SES_STATE_SUPPRESSED, false, SES_ACTION_SUPPRESS}},
    {BOUNCE(SES_TYPE_PERMANENT, SES_SUBTYPE_VALIDATION_SUPPRESSED),
     {SES_STATE_SUPPRESSED, false, SES_ACTION_SUPPRESS}},
    {BOUNCE(SES_TYPE_PERMANENT, SES_SUBTYPE_UNSUBSCRIBED),
     {SES_STATE_SUPPRESSED, false, SES_ACTION_SUPPRESS}},
    /* General, NoEmail, Suppressed (AWS counts it), and what SES may add. */
    {BOUNCE(SES_TYPE_PERMANENT, ANY), {SES_STATE_BOUNCED, true, SES_ACTION_INVALIDATE}},

    /* An out-of-office reply comes as Transient/General, after the delivery. */
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_GENERAL), {SES_STATE_NONE, false, SES_ACTION_NONE}},
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_MAILBOX_FULL),
     {SES_STATE_BOUNCED, false, SES_ACTION_SOFT_COUNT}},
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_CUSTOM_TIMEOUT),
     {SES_STATE_BOUNCED, false, SES_ACTION_SOFT_COUNT}},
    /* The content's fault. */
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_MESSAGE_TOO_LARGE),
     {SES_STATE_BOUNCED, false, SES_ACTION_NONE}},
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_CONTENT_REJECTED),
     {SES_STATE_BOUNCED, false, SES_ACTION_NONE}},
    {BOUNCE(SES_TYPE_TRANSIENT, SES_SUBTYPE_ATTACHMENT_REJECTED),
     {SES_STATE_BOUNCED, false, SES_ACTION_NONE}},
    /* Undetermined, and what is not known: logged only. */
    {BOUNCE(ANY, ANY), {SES_STATE_NONE, false, SES_ACTION_NONE}},

    /* "OnAccountSuppressionList": never sent, so nobody complained. */
    {COMPLAINT(SES_SUBTYPE_ON_ACCOUNT_LIST, ANY), {SES_STATE_SUPPRESSED, false, SES_ACTION_NONE}},
    {COMPLAINT(SES_SUBTYPE_ON_TENANT_LIST, ANY), {SES_STATE_SUPPRESSED, false, SES_ACTION_NONE}},
    {COMPLAINT(ANY, SES_FEEDBACK_NOT_SPAM), {SES_STATE_NONE, false, SES_ACTION_NONE}},
    {COMPLAINT(ANY, SES_FEEDBACK_AUTH_FAILURE), {SES_STATE_NONE, false, SES_ACTION_ALERT}},
    /* abuse, fraud, virus, other, absent, unknown. */
    {COMPLAINT(ANY, ANY), {SES_STATE_COMPLAINED, true, SES_ACTION_UNSUBSCRIBE}},

    {OTHER(SES_SEND), {SES_STATE_SENT, false, SES_ACTION_NONE}},
    {OTHER(SES_DELIVERY), {SES_STATE_DELIVERED, false, SES_ACTION_SOFT_RESET}},
    {OTHER(SES_DELIVERY_DELAY), {SES_STATE_DELAYED, false, SES_ACTION_NONE}},
    {OTHER(SES_REJECT), {SES_STATE_REJECTED, false, SES_ACTION_NONE}},
    {OTHER(SES_RENDERING_FAILURE), {SES_STATE_REJECTED, false, SES_ACTION_NONE}},
    /* Open, Click, Subscription, SES_SETUP and SES_UNKNOWN. */
    {OTHER(ANY), {SES_STATE_NONE, false, SES_ACTION_NONE}},
};

static bool fits(int wanted, int given)
{
    return wanted == ANY || wanted == given;
}

const struct ses_rule *ses_rule_of(enum ses_kind kind, enum ses_type type, enum ses_subtype subtype,
                                   enum ses_feedback feedback)
{
    size_t last = sizeof rows / sizeof *rows - 1, i = 0;

    while (i < last &&
           !(fits(rows[i].kind, (int)kind) && fits(rows[i].type, (int)type) &&
             fits(rows[i].subtype, (int)subtype) && fits(rows[i].feedback, (int)feedback)))
        i++;
    return &rows[i].rule;
}
