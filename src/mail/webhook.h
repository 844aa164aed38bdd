/*
 * Webhooks of mail: what providers send of what became of messages. Verified, then taken in, or
 * refused for one of the reasons below.
 *
 * Two forms are known: a plain body under X-Webhook-Signature (mail/webhook_signature.h), and a
 * message of Amazon SNS, which holds its signature. Nothing of a body is ever logged.
 * Rooms: mail and below. Ownership: webhook_new makes and webhook_free ends; the options' store,
 * trail, intake and trust outlive it, the rest is copied but for what the caller refers to.
 * Threads: any worker; webhook_admit any thread.
 */
#ifndef HOLDFAST_MAIL_WEBHOOK_H
#define HOLDFAST_MAIL_WEBHOOK_H

#include "mail/intake.h"
#include "mail/sns_call.h"
#include "shared/limiter.h"
#include "trail/trail.h"

enum { WEBHOOK_SECRETS_MAX = 9, WEBHOOK_BODY_MAX = SNS_BODY_MAX };

/* So many certificates are fetched in vain for a source, of the SNS_FETCHES_PER_MINUTE for all. */
enum { WEBHOOK_ERRANDS_PER_MINUTE = 3 };

struct webhook_options {
    struct store *store;
    struct trail *trail;
    struct intake *intake;
    const struct str *secrets; /* of plain bodies, the present one first; none: none are taken */
    size_t n_secrets;
    const struct str *topics; /* of SNS; none: none are taken */
    size_t n_topics;
    const struct certificate_trust *trust; /* NULL: sns_trust_new's, where there are topics */
    struct sns_caller caller;
};

struct webhook;

/* Returns 0; FAULT_LIMIT for too many secrets or topics, or one that is none; or another fault. */
int webhook_new(const struct webhook_options *options, struct webhook **ret);
void webhook_free(struct webhook *w);

/* What a plain body may tell of; a message of SNS may tell of anything, as topics are shared. */
enum webhook_path { WEBHOOK_BOUNCES, WEBHOOK_COMPLAINTS, WEBHOOK_EVENTS };

struct webhook_request {
    enum webhook_path path;
    struct str signature; /* X-Webhook-Signature; p is NULL where there is none */
    bool is_sns;          /* there is an x-amz-sns-message-type; else the body tells */
    struct str body;
    const struct in6_addr *address; /* of the sender; NULL: not limited */
    const struct trail_actor *actor;
};

/* Why one is refused, in the order of webhook_reasons. */
enum webhook_refusal {
    WEBHOOK_REFUSED_OFF = 1,    /* EMAIL_MONITORING_ENABLED is false */
    WEBHOOK_REFUSED_LIMITED,    /* too many refused ones from this address; nothing was looked at */
    WEBHOOK_REFUSED_UNSIGNED,   /* neither of the two forms */
    WEBHOOK_REFUSED_NO_SECRET,  /* plain, but SES_WEBHOOK_SECRET is not set */
    WEBHOOK_REFUSED_BAD_HEADER, /* X-Webhook-Signature is not of its form */
    WEBHOOK_REFUSED_BAD_SIGNATURE,   /* not that of the body */
    WEBHOOK_REFUSED_STALE,           /* signed too long ago, or in the future */
    WEBHOOK_REFUSED_SNS_MALFORMED,   /* not a message of SNS */
    WEBHOOK_REFUSED_SNS_TOPIC,       /* of a topic that is not ours */
    WEBHOOK_REFUSED_SNS_CERTIFICATE, /* not one of SNS */
    WEBHOOK_REFUSED_SNS_UNREACHABLE, /* the certificate cannot be had just now */
    WEBHOOK_REFUSED_BAD_EVENT,       /* authentic, but not an event */
    WEBHOOK_REFUSED_OTHER_KIND,      /* authentic, but not what this path is for */
    WEBHOOK_REFUSED_AHEAD,           /* authentic, but it happened in the future */
    WEBHOOK_REFUSED_NO_ADDRESS,      /* authentic, but none of its recipients is an address */
    WEBHOOK_REFUSED_NOT_CONFIRMED,   /* SNS refused the confirmation */
    WEBHOOK_REFUSED_CONFIRM_LATER,   /* SNS could not be reached to confirm */
    WEBHOOK_REFUSED_BUSY,            /* too much waits already */
    WEBHOOK_REFUSALS
};

/* What answers one of a kind. */
enum webhook_class {
    WEBHOOK_CLASS_FORBIDDEN,   /* not here, however it is signed */
    WEBHOOK_CLASS_TOO_MANY,    /* not now, from this address */
    WEBHOOK_CLASS_UNAUTHENTIC, /* not signed by whom it should be */
    WEBHOOK_CLASS_MALFORMED,   /* sent again, it would be refused again */
    WEBHOOK_CLASS_LATER        /* a fault of ours, which passes: it is to be sent again */
};

struct webhook_reason {
    const char *name; /* in /metrics */
    enum webhook_class class;
    bool counts; /* against the address of the sender */
    const char *text;
};
extern const struct webhook_reason webhook_reasons[WEBHOOK_REFUSALS];

/*
 * Whether this address is listened to now: from memory alone, before a body is received. Returns 0,
 * WEBHOOK_REFUSED_OFF, or WEBHOOK_REFUSED_LIMITED with *ret_state.
 */
int webhook_admit(struct webhook *w, const struct in6_addr *address,
                  struct limiter_state *ret_state);

/* Whether a request can be verified without calling anybody: on a thread that must not block. */
bool webhook_is_quick(const struct webhook_request *request);

enum { WEBHOOK_ANSWERED = WEBHOOK_REFUSALS /* of webhook_verify: there is nothing to take in */ };

/*
 * Verifies a request. Returns 0 with the events to take in, which live in the arena;
 * WEBHOOK_ANSWERED with *ret_result for what has none, such as a confirmation of SNS, which is
 * answered and recorded; an enum webhook_refusal, of which *ret_detail may say more in words of our
 * own (or is NULL); or a fault. The events are for intake_begin or intake_submit.
 */
int webhook_verify(struct webhook *w, const struct webhook_request *request, struct arena *arena,
                   int64_t now, struct intake_request *ret_events, struct intake_result *ret_result,
                   const char **ret_detail);

/* Counts what came of taking them in. Returns 0, WEBHOOK_REFUSED_BUSY or the fault. */
int webhook_settle(struct webhook *w, int intake_outcome);

/* For /metrics: how many were taken, and refused for each reason. */
uint64_t webhook_taken(const struct webhook *w);
uint64_t webhook_refused(const struct webhook *w, enum webhook_refusal refusal);
/* Recipients of authentic events that are no addresses. */
uint64_t webhook_unreadable(const struct webhook *w);

#endif
