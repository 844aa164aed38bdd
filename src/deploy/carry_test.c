/* What is safer in the live database is in the restored one, what is not stays as it was, and the
 * trail goes on: on both engines. */
#include "deploy/carry.h"

#include "base/clock.h"
#include "deploy/carry_internal.h"
#include "deploy/carry_scene.h"

#define YEAR_MS ((int64_t)365 * CLOCK_DAY)

#define NEW_USER                                                                                   \
    "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at,"           \
    " password_temporary, disabled, failed_logins, email_status, totp_active, totp_last_step,"     \
    " created_at, updated_at) VALUES (#70, #ee, 'late@example.com', 'operator', 'x', 1, 0, 1, 0,"  \
    " 'ok', 0, 0, 1, 1)"
#define CODE(user, code) "INSERT INTO recovery_codes VALUES (#" user ", #" code ", NULL)"
#define ENTRY(tenant, address, reason, until)                                                      \
    "INSERT INTO suppressions VALUES (#" tenant ", '" address "', '" reason                        \
    "', 'api', '', 1, 'x', " until ")"
#define DEPLOYMENT(id, records, state)                                                             \
    "INSERT INTO deployments VALUES (#" id ", 'prod', '2', '1', '" state "', 'x', 1, 0, " records  \
    ", '{}')"

