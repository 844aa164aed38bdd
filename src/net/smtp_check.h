/*
 * Whether a message and its envelope are such that they may be handed over.
 * Rooms: net alone. Threads: any.
 */
#ifndef HOLDFAST_NET_SMTP_CHECK_H
#define HOLDFAST_NET_SMTP_CHECK_H

#include "net/smtp.h"

/* Returns 0, or SMTP_INVALID with the reason as fault_message(). */
int smtp_check(const struct smtp_outgoing *message);

#endif
