/*
 * String views: a pointer and a length, never owned, not NUL-terminated.
 * Rooms: any. Ownership: a view is valid as long as what it points into. Threads: any.
 */
#ifndef HOLDFAST_STR_H
#define HOLDFAST_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* A view of a string literal; usable in static initialisers. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define STR(literal) ((struct str)STR_INIT(literal))

/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

/* A view of a NUL-terminated string; NULL gives the empty view. */
static inline struct str str_of(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive comparisons; other bytes compare as they are. */
bool str_eq_ci(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_prefix_ci(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);

/* Below 0, 0 or above, by the bytes; a text comes behind its beginning. */
int str_compare(struct str a, struct str b);

/* The first max bytes of UTF-8, or fewer where a character would be torn. Never a NULL view. */
struct str str_cut(struct str s, size_t max);

/* The view without leading and trailing spaces and tabs. */
struct str str_trim(struct str s);

/* The index of c in s, or s.n where it is absent. */
size_t str_find(struct str s, char c);

/*
 * Takes the next part of *rest up to sep (or its end) into *ret_part and moves *rest past it.
 * Returns false when *rest is exhausted. "a,,b," gives "a", "", "b"; "" gives nothing.
 */
bool str_next(struct str *rest, char sep, struct str *ret_part);

/*
 * Reads a plain decimal number: 1 to 20 digits, no sign, no spaces, no leading '+'.
 * Returns 0, or 1 where s is not such a number or exceeds max (*ret untouched).
 */
int str_to_u64(struct str s, uint64_t max, uint64_t *ret);

/* As above with an optional leading '-'; min and max are inclusive. */
int str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret);

/* Whether s is well-formed UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

/*
 * Whether UTF-8 holds what readers may take for the end of a line, or terminals for a command: C0
 * and C1 controls, DEL, and Unicode's line breaks (U+0085, U+2028, U+2029).
 */
bool str_has_control(struct str s);

/* The length of the control, as above, that UTF-8 has at i, which is within it; 0: there is none.
 */
size_t str_control_length(struct str s, size_t i);

/* Writes the s.n bytes of UTF-8 to out, each of a control as a space. */
void str_without_controls(struct str s, char *out);

/* How many code points s holds; s must be UTF-8. */
size_t str_utf8_length(struct str s);

#endif
