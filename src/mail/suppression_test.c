/* Who is not written to: entries, bounds, and the list as CSV. */
#include "mail/suppression_csv.h"

#include "mail/fixture.h"

static const struct uuid everywhere;

struct work {
    struct scene *f;
    struct suppression entry;
    struct suppression_query query;
    const struct uuid *tenant;
    struct str addresses[SUPPRESSION_FIND_MAX + 1];
    struct suppression_hit hits[SUPPRESSION_FIND_MAX];
    struct suppression *items;
    struct suppression_import *import;
    struct suppression_import_result result;
    size_t n;
    int64_t now, removed;
};

static int add_job(struct store_txn *t, void *arg)
{
    return suppression_add(t, &((struct work *)arg)->entry);
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_remove(t, w->tenant, w->entry.address);
}

static int list_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_list(t, &w->f->a, &w->query, &w->items, &w->n);
}

static int find_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_find(t, w->tenant, w->addresses, w->n, w->now, w->hits);
}

static int reap_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_reap(t, w->now, w->now, 1, &w->removed);
}

static int import_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_import_apply(t, w->import, w->tenant, STR("ann"), NOW, &w->result);
}

static int add(struct scene *f, const struct uuid *tenant, const char *address,
               enum suppression_reason reason, int64_t expires_at)
{
    struct work w = {.entry = {*tenant, str_of(address), reason, STR("api"), STR("note"),
                               STR("tester"), NOW, expires_at}};

    return store_write(f->node.store, add_job, &w);
}

static int remove_address(struct scene *f, const struct uuid *tenant, const char *address)
{
    struct work w = {.tenant = tenant, .entry = {.address = str_of(address)}};

    return store_write(f->node.store, remove_job, &w);
}

/* First letters of what a query gives, page by page. */
static const char *letters(struct scene *f, struct suppression_query query)
{
    static char out[50];
    struct work w = {.f = f, .query = query};
    size_t n = 0;

    w.query.limit = 2;
    do {
        assert_done(store_read(f->node.store, list_job, &w));
        for (size_t i = 0; i < w.n; i++)
            out[n++] = w.items[i].address.p[0];
        w.query.after = w.n ? &w.items[w.n - 1] : NULL;
    } while (w.n == 2);
    out[n] = 0;
    return out;
}

static void test_add_and_remove(void **state)
{
    struct scene *f = *state;

    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 10));
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 10),
                     SUPPRESSION_EXISTS);
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 11));
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_UNSUBSCRIBE, 0));
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 99),
                     SUPPRESSION_EXISTS);
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, 0), SUPPRESSION_EXISTS);
    assert_done(add(f, &f->other, "a@x.org", SUPPRESSION_MANUAL, 0));
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM suppressions WHERE address = $1"
                                    " AND reason = 'unsubscribe'",
                                    "a@x.org"),
                     1);
    mail_apply_one(f, mail_soft_bounce("p", "a@x.org", NOW));
    assert_done(remove_address(f, &f->tenant, "a@x.org"));
    assert_int_equal(remove_address(f, &f->tenant, "a@x.org"), SUPPRESSION_UNKNOWN);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM soft_bounces"), 0);
    assert_done(remove_address(f, NULL, "a@x.org"));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 0);
}

/* A tenant sees what stops its own mail, and nothing of others'. */
static void test_bounds(void **state)
{
    struct scene *f = *state;
    struct suppression_query q = {.tenant = &f->tenant, .reason = -1};

    scene_member(f, "user");
    mail_queue(f, "mailed@x.org", NOW);
    assert_done(add(f, &everywhere, "user@example.com", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &everywhere, "mailed@x.org", SUPPRESSION_COMPLAINT, 0));
    assert_done(add(f, &everywhere, "foreign@x.org", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &f->tenant, "own@x.org", SUPPRESSION_MANUAL, NOW + 5));
    assert_done(add(f, &f->other, "theirs@x.org", SUPPRESSION_MANUAL, 0));
    assert_string_equal(letters(f, q), "mou");
    q.valid_at = NOW + 5;
    assert_string_equal(letters(f, q), "mu");
    q.reason = SUPPRESSION_COMPLAINT;
    assert_string_equal(letters(f, q), "m");
    q = (struct suppression_query){.reason = -1};
    assert_string_equal(letters(f, q), "fmotu");
    q.address = STR("own@x.org");
    assert_string_equal(letters(f, q), "o");
    q.tenant = &f->other;
    assert_string_equal(letters(f, q), "");
    assert_int_equal(remove_address(f, &f->tenant, "foreign@x.org"), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_address(f, &f->tenant, "theirs@x.org"), SUPPRESSION_UNKNOWN);
    assert_done(remove_address(f, &f->tenant, "mailed@x.org"));
}

