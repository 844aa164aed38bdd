/*
 * Whatever the bytes, binding takes or refuses them; what it takes is within its bounds and comes
 * back the same when it is written and bound again.
 */
#include "http/shape.h"

#include "fuzz.h"

struct part {
    uint64_t given;
    struct str label;
};

static const struct field part_fields[] = {
    {"label", FIELD_STR, FIELD_REQUIRED, offsetof(struct part, label), .max = 5},
};
static const struct shape part_shape = SHAPE("Part", struct part, part_fields);

struct thing {
    uint64_t given;
    struct str name;
    int64_t count, at, colour;
    bool on;
    struct uuid id;
    struct str_list tags;
    const struct part *part;
    struct shape_list parts;
};

static const char *const colours[] = {"red", "green", NULL};

static const struct field fields[] = {
    {"name", FIELD_STR, FIELD_NULLABLE, offsetof(struct thing, name), .max = 9},
    {"count", FIELD_INT, 0, offsetof(struct thing, count), .min = -5, .max = 5},
    {"on", FIELD_BOOL, 0, offsetof(struct thing, on)},
    {"id", FIELD_UUID, FIELD_NULLABLE, offsetof(struct thing, id)},
    {"at", FIELD_TIME, FIELD_NULLABLE, offsetof(struct thing, at)},
    {"colour", FIELD_CHOICE, 0, offsetof(struct thing, colour), .choices = colours},
    {"tags", FIELD_STRS, 0, offsetof(struct thing, tags), .max = 3},
    {"part", FIELD_OBJECT, FIELD_NULLABLE, offsetof(struct thing, part), .shape = &part_shape},
    {"parts", FIELD_LIST, 0, offsetof(struct thing, parts), .max = 3, .shape = &part_shape},
};
static const struct shape shape = SHAPE("Thing", struct thing, fields);

static void check_text(struct str s, size_t max)
{
    FUZZ_CHECK(str_is_utf8(s));
    FUZZ_CHECK(s.n == 0 || !memchr(s.p, '\0', s.n));
    FUZZ_CHECK(str_utf8_length(s) <= max);
}

static void check_bounds(const struct thing *t)
{
    check_text(t->name, 9);
    FUZZ_CHECK(t->count >= -5 && t->count <= 5);
    FUZZ_CHECK(t->colour >= 0 && t->colour <= 1);
    FUZZ_CHECK(t->tags.n <= 3 && t->parts.n <= 3);
    for (size_t i = 0; i < t->tags.n; i++)
        check_text(t->tags.items[i], SHAPE_STR_MAX);
    for (size_t i = 0; i < t->parts.n; i++)
        check_text(((const struct part *)t->parts.items)[i].label, 5);
    if (t->part)
        check_text(t->part->label, 5);
}

static void write_thing(struct buf *out, const void *thing)
{
    struct json_writer w = json_writer(out);

    shape_write(&w, &shape, thing);
    FUZZ_CHECK(buf_fault(out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = arena_init(16 << 20);
    _cleanup_buf_ struct buf once = buf_init(16 << 20), twice = buf_init(16 << 20);
    struct shape_error error = {0};
    const void *first = NULL, *second = NULL;

    int r = shape_bind_json(&shape, (struct str){(const char *)data, size}, &arena, &first, &error);
    if (r) {
        FUZZ_CHECK(r == SHAPE_INVALID && error.detail.n > 0 && !first);
        check_text(error.field, 1000);
        return 0;
    }
    check_bounds(first);
    write_thing(&once, first);
    FUZZ_CHECK(shape_bind_json(&shape, buf_str(&once), &arena, &second, &error) == 0);
    write_thing(&twice, second);
    FUZZ_CHECK(str_eq(buf_str(&once), buf_str(&twice)));
    return 0;
}