static const struct {
    const char *before, *since; /* before the backup, and since; NULL: nothing */
    const char *holds;          /* of the restored database: a condition of one row */
    const char *rule;           /* whose number is told; NULL: none */
    int64_t told;
} cases[] = {
    {NULL, "UPDATE users SET disabled = 1 WHERE id = #01", "users WHERE id = #01 AND disabled = 1",
     "accountsDisabled", 1},
    {"UPDATE users SET disabled = 1 WHERE id = #02", "UPDATE users SET disabled = 0 WHERE id = #02",
     "users WHERE id = #02 AND disabled = 1", NULL, 0},
    {NULL, "UPDATE users SET role = 'member' WHERE id = #03",
     "users WHERE id = #03 AND role = 'member'", "rolesLowered", 1},
    {NULL, "UPDATE users SET role = 'operator' WHERE id = #04",
     "users WHERE id = #04 AND role = 'admin'", NULL, 0},
    {NULL, "UPDATE users SET locked_at = 5, failed_logins = 7 WHERE id = #05",
     "users WHERE id = #05 AND locked_at = 5 AND locked_until IS NULL AND failed_logins = 7",
     "accountsLocked", 2},
    {"UPDATE users SET locked_at = 5 WHERE id = #06",
     "UPDATE users SET locked_at = NULL WHERE id = #06", "users WHERE id = #06 AND locked_at = 5",
     NULL, 0},
    {"UPDATE users SET locked_at = 5, locked_until = 9 WHERE id = #07",
     "UPDATE users SET locked_until = 99 WHERE id = #07",
     "users WHERE id = #07 AND locked_at = 5 AND locked_until = 99", NULL, 0},
    {NULL, "UPDATE users SET password_hash = 'new', password_changed_at = 200 WHERE id = #08",
     "users WHERE id = #08 AND password_hash = 'new' AND password_changed_at = 200",
     "passwordsChanged", 1},
    {NULL, "UPDATE users SET password_hash = 'new', password_changed_at = 200 WHERE id = #09",
     "users WHERE id = #09 AND password_hash = 'old' AND password_changed_at = 100",
     "passwordsUnrecorded", 1},
    {NULL, "UPDATE users SET totp_secret = #aa, totp_active = 1, totp_last_step = 4 WHERE id = #0a",
     "users WHERE id = #0a AND totp_secret = #aa AND totp_active = 1 AND totp_last_step = 4",
     "secondFactors", 2},
    {NULL, CODE("0a", "c1"), "recovery_codes WHERE user_id = #0a AND code_mac = #c1", NULL, 0},
    {"UPDATE users SET totp_secret = #bb, totp_active = 1, totp_last_step = 4 WHERE id = #0b",
     "UPDATE users SET totp_secret = NULL, totp_active = 0, totp_last_step = 0 WHERE id = #0b",
     "users WHERE id = #0b AND totp_secret = #bb AND totp_active = 1 AND totp_last_step = 4", NULL,
     0},
    {"UPDATE users SET totp_secret = #cc, totp_active = 1, totp_last_step = 4 WHERE id = #0c",
     "UPDATE users SET totp_last_step = 6 WHERE id = #0c",
     "users WHERE id = #0c AND totp_last_step = 6", NULL, 0},
    {CODE("0c", "c2"), "UPDATE recovery_codes SET used_at = 3 WHERE code_mac = #c2",
     "recovery_codes WHERE user_id = #0c AND code_mac = #c2 AND used_at = 3", "recoveryCodes", 1},
    {CODE("0c", "c3"), NULL, "recovery_codes WHERE user_id = #0c AND code_mac = #c3", NULL, 0},
    {"UPDATE users SET totp_secret = #dd, totp_active = 1 WHERE id = #0d", NULL,
     "users WHERE id = #0d AND totp_active = 1", NULL, 0},
    {CODE("0d", "c4"), "UPDATE recovery_codes SET code_mac = #c5 WHERE code_mac = #c4",
     "(SELECT count(*) AS n FROM recovery_codes WHERE code_mac = #c4) t, recovery_codes r WHERE"
     " r.user_id = #0d AND r.code_mac = #c5 AND n = 0",
     NULL, 0},
    {NULL, "UPDATE users SET email_status = 'invalid' WHERE id = #0e",
     "users WHERE id = #0e AND email_status = 'invalid'", "mailEnded", 1},
    {"UPDATE users SET email_status = 'unsubscribed' WHERE id = #0f",
     "UPDATE users SET email_status = 'invalid', email = 'other@example.com' WHERE id = #0f",
     "users WHERE id = #0f AND email_status = 'unsubscribed' AND email = 'u15@example.com'", NULL,
     0},
    {NULL, "INSERT INTO preferences VALUES (#10, 0, 1, 5)",
     "preferences WHERE user_id = #10 AND email_security = 0 AND email_product = 1",
     "preferencesNew", 1},
    {"INSERT INTO preferences VALUES (#11, 0, 1, 5)",
     "UPDATE preferences SET email_security = 1, email_product = 0 WHERE user_id = #11",
     "preferences WHERE user_id = #11 AND email_security = 0 AND email_product = 0", "preferences",
     1},
    {"INSERT INTO preferences VALUES (#12, 0, 0, 5)", "DELETE FROM preferences WHERE user_id = #12",
     "preferences WHERE user_id = #12 AND email_product = 0", NULL, 0},
    {NULL, "DELETE FROM users WHERE id = #13",
     "(SELECT count(*) AS n FROM users WHERE id = #13) t WHERE n = 0", "accountsDeleted", 1},
    {NULL, "DELETE FROM users WHERE id = #14", "users WHERE id = #14", NULL, 0},
    {NULL, "UPDATE families SET revoked_at = 7, revoked_reason = 'stolen' WHERE id = #81",
     "families WHERE id = #81 AND revoked_at = 7 AND revoked_reason = 'stolen'", "sessionsEnded",
     1},
    {"UPDATE families SET revoked_at = 7, revoked_reason = 'stolen' WHERE id = #82",
     "UPDATE families SET revoked_at = NULL, revoked_reason = NULL WHERE id = #82",
     "families WHERE id = #82 AND revoked_at = 7", NULL, 0},
    {NULL,
     "UPDATE families SET generation = 8, rotated_at = 20, issued_at = 21, idle_expires_at ="
     " 9000000000001 WHERE id = #83",
     "families WHERE id = #83 AND generation = 8 AND rotated_at = 20 AND issued_at = 21",
     "sessionsForward", 1},
    {"UPDATE families SET generation = 9 WHERE id = #84",
     "UPDATE families SET generation = 8 WHERE id = #84",
     "families WHERE id = #84 AND generation = 9", NULL, 0},
    {NULL, "INSERT INTO feed (at, kind, subject_id, expires_at) VALUES (5, 'family', #85, 9)",
     "families WHERE id = #85 AND revoked_at = 5", "sessionsEndedByFeed", 1},
    {NULL, "DELETE FROM families WHERE id = #86", "families WHERE id = #86 AND revoked_at IS NULL",
     NULL, 0},
    {NULL, "INSERT INTO epochs VALUES (#15, 4, 4, 'breach')",
     "epochs WHERE user_id = #15 AND not_before = 4 AND reason = 'breach'", "epochs", 1},
    {"INSERT INTO epochs VALUES (#16, 4, 4, 'breach')", "DELETE FROM epochs WHERE user_id = #16",
     "epochs WHERE user_id = #16", NULL, 0},
    {NULL, ENTRY("00", "gone@x.example", "bounce", "NULL"),
     "suppressions WHERE address = 'gone@x.example' AND reason = 'bounce'", "suppressions", 2},
    {NULL, ENTRY("ee", "gone@x.example", "complaint", "5"),
     "suppressions WHERE address = 'gone@x.example' AND tenant_id = #ee AND expires_at = 5", NULL,
     0},
    {ENTRY("00", "longer@x.example", "manual", "5"),
     "UPDATE suppressions SET expires_at = NULL WHERE address = 'longer@x.example'",
     "suppressions WHERE address = 'longer@x.example' AND expires_at IS NULL", "suppressionsLonger",
     1},
    {ENTRY("00", "shorter@x.example", "manual", "50"),
     "UPDATE suppressions SET expires_at = 5 WHERE address = 'shorter@x.example'",
     "suppressions WHERE address = 'shorter@x.example' AND expires_at = 50", NULL, 0},
    {ENTRY("00", "lifted@x.example", "manual", "NULL"),
     "DELETE FROM suppressions WHERE address = 'lifted@x.example'",
     "suppressions WHERE address = 'lifted@x.example'", NULL, 0},
    {NULL, ENTRY("dd", "stranger@x.example", "bounce", "NULL"),
     "(SELECT count(*) AS n FROM suppressions WHERE tenant_id = #dd) t WHERE n = 0", NULL, 0},
    {NULL, "INSERT INTO suppression_tenants VALUES (#ee, 'gone@x.example', 'bounce')",
     "suppression_tenants WHERE tenant_id = #ee", NULL, 0},
    {NULL, "INSERT INTO soft_bounces VALUES ('soft@x.example', 'm', 5)",
     "soft_bounces WHERE address = 'soft@x.example'", "softBounces", 1},
    {DEPLOYMENT("d1", "3", "running"),
     "UPDATE deployments SET state = 'done', records = 9 WHERE id = #d1",
     "deployments WHERE id = #d1 AND state = 'done' AND records = 9", "deployments", 2},
    {NULL, DEPLOYMENT("d2", "4", "failed"), "deployments WHERE id = #d2 AND state = 'failed'", NULL,
     0},
    {NULL, NEW_USER, "(SELECT count(*) AS n FROM users WHERE id = #70) t WHERE n = 0",
     "accountsNew", 1},
    {NULL, "INSERT INTO epochs VALUES (#70, 4, 4, 'breach')",
     "(SELECT count(*) AS n FROM epochs WHERE user_id = #70) t WHERE n = 0", NULL, 0},
    {NULL, "INSERT INTO preferences VALUES (#70, 0, 0, 5)",
     "(SELECT count(*) AS n FROM preferences WHERE user_id = #70) t WHERE n = 0", NULL, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static void change_all(struct carry_scene *s)
{
    struct carry_statements all = {.s = s};

    for (size_t i = 0; i < CASES; i++)
        if (cases[i].since)
            all.sql[all.n++] = cases[i].since;
    carry_scene_run_all(s->live, &all);
    carry_scene_record(s->live, TRAIL_PASSWORD_CHANGE, 8);
    carry_scene_record(s->live, TRAIL_USER_DELETE, 0x13);
}

static void assert_cases(struct carry_scene *s)
{
    char sql[500];

    for (size_t i = 0; i < CASES; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", cases[i].holds);
        if (carry_scene_number(s, s->restored, sql) != 1)
            fail_msg("not so: %s", cases[i].holds);
    }
}

static void test_each_rule(void **state)
{
    struct carry_scene *s = *state;
    struct carry_statements before = {.s = s};

    for (size_t i = 0; i < CASES; i++)
        if (cases[i].before)
            before.sql[before.n++] = cases[i].before;
    carry_scene_run_all(s->live, &before);
    carry_scene_copy(s);
    change_all(s);
    carry_scene_carry_well(s);
    assert_cases(s);
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].rule && carry_scene_told(s, cases[i].rule) != cases[i].told)
            fail_msg("%s: %lld", cases[i].rule, (long long)carry_scene_told(s, cases[i].rule));
    for (size_t i = 0; i < carry_rules_count; i++) {
        bool tried = !carry_rules[i].name || strcmp(carry_rules[i].name, "allEnded") == 0 ||
                     strcmp(carry_rules[i].name, "feed") == 0 ||
                     strcmp(carry_rules[i].name, "sessionsNew") == 0;
        for (size_t j = 0; j < CASES; j++)
            tried = tried || (cases[j].rule && strcmp(cases[j].rule, carry_rules[i].name) == 0);
        if (!tried)
            fail_msg("no case tries %s", carry_rules[i].name);
    }
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_EXTENDED);
    assert_int_equal(s->carry.report.trail_from, 2);
    assert_int_equal(s->carry.report.trail_to, 4);
    assert_true(carry_scene_verify(s->restored).intact);
    assert_int_equal(carry_scene_verify(s->restored).head, 4);

    /* Once more: nothing is left to do. */
    s->carry.report = (struct carry_report){.ms = 0};
    carry_scene_carry_well(s);
    assert_cases(s);
    for (size_t i = 0; i < carry_rules_count; i++)
        if (!carry_rules[i].counts && s->carry.report.rows[i])
            fail_msg("again: %lld %s", (long long)s->carry.report.rows[i], carry_rules[i].says);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_SAME);
    carry_scene_record(s->restored, TRAIL_SERVER_START, 0);
    assert_true(carry_scene_verify(s->restored).intact);
}

