/*
 * Tells the environment's routes what a deployment came to: Slack, webhooks, PagerDuty, mail.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: one that may wait; it makes others, which
 * have ended when announce returns.
 *
 * What is told follows from the report's result: that it began (running), is done, failed, was
 * rolled back, or is incomplete. PagerDuty hears of the last two, and of done, which ends what they
 * began. No failure here is one of the deployment: it is told, and that is all. What routes are
 * made of (URLs of Slack and webhooks, keys) is secret, and stands in no text of ours.
 */
#ifndef HOLDFAST_DEPLOY_ANNOUNCE_H
#define HOLDFAST_DEPLOY_ANNOUNCE_H

#include "deploy/conf.h"
#include "deploy/progress.h"
#include "deploy/report.h"
#include "mail/mail.h"

enum { ANNOUNCE_MS = 10000, ANNOUNCE_ROUTES_MAX = 32, ANNOUNCE_WHY_SIZE = 200 };

struct announce_options {
    const struct conf *conf;
    const struct conf_environment *environment;
    struct mail *mail;               /* NULL: the store is not in reach, so nothing can be mailed */
    const char *ca_file;             /* NULL: the system's authorities */
    int64_t timeout_ms;              /* of a route, all its attempts together; 0: ANNOUNCE_MS */
    const struct progress *progress; /* who was told, and who was not; NULL */
};

enum announce_verdict {
    ANNOUNCE_TOLD,
    ANNOUNCE_UNTOLD,
    ANNOUNCE_NOT_MEANT /* such as PagerDuty for a beginning */
};

struct announce_answer {
    const char *route, *kind; /* its name in holdfast.yml; "slack", "webhook", ... */
    enum announce_verdict verdict;
    char why[ANNOUNCE_WHY_SIZE]; /* it was not told; else "" */
};

struct announce_report {
    struct announce_answer answers[ANNOUNCE_ROUTES_MAX]; /* in the order of the environment */
    size_t n;
};

enum { ANNOUNCE_SOME_UNTOLD = 1 };

/*
 * Tells all routes, those over HTTP at the same time. One that cannot be reached, or answers 429 or
 * 503, is tried again within its time; what may have arrived is not sent twice. Mail is handed to
 * the outbox, in the tenant of the first operator, and a server sends it; the same report twice is
 * one message. Returns 0 or ANNOUNCE_SOME_UNTOLD; *ret is written on either, and may be NULL.
 */
int announce(const struct announce_options *options, const struct report *r,
             struct announce_report *ret);

#endif
