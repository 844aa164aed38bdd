/* What is taken into the trail, what is refused, and when nothing may be continued. */
#include "trail/fixture.h"

static const struct trail_actor ada = {.label = STR_INIT("ada@example.com")};

static int append(const struct trail_fixture *f, struct trail_event event)
{
    return trail_append_now(f->trail, &ada, &event);
}

static int64_t records(struct trail_fixture *f)
{
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);

    assert_true(r.intact);
    return r.records;
}

static void test_actions_are_a_table(void **state)
{
    for (int i = 0; i < TRAIL_ACTION_COUNT; i++) {
        enum trail_action action = TRAIL_ACTION_COUNT;
        const char *name = trail_action_name((enum trail_action)i);
        assert_true(strlen(trail_action_help((enum trail_action)i)) > 0);
        assert_int_equal(trail_action_parse(str_of(name), &action), 0);
        assert_int_equal(action, i);
    }
    enum trail_action action = TRAIL_USER_LOGIN;
    assert_int_equal(trail_action_parse(STR("user.fly"), &action), 1);
    assert_int_equal(trail_action_parse(STR(""), &action), 1);
    assert_int_equal(action, TRAIL_USER_LOGIN);
    assert_null(trail_action_name(TRAIL_ACTION_COUNT));
    assert_null(trail_action_help((enum trail_action) - 1));
}

static void test_refused(void **state)
{
    struct trail_fixture *f = *state;
    static char big[64 * 1024];
    struct trail_event e = {.action = TRAIL_USER_LOGIN};
    struct trail_actor a = ada;

    memset(big, 'x', sizeof big);
    assert_int_equal(append(f, (struct trail_event){.action = TRAIL_ACTION_COUNT}), FAULT_INTERNAL);
    assert_int_equal(append(f, (struct trail_event){.action = (enum trail_action) - 1}),
                     FAULT_INTERNAL);
    e.subject = (struct str){"a\0b", 3};
    assert_int_equal(append(f, e), FAULT_INTERNAL);
    e.subject = STR("\xC3\x28");
    assert_int_equal(append(f, e), FAULT_INTERNAL);
    e.subject = (struct str){big, TRAIL_LABEL_MAX + 1};
    assert_int_equal(append(f, e), FAULT_LIMIT);
    e.subject = STR("");
    e.detail = (struct str){big, sizeof big};
    assert_int_equal(append(f, e), FAULT_LIMIT);
    static const char *const details[] = {"[]",          "x",   "{\"a\":1}{}", "{\"a\":1,\"a\":2}",
                                          "{\"a\":\n1}", "null"};
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        e.detail = str_of(details[i]);
        assert_int_equal(append(f, e), FAULT_INTERNAL);
    }
    e.detail = STR("");
    a.label = (struct str){big, TRAIL_LABEL_MAX + 1};
    assert_int_equal(trail_append_now(f->trail, &a, &e), FAULT_LIMIT);
    a = ada;
    a.ip = (struct str){big, TRAIL_IP_MAX + 1};
    assert_int_equal(trail_append_now(f->trail, &a, &e), FAULT_LIMIT);
    a.ip = STR("1\n\xFF");
    assert_int_equal(trail_append_now(f->trail, &a, &e), FAULT_INTERNAL);
    assert_int_equal(records(f), 0);
}

static void test_longest_and_hostile_text(void **state)
{
    struct trail_fixture *f = *state;
    static char big[TRAIL_DETAIL_MAX];
    struct trail_event e = {.action = TRAIL_USER_LOGIN};
    struct trail_actor a = {.label =
                                STR("\r\n\"quoted\",'); DROP TABLE trail; -- \xF0\x9F\x94\x92")};

    memset(big, 'x', sizeof big);
    e.subject = (struct str){big, TRAIL_LABEL_MAX};
    a.ip = (struct str){big, TRAIL_IP_MAX};
    assert_done(trail_append_now(f->trail, &a, &e));
    e.subject = STR("\t\x01\x7F");
    memcpy(big, "{\"a\":\"", 6);
    memcpy(big + sizeof big - 2, "\"}", 2);
    e.detail = (struct str){big, sizeof big};
    assert_done(trail_append_now(f->trail, &a, &e));
    e.detail = STR("{\"a\":\"\\u0000\\n\",\"b\":null}");
    assert_done(trail_append_now(f->trail, &a, &e));
    assert_int_equal(records(f), 3);
}

struct pair {
    const struct trail_fixture *f;
    int result;
};

