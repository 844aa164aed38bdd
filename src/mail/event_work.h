/*
 * The parts of applying a batch of events.
 * Rooms: mail. Ownership: all memory is the work's arena's. Threads: inside the job.
 */
#ifndef HOLDFAST_MAIL_EVENT_WORK_H
#define HOLDFAST_MAIL_EVENT_WORK_H

#include "base/arena.h"
#include "crypto/sha256.h"
#include "mail/event.h"

/* An event of the batch. Those that are known already are not accepted. */
struct mail_item {
    const struct mail_event *event;
    struct str code, detail; /* cut */
    uint8_t digest[SHA256_SIZE];
    struct uuid log_id; /* nil: no log row */
    bool accepted;
};

struct mail_work {
    struct store_txn *t;
    struct arena *a;
    const struct mail_event_policy *policy;
    int64_t now;
    struct mail_item *items; /* ascending by digest, different ones */
    size_t n;
    struct mail_event_result result;
};

/* Suppressions, soft bounces and deliveries of the accepted events. bulk_rows is used. */
int mail_act_on_addresses(struct mail_work *w);

/*
 * Users whose address is dead or wants no mail, what they are told, and the feed. bulk_texts and
 * bulk_ids are used. Comes last.
 */
int mail_act_on_users(struct mail_work *w);

#endif
