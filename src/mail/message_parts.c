#include "mail/message_parts.h"

static struct str from(struct str s, size_t i)
{
    return (struct str){s.p + i, s.n - i};
}

/* Where the first CRLF at or behind i stands; s.n where there is none. */
static size_t line_end(struct str s, size_t i)
{
    while (i < s.n) {
        i += str_find(from(s, i), '\r');
        if (i + 1 < s.n && s.p[i + 1] == '\n')
            return i;
        i++;
    }
    return s.n;
}

/* Where the field that begins at i ends: before a CRLF that no white space follows. */
static size_t field_end(struct str s, size_t i)
{
    size_t end = line_end(s, i);

    while (end + 2 < s.n && (s.p[end + 2] == ' ' || s.p[end + 2] == '\t'))
        end = line_end(s, end + 2);
    return end;
}

static void add_field(struct message_head *head, struct str line)
{
    size_t colon = str_find(line, ':');
    struct str name = str_trim((struct str){line.p, colon});

    if (colon == line.n || name.n == 0 || head->n == MESSAGE_FIELDS_MAX)
        return;
    head->fields[head->n++] = (struct message_field){name, str_trim(from(line, colon + 1))};
}

void message_head_read(struct str message, struct message_head *ret_head)
{
    size_t i = 0;

    ret_head->n = 0;
    ret_head->body = message;
    while (i < message.n) {
        if (line_end(message, i) == i) {
            ret_head->body = from(message, i + 2);
            return;
        }
        size_t end = field_end(message, i);
        add_field(ret_head, (struct str){message.p + i, end - i});
        i = end + 2;
    }
    ret_head->n = 0; /* no empty line: all of it is a body */
}

struct str message_field_find(const struct message_head *head, struct str name)
{
    for (size_t i = 0; i < head->n; i++)
        if (str_eq_ci(head->fields[i].name, name))
            return head->fields[i].value;
    return (struct str){NULL, 0};
}

/* A parameter's value, from where it begins. */
static struct str parameter_value(struct str s)
{
    size_t n = 0;

    if (s.n > 0 && s.p[0] == '"') {
        s = from(s, 1);
        return (struct str){s.p, str_find(s, '"')};
    }
    while (n < s.n && !strchr(" \t\r\n;", s.p[n]))
        n++;
    return (struct str){s.p, n};
}

struct str message_parameter(struct str value, struct str name)
{
    for (size_t i = 1; i + name.n < value.n; i++) {
        if (!strchr(" \t\r\n;", value.p[i - 1]) || value.p[i + name.n] != '=' ||
            !str_has_prefix_ci(from(value, i), name))
            continue;
        return parameter_value(from(value, i + name.n + 1));
    }
    return (struct str){NULL, 0};
}

struct str message_boundary(struct str content_type)
{
    struct str value = {NULL, 0};

    if (str_has_prefix_ci(content_type, STR("multipart/")))
        value = message_parameter(content_type, STR("boundary"));
    return value.n <= MESSAGE_BOUNDARY_MAX ? value : (struct str){NULL, 0};
}

/*
 * Where the next line stands that the boundary begins: its first byte, and where the line behind it
 * begins. Returns false where there is none.
 */
static bool find_delimiter(struct str s, struct str boundary, size_t *ret_at, size_t *ret_behind,
                           bool *ret_last)
{
    for (size_t i = 0; i < s.n;) {
        size_t end = line_end(s, i);
        struct str line = {s.p + i, end - i};
        size_t next = end < s.n ? end + 2 : s.n;
        if (line.n >= 2 + boundary.n && str_has_prefix(line, STR("--")) &&
            str_has_prefix(from(line, 2), boundary)) {
            struct str behind = from(line, 2 + boundary.n);
            *ret_at = i;
            *ret_behind = next;
            *ret_last = str_has_prefix(behind, STR("--"));
            if (*ret_last || str_trim(behind).n == 0)
                return true;
        }
        i = next;
    }
    return false;
}

void message_parts_begin(struct str *body, struct str boundary)
{
    size_t at, behind;
    bool last;

    if (boundary.n == 0 || !find_delimiter(*body, boundary, &at, &behind, &last) || last)
        *body = (struct str){body->p, 0};
    else
        *body = from(*body, behind);
}

bool message_part_next(struct str *rest, struct str boundary, struct str *ret_part)
{
    size_t at = rest->n, behind = rest->n;
    bool last = true;

    if (rest->n == 0)
        return false;
    find_delimiter(*rest, boundary, &at, &behind, &last);
    /* The line end before the boundary is the boundary's. */
    size_t n = at >= 2 && at < rest->n ? at - 2 : at;
    *ret_part = (struct str){rest->p, n};
    *rest = last ? (struct str){rest->p, 0} : from(*rest, behind);
    return true;
}