/* The numbers of the feed go on behind those that running nodes have read. */
static void test_feed(void **state)
{
    struct carry_scene *s = *state;
#define ADD(at, subject)                                                                           \
    "INSERT INTO feed (at, kind, subject_id, expires_at) VALUES (" at ", 'user', #" subject ", 9)"

    carry_scene_run(s, s->live, ADD("5", "01"));
    carry_scene_copy(s);
    carry_scene_run(s, s->live, ADD("5", "03"));
    carry_scene_run(s, s->live, ADD("5", "04"));
    int64_t last = carry_scene_number(s, s->live, "SELECT max(seq) FROM feed");
    /* A past of its own: what is under the same number elsewhere is not lost. */
    carry_scene_run(s, s->restored, ADD("6", "02"));
    carry_scene_carry_well(s);
    assert_int_equal(carry_scene_told(s, "feed"), 1);
    assert_int_equal(carry_scene_number(s, s->restored, "SELECT count(*) FROM feed WHERE at = 5"),
                     3);
    assert_int_equal(carry_scene_number(s, s->restored, "SELECT count(*) FROM feed WHERE at = 6"),
                     1);
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM feed WHERE kind = 'all' AND seq > %lld",
             (long long)last);
    assert_int_equal(carry_scene_number(s, s->restored, sql), 1);
    carry_scene_run(s, s->restored, ADD("7", "05"));
}

