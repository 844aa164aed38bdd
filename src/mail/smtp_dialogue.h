/*
 * The server's side of SMTP (RFC 5321) over bytes: what a client sent goes in, replies and whole
 * messages come out. It knows no socket, no clock and no store.
 *
 * Rooms: mail. Ownership: a dialogue owns what it collects until smtp_dialogue_free; the views of a
 * message are valid until smtp_dialogue_answer. Threads: one at a time.
 *
 * HELO, EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT, VRFY, HELP; SIZE (RFC 1870), 8BITMIME (RFC 6152),
 * SMTPUTF8 (RFC 6531), PIPELINING (RFC 2920), enhanced codes (RFC 2034); AUTH PLAIN and LOGIN
 * (RFC 4954) are played through and whatever they carry is accepted, wiped and forgotten: this is
 * for a sandbox.
 *
 * The same bytes give the same replies and messages, in whatever pieces they come. Only
 * <CRLF>.<CRLF> ends a message: a CR or LF that stands alone anywhere ends the dialogue at once
 * (521), so what follows it is never read as anything (RFC 5321, section 2.3.8).
 */
#ifndef HOLDFAST_MAIL_SMTP_DIALOGUE_H
#define HOLDFAST_MAIL_SMTP_DIALOGUE_H

#include "base/buf.h"

enum {
    SMTP_LINE_MAX = 1000,     /* of a command or of text, its CRLF included (4.5.3.1.6) */
    SMTP_PATH_MAX = 254,      /* without its angle brackets (4.5.3.1.3) */
    SMTP_NAME_MAX = 255,      /* of a host (4.5.3.1.2) */
    SMTP_RECIPIENTS_MAX = 100 /* the least that RFC 5321 allows (4.5.3.1.8) */
};

/* The dialogue's bounds and name; zeros are not defaults. */
struct smtp_limits {
    const char *host;    /* how the server names itself */
    size_t message_max;  /* bytes of a message, after transparency is undone */
    unsigned errors_max; /* refused commands before the dialogue is closed */
};

struct smtp_message {
    struct str helo, from; /* from: empty for the null reverse path */
    const struct str *to;
    size_t n_to;
    struct str data; /* with the CRLF of its last line, and without the dots of transparency */
    bool utf8;       /* MAIL said SMTPUTF8 */
};

enum smtp_state {
    SMTP_MORE,    /* everything given was used */
    SMTP_MESSAGE, /* a message is complete: smtp_dialogue_answer comes next, then the rest */
    SMTP_CLOSE    /* the dialogue is over once the replies are sent */
};

/* What became of a message. */
enum smtp_verdict { SMTP_KEPT, SMTP_TRY_AGAIN, SMTP_REFUSED };

struct smtp_dialogue;

/* A dialogue; limits->host is kept by reference. Returns 0 or FAULT_MEMORY. */
int smtp_dialogue_new(const struct smtp_limits *limits, struct smtp_dialogue **ret);
void smtp_dialogue_free(struct smtp_dialogue *d);

/* Appends the greeting (220). Returns 0 or the buffer's fault. */
int smtp_dialogue_greet(struct smtp_dialogue *d, struct buf *out);

/*
 * Takes bytes of the client and appends the replies to out. *ret_used: how many it took; after
 * SMTP_MESSAGE the others are to be given again. Returns 0, or a fault: FAULT_MEMORY, FAULT_LIMIT
 * of out; the dialogue is of no use then.
 */
int smtp_dialogue_feed(struct smtp_dialogue *d, const char *p, size_t n, struct buf *out,
                       size_t *ret_used, enum smtp_state *ret_state);

/* The message that is complete. */
const struct smtp_message *smtp_dialogue_message(const struct smtp_dialogue *d);

/* Replies to it. Returns 0 or the buffer's fault. */
int smtp_dialogue_answer(struct smtp_dialogue *d, enum smtp_verdict verdict, struct buf *out);

/* Whether a client is in the middle of giving a message: between MAIL and its answer. */
bool smtp_dialogue_busy(const struct smtp_dialogue *d);

/* Appends the farewell of a server that ends the dialogue by itself (421), with its reason. */
int smtp_dialogue_dismiss(struct smtp_dialogue *d, const char *reason, struct buf *out);

#endif
