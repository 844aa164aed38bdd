/*
 * From what SES tells to what is done: an event of SES, by its rule, as one event for each
 * recipient.
 * Rooms: mail and below. Ownership: the events hold views of the SES event and live in the arena.
 * Threads: any.
 */
#ifndef HOLDFAST_MAIL_SES_INTAKE_H
#define HOLDFAST_MAIL_SES_INTAKE_H

#include "mail/event.h"
#include "mail/ses_event.h"

enum {
    SES_INTAKE_AHEAD_MS = 24 * 3600 * 1000 /* how far in the future an event may have happened */
};

enum ses_intake_outcome {
    SES_INTAKE_AHEAD = 1 /* it happened in the future: what comes later would not count */
};

/*
 * The events that body, which ses_event_parse has read, stands for: as many as it has recipients,
 * none where it names nobody. One that tells no time happened at now; where it has no feedbackId
 * either, it is known again by the digest of its body. Returns 0, SES_INTAKE_AHEAD, FAULT_MEMORY or
 * FAULT_CRYPTO.
 */
int ses_intake_events(const struct ses_event *event, struct str body, int64_t now,
                      struct arena *arena, const struct mail_event **ret_events, size_t *ret_n);

#endif
