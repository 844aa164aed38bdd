/* The dispatcher over a table of its own: guards in their order, headers, bodies, problems. */
#include "http/dispatch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sessions/scene.h"

enum { FIELDS_MAX = 8 };

struct note {
    uint64_t given;
    struct str text;
};

static const struct field note_fields[] = {
    {"text", FIELD_STR, FIELD_REQUIRED, offsetof(struct note, text), 1, 10, .help = "Text."}};
static const struct shape note_shape = SHAPE("Note", struct note, note_fields);

struct said {
    struct str text;
};

static const struct field said_fields[] = {
    {"text", FIELD_STR, 0, offsetof(struct said, text), .help = "Text."}};
static const struct shape said_shape = SHAPE("Said", struct said, said_fields);

struct client_note {
    struct route_client_body client;
};

static const struct field client_fields[] = {
    {"client_id", FIELD_STR, 0, offsetof(struct client_note, client.client_id)},
    {"client_secret", FIELD_STR, FIELD_SECRET, offsetof(struct client_note, client.client_secret)}};
static const struct shape client_shape = SHAPE("ClientNote", struct client_note, client_fields);

static int handled; /* how often a handler ran */
static int outcome; /* what /outcome returns */

static int say(struct call *call)
{
    const struct note *note = call->body;
    struct said said = {call->route->body == &note_shape && note ? note->text : STR("hello")};

    handled++;
    return call_reply(call, &said);
}

static int give_outcome(struct call *call)
{
    handled++;
    return outcome;
}

#define SAID 200, NULL, NULL, &said_shape, "Say", say
static const struct route rows[] = {
    {HTTP_GET, "/open", PERMIT_ANYONE, LANE_EVENT, 0, SAID},
    {HTTP_POST, "/open", PERMIT_ANYONE, LANE_WORKER, 0, 201, NULL, &note_shape, &said_shape, "Say",
     say},
    {HTTP_GET, "/outcome", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, NULL, &said_shape, "Fail",
     give_outcome},
    {HTTP_GET, "/metrics", PERMIT_METRICS, LANE_WORKER, 0, SAID},
    {HTTP_GET, "/me", PERMIT_USER, LANE_EVENT, 0, SAID},
    {HTTP_GET, "/temporary", PERMIT_USER, LANE_WORKER, ROUTE_TEMPORARY, SAID},
    {HTTP_POST, "/mine", PERMIT_USER, LANE_WORKER, ROUTE_BODY_OPTIONAL, 200, NULL, &note_shape,
     &said_shape, "Say", say},
    {HTTP_GET, "/admin", PERMIT_ADMIN, LANE_WORKER, 0, SAID},
    {HTTP_GET, "/admin/read", PERMIT_ADMIN, LANE_WORKER, ROUTE_TRAIL, SAID},
    {HTTP_DELETE, "/admin", PERMIT_ADMIN, LANE_WORKER, ROUTE_REVOCATION, SAID},
    {HTTP_GET, "/admin/outcome", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, NULL, &said_shape, "Fail",
     give_outcome},
    {HTTP_PUT, "/admin", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, &note_shape, &said_shape, "Say",
     say},
    {HTTP_GET, "/operator", PERMIT_OPERATOR, LANE_WORKER, 0, SAID},
    {HTTP_POST, "/client", PERMIT_CLIENT, LANE_WORKER, ROUTE_FORM, 200, NULL, &client_shape,
     &said_shape, "Say", say},
    {HTTP_POST, "/long", PERMIT_USER, LANE_WORKER, 0, SAID, 0, "text/csv", 5000000},
};
static const struct route_table tables[] = {ROUTE_TABLE("Test", rows)};