static void test_find(void **state)
{
    struct scene *f = *state;
    struct work w = {.tenant = &f->tenant, .n = SUPPRESSION_FIND_MAX, .now = NOW};
    struct store *s = f->node.store;

    for (size_t i = 0; i <= SUPPRESSION_FIND_MAX; i++)
        w.addresses[i] = STR("nobody@x.org");
    w.addresses[0] = STR("a@x.org");
    w.addresses[30] = STR("b@x.org");
    w.addresses[49] = STR("c@x.org");
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 1));
    assert_done(add(f, &everywhere, "a@x.org", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &f->tenant, "b@x.org", SUPPRESSION_MANUAL, NOW + 1));
    assert_done(add(f, &f->other, "c@x.org", SUPPRESSION_MANUAL, 0));
    assert_done(store_read(s, find_job, &w));
    assert_true(w.hits[0].found && w.hits[0].reason == SUPPRESSION_BOUNCE);
    assert_true(w.hits[30].found && w.hits[30].expires_at == NOW + 1);
    assert_false(w.hits[1].found || w.hits[49].found);
    w.now = NOW + 1; /* as of its expiry it is over */
    assert_done(store_read(s, find_job, &w));
    assert_true(w.hits[0].found);
    assert_false(w.hits[30].found);
    w.n = SUPPRESSION_FIND_MAX + 1;
    assert_int_equal(store_read(s, find_job, &w), FAULT_INTERNAL);
    assert_done(add(f, &f->other, "d@x.org", SUPPRESSION_MANUAL, NOW + 1));
    for (int64_t left = 4; left >= 2; left--) {
        assert_done(store_write(s, reap_job, &w));
        assert_int_equal(w.removed, 1);
        assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), left);
    }
    assert_done(store_write(s, reap_job, &w));
    assert_int_equal(w.removed, 0);
}

/* Reads a file in pieces of every size. */
static struct suppression_import *read_file(struct str file, size_t piece)
{
    struct suppression_import *i = NULL;

    assert_done(suppression_import_new(&i));
    for (size_t at = 0; at < file.n; at += piece)
        assert_done(suppression_import_feed(
            i, (struct str){file.p + at, file.n - at < piece ? file.n - at : piece}));
    assert_done(suppression_import_finish(i));
    return i;
}

static int64_t mistakes_of(const struct suppression_import *i)
{
    int64_t total;
    size_t n;

    suppression_import_mistakes(i, &n, &total);
    return total;
}

static void test_import(void **state)
{
    struct scene *f = *state;
    struct str file = STR("\xef\xbb\xbf\"Note\",Reason,address,expires_at\r\n"
                          "\"a \"\"note\"\",\nof two lines\",bounce,A@X.org,\n"
                          "\r\n"
                          ",,b@x.org,2026-01-02T03:04:05Z\n"
                          ",,B@x.org, \n"
                          "'=x,manual,'=c@x.org,");

    for (size_t piece = 1; piece < 8; piece++) {
        struct work w = {.tenant = &f->tenant, .import = read_file(file, piece)};
        assert_int_equal(mistakes_of(w.import), 0);
        assert_done(store_write(f->node.store, import_job, &w));
        assert_int_equal(w.result.lines, 4);
        assert_int_equal(w.result.added, piece == 1 ? 3 : 0);
        assert_int_equal(w.result.existing, piece == 1 ? 0 : 3);
        assert_int_equal(w.result.duplicates, 1);
        suppression_import_free(w.import);
    }
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM suppressions WHERE reason = 'bounce'"
                                    " AND address = 'a@x.org' AND note = $1"
                                    " AND created_by = 'ann' AND source = 'import'",
                                    "a \"note\",\nof two lines"),
                     1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions WHERE address = 'b@x.org'"
                                     " AND expires_at IS NULL"),
                     1);
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM suppressions WHERE note = $1"
                                    " AND address = '=c@x.org'",
                                    "=x"),
                     1);
}

static void test_import_without_names(void **state)
{
    struct scene *f = *state;
    struct work w = {.tenant = &everywhere,
                     .import = read_file(STR("a@x.org\rb@x.org,complaint\r\n"), 3)};

    assert_int_equal(mistakes_of(w.import), 0);
    assert_done(store_write(f->node.store, import_job, &w));
    assert_int_equal(w.result.added, 2);
    suppression_import_free(w.import);
    w.import = read_file(STR(""), 1);
    assert_done(store_write(f->node.store, import_job, &w));
    assert_int_equal(w.result.lines + w.result.added, 0);
    suppression_import_free(w.import);
}

