#include "http/shape.h"

#include "base/fault.h"
#include "crypto/wiped_json.h"
#include "http/shape_scan.h"
#include "http/shape_value.h"

#include <jansson.h>

static void free_tree(json_t **tree)
{
    json_decref(*tree);
}

#define _cleanup_tree_ __attribute__((cleanup(free_tree)))

static int bind_object(const struct shape_binding *b, const struct shape *shape,
                       const struct shape_path *at, const json_t *tree, void *object);

static struct str text_of(const json_t *string)
{
    return (struct str){json_string_value(string), json_string_length(string)};
}

/* As bind_strings for what is no list but its only entry: the error names the field itself. */
static int bind_one(const struct shape_binding *b, const struct field *f,
                    const struct shape_path *at, const json_t *v, void *object)
{
    struct str *item = arena_alloc(b->arena, sizeof *item);
    struct str_list list = {item, 1};

    if (!item)
        return FAULT_MEMORY;
    int r = shape_take_text(b, at, text_of(v), item);
    if (r)
        return r;
    if (str_utf8_length(*item) > SHAPE_STR_MAX)
        return shape_refuse(b, at, "must have at most %d characters.", SHAPE_STR_MAX);
    memcpy((char *)object + f->offset, &list, sizeof list);
    return 0;
}

static int bind_strings(const struct shape_binding *b, const struct field *f,
                        const struct shape_path *at, const json_t *v, void *object)
{
    size_t n = json_array_size(v);
    int r = shape_check_count(b, f, at, n, SHAPE_LIST_MAX, "entries");
    if (r)
        return r;
    struct str *items = arena_array(b->arena, n, sizeof *items);
    if (n && !items)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);
        struct shape_path here = {.up = at, .index = i};
        if (!json_is_string(item))
            return shape_refuse(b, &here, "must be a string.");
        r = shape_take_text(b, &here, text_of(item), &items[i]);
        if (r)
            return r;
        if (str_utf8_length(items[i]) > SHAPE_STR_MAX)
            return shape_refuse(b, &here, "must have at most %d characters.", SHAPE_STR_MAX);
    }
    struct str_list list = {items, n};
    memcpy((char *)object + f->offset, &list, sizeof list);
    return 0;
}

static int bind_nested(const struct shape_binding *b, const struct field *f,
                       const struct shape_path *at, const json_t *v, void *object)
{
    void *nested = arena_alloc(b->arena, f->shape->size);

    if (!nested)
        return FAULT_MEMORY;
    int r = bind_object(b, f->shape, at, v, nested);
    if (r == 0)
        memcpy((char *)object + f->offset, &nested, sizeof nested);
    return r;
}

static int bind_list(const struct shape_binding *b, const struct field *f,
                     const struct shape_path *at, const json_t *v, void *object)
{
    size_t n = json_array_size(v);
    int r = shape_check_count(b, f, at, n, SHAPE_LIST_MAX, "entries");
    if (r)
        return r;
    char *items = arena_array(b->arena, n, f->shape->size);
    if (n && !items)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct shape_path here = {.up = at, .index = i};
        r = bind_object(b, f->shape, &here, json_array_get(v, i), items + i * f->shape->size);
        if (r)
            return r;
    }
    struct shape_list list = {items, n};
    memcpy((char *)object + f->offset, &list, sizeof list);
    return 0;
}

static int bind_value(const struct shape_binding *b, const struct field *f,
                      const struct shape_path *at, const json_t *v, void *object)
{
    switch (f->type) {
    case FIELD_STR:
    case FIELD_UUID:
    case FIELD_TIME:
    case FIELD_CHOICE:
        return json_is_string(v) ? shape_place_text(b, f, at, text_of(v), object)
                                 : shape_refuse(b, at, "must be a string.");
    case FIELD_INT:
        return json_is_integer(v) ? shape_place_int(b, f, at, json_integer_value(v), object)
                                  : shape_refuse(b, at, "must be an integer.");
    case FIELD_BOOL:
        if (!json_is_boolean(v))
            return shape_refuse(b, at, "must be true or false.");
        shape_place_bool(f, json_is_true(v), object);
        return 0;
    case FIELD_STRS:
        if (f->flags & FIELD_ONE && json_is_string(v))
            return bind_one(b, f, at, v, object);
        return json_is_array(v) ? bind_strings(b, f, at, v, object)
                                : shape_refuse(b, at, "must be an array.");
    case FIELD_OBJECT:
        return bind_nested(b, f, at, v, object);
    case FIELD_LIST:
        return json_is_array(v) ? bind_list(b, f, at, v, object)
                                : shape_refuse(b, at, "must be an array.");
    case FIELD_DOUBLE:
    case FIELD_JSON:
        break;
    }
    return fault_set(FAULT_INTERNAL, "field %s is output only", f->name);
}

