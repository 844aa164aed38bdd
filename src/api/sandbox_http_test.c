/* The sandbox's routes as an engine calls them, over both stores. */
#include "api/sandbox_http.h"

#include "api/sandbox_page.h"
#include "base/log.h"
#include "mail/sandbox.h"
#include "store/fixture.h"

#include <jansson.h>

enum { BODY_MAX = 1 << 20 };

struct stage {
    struct fixture *f;
    struct sandbox_http h;
    struct arena arena;
    struct http_request request;
    struct http_reply reply;
};

static void begin(void **state, struct stage *s)
{
    *s = (struct stage){.f = *state};
    s->f->s = fixture_node(s->f);
    s->h.store = s->f->s;
    s->reply.headers = buf_init(1 << 16);
    s->reply.body = buf_init(BODY_MAX);
}

static void end(struct stage *s)
{
    arena_free(&s->arena);
    buf_free(&s->reply.headers);
    buf_free(&s->reply.body);
}

/* What an engine does with it. Returns the status. */
static int ask(struct stage *s, enum http_method method, const char *target, const char *host)
{
    struct http_app app = sandbox_http_app(&s->h);
    struct str whole = str_of(target);
    size_t at = str_find(whole, '?');
    struct http_plan plan;

    arena_free(&s->arena);
    s->arena = arena_init(64 << 20);
    buf_reset(&s->reply.headers);
    buf_reset(&s->reply.body);
    s->request = (struct http_request){.method = method,
                                       .path = {target, at},
                                       .query = {target + at, 0},
                                       .host = str_of(host),
                                       .id = uuid_at(NOW),
                                       .arena = &s->arena};
    if (at < whole.n)
        s->request.query = (struct str){target + at + 1, whole.n - at - 1};
    if (app.plan(app.context, &s->request, &plan, &s->reply) == 0)
        assert_int_equal(app.run(app.context, &s->request, &s->reply), LANE_EVENT);
    return s->reply.status;
}

static int get(struct stage *s, const char *target)
{
    return ask(s, HTTP_GET, target, "localhost:8025");
}

static bool has_header(const struct stage *s, const char *line)
{
    struct str rest = buf_str(&s->reply.headers), one;

    while (str_next(&rest, '\n', &one))
        if (str_has_prefix(one, str_of(line)))
            return true;
    return false;
}

static json_t *body(const struct stage *s)
{
    json_t *json = json_loadb(s->reply.body.p, s->reply.body.n, JSON_REJECT_DUPLICATES, NULL);

    if (!json)
        fail_msg("no JSON: %.*s", (int)s->reply.body.n, s->reply.body.p);
    return json;
}

static int64_t number(const struct stage *s, const char *name)
{
    json_t *json = body(s);
    int64_t value = json_integer_value(json_object_get(json, name));

    json_decref(json);
    return value;
}

static struct uuid keep(struct stage *s, const char *to, const char *data)
{
    struct sandbox_message m = {.id = uuid_new(),
                                .at = NOW,
                                .helo = STR("me.test"),
                                .from = STR("a@x.test"),
                                .to = str_of(to),
                                .data = str_of(data)};

    assert_done(sandbox_keep(s->h.store, &m, 1000));
    return m.id;
}

/* The path of something of a message. */
static const char *path_of(const char *before, const struct uuid *id, const char *behind)
{
    static char path[200];
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    snprintf(path, sizeof path, "%s%s%s", before, text, behind);
    return path;
}