/* A dispatcher over a scene, and one request at a time. */
struct stage {
    struct scene *scene;
    struct dispatch *d;
    struct arena arena;
    struct http_request request;
    struct http_reply reply;
    struct http_header fields[FIELDS_MAX];
    enum http_lane lane; /* that run gave */
    struct http_plan plan;
    bool planned; /* the plan let it through */
};

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    void *scene = NULL;

    assert_non_null(s);
    assert_int_equal(scene_sqlite(&scene), 0);
    s->scene = scene;
    assert_done(dispatch_new(tables, 1, s->scene->s, NULL, &s->d));
    assert_done(sessions_follow(s->scene->s, NULL));
    s->reply.headers = buf_init(1 << 16);
    s->reply.body = buf_init(1 << 16);
    log_configure(LOG_ERROR, LOG_JSON);
    handled = outcome = 0;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    void *scene = s->scene;

    dispatch_free(s->d);
    arena_free(&s->arena);
    buf_free(&s->reply.headers);
    buf_free(&s->reply.body);
    free(s);
    return scene_release(&scene);
}

static struct in6_addr address(const char *text)
{
    struct config_range range;

    assert_int_equal(config_parse_range(str_of(text), &range), 0);
    return range.address;
}

/* A new request from loopback, without fields. */
static void prepare(struct stage *s, enum http_method method, const char *target, const char *body)
{
    struct str whole = str_of(target);
    size_t at = str_find(whole, '?');

    arena_free(&s->arena);
    s->arena = arena_init(1 << 20);
    buf_reset(&s->reply.headers);
    buf_reset(&s->reply.body);
    s->reply.status = 0;
    s->request = (struct http_request){
        .method = method,
        .target = whole,
        .path = {target, at},
        .query = at < whole.n ? (struct str){target + at + 1, whole.n - at - 1} : STR(""),
        .headers = s->fields,
        .body = str_of(body),
        .peer = address("127.0.0.1"),
        .id = uuid_at(NOW),
        .arena = &s->arena,
        .started_us = clock_mono_us()};
}

static void add_field(struct stage *s, const char *name, const char *value)
{
    assert_true(s->request.header_count < FIELDS_MAX);
    s->fields[s->request.header_count++] = (struct http_header){str_of(name), str_of(value)};
}

/* What an engine does with it. Returns the status. */
static int go(struct stage *s)
{
    struct http_app app = dispatch_app(s->d);

    s->planned = app.plan(app.context, &s->request, &s->plan, &s->reply) == 0;
    s->lane = s->planned ? s->plan.lane : LANE_EVENT;
    for (int i = 0; s->planned && i < 3; i++) {
        s->lane = app.run(app.context, &s->request, &s->reply);
        if (s->lane == LANE_EVENT)
            break;
    }
    app.done(app.context, &s->request, &s->reply, s->reply.body.n);
    return s->reply.status;
}

static int get(struct stage *s, const char *target)
{
    prepare(s, HTTP_GET, target, "");
    return go(s);
}

static bool body_has(struct stage *s, const char *part)
{
    return strstr(buf_cstr(&s->reply.body), part) != NULL;
}

/* How many header lines begin with this. */
static int count_headers(struct stage *s, const char *start)
{
    struct str rest = buf_str(&s->reply.headers), line;
    int n = 0;

    while (str_next(&rest, '\n', &line))
        n += str_has_prefix(line, str_of(start));
    return n;
}

#define assert_problem(s, want, code)                                                              \
    do {                                                                                           \
        assert_int_equal((s)->reply.status, want);                                                 \
        if (!body_has(s, "\"code\":\"" code "\""))                                                 \
            fail_msg("not " code ": %s", buf_cstr(&(s)->reply.body));                              \
        assert_int_equal(count_headers(s, "Content-Type: application/problem+json\r"), 1);         \
    } while (0)

static void test_headers_of_every_answer(void **state)
{
    static const char *const targets[] = {"/open", "/nowhere", "/me", "/open?x=1"};
    static const char *const lines[] = {
        "X-Request-Id: 018bcfe5-6800-7",
        "X-Content-Type-Options: nosniff\r",
        "X-Frame-Options: DENY\r",
        "Referrer-Policy: no-referrer\r",
        "Cross-Origin-Opener-Policy: ",
        "Cross-Origin-Resource-Policy: same-origin\r",
        "Permissions-Policy: ",
        "Cache-Control: no-store\r",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r",
        "Content-Type: application/"};
    struct stage *s = *state;

    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        get(s, targets[i]);
        for (size_t j = 0; j < sizeof lines / sizeof *lines; j++)
            if (count_headers(s, lines[j]) != 1)
                fail_msg("%s: %s", targets[i], lines[j]);
        assert_int_equal(count_headers(s, "Strict-Transport-Security"), 0);
        assert_int_equal(count_headers(s, "WWW-Authenticate: Bearer"), s->reply.status == 401);
    }
    prepare(s, HTTP_GET, "/open", "");
    s->request.tls = true;
    assert_int_equal(go(s), 200);
    assert_int_equal(count_headers(s, "Strict-Transport-Security: max-age="), 1);
}

