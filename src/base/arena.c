#include "base/arena.h"

#include "base/fault.h"

#include <stdalign.h>
#include <stdarg.h>

enum { BLOCK_SIZE = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t n, cap;
    alignas(max_align_t) char bytes[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*run)(void *object);
    void *object;
};

void arena_free(struct arena *a)
{
    for (struct arena_cleanup *c = a->cleanups; c; c = c->next)
        c->run(c->object);
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        explicit_bzero(b->bytes, b->n); /* a request's arena holds passwords and tokens */
        free(b);
    }
    *a = arena_init(a->cap);
}

static struct arena_block *block_add(struct arena *a, size_t n)
{
    size_t cap =
        n > BLOCK_SIZE - sizeof(struct arena_block) ? n : BLOCK_SIZE - sizeof(struct arena_block);
    struct arena_block *b = calloc(1, sizeof *b + cap);

    if (!b)
        return NULL;
    b->cap = cap;
    /* A large object gets a block of its own behind the current one, whose rest stays in use. */
    if (a->blocks && cap == n) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t align = alignof(max_align_t);

    if (n > a->cap || n > SIZE_MAX / 2 || a->used > a->cap - n) {
        fault_set(FAULT_MEMORY, "arena over its cap of %zu bytes", a->cap);
        return NULL;
    }
    size_t rounded = (n + align - 1) / align * align;
    struct arena_block *b = a->blocks;
    if (!b || b->cap - b->n < rounded)
        b = block_add(a, rounded);
    if (!b) {
        fault_set(FAULT_MEMORY, "no memory for %zu bytes", n);
        return NULL;
    }
    void *p = b->bytes + b->n;
    b->n += rounded;
    a->used += rounded;
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;

    if (__builtin_mul_overflow(count, size, &n)) {
        fault_set(FAULT_MEMORY, "an array of %zu objects is too large", count);
        return NULL;
    }
    return arena_alloc(a, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (!p)
        return (struct str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return p;
}

int arena_on_free(struct arena *a, void (*run)(void *object), void *object)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);

    if (!c) {
        run(object);
        return FAULT_MEMORY;
    }
    *c = (struct arena_cleanup){a->cleanups, run, object};
    a->cleanups = c;
    return 0;
}
