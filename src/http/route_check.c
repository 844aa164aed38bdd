#include "http/route_check.h"

#include "base/fault.h"
#include "http/shape_value.h"

bool route_next_segment(struct str *rest, struct str *ret_segment)
{
    if (rest->n == 0)
        return false;
    struct str behind = {rest->p + 1, rest->n - 1};
    size_t n = str_find(behind, '/');
    *ret_segment = (struct str){behind.p, n};
    *rest = (struct str){behind.p + n, behind.n - n};
    return true;
}

/* The characters that a URI's path takes as they are (RFC 3986, section 2.3). */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static bool is_well_formed(struct str segment)
{
    if (segment.n > 0 && segment.p[0] == ':')
        segment = (struct str){segment.p + 1, segment.n - 1};
    for (size_t i = 0; i < segment.n; i++)
        if (!is_unreserved(segment.p[i]))
            return false;
    return segment.n > 0;
}

static const char *path_error(const char *path)
{
    struct str rest = str_of(path), segment;
    size_t params = 0;

    if (rest.n == 0 || rest.p[0] != '/')
        return "has a path that does not begin with '/'";
    if (rest.n == 1)
        return NULL;
    while (route_next_segment(&rest, &segment)) {
        if (!is_well_formed(segment))
            return "has a malformed segment in its path";
        params += segment.p[0] == ':';
    }
    return params > ROUTE_PARAMS_MAX ? "has too many parameters" : NULL;
}

static bool is_row_method(enum http_method method)
{
    return method == HTTP_GET || method == HTTP_POST || method == HTTP_PUT ||
           method == HTTP_PATCH || method == HTTP_DELETE;
}

/* Whether every field can come from a query or a form. */
static bool is_flat(const struct shape *shape)
{
    for (size_t i = 0; i < shape->count; i++) {
        enum field_type type = shape->fields[i].type;
        if (type == FIELD_STRS || type == FIELD_OBJECT || type == FIELD_LIST ||
            type == FIELD_JSON || type == FIELD_DOUBLE)
            return false;
    }
    return true;
}

static bool is_input(const struct shape *shape)
{
    if (shape->count > SHAPE_FIELDS_MAX || shape->size < sizeof(uint64_t))
        return false;
    for (size_t i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        if (f->type == FIELD_JSON || f->type == FIELD_DOUBLE || f->offset < sizeof(uint64_t) ||
            f->offset >= shape->size)
            return false;
        if (f->shape && !is_input(f->shape))
            return false;
    }
    return true;
}

static const char *shape_problem(const struct route *r)
{
    if (r->query && !(is_input(r->query) && is_flat(r->query)))
        return "has a query that cannot be bound";
    if (r->body && !is_input(r->body))
        return "has a body that cannot be bound";
    if (r->flags & (ROUTE_FORM | ROUTE_BODY_OPTIONAL) && !r->body)
        return "has a flag of bodies but no body";
    if (r->flags & ROUTE_FORM && r->body && !is_flat(r->body))
        return "has a form that cannot be bound";
    if (r->flags & ROUTE_RAW && (!r->body || r->flags & (ROUTE_FORM | ROUTE_BODY_OPTIONAL)))
        return "has a raw body that is none";
    if ((r->body || r->stream_type) && r->method == HTTP_GET)
        return "has a body with GET";
    if (r->stream_type && (r->body || r->lane == LANE_EVENT || r->permission < PERMIT_USER))
        return "has a streamed body that it cannot take";
    if (!r->stream_type != !r->stream_max)
        return "has a streamed body of no length";
    if (r->flags & ROUTE_LIST && !r->reply)
        return "is a list of nothing";
    return NULL;
}

/* A row of webhooks says how a flood of refused ones ends, and verifies what came. */
static const char *webhook_problem(const struct route *r)
{
    if (r->permission != PERMIT_WEBHOOK)
        return r->admit ? "admits senders but is for no webhook" : NULL;
    return r->admit && r->flags & ROUTE_RAW ? NULL : "is for webhooks but cannot verify any";
}

static const char *row_error(const struct route *r)
{
    if (!is_row_method(r->method))
        return "has a method that rows do not have";
    if (r->permission < PERMIT_ANYONE || r->permission >= PERMISSIONS)
        return "has no permission";
    if (r->lane >= LANES)
        return "has no lane";
    if (r->status < 200 || r->status > 399)
        return "has a status that is no success";
    if (!r->handle)
        return "has no handler";
    if (!r->summary || !*r->summary)
        return "has no summary";
    const char *error = webhook_problem(r);
    return error ? error : shape_problem(r);
}

int route_check(const struct route *r)
{
    if (!r->path)
        return fault_set(FAULT_INTERNAL, "a route has no path");
    const char *error = path_error(r->path);
    if (!error)
        error = row_error(r);
    if (error)
        return fault_set(FAULT_INTERNAL, "route %s %s %s", http_method_name(r->method), r->path,
                         error);
    return 0;
}