static void test_paths_and_methods(void **state)
{
    struct stage *s = *state;

    assert_int_equal(get(s, "/open"), 200);
    assert_true(body_has(s, "{\"text\":\"hello\"}"));
    get(s, "/nowhere");
    assert_problem(s, 404, "not_found");
    prepare(s, HTTP_PUT, "/open", "");
    go(s);
    assert_problem(s, 405, "method_not_allowed");
    assert_int_equal(count_headers(s, "Allow: GET, HEAD, POST, OPTIONS\r"), 1);
    prepare(s, HTTP_HEAD, "/open", "");
    assert_int_equal(go(s), 200);
    prepare(s, HTTP_OPTIONS, "/open", "");
    assert_int_equal(go(s), 204);
    assert_int_equal(count_headers(s, "Allow: "), 1);
    prepare(s, HTTP_OPTIONS, "*", "");
    assert_int_equal(go(s), 204);
    prepare(s, HTTP_OPTIONS, "/nowhere", "");
    assert_int_equal(go(s), 404);
}

static void test_cors(void **state)
{
    struct stage *s = *state;
    static const char *const strangers[] = {"https://evil.example.com",
                                            "https://a.example.com:444",
                                            "https://A.example.com",
                                            "http://a.example.com",
                                            "null",
                                            "https://a.example.com.evil.example",
                                            ""};

    prepare(s, HTTP_GET, "/open", "");
    add_field(s, "Origin", "https://a.example.com");
    go(s);
    assert_int_equal(count_headers(s, "Access-Control-"), 0);
    s->scene->config->origins[0] = STR("https://a.example.com");
    s->scene->config->origin_count = 1;
    prepare(s, HTTP_GET, "/me", "");
    add_field(s, "Origin", "https://a.example.com");
    assert_int_equal(go(s), 401);
    assert_int_equal(count_headers(s, "Access-Control-Allow-Origin: https://a.example.com\r"), 1);
    assert_int_equal(count_headers(s, "Access-Control-Allow-Credentials: true\r"), 1);
    assert_int_equal(count_headers(s, "Vary: Origin\r"), 1);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        prepare(s, HTTP_GET, "/open", "");
        add_field(s, "Origin", strangers[i]);
        assert_int_equal(go(s), 200);
        assert_int_equal(count_headers(s, "Access-Control-"), 0);
        assert_int_equal(count_headers(s, "Vary: Origin\r"), 1);
    }
    prepare(s, HTTP_OPTIONS, "/open", "");
    add_field(s, "Origin", "https://a.example.com");
    add_field(s, "Access-Control-Request-Method", "POST");
    assert_int_equal(go(s), 204);
    assert_int_equal(count_headers(s, "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r"),
                     1);
    assert_int_equal(count_headers(s, "Access-Control-Allow-Headers: Authorization, "), 1);
    /* Two origins are none. */
    prepare(s, HTTP_GET, "/open", "");
    add_field(s, "Origin", "https://a.example.com");
    add_field(s, "Origin", "https://a.example.com");
    go(s);
    assert_int_equal(count_headers(s, "Access-Control-"), 0);
}

static int post(struct stage *s, const char *type, const char *body)
{
    prepare(s, HTTP_POST, "/open", body);
    if (type)
        add_field(s, "Content-Type", type);
    return go(s);
}

static void test_content_types(void **state)
{
    static const char *const good[] = {"application/json", "Application/JSON ; charset=utf-8",
                                       "application/merge-patch+json", NULL,
                                       "application/x-www-form-urlencoded"};
    static const char *const bad[] = {"text/plain", "application/jsonx", "json", "multipart/form",
                                      "application/json, text/plain"};
    struct stage *s = *state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(post(s, good[i], "{\"text\":\"x\"}"), 201);
        assert_true(body_has(s, "{\"text\":\"x\"}"));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        post(s, bad[i], "{\"text\":\"x\"}");
        assert_problem(s, 415, "unsupported_media_type");
    }
    assert_int_equal(handled, (int)(sizeof good / sizeof *good));
}

