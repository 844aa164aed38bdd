/*
 * Shapes: tables that describe the objects that go in and out, once for binding, writing, and the
 * OpenAPI document.
 *
 * Rooms: http and below. Ownership: shapes are static; what is bound lives in the given arena.
 * Threads: any.
 */
#ifndef HOLDFAST_HTTP_SHAPE_H
#define HOLDFAST_HTTP_SHAPE_H

#include "base/arena.h"
#include "base/json.h"

enum field_type {
    FIELD_STR,    /* struct str; min and max count code points */
    FIELD_INT,    /* int64_t, min to max */
    FIELD_BOOL,   /* bool */
    FIELD_UUID,   /* struct uuid; written as null where it is nil */
    FIELD_TIME,   /* int64_t ms, RFC 3339 outside; 0 is null */
    FIELD_CHOICE, /* int64_t, an index into choices; output: negative is null, if nullable */
    FIELD_STRS,   /* struct str_list; min and max count entries */
    FIELD_OBJECT, /* const void *, of the field's shape; NULL is null */
    FIELD_LIST,   /* struct shape_list, of the field's shape */
    FIELD_DOUBLE, /* double; NAN is null; output only */
    FIELD_JSON    /* struct str, JSON already; output only */
};

enum field_flag {
    FIELD_REQUIRED = 1, /* input: must be given; output: always there (all are) */
    FIELD_NULLABLE = 2, /* may be null (an empty FIELD_STR is then written as null) */
    FIELD_SECRET = 4,   /* never logged; documented as writeOnly */
    FIELD_OMIT = 8,     /* output: left out where it is empty, 0 or NULL */
    FIELD_ONE = 16      /* input, FIELD_STRS: a string alone is a list of one */
};

struct str_list {
    const struct str *items;
    size_t n;
};

/* n objects of one shape, one after another in memory. */
struct shape_list {
    const void *items;
    size_t n;
};

struct field {
    const char *name;
    enum field_type type;
    unsigned flags;
    size_t offset;
    int64_t min, max; /* 0, 0: no bound of its own; a max of 0 for what is counted: the default */
    const char *const *choices; /* NULL-terminated */
    const struct shape *shape;
    const char *help; /* a sentence for the documents */
};

/* The longest string and list that no bound of their own limits; the deepest nesting of a body. */
enum { SHAPE_STR_MAX = 4096, SHAPE_LIST_MAX = 100000, SHAPE_DEPTH_MAX = 32 };

/*
 * An input shape's struct begins with "uint64_t given": bit i is set where field i was given
 * (and not null), so it has at most 64 fields; nested ones likewise. An output shape's struct has
 * no such member.
 */
struct shape {
    const char *name; /* of the schema in the OpenAPI document */
    const struct field *fields;
    size_t count;
    size_t size; /* of the struct */
    bool open;   /* for the documents: members of other names are not refused */
};

#define SHAPE(name_text, struct_type, table)                                                       \
    {                                                                                              \
        .name = (name_text), .fields = (table), .count = sizeof(table) / sizeof *(table),          \
        .size = sizeof(struct_type)                                                                \
    }

/* What was wrong with an input; the texts live in the arena or are constants. */
struct shape_error {
    struct str field; /* such as "users[2].name"; "" where it concerns the whole body */
    struct str detail;
};

/* Outcome: *ret_error says what. */
enum { SHAPE_INVALID = 1 };

/*
 * Reads a JSON object (RFC 8259, UTF-8) into a new struct of the shape. Refused: malformed JSON,
 * duplicate keys, unknown fields, wrong types, missing required fields, values out of bounds, text
 * behind the object, strings with NUL, deep nesting. The caller bounds the text's length. Returns
 * 0, SHAPE_INVALID or a fault.
 */
int shape_bind_json(const struct shape *shape, struct str text, struct arena *arena,
                    const void **ret, struct shape_error *ret_error);

/*
 * As shape_bind_json for a query string or a form (application/x-www-form-urlencoded): names and
 * values are percent-decoded, '+' is a space, a name may be given once; only FIELD_STR, INT, BOOL,
 * UUID, TIME, CHOICE. Empty parts ("a=1&&b=2") are skipped.
 */
int shape_bind_form(const struct shape *shape, struct str text, struct arena *arena,
                    const void **ret, struct shape_error *ret_error);

/* Whether field i of an input struct was given. */
static inline bool shape_given(const void *input, unsigned i)
{
    uint64_t given;
    memcpy(&given, input, sizeof given);
    return given >> i & 1;
}

/* Writes object (a struct of the shape) as a JSON object. Failure is the buffer's. */
void shape_write(struct json_writer *w, const struct shape *shape, const void *object);

/* Writes the shape as a JSON Schema (2020-12, as OpenAPI 3.1 takes it); others by $ref. */
void shape_write_schema(struct json_writer *w, const struct shape *shape, bool input);

/* As above for the schema of one field, for a parameter. */
void shape_write_field_schema(struct json_writer *w, const struct field *field, bool input);

/* Percent-decodes s into the arena. Returns 0, 1 where it is malformed or decodes to NUL, or
 * FAULT_MEMORY. */
int percent_decode(struct str s, bool plus_is_space, struct arena *arena, struct str *ret);

#endif
