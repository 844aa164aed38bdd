/*
 * Paths and queries: what is decoded is never longer than what was given and holds no NUL, a
 * parameter holds no '/' or control character, and a found route is one that the path fits.
 */
#include "http/route_table.h"

#include "fuzz.h"

struct query {
    uint64_t given;
    struct str text;
    int64_t limit;
    bool all;
};

static const struct field fields[] = {
    {"text", FIELD_STR, 0, offsetof(struct query, text), .max = 9},
    {"limit", FIELD_INT, 0, offsetof(struct query, limit), .min = 1, .max = 200},
    {"all", FIELD_BOOL, 0, offsetof(struct query, all)},
};
static const struct shape shape = SHAPE("Query", struct query, fields);

static int handle(struct call *call)
{
    return 0;
}

#define ROW(path_text)                                                                             \
    {                                                                                              \
        .method = HTTP_GET, .path = (path_text), .permission = PERMIT_USER, .status = 200,         \
        .summary = "Do it", .handle = handle                                                       \
    }

static const struct route rows[] = {
    ROW("/"), ROW("/a"), ROW("/a/b"), ROW("/a/:x"), ROW("/a/:x/b"), ROW("/:x/:y/c"),
};
static const struct route_table table = ROUTE_TABLE("tag", rows);

static bool has_nul(struct str s)
{
    return s.n > 0 && memchr(s.p, '\0', s.n);
}

static void check_decode(struct str s, bool plus, struct arena *arena)
{
    struct str got = {0};
    int r = percent_decode(s, plus, arena, &got);

    FUZZ_CHECK(r == 0 || r == 1);
    FUZZ_CHECK(r == 1 || (got.n <= s.n && !has_nul(got)));
}

static size_t count_slashes(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

static void check_path(const struct router *router, struct str path, struct arena *arena)
{
    struct route_match match = {0};
    unsigned methods = 0;
    int r = router_find(router, HTTP_GET, path, arena, &match, &methods);

    FUZZ_CHECK(r == 0 || r == ROUTER_NO_PATH);
    if (r)
        return;
    FUZZ_CHECK(count_slashes(path) == count_slashes(str_of(match.route->path)));
    size_t params = 0;
    for (const char *c = match.route->path; *c; c++)
        params += *c == ':';
    FUZZ_CHECK(params > 0 || str_eq(path, str_of(match.route->path)));
    for (size_t i = 0; i < params; i++) {
        struct str p = match.params[i];
        FUZZ_CHECK(p.n > 0 && p.n <= path.n && str_is_utf8(p));
        for (size_t j = 0; j < p.n; j++)
            FUZZ_CHECK((unsigned char)p.p[j] >= 0x20 && p.p[j] != '/' && p.p[j] != 0x7F);
    }
}

static void check_query(struct str text, struct arena *arena)
{
    struct shape_error error = {0};
    const void *object = NULL;
    int r = shape_bind_form(&shape, text, arena, &object, &error);

    FUZZ_CHECK(r == 0 || (r == SHAPE_INVALID && error.detail.n > 0 && !object));
    if (r)
        return;
    const struct query *q = object;
    FUZZ_CHECK(q->text.n <= text.n && !has_nul(q->text) && str_is_utf8(q->text));
    FUZZ_CHECK(str_utf8_length(q->text) <= 9);
    FUZZ_CHECK(!shape_given(q, 1) || (q->limit >= 1 && q->limit <= 200));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    _cleanup_arena_ struct arena arena = arena_init(64 << 20);
    struct str text = {(const char *)data, size};

    if (!router)
        FUZZ_CHECK(router_new(&table, 1, &router) == 0);
    size_t at = str_find(text, '?');
    check_decode(text, false, &arena);
    check_decode(text, true, &arena);
    check_path(router, (struct str){text.p, at}, &arena);
    check_query(at < size ? (struct str){text.p + at + 1, size - at - 1} : text, &arena);
    return 0;
}
