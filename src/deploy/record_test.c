/* Deployments in the store: told once each, however often they are put. */
#include "deploy/record.h"

#include "trail/fixture.h"

static const struct trail_actor ann = {.label = STR_INIT("cli:ann")};

/* The number makes ids ascend. */
static struct report report_of(int number, const char *environment, enum report_result result)
{
    static struct report_step step = {.name = STR_INIT("check"), .title = STR_INIT("Check")};
    struct report r = {.id = uuid_at(NOW + number),
                       .environment = str_of(environment),
                       .release = STR("v42"),
                       .previous = STR("v41"),
                       .who = STR("ann@laptop"),
                       .result = result,
                       .began_at = NOW + number,
                       .ended_at = result == REPORT_RUNNING ? 0 : NOW + number + 5000,
                       .records = 10,
                       .steps = &step,
                       .n_steps = 1};

    return r;
}

static void put(struct trail_fixture *f, const struct report *r)
{
    assert_done(record_put_now(f->s, f->trail, &ann, r));
}

struct seen {
    char text[2000];
};

static int see(const struct trail_record *r, void *arg)
{
    struct seen *seen = arg;
    size_t n = strlen(seen->text);

    assert_true(uuid_is_nil(&r->tenant_id)); /* for operators alone */
    snprintf(seen->text + n, sizeof seen->text - n, "%.*s %.*s %.*s\n", STR_ARG(r->action),
             STR_ARG(r->subject), STR_ARG(r->detail));
    return 0;
}

static int see_job(struct store_txn *t, void *arg)
{
    struct trail_filter filter = {.all_tenants = true};

    *(struct seen *)arg = (struct seen){""};
    return trail_list_from(t, &filter, 0, TRAIL_LIST_MAX, see, arg);
}

static void assert_trail(struct trail_fixture *f, const char *wanted)
{
    struct seen seen;

    assert_done(store_read(f->s, see_job, &seen));
    assert_string_equal(seen.text, wanted);
}

struct finding {
    struct arena *a;
    struct uuid id;
    struct record record;
    struct record_query query;
    struct record *items;
    size_t n;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;

    return record_find(t, f->a, &f->id, &f->record);
}

static int list_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;

    return record_list(t, f->a, &f->query, &f->items, &f->n);
}

#define BEGAN                                                                                      \
    "deployment.start prod "                                                                       \
    "{\"release\":\"v42\",\"previousRelease\":\"v41\",\"who\":\"ann@laptop\"}\n"

static void test_life(void **state)
{
    struct trail_fixture *f = *state;
    struct arena a _cleanup_arena_ = arena_init(1 << 20);
    struct report r = report_of(1, "prod", REPORT_RUNNING), parsed;
    struct finding found = {.a = &a, .id = r.id};

    assert_int_equal(store_read(f->s, find_job, &found), RECORD_UNKNOWN);
    put(f, &r);
    put(f, &r);
    assert_trail(f, BEGAN);
    assert_done(store_read(f->s, find_job, &found));
    assert_int_equal(found.record.result, REPORT_RUNNING);
    assert_int_equal(found.record.ended_at, 0);

    r.result = REPORT_ROLLED_BACK;
    r.ended_at = NOW + 7000;
    r.why = STR("never \"well\"");
    r.records = 20;
    put(f, &r);
    put(f, &r);
    assert_trail(f, BEGAN
                 "deployment.rolled_back prod {\"release\":\"v42\",\"previousRelease\":\"v41\","
                 "\"who\":\"ann@laptop\",\"why\":\"never \\\"well\\\"\"}\n");
    assert_done(store_read(f->s, find_job, &found));
    assert_true(uuid_eq(&found.record.id, &r.id));
    assert_int_equal(found.record.result, REPORT_ROLLED_BACK);
    assert_int_equal(found.record.began_at, NOW + 1);
    assert_int_equal(found.record.ended_at, NOW + 7000);
    assert_true(str_eq(found.record.environment, STR("prod")));
    assert_true(str_eq(found.record.release, STR("v42")));
    assert_true(str_eq(found.record.previous, STR("v41")));
    assert_true(str_eq(found.record.who, STR("ann@laptop")));
    assert_int_equal(report_parse(&a, found.record.report, &parsed), 0);
    assert_int_equal(parsed.records, 20);
}

/* What was not told while it ran is told once it is over. */
static void test_late(void **state)
{
    struct trail_fixture *f = *state;
    struct report r = report_of(1, "dev", REPORT_DONE);

    r.previous = STR("");
    put(f, &r);
    assert_trail(f, "deployment.start dev {\"release\":\"v42\",\"who\":\"ann@laptop\"}\n"
                    "deployment.done dev {\"release\":\"v42\",\"who\":\"ann@laptop\"}\n");
}

/* Tried again after it could not be undone; and one who knows less changes nothing. */
static void test_again(void **state)
{
    struct trail_fixture *f = *state;
    struct arena a _cleanup_arena_ = arena_init(1 << 20);
    struct report r = report_of(1, "prod", REPORT_INCOMPLETE), early = r;
    struct finding found = {.a = &a, .id = r.id};

    put(f, &r);
    r.result = REPORT_RUNNING;
    r.records = 11;
    put(f, &r);
    r.result = REPORT_INCOMPLETE;
    r.records = 12;
    put(f, &r);
    r.result = REPORT_ROLLED_BACK;
    r.records = 13;
    put(f, &r);
    early.result = REPORT_RUNNING;
    early.release = STR("v1");
    put(f, &early);
    assert_done(store_read(f->s, find_job, &found));
    assert_int_equal(found.record.result, REPORT_ROLLED_BACK);
    assert_true(str_eq(found.record.release, STR("v42")));
    struct seen seen;
    assert_done(store_read(f->s, see_job, &seen));
    int lines = 0;
    for (const char *c = seen.text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 4); /* start, incomplete, incomplete, rolled back */
}

