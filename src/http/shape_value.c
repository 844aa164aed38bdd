#include "http/shape_value.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"

#include <stdarg.h>

/* A stranger's field name is repeated in the answer up to this many bytes. */
enum { NAME_MAX_BYTES = 64, PATH_MAX_BYTES = 512, DETAIL_MAX_BYTES = 1024 };

static struct str cut_name(struct str name)
{
    size_t n = name.n;

    if (n > NAME_MAX_BYTES)
        for (n = NAME_MAX_BYTES; n > 0 && ((unsigned char)name.p[n] & 0xC0) == 0x80;)
            n--;
    return (struct str){name.p, n};
}

static void write_path(struct buf *out, const struct shape_path *at)
{
    if (at->up)
        write_path(out, at->up);
    if (!at->name.p) {
        buf_printf(out, "[%zu]", at->index);
        return;
    }
    if (at->up)
        buf_add_char(out, '.');
    buf_add_str(out, cut_name(at->name));
}

int shape_refuse(const struct shape_binding *b, const struct shape_path *at, const char *format,
                 ...)
{
    _cleanup_buf_ struct buf path = buf_init(PATH_MAX_BYTES);
    _cleanup_buf_ struct buf detail = buf_init(DETAIL_MAX_BYTES);
    char text[DETAIL_MAX_BYTES / 2];
    va_list args;

    if (at) {
        write_path(&path, at);
        buf_add_str(&detail, buf_str(&path));
        buf_add_char(&detail, ' ');
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_add_str(&detail, str_of(text));

    struct str field_text = arena_str(b->arena, buf_str(&path));
    struct str detail_text = arena_str(b->arena, buf_str(&detail));
    if (!field_text.p || !detail_text.p)
        return FAULT_MEMORY;
    *b->error = (struct shape_error){field_text, detail_text};
    return SHAPE_INVALID;
}

int shape_check_input(const struct shape *shape)
{
    if (shape->count > SHAPE_FIELDS_MAX || shape->size < sizeof(uint64_t))
        return fault_set(FAULT_INTERNAL, "shape %s cannot be an input", shape->name);
    return 0;
}

size_t shape_find(const struct shape *shape, struct str name)
{
    size_t i = 0;

    while (i < shape->count && !str_eq(str_of(shape->fields[i].name), name))
        i++;
    return i;
}

void shape_give(void *object, size_t i)
{
    uint64_t given;

    memcpy(&given, object, sizeof given);
    given |= UINT64_C(1) << i;
    memcpy(object, &given, sizeof given);
}

int shape_check_required(const struct shape_binding *b, const struct shape *shape,
                         const struct shape_path *up, uint64_t seen)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        struct shape_path at = {.up = up, .name = str_of(f->name)};
        if (f->flags & FIELD_REQUIRED && !(seen >> i & 1))
            return shape_refuse(b, &at, "is missing.");
    }
    return 0;
}

int shape_check_count(const struct shape_binding *b, const struct field *f,
                      const struct shape_path *at, size_t n, size_t max, const char *what)
{
    if (f->max > 0)
        max = (size_t)f->max;
    if (n > max)
        return shape_refuse(b, at, "must have at most %zu %s.", max, what);
    if (f->min > 0 && n < (size_t)f->min)
        return shape_refuse(b, at, "must have at least %lld %s.", (long long)f->min, what);
    return 0;
}

int shape_take_text(const struct shape_binding *b, const struct shape_path *at, struct str text,
                    struct str *ret)
{
    if (!str_is_utf8(text))
        return shape_refuse(b, at, "is not UTF-8.");
    if (text.n && memchr(text.p, '\0', text.n))
        return shape_refuse(b, at, "must not hold NUL.");
    struct str copy = arena_str(b->arena, text);
    if (!copy.p)
        return FAULT_MEMORY;
    *ret = copy;
    return 0;
}

static int place_str(const struct shape_binding *b, const struct field *f,
                     const struct shape_path *at, struct str text, struct str *ret)
{
    struct str copy = {NULL, 0};
    int r = shape_take_text(b, at, text, &copy);

    if (r == 0)
        r = shape_check_count(b, f, at, str_utf8_length(copy), SHAPE_STR_MAX, "characters");
    if (r == 0)
        *ret = copy;
    return r;
}

static int refuse_choice(const struct shape_binding *b, const struct field *f,
                         const struct shape_path *at)
{
    _cleanup_buf_ struct buf names = buf_init(DETAIL_MAX_BYTES / 4);

    for (size_t i = 0; f->choices[i]; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", f->choices[i]);
    return shape_refuse(b, at, "must be one of %.*s.", STR_ARG(buf_str(&names)));
}

static int place_choice(const struct shape_binding *b, const struct field *f,
                        const struct shape_path *at, struct str text, int64_t *ret)
{
    for (size_t i = 0; f->choices[i]; i++) {
        if (str_eq(str_of(f->choices[i]), text)) {
            *ret = (int64_t)i;
            return 0;
        }
    }
    return refuse_choice(b, f, at);
}

int shape_place_text(const struct shape_binding *b, const struct field *f,
                     const struct shape_path *at, struct str text, void *object)
{
    void *place = (char *)object + f->offset;

    if (f->type == FIELD_STR)
        return place_str(b, f, at, text, place);
    if (f->type == FIELD_CHOICE)
        return place_choice(b, f, at, text, place);
    if (f->type == FIELD_UUID)
        return uuid_parse(text, place) ? shape_refuse(b, at, "must be a UUID.") : 0;
    if (f->type == FIELD_TIME)
        return clock_parse(text, place)
                   ? shape_refuse(b, at, "must be a time such as 2026-01-02T03:04:05Z (RFC 3339).")
                   : 0;
    return fault_set(FAULT_INTERNAL, "field %s takes no text", f->name);
}

int shape_place_int(const struct shape_binding *b, const struct field *f,
                    const struct shape_path *at, int64_t v, void *object)
{
    bool bounded = f->min || f->max;

    if (bounded && (v < f->min || v > f->max))
        return shape_refuse(b, at, "must be from %lld to %lld.", (long long)f->min,
                            (long long)f->max);
    memcpy((char *)object + f->offset, &v, sizeof v);
    return 0;
}

void shape_place_bool(const struct field *f, bool v, void *object)
{
    memcpy((char *)object + f->offset, &v, sizeof v);
}
