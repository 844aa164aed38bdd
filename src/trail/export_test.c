/* Listing by filters, and records as text. */
#include "trail/fixture.h"

#include "base/clock.h"
#include "trail/export.h"

static const struct uuid acme = {{1}}, globex = {{2}}, ada = {{3}}, bob = {{4}};

/* Fourteen records of two tenants and of the installation, a minute apart. */
static void append_cases(const struct trail_fixture *f)
{
    for (int i = 0; i < 14; i++) {
        struct trail_actor actor = {.user_id = ada, .label = STR("ada@example.com")};
        struct trail_event event = {.action = TRAIL_USER_UPDATE,
                                    .tenant_id = i % 2 ? acme : globex,
                                    .subject_id = i % 3 ? ada : bob,
                                    .subject = i % 3 ? STR("ada") : STR("bob")};
        if (i >= 12) {
            actor = (struct trail_actor){.label = STR("system")};
            event = (struct trail_event){.action = TRAIL_SERVER_START};
        }
        assert_done(trail_append_now(f->trail, &actor, &event));
        clock_shift(CLOCK_MINUTE);
    }
    clock_shift(-14 * (int64_t)CLOCK_MINUTE);
}

struct listing {
    const struct trail_filter *filter;
    int64_t cursor, seqs[16];
    int limit, n;
    bool oldest_first;
};

static int collect(const struct trail_record *record, void *arg)
{
    struct listing *l = arg;

    assert_true(l->n < 16);
    l->seqs[l->n++] = record->seq;
    return 0;
}

static int list_job(struct store_txn *txn, void *arg)
{
    struct listing *l = arg;

    l->n = 0;
    return (l->oldest_first ? trail_list_from : trail_list)(txn, l->filter, l->cursor, l->limit,
                                                            collect, l);
}