static void test_old_backup(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    s->manifest.taken_at -= YEAR_MS;
    carry_scene_carry_well(s);
    assert_int_equal(carry_scene_told(s, "allEnded"), CARRY_SCENE_USERS);
    assert_int_equal(
        carry_scene_number(s, s->restored, "SELECT count(*) FROM epochs WHERE not_before > 1"),
        CARRY_SCENE_USERS);
}

/* What was carried over while the live database served, and what came until the fence. */
static void test_twice(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    carry_scene_run(s, s->live, "UPDATE users SET disabled = 1 WHERE id = #01");
    carry_scene_run(s, s->live, NEW_USER);
    carry_scene_run(s, s->live, ADD("5", "01"));
    carry_scene_record(s->live, TRAIL_USER_LOGIN, 1);
    s->manifest.taken_at -= YEAR_MS;
    s->ahead = true;
    carry_scene_carry_well(s);
    assert_int_equal(
        carry_scene_number(s, s->restored, "SELECT count(*) FROM feed WHERE kind = 'all'"), 0);
    /* What it has seen is not read again. */
    carry_scene_run(s, s->restored, "UPDATE users SET disabled = 0 WHERE id = #01");
    carry_scene_run(s, s->live, "UPDATE users SET disabled = 1 WHERE id = #02");
    carry_scene_run(
        s, s->live,
        "UPDATE users SET password_hash = 'new', password_changed_at = 200 WHERE id = #08");
    carry_scene_run(s, s->live, ADD("6", "02"));
    carry_scene_record(s->live, TRAIL_PASSWORD_CHANGE, 8);
    s->ahead = false;
    carry_scene_carry_well(s);
    assert_int_equal(
        carry_scene_number(s, s->restored, "SELECT count(*) FROM users WHERE disabled = 1"), 1);
    assert_int_equal(carry_scene_told(s, "accountsNew"), 1);
    assert_int_equal(carry_scene_told(s, "accountsDisabled"), 2);
    assert_int_equal(carry_scene_told(s, "passwordsChanged"), 1);
    assert_int_equal(carry_scene_told(s, "feed"), 2);
    assert_int_equal(carry_scene_told(s, "allEnded"), CARRY_SCENE_USERS);
    assert_int_equal(s->carry.report.installations, 1);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_EXTENDED);
    assert_int_equal(s->carry.report.trail_from, 2);
    assert_int_equal(s->carry.report.trail_to, 4);
    assert_true(carry_scene_verify(s->restored).intact);
    assert_int_equal(
        carry_scene_number(s, s->restored, "SELECT count(*) FROM feed WHERE kind = 'all'"), 1);
}