static void test_hosts(void **state)
{
    static const char *const own[] = {"localhost",  "localhost:8025", "LocalHost:1",
                                      "127.0.0.1",  "127.0.0.1:8025", "[::1]",
                                      "[::1]:8025", "localhost:"};
    static const char *const foreign[] = {
        "",           "evil.example.com",   "localhost.example.com", "127.0.0.1.example.com",
        "127.0.0.2",  "localhost:8025x",    "localhost:99999",       "[::1",
        "[::1]x",     "[::2]:8025",         "127.0.0.1:8025:1",      "mailhog:8025",
        "localhost.", "evil.example.com:80"};
    static const char *const open[] = {"mailhog:8025", "holdfast", "10.0.0.7:8025", "[fd00::7]:1",
                                       "localhost:1"};
    static const char *const never[] = {"evil.example.com", "a.b",        "10.0.0.7.example.com",
                                        "10.0.0.7:x",       "localhost.", ""};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!sandbox_http_is_own(str_of(own[i]), false))
            fail_msg("refused: %s", own[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (sandbox_http_is_own(str_of(foreign[i]), false))
            fail_msg("taken: %s", foreign[i]);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (!sandbox_http_is_own(str_of(open[i]), true))
            fail_msg("refused: %s", open[i]);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (sandbox_http_is_own(str_of(never[i]), true))
            fail_msg("taken: %s", never[i]);
}

/* Nothing at all is answered under a foreign name. */
static void test_foreign_host(void **state)
{
    struct stage s;

    begin(state, &s);
    struct uuid id = keep(&s, "b@y.test\n", "Subject: secret\r\n\r\nx\r\n");
    assert_int_equal(ask(&s, HTTP_GET, "/api/v2/messages", "evil.example.com"), 400);
    assert_null(strstr(buf_cstr(&s.reply.body), "secret"));
    assert_int_equal(ask(&s, HTTP_DELETE, "/api/v1/messages", "evil.example.com"), 400);
    assert_int_equal(ask(&s, HTTP_GET, "/", "evil.example.com"), 400);
    s.h.open = true;
    assert_int_equal(ask(&s, HTTP_GET, "/api/v2/messages", "evil.example.com"), 400);
    assert_int_equal(ask(&s, HTTP_GET, path_of("/api/v1/messages/", &id, ""), "mailhog:8025"), 200);
    end(&s);
}

static void test_routes(void **state)
{
    static const char *const unknown[] = {
        "/api/v2/messages/",
        "/api/v2",
        "/api/v1/messages/not-an-id",
        "/index.html",
        "//",
        "/x",
        "/api/v1/messages/01890000-0000-7000-8000-000000000000",
        "/api/v1/messages/01890000-0000-7000-8000-000000000000/",
        "/api/v1/messages/01890000-0000-7000-8000-000000000000/mime/part/x/download",
        "/api/v1/messages/01890000-0000-7000-8000-000000000000/download",
        "/messages/01890000-0000-7000-8000-000000000000/html"};
    struct stage s;

    begin(state, &s);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (get(&s, unknown[i]) != 404)
            fail_msg("%s: %d", unknown[i], s.reply.status);
        assert_true(has_header(&s, "Content-Type: application/problem+json"));
    }
    assert_int_equal(ask(&s, HTTP_POST, "/api/v1/messages", "localhost"), 405);
    assert_true(has_header(&s, "Allow: GET, DELETE"));
    assert_int_equal(ask(&s, HTTP_OPTIONS, "/api/v2/messages", "localhost"), 405);
    assert_false(has_header(&s, "Access-Control"));
    assert_int_equal(ask(&s, HTTP_HEAD, "/api/v2/messages", "localhost"), 200);
    assert_true(has_header(&s, "X-Content-Type-Options: nosniff"));
    assert_true(has_header(&s, "Cache-Control: no-store"));
    end(&s);
}

static void test_bad_queries(void **state)
{
    static const char *const bad[][2] = {
        {"/api/v2/messages?start=-1", "start"}, {"/api/v2/messages?limit=x", "limit"},
        {"/api/v2/messages?start=", "start"},   {"/api/v2/messages?limit=1000000001", "limit"},
        {"/api/v2/search?query=x", "kind"},     {"/api/v2/search?kind=subject&query=x", "kind"},
        {"/api/v2/search?kind=to", "query"},    {"/api/v2/search?kind=to&query=", "query"}};
    struct stage s;

    begin(state, &s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (get(&s, bad[i][0]) != 400)
            fail_msg("%s: %d", bad[i][0], s.reply.status);
        json_t *json = body(&s);
        assert_string_equal(json_string_value(json_object_get(json, "field")), bad[i][1]);
        json_decref(json);
    }
    assert_int_equal(get(&s, "/api/v2/messages?start=%zz"), 400);
    assert_int_equal(get(&s, "/api/v2/messages?start=0&limit=0&more=1&&alone"), 200);
    assert_int_equal(number(&s, "count"), 0);
    assert_int_equal(get(&s, "/api/v2/messages?limit=1000000000"), 200);
    end(&s);
}

