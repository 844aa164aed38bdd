#include "http/shape.h"

#include "base/fault.h"

#include <math.h>

/* The value of this type that lies at place; offsets come from offsetof, so it is aligned. */
#define LOAD(type, place) (*(type const *)(const void *)(place))

static bool is_empty(const struct field *f, const char *place)
{
    switch (f->type) {
    case FIELD_STR:
    case FIELD_JSON:
        return LOAD(struct str, place).n == 0;
    case FIELD_INT:
    case FIELD_TIME:
        return LOAD(int64_t, place) == 0;
    case FIELD_CHOICE:
        return LOAD(int64_t, place) < 0;
    case FIELD_BOOL:
        return !LOAD(bool, place);
    case FIELD_DOUBLE:
        return isnan(LOAD(double, place));
    case FIELD_UUID:
        return uuid_is_nil(&LOAD(struct uuid, place));
    case FIELD_STRS:
        return LOAD(struct str_list, place).n == 0;
    case FIELD_OBJECT:
        return LOAD(const void *, place) == NULL;
    case FIELD_LIST:
        return LOAD(struct shape_list, place).n == 0;
    }
    return false;
}

/* Whether an empty value of this field is written as null. */
static bool null_when_empty(const struct field *f)
{
    switch (f->type) {
    case FIELD_UUID:
    case FIELD_TIME:
    case FIELD_OBJECT:
    case FIELD_JSON:
        return true;
    case FIELD_STR:
    case FIELD_CHOICE:
        return f->flags & FIELD_NULLABLE;
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_DOUBLE: /* as JSON has no other way */
    case FIELD_STRS:
    case FIELD_LIST:
        break;
    }
    return false;
}

static void write_choice(struct json_writer *w, const struct field *f, int64_t v)
{
    int64_t n = 0;

    while (f->choices[n])
        n++;
    if (v >= 0 && v < n)
        json_str(w, str_of(f->choices[v]));
    else if (!buf_fault(w->out))
        w->out->fault =
            fault_set(FAULT_INTERNAL, "field %s has no choice %lld", f->name, (long long)v);
}

static void write_strings(struct json_writer *w, struct str_list list)
{
    json_array_begin(w);
    for (size_t i = 0; i < list.n; i++)
        json_str(w, list.items[i]);
    json_array_end(w);
}

static void write_list(struct json_writer *w, const struct shape *shape, struct shape_list list)
{
    json_array_begin(w);
    for (size_t i = 0; i < list.n; i++)
        shape_write(w, shape, (const char *)list.items + i * shape->size);
    json_array_end(w);
}

static void write_value(struct json_writer *w, const struct field *f, const char *place)
{
    switch (f->type) {
    case FIELD_STR:
        json_str(w, LOAD(struct str, place));
        break;
    case FIELD_INT:
        json_int(w, LOAD(int64_t, place));
        break;
    case FIELD_BOOL:
        json_bool(w, LOAD(bool, place));
        break;
    case FIELD_DOUBLE:
        json_double(w, LOAD(double, place));
        break;
    case FIELD_UUID:
        json_uuid(w, &LOAD(struct uuid, place));
        break;
    case FIELD_TIME:
        json_time(w, LOAD(int64_t, place));
        break;
    case FIELD_CHOICE:
        write_choice(w, f, LOAD(int64_t, place));
        break;
    case FIELD_STRS:
        write_strings(w, LOAD(struct str_list, place));
        break;
    case FIELD_OBJECT:
        shape_write(w, f->shape, LOAD(const void *, place));
        break;
    case FIELD_LIST:
        write_list(w, f->shape, LOAD(struct shape_list, place));
        break;
    case FIELD_JSON:
        json_raw(w, LOAD(struct str, place));
        break;
    }
}

void shape_write(struct json_writer *w, const struct shape *shape, const void *object)
{
    json_object_begin(w);
    for (size_t i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        const char *place = (const char *)object + f->offset;
        bool empty = is_empty(f, place);
        if (empty && f->flags & FIELD_OMIT)
            continue;
        json_key(w, f->name);
        if (empty && null_when_empty(f))
            json_nil(w);
        else
            write_value(w, f, place);
    }
    json_object_end(w);
}
