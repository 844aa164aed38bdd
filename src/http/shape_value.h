/*
 * What binding from JSON and from forms share: placing one value, and saying what is wrong.
 * Rooms: http. Ownership: placed values and texts live in the binding's arena. Threads: any.
 */
#ifndef HOLDFAST_HTTP_SHAPE_VALUE_H
#define HOLDFAST_HTTP_SHAPE_VALUE_H

#include "http/shape.h"

/* The bits of "given" bound how many fields an input shape may have. */
enum { SHAPE_FIELDS_MAX = 64 };

struct shape_binding {
    struct arena *arena;
    struct shape_error *error;
};

/* Where in the input a value stands; made on the stack, turned into text only for an error. */
struct shape_path {
    const struct shape_path *up; /* NULL at the top */
    struct str name;             /* of a field; p is NULL for an entry of a list */
    size_t index;                /* of the entry */
};

/*
 * Fills the error with the path as its field ("user.tags[2]"; NULL: the whole body) and, behind
 * the path, the text as its detail. Returns SHAPE_INVALID or FAULT_MEMORY.
 */
int shape_refuse(const struct shape_binding *b, const struct shape_path *at, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

/* Returns 0, or FAULT_INTERNAL for a shape that cannot be an input. */
int shape_check_input(const struct shape *shape);

/* The field of this name; shape->count where there is none. */
size_t shape_find(const struct shape *shape, struct str name);

/* Sets the bit of field i in object. */
void shape_give(void *object, size_t i);

/* Refuses the first required field whose bit is not in seen. Returns 0, SHAPE_INVALID or a fault.
 */
int shape_check_required(const struct shape_binding *b, const struct shape *shape,
                         const struct shape_path *up, uint64_t seen);

/* Whether an n lies in the field's bounds, which count what for the error. */
int shape_check_count(const struct shape_binding *b, const struct field *f,
                      const struct shape_path *at, size_t n, size_t max, const char *what);

/* Copies a text that must be UTF-8 without NUL. Returns 0, SHAPE_INVALID or FAULT_MEMORY. */
int shape_take_text(const struct shape_binding *b, const struct shape_path *at, struct str text,
                    struct str *ret);

/* Each places a value of the named types in object. Returns 0, SHAPE_INVALID or a fault. */
int shape_place_text(const struct shape_binding *b, const struct field *f,
                     const struct shape_path *at, struct str text, void *object);
int shape_place_int(const struct shape_binding *b, const struct field *f,
                    const struct shape_path *at, int64_t v, void *object);
void shape_place_bool(const struct field *f, bool v, void *object);

#endif
