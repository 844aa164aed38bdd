#include "mail/template.h"

#include "base/clock.h"

struct layout {
    struct str name, reason;
};

static const struct layout layouts[TEMPLATES] = {
    [TEMPLATE_NOTICE] = {STR_INIT("notice"),
                         STR_INIT("You get this because you have an account with us.")},
    [TEMPLATE_SECURITY] = {STR_INIT("security"),
                           STR_INIT(
                               "You get this because it concerns the safety of your account.")},
};

struct str template_name(enum template_id id)
{
    return layouts[id].name;
}

int template_find(struct str name, enum template_id *ret_id)
{
    for (size_t i = 0; i < TEMPLATES; i++) {
        if (str_eq(layouts[i].name, name)) {
            *ret_id = (enum template_id)i;
            return 0;
        }
    }
    return TEMPLATE_UNKNOWN;
}

/* Text of one line, or of several where lines may be. */
static bool is_text(struct str s, bool lines)
{
    if (s.n == 0 || s.n > TEMPLATE_TEXT_MAX || !str_is_utf8(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && !(lines && c == '\n')) || c == 0x7F)
            return false;
    }
    return true;
}

static bool is_url(struct str s)
{
    if (s.n > TEMPLATE_URL_MAX ||
        (!str_has_prefix(s, STR("https://")) && !str_has_prefix(s, STR("http://"))))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7F)
            return false;
    return true;
}

static void add_html(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            buf_add_str(out, STR("&amp;"));
            break;
        case '<':
            buf_add_str(out, STR("&lt;"));
            break;
        case '>':
            buf_add_str(out, STR("&gt;"));
            break;
        case '"':
            buf_add_str(out, STR("&quot;"));
            break;
        case '\'':
            buf_add_str(out, STR("&#39;"));
            break;
        case '\n':
            buf_add_str(out, STR("<br>\n"));
            break;
        default:
            buf_add_char(out, s.p[i]);
        }
    }
}

/* "2026-01-02 03:04 UTC" */
static struct str time_text(int64_t at, char text[CLOCK_TEXT_SIZE])
{
    clock_format(at, text);
    text[10] = ' ';
    memcpy(text + 16, " UTC", 5);
    return str_of(text);
}

static void write_text(const struct layout *l, const struct template_notice *n, struct buf *out)
{
    char time[CLOCK_TEXT_SIZE];

    buf_add_str(out, n->title);
    buf_add_str(out, STR("\n\n"));
    buf_add_str(out, n->body);
    buf_add_str(out, STR("\n\n"));
    buf_add_str(out, time_text(n->at, time));
    if (n->link.n > 0) {
        buf_add_str(out, STR("\n\n"));
        buf_add_str(out, n->link);
    }
    buf_add_str(out, STR("\n\n-- \n")); /* readers cut a signature off here (RFC 3676, 4.3) */
    buf_add_str(out, n->sender);
    buf_add_char(out, '\n');
    buf_add_str(out, l->reason);
    if (n->unsubscribe_url.n > 0) {
        buf_add_str(out, STR("\nTo get no more of it: "));
        buf_add_str(out, n->unsubscribe_url);
    }
    buf_add_char(out, '\n');
}

static void add_link(struct buf *out, struct str url, struct str words)
{
    buf_add_str(out, STR("<a href=\""));
    add_html(out, url);
    buf_add_str(out, STR("\">"));
    add_html(out, words);
    buf_add_str(out, STR("</a>"));
}

static void write_html(const struct layout *l, const struct template_notice *n, struct buf *out)
{
    char time[CLOCK_TEXT_SIZE];

    buf_add_str(out,
                STR("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>"));
    add_html(out, n->title);
    buf_add_str(out, STR("</title></head>\n<body style=\"font-family:sans-serif\">\n<h1 "
                         "style=\"font-size:1.3em\">"));
    add_html(out, n->title);
    buf_add_str(out, STR("</h1>\n<p>"));
    add_html(out, n->body);
    buf_add_str(out, STR("</p>\n<p>"));
    buf_add_str(out, time_text(n->at, time));
    if (n->link.n > 0) {
        buf_add_str(out, STR("</p>\n<p>"));
        add_link(out, n->link, n->link);
    }
    buf_add_str(out, STR("</p>\n<hr>\n<p style=\"font-size:0.9em\">"));
    add_html(out, n->sender);
    buf_add_str(out, STR("<br>\n"));
    add_html(out, l->reason);
    if (n->unsubscribe_url.n > 0) {
        buf_add_str(out, STR("<br>\n"));
        add_link(out, n->unsubscribe_url, STR("Get no more of it"));
    }
    buf_add_str(out, STR("</p>\n</body>\n</html>\n"));
}

int template_write(enum template_id id, const struct template_notice *notice, struct buf *ret_text,
                   struct buf *ret_html)
{
    size_t text = ret_text->n, html = ret_html->n;

    if (!is_text(notice->sender, false) || !is_text(notice->title, false) ||
        !is_text(notice->body, true))
        return TEMPLATE_TEXT;
    if ((notice->link.n > 0 && !is_url(notice->link)) ||
        (notice->unsubscribe_url.n > 0 && !is_url(notice->unsubscribe_url)))
        return TEMPLATE_URL;
    write_text(&layouts[id], notice, ret_text);
    write_html(&layouts[id], notice, ret_html);
    int r = buf_fault(ret_text);
    if (r == 0)
        r = buf_fault(ret_html);
    if (r) {
        ret_text->n = text;
        ret_html->n = html;
    }
    return r;
}
