/* The sandbox's messages in the store: kept, paged, searched, removed. */
#include "mail/sandbox.h"

#include "base/fault.h"
#include "mail/sandbox_server.h"
#include "store/fixture.h"

enum { ARENA_MAX = 64 * 1024 * 1024 };

/* What a test asks for in one reading or writing job. */
struct asking {
    struct arena arena;
    enum { LIST, SEARCH, FIND, REMOVE, CLEAR } what;
    enum sandbox_kind kind;
    const char *text;
    int64_t start, limit;
    struct uuid id;
    struct sandbox_page page;
    struct sandbox_message message;
};

static int job(struct store_txn *t, void *arg)
{
    struct asking *a = arg;

    switch (a->what) {
    case LIST:
        return sandbox_list(t, &a->arena, a->start, a->limit, &a->page);
    case SEARCH:
        return sandbox_search(t, &a->arena, a->kind, str_of(a->text), a->start, a->limit, &a->page);
    case FIND:
        return sandbox_find(t, &a->arena, &a->id, &a->message);
    case REMOVE:
        return sandbox_remove(t, &a->id);
    case CLEAR:
        return sandbox_clear(t);
    }
    return FAULT_INTERNAL;
}

static int ask(struct fixture *f, struct asking *a)
{
    if (a->what == REMOVE || a->what == CLEAR)
        return store_write(f->s, job, a);
    a->arena = arena_init(ARENA_MAX);
    return store_read(f->s, job, a);
}

/* Keeps a message whose body is its number. */
static struct uuid keep(struct fixture *f, int number, int64_t limit)
{
    char data[100], from[40];
    struct sandbox_message m = {.id = uuid_new(), .at = NOW + number, .helo = STR("me.test")};

    snprintf(data, sizeof data, "Subject: %d\r\n\r\nbody %d.\r\n", number, number);
    snprintf(from, sizeof from, "a%d@x.test", number % 2);
    m.from = str_of(from);
    m.to = STR("b@y.test\nc@y.test\n");
    m.data = str_of(data);
    assert_done(sandbox_keep(f->s, &m, limit));
    return m.id;
}

static struct fixture *open(void **state)
{
    struct fixture *f = *state;

    f->s = fixture_node(f);
    return f;
}

/* The numbers of the page's messages are first, first - step, ... */
static void assert_page(const struct sandbox_page *p, size_t n, int first, int step)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p->items[i].at, NOW + first - (int)i * step);
}

static void test_kept(void **state)
{
    struct fixture *f = open(state);
    struct asking a = {.what = FIND};

    a.id = keep(f, 7, 10);
    assert_done(ask(f, &a));
    assert_true(uuid_eq(&a.message.id, &a.id));
    assert_int_equal(a.message.at, NOW + 7);
    assert_true(str_eq(a.message.helo, STR("me.test")));
    assert_true(str_eq(a.message.from, STR("a1@x.test")));
    assert_true(str_eq(a.message.to, STR("b@y.test\nc@y.test\n")));
    assert_true(str_eq(a.message.data, STR("Subject: 7\r\n\r\nbody 7.\r\n")));
    arena_free(&a.arena);
    a.id.b[0] ^= 1;
    assert_int_equal(ask(f, &a), SANDBOX_UNKNOWN);
    arena_free(&a.arena);
}

static void test_pages(void **state)
{
    struct fixture *f = open(state);
    static const struct {
        int64_t start, limit;
        size_t n;
        int first;
    } cases[] = {{0, 50, 9, 9}, {0, 4, 4, 9}, {4, 4, 4, 5},  {8, 4, 1, 1},
                 {9, 4, 0, 0},  {0, 0, 0, 0}, {0, -1, 0, 0}, {-5, 2, 2, 9}};

    for (int i = 1; i <= 9; i++)
        keep(f, i, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asking a = {.what = LIST, .start = cases[i].start, .limit = cases[i].limit};
        assert_done(ask(f, &a));
        assert_int_equal(a.page.total, 9);
        assert_page(&a.page, cases[i].n, cases[i].first, 1);
        arena_free(&a.arena);
    }
}

static void test_retention(void **state)
{
    struct fixture *f = open(state);
    struct asking a = {.what = LIST, .limit = 50};

    for (int i = 1; i <= 20; i++)
        keep(f, i, 5);
    assert_done(ask(f, &a));
    assert_int_equal(a.page.total, 5);
    assert_page(&a.page, 5, 20, 1);
    arena_free(&a.arena);
    keep(f, 21, 2); /* a smaller number of messages is met at once */
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM sandbox_messages"), 2);
}