static int two_then_result(struct store_txn *txn, void *arg)
{
    const struct pair *p = arg;
    struct trail_event event = {.action = TRAIL_TENANT_CREATE};
    int e = trail_append(p->f->trail, txn, &ada, &event);

    if (!e)
        e = trail_append(p->f->trail, txn, &ada, &event);
    return e ? e : p->result;
}

static void test_goes_with_its_transaction(void **state)
{
    struct trail_fixture *f = *state;
    struct pair p = {f, 7};

    assert_int_equal(store_write(f->s, two_then_result, &p), 7);
    assert_int_equal(records(f), 0);
    p.result = 0;
    assert_done(store_write(f->s, two_then_result, &p));
    assert_int_equal(records(f), 2);
    p.result = FAULT_INTERNAL;
    assert_int_equal(store_write(f->s, two_then_result, &p), FAULT_INTERNAL);
    p.result = 0;
    assert_done(store_write(f->s, two_then_result, &p));
    assert_int_equal(records(f), 4);
}

static void test_a_damaged_head_is_not_continued(void **state)
{
    static const char *const edits[] = {
        "DELETE FROM trail_head",           "UPDATE trail_head SET seq = 2",
        "UPDATE trail_head SET mac = seal", "UPDATE trail_head SET key_id = 'ffffffff'",
        "UPDATE trail_head SET seal = ''",
    };
    struct trail_fixture *f = *state;
    struct trail_event e = {.action = TRAIL_USER_LOGIN};

    trail_fixture_fill(f->trail, f->s, 3);
    trail_fixture_keep(f);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        if (f->base->postgres && strstr(edits[i], "''"))
            continue; /* there a text is no BYTEA */
        trail_fixture_alter(f, edits[i]);
        assert_int_equal(append(f, e), FAULT_STORE);
        assert_non_null(strstr(fault_message(), "the trail's head"));
        trail_fixture_put_back(f);
    }
    assert_done(append(f, e));
    /* An authentic head that is older than the records. */
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_alter(f, "INSERT INTO trail_head SELECT * FROM kept_head");
    assert_int_equal(append(f, e), FAULT_STORE);
    trail_fixture_put_back(f);
    assert_int_equal(records(f), 3);
}

static void test_key_rotation(void **state)
{
    struct trail_fixture *f = *state;
    struct trail *without = trail_fixture_new(f, f->s, trail_fixture_secrets[1], NULL, 0);
    struct trail *with =
        trail_fixture_new(f, f->s, trail_fixture_secrets[1], trail_fixture_secrets, 1);
    struct trail *third =
        trail_fixture_new(f, f->s, trail_fixture_secrets[2], trail_fixture_secrets, 2);
    struct trail_event e = {.action = TRAIL_USER_LOGIN};

    trail_fixture_fill(f->trail, f->s, 3);
    /* A new key without the old one would leave records that nobody can verify. */
    assert_int_equal(trail_append_now(without, &ada, &e), FAULT_STORE);
    assert_non_null(strstr(fault_message(), "not configured"));
    trail_fixture_fill(with, f->s, 3);
    trail_fixture_fill(third, f->s, 3);
    assert_true(trail_fixture_verify(f, third, NULL).intact);
    assert_int_equal(trail_fixture_verify(f, without, NULL).findings[FINDING_UNKNOWN_KEY], 6);
    assert_int_equal(trail_fixture_verify(f, with, NULL).findings[FINDING_UNKNOWN_KEY], 3);
    trail_free(without);
    trail_free(with);
    trail_free(third);
}

static void test_too_many_keys(void **state)
{
    struct trail_fixture *f = *state;
    uint8_t retired[TRAIL_RETIRED_MAX + 1][TRAIL_SECRET_SIZE] = {{0}};
    struct trail_options o = {.logs_dir = NULL};
    struct trail *t = NULL;

    assert_int_equal(trail_new(f->s, trail_fixture_secrets[0],
                               (const uint8_t(*)[TRAIL_SECRET_SIZE])retired, TRAIL_RETIRED_MAX + 1,
                               &o, &t),
                     FAULT_LIMIT);
    assert_null(t);
    trail_free(NULL);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        {"test_actions_are_a_table", test_actions_are_a_table, NULL, NULL, NULL},
        TRAIL_BOTH(test_refused),
        TRAIL_BOTH(test_longest_and_hostile_text),
        TRAIL_BOTH(test_goes_with_its_transaction),
        TRAIL_BOTH(test_a_damaged_head_is_not_continued),
        TRAIL_BOTH(test_key_rotation),
        {"test_too_many_keys", test_too_many_keys, trail_fixture_sqlite, trail_fixture_release,
         NULL},
    };

    return FIXTURE_RUN(tests);
}
