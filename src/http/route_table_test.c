#include "http/route_table.h"

#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int handle(struct call *call)
{
    return 0;
}

struct input {
    uint64_t given;
    int64_t n;
    struct str_list list;
};

static const struct field flat_fields[] = {{"n", FIELD_INT, 0, offsetof(struct input, n)}};
static const struct shape flat = SHAPE("Flat", struct input, flat_fields);
static const struct field deep_fields[] = {{"list", FIELD_STRS, 0, offsetof(struct input, list)}};
static const struct shape deep = SHAPE("Deep", struct input, deep_fields);
static const struct field output_fields[] = {{"n", FIELD_INT, 0, 0}};
static const struct shape output = SHAPE("Output", struct input, output_fields);

#define ROW(m, p)                                                                                  \
    {                                                                                              \
        .method = HTTP_##m, .path = (p), .permission = PERMIT_USER, .lane = LANE_WORKER,           \
        .status = 200, .summary = "Do it", .handle = handle                                        \
    }

static const struct route first_rows[] = {
    ROW(GET, "/"),         ROW(GET, "/health"),    ROW(POST, "/auth/login"),
    ROW(GET, "/v1/users"), ROW(POST, "/v1/users"),
};
static const struct route second_rows[] = {
    ROW(GET, "/v1/users/:id"),    ROW(DELETE, "/v1/users/:id"), ROW(PATCH, "/v1/users/me"),
    ROW(DELETE, "/v1/:kind/all"), ROW(PUT, "/v1/:kind/:id"),    ROW(GET, "/.well-known/jwks.json"),
};
static const struct route_table tables[] = {ROUTE_TABLE("first", first_rows),
                                            ROUTE_TABLE("second", second_rows)};

static struct arena arena;
static struct router *router;

static int set_up(void **state)
{
    arena = arena_init(1 << 20);
    return router_new(tables, 2, &router);
}

static int tear_down(void **state)
{
    arena_free(&arena);
    router_free(router);
    return 0;
}

static void finds_n(enum http_method method, struct str path, const struct route *row,
                    const char *a, const char *b)
{
    struct route_match match = {0};
    unsigned methods = 0;

    assert_int_equal(router_find(router, method, path, &arena, &match, &methods), 0);
    assert_ptr_equal(match.route, row);
    assert_ptr_equal(router_route(router, match.index), row);
    assert_true(str_eq(match.params[0], str_of(a)));
    assert_true(str_eq(match.params[1], str_of(b)));
    assert_int_equal(methods, 0);
}

static void finds(enum http_method method, const char *path, const struct route *row, const char *a,
                  const char *b)
{
    finds_n(method, str_of(path), row, a, b);
}

static void no_path_n(struct str path)
{
    for (int m = 0; m < HTTP_METHODS; m++) {
        struct route_match match = {0};
        unsigned methods = 0;
        if (router_find(router, (enum http_method)m, path, &arena, &match, &methods) !=
            ROUTER_NO_PATH)
            fail_msg("%.*s has a route", STR_ARG(path));
        assert_null(match.route);
    }
}

static void others(enum http_method method, const char *path, const char *allow)
{
    _cleanup_buf_ struct buf text = buf_init(100);
    struct route_match match = {0};
    unsigned methods = 0;

    assert_int_equal(router_find(router, method, str_of(path), &arena, &match, &methods),
                     ROUTER_OTHER_METHODS);
    assert_null(match.route);
    router_write_methods(&text, methods);
    assert_string_equal(buf_cstr(&text), allow);
}

static void test_found(void **state)
{
    assert_int_equal(router_count(router), 11);
    finds(HTTP_GET, "/", &first_rows[0], "", "");
    finds(HTTP_GET, "/health", &first_rows[1], "", "");
    finds(HTTP_POST, "/auth/login", &first_rows[2], "", "");
    finds(HTTP_POST, "/v1/users", &first_rows[4], "", "");
    finds(HTTP_GET, "/v1/users/7", &second_rows[0], "7", "");
    finds(HTTP_GET, "/.well-known/jwks.json", &second_rows[5], "", "");
    finds(HTTP_PUT, "/v1/users/7", &second_rows[4], "users", "7");
}

static void test_head(void **state)
{
    finds(HTTP_HEAD, "/health", &first_rows[1], "", "");
    finds(HTTP_HEAD, "/v1/users/7", &second_rows[0], "7", "");
    others(HTTP_HEAD, "/auth/login", "POST, OPTIONS");
}

