/*
 * Hands one message to a mail server (RFC 5321) and says what became of it for each recipient.
 * Rooms: those below net. Ownership: the caller's memory. Threads: workers alone, for a call
 * blocks.
 *
 * The connection is a new one each time. TLS is verified, 1.2 or later, and required unless the
 * options say otherwise; a password goes to the server by PLAIN or LOGIN, and in the clear only to
 * this machine itself: who can take STARTTLS out of a server's offer could else read it.
 */
#ifndef HOLDFAST_NET_SMTP_H
#define HOLDFAST_NET_SMTP_H

#include "base/str.h"
#include "net/guard.h"

enum {
    SMTP_SEND_RECIPIENTS_MAX = 100, /* RFC 5321, section 4.5.3.1.8: what each server takes */
    SMTP_SEND_LINE_MAX = 998,       /* section 4.5.3.1.6, without CRLF */
    SMTP_SEND_MESSAGE_MAX = 40 * 1024 * 1024, /* bytes */
    SMTP_TEXT_SIZE = 256
};

struct smtp_options {
    /*
     * "smtp://user:password@host:587" (STARTTLS) or "smtps://host:465" (TLS from the start), the
     * userinfo percent-encoded. No path, no query.
     */
    struct str url;
    struct guard guard; /* zeroed: the public Internet alone */
    /* With smtp://, go on in the clear where STARTTLS is not offered, unless the URL has a user and
     * its host is neither "localhost" nor a loopback address. */
    bool allow_plain;
    const char *ca_file;        /* PEM of the only authorities to trust; NULL: the system's */
    struct str helo;            /* this host's name for EHLO; empty: what the system calls it */
    int64_t connect_timeout_ms; /* until we are signed in; 0: 10 s */
    int64_t total_timeout_ms;   /* of it all; 0: 30 s; either at most 10 min */
};

struct smtp_outgoing {
    struct str from; /* the envelope's; bounces go there */
    const struct str *recipients;
    size_t recipient_count;
    struct str mime; /* lines of 7-bit bytes, each ended by CRLF, the last too; dots not doubled */
};

/* What became of the message for one recipient. */
enum smtp_result {
    SMTP_ACCEPTED,  /* the server has taken charge of it */
    SMTP_TEMPORARY, /* it has not; a later try may succeed */
    SMTP_PERMANENT, /* it refused this recipient or this message (5xx): no later try will succeed */
    SMTP_UNCERTAIN  /* all was sent, but the answer never came: a repetition may be a second copy */
};

/* How far the dialogue was when the fate was sealed. */
enum smtp_stage {
    SMTP_STAGE_CONNECT, /* name, address, connection */
    SMTP_STAGE_SESSION, /* greeting, EHLO, STARTTLS, AUTH: about the server or our account there */
    SMTP_STAGE_FROM,    /* MAIL FROM */
    SMTP_STAGE_RCPT,    /* RCPT TO of this recipient */
    SMTP_STAGE_DATA     /* DATA, the message */
};

struct smtp_fate {
    enum smtp_result result;
    enum smtp_stage stage;
    int code;                  /* the server's reply code; 0: none came, text says why */
    char text[SMTP_TEXT_SIZE]; /* its last line without the code, printable ASCII, cut */
};

/* Outcome of smtp_send: the options or the message are not to be used; nothing was connected to.
 * fault_message() says why. */
enum { SMTP_INVALID = 1 };

/*
 * Hands the message over. 4xx replies, and all that befalls the network, are SMTP_TEMPORARY; 5xx
 * replies are SMTP_PERMANENT from MAIL FROM on but for 530 (authentication required, RFC 4954,
 * section 6), since those before are not about this message. Returns 0 with a fate for each
 * recipient in their order, SMTP_INVALID, FAULT_MEMORY or FAULT_INTERNAL (ca_file cannot be read, a
 * timeout out of range).
 */
int smtp_send(const struct smtp_options *options, const struct smtp_outgoing *message,
              struct smtp_fate *ret_fates);

/*
 * Whether an address may stand in an envelope here: a Dot-string of at most 64 bytes, @, and a
 * domain name of at most 253 (RFC 5321, section 4.1.2); ASCII, no quotes, no address literals.
 */
bool smtp_address_is_good(struct str address);

/* Whether the bytes are lines as a message is to have them. */
bool smtp_mime_is_good(struct str mime);

#endif