static void test_binding(void **state)
{
    struct stage *s = *state;

    post(s, NULL, "");
    assert_problem(s, 400, "bad_request");
    post(s, NULL, "{\"text\":\"x\"");
    assert_problem(s, 400, "bad_request");
    post(s, NULL, "{\"text\":\"\"}");
    assert_problem(s, 400, "invalid_field");
    assert_true(body_has(s, "\"field\":\"text\""));
    post(s, NULL, "{\"text\":\"x\",\"more\":1}");
    assert_problem(s, 400, "invalid_field");
    assert_true(body_has(s, "\"field\":\"more\""));
    get(s, "/open?text=1");
    assert_problem(s, 400, "invalid_field");
    assert_true(body_has(s, "\"requestId\":\"018bcfe5-6800-7"));
    assert_int_equal(handled, 0);
}

static void test_faults(void **state)
{
    static const struct {
        int outcome, status;
        const char *code;
    } cases[] = {{FAULT_MEMORY, 500, "internal"},
                 {FAULT_STORE, 500, "internal"},
                 {FAULT_UNAVAILABLE, 503, "unavailable"},
                 {PROBLEM_CONFLICT, 409, "conflict"},
                 {PROBLEM_NOT_FOUND, 404, "not_found"}};
    struct stage *s = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome = cases[i].outcome;
        if (outcome < 0)
            fault_keep("where the secret lies");
        assert_int_equal(get(s, "/outcome"), cases[i].status);
        assert_true(body_has(s, cases[i].code));
        assert_false(body_has(s, "secret"));
        assert_int_equal(count_headers(s, "Retry-After: 1\r"), cases[i].status == 503);
    }
}

/* A user with a session, and their token. */
static char *sign_in(struct stage *s, const char *name, enum role role, unsigned amr)
{
    struct scene *f = s->scene;
    int64_t now = clock_now();
    struct uuid id = scene_user(f, &f->tenant, name, role, "none");
    struct session_family family = scene_begin(f, &id, now);

    family.amr = amr;
    if (amr & JWT_AMR_OTP)
        scene_run(f, "UPDATE users SET totp_active = 1 WHERE id = $1", PARAMS(P_ID(&id)));
    struct session_grant grant = scene_grant(f, &family, 0, now);
    return arena_printf(&f->a, "Bearer %.*s", STR_ARG(grant.access_token));
}

static int as(struct stage *s, const char *bearer, enum http_method method, const char *path)
{
    prepare(s, method, path, "");
    add_field(s, "Authorization", bearer);
    return go(s);
}

static void test_roles(void **state)
{
    static const struct {
        const char *path;
        enum role least;
    } rows_by_role[] = {{"/me", ROLE_MEMBER}, {"/admin", ROLE_ADMIN}, {"/operator", ROLE_OPERATOR}};
    struct stage *s = *state;
    const char *who[] = {sign_in(s, "member", ROLE_MEMBER, JWT_AMR_PWD),
                         sign_in(s, "admin", ROLE_ADMIN, JWT_AMR_PWD),
                         sign_in(s, "operator", ROLE_OPERATOR, JWT_AMR_PWD)};

    for (size_t i = 0; i < 3; i++) {
        get(s, rows_by_role[i].path);
        assert_problem(s, 401, "unauthenticated");
        for (int role = ROLE_MEMBER; role <= ROLE_OPERATOR; role++) {
            as(s, who[role], HTTP_GET, rows_by_role[i].path);
            if (role >= (int)rows_by_role[i].least)
                assert_int_equal(s->reply.status, 200);
            else
                assert_problem(s, 403, "forbidden");
        }
    }
    s->scene->config->admin_role_required = false;
    assert_int_equal(as(s, who[0], HTTP_GET, "/admin"), 200);
    assert_int_equal(as(s, who[0], HTTP_GET, "/operator"), 403);
}

