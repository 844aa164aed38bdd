/*
 * Messages of Amazon SNS over HTTPS: whether one is authentic, fresh and of a topic of ours.
 * Rooms: mail and below. Ownership: as each function says. Threads: any; a verifier locks itself,
 * and calls fetch on the calling thread, without the lock.
 *
 * Nothing of a message decides where we connect to: the one URL ever fetched must equal, but for
 * 32 hexadecimal digits, what we build from the region of an allowed topic.
 */
#ifndef HOLDFAST_MAIL_SNS_H
#define HOLDFAST_MAIL_SNS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

struct certificate_trust;

enum {
    SNS_BODY_MAX = 512 * 1024,    /* bytes of an envelope: a message of quotes doubles in it */
    SNS_MESSAGE_MAX = 256 * 1024, /* bytes of a message, as SNS allows */
    SNS_ARENA_MAX = 1024 * 1024,  /* what an arena needs for any envelope */
    SNS_TOPICS_MAX = 64,
    SNS_TOPIC_MAX = 350,        /* bytes of an ARN */
    SNS_URL_MAX = 4096,         /* bytes of a URL in an envelope, and of one that we build */
    SNS_WINDOW_MS = CLOCK_HOUR, /* SNS retries as long */
    SNS_SKEW_MS = 5 * CLOCK_MINUTE,
    /* SNS's certificates are kept by their URL, which names their content. */
    SNS_CERTIFICATES_MAX = 16,
    SNS_CERTIFICATE_AGE_MS = CLOCK_DAY,
    SNS_REFUSED_AGE_MS = CLOCK_MINUTE,          /* how long a URL stays refused */
    SNS_UNREACHABLE_AGE_MS = 10 * CLOCK_SECOND, /* or unreachable, without another try */
    SNS_FETCHES_PER_MINUTE = 12,                /* of URLs that gave no certificate before */
    SNS_FETCHES_AT_ONCE = 4,
    SNS_WAITERS_MAX = 8 /* threads that wait for another's fetch of the same URL */
};

enum sns_type { SNS_NOTIFICATION, SNS_SUBSCRIPTION_CONFIRMATION, SNS_UNSUBSCRIBE_CONFIRMATION };

/* An envelope, its text decoded; p is NULL where a member is absent. */
struct sns_message {
    enum sns_type type;
    struct str type_text, message, message_id, subject, timestamp, topic_arn;
    struct str token, subscribe_url; /* of the confirmations; the URL is never to be fetched */
    int signature_version;           /* 1: SHA-1, 2: SHA-256 */
    struct str signature;            /* in base64 */
    struct str signing_cert_url;
    int64_t at; /* timestamp in ms */
};

/* In the order in which they are looked for. Only the unreachable one is worth a retry (5xx). */
enum sns_outcome {
    SNS_MALFORMED = 1,
    SNS_FOREIGN_TOPIC,           /* not one of ours */
    SNS_STALE,                   /* outside the window of replay */
    SNS_CERTIFICATE_REFUSED,     /* its URL is not SNS's, or it is not SNS's, or not valid */
    SNS_CERTIFICATE_UNREACHABLE, /* could not be fetched just now */
    SNS_BAD_SIGNATURE,
    SNS_OUTCOMES
};

/* What fetch returns besides 0 and faults. */
enum sns_fetch_outcome {
    SNS_FETCH_REFUSED = 1, /* the answer was no certificate: a redirect, 404, too long */
    SNS_FETCH_UNREACHABLE  /* no answer in time, or one of the kind that passes */
};

struct sns_settings {
    const struct str *topics; /* SNS_TOPIC_ARNS; copied */
    size_t topic_count;
    const struct certificate_trust *trust; /* outlives the verifier */
    /*
     * Gets url by HTTPS, verified, without following redirects and within seconds, into ret_pem,
     * whose maximum bounds the answer. Called by several threads at once.
     */
    int (*fetch)(void *context, const char *url, struct buf *ret_pem);
    void *context;
};

struct sns_verifier;

/* Whether arn is one of an SNS topic in a region that we know the hosts of. */
bool sns_topic_valid(struct str arn);

/*
 * A verifier for sns_verifier_free. Returns 0; FAULT_LIMIT where there are too many topics or one
 * is not valid; FAULT_MEMORY or FAULT_INTERNAL.
 */
int sns_verifier_new(const struct sns_settings *settings, struct sns_verifier **ret_verifier);
void sns_verifier_free(struct sns_verifier *verifier);

/*
 * Reads an envelope and verifies it at now_ms. The message lies in the arena. That it was not seen
 * before is for the caller to tell, by message_id. Returns 0, an enum sns_outcome, or a fault: of
 * fetch, FAULT_MEMORY or FAULT_CRYPTO.
 */
int sns_verify(struct sns_verifier *verifier, struct str body, int64_t now_ms, struct arena *arena,
               struct sns_message *ret_message);

/*
 * What a message of this source may cause, and has caused. forbidden: no URL is fetched that never
 * gave a certificate; where it would have to be, the outcome is SNS_CERTIFICATE_UNREACHABLE.
 * in_vain: such a URL was fetched, and what it gave was refused.
 */
struct sns_errand {
    bool forbidden, in_vain;
};

/* As sns_verify, within the errand's bounds, for who tells sources apart. */
int sns_verify_for(struct sns_verifier *verifier, struct str body, int64_t now_ms,
                   struct sns_errand *errand, struct arena *arena, struct sns_message *ret_message);

/* What the outcome means, in a few words for an answer or a log. */
const char *sns_outcome_text(int outcome);

/*
 * Appends the URL that confirms a subscription: built from TopicArn and Token of a verified
 * SubscriptionConfirmation, never SubscribeURL. Returns 0, SNS_MALFORMED where the message is of
 * another type, FAULT_LIMIT or FAULT_MEMORY.
 */
int sns_confirm_url(const struct sns_message *message, struct buf *ret_url);

/* The parts of sns_verify. */

/* Reads an envelope without verifying it. Returns 0, SNS_MALFORMED or FAULT_MEMORY. */
int sns_parse(struct str body, struct arena *arena, struct sns_message *ret_message);

/* Appends what is signed. Returns 0, FAULT_LIMIT or FAULT_MEMORY. */
int sns_string_to_sign(const struct sns_message *message, struct buf *ret_text);

/* Whether url is that of a signing certificate for messages of this (valid) topic. */
bool sns_cert_url_valid(struct str url, struct str topic_arn);

#endif
