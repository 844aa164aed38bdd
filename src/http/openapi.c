#include "http/openapi.h"

#include "base/product.h"
#include "http/openapi_parts.h"
#include "http/route_check.h"

enum { PATH_TEXT_MAX = 512, ABOUT_MAX = 4096 };

static const char conventions[] =
    "Bodies are JSON in UTF-8; unknown fields, duplicate keys and wrong types are refused with the "
    "field's name. Errors are `application/problem+json` (RFC 9457): `code` is for programs. Every "
    "answer carries `X-Request-Id`. Lists take `limit` and `cursor`. Times are RFC 3339, in UTC "
    "with milliseconds.";

void openapi_member(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_str(w, str_of(value));
}

void openapi_reference(struct json_writer *w, const char *kind, const char *name)
{
    _cleanup_buf_ struct buf path = buf_init(PATH_TEXT_MAX);

    buf_printf(&path, "#/components/%s/%s", kind, name);
    json_object_begin(w);
    json_key(w, "$ref");
    json_str(w, buf_str(&path));
    json_object_end(w);
}

/* In Markdown: what the product is, its parts as a list, and what holds for all routes. */
static void write_about(struct json_writer *w)
{
    _cleanup_buf_ struct buf about = buf_init(ABOUT_MAX);

    buf_printf(&about, "%s\n\n", PRODUCT_TAGLINE);
    for (size_t i = 0; i < PRODUCT_PARTS; i++)
        buf_printf(&about, "- %s: %s.\n", product_parts[i].name, product_parts[i].what);
    buf_printf(&about, "\n%s", conventions);
    openapi_member(w, "description", buf_cstr(&about));
}

static void write_info(struct json_writer *w)
{
    json_key(w, "info");
    json_object_begin(w);
    openapi_member(w, "title", "Holdfast");
    openapi_member(w, "version", HOLDFAST_VERSION);
    write_about(w);
    json_object_end(w);
    json_key(w, "servers");
    json_array_begin(w);
    json_object_begin(w);
    openapi_member(w, "url", "/");
    openapi_member(w, "description", "This server");
    json_object_end(w);
    json_array_end(w);
}