/* The one challenge of an answer: with an error where a token was looked at, plain where not. */
static void assert_challenge(struct stage *s, bool invalid)
{
    assert_int_equal(count_headers(s, "WWW-Authenticate:"), 1);
    assert_int_equal(
        count_headers(s, "WWW-Authenticate: Bearer realm=\"holdfast\", error=\"invalid_token\"\r"),
        invalid);
    assert_int_equal(count_headers(s, "WWW-Authenticate: Bearer realm=\"holdfast\"\r"), !invalid);
}

static void test_bearers(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "ada", ROLE_MEMBER, JWT_AMR_PWD);
    const char *token = bearer + sizeof "Bearer " - 1;
    const char *good[] = {bearer, arena_printf(&s->scene->a, "bearer %s", token),
                          arena_printf(&s->scene->a, "BEARER   %s", token)};
    const char *none[] = {"",
                          "Bearer",
                          "Bearer ",
                          "Basic abc",
                          token,
                          arena_printf(&s->scene->a, "Bearer\t%s", token),
                          arena_printf(&s->scene->a, "Bearerx %s", token)};
    const char *invalid[] = {"Bearer x", arena_printf(&s->scene->a, "%s.", bearer),
                             arena_printf(&s->scene->a, "%s, %s", bearer, bearer)};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(as(s, good[i], HTTP_GET, "/me"), 200);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        as(s, none[i], HTTP_GET, "/me");
        assert_problem(s, 401, "unauthenticated");
        assert_challenge(s, false);
    }
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        as(s, invalid[i], HTTP_GET, "/me");
        assert_problem(s, 401, "token_invalid");
        assert_challenge(s, true);
        as(s, invalid[i], HTTP_POST, "/mine"); /* refused before the body */
        assert_false(s->planned);
        assert_challenge(s, true);
    }
    /* Two of them are none. */
    prepare(s, HTTP_GET, "/me", "");
    add_field(s, "Authorization", bearer);
    add_field(s, "Authorization", bearer);
    go(s);
    assert_problem(s, 401, "unauthenticated");
}

/* The event thread knows the account or hands over: it never reads the store. */
static void test_deferred(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "ada", ROLE_MEMBER, JWT_AMR_PWD);
    struct http_app app = dispatch_app(s->d);
    struct http_plan plan;

    prepare(s, HTTP_GET, "/me", "");
    add_field(s, "Authorization", bearer);
    assert_int_equal(app.plan(app.context, &s->request, &plan, &s->reply), 0);
    assert_int_equal(plan.lane, LANE_EVENT);
    assert_int_equal(app.run(app.context, &s->request, &s->reply), LANE_WORKER);
    assert_int_equal(handled, 0);
    assert_int_equal(s->reply.headers.n + s->reply.body.n, 0);
    assert_int_equal(app.run(app.context, &s->request, &s->reply), LANE_EVENT);
    assert_int_equal(s->reply.status, 200);
    prepare(s, HTTP_GET, "/me", "");
    add_field(s, "Authorization", bearer);
    assert_int_equal(app.plan(app.context, &s->request, &plan, &s->reply), 0);
    assert_int_equal(app.run(app.context, &s->request, &s->reply), LANE_EVENT);
    assert_int_equal(handled, 2);
}

/* Authentication, role, password, second factor, setting, and only then what was sent. */
static void test_order_of_guards(void **state)
{
    struct stage *s = *state;
    struct config *config = s->scene->config;
    char *member = sign_in(s, "member", ROLE_MEMBER, JWT_AMR_PWD);
    char *admin = sign_in(s, "admin", ROLE_ADMIN, JWT_AMR_PWD);
    char *strong = sign_in(s, "strong", ROLE_ADMIN, JWT_AMR_PWD | JWT_AMR_OTP);
    static const char bad[] = "/admin?bad=1";

    config->admin_mfa_required = true;
    config->session_revocation_enabled = false;
    scene_run(s->scene, "UPDATE users SET password_temporary = 1 WHERE role = 'admin'", NO_PARAMS);
    as(s, "Bearer x", HTTP_DELETE, bad);
    assert_problem(s, 401, "token_invalid");
    as(s, member, HTTP_DELETE, bad);
    assert_problem(s, 403, "forbidden");
    as(s, admin, HTTP_DELETE, bad);
    assert_problem(s, 403, "password_change_required");
    scene_run(s->scene, "UPDATE users SET password_temporary = 0", NO_PARAMS);
    gate_forget_all(s->scene->s->gate);
    as(s, admin, HTTP_DELETE, bad);
    assert_problem(s, 403, "second_factor_needed");
    as(s, strong, HTTP_DELETE, bad);
    assert_problem(s, 403, "revocation_disabled");
    config->session_revocation_enabled = true;
    as(s, strong, HTTP_DELETE, bad);
    assert_problem(s, 400, "invalid_field");
    assert_int_equal(handled, 0);
    assert_int_equal(as(s, strong, HTTP_DELETE, "/admin"), 200);
    /* Members need no second factor for what is theirs. */
    assert_int_equal(as(s, member, HTTP_GET, "/me"), 200);
}

