#include "http/shape.h"

static void write_member(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_str(w, str_of(value));
}

/* "type", which in JSON Schema also says whether null is one of the values. */
static void write_type(struct json_writer *w, const struct field *f, const char *type)
{
    json_key(w, "type");
    if (!(f->flags & FIELD_NULLABLE)) {
        json_str(w, str_of(type));
        return;
    }
    json_array_begin(w);
    json_str(w, str_of(type));
    json_str(w, STR("null"));
    json_array_end(w);
}

static void write_bound(struct json_writer *w, const char *key, int64_t v)
{
    json_key(w, key);
    json_int(w, v);
}

static void write_counts(struct json_writer *w, const struct field *f, const char *min_key,
                         const char *max_key, int64_t max, bool input)
{
    if (!input)
        return;
    if (f->min > 0)
        write_bound(w, min_key, f->min);
    write_bound(w, max_key, f->max > 0 ? f->max : max);
}

static void write_choices(struct json_writer *w, const struct field *f)
{
    write_type(w, f, "string");
    json_key(w, "enum");
    json_array_begin(w);
    for (size_t i = 0; f->choices[i]; i++)
        json_str(w, str_of(f->choices[i]));
    if (f->flags & FIELD_NULLABLE)
        json_nil(w);
    json_array_end(w);
}

static void write_reference(struct json_writer *w, const struct shape *shape)
{
    json_object_begin(w);
    json_key(w, "$ref");
    _cleanup_buf_ struct buf path = buf_init(256);
    buf_printf(&path, "#/components/schemas/%s", shape->name);
    json_str(w, buf_str(&path));
    json_object_end(w);
}

/* A reference stands in a list of its own, so that null and a description can stand beside it. */
static void write_object(struct json_writer *w, const struct field *f)
{
    bool nullable = f->flags & FIELD_NULLABLE;

    json_key(w, nullable ? "anyOf" : "allOf");
    json_array_begin(w);
    write_reference(w, f->shape);
    if (nullable) {
        json_object_begin(w);
        write_member(w, "type", "null");
        json_object_end(w);
    }
    json_array_end(w);
}

/* A list, or its only entry. */
static void write_array_or_string(struct json_writer *w)
{
    json_key(w, "type");
    json_array_begin(w);
    json_str(w, STR("array"));
    json_str(w, STR("string"));
    json_array_end(w);
    write_bound(w, "maxLength", SHAPE_STR_MAX);
}

static void write_items(struct json_writer *w, const struct field *f, bool input)
{
    if (input && f->flags & FIELD_ONE)
        write_array_or_string(w);
    else
        write_type(w, f, "array");
    write_counts(w, f, "minItems", "maxItems", SHAPE_LIST_MAX, input);
    json_key(w, "items");
    if (f->type == FIELD_LIST) {
        write_reference(w, f->shape);
        return;
    }
    json_object_begin(w);
    write_member(w, "type", "string");
    if (input)
        write_bound(w, "maxLength", SHAPE_STR_MAX);
    json_object_end(w);
}

static void write_int(struct json_writer *w, const struct field *f)
{
    write_type(w, f, "integer");
    write_member(w, "format", "int64");
    if (f->min || f->max) {
        write_bound(w, "minimum", f->min);
        write_bound(w, "maximum", f->max);
    }
}

static void write_kind(struct json_writer *w, const struct field *f, bool input)
{
    switch (f->type) {
    case FIELD_STR:
        write_type(w, f, "string");
        write_counts(w, f, "minLength", "maxLength", SHAPE_STR_MAX, input);
        break;
    case FIELD_INT:
        write_int(w, f);
        break;
    case FIELD_BOOL:
        write_type(w, f, "boolean");
        break;
    case FIELD_DOUBLE:
        write_type(w, f, "number");
        break;
    case FIELD_UUID:
        write_type(w, f, "string");
        write_member(w, "format", "uuid");
        break;
    case FIELD_TIME:
        write_type(w, f, "string");
        write_member(w, "format", "date-time");
        break;
    case FIELD_CHOICE:
        write_choices(w, f);
        break;
    case FIELD_STRS:
    case FIELD_LIST:
        write_items(w, f, input);
        break;
    case FIELD_OBJECT:
        write_object(w, f);
        break;
    case FIELD_JSON:
        break; /* any value: a schema without a type */
    }
}

void shape_write_field_schema(struct json_writer *w, const struct field *f, bool input)
{
    json_object_begin(w);
    write_kind(w, f, input);
    if (input && f->flags & FIELD_SECRET) {
        json_key(w, "writeOnly");
        json_bool(w, true);
    }
    if (f->help)
        write_member(w, "description", f->help);
    json_object_end(w);
}

static bool is_required(const struct field *f, bool input)
{
    return input ? f->flags & FIELD_REQUIRED : !(f->flags & FIELD_OMIT);
}

static void write_required(struct json_writer *w, const struct shape *shape, bool input)
{
    bool any = false;

    for (size_t i = 0; i < shape->count; i++)
        any = any || is_required(&shape->fields[i], input);
    if (!any)
        return;
    json_key(w, "required");
    json_array_begin(w);
    for (size_t i = 0; i < shape->count; i++)
        if (is_required(&shape->fields[i], input))
            json_str(w, str_of(shape->fields[i].name));
    json_array_end(w);
}

void shape_write_schema(struct json_writer *w, const struct shape *shape, bool input)
{
    json_object_begin(w);
    write_member(w, "type", "object");
    write_required(w, shape, input);
    if (input) {
        json_key(w, "additionalProperties");
        json_bool(w, shape->open);
    }
    json_key(w, "properties");
    json_object_begin(w);
    for (size_t i = 0; i < shape->count; i++) {
        json_key(w, shape->fields[i].name);
        shape_write_field_schema(w, &shape->fields[i], input);
    }
    json_object_end(w);
    json_object_end(w);
}
