/*
 * The sandbox's SMTP listener: one thread that takes messages and hands each to a function.
 *
 * Rooms: mail and below. Ownership: the server owns its socket, thread and connections until
 * sandbox_server_stop. Threads: start and stop from one; `take` runs on the server's own thread,
 * where it may block (the other connections wait meanwhile).
 *
 * For development, on loopback unless another host is named. Connections, their time, their silence
 * and what they send are bounded.
 */
#ifndef HOLDFAST_MAIL_SANDBOX_SERVER_H
#define HOLDFAST_MAIL_SANDBOX_SERVER_H

#include "mail/sandbox.h"
#include "mail/smtp_dialogue.h"

#include <pthread.h>

enum { SANDBOX_PORT = 1025 };

struct sandbox_server_options {
    const char *host;       /* where to listen; NULL: 127.0.0.1 */
    int port;               /* 0: any that is free */
    const char *name;       /* how the server names itself; NULL: "localhost" */
    size_t connections_max; /* 0: 64; at most 1,000 */
    size_t message_max;     /* bytes; 0: 10 MiB */
    int idle_ms;            /* how long a connection may be silent; 0: a minute */
    int session_ms;         /* how long it may last; 0: ten minutes */
    int drain_ms;           /* how long sandbox_server_stop lets messages end; 0: five seconds */

    /* Takes a message and says what became of it; its views are valid meanwhile. */
    enum smtp_verdict (*take)(void *context, const struct smtp_message *m);
    void *context;
};

struct sandbox_server;

/* Listens and starts the thread. Returns 0, FAULT_IO (the port is taken), or another fault. */
int sandbox_server_start(const struct sandbox_server_options *options,
                         struct sandbox_server **ret_server);

/* The port it listens on. */
int sandbox_server_port(const struct sandbox_server *s);

/*
 * Takes no more connections, lets those that are in the middle of a message end it, ends the others
 * with 421, and frees the server. NULL is allowed.
 */
void sandbox_server_stop(struct sandbox_server *s);

/* Where messages go: the context of sandbox_receive. */
struct sandbox_box {
    struct store *store;
    int64_t keep; /* the newest messages that are kept */
};

/* A `take` that keeps messages in the store of a struct sandbox_box. */
enum smtp_verdict sandbox_receive(void *box, const struct smtp_message *m);

#endif
