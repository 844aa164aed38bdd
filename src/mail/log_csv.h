/*
 * The mail log as CSV, one line a row.
 * Rooms: mail and below. Ownership: the caller's buffer. Threads: any.
 */
#ifndef HOLDFAST_MAIL_LOG_CSV_H
#define HOLDFAST_MAIL_LOG_CSV_H

#include "base/buf.h"
#include "mail/log.h"

/* The line of names, and one row as a line; both end with CR LF. Failure is the buffer's. */
void mail_log_csv_head(struct buf *out);
void mail_log_csv_line(const struct mail_log_entry *e, struct buf *out);

#endif