/* Binds one member; *seen gets its bit, also where it is null. */
static int bind_member(const struct shape_binding *b, const struct shape *shape,
                       const struct shape_path *at, const json_t *v, void *object, uint64_t *seen)
{
    size_t i = shape_find(shape, at->name);

    if (i == shape->count)
        return shape_refuse(b, at, "is not a field of this request.");
    const struct field *f = &shape->fields[i];
    *seen |= UINT64_C(1) << i;
    if (json_is_null(v))
        return f->flags & FIELD_NULLABLE ? 0 : shape_refuse(b, at, "must not be null.");
    int r = bind_value(b, f, at, v, object);
    if (r == 0)
        shape_give(object, i);
    return r;
}

static int bind_object(const struct shape_binding *b, const struct shape *shape,
                       const struct shape_path *at, const json_t *tree, void *object)
{
    uint64_t seen = 0;

    int r = shape_check_input(shape);
    if (r)
        return r;
    if (!json_is_object(tree))
        return at ? shape_refuse(b, at, "must be an object.")
                  : shape_refuse(b, NULL, "The body must be a JSON object.");
    json_t *t = (json_t *)(uintptr_t)tree; /* jansson's iterators take no const */
    for (void *i = json_object_iter(t); i; i = json_object_iter_next(t, i)) {
        struct shape_path here = {.up = at, .name = str_of(json_object_iter_key(i))};
        r = bind_member(b, shape, &here, json_object_iter_value(i), object, &seen);
        if (r)
            return r;
    }
    return shape_check_required(b, shape, at, seen);
}

/* Refuses with the name in key, a string of the text as it stands there. */
static int refuse_key(const struct shape_binding *b, struct str key, const char *text)
{
    _cleanup_tree_ json_t *name = key.n ? json_loadb(key.p, key.n, JSON_DECODE_ANY, NULL) : NULL;

    if (!json_is_string(name))
        return shape_refuse(b, NULL, "A field %s", text);
    struct shape_path at = {.name = text_of(name)};
    return shape_refuse(b, &at, "%s", text);
}

static int refuse_syntax(const struct shape_binding *b, struct str text, const json_error_t *error)
{
    size_t position = error->position > 0 ? (size_t)error->position : 0;
    struct str before = {text.p, position < text.n ? position : text.n};
    enum json_error_code code = json_error_code(error);

    if (code == json_error_out_of_memory)
        return fault_set(FAULT_MEMORY, "no memory to parse a body");
    if (code == json_error_duplicate_key)
        return refuse_key(b, shape_scan_last_string(before), "is given twice.");
    if (code == json_error_numeric_overflow)
        return refuse_key(b, shape_scan_last_key(before), "holds a number out of range.");
    return shape_refuse(b, NULL, "The body is not JSON: see line %d, column %d.", error->line,
                        error->column);
}

/* What can be told without parsing; it bounds the parser's recursion, too. */
static int check_text(const struct shape_binding *b, struct str text)
{
    if (text.n == 0)
        return shape_refuse(b, NULL, "The body is empty; it must be a JSON object.");
    if (!str_is_utf8(text))
        return shape_refuse(b, NULL, "The body is not UTF-8.");
    if (shape_scan_depth(text) > SHAPE_DEPTH_MAX)
        return shape_refuse(b, NULL, "The body nests deeper than %d levels.", SHAPE_DEPTH_MAX);
    return 0;
}

int shape_bind_json(const struct shape *shape, struct str text, struct arena *arena,
                    const void **ret, struct shape_error *ret_error)
{
    struct shape_binding b = {arena, ret_error};
    json_error_t error;

    wiped_json(); /* bodies carry passwords and tokens */
    int r = check_text(&b, text);
    if (r)
        return r;
    /* NUL is let through here so that the refusal can name its field. */
    _cleanup_tree_ json_t *tree = json_loadb(
        text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!tree)
        return refuse_syntax(&b, text, &error);
    void *object = arena_alloc(arena, shape->size);
    if (!object)
        return FAULT_MEMORY;
    r = bind_object(&b, shape, NULL, tree, object);
    if (r == 0)
        *ret = object;
    return r;
}
