#include "http/shape_scan.h"

struct scan {
    struct str text;
    size_t at;
    struct str string; /* the last complete one */
};

/* Skips the string that begins at s->at, and keeps it where it is complete. */
static void skip_string(struct scan *s)
{
    size_t start = s->at++;

    while (s->at < s->text.n && s->text.p[s->at] != '"')
        s->at += s->text.p[s->at] == '\\' ? 2 : 1;
    if (s->at >= s->text.n) {
        s->at = s->text.n;
        return;
    }
    s->at++;
    s->string = (struct str){s->text.p + start, s->at - start};
}

/* The next character outside strings; '\0' at the end. Strings on the way are kept. */
static char next_outside(struct scan *s)
{
    while (s->at < s->text.n) {
        if (s->text.p[s->at] != '"')
            return s->text.p[s->at++];
        skip_string(s);
    }
    return '\0';
}

size_t shape_scan_depth(struct str text)
{
    struct scan s = {.text = text};
    size_t depth = 0, deepest = 0;

    while (s.at < text.n) {
        char c = next_outside(&s);
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

struct str shape_scan_last_string(struct str text)
{
    struct scan s = {.text = text};

    while (s.at < text.n)
        next_outside(&s);
    return s.string;
}

struct str shape_scan_last_key(struct str text)
{
    struct scan s = {.text = text};
    struct str key = {0};

    while (s.at < text.n)
        if (next_outside(&s) == ':')
            key = s.string;
    return key;
}
