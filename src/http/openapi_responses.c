#include "http/openapi_parts.h"

#define PROBLEM_BIT(name) ROUTE_PROBLEM(PROBLEM_##name)

static const struct {
    const char *name, *text;
} permissions[PERMISSIONS] = {
    [PERMIT_ANYONE] = {"anyone", "Anyone may call."},
    [PERMIT_METRICS] = {"metrics", "For callers on loopback, or with the metrics token."},
    [PERMIT_CLIENT] = {"client", "For the OAuth client, by its id and secret."},
    [PERMIT_WEBHOOK] = {"webhook", "For senders whose signature verifies."},
    [PERMIT_USER] = {"user", "For any signed-in user."},
    [PERMIT_ADMIN] = {"admin", "For an admin of the tenant, or an operator; a session with a "
                               "second factor is needed where the installation demands it."},
    [PERMIT_OPERATOR] = {"operator", "For an operator; a session with a second factor is needed "
                                     "where the installation demands it."},
    [PERMIT_SENDER] = {"sender", "For a program with a service token of the tenant, or for an "
                                 "admin of the tenant, or an operator."},
};

const char *openapi_permission_text(enum permission permission)
{
    return permissions[permission].text;
}

static void write_requirement(struct json_writer *w, const char *scheme)
{
    json_object_begin(w);
    if (scheme) {
        json_key(w, scheme);
        json_array_begin(w);
        json_array_end(w);
    }
    json_object_end(w);
}

void openapi_security(struct json_writer *w, const struct route *route)
{
    json_key(w, "security");
    json_array_begin(w);
    if (route->permission == PERMIT_METRICS) {
        write_requirement(w, "metricsToken");
        write_requirement(w, NULL); /* loopback needs none */
    } else if (route->permission == PERMIT_CLIENT) {
        write_requirement(w, "clientSecret");
    } else if (route->permission == PERMIT_WEBHOOK) {
        write_requirement(w, "webhookSignature");
        write_requirement(w, NULL); /* a message of SNS holds its signature */
    } else if (route->permission >= PERMIT_USER) {
        write_requirement(w, "bearerAuth");
    }
    if (route->permission == PERMIT_SENDER)
        write_requirement(w, "serviceToken");
    json_array_end(w);
    openapi_member(w, "x-permission", permissions[route->permission].name);
}

static uint64_t problems_of_permission(const struct route *route)
{
    uint64_t bearer = PROBLEM_BIT(UNAUTHENTICATED) | PROBLEM_BIT(TOKEN_INVALID) |
                      PROBLEM_BIT(TOKEN_EXPIRED) | PROBLEM_BIT(TOKEN_REVOKED);

    if (!(route->flags & ROUTE_TEMPORARY))
        bearer |= PROBLEM_BIT(PASSWORD_CHANGE_REQUIRED);
    switch (route->permission) {
    case PERMIT_METRICS:
        return PROBLEM_BIT(UNAUTHENTICATED);
    case PERMIT_CLIENT:
        return PROBLEM_BIT(INVALID_CLIENT);
    case PERMIT_WEBHOOK:
        return PROBLEM_BIT(SIGNATURE_INVALID);
    case PERMIT_USER:
        return bearer;
    case PERMIT_ADMIN:
    case PERMIT_OPERATOR:
    case PERMIT_SENDER:
        return bearer | PROBLEM_BIT(FORBIDDEN) | PROBLEM_BIT(SECOND_FACTOR_NEEDED);
    case PERMIT_ANYONE:
    case PERMISSIONS:
        break;
    }
    return 0;
}

/* All that an operation may answer instead of its success, as bits. */
static uint64_t problems_of(const struct route *route)
{
    uint64_t set = route->problems | problems_of_permission(route) | PROBLEM_BIT(BAD_REQUEST) |
                   PROBLEM_BIT(RATE_LIMITED) | PROBLEM_BIT(INTERNAL);

    bool has_body = route->body || route->stream_type;
    if (route->query || has_body)
        set |= PROBLEM_BIT(INVALID_FIELD);
    if (has_body)
        set |= PROBLEM_BIT(TOO_LARGE) | PROBLEM_BIT(TIMEOUT);
    if (has_body && !(route->flags & ROUTE_RAW))
        set |= PROBLEM_BIT(UNSUPPORTED_MEDIA_TYPE);
    if (strchr(route->path, ':'))
        set |= PROBLEM_BIT(NOT_FOUND);
    if (route->flags & ROUTE_REVOCATION)
        set |= PROBLEM_BIT(REVOCATION_DISABLED);
    if (route->lane != LANE_EVENT)
        set |= PROBLEM_BIT(UNAVAILABLE) | PROBLEM_BIT(OVERLOADED);
    if (route->permission >= PERMIT_USER)
        set |= PROBLEM_BIT(UNAVAILABLE);
    return set;
}

static void write_status(struct json_writer *w, int status)
{
    char key[16];

    snprintf(key, sizeof key, "%d", status);
    json_key(w, key);
}

static void write_content(struct json_writer *w, const char *media_type, const char *schema)
{
    json_key(w, "content");
    json_object_begin(w);
    json_key(w, media_type);
    json_object_begin(w);
    json_key(w, "schema");
    openapi_reference(w, "schemas", schema);
    json_object_end(w);
    json_object_end(w);
}

/* Those of the set that are answered with this status. */
static void write_problems(struct json_writer *w, uint64_t set, int status)
{
    _cleanup_buf_ struct buf text = buf_init(1024);

    write_status(w, status);
    json_object_begin(w);
    json_key(w, "x-codes");
    json_array_begin(w);
    for (int p = 1; p < PROBLEMS; p++) {
        const struct problem_row *row = problem_row(p);
        if (!(set >> p & 1) || row->status != status)
            continue;
        json_str(w, str_of(row->code));
        buf_printf(&text, "%s%s (`%s`)", text.n ? ". " : "", row->title, row->code);
    }
    json_array_end(w);
    json_key(w, "description");
    json_str(w, buf_str(&text));
    write_content(w, "application/problem+json", "Problem");
    json_object_end(w);
}

static void write_list(struct json_writer *w, const struct shape *shape)
{
    json_key(w, "content");
    json_object_begin(w);
    json_key(w, "application/json");
    json_object_begin(w);
    json_key(w, "schema");
    json_object_begin(w);
    openapi_member(w, "type", "object");
    json_key(w, "required");
    json_raw(w, STR("[\"items\",\"nextCursor\"]"));
    json_key(w, "properties");
    json_object_begin(w);
    json_key(w, "items");
    json_object_begin(w);
    openapi_member(w, "type", "array");
    json_key(w, "items");
    openapi_reference(w, "schemas", shape->name);
    json_object_end(w);
    json_key(w, "nextCursor");
    json_raw(w, STR("{\"type\":[\"string\",\"null\"],\"description\":"
                    "\"To be given as cursor for what follows; null at the end.\"}"));
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
}

void openapi_responses(struct json_writer *w, const struct route *route)
{
    uint64_t set = problems_of(route);

    json_key(w, "responses");
    json_object_begin(w);
    write_status(w, route->status);
    json_object_begin(w);
    openapi_member(w, "description", http_reason(route->status));
    if (route->flags & ROUTE_LIST)
        write_list(w, route->reply);
    else if (route->reply)
        write_content(w, "application/json", route->reply->name);
    json_object_end(w);
    for (int status = 400; status < 600; status++) {
        bool any = false;
        for (int p = 1; p < PROBLEMS; p++)
            any = any || (set >> p & 1 && problem_row(p)->status == status);
        if (any)
            write_problems(w, set, status);
    }
    json_object_end(w);
}
