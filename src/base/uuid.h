/*
 * Identifiers: UUID version 7 (RFC 9562, section 5.7), 16 bytes inside, text at the edge.
 * Rooms: any. Threads: any.
 */
#ifndef HOLDFAST_UUID_H
#define HOLDFAST_UUID_H

#include "base/str.h"

enum { UUID_TEXT = 36, UUID_TEXT_SIZE = UUID_TEXT + 1 };

struct uuid {
    uint8_t b[16];
};

/*
 * A new id: 48 bits of clock_now() and 74 random bits. Ids made by one process in one
 * millisecond are unordered among themselves.
 */
struct uuid uuid_new(void);

/* As uuid_new, with the given time in ms since 1970. */
struct uuid uuid_at(int64_t ms);

/* As uuid_at, with random bytes of the caller's: for who makes many and draws them in bulk. */
struct uuid uuid_of(int64_t ms, const uint8_t random[10]);

/* The time inside a version 7 id, in ms since 1970. */
int64_t uuid_time(const struct uuid *u);

/* Writes the lower-case text with hyphens. */
void uuid_format(const struct uuid *u, char ret_text[UUID_TEXT_SIZE]);

/* Reads 36 characters, either case. Returns 0, or 1 where s is not a UUID (*ret untouched). */
int uuid_parse(struct str s, struct uuid *ret);

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static inline bool uuid_is_nil(const struct uuid *u)
{
    static const struct uuid nil;
    return uuid_eq(u, &nil);
}

#endif
