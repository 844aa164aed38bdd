#include "mail/ses_words.h"

/* SES calls the object of "Rendering Failure" plainly "failure". */
static const struct ses_form forms[] = {
    {STR_INIT("Send"), SES_SEND, "send", "send", NULL, NULL},
    {STR_INIT("Delivery"), SES_DELIVERY, "delivery", "delivery", "recipients", "smtpResponse"},
    {STR_INIT("DeliveryDelay"), SES_DELIVERY_DELAY, "delivery_delay", "deliveryDelay",
     "delayedRecipients", NULL},
    {STR_INIT("Bounce"), SES_BOUNCE, "bounce", "bounce", "bouncedRecipients", NULL},
    {STR_INIT("Complaint"), SES_COMPLAINT, "complaint", "complaint", "complainedRecipients", NULL},
    {STR_INIT("Reject"), SES_REJECT, "reject", "reject", NULL, "reason"},
    {STR_INIT("Open"), SES_OPEN, "open", "open", NULL, NULL},
    {STR_INIT("Click"), SES_CLICK, "click", "click", NULL, "link"},
    {STR_INIT("Rendering Failure"), SES_RENDERING_FAILURE, "rendering_failure", "failure", NULL,
     "errorMessage"},
    {STR_INIT("Subscription"), SES_SUBSCRIPTION, "subscription", "subscription", NULL, NULL},
    {STR_INIT("AmazonSnsSubscriptionSucceeded"), SES_SETUP, "setup", NULL, NULL, NULL},
};

struct word {
    struct str text;
    int value;
};

static const struct word types[] = {
    {STR_INIT("Permanent"), SES_TYPE_PERMANENT},
    {STR_INIT("Transient"), SES_TYPE_TRANSIENT},
    {STR_INIT("Undetermined"), SES_TYPE_UNDETERMINED},
};

static const struct word subtypes[] = {
    {STR_INIT(""), SES_SUBTYPE_NONE},
    {STR_INIT("General"), SES_SUBTYPE_GENERAL},
    {STR_INIT("NoEmail"), SES_SUBTYPE_NO_EMAIL},
    {STR_INIT("Suppressed"), SES_SUBTYPE_SUPPRESSED},
    {STR_INIT("OnAccountSuppressionList"), SES_SUBTYPE_ON_ACCOUNT_LIST},
    {STR_INIT("OnTenantSuppressionList"), SES_SUBTYPE_ON_TENANT_LIST},
    {STR_INIT("EmailValidationSuppressed"), SES_SUBTYPE_VALIDATION_SUPPRESSED},
    {STR_INIT("UnsubscribedRecipient"), SES_SUBTYPE_UNSUBSCRIBED},
    {STR_INIT("MailboxFull"), SES_SUBTYPE_MAILBOX_FULL},
    {STR_INIT("CustomTimeoutExceeded"), SES_SUBTYPE_CUSTOM_TIMEOUT},
    {STR_INIT("MessageTooLarge"), SES_SUBTYPE_MESSAGE_TOO_LARGE},
    {STR_INIT("ContentRejected"), SES_SUBTYPE_CONTENT_REJECTED},
    {STR_INIT("AttachmentRejected"), SES_SUBTYPE_ATTACHMENT_REJECTED},
    {STR_INIT("Undetermined"), SES_SUBTYPE_UNDETERMINED},
};

static const struct word feedbacks[] = {
    {STR_INIT(""), SES_FEEDBACK_NONE},
    {STR_INIT("abuse"), SES_FEEDBACK_ABUSE},
    {STR_INIT("fraud"), SES_FEEDBACK_FRAUD},
    {STR_INIT("virus"), SES_FEEDBACK_VIRUS},
    {STR_INIT("other"), SES_FEEDBACK_OTHER},
    {STR_INIT("not-spam"), SES_FEEDBACK_NOT_SPAM},
    {STR_INIT("auth-failure"), SES_FEEDBACK_AUTH_FAILURE},
};

static int find(const struct word *words, size_t n, struct str text, int otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_ci(words[i].text, text))
            return words[i].value;
    return otherwise;
}

enum ses_type ses_type_of(struct str word)
{
    return (enum ses_type)find(types, sizeof types / sizeof *types, word, SES_TYPE_UNKNOWN);
}

enum ses_subtype ses_subtype_of(struct str word)
{
    return (enum ses_subtype)find(subtypes, sizeof subtypes / sizeof *subtypes, word,
                                  SES_SUBTYPE_UNKNOWN);
}

enum ses_feedback ses_feedback_of(struct str word)
{
    return (enum ses_feedback)find(feedbacks, sizeof feedbacks / sizeof *feedbacks, word,
                                   SES_FEEDBACK_UNKNOWN);
}

const struct ses_form *ses_form_of(struct str word)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (str_eq_ci(forms[i].word, word))
            return &forms[i];
    return NULL;
}

const struct ses_form *ses_form_of_kind(enum ses_kind kind)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].kind == kind)
            return &forms[i];
    return NULL;
}

const char *ses_kind_name(enum ses_kind kind)
{
    const struct ses_form *form = ses_form_of_kind(kind);

    return form ? form->name : "unknown";
}
