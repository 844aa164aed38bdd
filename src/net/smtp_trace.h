/*
 * What was said between us and a mail server, followed from the lines that libcurl shows, and what
 * it means for each recipient.
 * Rooms: net alone. Ownership: plain values. Threads: one at a time.
 */
#ifndef HOLDFAST_NET_SMTP_TRACE_H
#define HOLDFAST_NET_SMTP_TRACE_H

#include "net/smtp.h"

struct smtp_trace {
    enum smtp_stage stage;
    size_t recipients;      /* how many RCPT TO were sent; the last is being answered */
    size_t recipient_count; /* how many there are */
    bool refused[SMTP_SEND_RECIPIENTS_MAX]; /* by the reply to its own RCPT TO, which is its fate */
    bool message_sent; /* the whole of it is on its way: the next reply is about it */
    bool over;         /* that reply came, or QUIT was sent: nothing after it counts */
    struct smtp_fate *fates;
};

/* fates has count entries, which are set to: not connected. */
void smtp_trace_begin(struct smtp_trace *d, struct smtp_fate *fates, size_t count);

/* A command that was sent; only what it begins with is looked at, nothing of it is kept. */
void smtp_trace_command(struct smtp_trace *d, struct str command);

/* A line of a reply. */
void smtp_trace_line(struct smtp_trace *d, struct str line);

/* The connection is at its end; error says why in libcurl's words where no reply does. */
void smtp_trace_end(struct smtp_trace *d, const char *error);

#endif
