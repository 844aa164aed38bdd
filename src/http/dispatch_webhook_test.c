/* What anyone may send and a handler verifies: raw bodies, whom is listened to, how much memory. */
#include "http/dispatch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sessions/scene.h"

enum { BODY_MAX = 512 * 1024, ROOM = 64 * 1024 * 1024, PLANS = ROOM / BODY_MAX };

struct said {
    uint64_t given;
    struct str text;
};

static const struct field said_fields[] = {
    {"text", FIELD_STR, 0, offsetof(struct said, text), .help = "Text."}};
static const struct shape said_shape = SHAPE("Said", struct said, said_fields);

static int handled, admitted; /* how often */
static int outcome, admission;

static int take(struct call *call)
{
    handled++;
    if (outcome)
        return outcome;
    buf_add_str(&call->reply->body, call->request->body);
    return call_reply_written(call, "text/plain");
}

static int admit(struct call *call)
{
    admitted++;
    return admission;
}

#define TAKE 202, NULL, &said_shape, NULL, "Take", take, 0
static const struct route rows[] = {
    {HTTP_POST, "/hook", PERMIT_WEBHOOK, LANE_WORKER, ROUTE_RAW, TAKE, .body_max = BODY_MAX,
     .admit = admit},
    {HTTP_POST, "/open", PERMIT_ANYONE, LANE_WORKER, 0, TAKE},
};
static const struct route_table tables[] = {ROUTE_TABLE("Test", rows)};

struct stage {
    struct scene *scene;
    struct dispatch *d;
    struct http_app app;
};

/* One request; it is over when its arena is freed. */
struct asking {
    struct arena arena;
    struct http_header fields[2];
    struct http_request request;
    struct http_reply reply;
    struct http_plan plan;
    bool planned;
};

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    void *scene = NULL;

    assert_non_null(s);
    assert_int_equal(scene_sqlite(&scene), 0);
    s->scene = scene;
    s->scene->config->max_body_bytes = 1 << 20;
    assert_done(dispatch_new(tables, 1, s->scene->s, NULL, &s->d));
    s->app = dispatch_app(s->d);
    log_configure(LOG_ERROR, LOG_JSON);
    handled = admitted = outcome = admission = 0;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    void *scene = s->scene;

    dispatch_free(s->d);
    free(s);
    return scene_release(&scene);
}

/* The head of a request, whose body is so long; NULL: it does not say. */
static void plan(struct stage *s, struct asking *a, const char *path, const char *length)
{
    *a = (struct asking){.arena = arena_init(1 << 20),
                         .fields = {{STR("Content-Type"), STR("application/x-anything")},
                                    {STR("Content-Length"), str_of(length)}},
                         .reply = {.headers = buf_init(1 << 16), .body = buf_init(1 << 16)}};
    a->request = (struct http_request){.method = HTTP_POST,
                                       .target = str_of(path),
                                       .path = str_of(path),
                                       .headers = a->fields,
                                       .header_count = length ? 2 : 1,
                                       .id = uuid_at(NOW),
                                       .arena = &a->arena,
                                       .started_us = clock_mono_us()};
    a->planned = s->app.plan(s->app.context, &a->request, &a->plan, &a->reply) == 0;
}

static void end(struct asking *a)
{
    arena_free(&a->arena);
    buf_free(&a->reply.headers);
    buf_free(&a->reply.body);
}

/* Sends a body to /hook; the request is the caller's to end. */
static int send_body(struct stage *s, struct asking *a, struct str body)
{
    plan(s, a, "/hook", NULL);
    a->request.body = body;
    if (a->planned)
        s->app.run(s->app.context, &a->request, &a->reply);
    return a->reply.status;
}

/* What was signed are the bytes, of whatever type. */
static void test_raw_body(void **state)
{
    struct asking a;

    assert_int_equal(send_body(*state, &a, STR("{\"a\":1,\"a\":2}\0not json")), 202);
    assert_true(str_eq(buf_str(&a.reply.body), STR("{\"a\":1,\"a\":2}\0not json")));
    assert_int_equal(a.plan.body_max, BODY_MAX);
    end(&a);
    assert_int_equal(send_body(*state, &a, STR("")), 202);
    end(&a);
}

static void test_longest_body(void **state)
{
    struct stage *s = *state;
    struct asking a;

    s->scene->config->max_body_bytes = 1024; /* the operator's limit holds here too */
    plan(s, &a, "/hook", NULL);
    assert_int_equal(a.plan.body_max, 1024);
    end(&a);
}

/* Who is not listened to hears so before the body is received. */
static void test_admission(void **state)
{
    struct asking a;

    admission = PROBLEM_RATE_LIMITED;
    assert_int_equal(send_body(*state, &a, STR("{}")), 429);
    assert_false(a.planned);
    assert_int_equal(handled, 0);
    end(&a);
    admission = 0;
    assert_int_equal(send_body(*state, &a, STR("{}")), 202);
    assert_int_equal(admitted, 3); /* once more before it runs */
    end(&a);
}

static int64_t recorded(struct stage *s, const char *condition)
{
    char sql[300];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM trail WHERE action = 'webhook.refused'%s",
             condition);
    return scene_number(s->scene, sql);
}

/* What is not authentic, or malformed, is on record, many as one; what fails here is not. */
static void test_refusals(void **state)
{
    static const int outcomes[] = {PROBLEM_SIGNATURE_INVALID, PROBLEM_SIGNATURE_INVALID,
                                   PROBLEM_BAD_REQUEST, PROBLEM_UNAVAILABLE, 0};
    struct stage *s = *state;

    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        struct asking a;
        outcome = outcomes[i];
        send_body(s, &a, STR("{}"));
        bool challenged = strstr(buf_cstr(&a.reply.headers),
                                 "WWW-Authenticate: X-Webhook-Signature realm=") != NULL;
        assert_int_equal(challenged, outcome == PROBLEM_SIGNATURE_INVALID);
        end(&a);
    }
    assert_done(dispatch_flush(s->d, false));
    assert_int_equal(recorded(s, ""), 2);
    assert_int_equal(recorded(s, " AND subject = '/hook' AND detail LIKE '%\"count\":2}'"), 1);
}

/* Many long bodies that never end cannot take all memory; short ones find room all the same. */
static void test_room(void **state)
{
    static struct asking plans[PLANS + 1];
    struct stage *s = *state;
    struct asking a;

    for (size_t i = 0; i < PLANS; i++) {
        plan(s, &plans[i], "/hook", i % 2 ? "524288" : NULL);
        assert_true(plans[i].planned);
    }
    plan(s, &plans[PLANS], "/hook", "524288");
    assert_false(plans[PLANS].planned);
    assert_int_equal(plans[PLANS].reply.status, 503);
    assert_non_null(strstr(buf_cstr(&plans[PLANS].reply.headers), "Retry-After: 1\r\n"));
    end(&plans[PLANS]);
    plan(s, &a, "/hook", "16384");
    assert_true(a.planned);
    end(&a);
    plan(s, &a, "/open", NULL);
    assert_true(a.planned);
    end(&a);
    end(&plans[0]);
    plan(s, &plans[0], "/hook", "524288");
    assert_true(plans[0].planned);
    for (size_t i = 0; i < PLANS; i++)
        end(&plans[i]);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_raw_body), STAGED(test_longest_body), STAGED(test_admission),
        STAGED(test_refusals), STAGED(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
