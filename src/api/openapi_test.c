/* The document over the product's own tables: what every client generator relies on. */
#include "api/app.h"
#include "base/fault.h"
#include "http/openapi.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OPERATIONS_MAX = 200 };

static json_t *document;

static int set_up(void **state)
{
    struct buf out = buf_init(4 << 20);

    api_tables_init();
    assert_int_equal(openapi_write(api_tables, API_TABLES, &out), 0);
    document = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    buf_free(&out);
    return document ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(document);
    return 0;
}

static size_t route_count(void)
{
    size_t n = 0;

    for (size_t i = 0; i < API_TABLES; i++)
        n += api_tables[i].count;
    return n;
}

/* The dispatcher takes the tables, so a server starts with them. */
static void test_router_takes_the_tables(void **state)
{
    struct router *router = NULL;

    if (router_new(api_tables, API_TABLES, &router))
        fail_msg("%s", fault_message());
    assert_int_equal(router_count(router), route_count());
    router_free(router);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < API_TABLES; i++) {
        const struct route_table *table = &api_tables[i];
        assert_true(table->tag && *table->tag && table->count);
        for (size_t j = 0; j < table->count; j++) {
            const struct route *route = &table->routes[j];
            struct str summary = str_of(route->summary);
            if (summary.n == 0)
                fail_msg("%s has no summary", route->path);
            if (str_has_suffix(summary, STR(".")))
                fail_msg("the summary of %s is a sentence", route->path);
            /* What hashes passwords does it where their number is bounded; what asks the store
             * does not do it on an event thread, nor wait there for who does. */
            if (route->lane == LANE_EVENT && route->method != HTTP_GET &&
                route->permission != PERMIT_WEBHOOK)
                fail_msg("%s changes something on an event thread", route->path);
        }
    }
}

/* Calls each for every operation of the document. */
static size_t each_operation(void (*each)(const char *path, const char *method, json_t *operation))
{
    const char *path, *method;
    json_t *item, *operation;
    size_t n = 0;

    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (strcmp(method, "parameters") == 0)
                continue;
            each(path, method, operation);
            n++;
        }
    }
    return n;
}

static const char *ids[OPERATIONS_MAX];
static size_t n_ids;

static void take_id(const char *path, const char *method, json_t *operation)
{
    const char *id = json_string_value(json_object_get(operation, "operationId"));

    if (str_of(id).n == 0)
        fail_msg("%s %s has no operationId", method, path);
    for (size_t i = 0; i < n_ids; i++)
        if (str_eq(str_of(ids[i]), str_of(id)))
            fail_msg("%s %s: operationId %s stands twice", method, path, id);
    assert_true(n_ids < OPERATIONS_MAX);
    ids[n_ids++] = id;
}

static void test_operation_ids_are_unique(void **state)
{
    n_ids = 0;
    assert_int_equal(each_operation(take_id), route_count());
}

static void check_operation(const char *path, const char *method, json_t *operation)
{
    json_t *responses = json_object_get(operation, "responses"), *response;
    const char *status, *permission;
    int successes = 0;

    if (!json_string_value(json_object_get(operation, "summary")))
        fail_msg("%s %s has no summary", method, path);
    json_object_foreach(responses, status, response)
    {
        successes += *status == '2';
        if (!json_object_get(response, "description") && !json_object_get(response, "$ref"))
            fail_msg("%s %s: %s has no description", method, path, status);
    }
    if (successes != 1)
        fail_msg("%s %s has %d successes", method, path, successes);
    permission = json_string_value(json_object_get(operation, "x-permission"));
    assert_non_null(permission);
    bool open = strcmp(permission, "anyone") == 0;
    if (!open && !json_object_get(responses, "401"))
        fail_msg("%s %s is for %s and has no 401", method, path, permission);
    if (!open && json_array_size(json_object_get(operation, "security")) == 0)
        fail_msg("%s %s is for %s and names no security", method, path, permission);
}

static void test_operations(void **state)
{
    each_operation(check_operation);
}