/* Neither trail is the beginning of the other. */
static void test_parted(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    carry_scene_record(s->live, TRAIL_USER_LOGIN, 1);
    carry_scene_record(s->restored, TRAIL_USER_LOGIN, 2);
    carry_scene_run(s, s->live, "UPDATE users SET disabled = 1 WHERE id = #01");
    assert_int_equal(carry_scene_carry(s), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "is not the beginning of the live one"));
    assert_int_equal(
        carry_scene_number(s, s->restored, "SELECT count(*) FROM users WHERE disabled = 1"), 0);
    s->carry.accept_trail_break = true;
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_PARTED);
    assert_int_equal(carry_scene_told(s, "accountsDisabled"), 1);
    assert_int_equal(carry_scene_verify(s->restored).head, 3);
    assert_true(carry_scene_verify(s->restored).intact);
    struct buf out _cleanup_buf_ = buf_init(CARRY_SCENE_TEXT_MAX);
    carry_print(&s->carry.report, &out);
    assert_non_null(strstr(buf_cstr(&out), "the live one is of another history"));
}

/* Another installation's: the numbers agree, the chain does not. */
static void test_other_chain(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    carry_scene_run(s, s->restored, "DELETE FROM trail");
    carry_scene_run(s, s->restored, "DELETE FROM trail_head");
    carry_scene_record(s->restored, TRAIL_SERVER_START, 0);
    assert_int_equal(carry_scene_carry(s), BACKUP_FAILED);
    carry_scene_run(s, s->restored, "DELETE FROM trail_head");
    assert_int_equal(carry_scene_carry(s), BACKUP_FAILED); /* records without a head */
    carry_scene_run(s, s->restored, "DELETE FROM trail");
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_EXTENDED);
    assert_true(carry_scene_verify(s->restored).intact);
}

