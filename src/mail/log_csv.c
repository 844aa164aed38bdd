#include "mail/log_csv.h"

#include "base/clock.h"
#include "mail/csv.h"

static void add_id(struct buf *out, const struct uuid *id, bool first)
{
    char text[UUID_TEXT_SIZE] = "";

    if (!uuid_is_nil(id))
        uuid_format(id, text);
    csv_add_cell(out, str_of(text), first);
}

static void add_time(struct buf *out, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE] = "";

    if (ms)
        clock_format(ms, text);
    csv_add_cell(out, str_of(text), false);
}

void mail_log_csv_head(struct buf *out)
{
    buf_add_str(out, STR("id,message_id,tenant_id,user_id,recipient,domain,template,subject,"
                         "transport,status,counted,error_code,detail,provider_id,created_at,"
                         "sent_at,status_at\r\n"));
}

void mail_log_csv_line(const struct mail_log_entry *e, struct buf *out)
{
    add_id(out, &e->id, true);
    add_id(out, &e->message_id, false);
    add_id(out, &e->tenant_id, false);
    add_id(out, &e->user_id, false);
    csv_add_cell(out, e->recipient, false);
    csv_add_cell(out, e->domain, false);
    csv_add_cell(out, e->template_name, false);
    csv_add_cell(out, e->subject, false);
    csv_add_cell(out, e->transport, false);
    csv_add_cell(out, mail_state_name(e->mark.state), false);
    csv_add_cell(out, e->mark.counted ? STR("true") : STR("false"), false);
    csv_add_cell(out, e->mark.code, false);
    csv_add_cell(out, e->mark.detail, false);
    csv_add_cell(out, e->provider_id, false);
    add_time(out, e->created_at);
    add_time(out, e->sent_at);
    add_time(out, e->mark.at);
    csv_add_end(out);
}
