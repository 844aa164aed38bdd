/*
 * Reading JSON (RFC 8259) that a stranger wrote: bounded, and with one meaning only.
 * Rooms: mail. Ownership: views point into the tree. Threads: any, each with its own tree.
 * Not to be included beside base/json.h, which shares names with jansson.
 */
#ifndef HOLDFAST_MAIL_STRICT_JSON_H
#define HOLDFAST_MAIL_STRICT_JSON_H

#include "base/arena.h"
#include "base/str.h"

#include <jansson.h>

enum { STRICT_JSON_DEPTH_MAX = 16 };

enum strict_json_outcome { STRICT_JSON_MALFORMED = 1 };

/*
 * Parses an object of UTF-8 text at most STRICT_JSON_DEPTH_MAX levels deep, in which no object has
 * the same key twice and no string holds NUL. Returns 0 with a tree for json_decref,
 * STRICT_JSON_MALFORMED or FAULT_MEMORY.
 */
int strict_json_load(struct str text, json_t **ret_tree);

/*
 * The text with U+FFFD in place of what no string may hold, NUL and halves of surrogate pairs, each
 * as its escape: for what quotes strangers, who must not decide whether it can be read. It is the
 * text itself where there is none. Returns 0 or FAULT_MEMORY.
 */
int strict_json_mend(struct str text, struct arena *arena, struct str *ret_text);

/*
 * The string of at most max bytes under key; p is NULL where it is absent or null. Returns 0 or
 * STRICT_JSON_MALFORMED for another type or a longer text.
 */
int strict_json_text(const json_t *object, const char *key, size_t max, struct str *ret_text);

static inline void strict_json_free(json_t **tree)
{
    json_decref(*tree);
}
#define _cleanup_json_ __attribute__((cleanup(strict_json_free)))

#endif