/* What was cut off the live trail is in the backup's. */
static void test_short(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    carry_scene_record(s->restored, TRAIL_USER_LOGIN, 2);
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_SHORT);
    assert_int_equal(carry_scene_verify(s->restored).head, 3);
    carry_scene_run(s, s->live, "DELETE FROM trail");
    carry_scene_run(s, s->live, "DELETE FROM trail_head");
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.trail, CARRY_TRAIL_SHORT);
    assert_true(carry_scene_verify(s->restored).intact);
}

/* What was done to the live trail is seen as well in the restored one. */
static void test_tampered(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    for (int i = 0; i < 6; i++)
        carry_scene_record(s->live, TRAIL_USER_LOGIN, 1);
    carry_scene_run(s, s->live, "UPDATE trail SET actor = 'eve' WHERE seq = 4");
    carry_scene_run(s, s->live, "DELETE FROM trail WHERE seq = 6");
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.trail_breaks, 1);
    struct trail_report live = carry_scene_verify(s->live),
                        restored = carry_scene_verify(s->restored);
    assert_false(restored.intact);
    assert_memory_equal(live.findings, restored.findings, sizeof live.findings);
    assert_int_equal(restored.findings[FINDING_EDITED], 1);
    assert_int_equal(restored.findings[FINDING_REMOVED], 1);
}

static void test_too_old(void **state)
{
    struct carry_scene *s = *state;
    char sql[80];

    carry_scene_copy(s);
    snprintf(sql, sizeof sql, "DELETE FROM schema_migrations WHERE version >= %d",
             CARRY_SCHEMA_MIN);
    carry_scene_run(s, s->restored, sql);
    int r = carry_scene_carry_closed(s);
    assert_int_equal(r, BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "those of the backup are of version 8"));
}

/* A later migration's table is left out where one of the two has none. */
static void test_without_later_table(void **state)
{
    struct carry_scene *s = *state;

    carry_scene_copy(s);
    carry_scene_run(s, s->live, DEPLOYMENT("d2", "4", "failed"));
    carry_scene_run(s, s->live, "UPDATE users SET disabled = 1 WHERE id = #01");
    carry_scene_run(s, s->restored, "DROP TABLE deployments");
    carry_scene_carry_well(s);
    assert_int_equal(carry_scene_told(s, "accountsDisabled"), 1);
    assert_int_equal(carry_scene_told(s, "deployments"), 0);
}

/* As many rows as a mass revocation leaves; nothing is done one by one. */
static void test_many(void **state)
{
    struct carry_scene *s = *state;
    char sql[600];

    carry_scene_copy(s);
    for (int side = 0; side < 2; side++) {
        snprintf(sql, sizeof sql,
                 "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                 " INSERT INTO soft_bounces SELECT 'a' || i, 'm', 1 FROM n WHERE i >= %d",
                 side ? 10001 : 1);
        carry_scene_run(s, side ? s->restored : s->live, sql);
    }
    carry_scene_carry_well(s);
    assert_int_equal(carry_scene_told(s, "softBounces"), 10000);
    assert_int_equal(carry_scene_number(s, s->restored, "SELECT count(*) FROM soft_bounces"),
                     20000);
}

