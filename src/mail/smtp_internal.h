/*
 * The parts of the dialogue: what it holds, and the reading of paths and parameters.
 * Rooms: mail (behind mail/smtp_dialogue.h). Ownership, threads: as there.
 */
#ifndef HOLDFAST_MAIL_SMTP_INTERNAL_H
#define HOLDFAST_MAIL_SMTP_INTERNAL_H

#include "mail/smtp_dialogue.h"

enum smtp_mode {
    SMTP_MODE_COMMAND,
    SMTP_MODE_AUTH,     /* a line of credentials, and how many more after it */
    SMTP_MODE_DATA,     /* the text of a message */
    SMTP_MODE_COMPLETE, /* a message waits for its answer */
    SMTP_MODE_CLOSED
};

/* Where in a line of text the last byte stood. */
enum smtp_text_state {
    SMTP_TEXT_BEGIN,
    SMTP_TEXT_IN,
    SMTP_TEXT_CR,
    SMTP_TEXT_DOT,
    SMTP_TEXT_DOT_CR
};

struct smtp_dialogue {
    struct smtp_limits limits;
    enum smtp_mode mode;
    unsigned errors;

    char line[SMTP_LINE_MAX]; /* of a command, without its end */
    size_t n_line;            /* as it came, which may be more than fits */
    bool cr;                  /* the last byte was a CR */

    char helo[SMTP_NAME_MAX];
    size_t n_helo;
    bool extended;      /* by EHLO */
    bool authenticated; /* or what passes for it here */
    int auth_lines;     /* credentials that are still to come */

    bool has_from;
    struct buf paths; /* from and the recipients, one after another */
    size_t n_from;
    size_t to_at[SMTP_RECIPIENTS_MAX], to_n[SMTP_RECIPIENTS_MAX], n_to;
    bool utf8;

    enum smtp_text_state text;
    size_t text_line;    /* bytes of the line of text so far */
    const char *refusal; /* what the message is refused for when it is complete */
    struct buf data;

    struct str to[SMTP_RECIPIENTS_MAX];
    struct smtp_message message;
};

/* What MAIL and RCPT say. */
struct smtp_path {
    struct str path; /* without brackets and source route */
    struct str parameters;
};

/*
 * Reads "<path> parameters" behind "FROM:" or "TO:". utf8: beyond ASCII too. Returns whether it is
 * one; a null path only where null_allowed, and "<postmaster>" only where it is not.
 */
bool smtp_path_read(struct str s, bool utf8, bool null_allowed, struct smtp_path *ret);

/* A parameter of MAIL. */
enum smtp_parameter { SMTP_PARAMETER_OK, SMTP_PARAMETER_UNKNOWN, SMTP_PARAMETER_BAD };

struct smtp_mail_parameters {
    uint64_t size; /* 0: not said */
    bool utf8;
};

/* Reads the parameters of MAIL: SIZE, BODY, SMTPUTF8, AUTH. */
enum smtp_parameter smtp_parameters_read(struct str s, struct smtp_mail_parameters *ret);

/* Whether s may be a host's name or an address literal, as EHLO gives it. */
bool smtp_host_valid(struct str s);

/* Runs the command in the line. Appends its reply. */
void smtp_command(struct smtp_dialogue *d, struct str line, struct buf *out);

/* A line of credentials. */
void smtp_credentials(struct smtp_dialogue *d, struct str line, struct buf *out);

/* Appends a reply and counts one that refuses. */
void smtp_reply(struct smtp_dialogue *d, struct buf *out, const char *text);

/* Forgets the transaction (RFC 5321, section 4.1.1.5). */
void smtp_forget(struct smtp_dialogue *d);

#endif