static void test_temporary_password(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "ada", ROLE_MEMBER, JWT_AMR_PWD);

    scene_run(s->scene, "UPDATE users SET password_temporary = 1", NO_PARAMS);
    as(s, bearer, HTTP_GET, "/me");
    assert_problem(s, 403, "password_change_required");
    assert_int_equal(as(s, bearer, HTTP_GET, "/temporary"), 200);
}

/* Who is not let in hears so before a body is waited for. */
static void test_refused_before_the_body(void **state)
{
    struct stage *s = *state;

    prepare(s, HTTP_POST, "/mine", "{");
    go(s);
    assert_problem(s, 401, "unauthenticated");
    assert_false(s->planned);
}

static void test_optional_body(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "ada", ROLE_MEMBER, JWT_AMR_PWD);

    as(s, bearer, HTTP_POST, "/mine");
    assert_problem(s, 400, "invalid_field"); /* an empty object, which lacks the text */
    assert_true(body_has(s, "\"field\":\"text\""));
}

/* A long body is the handler's to read, of the one type that it takes. */
static void test_streamed_body(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "ada", ROLE_MEMBER, JWT_AMR_PWD);
    assert_int_equal(as(s, bearer, HTTP_POST, "/long"), 415);
    assert_true(s->plan.body_stream && s->plan.body_max == 5000000);
    prepare(s, HTTP_POST, "/long", "");
    add_field(s, "Authorization", bearer);
    add_field(s, "Content-Type", "Text/CSV; charset=utf-8");
    assert_int_equal(go(s), 200);
}

/* An administrative action is on record, and a read where its row says so. */
static void test_trail(void **state)
{
    struct stage *s = *state;
    char *bearer = sign_in(s, "admin", ROLE_ADMIN, JWT_AMR_PWD);

    assert_int_equal(as(s, bearer, HTTP_GET, "/admin"), 200);
    assert_int_equal(scene_records(s->scene, "admin.request"), 0);
    assert_int_equal(as(s, bearer, HTTP_DELETE, "/admin"), 200);
    assert_int_equal(scene_records(s->scene, "admin.request"), 1);
    assert_int_equal(as(s, bearer, HTTP_GET, "/admin/read"), 200);
    assert_int_equal(scene_records(s->scene, "admin.request"), 2);
}

static int64_t denied(struct stage *s, const char *condition)
{
    char sql[300];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM trail WHERE action = 'access.denied'%s",
             condition);
    return scene_number(s->scene, sql);
}

