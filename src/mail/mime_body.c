#include "mail/mime_parts.h"

/* The line that begins at i, without its end; *ret_next is where the next begins. */
static struct str line_at(struct str body, size_t i, size_t *ret_next)
{
    size_t end = i;

    while (end < body.n && body.p[end] != '\r' && body.p[end] != '\n')
        end++;
    *ret_next = end;
    if (end < body.n)
        *ret_next =
            end + 1 < body.n && body.p[end] == '\r' && body.p[end + 1] == '\n' ? end + 2 : end + 1;
    return (struct str){body.p + i, end - i};
}

/* The byte i of a line; fresh: it is the first of a line of the output. */
static bool needs_code(struct str line, size_t i, bool fresh)
{
    unsigned char c = (unsigned char)line.p[i];

    if (c == ' ' || c == '\t')
        return i + 1 == line.n; /* white space at an end is lost on the way (rule 3) */
    if (c < 0x20 || c >= 0x7F || c == '=')
        return true;
    struct str rest = {line.p + i, line.n - i};
    return fresh && (c == '.' || str_has_prefix(rest, STR("From ")));
}

/* A soft line break (rule 5) leaves no white space at an end either: the "=" stands behind it. */
static void quote_line(struct buf *out, struct str line)
{
    size_t used = 0;

    for (size_t i = 0; i < line.n; i++) {
        bool code = needs_code(line, i, used == 0);
        size_t n = code ? 3 : 1, kept = i + 1 < line.n ? 1 : 0; /* kept: for a soft break's "=" */
        if (used + n + kept > MIME_ENCODED_LINE) {
            buf_add_str(out, STR("=\r\n"));
            used = 0;
            code = needs_code(line, i, true);
            n = code ? 3 : 1;
        }
        if (code)
            buf_printf(out, "=%02X", (unsigned)(unsigned char)line.p[i]);
        else
            buf_add_char(out, line.p[i]);
        used += n;
    }
    buf_add_str(out, STR("\r\n"));
}

void mime_write_quoted(struct buf *out, struct str body)
{
    for (size_t i = 0; i < body.n && !buf_fault(out);)
        quote_line(out, line_at(body, i, &i));
}
