/*
 * One message to SES's simulator, and what is seen of it: what "holdfast email simulate" watches
 * and tells. Rooms: cli. Ownership: the command's; what was seen lives in its arena. Threads: the
 * main thread.
 */
#ifndef HOLDFAST_CLI_SIMULATION_H
#define HOLDFAST_CLI_SIMULATION_H

#include "cli/cli.h"
#include "mail/outbox.h"
#include "mail/person.h"
#include "mail/suppression.h"

/* What is to happen: the event by which the fate is known, and the states it may lead to. */
struct simulation_fate {
    const char *name, *kind;
    enum mail_state states[2];
    bool suppresses;
};

/* The fate of this name; NULL for none. */
const struct simulation_fate *simulation_fate_find(struct str name);

struct simulation {
    struct cli *cli;
    struct cli_session session;
    struct mail *mail;
    const struct simulation_fate *expected;
    struct outbox_request request;
    char address[80];
    struct uuid message_id;
    int64_t began, until; /* of clock_mono */

    /* As they were last seen. */
    struct arena arena;
    struct mail_log_entry *entry; /* NULL: not yet */
    struct mail_event_entry *events;
    size_t n_events;
    struct suppression_hit hit;
    bool answered; /* the event by which the fate is known is there */

    size_t told_events;
    enum mail_state told_state;
};

/* Reads the message's row, its events and the suppression. Returns 0 or a fault. */
int simulation_look(struct simulation *s);

/* Whether all has come about that was to. */
bool simulation_succeeded(const struct simulation *s);

/* A line with the time since the beginning, unless --json was given. */
void simulation_tell(const struct simulation *s, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What is new since it was last told; and how it ended. */
void simulation_tell_news(struct simulation *s);
void simulation_tell_end(const struct simulation *s);

/* All of it as one object of JSON. Failure is the buffer's. */
void simulation_write(const struct simulation *s, struct buf *ret_json);

#endif
