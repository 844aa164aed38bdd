#include "base/json.h"

#include "base/clock.h"

#include <math.h>

static void separate(struct json_writer *w)
{
    if (w->comma)
        buf_add_char(w->out, ',');
    w->comma = true;
}

static void open_with(struct json_writer *w, char c)
{
    separate(w);
    buf_add_char(w->out, c);
    w->comma = false;
}

static void close_with(struct json_writer *w, char c)
{
    buf_add_char(w->out, c);
    w->comma = true;
}

void json_object_begin(struct json_writer *w)
{
    open_with(w, '{');
}

void json_object_end(struct json_writer *w)
{
    close_with(w, '}');
}

void json_array_begin(struct json_writer *w)
{
    open_with(w, '[');
}

void json_array_end(struct json_writer *w)
{
    close_with(w, ']');
}

void json_key(struct json_writer *w, const char *key)
{
    separate(w);
    buf_add_char(w->out, '"');
    buf_add_str(w->out, str_of(key));
    buf_add(w->out, "\":", 2);
    w->comma = false;
}

static void escape(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        buf_add(out, "\\\"", 2);
        break;
    case '\\':
        buf_add(out, "\\\\", 2);
        break;
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    default:
        buf_printf(out, "\\u%04x", c);
    }
}

static void write_escaped(struct buf *out, struct str s)
{
    size_t start = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        buf_add(out, s.p + start, i - start);
        escape(out, c);
        start = i + 1;
    }
    if (start < s.n)
        buf_add(out, s.p + start, s.n - start);
}

static void write_mended(struct buf *out, struct str s)
{
    while (s.n) {
        size_t n = 1;
        while (n < 4 && n < s.n && !str_is_utf8((struct str){s.p, n}))
            n++;
        if (str_is_utf8((struct str){s.p, n})) {
            write_escaped(out, (struct str){s.p, n});
        } else {
            buf_add(out, "\xEF\xBF\xBD", 3);
            n = 1;
        }
        s = (struct str){s.p + n, s.n - n};
    }
}

void json_str(struct json_writer *w, struct str s)
{
    separate(w);
    buf_add_char(w->out, '"');
    if (str_is_utf8(s))
        write_escaped(w->out, s);
    else
        write_mended(w->out, s);
    buf_add_char(w->out, '"');
}

void json_int(struct json_writer *w, int64_t v)
{
    separate(w);
    buf_add_int(w->out, v);
}

void json_bool(struct json_writer *w, bool v)
{
    json_raw(w, v ? STR("true") : STR("false"));
}

void json_nil(struct json_writer *w)
{
    json_raw(w, STR("null"));
}

void json_double(struct json_writer *w, double v)
{
    if (!isfinite(v)) {
        json_nil(w);
        return;
    }
    separate(w);
    buf_printf(w->out, "%.15g", v);
}

void json_uuid(struct json_writer *w, const struct uuid *u)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(u, text);
    json_str(w, (struct str){text, UUID_TEXT});
}

void json_time(struct json_writer *w, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0) {
        json_nil(w);
        return;
    }
    clock_format(ms, text);
    json_str(w, (struct str){text, CLOCK_TEXT});
}

void json_raw(struct json_writer *w, struct str s)
{
    separate(w);
    buf_add_str(w->out, s);
}
