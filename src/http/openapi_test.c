#include "http/openapi.h"

#include "base/fault.h"
#include "http/openapi_sample.h"
#include "http/route_table.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static json_t *document;

static int set_up(void **state)
{
    _cleanup_buf_ struct buf out = buf_init(1 << 20);
    struct router *router;

    if (router_new(openapi_sample, OPENAPI_SAMPLE_TABLES, &router))
        return -1;
    router_free(router);
    if (openapi_write(openapi_sample, OPENAPI_SAMPLE_TABLES, &out))
        return -1;
    document = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    return document ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(document);
    return 0;
}

/* Follows a JSON pointer without escapes. */
static const json_t *at_pointer(const json_t *from, const char *pointer)
{
    struct str rest = str_of(pointer), part;

    while (from && str_next(&rest, '/', &part)) {
        if (part.n == 0)
            continue;
        from = json_is_array(from) ? json_array_get(from, (size_t)(part.p[0] - '0'))
                                   : json_object_getn(from, part.p, part.n);
    }
    return from;
}

static const json_t *operation(const char *path, const char *method)
{
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

static void expect_text(const json_t *from, const char *pointer, const char *want)
{
    const json_t *v = at_pointer(from, pointer);

    if (!json_is_string(v))
        fail_msg("no %s", pointer);
    assert_string_equal(json_string_value(v), want);
}

static void expect_json(const json_t *from, const char *pointer, const char *want)
{
    const json_t *v = at_pointer(from, pointer);
    json_t *wanted = json_loads(want, JSON_DECODE_ANY, NULL);

    if (!json_equal(v, wanted)) {
        char *text = json_dumps(v, JSON_ENCODE_ANY);
        fail_msg("%s is %s, not %s", pointer, text, want);
    }
    json_decref(wanted);
}

/* Whether code is among x-codes of a status. */
static bool may_answer(const json_t *op, const char *status, const char *code)
{
    const json_t *codes =
        json_object_get(json_object_get(json_object_get(op, "responses"), status), "x-codes");

    for (size_t i = 0; i < json_array_size(codes); i++)
        if (strcmp(json_string_value(json_array_get(codes, i)), code) == 0)
            return true;
    return false;
}

static size_t check_refs(json_t *v)
{
    size_t count = 0, i;
    const char *key;
    json_t *child;

    json_object_foreach(v, key, child)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *ref = json_string_value(child);
            assert_non_null(ref);
            assert_int_equal(strncmp(ref, "#/", 2), 0);
            if (!json_is_object(at_pointer(document, ref + 2)))
                fail_msg("%s leads nowhere", ref);
            count++;
        }
        count += check_refs(child);
    }
    json_array_foreach(v, i, child) count += check_refs(child);
    return count;
}

static void test_references(void **state)
{
    assert_true(check_refs(document) > 50);
}

static void test_head(void **state)
{
    expect_text(document, "openapi", "3.1.0");
    assert_true(json_is_string(at_pointer(document, "info/version")));
    expect_text(document, "servers/0/url", "/");
    expect_json(document, "tags/1", "{\"name\":\"Sessions\"}");
    assert_int_equal(json_array_size(json_object_get(document, "tags")), OPENAPI_SAMPLE_TABLES);
}

static void test_operation_ids(void **state)
{
    json_t *seen = json_object(), *path, *op;
    const char *key, *method;

    json_object_foreach(json_object_get(document, "paths"), key, path)
        json_object_foreach(path, method, op)
    {
        const char *id = json_string_value(json_object_get(op, "operationId"));
        assert_non_null(id);
        assert_null(json_object_get(seen, id));
        json_object_set_new(seen, id, json_true());
    }
    assert_int_equal(json_object_size(seen), 13);
    assert_non_null(json_object_get(seen, "postAuthLogin"));
    assert_non_null(json_object_get(seen, "putV1ByKindNotesByName"));
    assert_non_null(json_object_get(seen, "getWellKnownJwksJson"));
    assert_non_null(json_object_get(seen, "get"));
    json_decref(seen);
}

static void test_operation(void **state)
{
    const json_t *op = operation("/auth/login", "post");

    expect_json(op, "tags", "[\"Sign-in\"]");
    expect_text(op, "summary", "Sign in");
    expect_text(op, "description", "Anyone may call.");
    expect_json(op, "requestBody",
                "{\"required\":true,\"content\":{\"application/json\":{\"schema\":"
                "{\"$ref\":\"#/components/schemas/Login\"}}}}");
}

static void test_parameters(void **state)
{
    expect_json(operation("/v1/users/{id}", "get"), "parameters",
                "[{\"name\":\"id\",\"in\":\"path\",\"required\":true,"
                "\"schema\":{\"type\":\"string\",\"format\":\"uuid\"}}]");
    expect_json(operation("/v1/{kind}/notes/{name}", "put"), "parameters/1",
                "{\"name\":\"name\",\"in\":\"path\",\"required\":true,"
                "\"schema\":{\"type\":\"string\"}}");
    expect_json(
        operation("/v1/users", "get"), "parameters/0",
        "{\"name\":\"limit\",\"in\":\"query\",\"description\":\"How many; 50 if unsaid.\","
        "\"schema\":{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":200,"
        "\"description\":\"How many; 50 if unsaid.\"}}");
    assert_null(at_pointer(operation("/auth/me", "get"), "parameters"));
}