/* So is one that was refused; many of a kind make one record, and one more each minute. */
static void test_trail_of_refusals(void **state)
{
    struct stage *s = *state;
    char *member = sign_in(s, "member", ROLE_MEMBER, JWT_AMR_PWD);
    char *admin = sign_in(s, "admin", ROLE_ADMIN, JWT_AMR_PWD);

    get(s, "/admin");
    assert_int_equal(as(s, "Bearer x", HTTP_GET, "/admin"), 401);
    assert_int_equal(as(s, admin, HTTP_GET, "/admin"), 200);
    assert_int_equal(as(s, member, HTTP_GET, "/nowhere"), 404);
    assert_done(dispatch_flush(s->d, true));
    assert_int_equal(denied(s, ""), 0); /* strangers leave none, nor do other routes */
    for (int i = 0; i < 3; i++)
        assert_int_equal(as(s, member, HTTP_DELETE, "/admin"), 403);
    assert_int_equal(as(s, member, HTTP_PUT, "/admin"), 403); /* before its body */
    assert_false(s->planned);
    outcome = PROBLEM_NOT_FOUND;
    assert_int_equal(as(s, admin, HTTP_GET, "/admin/outcome"), 404);
    assert_done(dispatch_flush(s->d, false));
    assert_int_equal(denied(s, ""), 3);
    assert_int_equal(
        denied(s, " AND actor = 'member@example.com' AND subject = '/admin' AND ip = '127.0.0.1' "
                  "AND request_id IS NOT NULL AND detail = '{\"method\":\"DELETE\",\"path\":"
                  "\"/admin\",\"status\":403,\"code\":\"forbidden\",\"count\":3}'"),
        1);
    assert_int_equal(denied(s, " AND actor = 'admin@example.com' AND detail LIKE '%not_found%'"),
                     1);
    assert_int_equal(as(s, member, HTTP_DELETE, "/admin"), 403);
    assert_int_equal(as(s, member, HTTP_DELETE, "/admin"), 403);
    assert_done(dispatch_flush(s->d, false));
    assert_int_equal(denied(s, ""), 3);
    assert_done(dispatch_flush(s->d, true));
    assert_int_equal(denied(s, ""), 4);
    assert_int_equal(denied(s, " AND detail LIKE '%\"count\":2}'"), 1);
}

static int metrics_from(struct stage *s, const char *peer, const char *name, const char *value)
{
    prepare(s, HTTP_GET, "/metrics", "");
    s->request.peer = address(peer);
    if (name)
        add_field(s, name, value);
    return go(s);
}

