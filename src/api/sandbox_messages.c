/* What the sandbox's routes answer. */
#include "api/sandbox_page.h"
#include "api/sandbox_visit.h"
#include "base/fault.h"
#include "http/shape.h"
#include "mail/mailhog.h"
#include "mail/message_view.h"

enum { START_MAX = 1000000000, CHARSET_MAX = 40 };

/*
 * What a message holds is a stranger's: no script runs, nothing is loaded, and what is clicked
 * opens a window of its own.
 */
#define MESSAGE_POLICY                                                                             \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "               \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "                                \
    "sandbox allow-popups allow-popups-to-escape-sandbox"

struct asked {
    int64_t start, limit;
    struct str kind, text;
    bool has_kind, has_text;
};

/* One job over the messages. */
struct looking {
    struct arena *arena;
    struct uuid id;
    struct asked asked;
    bool search;
    enum sandbox_kind kind;
    struct sandbox_page page;
    struct sandbox_message message;
};

static int bad_field(struct sandbox_visit *v, const char *field, const char *detail)
{
    v->field = str_of(field);
    v->detail = str_of(detail);
    return PROBLEM_INVALID_FIELD;
}

static int take_number(struct sandbox_visit *v, const char *field, struct str value, int64_t *ret)
{
    return str_to_i64(value, 0, START_MAX, ret)
               ? bad_field(v, field, "This is not a whole number from 0.")
               : 0;
}

static int take_one(struct sandbox_visit *v, struct str name, struct str value,
                    struct asked *ret_asked)
{
    if (str_eq(name, STR("start")))
        return take_number(v, "start", value, &ret_asked->start);
    if (str_eq(name, STR("limit")))
        return take_number(v, "limit", value, &ret_asked->limit);
    if (str_eq(name, STR("kind"))) {
        ret_asked->has_kind = true;
        ret_asked->kind = value;
    } else if (str_eq(name, STR("query"))) {
        ret_asked->has_text = value.n > 0;
        ret_asked->text = value;
    }
    return 0;
}

/* Of the query; clients of MailHog may add what it passes over, so this does too. */
static int take_asked(struct sandbox_visit *v, struct asked *ret_asked)
{
    struct str rest = v->request->query, part;

    *ret_asked = (struct asked){.limit = MAILHOG_LIMIT};
    while (str_next(&rest, '&', &part)) {
        size_t at = str_find(part, '=');
        struct str value = {part.p + at, 0};
        if (at < part.n)
            value = (struct str){part.p + at + 1, part.n - at - 1};
        int r = percent_decode(value, true, v->request->arena, &value);
        if (r > 0)
            return bad_field(v, "", "The query is not percent-encoded as it should be.");
        if (r == 0)
            r = take_one(v, (struct str){part.p, at}, value, ret_asked);
        if (r)
            return r;
    }
    return 0;
}

static int list_job(struct store_txn *t, void *arg)
{
    struct looking *l = arg;

    return l->search ? sandbox_search(t, l->arena, l->kind, l->asked.text, l->asked.start,
                                      l->asked.limit, &l->page)
                     : sandbox_list(t, l->arena, l->asked.start, l->asked.limit, &l->page);
}

static int find_job(struct store_txn *t, void *arg)
{
    struct looking *l = arg;

    return sandbox_find(t, l->arena, &l->id, &l->message);
}

static int remove_job(struct store_txn *t, void *arg)
{
    const struct looking *l = arg;

    return sandbox_remove(t, &l->id);
}

static int clear_job(struct store_txn *t, void *arg)
{
    return sandbox_clear(t);
}

static int find(struct sandbox_visit *v, struct sandbox_message *ret_message)
{
    struct looking l = {.arena = v->request->arena, .id = v->id};
    int r = store_read(v->h->store, find_job, &l);

    if (r)
        return r < 0 ? r : PROBLEM_NOT_FOUND;
    *ret_message = l.message;
    return 0;
}

static int reply(struct sandbox_visit *v, const char *media_type)
{
    int r = buf_fault(&v->reply->body);

    v->reply->status = 200;
    return r ? r : http_reply_header(v->reply, "Content-Type", str_of(media_type));
}

/* Where a page is too long as JSON, there are fewer messages on it: its count says how many. */
static int reply_page(struct sandbox_visit *v, struct looking *l)
{
    int r = store_read(v->h->store, list_job, l);

    if (r)
        return r;
    while ((r = mailhog_write_page(&l->page, &v->reply->body)) == FAULT_LIMIT && l->page.n > 1) {
        l->page.n /= 2;
        buf_reset(&v->reply->body);
    }
    return r ? r : reply(v, "application/json");
}

int sandbox_get_list(struct sandbox_visit *v)
{
    struct looking l = {.arena = v->request->arena};
    int r = take_asked(v, &l.asked);

    return r ? r : reply_page(v, &l);
}

