#include "mail/smtp_internal.h"

typedef void smtp_run(struct smtp_dialogue *d, struct str argument, struct buf *out);

void smtp_reply(struct smtp_dialogue *d, struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
    buf_add_str(out, STR("\r\n"));
    d->errors += text[0] == '5';
}

void smtp_forget(struct smtp_dialogue *d)
{
    d->has_from = d->utf8 = false;
    d->n_from = d->n_to = 0;
    d->refusal = NULL;
    buf_reset(&d->paths);
    /* What one large message took is not kept for the rest of a long dialogue. */
    buf_free(&d->data);
}

static bool begin(struct smtp_dialogue *d, struct str name, struct buf *out)
{
    if (!smtp_host_valid(name)) {
        smtp_reply(d, out, "501 5.5.4 The command needs your host's name");
        return false;
    }
    smtp_forget(d);
    memcpy(d->helo, name.p, name.n);
    d->n_helo = name.n;
    return true;
}

static void run_helo(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    if (!begin(d, argument, out))
        return;
    d->extended = false;
    buf_printf(out, "250 %s\r\n", d->limits.host);
}

static void run_ehlo(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    if (!begin(d, argument, out))
        return;
    d->extended = true;
    buf_printf(out,
               "250-%s\r\n250-PIPELINING\r\n250-SIZE %zu\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
               "250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n",
               d->limits.host, d->limits.message_max);
}

static void refuse_parameter(struct smtp_dialogue *d, enum smtp_parameter p, struct buf *out)
{
    smtp_reply(d, out,
               p == SMTP_PARAMETER_UNKNOWN ? "555 5.5.4 A parameter is unknown"
                                           : "501 5.5.4 A parameter is malformed");
}

/* The argument behind word, or nothing. */
static bool behind(struct str argument, struct str word, struct str *ret_rest)
{
    if (!str_has_prefix_ci(argument, word))
        return false;
    *ret_rest = (struct str){argument.p + word.n, argument.n - word.n};
    return true;
}

static void run_mail(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    struct smtp_path path;
    struct smtp_mail_parameters parameters = {0};
    struct str rest;

    if (d->n_helo == 0) {
        smtp_reply(d, out, "503 5.5.1 Say EHLO first");
        return;
    }
    if (d->has_from) {
        smtp_reply(d, out, "503 5.5.1 A message has begun already");
        return;
    }
    if (!behind(argument, STR("FROM:"), &rest) || !smtp_path_read(rest, true, true, &path)) {
        smtp_reply(d, out, "501 5.1.7 Write MAIL FROM:<address>");
        return;
    }
    enum smtp_parameter p = smtp_parameters_read(path.parameters, &parameters);
    if (p != SMTP_PARAMETER_OK || (path.parameters.n > 0 && !d->extended)) {
        refuse_parameter(d, p == SMTP_PARAMETER_OK ? SMTP_PARAMETER_UNKNOWN : p, out);
        return;
    }
    /* Beyond ASCII only where it was announced (RFC 6531, section 3.4). */
    if (!smtp_path_read(rest, parameters.utf8, true, &path)) {
        smtp_reply(d, out, "550 5.6.7 The address needs SMTPUTF8");
        return;
    }
    if (parameters.size > d->limits.message_max) {
        smtp_reply(d, out, "552 5.3.4 The message is too large");
        return;
    }
    smtp_forget(d);
    buf_add_str(&d->paths, path.path);
    d->n_from = path.path.n;
    d->has_from = true;
    d->utf8 = parameters.utf8;
    smtp_reply(d, out, "250 2.1.0 Sender accepted");
}

static void run_rcpt(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    struct smtp_path path;
    struct str rest;

    if (!d->has_from) {
        smtp_reply(d, out, "503 5.5.1 Say MAIL first");
        return;
    }
    if (!behind(argument, STR("TO:"), &rest) || !smtp_path_read(rest, d->utf8, false, &path)) {
        smtp_reply(d, out, "501 5.1.3 Write RCPT TO:<address>");
        return;
    }
    if (path.parameters.n > 0) {
        refuse_parameter(d, SMTP_PARAMETER_UNKNOWN, out);
        return;
    }
    if (d->n_to == SMTP_RECIPIENTS_MAX) {
        smtp_reply(d, out, "452 4.5.3 Too many recipients");
        return;
    }
    d->to_at[d->n_to] = d->paths.n;
    d->to_n[d->n_to] = path.path.n;
    buf_add_str(&d->paths, path.path);
    d->n_to++;
    smtp_reply(d, out, "250 2.1.5 Recipient accepted");
}

