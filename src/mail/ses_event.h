/*
 * What Amazon SES tells of a message, from whichever of its forms: identity notifications
 * (notificationType), event publishing (eventType), and the plain bodies that hold a bounce or a
 * complaint alone.
 * Rooms: mail and below. Ownership: all text of an event lies in the caller's arena. Threads: any.
 *
 * Members that are not read here are ignored: SES reserves the right to add some. Words that are
 * not known become *_UNKNOWN and keep their text. Words are compared without regard to case.
 */
#ifndef HOLDFAST_MAIL_SES_EVENT_H
#define HOLDFAST_MAIL_SES_EVENT_H

#include "base/arena.h"

enum {
    SES_BODY_MAX = 256 * 1024,
    SES_RECIPIENTS_MAX = 5000,
    SES_ID_MAX = 200,      /* bytes of a messageId or feedbackId, printable ASCII without spaces */
    SES_WORD_MAX = 64,     /* bytes of a type */
    SES_TIME_MAX = 64,     /* bytes of a time as text */
    SES_TAG_MAX = 256,     /* bytes of a tag's value, which is all that SES allows */
    SES_DETAIL_MAX = 1000, /* bytes of a text for people; what is longer is cut */
    /* What an arena needs for any event. */
    SES_ARENA_MAX = 4 * 1024 * 1024
};

enum ses_kind {
    SES_UNKNOWN, /* a kind that SES has since added; kind_text says which */
    SES_SEND,
    SES_DELIVERY,
    SES_DELIVERY_DELAY,
    SES_BOUNCE,
    SES_COMPLAINT,
    SES_REJECT,
    SES_OPEN,
    SES_CLICK,
    SES_RENDERING_FAILURE,
    SES_SUBSCRIPTION,
    SES_SETUP /* what SES says when a topic is set up; it is about no message */
};

/* bounceType. */
enum ses_type {
    SES_TYPE_NONE, /* not a bounce */
    SES_TYPE_PERMANENT,
    SES_TYPE_TRANSIENT,
    SES_TYPE_UNDETERMINED,
    SES_TYPE_UNKNOWN /* absent, too */
};

/* bounceSubType and complaintSubType. */
enum ses_subtype {
    SES_SUBTYPE_NONE, /* absent or null */
    SES_SUBTYPE_GENERAL,
    SES_SUBTYPE_NO_EMAIL,
    SES_SUBTYPE_SUPPRESSED,
    SES_SUBTYPE_ON_ACCOUNT_LIST,
    SES_SUBTYPE_ON_TENANT_LIST,
    SES_SUBTYPE_VALIDATION_SUPPRESSED,
    SES_SUBTYPE_UNSUBSCRIBED,
    SES_SUBTYPE_MAILBOX_FULL,
    SES_SUBTYPE_CUSTOM_TIMEOUT,
    SES_SUBTYPE_MESSAGE_TOO_LARGE,
    SES_SUBTYPE_CONTENT_REJECTED,
    SES_SUBTYPE_ATTACHMENT_REJECTED,
    SES_SUBTYPE_UNDETERMINED,
    SES_SUBTYPE_UNKNOWN
};

/* complaintFeedbackType (RFC 5965, section 7.3). */
enum ses_feedback {
    SES_FEEDBACK_NONE, /* absent or null */
    SES_FEEDBACK_ABUSE,
    SES_FEEDBACK_FRAUD,
    SES_FEEDBACK_VIRUS,
    SES_FEEDBACK_OTHER,
    SES_FEEDBACK_NOT_SPAM,
    SES_FEEDBACK_AUTH_FAILURE,
    SES_FEEDBACK_UNKNOWN
};

struct ses_recipient {
    struct str address;    /* as email_address_normalise writes it */
    struct str status;     /* such as "5.1.1" (RFC 3463, section 2), or empty */
    struct str action;     /* such as "failed" (RFC 3464, section 2.3.3), or empty */
    struct str diagnostic; /* what the other server said, cut at SES_DETAIL_MAX; or empty */
    bool foreign;          /* the message had several recipients, and this is none of them */
};

struct ses_event {
    enum ses_kind kind;
    enum ses_type type;
    enum ses_subtype subtype;
    enum ses_feedback feedback;
    /* The provider's own words for these; empty where there was none. type_text is the delayType
     * of a delay. */
    struct str kind_text, type_text, subtype_text, feedback_text;

    struct str message_id;  /* empty in a plain body without mail */
    struct str feedback_id; /* of bounces and complaints; may be empty */
    int64_t at;             /* when it happened by the provider's clock, ms; 0: it does not say */
    struct str template_name, tenant; /* the message tags "template" and "tenant", or empty */
    /*
     * smtpResponse, reason, errorMessage or link, whichever the kind has, cut at SES_DETAIL_MAX.
     * Neither it nor a diagnostic nor feedback_text holds control characters.
     */
    struct str detail;

    const struct ses_recipient *recipients;
    size_t recipient_count;
    size_t bad_count;     /* entries that name no address and were left out */
    size_t foreign_count; /* of the recipients */
};

enum ses_event_outcome {
    SES_EVENT_NOT_JSON = 1,  /* not one strict JSON object */
    SES_EVENT_TOO_LARGE,     /* past SES_BODY_MAX or SES_RECIPIENTS_MAX */
    SES_EVENT_NO_KIND,       /* says of no kind, or of two, what it is about */
    SES_EVENT_NO_OBJECT,     /* has not the object that its kind is described by */
    SES_EVENT_BAD_MEMBER,    /* a member that is read is of a wrong type or too long */
    SES_EVENT_BAD_TIME,      /* not a time, or one before 1970 */
    SES_EVENT_NO_RECIPIENTS, /* has no list of recipients, or an empty one */
    SES_EVENT_OUTCOMES
};

/*
 * Reads an event. Where the message went to one address alone, whatever befell it is that one's,
 * also where a bounce names another: that name is the receiving server's word. An entry of the
 * recipients that names no address is counted in bad_count and costs the others nothing;
 * recipient_count may be 0 for that reason, and is for SES_UNKNOWN and SES_SETUP where they name
 * nobody. Returns 0, an enum ses_event_outcome, or FAULT_MEMORY.
 */
int ses_event_parse(struct str body, struct arena *arena, struct ses_event *ret_event);

/* What the outcome means, in a few words for an answer or a log. */
const char *ses_event_outcome_text(int outcome);

/* Names as the store and the API have them, such as "delivery_delay"; static. */
const char *ses_kind_name(enum ses_kind kind);

#endif