int sandbox_get_search(struct sandbox_visit *v)
{
    struct looking l = {.arena = v->request->arena, .search = true};
    int r = take_asked(v, &l.asked);

    if (r)
        return r;
    if (!l.asked.has_kind || sandbox_kind_parse(l.asked.kind, &l.kind))
        return bad_field(v, "kind", "This is none of from, to and containing.");
    if (!l.asked.has_text)
        return bad_field(v, "query", "This is what to look for.");
    return reply_page(v, &l);
}

/* Version 1 has no pages: the newest messages as an array. */
int sandbox_get_array(struct sandbox_visit *v)
{
    struct looking l = {.arena = v->request->arena, .asked = {.limit = SANDBOX_PAGE}};
    int r = store_read(v->h->store, list_job, &l);

    buf_add_char(&v->reply->body, '[');
    for (size_t i = 0; r == 0 && i < l.page.n; i++) {
        if (i)
            buf_add_char(&v->reply->body, ',');
        r = mailhog_write_message(&l.page.items[i], &v->reply->body);
    }
    buf_add_char(&v->reply->body, ']');
    return r ? r : reply(v, "application/json");
}

int sandbox_delete_all(struct sandbox_visit *v)
{
    int r = store_write(v->h->store, clear_job, NULL);

    return r ? r : reply(v, "application/json");
}

int sandbox_get_message(struct sandbox_visit *v)
{
    struct sandbox_message m;
    int r = find(v, &m);

    if (r == 0)
        r = mailhog_write_message(&m, &v->reply->body);
    return r ? r : reply(v, "application/json");
}

int sandbox_delete_message(struct sandbox_visit *v)
{
    struct looking l = {.id = v->id};
    int r = store_write(v->h->store, remove_job, &l);

    if (r)
        return r < 0 ? r : PROBLEM_NOT_FOUND;
    return reply(v, "application/json");
}

static int reply_file(struct sandbox_visit *v, const char *media_type, const char *name)
{
    char value[100];

    snprintf(value, sizeof value, "attachment%s%s", *name ? "; filename=" : "", name);
    int r = http_reply_header(v->reply, "Content-Disposition", str_of(value));
    return r ? r : reply(v, media_type);
}

int sandbox_get_source(struct sandbox_visit *v)
{
    struct sandbox_message m;
    char id[UUID_TEXT_SIZE], name[UUID_TEXT_SIZE + 8];
    int r = find(v, &m);

    if (r)
        return r;
    buf_add_str(&v->reply->body, m.data);
    uuid_format(&v->id, id);
    snprintf(name, sizeof name, "\"%s.eml\"", id);
    return reply_file(v, "message/rfc822", name);
}

/* Its type and name are a stranger's, so it is bytes; the page knows the name. */
int sandbox_get_part(struct sandbox_visit *v)
{
    struct sandbox_message m;
    struct message_leaf leaf;
    int r = find(v, &m);

    if (r)
        return r;
    if (message_view_part(m.data, v->part, &leaf))
        return PROBLEM_NOT_FOUND;
    r = message_view_decode(&leaf, &v->reply->body);
    return r ? r : reply_file(v, "application/octet-stream", "");
}

/* "text/html; charset=..." in the message's own charset, which browsers know how to read. */
static void write_type(const char *type, struct str charset, char ret_type[80])
{
    bool plain = charset.n > 0 && charset.n <= CHARSET_MAX;

    for (size_t i = 0; plain && i < charset.n; i++) {
        char c = charset.p[i];
        plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '-' || c == '_' || c == '.' || c == ':' || c == '+';
    }
    snprintf(ret_type, 80, "%s; charset=%.*s", type, STR_ARG(plain ? charset : STR("utf-8")));
}

/* The message's first part of the type, as itself; behind it what the sandbox adds. */
static int reply_view(struct sandbox_visit *v, const char *type, struct str behind)
{
    struct sandbox_message m;
    struct message_leaf leaf;
    char media_type[80];
    int r = find(v, &m);

    if (r)
        return r;
    if (message_view_find(m.data, str_of(type), &leaf))
        return PROBLEM_NOT_FOUND;
    r = message_view_decode(&leaf, &v->reply->body);
    if (r == 0)
        r = buf_add_str(&v->reply->body, behind);
    if (r == 0)
        r = http_reply_header(v->reply, "Content-Security-Policy", STR(MESSAGE_POLICY));
    write_type(type, leaf.charset, media_type);
    return r ? r : reply(v, media_type);
}

int sandbox_get_html(struct sandbox_visit *v)
{
    return reply_view(v, "text/html", STR("\n<base target=\"_blank\">\n"));
}

int sandbox_get_text(struct sandbox_visit *v)
{
    return reply_view(v, "text/plain", STR(""));
}

int sandbox_get_page(struct sandbox_visit *v)
{
    const struct sandbox_page_file *file = sandbox_page_find(v->request->path);

    if (!file)
        return PROBLEM_NOT_FOUND;
    buf_add_str(&v->reply->body, file->content);
    int r = http_reply_header(v->reply, "Content-Security-Policy", STR(SANDBOX_PAGE_POLICY));
    return r ? r : reply(v, file->media_type);
}