static void test_metrics_guard(void **state)
{
    struct stage *s = *state;
    struct config *config = s->scene->config;
    char *none = config->metrics_token, token[] = "0123456789abcdef0123456789abcdef";

    assert_int_equal(metrics_from(s, "127.0.0.1", NULL, NULL), 200);
    assert_int_equal(metrics_from(s, "127.9.9.9", NULL, NULL), 200);
    assert_int_equal(metrics_from(s, "::1", NULL, NULL), 200);
    assert_int_equal(metrics_from(s, "192.0.2.1", NULL, NULL), 401);
    assert_int_equal(metrics_from(s, "192.0.2.1", "Authorization", "Bearer "), 401);
    assert_int_equal(metrics_from(s, "127.0.0.1", "X-Forwarded-For", "127.0.0.1"), 401);
    config->metrics_token = token;
    assert_int_equal(
        metrics_from(s, "192.0.2.1", "Authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        200);
    assert_int_equal(
        metrics_from(s, "192.0.2.1", "Authorization", "Bearer 0123456789abcdef0123456789abcdeX"),
        401);
    assert_int_equal(metrics_from(s, "127.0.0.1", "Authorization", "Bearer wrong"), 401);
    assert_challenge(s, true);
    assert_int_equal(metrics_from(s, "192.0.2.1", NULL, NULL), 401);
    assert_challenge(s, false);
    config->metrics_token = none;
}

static int as_client(struct stage *s, const char *basic, const char *form)
{
    prepare(s, HTTP_POST, "/client", form);
    add_field(s, "Content-Type", "application/x-www-form-urlencoded");
    if (basic)
        add_field(s, "Authorization", basic);
    return go(s);
}

static void test_oauth_client(void **state)
{
    struct stage *s = *state;
    struct config *config = s->scene->config;
    char *no_id = config->oauth_client_id, *no_secret = config->oauth_client_secret;
    char id[] = "app", secret[] = "s:cret";

    assert_int_equal(as_client(s, NULL, "client_id=&client_secret="), 401);
    assert_int_equal(as_client(s, "Basic Og==", ""), 401); /* ":" */
    config->oauth_client_id = id;
    config->oauth_client_secret = secret;
    assert_int_equal(as_client(s, NULL, "client_id=app&client_secret=s%3Acret"), 200);
    assert_int_equal(as_client(s, "Basic YXBwOnMlM0FjcmV0", ""), 200); /* app:s%3Acret */
    assert_int_equal(as_client(s, "basic YXBwOnM6Y3JldA==", ""), 200); /* app:s:cret */
    as_client(s, NULL, "client_id=app&client_secret=wrong");
    assert_problem(s, 401, "invalid_client");
    assert_int_equal(count_headers(s, "WWW-Authenticate: Basic "), 1);
    assert_int_equal(count_headers(s, "WWW-Authenticate: Bearer "), 0);
    assert_int_equal(as_client(s, "Basic YXBw", ""), 401); /* app */
    assert_int_equal(as_client(s, "Basic !!!!", ""), 401);
    assert_int_equal(as_client(s, "Basic YXBwOnglJQ==", ""), 401); /* app:x%% */
    assert_int_equal(as_client(s, NULL, ""), 401);
    config->oauth_client_id = no_id;
    config->oauth_client_secret = no_secret;
}

static void test_rate_limit(void **state)
{
    struct stage *s = *state;
    struct config *config = s->scene->config;

    config->rate_limit_per_minute = 3;
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(s, i ? "/open" : "/nowhere"), i ? 200 : 404);
    get(s, "/open");
    assert_problem(s, 429, "rate_limited");
    assert_int_equal(count_headers(s, "Retry-After: "), 1);
    assert_int_equal(count_headers(s, "RateLimit-Limit: 3\r"), 1);
    assert_int_equal(count_headers(s, "RateLimit-Remaining: 0\r"), 1);
    /* Another address has its own; of IPv6 a /64 has one. */
    for (int i = 0; i < 4; i++) {
        char peer[40];
        snprintf(peer, sizeof peer, "2001:db8::%d", i);
        prepare(s, HTTP_GET, "/open", "");
        s->request.peer = address(peer);
        assert_int_equal(go(s), i < 3 ? 200 : 429);
    }
    config->rate_limit_per_minute = 0;
    assert_int_equal(get(s, "/open"), 200);
}

/* The engine's own refusals are problems with all headers as well, also where no request was. */
static void test_engine_refusals(void **state)
{
    static const int statuses[] = {400, 408, 413, 414, 417, 431, 501, 503, 505};
    struct stage *s = *state;
    struct http_app app = dispatch_app(s->d);

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        for (int known = 0; known < 2; known++) {
            prepare(s, HTTP_GET, "/open", "");
            s->reply.status = statuses[i];
            app.refuse(app.context, known ? &s->request : NULL, 0, &s->reply);
            assert_int_equal(s->reply.status, statuses[i]);
            assert_int_equal(count_headers(s, "X-Request-Id: "), 1);
            assert_int_equal(count_headers(s, "X-Content-Type-Options: nosniff\r"), 1);
            assert_int_equal(count_headers(s, "Content-Type: application/problem+json\r"), 1);
            app.done(app.context, NULL, &s->reply, 0);
        }
    }
}

static void test_metrics_text(void **state)
{
    struct stage *s = *state;
    struct buf out = buf_init(1 << 20);

    get(s, "/open");
    get(s, "/open");
    get(s, "/nowhere");
    dispatch_write_metrics(s->d, &out);
    assert_non_null(strstr(buf_cstr(&out), "holdfast_http_requests_total{method=\"GET\","
                                           "route=\"/open\",status=\"200\"} 2\n"));
    assert_non_null(strstr(buf_cstr(&out), "holdfast_http_requests_total{method=\"\","
                                           "route=\"\",status=\"404\"} 1\n"));
    buf_free(&out);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_headers_of_every_answer),
        STAGED(test_paths_and_methods),
        STAGED(test_cors),
        STAGED(test_content_types),
        STAGED(test_binding),
        STAGED(test_faults),
        STAGED(test_roles),
        STAGED(test_bearers),
        STAGED(test_deferred),
        STAGED(test_order_of_guards),
        STAGED(test_temporary_password),
        STAGED(test_refused_before_the_body),
        STAGED(test_optional_body),
        STAGED(test_streamed_body),
        STAGED(test_trail),
        STAGED(test_trail_of_refusals),
        STAGED(test_metrics_guard),
        STAGED(test_oauth_client),
        STAGED(test_rate_limit),
        STAGED(test_engine_refusals),
        STAGED(test_metrics_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