static void test_search(void **state)
{
    struct fixture *f = open(state);
    static const struct {
        enum sandbox_kind kind;
        const char *text;
        int64_t start, limit, total;
        size_t n;
        int first, step;
    } cases[] = {
        {SANDBOX_FROM, "A1@", 0, 50, 5, 5, 9, 2},
        {SANDBOX_FROM, "a1@", 2, 2, 5, 2, 5, 2},
        {SANDBOX_TO, "c@y", 0, 3, 9, 3, 9, 1},
        {SANDBOX_CONTAINING, "BODY 3.", 0, 50, 1, 1, 3, 1},
        {SANDBOX_CONTAINING, "x", 0, 50, 0, 0, 0, 0},
        {SANDBOX_TO, "c@y", 8, 50, 9, 1, 1, 1},
    };

    for (int i = 1; i <= 9; i++)
        keep(f, i, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asking a = {.what = SEARCH,
                           .kind = cases[i].kind,
                           .text = cases[i].text,
                           .start = cases[i].start,
                           .limit = cases[i].limit};
        assert_done(ask(f, &a));
        assert_int_equal(a.page.total, cases[i].total);
        assert_page(&a.page, cases[i].n, cases[i].first, cases[i].step);
        arena_free(&a.arena);
    }
}

/* A page of large messages ends early, and goes on where it ended. */
static void test_large(void **state)
{
    struct fixture *f = open(state);
    size_t size = 6 * 1024 * 1024;
    char *data = malloc(size);

    assert_non_null(data);
    memset(data, 'x', size);
    for (int i = 1; i <= 4; i++) {
        struct sandbox_message m = {.id = uuid_new(), .at = NOW + i, .data = {data, size}};
        m.helo = m.from = m.to = STR("x");
        assert_done(sandbox_keep(f->s, &m, 10));
    }
    for (int what = LIST; what <= SEARCH; what++) {
        struct asking a = {.what = what, .kind = SANDBOX_FROM, .text = "x", .limit = 50};
        assert_done(ask(f, &a));
        assert_int_equal(a.page.total, 4);
        assert_page(&a.page, 2, 4, 1);
        arena_free(&a.arena);
        a.start = 3;
        assert_done(ask(f, &a));
        assert_page(&a.page, 1, 1, 1);
        arena_free(&a.arena);
    }
    free(data);
}

static void test_remove(void **state)
{
    struct fixture *f = open(state);
    struct asking a = {.what = REMOVE};

    keep(f, 1, 10);
    a.id = keep(f, 2, 10);
    keep(f, 3, 10);
    assert_done(ask(f, &a));
    assert_int_equal(ask(f, &a), SANDBOX_UNKNOWN);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM sandbox_messages"), 2);
    a.what = CLEAR;
    assert_done(ask(f, &a));
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM sandbox_messages"), 0);
    a.what = LIST;
    assert_done(ask(f, &a));
    assert_int_equal(a.page.n, 0);
    assert_int_equal(a.page.total, 0);
    arena_free(&a.arena);
}

static void test_kinds(void **state)
{
    enum sandbox_kind kind;

    assert_int_equal(sandbox_kind_parse(STR("from"), &kind), 0);
    assert_int_equal(kind, SANDBOX_FROM);
    assert_int_equal(sandbox_kind_parse(STR("to"), &kind), 0);
    assert_int_equal(kind, SANDBOX_TO);
    assert_int_equal(sandbox_kind_parse(STR("containing"), &kind), 0);
    assert_int_equal(kind, SANDBOX_CONTAINING);
    assert_int_equal(sandbox_kind_parse(STR("subject"), &kind), 1);
}

static void count_told(void *context, const struct sandbox_message *m)
{
    *(int *)context += str_eq(m->to, STR("b@y.test\nc@y.test\n"));
}

/* What the SMTP listener hands over; any bytes are data. */
static void test_receive(void **state)
{
    struct fixture *f = open(state);
    int told = 0;
    struct sandbox_box box = {f->s, 10};
    struct sandbox_listener listener = {count_told, &told};
    const struct str to[] = {STR_INIT("b@y.test"), STR_INIT("c@y.test")};
    struct smtp_message m = {
        .helo = STR("me.test"), .from = STR(""), .to = to, .n_to = 2, .data = STR("\xFF\r\n")};
    struct asking a = {.what = LIST, .limit = 1};

    sandbox_listen(&listener);
    assert_int_equal(sandbox_receive(&box, &m), SMTP_KEPT);
    assert_int_equal(told, 1);
    sandbox_listen(NULL);
    assert_int_equal(sandbox_receive(&box, &m), SMTP_KEPT);
    assert_int_equal(told, 1);
    sandbox_listen(&listener);
    assert_done(ask(f, &a));
    assert_true(str_eq(a.page.items[0].data, STR("\xFF\r\n")));
    assert_int_equal(a.page.items[0].from.n, 0);
    arena_free(&a.arena);
    fixture_run(f->s, "DROP TABLE sandbox_messages", NO_PARAMS);
    assert_int_equal(sandbox_receive(&box, &m), SMTP_TRY_AGAIN);
    assert_int_equal(told, 1);
    sandbox_listen(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_BOTH_EMPTY(test_kept),      FIXTURE_BOTH_EMPTY(test_pages),
        FIXTURE_BOTH_EMPTY(test_retention), FIXTURE_BOTH_EMPTY(test_search),
        FIXTURE_BOTH_EMPTY(test_large),     FIXTURE_BOTH_EMPTY(test_remove),
        FIXTURE_BOTH_EMPTY(test_receive),   cmocka_unit_test(test_kinds),
    };
    return FIXTURE_RUN(tests);
}