static void test_failed(void **state)
{
    struct trail_fixture *f = *state;
    struct report r = report_of(1, "prod", REPORT_DIED);

    put(f, &r); /* nobody did that */
    r.result = REPORT_FAILED;
    r.why = STR("no");
    put(f, &r);
    assert_trail(f, BEGAN "deployment.failed prod {\"release\":\"v42\",\"previousRelease\":\"v41\","
                          "\"who\":\"ann@laptop\",\"why\":\"no\"}\n");
}

static void *put_thread(void *arg)
{
    struct trail_fixture *f = arg;
    struct report r = report_of(1, "prod", REPORT_DONE);

    memset(r.id.b, 7, sizeof r.id.b);
    put(f, &r);
    return NULL;
}

static void test_at_once(void **state)
{
    struct trail_fixture *f = *state;
    struct seen seen;

    fixture_parallel(8, put_thread, f);
    assert_done(store_read(f->s, see_job, &seen));
    assert_non_null(strstr(seen.text, "deployment.done"));
    assert_null(strstr(strstr(seen.text, "deployment.start") + 1, "deployment.start"));
    assert_null(strstr(strstr(seen.text, "deployment.done") + 1, "deployment.done"));
}

static void list(struct trail_fixture *f, struct finding *found, size_t wanted)
{
    assert_done(store_read(f->s, list_job, found));
    assert_int_equal(found->n, wanted);
}

static void test_list(void **state)
{
    struct trail_fixture *f = *state;
    struct arena a _cleanup_arena_ = arena_init(1 << 20);
    struct finding all = {.a = &a, .query.limit = 3};

    list(f, &all, 0);
    for (int i = 0; i < 10; i++) {
        struct report r = report_of(i, i % 2 ? "prod" : "dev", REPORT_DONE);
        put(f, &r);
    }
    for (int last = 9; last >= 0; last -= 3) {
        list(f, &all, last >= 3 ? 3 : 1);
        for (size_t i = 0; i < all.n; i++)
            assert_int_equal(all.items[i].began_at, NOW + last - (int)i);
        all.query.before = all.items[all.n - 1].id;
    }
    list(f, &all, 0);
    struct finding prod = {.a = &a, .query = {.environment = STR("prod"), .limit = 4}};
    list(f, &prod, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(prod.items[i].began_at, NOW + 9 - 2 * (int)i);
    prod.query.before = prod.items[3].id;
    list(f, &prod, 1);
    prod.query = (struct record_query){.environment = STR("staging"), .limit = 4};
    list(f, &prod, 0);
}

static int between_job(struct store_txn *t, void *arg)
{
    struct uuid *ids = arg;

    return record_find_between(t, &ids[0], &ids[1], &ids[2]);
}

static void test_between(void **state)
{
    struct trail_fixture *f = *state;
    struct report r = report_of(1, "prod", REPORT_DONE);
    struct uuid ids[3] = {{{0}}};

    memset(r.id.b, 5, sizeof r.id.b);
    put(f, &r);
    r.id.b[15] = 7;
    put(f, &r);
    memset(ids[1].b, 0xff, sizeof ids[1].b);
    assert_int_equal(store_read(f->s, between_job, ids), RECORD_AMBIGUOUS);
    ids[0] = r.id;
    assert_done(store_read(f->s, between_job, ids));
    assert_true(uuid_eq(&ids[2], &r.id));
    ids[1] = ids[0];
    ids[0].b[15] = 6;
    assert_done(store_read(f->s, between_job, ids));
    ids[1].b[15] = 6;
    assert_int_equal(store_read(f->s, between_job, ids), RECORD_UNKNOWN);
}

/* The longest report there can be has room. */
static void test_long(void **state)
{
    struct trail_fixture *f = *state;
    struct arena a _cleanup_arena_ = arena_init(4 << 20);
    struct report r = report_of(1, "prod", REPORT_DONE);
    struct report_step *steps = arena_array(&a, REPORT_STEPS_MAX, sizeof *steps);
    struct finding found = {.a = &a, .id = r.id};
    static char text[REPORT_TEXT_MAX];

    memset(text, '"', sizeof text);
    struct str longest = {text, sizeof text};
    for (size_t i = 0; i < REPORT_STEPS_MAX; i++)
        steps[i] = (struct report_step){
            .name = longest, .title = longest, .by_hand = longest, .run.why = longest};
    r.steps = steps;
    r.n_steps = REPORT_STEPS_MAX;
    put(f, &r);
    assert_done(store_read(f->s, find_job, &found));
    assert_true(found.record.report.n > 2 * 4 * REPORT_TEXT_MAX * REPORT_STEPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TRAIL_BOTH(test_life),    TRAIL_BOTH(test_late),
                                       TRAIL_BOTH(test_again),   TRAIL_BOTH(test_failed),
                                       TRAIL_BOTH(test_at_once), TRAIL_BOTH(test_list),
                                       TRAIL_BOTH(test_between), TRAIL_BOTH(test_long)};

    return FIXTURE_RUN(tests);
}
