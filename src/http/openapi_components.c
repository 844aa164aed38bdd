#include "http/openapi_parts.h"

#include "base/fault.h"

enum { MEMORY_MAX = 1 << 20 };

struct schema {
    const struct schema *next;
    const struct shape *shape;
    bool input;
};

/* The shapes met so far, each once. */
struct schemas {
    struct arena arena;
    const struct schema *first;
};

static int add_shape(struct schemas *s, const struct shape *shape, bool input)
{
    if (!shape)
        return 0;
    for (const struct schema *i = s->first; i; i = i->next) {
        if (i->shape == shape && i->input == input)
            return 0;
        if (str_eq(str_of(i->shape->name), str_of(shape->name)))
            return fault_set(FAULT_INTERNAL, "two shapes are named %s", shape->name);
    }
    struct schema *schema = arena_alloc(&s->arena, sizeof *schema);
    if (!schema)
        return FAULT_MEMORY;
    *schema = (struct schema){s->first, shape, input};
    s->first = schema;
    for (size_t i = 0; i < shape->count; i++) {
        int r = add_shape(s, shape->fields[i].shape, input);
        if (r)
            return r;
    }
    return 0;
}

static int collect(struct schemas *s, const struct route_table *tables, size_t n)
{
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct route *route = &tables[t].routes[i];
            int r = add_shape(s, route->body, true);
            if (r == 0)
                r = add_shape(s, route->reply, false);
            if (r)
                return r;
        }
    }
    return 0;
}

static void write_text_property(struct json_writer *w, const char *name, const char *help)
{
    json_key(w, name);
    json_object_begin(w);
    openapi_member(w, "type", "string");
    openapi_member(w, "description", help);
    json_object_end(w);
}

static void write_codes(struct json_writer *w)
{
    json_key(w, "code");
    json_object_begin(w);
    openapi_member(w, "type", "string");
    openapi_member(w, "description", "What happened, for programs.");
    json_key(w, "enum");
    json_array_begin(w);
    for (int p = 1; p < PROBLEMS; p++)
        json_str(w, str_of(problem_row(p)->code));
    json_array_end(w);
    json_object_end(w);
}

/* What each code means and which status it goes with, for the docs page. */
static void write_code_table(struct json_writer *w)
{
    json_key(w, "x-problems");
    json_array_begin(w);
    for (int p = 1; p < PROBLEMS; p++) {
        json_object_begin(w);
        openapi_member(w, "code", problem_row(p)->code);
        json_key(w, "status");
        json_int(w, problem_row(p)->status);
        openapi_member(w, "title", problem_row(p)->title);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_problem(struct json_writer *w)
{
    json_key(w, "Problem");
    json_object_begin(w);
    openapi_member(w, "type", "object");
    openapi_member(w, "description", "An error (RFC 9457).");
    json_key(w, "required");
    json_raw(w, STR("[\"type\",\"title\",\"status\",\"code\",\"requestId\"]"));
    json_key(w, "properties");
    json_object_begin(w);
    json_key(w, "type");
    json_raw(w, STR("{\"type\":\"string\",\"format\":\"uri-reference\","
                    "\"description\":\"Where the problem is described.\"}"));
    write_text_property(w, "title", "What happened, for people.");
    json_key(w, "status");
    json_raw(w, STR("{\"type\":\"integer\",\"description\":\"The status of the answer.\"}"));
    write_codes(w);
    write_text_property(w, "detail", "What was wrong with this request.");
    write_text_property(w, "field", "The field it concerns, such as users[2].email.");
    json_key(w, "requestId");
    json_raw(w, STR("{\"type\":\"string\",\"format\":\"uuid\","
                    "\"description\":\"As in X-Request-Id and in the log.\"}"));
    json_object_end(w);
    write_code_table(w);
    json_object_end(w);
}

static void write_security_scheme(struct json_writer *w, const char *name, const char *scheme,
                                  const char *help)
{
    json_key(w, name);
    json_object_begin(w);
    openapi_member(w, "type", "http");
    openapi_member(w, "scheme", scheme);
    openapi_member(w, "description", help);
    json_object_end(w);
}

static void write_header_scheme(struct json_writer *w, const char *name, const char *header,
                                const char *help)
{
    json_key(w, name);
    json_object_begin(w);
    openapi_member(w, "type", "apiKey");
    openapi_member(w, "in", "header");
    openapi_member(w, "name", header);
    openapi_member(w, "description", help);
    json_object_end(w);
}

static void write_security_schemes(struct json_writer *w)
{
    json_key(w, "securitySchemes");
    json_object_begin(w);
    write_security_scheme(w, "bearerAuth", "bearer", "The access token of a sign-in.");
    write_security_scheme(w, "clientSecret", "basic", "The OAuth client's id and secret.");
    write_security_scheme(w, "metricsToken", "bearer", "METRICS_TOKEN; not needed on loopback.");
    write_security_scheme(w, "serviceToken", "bearer", "A token of EMAIL_SERVICE_TOKENS.");
    write_header_scheme(w, "webhookSignature", "X-Webhook-Signature",
                        "t=<unix>,v1=<HMAC-SHA256 of \"<unix>.<body>\" in hexadecimal>; not needed "
                        "with a signed message of SNS.");
    json_object_end(w);
}

int openapi_components(struct json_writer *w, const struct route_table *tables, size_t n)
{
    struct schemas s = {.arena = arena_init(MEMORY_MAX)};
    int r = collect(&s, tables, n);

    if (r == 0) {
        json_key(w, "components");
        json_object_begin(w);
        write_security_schemes(w);
        json_key(w, "schemas");
        json_object_begin(w);
        for (const struct schema *i = s.first; i; i = i->next) {
            json_key(w, i->shape->name);
            shape_write_schema(w, i->shape, i->input);
        }
        write_problem(w);
        json_object_end(w);
        json_object_end(w);
    }
    arena_free(&s.arena);
    return r;
}
