#include "mail/smtp_dialogue.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "mail/smtp_internal.h"

enum { PATHS_MAX = (1 + SMTP_RECIPIENTS_MAX) * SMTP_PATH_MAX };

int smtp_dialogue_new(const struct smtp_limits *limits, struct smtp_dialogue **ret)
{
    struct smtp_dialogue *d = calloc(1, sizeof *d);

    if (!d)
        return fault_set(FAULT_MEMORY, "no memory for an SMTP dialogue");
    d->limits = *limits;
    d->paths = buf_init(PATHS_MAX);
    d->data = buf_init(limits->message_max);
    *ret = d;
    return 0;
}

void smtp_dialogue_free(struct smtp_dialogue *d)
{
    if (!d)
        return;
    buf_free(&d->paths);
    buf_free(&d->data);
    crypto_wipe(d, sizeof *d);
    free(d);
}

int smtp_dialogue_greet(struct smtp_dialogue *d, struct buf *out)
{
    return buf_printf(out, "220 %s ESMTP\r\n", d->limits.host);
}

/* Ends the dialogue; nothing that follows is looked at. */
static void shut(struct smtp_dialogue *d, struct buf *out, const char *text)
{
    smtp_reply(d, out, text);
    smtp_forget(d);
    d->mode = SMTP_MODE_CLOSED;
}

static void shut_for_bare(struct smtp_dialogue *d, struct buf *out)
{
    shut(d, out, "521 5.5.2 A CR or LF stands alone: lines end in CRLF");
}

/* A page in a browser can post here, with a dialogue for a body: its first line gives it away. */
static bool is_http(struct str line)
{
    return str_has_suffix(line, STR(" HTTP/1.1")) || str_has_suffix(line, STR(" HTTP/1.0"));
}

static void end_line(struct smtp_dialogue *d, struct buf *out)
{
    struct str line = {d->line, d->n_line};

    if (d->n_line + 2 > SMTP_LINE_MAX) {
        d->mode = SMTP_MODE_COMMAND;
        smtp_reply(d, out, "500 5.5.6 The line is too long");
    } else if (d->mode == SMTP_MODE_AUTH) {
        smtp_credentials(d, line, out);
    } else if (is_http(line)) {
        shut(d, out, "521 5.7.0 This is no web server");
    } else {
        smtp_command(d, line, out);
    }
    crypto_wipe(d->line, d->n_line < sizeof d->line ? d->n_line : sizeof d->line);
    d->n_line = 0;
    if (d->errors >= d->limits.errors_max && d->mode != SMTP_MODE_CLOSED)
        shut(d, out, "421 4.7.0 Too many errors");
}

/* A byte of a command. */
static void take_command(struct smtp_dialogue *d, char c, struct buf *out)
{
    if (d->cr != (c == '\n')) {
        shut_for_bare(d, out);
    } else if (c == '\n') {
        d->cr = false;
        end_line(d, out);
    } else if (c == '\r') {
        d->cr = true;
    } else {
        if (d->n_line < sizeof d->line)
            d->line[d->n_line] = c;
        if (d->n_line < SMTP_LINE_MAX)
            d->n_line++;
    }
}

/* A message that is refused is read to its end, so that what follows is read as what it is. */
static int add_text(struct smtp_dialogue *d, const char *p, size_t n)
{
    if (d->refusal)
        return 0;
    if (n > d->limits.message_max - d->data.n) {
        d->refusal = "552 5.3.4 The message is too large";
        buf_free(&d->data);
        return 0;
    }
    return buf_add(&d->data, p, n);
}

static int take_text(struct smtp_dialogue *d, char c)
{
    d->text = SMTP_TEXT_IN;
    if (++d->text_line + 2 > SMTP_LINE_MAX && !d->refusal)
        d->refusal = "554 5.6.0 A line of the message is too long";
    if (c == '\0' && !d->refusal)
        d->refusal = "554 5.6.0 The message holds a NUL";
    return add_text(d, &c, 1);
}