static void test_lists(void **state)
{
    struct stage s;
    char data[60];

    begin(state, &s);
    for (int i = 0; i < 60; i++) {
        snprintf(data, sizeof data, "Subject: number %d\r\n\r\na b+c\r\n", i);
        keep(&s, i % 2 ? "odd@y.test\n" : "even@y.test\n", data);
    }
    assert_int_equal(get(&s, "/api/v2/messages"), 200);
    assert_int_equal(number(&s, "total"), 60);
    assert_int_equal(number(&s, "count"), 50);
    assert_int_equal(get(&s, "/api/v2/messages?start=58&limit=5"), 200);
    assert_int_equal(number(&s, "count"), 2);
    assert_int_equal(number(&s, "start"), 58);
    assert_int_equal(get(&s, "/api/v2/search?kind=to&query=ODD%40y&limit=3"), 200);
    assert_int_equal(number(&s, "total"), 30);
    assert_int_equal(number(&s, "count"), 3);
    assert_int_equal(get(&s, "/api/v2/search?kind=containing&query=a+b%2Bc"), 200);
    assert_int_equal(number(&s, "total"), 60);
    assert_int_equal(get(&s, "/api/v1/messages"), 200);
    json_t *json = body(&s);
    assert_int_equal(json_array_size(json), 60);
    json_decref(json);
    end(&s);
}

/* What is too long for one reply is told in several, by a count that says so. */
static void test_long_pages(void **state)
{
    struct stage s;
    struct buf data = buf_init(BODY_MAX);

    begin(state, &s);
    buf_printf(&data, "Subject: x\r\n\r\n");
    for (int i = 0; i < 10000; i++)
        buf_printf(&data, "0123456789");
    for (int i = 0; i < 8; i++)
        keep(&s, "b@y.test\n", buf_cstr(&data));
    assert_int_equal(get(&s, "/api/v2/messages"), 200); /* 8 of 200 kB within 1 MB */
    assert_int_equal(number(&s, "total"), 8);
    assert_int_equal(number(&s, "count"), 4);
    buf_free(&s.reply.body);
    s.reply.body = buf_init(100000); /* not even one */
    log_configure(LOG_ERROR + 1, LOG_JSON);
    assert_int_equal(get(&s, "/api/v2/messages"), 500);
    log_configure(LOG_ERROR, LOG_JSON);
    buf_free(&data);
    end(&s);
}

static void test_removal(void **state)
{
    struct stage s;

    begin(state, &s);
    struct uuid first = keep(&s, "b@y.test\n", "x"), second = keep(&s, "c@y.test\n", "y");
    const char *path = path_of("/api/v1/messages/", &first, "");
    assert_int_equal(ask(&s, HTTP_DELETE, path, "localhost"), 200);
    assert_int_equal(ask(&s, HTTP_DELETE, path, "localhost"), 404);
    assert_int_equal(get(&s, path), 404);
    assert_int_equal(get(&s, path_of("/api/v1/messages/", &second, "")), 200);
    assert_int_equal(ask(&s, HTTP_DELETE, "/api/v1/messages", "localhost"), 200);
    assert_int_equal(s.reply.body.n, 0);
    assert_int_equal(get(&s, "/api/v2/messages"), 200);
    assert_int_equal(number(&s, "total"), 0);
    end(&s);
}

#define MIXED                                                                                      \
    "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"                                     \
    "Content-Type: text/html; charset=iso-8859-1\r\n"                                              \
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>gr=FC=DFe\r\n--m\r\n"                   \
    "Content-Type: text/plain; charset=\"x; y\"\r\n\r\ntext\r\n--m\r\n"                            \
    "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a\"\r\n"         \
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--m--\r\n"

static void assert_body(const struct stage *s, const char *wanted)
{
    if (!str_eq(buf_str(&s->reply.body), str_of(wanted)))
        fail_msg("wanted \"%s\", got \"%.*s\"", wanted, (int)s->reply.body.n, s->reply.body.p);
}

/* A message as a person sees it: its own bytes, under a policy that lets none of them do anything.
 */
