#include "base/buf.h"

#include "base/fault.h"

#include <stdarg.h>

enum { FIRST_CAPACITY = 256 };

void buf_free(struct buf *b)
{
    if (b->p && b->secret)
        explicit_bzero(b->p, b->cap);
    free(b->p);
    *b = (struct buf){.max = b->max, .secret = b->secret};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->fault = 0;
}

/* Moves the bytes to size others; realloc would leave a copy of a secret behind. */
static char *grow(struct buf *b, size_t size)
{
    if (!b->secret || !b->p)
        return realloc(b->p, size);
    char *p = malloc(size);
    if (p) {
        memcpy(p, b->p, b->n);
        explicit_bzero(b->p, b->cap);
        free(b->p);
    }
    return p;
}

int buf_reserve(struct buf *b, size_t n)
{
    if (b->fault)
        return b->fault;
    if (n > b->max || b->n > b->max - n)
        return b->fault = fault_set(FAULT_LIMIT, "buffer over its maximum of %zu bytes", b->max);
    if (b->p && b->n + n <= b->cap)
        return 0;

    size_t cap = b->cap ? b->cap : FIRST_CAPACITY;
    while (cap < b->n + n)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    /* One byte more than counted: printf and buf_cstr end a full buffer with a NUL too. */
    char *p = cap < SIZE_MAX ? grow(b, cap + 1) : NULL;
    if (!p)
        return b->fault = fault_set(FAULT_MEMORY, "no memory for a buffer of %zu bytes", cap);
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    int r = buf_reserve(b, n);

    if (r == 0 && n > 0) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
    return r;
}

int buf_add_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

int buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_add_int(struct buf *b, int64_t v)
{
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char text[20], *p = text + sizeof text;

    do {
        *--p = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (v < 0)
        *--p = '-';
    return buf_add(b, p, (size_t)(text + sizeof text - p));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    char small[256];

    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return b->fault = fault_set(FAULT_INTERNAL, "a format could not be printed");
    bool fits = (size_t)n < sizeof small;
    int r = fits ? buf_add(b, small, (size_t)n) : buf_reserve(b, (size_t)n);
    if (b->secret)
        explicit_bzero(small, sizeof small);
    if (r || fits)
        return r;
    va_start(args, format);
    vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (buf_reserve(b, 0))
        return NULL;
    b->p[b->n] = '\0';
    return b->p;
}
