/*
 * SES's mailbox simulator: which addresses stand for a fate, and the events that SES would send of
 * it. A message to one of them in the sandbox comes back by the real webhook path.
 *
 * Rooms: mail and below. Ownership: views of the caller in, the caller's buffer out. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SIMULATOR_H
#define HOLDFAST_MAIL_SIMULATOR_H

#include "base/buf.h"

enum simulator_fate {
    SIMULATOR_NONE,       /* not an address of the simulator: nothing is known of its fate */
    SIMULATOR_SUCCESS,    /* success@: delivered */
    SIMULATOR_BOUNCE,     /* bounce@: 550 5.1.1 user unknown */
    SIMULATOR_COMPLAINT,  /* complaint@: delivered, then reported as abuse */
    SIMULATOR_OOTO,       /* ooto@: delivered, then answered by a machine (Transient/General) */
    SIMULATOR_SUPPRESSION /* suppressionlist@: SES did not try, because of its own list */
};

/* How many events a fate has at most. */
enum { SIMULATOR_EVENTS_MAX = 2 };

/* The message that the events are about. */
struct simulator_mail {
    struct str provider_id; /* SES's messageId */
    struct str from;        /* the address that sent it */
    struct str to;          /* the one recipient that the events are about */
    struct str subject;
    int64_t sent_at, now; /* ms since 1970; when it was handed over, and when the events happen */
};

/*
 * The fate of "bounce@simulator.amazonses.com" and the others, in any case, and with any label, as
 * in "bounce+label@...".
 */
enum simulator_fate simulator_classify(struct str address);

/* How many events a fate brings: 0 to SIMULATOR_EVENTS_MAX. */
size_t simulator_count(enum simulator_fate fate);

/*
 * Appends the JSON of a fate's event number i (from 0), as SES puts it into an SNS message or posts
 * it: a notification with "notificationType". The same mail gives the same feedbackId, so that one
 * told twice counts once. Returns 0, FAULT_INTERNAL where there is no such event, FAULT_CRYPTO, or
 * the buffer's fault.
 */
int simulator_write(enum simulator_fate fate, size_t i, const struct simulator_mail *mail,
                    struct buf *ret_json);

#endif
