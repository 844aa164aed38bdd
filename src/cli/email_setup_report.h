/*
 * How "holdfast email setup" shows what it found and did.
 * Rooms: cli. Ownership: what is shown is the caller's. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_EMAIL_SETUP_REPORT_H
#define HOLDFAST_CLI_EMAIL_SETUP_REPORT_H

#include "base/buf.h"
#include "mail/ses_setup.h"

struct email_setup_report {
    const struct ses_setup *setup; /* as it was looked at last */
    const struct ses_setup_action *tried;
    size_t tried_count;
    bool acted; /* with --yes */
};

/* Each appends and returns 0 or a fault of the buffer. */
int email_setup_write_text(const struct email_setup_report *report, struct buf *out);
int email_setup_write_json(const struct email_setup_report *report, struct buf *out);

/* One line about an action that was tried. */
int email_setup_write_tried(const struct ses_setup_action *action, struct buf *out);

/* The same for the trail: one JSON object. */
int email_setup_write_record(const struct ses_setup *s, const struct ses_setup_action *action,
                             struct buf *out);

#endif
