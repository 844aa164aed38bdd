#include "http/shape.h"

#include "base/encode.h"
#include "base/fault.h"
#include "http/shape_value.h"

int percent_decode(struct str s, bool plus_is_space, struct arena *arena, struct str *ret)
{
    char *out = arena_alloc(arena, s.n + 1);
    size_t n = 0;

    if (!out)
        return FAULT_MEMORY;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex_decode((struct str){s.p + i + 1, 2}, 1, &c))
                return 1;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return 1;
        out[n++] = c;
    }
    *ret = (struct str){out, n};
    return 0;
}

static int place_number(const struct shape_binding *b, const struct field *f,
                        const struct shape_path *at, struct str text, void *object)
{
    int64_t v;

    if (str_to_i64(text, INT64_MIN, INT64_MAX, &v))
        return shape_refuse(b, at, "must be an integer.");
    return shape_place_int(b, f, at, v, object);
}

static int place_value(const struct shape_binding *b, const struct field *f,
                       const struct shape_path *at, struct str text, void *object)
{
    if (f->type == FIELD_INT)
        return place_number(b, f, at, text, object);
    if (f->type == FIELD_BOOL) {
        bool yes = str_eq(text, STR("true"));
        if (!yes && !str_eq(text, STR("false")))
            return shape_refuse(b, at, "must be true or false.");
        shape_place_bool(f, yes, object);
        return 0;
    }
    return shape_place_text(b, f, at, text, object);
}

static int decode_name(const struct shape_binding *b, struct str raw, struct str *ret)
{
    int r = percent_decode(raw, true, b->arena, ret);

    if (r < 0)
        return r;
    return r > 0 || !str_is_utf8(*ret) ? shape_refuse(b, NULL, "A name is badly encoded.") : 0;
}

static int bind_pair(const struct shape_binding *b, const struct shape *shape, struct str pair,
                     void *object)
{
    size_t equals = str_find(pair, '=');
    size_t value_at = equals < pair.n ? equals + 1 : equals;
    struct shape_path at = {0};
    struct str value;

    int r = decode_name(b, (struct str){pair.p, equals}, &at.name);
    if (r)
        return r;
    size_t i = shape_find(shape, at.name);
    if (i == shape->count)
        return shape_refuse(b, &at, "is not a parameter of this request.");
    if (shape_given(object, (unsigned)i))
        return shape_refuse(b, &at, "is given twice.");
    r = percent_decode((struct str){pair.p + value_at, pair.n - value_at}, true, b->arena, &value);
    if (r)
        return r < 0 ? r : shape_refuse(b, &at, "is badly encoded.");
    r = place_value(b, &shape->fields[i], &at, value, object);
    if (r == 0)
        shape_give(object, i);
    return r;
}

int shape_bind_form(const struct shape *shape, struct str text, struct arena *arena,
                    const void **ret, struct shape_error *ret_error)
{
    struct shape_binding b = {arena, ret_error};
    uint64_t given;
    struct str pair;

    int r = shape_check_input(shape);
    if (r)
        return r;
    void *object = arena_alloc(arena, shape->size);
    if (!object)
        return FAULT_MEMORY;
    while (str_next(&text, '&', &pair)) {
        if (pair.n == 0)
            continue;
        r = bind_pair(&b, shape, pair, object);
        if (r)
            return r;
    }
    memcpy(&given, object, sizeof given);
    r = shape_check_required(&b, shape, NULL, given);
    if (r == 0)
        *ret = object;
    return r;
}
