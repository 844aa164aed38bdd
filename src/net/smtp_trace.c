#include "net/smtp_trace.h"

enum { AUTHENTICATION_REQUIRED = 530 };

static void set_text(struct smtp_fate *f, struct str text)
{
    size_t n = 0;

    for (; n < text.n && n < sizeof f->text - 1; n++)
        f->text[n] = text.p[n] >= ' ' && text.p[n] <= '~' ? text.p[n] : '?';
    f->text[n] = '\0';
}

void smtp_trace_begin(struct smtp_trace *d, struct smtp_fate *fates, size_t count)
{
    *d = (struct smtp_trace){.recipient_count = count, .fates = fates};
    for (size_t i = 0; i < count; i++)
        fates[i] = (struct smtp_fate){.result = SMTP_TEMPORARY};
}

/* What was said to the command before is not the answer to this one. */
static void forget_reply(struct smtp_trace *d)
{
    for (size_t i = 0; i < d->recipient_count; i++)
        if (!d->refused[i])
            d->fates[i].code = 0;
}

void smtp_trace_command(struct smtp_trace *d, struct str command)
{
    while (command.n > 0 && (command.p[command.n - 1] == '\r' || command.p[command.n - 1] == '\n'))
        command.n--;
    /* What is said to the farewell is no answer to the message. */
    d->over = d->over || str_eq(command, STR("QUIT"));
    if (d->over)
        return;
    forget_reply(d);
    if (str_has_prefix(command, STR("MAIL FROM:"))) {
        d->stage = SMTP_STAGE_FROM;
    } else if (str_has_prefix(command, STR("RCPT TO:"))) {
        d->stage = SMTP_STAGE_RCPT;
        d->recipients++;
    } else if (str_eq(command, STR("DATA"))) {
        d->stage = SMTP_STAGE_DATA;
    } else if (d->stage < SMTP_STAGE_FROM) {
        d->stage = SMTP_STAGE_SESSION;
    }
}

static enum smtp_result result_of(enum smtp_stage stage, int code)
{
    bool about_message = stage >= SMTP_STAGE_FROM && code != AUTHENTICATION_REQUIRED;

    return code / 100 == 5 && about_message ? SMTP_PERMANENT : SMTP_TEMPORARY;
}

static void set_fate(struct smtp_trace *d, size_t i, int code, struct str text)
{
    struct smtp_fate *f = &d->fates[i];

    f->result = result_of(d->stage, code);
    f->stage = d->stage;
    f->code = code;
    set_text(f, text);
}

static void set_open_fates(struct smtp_trace *d, int code, struct str text)
{
    for (size_t i = 0; i < d->recipient_count; i++)
        if (!d->refused[i])
            set_fate(d, i, code, text);
}

static void take_message_reply(struct smtp_trace *d, int code, struct str text)
{
    set_open_fates(d, code, text);
    if (code / 100 == 2)
        for (size_t i = 0; i < d->recipient_count; i++)
            if (!d->refused[i])
                d->fates[i].result = SMTP_ACCEPTED;
    d->over = true;
}

void smtp_trace_line(struct smtp_trace *d, struct str line)
{
    uint64_t code;

    while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
        line.n--;
    /* "250-more" goes on, "250 text" and "250" end a reply (RFC 5321, section 4.2.1). */
    if (d->over || line.n < 3 || (line.n > 3 && line.p[3] != ' ') ||
        str_to_u64((struct str){line.p, 3}, 999, &code))
        return;
    struct str text = {line.p + (line.n > 3 ? 4 : 3), line.n - (line.n > 3 ? 4 : 3)};
    if (d->stage == SMTP_STAGE_RCPT && d->recipients <= d->recipient_count) {
        set_fate(d, d->recipients - 1, (int)code, text);
        d->refused[d->recipients - 1] = code / 100 != 2;
    } else if (d->stage == SMTP_STAGE_DATA && d->message_sent) {
        take_message_reply(d, (int)code, text);
    } else if (code >= 400) {
        set_open_fates(d, (int)code, text);
    }
}

void smtp_trace_end(struct smtp_trace *d, const char *error)
{
    for (size_t i = 0; i < d->recipient_count; i++) {
        struct smtp_fate *f = &d->fates[i];
        /* Where the server had the last word, libcurl has nothing to add. */
        if (f->result == SMTP_ACCEPTED || d->refused[i] || f->code >= 400)
            continue;
        f->result = d->message_sent ? SMTP_UNCERTAIN : SMTP_TEMPORARY;
        f->stage = d->stage;
        f->code = 0;
        set_text(f, str_of(error));
    }
}
