/*
 * The two calls that are ever made because of a message of SNS: for a signing certificate, and to
 * confirm a subscription. Both go to hosts that we build from the region of an allowed topic
 * (mail/sns.h), never to a URL of the message.
 *
 * Rooms: mail and below. Ownership: a caller's strings and lists outlive it. Threads: any worker;
 * each call has a client of its own and blocks for seconds at most.
 */
#ifndef HOLDFAST_MAIL_SNS_CALL_H
#define HOLDFAST_MAIL_SNS_CALL_H

#include "mail/sns.h"
#include "net/guard.h"

/* How calls are made. Zeroed: to SNS itself, by HTTPS, trusting the system's authorities. */
struct sns_caller {
    struct guard guard;
    const char *ca_file;
    /*
     * Origins ("https://127.0.0.1:1234") that stand in the place of "https://<host of SNS>" for
     * certificates, and for calls of its API (AWS_ENDPOINT_URL: plain HTTP and any address will
     * do). NULL: none.
     */
    const char *certificates, *api;
};

/*
 * As struct sns_settings wants it, with a struct sns_caller as its context. What does not answer,
 * answers 5xx or 429 or is not who it should be is SNS_FETCH_UNREACHABLE; any other answer but 200
 * is SNS_FETCH_REFUSED.
 */
int sns_call_fetch(void *caller, const char *url, struct buf *ret_pem);

enum sns_confirm_outcome {
    SNS_CONFIRM_REFUSED = 1, /* SNS does not take the token: asking again is of no use */
    SNS_CONFIRM_UNREACHABLE
};

/* Confirms the subscription of a verified message. Returns 0, an outcome above or a fault. */
int sns_call_confirm(const struct sns_caller *caller, const struct sns_message *message);

#endif