static void check_parameters(const char *path, const char *method, json_t *operation)
{
    struct str rest = str_of(path), part;
    json_t *parameters = json_object_get(operation, "parameters"), *parameter;
    size_t in_path = 0, named = 0, i;

    while (str_next(&rest, '{', &part))
        in_path++;
    json_array_foreach(parameters, i, parameter)
    {
        const char *in = json_string_value(json_object_get(parameter, "in"));
        char name[100];
        assert_non_null(in);
        assert_non_null(json_object_get(parameter, "schema"));
        if (strcmp(in, "path") != 0)
            continue;
        named++;
        snprintf(name, sizeof name, "{%s}", json_string_value(json_object_get(parameter, "name")));
        if (!strstr(path, name))
            fail_msg("%s %s: no %s in the path", method, path, name);
    }
    if (named != in_path - 1)
        fail_msg("%s %s names %zu of its parameters", method, path, named);
}

/* A body that a provider signs is of any type and may hold more than is read of it. */
static void test_webhooks(void **state)
{
    const json_t *paths = json_object_get(document, "paths");
    const json_t *post =
        json_object_get(json_object_get(paths, "/v1/email-monitoring/ses/bounce"), "post");
    const json_t *content = json_object_get(json_object_get(post, "requestBody"), "content");
    const json_t *responses = json_object_get(post, "responses");
    const json_t *components = json_object_get(document, "components");
    const json_t *schema =
        json_object_get(json_object_get(components, "schemas"), "SesBounceEvent");

    assert_non_null(json_object_get(content, "application/json"));
    assert_non_null(json_object_get(content, "text/plain"));
    assert_non_null(json_object_get(responses, "202"));
    assert_non_null(json_object_get(responses, "401"));
    assert_non_null(json_object_get(responses, "413"));
    assert_null(json_object_get(responses, "415"));
    assert_true(json_is_true(json_object_get(schema, "additionalProperties")));
    assert_non_null(
        json_object_get(json_object_get(components, "securitySchemes"), "webhookSignature"));
}

static void test_parameters(void **state)
{
    each_operation(check_parameters);
}

/* Whether a local reference leads somewhere. */
static bool resolves(const char *ref)
{
    struct str rest = str_of(ref), part;
    const json_t *at = document;

    if (!str_next(&rest, '/', &part) || !str_eq(part, STR("#")))
        return false;
    while (at && str_next(&rest, '/', &part))
        at = json_object_getn(at, part.p, part.n);
    return at != NULL;
}

static size_t check_references(const json_t *at)
{
    const char *key;
    json_t *value;
    size_t n = 0, i;

    if (json_is_array(at)) {
        json_array_foreach((json_t *)(uintptr_t)at, i, value) n += check_references(value);
        return n;
    }
    if (!json_is_object(at))
        return 0;
    json_object_foreach((json_t *)(uintptr_t)at, key, value)
    {
        if (strcmp(key, "$ref") == 0) {
            n++;
            if (!json_is_string(value) || !resolves(json_string_value(value)))
                fail_msg("does not resolve: %s", json_string_value(value));
        }
        n += check_references(value);
    }
    return n;
}

static void test_references_resolve(void **state)
{
    assert_true(check_references(document) > 50);
    assert_false(resolves("#/components/schemas/Nothing"));
}

/* And what is there is used. */
static void test_schemas_are_used(void **state)
{
    char *text = json_dumps(document, JSON_COMPACT);
    const char *name;
    json_t *schema;

    assert_non_null(text);
    json_object_foreach(json_object_get(json_object_get(document, "components"), "schemas"), name,
                        schema)
    {
        char ref[200];
        snprintf(ref, sizeof ref, "\"#/components/schemas/%s\"", name);
        if (!strstr(text, ref))
            fail_msg("nothing refers to the schema %s", name);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_takes_the_tables),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_operation_ids_are_unique),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_webhooks),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_references_resolve),
        cmocka_unit_test(test_schemas_are_used),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
