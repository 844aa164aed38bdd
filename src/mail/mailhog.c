#include "mail/mailhog.h"

#include "base/json.h"
#include "mail/message_parts.h"

static void field(struct json_writer *w, const char *key, struct str value)
{
    json_key(w, key);
    json_str(w, value);
}

/* An address of the envelope; a quoted local part may hold an @ of its own. */
static void write_path(struct json_writer *w, struct str path)
{
    size_t at = path.n;

    while (at > 0 && path.p[at - 1] != '@')
        at--;
    struct str mailbox = {path.p, at > 0 ? at - 1 : path.n};
    struct str domain = at > 0 ? (struct str){path.p + at, path.n - at} : STR("");
    json_object_begin(w);
    json_key(w, "Relays");
    json_nil(w);
    field(w, "Mailbox", mailbox);
    field(w, "Domain", domain);
    field(w, "Params", STR(""));
    json_object_end(w);
}

/* A value on one line: a fold goes, and the white space behind it stays (RFC 5322, 2.2.3). */
static void write_unfolded(struct json_writer *w, struct str value)
{
    _cleanup_buf_ struct buf line = buf_init(value.n);

    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '\r' && value.p[i] != '\n')
            buf_add_char(&line, value.p[i]);
    json_str(w, buf_fault(&line) ? value : buf_str(&line));
}

static bool seen_before(const struct message_head *head, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_eq_ci(head->fields[j].name, head->fields[i].name))
            return true;
    return false;
}

/* JSON's members: their names must need no escaping, and be those of no other. */
static bool is_plain(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '"' || name.p[i] == '\\')
            return false;
    return name.n < 80;
}

static void write_named(struct json_writer *w, const struct message_head *head, size_t i)
{
    char name[80];

    snprintf(name, sizeof name, "%.*s", STR_ARG(head->fields[i].name));
    json_key(w, name);
    json_array_begin(w);
    for (size_t j = i; j < head->n; j++)
        if (str_eq_ci(head->fields[j].name, head->fields[i].name))
            write_unfolded(w, head->fields[j].value);
    json_array_end(w);
}

/* The fields of one name are one member, named as the first of them. */
static void write_headers(struct json_writer *w, const struct message_head *head)
{
    json_key(w, "Headers");
    json_object_begin(w);
    for (size_t i = 0; i < head->n; i++)
        if (is_plain(head->fields[i].name) && !seen_before(head, i))
            write_named(w, head, i);
    json_object_end(w);
}

static void write_mime(struct json_writer *w, struct str content_type, struct str body, int depth);

static void write_content(struct json_writer *w, struct str data, int depth)
{
    struct message_head head;

    message_head_read(data, &head);
    json_object_begin(w);
    write_headers(w, &head);
    field(w, "Body", head.body);
    json_key(w, "Size");
    json_int(w, (int64_t)data.n);
    write_mime(w, message_field_find(&head, STR("Content-Type")), head.body, depth);
    json_object_end(w);
}

/* null for what is no multipart. */
static void write_mime(struct json_writer *w, struct str content_type, struct str body, int depth)
{
    struct str boundary = message_boundary(content_type), part;

    json_key(w, "MIME");
    if (boundary.n == 0 || depth == 0) {
        json_nil(w);
        return;
    }
    json_object_begin(w);
    json_key(w, "Parts");
    json_array_begin(w);
    message_parts_begin(&body, boundary);
    for (int i = 0; i < MESSAGE_PARTS_MAX && message_part_next(&body, boundary, &part); i++)
        write_content(w, part, depth - 1);
    json_array_end(w);
    json_object_end(w);
}

static void write_raw(struct json_writer *w, const struct sandbox_message *m)
{
    struct str rest = m->to, path;

    json_key(w, "Raw");
    json_object_begin(w);
    field(w, "From", m->from);
    json_key(w, "To");
    json_array_begin(w);
    while (str_next(&rest, '\n', &path))
        json_str(w, path);
    json_array_end(w);
    field(w, "Data", m->data);
    field(w, "Helo", m->helo);
    json_object_end(w);
}

/* MailHog shows the parts beside the content of the whole, and not within it. */
static void write_whole(struct json_writer *w, struct str data)
{
    struct message_head head;

    message_head_read(data, &head);
    json_key(w, "Content");
    write_content(w, data, 0);
    write_mime(w, message_field_find(&head, STR("Content-Type")), head.body, MAILHOG_DEPTH);
}

static void write_message(struct json_writer *w, const struct sandbox_message *m)
{
    struct str rest = m->to, path;

    json_object_begin(w);
    json_key(w, "ID");
    json_uuid(w, &m->id);
    json_key(w, "From");
    write_path(w, m->from);
    json_key(w, "To");
    json_array_begin(w);
    while (str_next(&rest, '\n', &path))
        write_path(w, path);
    json_array_end(w);
    write_whole(w, m->data);
    json_key(w, "Created");
    json_time(w, m->at);
    write_raw(w, m);
    json_object_end(w);
}

int mailhog_write_message(const struct sandbox_message *m, struct buf *ret_json)
{
    struct json_writer w = json_writer(ret_json);

    write_message(&w, m);
    return buf_fault(ret_json);
}

int mailhog_write_page(const struct sandbox_page *page, struct buf *ret_json)
{
    struct json_writer w = json_writer(ret_json);

    json_object_begin(&w);
    json_key(&w, "total");
    json_int(&w, page->total);
    json_key(&w, "count");
    json_int(&w, (int64_t)page->n);
    json_key(&w, "start");
    json_int(&w, page->start);
    json_key(&w, "items");
    json_array_begin(&w);
    for (size_t i = 0; i < page->n; i++)
        write_message(&w, &page->items[i]);
    json_array_end(&w);
    json_object_end(&w);
    return buf_fault(ret_json);
}
