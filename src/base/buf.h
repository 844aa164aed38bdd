/*
 * A growing byte buffer with a declared maximum.
 * Rooms: any. Ownership: the buffer owns its bytes until buf_free. Threads: one at a time.
 *
 * Failure is sticky: after a failed append all further ones fail with the same fault and the
 * content stays as it was, so a writer of many pieces may check buf_fault once at the end.
 */
#ifndef HOLDFAST_BUF_H
#define HOLDFAST_BUF_H

#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap, max;
    int fault;
    bool secret;
};

/* An empty buffer that may grow to max bytes; allocates nothing yet. */
static inline struct buf buf_init(size_t max)
{
    return (struct buf){.max = max};
}

/* As buf_init, for what may hold secrets: whatever memory it gives back is overwritten first. */
static inline struct buf buf_secret(size_t max)
{
    return (struct buf){.max = max, .secret = true};
}

/* Frees the bytes and leaves an empty buffer with the same maximum. */
void buf_free(struct buf *b);

/* Empties the buffer and clears its fault; keeps the memory. */
void buf_reset(struct buf *b);

/* Makes room for n more bytes. Returns 0, FAULT_MEMORY or FAULT_LIMIT. */
int buf_reserve(struct buf *b, size_t n);

/* Each appends and returns 0, or the sticky fault. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_str(struct buf *b, struct str s);
int buf_add_char(struct buf *b, char c);
int buf_add_int(struct buf *b, int64_t v); /* in decimal */
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (at most all). */
void buf_consume(struct buf *b, size_t n);

/* Appends a NUL that is not counted, and returns the bytes as a C string; NULL on a fault. */
const char *buf_cstr(struct buf *b);

static inline int buf_fault(const struct buf *b)
{
    return b->fault;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#define _cleanup_buf_ __attribute__((cleanup(buf_free)))

#endif