static void write_tags(struct json_writer *w, const struct route_table *tables, size_t n)
{
    json_key(w, "tags");
    json_array_begin(w);
    for (size_t t = 0; t < n; t++) {
        size_t first = 0;
        while (!str_eq(str_of(tables[first].tag), str_of(tables[t].tag)))
            first++;
        if (first < t)
            continue;
        json_object_begin(w);
        openapi_member(w, "name", tables[t].tag);
        json_object_end(w);
    }
    json_array_end(w);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_alphanumeric(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

static void write_method(struct buf *out, enum http_method method)
{
    for (const char *c = http_method_name(method); *c; c++)
        buf_add_char(out, lower(*c));
}

/* GET /v1/users/:id becomes getV1UsersById. */
static void write_operation_id(struct json_writer *w, const struct route *route)
{
    _cleanup_buf_ struct buf id = buf_init(PATH_TEXT_MAX);
    bool start = true;

    write_method(&id, route->method);
    for (const char *c = route->path; *c; c++) {
        if (*c == ':')
            buf_add(&id, "By", 2);
        if (is_alphanumeric(*c))
            buf_add_char(&id, start ? upper(*c) : *c);
        start = !is_alphanumeric(*c);
    }
    json_key(w, "operationId");
    json_str(w, buf_str(&id));
}

static void write_path_param(struct json_writer *w, struct str name)
{
    bool is_id = str_eq(name, STR("id")) || str_has_suffix(name, STR("Id"));

    json_object_begin(w);
    json_key(w, "name");
    json_str(w, name);
    openapi_member(w, "in", "path");
    json_key(w, "required");
    json_bool(w, true);
    json_key(w, "schema");
    json_object_begin(w);
    openapi_member(w, "type", "string");
    if (is_id)
        openapi_member(w, "format", "uuid");
    json_object_end(w);
    json_object_end(w);
}

static void write_query_param(struct json_writer *w, const struct field *f)
{
    json_object_begin(w);
    openapi_member(w, "name", f->name);
    openapi_member(w, "in", "query");
    if (f->flags & FIELD_REQUIRED) {
        json_key(w, "required");
        json_bool(w, true);
    }
    if (f->help)
        openapi_member(w, "description", f->help);
    json_key(w, "schema");
    shape_write_field_schema(w, f, true);
    json_object_end(w);
}

static void write_parameters(struct json_writer *w, const struct route *route)
{
    struct str rest = str_of(route->path), segment;

    if (!strchr(route->path, ':') && !route->query)
        return;
    json_key(w, "parameters");
    json_array_begin(w);
    while (route_next_segment(&rest, &segment))
        if (segment.n > 0 && segment.p[0] == ':')
            write_path_param(w, (struct str){segment.p + 1, segment.n - 1});
    for (size_t i = 0; route->query && i < route->query->count; i++)
        write_query_param(w, &route->query->fields[i]);
    json_array_end(w);
}

/* Text that is read as it comes. */
static void write_streamed_body(struct json_writer *w, const char *media_type)
{
    json_key(w, "requestBody");
    json_object_begin(w);
    json_key(w, "required");
    json_bool(w, true);
    json_key(w, "content");
    json_object_begin(w);
    json_key(w, media_type);
    json_raw(w, STR("{\"schema\":{\"type\":\"string\"}}"));
    json_object_end(w);
    json_object_end(w);
}

static void write_media(struct json_writer *w, const char *type, const struct route *route)
{
    json_key(w, type);
    json_object_begin(w);
    json_key(w, "schema");
    openapi_reference(w, "schemas", route->body->name);
    json_object_end(w);
}

static void write_request_body(struct json_writer *w, const struct route *route)
{
    if (route->stream_type)
        write_streamed_body(w, route->stream_type);
    if (!route->body)
        return;
    json_key(w, "requestBody");
    json_object_begin(w);
    json_key(w, "required");
    json_bool(w, !(route->flags & ROUTE_BODY_OPTIONAL));
    json_key(w, "content");
    json_object_begin(w);
    write_media(
        w, route->flags & ROUTE_FORM ? "application/x-www-form-urlencoded" : "application/json",
        route);
    if (route->flags & ROUTE_RAW)
        write_media(w, "text/plain", route); /* as SNS calls its JSON */
    json_object_end(w);
    json_object_end(w);
}

static void write_operation(struct json_writer *w, const char *tag, const struct route *route)
{
    _cleanup_buf_ struct buf method = buf_init(16);

    write_method(&method, route->method);
    json_key(w, buf_cstr(&method));
    json_object_begin(w);
    json_key(w, "tags");
    json_array_begin(w);
    json_str(w, str_of(tag));
    json_array_end(w);
    openapi_member(w, "summary", route->summary);
    openapi_member(w, "description", openapi_permission_text(route->permission));
    write_operation_id(w, route);
    openapi_security(w, route);
    write_parameters(w, route);
    write_request_body(w, route);
    openapi_responses(w, route);
    json_object_end(w);
}

/* "/v1/users/:id" as "/v1/users/{id}". */
static void write_path_key(struct json_writer *w, const char *path)
{
    _cleanup_buf_ struct buf key = buf_init(PATH_TEXT_MAX);
    struct str rest = str_of(path), segment;

    while (route_next_segment(&rest, &segment)) {
        bool param = segment.n > 0 && segment.p[0] == ':';
        if (param)
            segment = (struct str){segment.p + 1, segment.n - 1};
        buf_printf(&key, param ? "/{%.*s}" : "/%.*s", STR_ARG(segment));
    }
    json_key(w, buf_cstr(&key));
}

/* Whether no row before this one has its path. */
static bool is_first_of_path(const struct route_table *tables, size_t table, size_t row)
{
    struct str path = str_of(tables[table].routes[row].path);

    for (size_t t = 0; t <= table; t++) {
        size_t rows = t < table ? tables[t].count : row;
        for (size_t i = 0; i < rows; i++)
            if (str_eq(str_of(tables[t].routes[i].path), path))
                return false;
    }
    return true;
}

static void write_path(struct json_writer *w, const struct route_table *tables, size_t n,
                       const char *path)
{
    write_path_key(w, path);
    json_object_begin(w);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (str_eq(str_of(tables[t].routes[i].path), str_of(path)))
                write_operation(w, tables[t].tag, &tables[t].routes[i]);
    json_object_end(w);
}

static void write_paths(struct json_writer *w, const struct route_table *tables, size_t n)
{
    json_key(w, "paths");
    json_object_begin(w);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (is_first_of_path(tables, t, i))
                write_path(w, tables, n, tables[t].routes[i].path);
    json_object_end(w);
}

int openapi_write(const struct route_table *tables, size_t n, struct buf *out)
{
    struct json_writer w = json_writer(out);

    json_object_begin(&w);
    openapi_member(&w, "openapi", "3.1.0");
    write_info(&w);
    write_tags(&w, tables, n);
    write_paths(&w, tables, n);
    int r = openapi_components(&w, tables, n);
    if (r)
        return r;
    json_object_end(&w);
    return buf_fault(out);
}
