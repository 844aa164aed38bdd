#include "trail/export.h"

#include "base/clock.h"
#include "base/fault.h"
#include "trail/internal.h"

#include <errno.h>

/* Records a transaction, and the most that their text may take. */
enum { EXPORT_PAGE = 256, EXPORT_BYTES = 1 << 30 };

int trail_format_parse(struct str text, enum trail_format *ret_format)
{
    if (str_eq(text, STR("jsonl")))
        *ret_format = TRAIL_JSONL;
    else if (str_eq(text, STR("csv")))
        *ret_format = TRAIL_CSV;
    else
        return 1;
    return 0;
}

int trail_sink_file(struct str bytes, void *arg)
{
    if (bytes.n && fwrite(bytes.p, 1, bytes.n, arg) != bytes.n)
        return fault_errno(FAULT_IO, errno, "the export cannot be written");
    return 0;
}

static void member_id(struct json_writer *w, const char *key, const struct uuid *id)
{
    json_key(w, key);
    if (uuid_is_nil(id))
        json_raw(w, STR("null"));
    else
        json_uuid(w, id);
}

static void member_str(struct json_writer *w, const char *key, struct str s)
{
    json_key(w, key);
    json_str(w, s);
}

void trail_record_json(struct json_writer *w, const struct trail_record *record)
{
    json_object_begin(w);
    json_key(w, "seq");
    json_int(w, record->seq);
    json_key(w, "at");
    json_time(w, record->at);
    member_id(w, "tenantId", &record->tenant_id);
    member_id(w, "actorId", &record->actor_id);
    member_str(w, "actor", record->actor);
    member_str(w, "action", record->action);
    member_id(w, "subjectId", &record->subject_id);
    member_str(w, "subject", record->subject);
    member_str(w, "ip", record->ip);
    member_id(w, "requestId", &record->request_id);
    json_key(w, "detail");
    /* What someone put there past us must not break the document. */
    if (trail_detail_valid(record->detail))
        json_raw(w, record->detail);
    else
        json_str(w, record->detail);
    json_object_end(w);
}

static void cell(struct buf *out, struct str s, char end)
{
    buf_add_char(out, '"');
    if (s.n && memchr("=+-@\t\r", s.p[0], 6))
        buf_add_char(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, s.p[i]);
    }
    buf_add_char(out, '"');
    buf_add_char(out, end);
}

static void cell_id(struct buf *out, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE] = "";

    if (!uuid_is_nil(id))
        uuid_format(id, text);
    cell(out, str_of(text), ',');
}

int trail_csv_head(struct buf *out)
{
    return buf_add_str(out, STR("seq,at,tenant_id,actor_id,actor,action,subject_id,subject,ip,"
                                "request_id,detail\r\n"));
}

int trail_record_csv(const struct trail_record *record, struct buf *out)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(record->at, at);
    buf_printf(out, "\"%lld\",", (long long)record->seq);
    cell(out, str_of(at), ',');
    cell_id(out, &record->tenant_id);
    cell_id(out, &record->actor_id);
    cell(out, record->actor, ',');
    cell(out, record->action, ',');
    cell_id(out, &record->subject_id);
    cell(out, record->subject, ',');
    cell(out, record->ip, ',');
    cell_id(out, &record->request_id);
    cell(out, record->detail, '\r');
    return buf_add_char(out, '\n');
}

struct export_page {
    enum trail_format format;
    const struct trail_filter *filter;
    int64_t after, last;
    int count;
    struct buf text;
};

static int add_record(const struct trail_record *record, void *arg)
{
    struct export_page *p = arg;

    p->last = record->seq;
    p->count++;
    if (p->format == TRAIL_CSV)
        return trail_record_csv(record, &p->text);
    struct json_writer w = json_writer(&p->text);
    trail_record_json(&w, record);
    return buf_add_char(&p->text, '\n');
}

static int page_job(struct store_txn *txn, void *arg)
{
    struct export_page *p = arg;

    p->last = p->after;
    p->count = 0;
    buf_reset(&p->text);
    return trail_list_from(txn, p->filter, p->after, EXPORT_PAGE, add_record, p);
}

static int export_pages(const struct trail *trail, struct export_page *p, trail_sink *sink,
                        void *arg, int64_t *ret_count)
{
    int64_t count = 0;
    int e = 0;

    do {
        e = store_read(trail->store, page_job, p);
        if (!e)
            e = sink(buf_str(&p->text), arg);
        count += p->count;
        /* A row whose number is none of the chain's does not move the cursor. */
        if (p->last == p->after)
            break;
        p->after = p->last;
    } while (!e && p->count == EXPORT_PAGE);
    if (!e && ret_count)
        *ret_count = count;
    return e;
}

int trail_export(const struct trail *trail, enum trail_format format,
                 const struct trail_filter *filter, trail_sink *sink, void *arg, int64_t *ret_count)
{
    struct export_page p = {.format = format, .filter = filter, .text = buf_init(EXPORT_BYTES)};
    int e = 0;

    if (format == TRAIL_CSV) {
        e = trail_csv_head(&p.text);
        if (!e)
            e = sink(buf_str(&p.text), arg);
    }
    if (!e)
        e = export_pages(trail, &p, sink, arg, ret_count);
    buf_free(&p.text);
    return e;
}
