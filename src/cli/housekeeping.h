/*
 * What a server does beside its requests: writes counted failures, checkpoints the trail, removes
 * what is over. One thread. Rooms: cli.
 */
#ifndef HOLDFAST_CLI_HOUSEKEEPING_H
#define HOLDFAST_CLI_HOUSEKEEPING_H

#include "http/dispatch.h"
#include "mail/mail.h"
#include "sessions/sessions.h"

struct housekeeping;

/* All outlive it. Returns 0 or a fault. */
int housekeeping_start(struct sessions *s, struct dispatch *d, struct mail *m,
                       struct housekeeping **ret);

/* Ends the thread after a last flush and checkpoint. */
void housekeeping_stop(struct housekeeping *h);

#endif
