/* What someone who can write to the database may try, and what the verification says of it. */
#include "trail/fixture.h"

static void test_empty_and_whole(void **state)
{
    struct trail_fixture *f = *state;
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);

    assert_true(r.intact && r.records == 0 && r.head == 0);
    trail_fixture_fill(f->trail, f->s, 3000); /* more than one page */
    r = trail_fixture_verify(f, f->trail, NULL);
    assert_true(r.intact);
    assert_int_equal(r.records, 3000);
    assert_int_equal(r.head, 3000);
}

static void test_each_column_is_covered(void **state)
{
    static const char *const edits[] = {
        "UPDATE trail SET at = at + 1 WHERE seq = 5",
        "UPDATE trail SET tenant_id = NULL WHERE seq = 5",
        "UPDATE trail SET tenant_id = request_id WHERE seq = 5",
        "UPDATE trail SET actor_id = NULL WHERE seq = 5",
        "UPDATE trail SET actor = 'eve@example.com' WHERE seq = 5",
        "UPDATE trail SET action = 'user.create' WHERE seq = 5",
        "UPDATE trail SET subject_id = request_id WHERE seq = 5",
        "UPDATE trail SET subject = '' WHERE seq = 5",
        "UPDATE trail SET actor = '', subject = actor WHERE seq = 5",
        "UPDATE trail SET ip = '192.0.2.8' WHERE seq = 5",
        "UPDATE trail SET request_id = NULL WHERE seq = 5",
        "UPDATE trail SET detail = '{}' WHERE seq = 5",
        "UPDATE trail SET previous = mac WHERE seq = 5",
        "UPDATE trail SET mac = previous WHERE seq = 5",
    };
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_keep(f);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        trail_fixture_alter(f, edits[i]);
        struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
        if (trail_fixture_findings(&r) != 1 || f->last.kind != FINDING_EDITED || f->last.seq != 5)
            fail_msg("%s: %lld findings, the last %s of %lld", edits[i],
                     (long long)trail_fixture_findings(&r), trail_finding_name(f->last.kind),
                     (long long)f->last.seq);
        trail_fixture_put_back(f);
        assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
    }
}

static void assert_only(struct trail_fixture *f, enum trail_finding_kind kind, int64_t seq,
                        int64_t last)
{
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);

    if (trail_fixture_findings(&r) != 1 || f->last.kind != kind || f->last.seq != seq ||
        f->last.last != last)
        fail_msg("%lld findings, the last %s of %lld to %lld",
                 (long long)trail_fixture_findings(&r), trail_finding_name(f->last.kind),
                 (long long)f->last.seq, (long long)f->last.last);
}

static void test_removed(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_keep(f);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 5");
    assert_only(f, FINDING_REMOVED, 5, 5);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 1");
    assert_only(f, FINDING_REMOVED, 1, 1);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq BETWEEN 4 AND 6");
    assert_only(f, FINDING_REMOVED, 4, 6);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq > 8");
    assert_only(f, FINDING_TRUNCATED, 9, 10);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, "DELETE FROM trail");
    assert_only(f, FINDING_TRUNCATED, 1, 10);
}

static void test_removed_and_closed_up(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 9");
    trail_fixture_alter(f, "UPDATE trail SET seq = 9 WHERE seq = 10");
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_EDITED], 1);
    assert_int_equal(r.first.seq, 9);
    assert_int_equal(r.findings[FINDING_TRUNCATED], 1);
}

static void test_swapped(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_alter(f, "UPDATE trail SET seq = 99 WHERE seq = 3");
    trail_fixture_alter(f, "UPDATE trail SET seq = 3 WHERE seq = 7");
    trail_fixture_alter(f, "UPDATE trail SET seq = 7 WHERE seq = 99");
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_EDITED], 2);
    assert_int_equal(trail_fixture_findings(&r), 2);
    assert_int_equal(r.first.seq, 3);
    assert_int_equal(f->last.seq, 7);
}

#define COPY_AS(seq)                                                                               \
    "INSERT INTO trail SELECT " seq ", at, tenant_id, actor_id, actor, action, subject_id,"        \
    " subject, ip, request_id, detail, previous, key_id, mac FROM trail WHERE seq = 10"

static void test_inserted(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_keep(f);
    trail_fixture_alter(f, COPY_AS("11"));
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_EDITED], 1);
    assert_int_equal(r.first.seq, 11);
    assert_int_equal(r.findings[FINDING_HEAD], 1);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, COPY_AS("0"));
    assert_only(f, FINDING_INSERTED, 0, 0);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, COPY_AS("-5"));
    assert_only(f, FINDING_INSERTED, -5, -5);
}

/* SQLite stores what it is given, whatever the column's type. */
static void test_inserted_out_of_numbers(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_keep(f);
    trail_fixture_alter(f, COPY_AS("3.5"));
    assert_only(f, FINDING_INSERTED, 3, 3);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, COPY_AS("'x'"));
    assert_only(f, FINDING_INSERTED, 0, 0);
    trail_fixture_put_back(f);
    trail_fixture_alter(f, COPY_AS("NULL"));
    assert_only(f, FINDING_INSERTED, 0, 0);
    trail_fixture_put_back(f);
    trail_fixture_alter(
        f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
           " INSERT INTO trail SELECT 3 + n.i / 4000.0, at, tenant_id, actor_id, actor,"
           " action, subject_id, subject, ip, request_id, detail, previous, key_id, mac"
           " FROM trail, n WHERE seq = 10");
    assert_false(trail_fixture_verify(f, f->trail, NULL).intact);
}

