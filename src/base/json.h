/*
 * Writing JSON (RFC 8259) into a buffer. Reading is jansson's.
 * Rooms: any. Threads: one at a time. Failure is the buffer's sticky fault.
 *
 * A writer places the commas: json_key and the values know whether they are the first.
 */
#ifndef HOLDFAST_JSON_H
#define HOLDFAST_JSON_H

#include "base/buf.h"
#include "base/uuid.h"

struct json_writer {
    struct buf *out;
    bool comma; /* the next key or element needs one */
};

static inline struct json_writer json_writer(struct buf *out)
{
    return (struct json_writer){.out = out};
}

void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);

/* key must need no escaping. */
void json_key(struct json_writer *w, const char *key);

/* Ill-formed UTF-8 is written with each bad byte as U+FFFD. */
void json_str(struct json_writer *w, struct str s);
void json_int(struct json_writer *w, int64_t v);
void json_bool(struct json_writer *w, bool v);
void json_nil(struct json_writer *w); /* null; jansson has taken the other name */

/* Fifteen significant digits; what is not finite is written as null. */
void json_double(struct json_writer *w, double v);

/* An id as text, and a time in ms as RFC 3339; 0 ms is written as null. */
void json_uuid(struct json_writer *w, const struct uuid *u);
void json_time(struct json_writer *w, int64_t ms);

/* Text that is JSON already. */
void json_raw(struct json_writer *w, struct str s);

#endif
