#include "cli/email_setup_report.h"

#include "base/json.h"

enum { COMMAND_MAX = 16 * 1024 };

static bool dns_is_due(const struct ses_setup *s)
{
    enum ses_setup_state state = s->rows[SES_CHECK_DKIM].state;

    return state == SES_SETUP_WAITING || state == SES_SETUP_MISSING;
}

static void write_rows(const struct ses_setup *s, struct buf *out)
{
    for (int i = 0; i < SES_CHECKS; i++) {
        const struct ses_setup_row *row = &s->rows[i];
        if (row->state != SES_SETUP_ABSENT)
            buf_printf(out, "  %-13s %-8s %s\n", ses_setup_check_name((enum ses_setup_check)i),
                       ses_setup_state_name(row->state), row->found);
    }
}

static void write_actions(const struct ses_setup *s, struct buf *out)
{
    if (s->action_count == 0)
        return;
    buf_add_str(out, STR("\nMissing, and done with --yes:\n"));
    for (size_t i = 0; i < s->action_count; i++) {
        buf_printf(out, "  %zu. %s\n     ", i + 1, s->actions[i].what);
        ses_setup_command(s, &s->actions[i], out);
        buf_add_char(out, '\n');
    }
}

static void write_records(const struct ses_setup *s, struct buf *out)
{
    char zone[SES_SETUP_ZONE_SIZE];

    ses_setup_dkim_zone(aws_region(s->aws), zone);
    for (size_t i = 0; i < s->seen.token_count; i++)
        buf_printf(out, "      %.*s._domainkey.%.*s. CNAME %.*s.%s.\n", STR_ARG(s->seen.tokens[i]),
                   STR_ARG(s->want.identity), STR_ARG(s->seen.tokens[i]), zone);
}

static void write_todos(const struct ses_setup *s, struct buf *out)
{
    bool first = true;

    for (int i = 0; i < SES_CHECKS; i++) {
        if (!s->rows[i].todo)
            continue;
        buf_printf(out, "%s  - %s\n", first ? "\nFor you to do:\n" : "", s->rows[i].todo);
        first = false;
        if (i == SES_CHECK_DKIM && dns_is_due(s))
            write_records(s, out);
    }
}

int email_setup_write_text(const struct email_setup_report *report, struct buf *out)
{
    const struct ses_setup *s = report->setup;

    buf_printf(out, "%sAmazon SES for %.*s in %.*s\n\n", report->tried_count ? "\n" : "",
               STR_ARG(s->want.identity), STR_ARG(aws_region(s->aws)));
    write_rows(s, out);
    if (!report->acted)
        write_actions(s, out);
    write_todos(s, out);
    if (ses_setup_is_complete(s))
        buf_add_str(out, STR("\nAll in place.\n"));
    return buf_fault(out);
}

int email_setup_write_tried(const struct ses_setup_action *a, struct buf *out)
{
    if (a->outcome == 0)
        buf_printf(out, "done    %s\n", a->what);
    else
        buf_printf(out, "failed  %s: %s: %s: %s\n", a->what, aws_outcome_text(a->outcome),
                   a->error.code, a->error.text);
    return buf_fault(out);
}

static void json_text(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_str(w, str_of(text));
    else
        json_nil(w);
}

static void json_account(struct json_writer *w, const struct ses_setup_seen *seen)
{
    const struct ses_account *a = &seen->account;

    json_key(w, "account");
    if (!seen->account_known) {
        json_nil(w);
        return;
    }
    json_object_begin(w);
    json_key(w, "production");
    json_bool(w, a->production);
    json_key(w, "sending");
    json_bool(w, a->sending);
    json_text(w, "enforcement", *a->enforcement ? a->enforcement : NULL);
    json_key(w, "perDay");
    json_double(w, a->per_day);
    json_key(w, "perSecond");
    json_double(w, a->per_second);
    json_key(w, "sentLast24Hours");
    json_double(w, a->sent_today);
    json_object_end(w);
}

static void json_checks(struct json_writer *w, const struct ses_setup *s)
{
    json_key(w, "checks");
    json_array_begin(w);
    for (int i = 0; i < SES_CHECKS; i++) {
        const struct ses_setup_row *row = &s->rows[i];
        if (row->state == SES_SETUP_ABSENT)
            continue;
        json_object_begin(w);
        json_text(w, "name", ses_setup_check_name((enum ses_setup_check)i));
        json_text(w, "state", ses_setup_state_name(row->state));
        json_text(w, "found", row->found);
        json_text(w, "todo", row->todo);
        json_object_end(w);
    }
    json_array_end(w);
}

static void json_error(struct json_writer *w, const struct ses_setup_action *a)
{
    json_key(w, "error");
    if (a->outcome == 0) {
        json_nil(w);
        return;
    }
    json_object_begin(w);
    json_text(w, "kind", aws_outcome_text(a->outcome));
    json_text(w, "code", a->error.code);
    json_text(w, "text", a->error.text);
    json_object_end(w);
}

static void json_action(struct json_writer *w, const struct ses_setup *s,
                        const struct ses_setup_action *action)
{
    struct buf command _cleanup_buf_ = buf_init(COMMAND_MAX);

    ses_setup_command(s, action, &command);
    json_object_begin(w);
    json_text(w, "check", ses_setup_check_name(action->check));
    json_text(w, "what", action->what);
    json_key(w, "command");
    json_str(w, buf_str(&command));
    if (action->tried)
        json_error(w, action);
    json_object_end(w);
}

int email_setup_write_record(const struct ses_setup *s, const struct ses_setup_action *action,
                             struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_action(&w, s, action);
    return buf_fault(out);
}

static void json_actions(struct json_writer *w, const char *key, const struct ses_setup *s,
                         const struct ses_setup_action *actions, size_t n)
{
    json_key(w, key);
    json_array_begin(w);
    for (size_t i = 0; i < n; i++)
        json_action(w, s, &actions[i]);
    json_array_end(w);
}

static void json_records(struct json_writer *w, const struct ses_setup *s)
{
    char zone[SES_SETUP_ZONE_SIZE], text[600];

    ses_setup_dkim_zone(aws_region(s->aws), zone);
    json_key(w, "dns");
    json_array_begin(w);
    for (size_t i = 0; dns_is_due(s) && i < s->seen.token_count; i++) {
        json_object_begin(w);
        snprintf(text, sizeof text, "%.*s._domainkey.%.*s", STR_ARG(s->seen.tokens[i]),
                 STR_ARG(s->want.identity));
        json_text(w, "name", text);
        json_text(w, "type", "CNAME");
        snprintf(text, sizeof text, "%.*s.%s", STR_ARG(s->seen.tokens[i]), zone);
        json_text(w, "value", text);
        json_object_end(w);
    }
    json_array_end(w);
}

int email_setup_write_json(const struct email_setup_report *report, struct buf *out)
{
    const struct ses_setup *s = report->setup;
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    json_key(&w, "identity");
    json_str(&w, s->want.identity);
    json_key(&w, "region");
    json_str(&w, aws_region(s->aws));
    json_key(&w, "topicArn");
    json_str(&w, s->seen.topic_arn);
    json_key(&w, "endpoint");
    json_str(&w, s->want.endpoint);
    json_key(&w, "complete");
    json_bool(&w, ses_setup_is_complete(s));
    json_account(&w, &s->seen);
    json_checks(&w, s);
    json_actions(&w, "missing", s, s->actions, s->action_count);
    json_actions(&w, "tried", s, report->tried, report->tried_count);
    json_records(&w, s);
    json_object_end(&w);
    buf_add_char(out, '\n');
    return buf_fault(out);
}