static void run_data(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    if (argument.n > 0) {
        smtp_reply(d, out, "501 5.5.4 DATA takes no argument");
        return;
    }
    if (!d->has_from || d->n_to == 0) {
        smtp_reply(d, out,
                   d->has_from ? "554 5.5.1 There is no recipient" : "503 5.5.1 Say MAIL first");
        return;
    }
    d->mode = SMTP_MODE_DATA;
    d->text = SMTP_TEXT_BEGIN;
    d->text_line = 0;
    smtp_reply(d, out, "354 End the message with <CRLF>.<CRLF>");
}

static void run_rset(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    if (argument.n > 0) {
        smtp_reply(d, out, "501 5.5.4 RSET takes no argument");
        return;
    }
    smtp_forget(d);
    smtp_reply(d, out, "250 2.0.0 Forgotten");
}

static void run_noop(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    smtp_reply(d, out, "250 2.0.0 Nothing done");
}

static void run_quit(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    if (argument.n > 0) {
        smtp_reply(d, out, "501 5.5.4 QUIT takes no argument");
        return;
    }
    smtp_reply(d, out, "221 2.0.0 Goodbye");
    d->mode = SMTP_MODE_CLOSED;
}

/* Who has an address here is not told (RFC 5321, section 7.3). */
static void run_vrfy(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    smtp_reply(d, out,
               argument.n > 0 ? "252 2.5.0 Send to it, and see"
                              : "501 5.5.4 VRFY needs an address");
}

static void run_help(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    smtp_reply(d, out, "214 2.0.0 HELO EHLO AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT");
}

static void run_auth(struct smtp_dialogue *d, struct str argument, struct buf *out)
{
    struct str rest = argument, mechanism = {NULL, 0};

    if (!d->extended || d->has_from || d->authenticated) {
        smtp_reply(d, out, "503 5.5.1 AUTH comes once, between EHLO and MAIL");
        return;
    }
    str_next(&rest, ' ', &mechanism);
    bool plain = str_eq_ci(mechanism, STR("PLAIN"));
    if (!plain && !str_eq_ci(mechanism, STR("LOGIN"))) {
        smtp_reply(d, out, "504 5.5.4 AUTH takes PLAIN or LOGIN");
        return;
    }
    d->mode = SMTP_MODE_AUTH;
    d->auth_lines = plain ? 1 : 2;
    if (rest.n > 0)
        smtp_credentials(d, rest, out);
    else
        smtp_reply(d, out, plain ? "334 " : "334 VXNlcm5hbWU6"); /* "Username:" */
}

void smtp_credentials(struct smtp_dialogue *d, struct str line, struct buf *out)
{
    if (str_eq(line, STR("*"))) {
        d->mode = SMTP_MODE_COMMAND;
        smtp_reply(d, out, "501 5.7.0 Cancelled");
        return;
    }
    if (--d->auth_lines > 0) {
        smtp_reply(d, out, "334 UGFzc3dvcmQ6"); /* "Password:" */
        return;
    }
    d->mode = SMTP_MODE_COMMAND;
    d->authenticated = true;
    smtp_reply(d, out, "235 2.7.0 Accepted");
}

static const struct {
    struct str name;
    smtp_run *run;
} commands[] = {
    {STR_INIT("HELO"), run_helo}, {STR_INIT("EHLO"), run_ehlo}, {STR_INIT("MAIL"), run_mail},
    {STR_INIT("RCPT"), run_rcpt}, {STR_INIT("DATA"), run_data}, {STR_INIT("RSET"), run_rset},
    {STR_INIT("NOOP"), run_noop}, {STR_INIT("QUIT"), run_quit}, {STR_INIT("VRFY"), run_vrfy},
    {STR_INIT("HELP"), run_help}, {STR_INIT("AUTH"), run_auth},
};

void smtp_command(struct smtp_dialogue *d, struct str line, struct buf *out)
{
    struct str rest = line, name = {NULL, 0};

    str_next(&rest, ' ', &name);
    if (!str_is_utf8(line) || str_find(line, '\0') < line.n) {
        smtp_reply(d, out, "500 5.5.2 The command is not text");
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (str_eq_ci(commands[i].name, name)) {
            commands[i].run(d, str_trim(rest), out);
            return;
        }
    }
    smtp_reply(d, out, "500 5.5.1 The command is not known");
}
