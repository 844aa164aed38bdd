#include "base/encode.h"
#include "http/h1_inner.h"

enum state {
    SIZE, /* the start: at least one digit must come */
    EXTENSION_FIRST,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* the start of a trailer line, or of the empty line that ends the body */
    NAME,
    VALUE,
    LINE_LF,
    LAST_LF,
    ENDED,
    BROKEN
};

static int step_size(struct h1_chunks *c, char b)
{
    enum { DIGITS_MAX = 16 };
    int v = hex_value(b);

    if (v >= 0) {
        if (c->digits == DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
            return BROKEN;
        c->left = c->left << 4 | (uint64_t)v;
        c->digits++;
        return SIZE;
    }
    if (c->digits == 0)
        return BROKEN;
    /* No space before ";" or CR: some readers allow it and some do not. */
    if (b == '\r')
        return SIZE_LF;
    return b == ';' ? EXTENSION_FIRST : BROKEN;
}

/* Bytes of extensions and trailers, which are checked and dropped. */
static int step_extra(struct h1_chunks *c, char b)
{
    if (++c->extra > H1_CHUNK_EXTRA_MAX)
        return BROKEN;
    switch (c->state) {
    case EXTENSION_FIRST:
        return h1_is_token_char(b) ? EXTENSION : BROKEN;
    case EXTENSION:
        if (b == '\r')
            return SIZE_LF;
        return h1_is_value_char(b) ? EXTENSION : BROKEN;
    case LINE:
        if (b == '\r')
            return LAST_LF;
        return h1_is_token_char(b) ? NAME : BROKEN;
    case NAME:
        if (b == ':')
            return VALUE;
        return h1_is_token_char(b) ? NAME : BROKEN;
    default: /* VALUE */
        if (b == '\r')
            return LINE_LF;
        return h1_is_value_char(b) ? VALUE : BROKEN;
    }
}

/* The state behind one byte outside the data. */
static int step(struct h1_chunks *c, char b)
{
    switch (c->state) {
    case SIZE:
        return step_size(c, b);
    case SIZE_LF:
        if (b != '\n')
            return BROKEN;
        c->digits = 0;
        return c->left ? DATA : LINE;
    case DATA_CR:
        return b == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return b == '\n' ? SIZE : BROKEN;
    case LINE_LF:
        return b == '\n' ? LINE : BROKEN;
    case LAST_LF:
        return b == '\n' ? ENDED : BROKEN;
    default:
        return step_extra(c, b);
    }
}

int h1_chunks_next(struct h1_chunks *c, const char *p, size_t n, size_t *ret_used,
                   struct str *ret_body)
{
    size_t i = 0;

    *ret_used = 0;
    *ret_body = (struct str){p, 0};
    while (i < n && c->state != DATA && c->state != ENDED && c->state != BROKEN)
        c->state = step(c, p[i++]);
    if (c->state == BROKEN)
        return -1;
    if (c->state == DATA) {
        size_t take = c->left < n - i ? (size_t)c->left : n - i;
        *ret_body = (struct str){p + i, take};
        i += take;
        c->left -= take;
        if (c->left == 0)
            c->state = DATA_CR;
    }
    *ret_used = i;
    return c->state == ENDED;
}