/* Only what is younger than the backup is read, where that can be told. */
static void test_younger(void **state)
{
    struct carry_scene *s = *state;
    struct pg *live _cleanup_pg_ = carry_scene_connect(s->live_url);
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    carry_scene_run(s, s->live,
                    "UPDATE families SET revoked_at = 7, revoked_reason = 'x' WHERE id = #81");
    assert_int_equal(pg_query(live,
                              "SELECT pg_current_snapshot(), (SELECT system_identifier FROM"
                              " pg_control_system()), oid FROM pg_database WHERE datname ="
                              " current_database()",
                              NULL, 0, &rows),
                     0);
    s->manifest.snapshot = pg_text(rows, 0, 0);
    s->manifest.system = pg_text(rows, 0, 1);
    s->manifest.oid = pg_text(rows, 0, 2);
    pg_close(live);
    live = NULL;
    carry_scene_copy(s);
    /* As no backup of this moment would be: what came before it is not looked at. */
    carry_scene_run(s, s->restored, "UPDATE families SET revoked_at = NULL WHERE id = #81");
    carry_scene_run(s, s->live,
                    "UPDATE families SET revoked_at = 7, revoked_reason = 'x' WHERE id = #82");
    carry_scene_carry_well(s);
    assert_int_equal(carry_scene_told(s, "sessionsEnded"), 1);
    assert_int_equal(
        carry_scene_number(s, s->restored,
                           "SELECT count(*) FROM families WHERE id = #82 AND revoked_at = 7"),
        1);
}

/* Installations in schemas of any name, two in one database, and one that the backup has not. */
static void test_schemas(void **state)
{
    struct carry_scene *s = *state;
    struct pg *c _cleanup_pg_ = carry_scene_connect(s->live_url);
    char second[900];

    assert_int_equal(pg_run(c, "CREATE SCHEMA \"Odd \"\"'. name\""), 0);
    pg_close(c);
    c = NULL;
    snprintf(second, sizeof second,
             "%s?options=-csearch_path%%3D%%22Odd%%5C%%20%%22%%22%%27.%%5C%%20name%%22",
             s->live_url);
    struct store *other = carry_scene_open(second);
    carry_scene_run(s, other, "INSERT INTO tenants VALUES (#ee, 'Bolt', 1)");
    carry_scene_record(other, TRAIL_SERVER_START, 0);
    store_close(other);
    carry_scene_copy(s);
    other = carry_scene_open(second);
    carry_scene_record(other, TRAIL_SERVER_STOP, 0);
    carry_scene_run(s, other, ENTRY("ee", "gone@x.example", "bounce", "NULL"));
    store_close(other);
    carry_scene_run(s, s->live, "UPDATE users SET disabled = 1 WHERE id = #01");
    carry_scene_run(s, s->live, "CREATE SCHEMA third");
    carry_scene_run(s, s->live, "CREATE TABLE third.feed AS SELECT * FROM feed");
    carry_scene_run(s, s->live, "CREATE TABLE third.families AS SELECT * FROM families");
    carry_scene_run(s, s->live, "CREATE TABLE third.trail_head AS SELECT * FROM trail_head");
    carry_scene_run(s, s->live,
                    "CREATE TABLE third.schema_migrations AS SELECT * FROM schema_migrations");
    carry_scene_carry_well(s);
    assert_int_equal(s->carry.report.installations, 2);
    assert_int_equal(s->carry.report.alone, 1);
    assert_int_equal(carry_scene_told(s, "accountsDisabled"), 1);
    assert_int_equal(carry_scene_told(s, "suppressions"), 1);
    c = carry_scene_connect(s->restored_url);
    assert_int_equal(pg_run(c, "SELECT 1 / (count(*) - 1) FROM \"Odd \"\"'. name\".trail"), 0);

    /* Where the backup has none of them, nothing is to be done. */
    s->carry.report = (struct carry_report){.ms = 0};
    struct buf out _cleanup_buf_ = buf_init(CARRY_SCENE_TEXT_MAX);
    assert_int_equal(pg_run(c, "DROP TABLE feed; DROP TABLE \"Odd \"\"'. name\".feed"), 0);
    struct pg *live _cleanup_pg_ = carry_scene_connect(s->live_url);
    assert_int_equal(carry_over(&s->carry, live, c, true), 0);
    assert_int_equal(s->carry.report.installations, 0);
    assert_int_equal(s->carry.report.alone, 3);
    carry_print(&s->carry.report, &out);
    assert_non_null(strstr(buf_cstr(&out), "in the live database alone"));
}

