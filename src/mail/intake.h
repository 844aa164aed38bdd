/*
 * Where events come in: those of many requests are applied together, one transaction a batch,
 * because all that changes mail takes one lock.
 *
 * Rooms: mail and below. Ownership: an intake is made and freed by mail_new and mail_free.
 * Threads: intake_submit from any worker, which it blocks until its events are on disk.
 */
#ifndef HOLDFAST_MAIL_INTAKE_H
#define HOLDFAST_MAIL_INTAKE_H

#include "mail/event.h"

struct intake;

/* What one request holds: all of it is taken, or nothing. */
struct intake_request {
    const struct mail_event *events; /* at most SES_RECIPIENTS_MAX */
    size_t n;
    struct str sns_message_id; /* empty: it did not come by SNS */
};

struct intake_result {
    int64_t accepted, duplicates, unmatched; /* events; unmatched ones are accepted too */
    bool seen; /* this message of SNS was taken before: nothing was done, all are duplicates */
};

/* Returns 0 or FAULT_MEMORY. */
int intake_new(struct store *store, struct intake **ret);
void intake_free(struct intake *i);

/* Returns 0 when all is on disk, or a fault: then nothing was taken, and it may be sent again. */
int intake_submit(struct intake *i, const struct intake_request *request, int64_t now,
                  struct intake_result *ret);

#endif