/* One mistake, and nothing is done; each is told with its line. */
static void test_import_mistakes(void **state)
{
    struct scene *f = *state;
    struct str file = STR("good@x.org\n"
                          "not an address\n"
                          "a@x.org,whim\n"
                          "\"a@x.org\n\"x\n"
                          "a@x.org,manual,yesterday\n"
                          "\xff@x.org\n"
                          "\"a@x.org");
    static const struct suppression_mistake expected[] = {
        {2, "not an address"},          {3, "not a reason"},
        {4, "a quote is out of place"}, {6, "expires_at is not a time (RFC 3339)"},
        {7, "not text in UTF-8"},       {8, "a quote is out of place"},
    };
    struct work w = {.tenant = &f->tenant, .import = read_file(file, 5)};
    const struct suppression_mistake *told;
    int64_t total;
    size_t n;

    told = suppression_import_mistakes(w.import, &n, &total);
    assert_int_equal(total, 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(told[i].line, expected[i].line);
        assert_string_equal(told[i].text, expected[i].text);
    }
    assert_int_equal(store_write(f->node.store, import_job, &w), FAULT_INTERNAL);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 0);
    suppression_import_free(w.import);
}

static void feed_line(struct suppression_import *i, char letter, int number)
{
    char line[40];

    snprintf(line, sizeof line, "%c%d@x.org\n", letter, number);
    assert_done(suppression_import_feed(i, str_of(line)));
}

static void test_import_limits(void **state)
{
    struct suppression_import *i = NULL;
    const struct suppression_mistake *told;
    char note[5000];
    int64_t total;
    size_t n;

    (void)state;
    memset(note, 'x', sizeof note);
    assert_done(suppression_import_new(&i));
    for (int k = 0; k < SUPPRESSION_IMPORT_MAX; k++)
        feed_line(i, 'a', k);
    assert_int_equal(mistakes_of(i), 0);
    for (int k = 0; k < SUPPRESSION_MISTAKES_MAX + 5; k++)
        feed_line(i, 'b', k);
    told = suppression_import_mistakes(i, &n, &total);
    assert_int_equal(n, SUPPRESSION_MISTAKES_MAX);
    assert_int_equal(total, SUPPRESSION_MISTAKES_MAX + 5);
    assert_string_equal(told[0].text, "too many lines");
    assert_int_equal(told[0].line, SUPPRESSION_IMPORT_MAX + 1);
    suppression_import_free(i);

    assert_done(suppression_import_new(&i));
    assert_done(suppression_import_feed(i, STR("a@x.org,,,")));
    assert_done(suppression_import_feed(i, (struct str){note, SUPPRESSION_NOTE_MAX}));
    assert_done(suppression_import_feed(i, STR("\nb@x.org,,,")));
    assert_done(suppression_import_feed(i, (struct str){note, SUPPRESSION_NOTE_MAX + 1}));
    assert_done(suppression_import_feed(i, STR("\n")));
    assert_int_equal(mistakes_of(i), 1);
    assert_done(suppression_import_feed(i, (struct str){note, sizeof note}));
    assert_done(suppression_import_feed(i, STR("\n,,,,,,,,,,,,,,,,\nc@x.org\n")));
    told = suppression_import_mistakes(i, &n, &total);
    assert_int_equal(total, 3);
    assert_int_equal(told[1].line, 3);
    assert_string_equal(told[1].text, "the line is too long");
    assert_string_equal(told[2].text, "the line is too long");
    suppression_import_free(i);
}

/* What is written is what was there. */
static void test_export(void **state)
{
    struct scene *f = *state;
    struct suppression s = {f->tenant,    STR("=a@x.org"),  SUPPRESSION_SOFT_BOUNCES,
                            STR("event"), STR("+\"1\",\n"), STR("@ann"),
                            NOW,          NOW + 1000};
    _cleanup_buf_ struct buf out = buf_init(4096);
    struct work w = {.f = f, .tenant = &f->tenant, .query = {.reason = -1, .limit = 5}};

    suppression_csv_head(&out);
    suppression_csv_line(&s, &out);
    assert_int_equal(buf_fault(&out), 0);
    w.import = read_file(buf_str(&out), 1000);
    assert_int_equal(mistakes_of(w.import), 0);
    assert_done(store_write(f->node.store, import_job, &w));
    suppression_import_free(w.import);
    assert_done(store_read(f->node.store, list_job, &w));
    assert_int_equal(w.n, 1);
    assert_true(str_eq(w.items[0].address, s.address));
    assert_int_equal(w.items[0].reason, s.reason);
    assert_int_equal(w.items[0].expires_at, s.expires_at);
    assert_true(str_eq(w.items[0].note, STR("+\"1\",\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_add_and_remove),
        SCENE_BOTH(test_bounds),
        SCENE_BOTH(test_find),
        SCENE_BOTH(test_import),
        SCENE_BOTH(test_import_without_names),
        SCENE_BOTH(test_import_mistakes),
        SCENE_BOTH(test_export),
        cmocka_unit_test(test_import_limits),
    };

    return FIXTURE_RUN(tests);
}
