/*
 * Setting Amazon up for mail that is watched: what has to be there (an identity that may send, a
 * topic that hears of bounces, complaints and deliveries, our endpoint subscribed to it), what of
 * it is, and the calls that would mend the rest.
 *
 * Rooms: mail and below. Ownership: texts live in the caller's arena or are the caller's. Threads:
 * one; looking and doing block.
 */
#ifndef HOLDFAST_MAIL_SES_SETUP_H
#define HOLDFAST_MAIL_SES_SETUP_H

#include "base/arena.h"
#include "mail/ses_answer.h"
#include "net/aws.h"

enum {
    SES_SETUP_ACTIONS_MAX = 12,
    SES_SETUP_PARAMS_MAX = 6,
    SES_SETUP_TOKENS_MAX = 8,
    SES_SETUP_TOPIC_NAME_MAX = 256, /* what SNS takes */
    /* What an arena needs. */
    SES_SETUP_ARENA_MAX = 8 * 1024 * 1024
};

enum ses_notice { SES_NOTICE_BOUNCE, SES_NOTICE_COMPLAINT, SES_NOTICE_DELIVERY, SES_NOTICES };

struct ses_setup_want {
    struct str identity;        /* a domain or an address, in lower case */
    struct str sender;          /* the address that messages come from; empty: not known */
    struct str topic_arn;       /* in the region; empty: topic_name in this account */
    struct str topic_name;      /* letters, digits, hyphens, underscores */
    struct str endpoint;        /* the URL that SNS is to call */
    const struct str *accepted; /* topics that the server listens to: SNS_TOPIC_ARNS */
    size_t accepted_count;
    bool production; /* SES's sandbox is not enough */
};

enum ses_setup_check {
    SES_CHECK_SENDING,  /* the account may send */
    SES_CHECK_IDENTITY, /* the identity is verified */
    SES_CHECK_DKIM,     /* of a domain */
    SES_CHECK_SENDER,   /* the identity's settings are those of the sender */
    SES_CHECK_TOPIC,
    SES_CHECK_BOUNCES, /* in the order of enum ses_notice */
    SES_CHECK_COMPLAINTS,
    SES_CHECK_DELIVERIES,
    SES_CHECK_SETTING, /* SNS_TOPIC_ARNS */
    SES_CHECK_SUBSCRIPTION,
    SES_CHECKS
};

enum ses_setup_state {
    SES_SETUP_ABSENT, /* not looked at: it does not apply */
    SES_SETUP_OK,
    SES_SETUP_NOTE,    /* in order, but to be known */
    SES_SETUP_UNKNOWN, /* AWS does not say */
    SES_SETUP_WAITING, /* a person has something to do */
    SES_SETUP_MISSING  /* an action mends it */
};

struct ses_setup_row {
    enum ses_setup_state state;
    const char *found;
    const char *todo; /* for a person; NULL: nothing */
};

/* A field of the form, an option of the aws command, or both. */
struct ses_setup_param {
    const char *field, *option; /* NULL: not there */
    struct str value;           /* empty: the option is a switch */
};

struct ses_setup_action {
    enum ses_setup_check check; /* what it mends */
    const char *what;           /* "Send bounces to the topic" */
    enum aws_service service;
    const char *name, *command; /* "CreateTopic", "create-topic" */
    struct ses_setup_param params[SES_SETUP_PARAMS_MAX];
    size_t param_count;
    bool tried;
    int outcome; /* of trying: 0, or an enum aws_outcome with error */
    struct aws_error error;
};

enum ses_setup_subscription { SES_UNSUBSCRIBED, SES_SUBSCRIPTION_PENDING, SES_SUBSCRIBED };

/* What is there. Texts are of the arena; empty: none. */
struct ses_setup_seen {
    bool account_known;
    struct ses_account account;
    struct aws_error account_error;
    struct str verification; /* "Success", "Pending", ...; empty: there is no such identity */
    bool sender_is_identity; /* besides the identity */
    struct str dkim;         /* "Success", "Pending", "NotStarted", ... */
    bool dkim_enabled;
    struct str tokens[SES_SETUP_TOKENS_MAX];
    size_t token_count;
    struct str topic_arn;
    bool topic_is_there;
    struct str topic_key; /* that it is encrypted with */
    struct str notice_topics[SES_NOTICES];
    bool notice_headers[SES_NOTICES];
    enum ses_setup_subscription subscription;
    struct str subscription_arn; /* of one that is confirmed */
    bool raw;                    /* messages come without their signature */
};

struct ses_setup {
    struct aws *aws;
    struct arena *arena;
    struct ses_setup_want want;
    struct ses_setup_seen seen;
    struct ses_setup_row rows[SES_CHECKS];
    struct ses_setup_action actions[SES_SETUP_ACTIONS_MAX];
    size_t action_count;
    /* Where looking failed. */
    const char *doing; /* "SNS's GetTopicAttributes" */
    struct aws_error error;
};

/*
 * Looks at what is there and plans: rows and actions are of now. Nothing is changed. Returns 0; an
 * enum aws_outcome with doing and error; or a fault.
 */
int ses_setup_look(struct ses_setup *s);

/* Does one action, and notes in it how it ended. Returns 0 or a fault. */
int ses_setup_do(struct ses_setup *s, struct ses_setup_action *action);

/* Whether nothing is left to do for anybody. */
bool ses_setup_is_complete(const struct ses_setup *s);

/* The action as a line for a shell. Returns 0 or a fault of the buffer. */
int ses_setup_command(const struct ses_setup *s, const struct ses_setup_action *action,
                      struct buf *out);

/* Names as output has them: "bounces"; "ok", "waiting". */
const char *ses_setup_check_name(enum ses_setup_check check);
const char *ses_setup_state_name(enum ses_setup_state state);

/* Whether a text is an identity: an address, or a domain with a dot, in lower case. */
bool ses_setup_identity_is_good(struct str identity);
bool ses_setup_topic_name_is_good(struct str name);

/* Where the DKIM keys of a region are kept: TOKEN._domainkey of a domain is an alias of TOKEN
 * there. */
enum { SES_SETUP_ZONE_SIZE = 64 };
void ses_setup_dkim_zone(struct str region, char ret[SES_SETUP_ZONE_SIZE]);

/* The parts of ses_setup_look. */
int ses_setup_read(struct ses_setup *s);
int ses_setup_plan(struct ses_setup *s);

/* Calls, and again where AWS asks for patience. As aws_call; *ret_error is set for an outcome. */
int ses_setup_call(struct ses_setup *s, const struct aws_request *request, struct buf *answer,
                   struct aws_error *ret_error);

/* Begins a form to a service in the version that is spoken here. */
void ses_setup_form(struct buf *form, enum aws_service service, const char *action);

#endif
