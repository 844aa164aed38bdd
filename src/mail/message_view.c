#include "mail/message_view.h"

#include "base/encode.h"
#include "mail/message_parts.h"

static struct message_leaf leaf_of(const struct message_head *head)
{
    struct str type = message_field_find(head, STR("Content-Type"));

    return (struct message_leaf){
        .charset = message_parameter(type, STR("charset")),
        .encoding = str_trim(message_field_find(head, STR("Content-Transfer-Encoding"))),
        .body = head->body};
}

/* The type without its parameters. */
static struct str media_type(const struct message_head *head)
{
    struct str type = message_field_find(head, STR("Content-Type"));

    type.n = str_find(type, ';');
    type = str_trim(type);
    return type.n ? type : STR("text/plain");
}

static bool is_attached(const struct message_head *head)
{
    struct str how = message_field_find(head, STR("Content-Disposition"));

    return str_has_prefix_ci(how, STR("attachment"));
}

static int find(struct str message, struct str type, int depth, struct message_leaf *ret_leaf)
{
    struct message_head head;
    struct str part;

    message_head_read(message, &head);
    struct str boundary = message_boundary(message_field_find(&head, STR("Content-Type")));
    if (boundary.n == 0) {
        if (is_attached(&head) || !str_eq_ci(media_type(&head), type))
            return MESSAGE_VIEW_NONE;
        *ret_leaf = leaf_of(&head);
        return 0;
    }
    if (depth == 0)
        return MESSAGE_VIEW_NONE;
    message_parts_begin(&head.body, boundary);
    for (int i = 0; i < MESSAGE_PARTS_MAX && message_part_next(&head.body, boundary, &part); i++)
        if (find(part, type, depth - 1, ret_leaf) == 0)
            return 0;
    return MESSAGE_VIEW_NONE;
}

int message_view_find(struct str message, struct str type, struct message_leaf *ret_leaf)
{
    return find(message, type, MESSAGE_VIEW_DEPTH, ret_leaf);
}

int message_view_part(struct str message, size_t i, struct message_leaf *ret_leaf)
{
    struct message_head head;
    struct str part;

    message_head_read(message, &head);
    struct str boundary = message_boundary(message_field_find(&head, STR("Content-Type")));
    if (boundary.n == 0 || i >= MESSAGE_PARTS_MAX)
        return MESSAGE_VIEW_NONE;
    message_parts_begin(&head.body, boundary);
    while (message_part_next(&head.body, boundary, &part)) {
        if (i-- > 0)
            continue;
        message_head_read(part, &head);
        *ret_leaf = leaf_of(&head);
        return 0;
    }
    return MESSAGE_VIEW_NONE;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What is outside the alphabet is passed over; padding ends it (RFC 2045, section 6.8). */
static void decode_base64(struct str s, struct buf *out)
{
    uint32_t bits = 0;
    int held = 0;

    for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
        int value = base64_value(s.p[i]);
        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_add_char(out, (char)(bits >> held & 0xff));
        }
    }
}

/* How many bytes of s, which begins with '=', are a soft line break (RFC 2045, section 6.7); or 0.
 */
static size_t soft_break(struct str s)
{
    size_t i = 1;

    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    if (i < s.n && s.p[i] == '\r')
        i++;
    return i < s.n && s.p[i] == '\n' ? i + 1 : 0;
}

static void decode_quoted(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n;) {
        struct str rest = {s.p + i, s.n - i};
        uint8_t byte;
        size_t soft = rest.p[0] == '=' ? soft_break(rest) : 0;
        if (soft) {
            i += soft;
        } else if (rest.p[0] == '=' && rest.n >= 3 &&
                   hex_decode((struct str){rest.p + 1, 2}, 1, &byte) == 0) {
            buf_add_char(out, (char)byte);
            i += 3;
        } else {
            buf_add_char(out, rest.p[0]);
            i++;
        }
    }
}

int message_view_decode(const struct message_leaf *leaf, struct buf *ret_bytes)
{
    if (str_eq_ci(leaf->encoding, STR("base64")))
        decode_base64(leaf->body, ret_bytes);
    else if (str_eq_ci(leaf->encoding, STR("quoted-printable")))
        decode_quoted(leaf->body, ret_bytes);
    else
        buf_add_str(ret_bytes, leaf->body);
    return buf_fault(ret_bytes);
}