/* What is fixed goes before a parameter, but does not hide the parameter's other methods. */
static void test_precedence(void **state)
{
    finds(HTTP_PATCH, "/v1/users/me", &second_rows[2], "", "");
    finds(HTTP_GET, "/v1/users/me", &second_rows[0], "me", "");
    finds(HTTP_DELETE, "/v1/users/all", &second_rows[1], "all", "");
    finds(HTTP_DELETE, "/v1/x/all", &second_rows[3], "x", "");
}

static void test_decoding(void **state)
{
    finds(HTTP_GET, "/v1/users/a%20b%c3%A9", &second_rows[0], "a b\xC3\xA9", "");
    finds(HTTP_GET, "/v1/users/a+b", &second_rows[0], "a+b", "");
    finds(HTTP_GET, "/v1/users/%25", &second_rows[0], "%", "");
    finds(HTTP_GET, "/v1/users/%2525", &second_rows[0], "%25", "");
    finds(HTTP_PUT, "/v1/%41/%42", &second_rows[4], "A", "B");
    finds(HTTP_GET, "/v1/users/...", &second_rows[0], "...", "");
}

static void test_no_path(void **state)
{
    static const char *const paths[] = {
        "",
        "*",
        "health",
        "/healthy",
        "/healt",
        "/Health",
        "/health/",
        "//health",
        "//",
        "/%68ealth",
        "/v1/users/",
        "/v1//users",
        "/v1/users//",
        "/v1/users/7/",
        "/v1/users/7/8",
        "/v1//",
        "/v1//all",
        "/v1/users/%2F",
        "/v1/users/a%2fb",
        "/v1/users/%00",
        "/v1/users/%0a",
        "/v1/users/%1F",
        "/v1/users/%7f",
        "/v1/users/%",
        "/v1/users/%2",
        "/v1/users/%zz",
        "/v1/users/%FF",
        "/v1/users/%C0%AF",
        "/v1/users/.",
        "/v1/users/..",
        "/v1/users/%2e%2E",
        "/%761/users",
        "/v2/users/1",
    };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        no_path_n(str_of(paths[i]));
    no_path_n(STR("/v1/users/a\0b"));
    no_path_n(STR("/health\0"));
}