static void complete(struct smtp_dialogue *d, struct buf *out)
{
    if (d->refusal) {
        smtp_reply(d, out, d->refusal);
        smtp_forget(d);
        d->mode = SMTP_MODE_COMMAND;
        return;
    }
    const char *paths = d->paths.p ? d->paths.p : "";
    for (size_t i = 0; i < d->n_to; i++)
        d->to[i] = (struct str){paths + d->to_at[i], d->to_n[i]};
    d->message = (struct smtp_message){
        .helo = {d->helo, d->n_helo},
        .from = {paths, d->n_from},
        .to = d->to,
        .n_to = d->n_to,
        .data = {d->data.p ? d->data.p : "", d->data.n},
        .utf8 = d->utf8,
    };
    d->mode = SMTP_MODE_COMPLETE;
}

/* A byte of a message's text (RFC 5321, section 4.5.2). */
static int take_data(struct smtp_dialogue *d, char c, struct buf *out)
{
    bool after_cr = d->text == SMTP_TEXT_CR || d->text == SMTP_TEXT_DOT_CR;

    if (after_cr != (c == '\n')) {
        shut_for_bare(d, out);
        return 0;
    }
    if (d->text == SMTP_TEXT_DOT_CR) {
        complete(d, out);
        return 0;
    }
    if (c == '\n') {
        d->text = SMTP_TEXT_BEGIN;
        d->text_line = 0;
        return add_text(d, "\r\n", 2);
    }
    if (c == '\r') {
        d->text = d->text == SMTP_TEXT_DOT ? SMTP_TEXT_DOT_CR : SMTP_TEXT_CR;
        return 0;
    }
    if (d->text == SMTP_TEXT_BEGIN && c == '.') {
        d->text = SMTP_TEXT_DOT;
        d->text_line = 0;
        return 0;
    }
    return take_text(d, c);
}

int smtp_dialogue_feed(struct smtp_dialogue *d, const char *p, size_t n, struct buf *out,
                       size_t *ret_used, enum smtp_state *ret_state)
{
    size_t used = 0;
    int r = 0;

    while (r == 0 && used < n && d->mode != SMTP_MODE_CLOSED && d->mode != SMTP_MODE_COMPLETE) {
        if (d->mode == SMTP_MODE_DATA)
            r = take_data(d, p[used++], out);
        else
            take_command(d, p[used++], out);
    }
    if (r == 0)
        r = buf_fault(out);
    if (r == 0)
        r = buf_fault(&d->paths);
    if (r)
        return r;
    *ret_used = used;
    *ret_state = d->mode == SMTP_MODE_CLOSED     ? SMTP_CLOSE
                 : d->mode == SMTP_MODE_COMPLETE ? SMTP_MESSAGE
                                                 : SMTP_MORE;
    return 0;
}

const struct smtp_message *smtp_dialogue_message(const struct smtp_dialogue *d)
{
    return &d->message;
}

int smtp_dialogue_answer(struct smtp_dialogue *d, enum smtp_verdict verdict, struct buf *out)
{
    static const char *const replies[] = {
        [SMTP_KEPT] = "250 2.0.0 Kept",
        [SMTP_TRY_AGAIN] = "451 4.3.0 It cannot be kept just now",
        [SMTP_REFUSED] = "554 5.6.0 The message is refused",
    };

    smtp_reply(d, out, replies[verdict]);
    smtp_forget(d);
    d->mode = SMTP_MODE_COMMAND;
    return buf_fault(out);
}

bool smtp_dialogue_busy(const struct smtp_dialogue *d)
{
    return d->has_from;
}

int smtp_dialogue_dismiss(struct smtp_dialogue *d, const char *reason, struct buf *out)
{
    d->mode = SMTP_MODE_CLOSED;
    return buf_printf(out, "421 4.3.2 %s\r\n", reason);
}