static void test_security(void **state)
{
    static const struct {
        const char *path, *method, *security, *permission;
    } rows[] = {
        {"/auth/login", "post", "[]", "anyone"},
        {"/auth/me", "get", "[{\"bearerAuth\":[]}]", "user"},
        {"/v1/users", "get", "[{\"bearerAuth\":[]}]", "admin"},
        {"/v1/sessions/revoke-users", "post", "[{\"bearerAuth\":[]}]", "operator"},
        {"/oauth/introspect", "post", "[{\"clientSecret\":[]}]", "client"},
        {"/metrics", "get", "[{\"metricsToken\":[]},{}]", "metrics"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *op = operation(rows[i].path, rows[i].method);
        expect_json(op, "security", rows[i].security);
        expect_text(op, "x-permission", rows[i].permission);
    }
}

static void test_replies(void **state)
{
    const json_t *list = at_pointer(operation("/v1/users", "get"), "responses/200/content");
    const json_t *schema = json_object_get(json_object_get(list, "application/json"), "schema");

    expect_json(schema, "required", "[\"items\",\"nextCursor\"]");
    expect_text(schema, "properties/items/items/$ref", "#/components/schemas/User");
    expect_json(schema, "properties/nextCursor/type", "[\"string\",\"null\"]");
    expect_json(operation("/auth/logout", "post"), "responses/204",
                "{\"description\":\"No Content\"}");
    expect_json(operation("/auth/me", "get"), "responses/200",
                "{\"description\":\"OK\",\"content\":{\"application/json\":{\"schema\":"
                "{\"$ref\":\"#/components/schemas/User\"}}}}");
}

static void test_bodies(void **state)
{
    const json_t *form = operation("/oauth/introspect", "post");
    const json_t *content = at_pointer(form, "requestBody/content");

    assert_non_null(json_object_get(content, "application/x-www-form-urlencoded"));
    assert_null(json_object_get(content, "application/json"));
    expect_json(operation("/v1/sessions/revoke-user/{userId}", "delete"), "requestBody/required",
                "false");
    expect_json(document, "components/schemas/Login/additionalProperties", "false");
    assert_null(at_pointer(document, "components/schemas/User/additionalProperties"));
    assert_null(at_pointer(document, "components/schemas/Page"));
}

static void test_problems(void **state)
{
    const json_t *login = operation("/auth/login", "post");
    const json_t *me = operation("/auth/me", "get"), *users = operation("/v1/users/{id}", "get");
    const json_t *revoke = operation("/v1/sessions/revoke-users", "post");

    assert_true(may_answer(login, "401", "mfa_required"));
    assert_true(may_answer(login, "413", "too_large"));
    assert_true(may_answer(login, "400", "invalid_field"));
    assert_false(may_answer(login, "401", "token_expired"));
    assert_true(may_answer(me, "401", "token_revoked"));
    assert_false(may_answer(me, "403", "password_change_required"));
    assert_false(may_answer(me, "403", "forbidden"));
    assert_false(may_answer(me, "400", "invalid_field"));
    assert_true(may_answer(users, "404", "not_found"));
    assert_true(may_answer(users, "403", "second_factor_needed"));
    assert_true(may_answer(users, "403", "password_change_required"));
    assert_false(may_answer(users, "403", "revocation_disabled"));
    assert_true(may_answer(revoke, "403", "revocation_disabled"));
    assert_true(may_answer(revoke, "409", "conflict"));
    assert_false(may_answer(operation("/", "get"), "503", "unavailable"));
    assert_true(may_answer(operation("/oauth/introspect", "post"), "401", "invalid_client"));
    const json_t *codes = at_pointer(document, "components/schemas/Problem/properties/code/enum");
    assert_int_equal(json_array_size(codes), PROBLEMS - 1);
}

static void test_two_shapes_of_a_name(void **state)
{
    static const struct shape one = {.name = "Same"}, other = {.name = "Same"};
    struct route rows[] = {
        {.path = "/a", .permission = PERMIT_USER, .reply = &one, .summary = "A"},
        {.path = "/b", .permission = PERMIT_USER, .reply = &other, .summary = "B"},
    };
    const struct route_table table = ROUTE_TABLE("tag", rows);
    _cleanup_buf_ struct buf out = buf_init(100000);

    assert_int_equal(openapi_write(&table, 1, &out), FAULT_INTERNAL);
    assert_string_equal(fault_message(), "two shapes are named Same");
    rows[1].reply = &one;
    buf_reset(&out);
    assert_int_equal(openapi_write(&table, 1, &out), 0);
}

static void test_full_buffer(void **state)
{
    _cleanup_buf_ struct buf out = buf_init(1000);

    assert_int_equal(openapi_write(openapi_sample, OPENAPI_SAMPLE_TABLES, &out), FAULT_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),    cmocka_unit_test(test_head),
        cmocka_unit_test(test_operation_ids), cmocka_unit_test(test_operation),
        cmocka_unit_test(test_parameters),    cmocka_unit_test(test_security),
        cmocka_unit_test(test_replies),       cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_problems),      cmocka_unit_test(test_two_shapes_of_a_name),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