static void test_other_methods(void **state)
{
    others(HTTP_GET, "/auth/login", "POST, OPTIONS");
    others(HTTP_OPTIONS, "/auth/login", "POST, OPTIONS");
    others(HTTP_PUT, "/v1/users", "GET, HEAD, POST, OPTIONS");
    others(HTTP_POST, "/v1/users/7", "GET, HEAD, PUT, DELETE, OPTIONS");
    others(HTTP_POST, "/v1/users/me", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    others(HTTP_POST, "/v1/x/all", "PUT, DELETE, OPTIONS");
}

static void test_memory(void **state)
{
    struct arena none = arena_init(1);
    struct route_match match = {0};
    unsigned methods;

    assert_int_equal(router_find(router, HTTP_GET, STR("/v1/users/%41"), &none, &match, &methods),
                     FAULT_MEMORY);
    /* What needs no decoding needs no memory. */
    assert_int_equal(router_find(router, HTTP_GET, STR("/v1/users/A"), &none, &match, &methods), 0);
}

static void refuses(struct route row, const char *what)
{
    const struct route rows[] = {ROW(GET, "/a"), row};
    const struct route_table table = ROUTE_TABLE("tag", rows);
    struct router *r = NULL;

    assert_int_equal(router_new(&table, 1, &r), FAULT_INTERNAL);
    assert_null(r);
    if (!strstr(fault_message(), what))
        fail_msg("'%s' instead of '%s'", fault_message(), what);
}

static void test_bad_paths(void **state)
{
    refuses((struct route)ROW(GET, "/a"), "route GET /a exists twice");
    refuses((struct route)ROW(GET, NULL), "no path");
    refuses((struct route)ROW(GET, ""), "does not begin");
    refuses((struct route)ROW(GET, "b"), "does not begin");
    refuses((struct route)ROW(GET, "/b/"), "route GET /b/ has a malformed segment");
    refuses((struct route)ROW(GET, "//b"), "malformed segment");
    refuses((struct route)ROW(GET, "/:"), "malformed segment");
    refuses((struct route)ROW(GET, "/b c"), "malformed segment");
    refuses((struct route)ROW(GET, "/%62"), "malformed segment");
    refuses((struct route)ROW(GET, "/a:b"), "malformed segment");
    refuses((struct route)ROW(GET, "/:a/:b/:c"), "too many parameters");
}

#define REFUSES(member, value, what)                                                               \
    do {                                                                                           \
        struct route bad = row;                                                                    \
        bad.member = value;                                                                        \
        refuses(bad, what);                                                                        \
    } while (0)

static void test_bad_rows(void **state)
{
    struct route row = ROW(POST, "/b");

    REFUSES(permission, (enum permission)0, "no permission");
    REFUSES(permission, PERMISSIONS, "no permission");
    REFUSES(method, HTTP_HEAD, "method");
    REFUSES(method, HTTP_OPTIONS, "method");
    REFUSES(method, HTTP_METHODS, "method");
    REFUSES(lane, LANES, "no lane");
    REFUSES(status, 0, "no success");
    REFUSES(status, 404, "no success");
    REFUSES(handle, NULL, "no handler");
    REFUSES(summary, NULL, "no summary");
    REFUSES(query, &deep, "a query that cannot be bound");
    REFUSES(query, &output, "a query that cannot be bound");
    REFUSES(body, &output, "a body that cannot be bound");
    REFUSES(flags, ROUTE_FORM, "no body");
    REFUSES(flags, ROUTE_BODY_OPTIONAL, "no body");
    REFUSES(flags, ROUTE_LIST, "a list of nothing");
}

static void test_bad_bodies(void **state)
{
    struct route row = ROW(POST, "/b");

    REFUSES(stream_type, "text/csv", "a streamed body of no length");
    REFUSES(stream_max, 1, "a streamed body of no length");
    row.stream_type = "text/csv";
    row.stream_max = 1;
    REFUSES(body, &flat, "a streamed body that it cannot take");
    REFUSES(lane, LANE_EVENT, "a streamed body that it cannot take");
    REFUSES(permission, PERMIT_ANYONE, "a streamed body that it cannot take");
    REFUSES(method, HTTP_GET, "a body with GET");
    row = (struct route)ROW(POST, "/b");
    row.body = &deep;
    REFUSES(flags, ROUTE_FORM, "a form that cannot be bound");
    REFUSES(flags, ROUTE_RAW | ROUTE_BODY_OPTIONAL, "a raw body that is none");
    REFUSES(method, HTTP_GET, "a body with GET");
    /* A webhook's row is nothing without one that keeps floods away, and the bytes to verify. */
    REFUSES(admit, handle, "for no webhook");
    row.permission = PERMIT_WEBHOOK;
    REFUSES(flags, ROUTE_RAW, "cannot verify");
    REFUSES(admit, handle, "cannot verify");
    row.body = NULL;
    REFUSES(flags, ROUTE_RAW, "cannot verify");
#undef REFUSES
}

static void test_good_rows(void **state)
{
    struct route rows[] = {ROW(POST, "/b"), ROW(PUT, "/b"), ROW(GET, "/:a/:b"), ROW(PUT, "/:a/:b"),
                           ROW(POST, "/hook")};
    const struct route_table table = ROUTE_TABLE("tag", rows);
    struct router *r;

    rows[0].body = &deep;
    rows[0].query = &flat;
    rows[1].body = &flat;
    rows[1].flags = ROUTE_FORM | ROUTE_BODY_OPTIONAL;
    rows[3].stream_type = "text/csv";
    rows[3].stream_max = 1;
    rows[4].permission = PERMIT_WEBHOOK;
    rows[4].flags = ROUTE_RAW;
    rows[4].body = &deep;
    rows[4].admit = handle;
    assert_int_equal(router_new(&table, 1, &r), 0);
    router_free(r);
    rows[3].path = "/:a/:c";
    assert_int_equal(router_new(&table, 1, &r), FAULT_INTERNAL);
    assert_string_equal(fault_message(),
                        "routes /:a/:b and /:a/:c name their parameters differently");
    assert_int_equal(router_new(NULL, 0, &r), 0);
    router_free(r);
    router_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),      cmocka_unit_test(test_head),
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_no_path),    cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_bad_rows),   cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_good_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
