#include "deploy/sql_type.h"

#include "deploy/sql_lex.h"

/* Families within which the later holds all that the earlier does. */
enum family { OTHER, WHOLE, DECIMAL, FLOATING, TEXT, PADDED, TIME_ZONED, TIME_PLAIN, JSON };

struct type {
    enum family family;
    int rank;       /* within the family */
    int64_t length; /* of texts, the precision of times; -1: any */
    int64_t scale;
    bool array;
    struct str name; /* as written, of OTHER */
};

static const struct {
    const char *name;
    enum family family;
    int rank;
} names[] = {
    {"timestamp without time zone", TIME_PLAIN, 0},
    {"timestamp with time zone", TIME_ZONED, 0},
    {"character varying", TEXT, 0},
    {"double precision", FLOATING, 1},
    {"timestamptz", TIME_ZONED, 0},
    {"timestamp", TIME_PLAIN, 0},
    {"character", PADDED, 0},
    {"smallint", WHOLE, 0},
    {"integer", WHOLE, 1},
    {"varchar", TEXT, 0},
    {"bpchar", PADDED, 0},
    {"bigint", WHOLE, 2},
    {"numeric", DECIMAL, 0},
    {"decimal", DECIMAL, 0},
    {"float4", FLOATING, 0},
    {"float8", FLOATING, 1},
    {"float", FLOATING, 1},
    {"jsonb", JSON, 1},
    {"int2", WHOLE, 0},
    {"int4", WHOLE, 1},
    {"int8", WHOLE, 2},
    {"char", PADDED, 0},
    {"text", TEXT, 1},
    {"real", FLOATING, 0},
    {"json", JSON, 0},
    {"int", WHOLE, 1},
};

static int64_t take_number(struct sql_cursor *c)
{
    int64_t n = -1;

    if (str_to_i64(c->t.text, -1000, 1 << 30, &n) == 0)
        sql_step(c);
    return n;
}

static void take_arguments(struct sql_cursor *c, struct type *t)
{
    if (!sql_is_mark(c->t, '('))
        return;
    sql_step(c);
    t->length = take_number(c);
    if (sql_is_mark(c->t, ',')) {
        sql_step(c);
        t->scale = take_number(c);
    }
    if (sql_is_mark(c->t, ')'))
        sql_step(c);
}

static struct type parse(struct str text)
{
    struct sql_cursor c = sql_cursor(text);
    struct type t = {.length = -1, .name = text};

    sql_take(&c, "pg_catalog"); /* and its dot, which follows */
    if (sql_is_mark(c.t, '.'))
        sql_step(&c);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sql_take(&c, names[i].name)) {
            t.family = names[i].family;
            t.rank = names[i].rank;
            break;
        }
    take_arguments(&c, &t);
    if ((t.family == TIME_PLAIN || t.family == TIME_ZONED) && sql_take(&c, "with time zone"))
        t.family = TIME_ZONED;
    else
        sql_take(&c, "without time zone");
    t.array = sql_is_mark(c.t, '[');
    while (sql_is_mark(c.t, '[') || sql_is_mark(c.t, ']') || (t.array && c.t.kind == SQL_NUMBER))
        sql_step(&c);
    if (c.t.kind != SQL_END)
        t.family = OTHER;
    if (t.family == PADDED && t.length < 0 && !str_eq_ci(t.name, STR("bpchar")))
        t.length = 1;
    if ((t.family == TIME_PLAIN || t.family == TIME_ZONED) && t.length < 0)
        t.length = 6;
    return t;
}

/* Whether a length holds all of another; -1 is any. */
static bool holds(int64_t length, int64_t other)
{
    return length < 0 || (other >= 0 && other <= length);
}

static enum sql_change compare_decimals(const struct type *from, const struct type *to)
{
    if (to->length < 0)
        return SQL_TYPE_WIDER;
    if (from->length < 0)
        return SQL_TYPE_NARROWER;
    return to->scale >= from->scale && to->length - to->scale >= from->length - from->scale
               ? SQL_TYPE_WIDER
               : SQL_TYPE_NARROWER;
}

static enum sql_change compare(const struct type *from, const struct type *to)
{
    static const int64_t digits[] = {5, 10, 19};

    if (from->array != to->array)
        return SQL_TYPE_OTHER;
    if (from->family == WHOLE && to->family == DECIMAL)
        return holds(to->length < 0 ? -1 : to->length - to->scale, digits[from->rank])
                   ? SQL_TYPE_WIDER
                   : SQL_TYPE_NARROWER;
    if (to->family == TEXT && to->length < 0)
        return SQL_TYPE_WIDER; /* every value has a text */
    if (from->family == TEXT && to->family == PADDED)
        return SQL_TYPE_NARROWER;
    if (from->family == PADDED && to->family == TEXT)
        return holds(to->length, from->length) ? SQL_TYPE_WIDER : SQL_TYPE_NARROWER;
    if (from->family != to->family || from->family == OTHER)
        return SQL_TYPE_OTHER;
    if (from->family == DECIMAL)
        return compare_decimals(from, to);
    return to->rank >= from->rank && holds(to->length, from->length) ? SQL_TYPE_WIDER
                                                                     : SQL_TYPE_NARROWER;
}

/* Whether the rows stay as they are: texts without a shorter bound, decimals of the same scale. */
static bool stays(const struct type *from, const struct type *to)
{
    if (from->array != to->array || from->family != to->family)
        return false;
    switch (from->family) {
    case TEXT:
    case TIME_PLAIN:
    case TIME_ZONED:
        return holds(to->length, from->length);
    case DECIMAL:
        return to->length < 0 ||
               (from->length >= 0 && to->scale == from->scale && to->length >= from->length);
    case OTHER:
    case WHOLE:
    case FLOATING:
    case PADDED:
    case JSON:
        break;
    }
    return false;
}

static bool is_same(const struct type *a, const struct type *b)
{
    if (a->family == OTHER || b->family == OTHER)
        return a->family == b->family && str_eq_ci(a->name, b->name);
    return a->family == b->family && a->array == b->array && a->length == b->length &&
           a->scale == b->scale && (a->rank == b->rank || (a->family == TEXT && a->length < 0));
}

enum sql_change sql_type_change(struct str from, struct str to, bool *ret_rewrite)
{
    struct type a = parse(from), b = parse(to);
    bool same = is_same(&a, &b);

    *ret_rewrite = !same && !stays(&a, &b);
    return same ? SQL_TYPE_SAME : compare(&a, &b);
}