/* The listing's numbers as text. */
static void assert_list(struct trail_fixture *f, struct listing l, const char *expected)
{
    char text[200] = "";
    size_t n = 0;

    assert_done(store_read(f->s, list_job, &l));
    for (int i = 0; i < l.n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%lld ", (long long)l.seqs[i]);
    assert_string_equal(text, expected);
}

static void test_filters(void **state)
{
    struct trail_fixture *f = *state;
    const struct trail_filter none = {.all_tenants = false}, all = {.all_tenants = true},
                              of_acme = {.tenant_id = acme},
                              of_bob = {.tenant_id = acme, .subject_id = bob},
                              by_ada = {.tenant_id = globex,
                                        .actor_id = ada,
                                        .subject = STR("ada")},
                              started = {.all_tenants = true, .action = STR("server.start")},
                              by_system = {.all_tenants = true, .actor = STR("system")},
                              unknown = {.all_tenants = true, .action = STR("x' OR 'x' = 'x")};

    append_cases(f);
    assert_list(f, (struct listing){&none, .limit = 10}, "");
    assert_list(f, (struct listing){&all, .limit = 4}, "14 13 12 11 ");
    assert_list(f, (struct listing){&all, .cursor = 11, .limit = 4}, "10 9 8 7 ");
    assert_list(f, (struct listing){&all, .cursor = 1, .limit = 4}, "");
    assert_list(f, (struct listing){&all, .limit = 3, .oldest_first = true}, "1 2 3 ");
    assert_list(f, (struct listing){&all, .cursor = 12, .limit = 3, .oldest_first = true},
                "13 14 ");
    assert_list(f, (struct listing){&of_acme, .limit = 10}, "12 10 8 6 4 2 ");
    assert_list(f, (struct listing){&of_bob, .limit = 10}, "10 4 ");
    assert_list(f, (struct listing){&of_bob, .limit = 10, .oldest_first = true}, "4 10 ");
    assert_list(f, (struct listing){&by_ada, .limit = 10}, "11 9 5 3 ");
    assert_list(f, (struct listing){&started, .limit = 10}, "14 13 ");
    assert_list(f, (struct listing){&by_system, .limit = 10}, "14 13 ");
    assert_list(f, (struct listing){&unknown, .limit = 10}, "");
}

static int limit_job(struct store_txn *txn, void *arg)
{
    struct listing *l = arg;

    assert_int_equal(trail_list(txn, l->filter, 0, 0, collect, l), FAULT_LIMIT);
    assert_int_equal(trail_list(txn, l->filter, 0, TRAIL_LIST_MAX + 1, collect, l), FAULT_LIMIT);
    return 0;
}

static void test_a_page_is_limited(void **state)
{
    struct trail_fixture *f = *state;
    const struct trail_filter all = {.all_tenants = true};
    struct listing l = {&all};

    assert_done(store_read(f->s, limit_job, &l));
}

static void test_times(void **state)
{
    struct trail_fixture *f = *state;
    int64_t begin = clock_now();
    struct trail_filter t = {.all_tenants = true};

    append_cases(f);
    t.since = begin + 5 * CLOCK_MINUTE;
    t.until = begin + 8 * CLOCK_MINUTE;
    assert_list(f, (struct listing){&t, .limit = 10}, "8 7 6 ");
    assert_list(f, (struct listing){&t, .limit = 10, .oldest_first = true}, "6 7 8 ");
    t.since = INT64_MAX;
    t.until = 0;
    assert_list(f, (struct listing){&t, .limit = 10}, "");
    t.since = INT64_MIN;
    t.until = begin + CLOCK_MINUTE;
    assert_list(f, (struct listing){&t, .limit = 10}, "1 ");
    t.until = 1;
    assert_list(f, (struct listing){&t, .limit = 10}, "");
    /* Records from days ahead narrow what is read, not what is found. */
    clock_shift(9 * (int64_t)CLOCK_DAY);
    append_cases(f);
    clock_shift(-9 * (int64_t)CLOCK_DAY);
    t.since = begin + 12 * CLOCK_MINUTE;
    t.until = begin + CLOCK_DAY;
    assert_list(f, (struct listing){&t, .limit = 10}, "14 13 ");
}

static void test_filter_texts(void **state)
{
    struct trail_filter filter = {.all_tenants = true};

    trail_filter_actor(&filter, STR("03000000-0000-0000-0000-000000000000"));
    assert_true(uuid_eq(&filter.actor_id, &ada) && filter.actor.n == 0);
    trail_filter_subject(&filter, STR("bob@example.com"));
    assert_true(uuid_is_nil(&filter.subject_id));
    assert_true(str_eq(filter.subject, STR("bob@example.com")));
}

static int to_buf(struct str bytes, void *arg)
{
    return buf_add_str(arg, bytes);
}

static void append_hostile(const struct trail_fixture *f)
{
    static const char *const texts[] = {"=1+1", "+1", "-1", "@x", "\tx", "\rx", "a\"b\nc", "'=1"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct trail_actor actor = {.label = STR("cli:root")};
        struct trail_event event = {.action = TRAIL_USER_LOGIN, .subject = str_of(texts[i])};
        assert_done(trail_append_now(f->trail, &actor, &event));
    }
}

static void test_csv(void **state)
{
    struct trail_fixture *f = *state;
    const struct trail_filter all = {.all_tenants = true};
    _cleanup_buf_ struct buf out = buf_init(1 << 20);
    int64_t count = 0;

    append_hostile(f);
    assert_done(trail_export(f->trail, TRAIL_CSV, &all, to_buf, &out, &count));
    assert_int_equal(count, 8);
    const char *z = buf_cstr(&out);
    assert_memory_equal(z, "seq,at,tenant_id,", 17);
    static const char *const cells[] = {
        ",\"'=1+1\",", ",\"'+1\",",  ",\"'-1\",",       ",\"'@x\",",
        ",\"'\tx\",",  ",\"'\rx\",", ",\"a\"\"b\nc\",", ",\"'=1\",\"\",\"\",\"{}\"\r\n"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        assert_non_null(strstr(z, cells[i]));
}

static void test_jsonl(void **state)
{
    struct trail_fixture *f = *state;
    const struct trail_filter all = {.all_tenants = true};
    _cleanup_buf_ struct buf out = buf_init(1 << 20);

    append_hostile(f);
    trail_fixture_alter(f, "UPDATE trail SET detail = '{\"x\": broken' WHERE seq = 2");
    assert_done(trail_export(f->trail, TRAIL_JSONL, &all, to_buf, &out, NULL));
    const char *z = buf_cstr(&out);
    assert_non_null(strstr(z, "\"subject\":\"a\\\"b\\nc\",\"ip\":\"\",\"requestId\":null,"
                              "\"detail\":{}}\n{\"seq\":8,"));
    assert_non_null(strstr(z, "\"subject\":\"=1+1\""));
    assert_non_null(strstr(z, "\"detail\":\"{\\\"x\\\": broken\"}\n"));
}

static void test_export_in_pages_and_by_filter(void **state)
{
    struct trail_fixture *f = *state;
    struct trail_filter all = {.all_tenants = true}, acme_only = {.tenant_id = acme};
    FILE *out = fopen("/dev/null", "we"), *full = fopen("/dev/full", "we");
    int64_t count = 0;

    append_cases(f);
    trail_fixture_fill(f->trail, f->s, 1000);
    assert_done(trail_export(f->trail, TRAIL_JSONL, &all, trail_sink_file, out, &count));
    assert_int_equal(count, 1014);
    assert_done(trail_export(f->trail, TRAIL_CSV, &acme_only, trail_sink_file, out, &count));
    assert_int_equal(count, 6);
    count = 77;
    assert_int_equal(trail_export(f->trail, TRAIL_CSV, &all, trail_sink_file, full, &count),
                     FAULT_IO);
    assert_int_equal(count, 77);
    fclose(out);
    fclose(full);
}

static void test_formats(void **state)
{
    enum trail_format format = TRAIL_CSV;

    assert_int_equal(trail_format_parse(STR("jsonl"), &format), 0);
    assert_int_equal(format, TRAIL_JSONL);
    assert_int_equal(trail_format_parse(STR("csv"), &format), 0);
    assert_int_equal(format, TRAIL_CSV);
    assert_int_equal(trail_format_parse(STR("xml"), &format), 1);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        TRAIL_BOTH(test_filters),
        TRAIL_BOTH(test_a_page_is_limited),
        TRAIL_BOTH(test_times),
        {"test_filter_texts", test_filter_texts, NULL, NULL, NULL},
        TRAIL_BOTH(test_csv),
        TRAIL_BOTH(test_jsonl),
        TRAIL_BOTH(test_export_in_pages_and_by_filter),
        {"test_formats", test_formats, NULL, NULL, NULL},
    };

    return FIXTURE_RUN(tests);
}