static void test_views(void **state)
{
    static const char policy[] = "Content-Security-Policy: default-src 'none'; style-src "
                                 "'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
                                 "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups "
                                 "allow-popups-to-escape-sandbox\r";
    struct stage s;

    begin(state, &s);
    struct uuid id = keep(&s, "b@y.test\n", MIXED), bare = keep(&s, "b@y.test\n", "Hi");
    assert_int_equal(get(&s, path_of("/messages/", &id, "/html")), 200);
    assert_body(&s, "<p>gr\xFC\xDF"
                    "e\n<base target=\"_blank\">\n");
    assert_true(has_header(&s, policy));
    assert_true(has_header(&s, "Content-Type: text/html; charset=iso-8859-1\r"));
    assert_int_equal(get(&s, path_of("/messages/", &id, "/text")), 200);
    assert_body(&s, "text");
    assert_true(has_header(&s, policy));
    assert_true(has_header(&s, "Content-Type: text/plain; charset=utf-8\r"));
    assert_int_equal(get(&s, path_of("/messages/", &bare, "/html")), 404);
    assert_int_equal(get(&s, path_of("/messages/", &bare, "/text")), 200);
    assert_int_equal(get(&s, path_of("/api/v1/messages/", &id, "/mime/part/2/download")), 200);
    assert_body(&s, "%PDF");
    assert_true(has_header(&s, "Content-Type: application/octet-stream\r"));
    assert_true(has_header(&s, "Content-Disposition: attachment\r"));
    assert_int_equal(get(&s, path_of("/api/v1/messages/", &id, "/mime/part/3/download")), 404);
    assert_int_equal(get(&s, path_of("/api/v1/messages/", &bare, "/mime/part/0/download")), 404);
    assert_int_equal(get(&s, path_of("/api/v1/messages/", &id, "/download")), 200);
    assert_body(&s, MIXED);
    assert_true(has_header(&s, "Content-Type: message/rfc822\r"));
    end(&s);
}

static bool contains(struct str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* The page's policy allows no inline script or style, and nothing from elsewhere. */
static void test_page(void **state)
{
    static const char *const forbidden[] = {
        "<style", " style=", "onclick=\"", "onload=", "javascript:", "src=\"http", "href=\"http",
        " url(",  "@import", "innerHTML",  "eval(",   ".style.",     "srcdoc"};
    static const char *const paths[] = {"/", "/app.js", "/style.css"};
    struct stage s;

    begin(state, &s);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(get(&s, paths[i]), 200);
        assert_true(has_header(&s, "Content-Security-Policy: " SANDBOX_PAGE_POLICY "\r"));
        assert_true(str_eq(buf_str(&s.reply.body), sandbox_page_find(str_of(paths[i]))->content));
        assert_true(s.reply.body.n > 100 && str_is_utf8(buf_str(&s.reply.body)));
        for (size_t j = 0; j < sizeof forbidden / sizeof *forbidden; j++)
            if (contains(buf_str(&s.reply.body), forbidden[j]))
                fail_msg("%s holds %s", paths[i], forbidden[j]);
    }
    assert_true(contains(sandbox_page_find(STR("/"))->content, "src=\"/app.js\""));
    assert_true(contains(sandbox_page_find(STR("/"))->content, "href=\"/style.css\""));
    end(&s);
}

/* A store that cannot answer is said to be so, and in the log. */
static void test_no_store(void **state)
{
    struct stage s;

    begin(state, &s);
    fixture_run(s.f->s, "DROP TABLE sandbox_messages", NO_PARAMS);
    log_configure(LOG_ERROR + 1, LOG_JSON);
    assert_int_equal(get(&s, "/api/v2/messages"), 500);
    assert_int_equal(ask(&s, HTTP_DELETE, "/api/v1/messages", "localhost"), 500);
    log_configure(LOG_ERROR, LOG_JSON);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),     FIXTURE_BOTH_EMPTY(test_foreign_host),
        FIXTURE_BOTH_EMPTY(test_routes),  FIXTURE_BOTH_EMPTY(test_bad_queries),
        FIXTURE_BOTH_EMPTY(test_lists),   FIXTURE_BOTH_EMPTY(test_long_pages),
        FIXTURE_BOTH_EMPTY(test_removal), FIXTURE_BOTH_EMPTY(test_views),
        FIXTURE_BOTH_EMPTY(test_page),    FIXTURE_BOTH_EMPTY(test_no_store),
    };

    log_configure(LOG_ERROR, LOG_JSON);
    return FIXTURE_RUN(tests);
}
