/*
 * Memory that is freed as one: what a request allocates lives until its reply is sent.
 * Rooms: any. Ownership: the arena owns all it gave out. Threads: one at a time.
 * Nothing from an arena may enter a longer-lived structure.
 */
#ifndef HOLDFAST_ARENA_H
#define HOLDFAST_ARENA_H

#include "base/str.h"

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *blocks;
    struct arena_cleanup *cleanups;
    size_t used, cap;
};

/* An empty arena that may hold cap bytes; allocates nothing yet. */
static inline struct arena arena_init(size_t cap)
{
    return (struct arena){.cap = cap};
}

/* Runs the cleanups, newest first, overwrites what was given out (a request may hold passwords and
 * tokens) and frees everything. The arena is empty and usable again. */
void arena_free(struct arena *a);

/* Zeroed memory, aligned for any object; NULL (with the fault set) past the cap or without memory.
 */
void *arena_alloc(struct arena *a, size_t n);

/* As arena_alloc for count objects of size bytes; an overflow is refused. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* Copies, NUL-terminated behind the last byte. p is NULL where memory was refused. */
struct str arena_str(struct arena *a, struct str s);

/* A formatted string, NUL-terminated; NULL where memory was refused. */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Has run(object) called by arena_free. Returns 0 or FAULT_MEMORY (run is then called at once). */
int arena_on_free(struct arena *a, void (*run)(void *object), void *object);

#define _cleanup_arena_ __attribute__((cleanup(arena_free)))

#endif