static void test_records_of_another_course_do_not_fit(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 3);
    trail_fixture_keep(f);
    trail_fixture_fill(f->trail, f->s, 2);
    trail_fixture_alter(f, "CREATE TABLE other AS SELECT * FROM trail");
    trail_fixture_put_back(f);
    trail_fixture_fill(f->trail, f->s, 4);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 4");
    trail_fixture_alter(f, "INSERT INTO trail SELECT * FROM other WHERE seq = 4");
    assert_only(f, FINDING_UNLINKED, 5, 5);
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq = 5");
    trail_fixture_alter(f, "INSERT INTO trail SELECT * FROM other WHERE seq = 5");
    assert_only(f, FINDING_UNLINKED, 6, 6);
}

static void test_another_key(void **state)
{
    struct trail_fixture *f = *state;
    struct trail *forger = trail_fixture_new(f, f->s, trail_fixture_secrets[1], NULL, 0);
    struct trail *other = trail_fixture_new(f, f->s, trail_fixture_secrets[2], NULL, 0);

    trail_fixture_fill(forger, f->s, 10);
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_UNKNOWN_KEY], 10);
    assert_int_equal(r.findings[FINDING_HEAD], 1);

    /* Under our key's id, which is no secret. */
    trail_fixture_alter(f, "CREATE TABLE forged AS SELECT * FROM trail");
    trail_fixture_alter(f, "CREATE TABLE forged_head AS SELECT * FROM trail_head");
    trail_fixture_alter(f, "DELETE FROM trail");
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_fill(f->trail, f->s, 1);
    trail_fixture_alter(f, "UPDATE forged SET key_id = (SELECT key_id FROM trail)");
    trail_fixture_alter(f, "UPDATE forged_head SET key_id = (SELECT key_id FROM trail)");
    trail_fixture_alter(f, "DELETE FROM trail");
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_alter(f, "INSERT INTO trail SELECT * FROM forged");
    trail_fixture_alter(f, "INSERT INTO trail_head SELECT * FROM forged_head");
    r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_EDITED], 10);
    assert_int_equal(r.findings[FINDING_HEAD], 1);
    assert_int_equal(trail_fixture_verify(f, other, NULL).findings[FINDING_UNKNOWN_KEY], 10);
    trail_free(forger);
    trail_free(other);
}

static void test_head(void **state)
{
    static const char *const edits[] = {
        "UPDATE trail_head SET seq = 8",
        "UPDATE trail_head SET mac = seal",
        "UPDATE trail_head SET seal = mac",
        "UPDATE trail_head SET key_id = '00000000'",
        "UPDATE trail_head SET key_id = ''",
        "UPDATE trail_head SET chain = (SELECT request_id FROM trail WHERE seq = 1)",
        "DELETE FROM trail_head",
    };
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 10);
    trail_fixture_keep(f);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        trail_fixture_alter(f, edits[i]);
        assert_only(f, FINDING_HEAD, 10, 10);
        trail_fixture_put_back(f);
    }
    /* An older head, authentic once. */
    trail_fixture_fill(f->trail, f->s, 2);
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_alter(f, "INSERT INTO trail_head SELECT * FROM kept_head");
    assert_only(f, FINDING_HEAD, 10, 10);
    /* Put back whole, the store alone cannot tell. */
    trail_fixture_put_back(f);
    assert_true(trail_fixture_verify(f, f->trail, NULL).intact);
}

static void test_several_at_once(void **state)
{
    struct trail_fixture *f = *state;

    trail_fixture_fill(f->trail, f->s, 2500);
    trail_fixture_alter(f, "UPDATE trail SET detail = '{}' WHERE seq IN (3, 4, 1500, 2500)");
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq IN (1024, 2000, 2001)");
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_int_equal(r.findings[FINDING_EDITED], 4);
    assert_int_equal(r.findings[FINDING_REMOVED], 2);
    assert_int_equal(trail_fixture_findings(&r), 6);
    assert_int_equal(r.first.seq, 3);
    assert_int_equal(f->last.seq, 2500);
}

static void test_report_in_words(void **state)
{
    struct trail_fixture *f = *state;
    _cleanup_buf_ struct buf text = buf_init(4096);

    trail_fixture_fill(f->trail, f->s, 10);
    struct trail_report r = trail_fixture_verify(f, f->trail, NULL);
    assert_done(trail_report_format(&r, &text));
    assert_non_null(strstr(buf_cstr(&text), "10 records read, up to 10, head "));
    assert_non_null(strstr(buf_cstr(&text), "The trail is intact."));
    trail_fixture_alter(f, "DELETE FROM trail WHERE seq BETWEEN 4 AND 6");
    r = trail_fixture_verify(f, f->trail, NULL);
    buf_reset(&text);
    assert_done(trail_report_format(&r, &text));
    assert_non_null(strstr(buf_cstr(&text), "First: records 4 to 6 were removed."));
    for (int i = 0; i < FINDING_KINDS; i++) {
        struct trail_finding finding = {(enum trail_finding_kind)i, 1, 1, i % 2};
        buf_reset(&text);
        assert_done(trail_finding_format(&finding, &text));
        assert_true(text.n > 10);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        TRAIL_BOTH(test_empty_and_whole),
        TRAIL_BOTH(test_each_column_is_covered),
        TRAIL_BOTH(test_removed),
        TRAIL_BOTH(test_removed_and_closed_up),
        TRAIL_BOTH(test_swapped),
        TRAIL_BOTH(test_inserted),
        {"test_inserted_out_of_numbers", test_inserted_out_of_numbers, trail_fixture_sqlite,
         trail_fixture_release, NULL},
        TRAIL_BOTH(test_records_of_another_course_do_not_fit),
        TRAIL_BOTH(test_another_key),
        TRAIL_BOTH(test_head),
        TRAIL_BOTH(test_several_at_once),
        TRAIL_BOTH(test_report_in_words),
    };

    return FIXTURE_RUN(tests);
}
