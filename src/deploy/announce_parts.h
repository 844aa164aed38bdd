/*
 * What the files of announcements share. Rooms: deploy. Ownership: the caller's. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_ANNOUNCE_PARTS_H
#define HOLDFAST_DEPLOY_ANNOUNCE_PARTS_H

#include "deploy/announce.h"

enum { ANNOUNCE_TEXT_MAX = 64 * 1024, ANNOUNCE_BODY_MAX = REPORT_JSON_MAX + 2 * ANNOUNCE_TEXT_MAX };

/* Whether there is anything to tell of a report of this result. */
bool announce_is_news(enum report_result result);

/* A line that says it all; and what there is beside it, each line with its LF. Failure is the
 * buffer's. */
void announce_subject(const struct report *r, struct buf *out);
void announce_details(const struct report *r, struct buf *out);

/* The bodies of requests. Return 0, 1 where this is not for the route, or the buffer's fault. */
int announce_slack(const struct conf_route *route, const struct report *r, struct buf *out);
int announce_webhook(const struct conf_route *route, const struct report *r, struct buf *out);
int announce_pagerduty(const struct conf_route *route, const struct report *r, struct buf *out);

/* Hands a message to the outbox. Returns 0; 1 with the reason in why; or a fault. */
int announce_mail(struct mail *m, const struct conf_route *route, const struct report *r,
                  char why[ANNOUNCE_WHY_SIZE]);

#endif