/* Without the live rows nothing is guessed: it is refused, or an export stands in. */
static void test_blind(void **state)
{
    struct carry_scene *s = *state;
    char path[128];

    carry_scene_copy(s);
    carry_scene_close(s);
    /* As a database is set whose product may not write meanwhile. */
    snprintf(path, sizeof path, "ALTER DATABASE %s_r SET default_transaction_read_only = on",
             s->p->database);
    product_admin(path);
    struct pg *restored _cleanup_pg_ = carry_scene_connect(s->restored_url);
    assert_int_equal(carry_over(&s->carry, NULL, restored, true), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "cannot be carried over"));
    snprintf(path, sizeof path, "%s/trail.jsonl", s->directory);
    s->carry.trail_export = path;
    assert_int_equal(carry_over(&s->carry, NULL, restored, true), FAULT_IO);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"seq\":3,\"at\":\"2026-11-21T03:00:00.000Z\",\"tenantId\":null,\"actorId\":null,"
          "\"actor\":\"ada\",\"action\":\"user.disable\",\"subjectId\":"
          "\"01010101-0101-0101-0101-010101010101\",\"subject\":\"u1\",\"ip\":\"\","
          "\"requestId\":null,\"detail\":{}}\n",
          f);
    fputs("{\"seq\":1,\"at\":\"2026-11-21T03:00:00.000Z\",\"action\":\"user.disable\","
          "\"subjectId\":\"02020202-0202-0202-0202-020202020202\"}\n",
          f);
    fputs("{\"seq\":4,\"at\":\"2026-11-21T03:00:00.000Z\",\"action\":\"mail.suppress\","
          "\"subject\":\"Gone@x.example\",\"detail\":{\"reason\":\"complaint\"}}\n",
          f);
    fclose(f);
    assert_int_equal(carry_over(&s->carry, NULL, restored, true), 0);
    assert_int_equal(s->carry.report.accounts_restricted, 1);
    assert_int_equal(carry_scene_told(s, "allEnded"), CARRY_SCENE_USERS);
    assert_int_equal(carry_scene_told(s, "suppressions"), 1);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"seq\":3}\nnot JSON\n", f);
    fclose(f);
    assert_int_equal(carry_over(&s->carry, NULL, restored, true), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "lines 1 to 2: no export of the trail"));
}

#define ON_SQLITE(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, carry_scene_sqlite, carry_scene_release)
#define ON_POSTGRESQL(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, carry_scene_postgres, carry_scene_release)
#define ON_BOTH(test) ON_SQLITE(test), ON_POSTGRESQL(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_each_rule),
        ON_BOTH(test_feed),
        ON_SQLITE(test_old_backup),
        ON_BOTH(test_parted),
        ON_SQLITE(test_other_chain),
        ON_SQLITE(test_short),
        ON_BOTH(test_tampered),
        ON_SQLITE(test_too_old),
        ON_SQLITE(test_without_later_table),
        ON_BOTH(test_many),
        ON_POSTGRESQL(test_twice),
        ON_POSTGRESQL(test_younger),
        ON_POSTGRESQL(test_schemas),
        ON_POSTGRESQL(test_blind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
