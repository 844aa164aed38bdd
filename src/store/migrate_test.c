/* Opening: what migrations promise, over both engines. */
#include "store/fixture.h"

#include "base/encode.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct store_migration second = {2, "0002_more.sql", "b2",
                                              "CREATE TABLE more (n BIGINT)"};
static const struct store_migration failing = {
    2, "0002_more.sql", "b2",
    "CREATE TABLE more (n BIGINT); INSERT INTO more VALUES (1);"
    "INSERT INTO nowhere VALUES (1)"};

static int try_open(const struct fixture *f, const struct store_migration *more,
                    const char *checksum, struct store **ret)
{
    struct store_migration migrations[2] = {fixture_schema.migrations[0]};
    struct store_schema schema = {migrations, more ? 2 : 1};
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};

    if (checksum)
        migrations[0].checksum = checksum;
    if (more)
        migrations[1] = *more;
    return store_open_schema(&o, &schema, ret);
}

static void test_older_binary_refuses_newer_schema(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;

    assert_done(try_open(f, &second, NULL, &s));
    assert_int_equal(store_schema_version(s), 2);
    assert_done(store_run(s, "INSERT INTO more (n) VALUES (1)", NULL, NO_PARAMS));
    store_close(s);
    s = NULL;
    assert_int_equal(try_open(f, NULL, NULL, &s), STORE_NEWER);
    assert_null(s);
    assert_done(try_open(f, &second, NULL, &s));
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM more"), 1);
    store_close(s);
}

static void test_edited_migration_is_named(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;

    assert_int_equal(try_open(f, NULL, "other", &s), FAULT_STORE);
    assert_non_null(strstr(fault_message(), "0001_things.sql"));
    assert_null(s);
}

static void test_a_part_for_one_engine(void **state)
{
    static const struct store_migration one = {
        2, "0002_more.sql", "b2",
        "CREATE TABLE more (n BIGINT);{{postgresql: INSERT INTO more VALUES (1); :}}"
        "{{sqlite: INSERT INTO more VALUES (4); :}}INSERT INTO more VALUES (2);"};
    static const char *const wrong[] = {"{{postgresql: INSERT", "{{sqlite: INSERT", "{{other}}"};
    struct fixture *f = *state;
    struct store *s = NULL;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct store_migration m = {2, "0002_more.sql", "b2", wrong[i]};
        assert_int_equal(try_open(f, &m, NULL, &s), FAULT_INTERNAL);
    }
    assert_done(try_open(f, &one, NULL, &s));
    assert_int_equal(fixture_number(s, "SELECT SUM(n) FROM more"), f->postgres ? 3 : 6);
    store_close(s);
}

static void test_failing_migration_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;

    assert_int_equal(try_open(f, &failing, NULL, &s), FAULT_STORE);
    assert_non_null(strstr(fault_message(), "0002_more.sql"));
    assert_non_null(strstr(fault_message(), "nowhere"));
    /* The mended one finds neither its table nor its row. */
    assert_done(try_open(f, &second, NULL, &s));
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM more"), 0);
    store_close(s);
}

enum { OPENERS = 8 };

static void *open_thread(void *arg)
{
    struct store *s = NULL;

    return try_open(arg, &second, NULL, &s) == 0 ? s : NULL;
}

static void test_concurrent_open_of_an_empty_database(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[OPENERS];
    struct store *stores[OPENERS];
    void *opened;

    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_thread, f), 0);
    for (int i = 0; i < OPENERS; i++) {
        pthread_join(threads[i], &opened);
        stores[i] = opened;
    }
    for (int i = 0; i < OPENERS; i++) {
        assert_non_null(stores[i]);
        assert_int_equal(fixture_number(stores[i], "SELECT COUNT(*) FROM schema_migrations"), 2);
        store_close(stores[i]);
    }
}

static void test_the_embedded_schema(void **state)
{
    struct fixture *f = *state;
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = NULL;

    for (int i = 0; i < 2; i++) {
        assert_done(store_open(&o, &s));
        assert_int_equal(store_schema_version(s), store_migrations_count);
        assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM families"), 0);
        assert_string_equal(store_engine(s), f->postgres ? "postgresql" : "sqlite");
        assert_done(store_ping(s));
        store_close(s);
    }
}

/* What of the embedded schema comes before a version. */
static struct store *open_before(const struct fixture *f, int version)
{
    struct store_schema schema = {store_migrations, 0};
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = NULL;

    while (store_migrations[schema.count].version != version)
        schema.count++;
    assert_done(store_open_schema(&o, &schema, &s));
    return s;
}

static void insert_user_of_0006(struct store *s, const struct uuid *id, const struct uuid *tenant,
                                const char *email, int64_t not_before)
{
    assert_done(store_run(
        s,
        "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at, "
        "password_temporary, disabled, failed_logins, email_status, not_before, totp_active, "
        "totp_last_step, created_at, updated_at) "
        "VALUES ($1, $2, $3, 'member', 'x', 1, 0, 0, 0, 'ok', $4, 0, 0, 1, 1)",
        NULL, PARAMS(P_ID(id), P_ID(tenant), P_TEXT(str_of(email)), P_INT(not_before))));
}

/* What was ended stays ended when epochs get a table of their own. */
static void test_ends_of_sessions_are_carried_over(void **state)
{
    struct fixture *f = *state;
    struct uuid tenant = uuid_new(), ended = uuid_new(), never = uuid_new();
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = open_before(f, 7);

    assert_done(store_run(s, "INSERT INTO tenants (id, name, created_at) VALUES ($1, 'T', 1)", NULL,
                          PARAMS(P_ID(&tenant))));
    insert_user_of_0006(s, &ended, &tenant, "ended@example.com", NOW);
    insert_user_of_0006(s, &never, &tenant, "never@example.com", 0);
    store_close(s);
    s = NULL;
    assert_done(store_open(&o, &s));
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM users"), 2);
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM epochs"), 1);
    assert_int_equal(fixture_number(s, "SELECT not_before FROM epochs JOIN users ON id = user_id"
                                       " WHERE email = 'ended@example.com' AND reason = ''"),
                     NOW);
    assert_int_equal(fixture_number(s, "SELECT at FROM epochs"), NOW);
    /* Nobody reads the old place any more, so it is not there. */
    assert_int_equal(store_run(s, "UPDATE users SET not_before = 0", NULL, NO_PARAMS), FAULT_STORE);
    store_close(s);
}

static void insert_suppression_of_0006(struct store *s, const struct uuid *tenant,
                                       const char *address, const char *reason, int64_t expires_at)
{
    assert_done(store_run(s,
                          "INSERT INTO suppressions (tenant_id, address, reason, source, note,"
                          " created_at, created_by, expires_at)"
                          " VALUES ($1, $2, $3, 'api', 'a note', $4, 'ann', $5)",
                          NULL,
                          PARAMS(P_ID(tenant), P_TEXT(str_of(address)), P_TEXT(str_of(reason)),
                                 P_INT(NOW), expires_at ? P_INT(expires_at) : P_NULL)));
}

static void insert_log_of_0006(struct store *s, const struct uuid *tenant, const char *recipient)
{
    struct uuid id = uuid_new();

    assert_done(store_run(
        s,
        "INSERT INTO email_logs (id, message_id, tenant_id, recipient, domain, template, subject,"
        " transport, state, counted, error_code, detail, created_at, state_at)"
        " VALUES ($1, $1, $2, $3, 'example.com', '', '', 'smtp', 'sent', 0, '', '', 1, 1)",
        NULL, PARAMS(P_ID(&id), P_ID(tenant), P_TEXT(str_of(recipient)))));
}

static int64_t reached(struct store *s, const char *address, const char *reason)
{
    char sql[200];

    snprintf(sql, sizeof sql,
             "SELECT COUNT(*) FROM suppression_tenants WHERE address = '%s' AND reason = '%s'",
             address, reason);
    return fixture_number(s, sql);
}

/* Who is not written to is not after it either, and whom that concerns still sees it. */
static void test_suppressions_are_carried_over(void **state)
{
    static const struct uuid everywhere;
    struct fixture *f = *state;
    struct uuid tenant = uuid_new(), other = uuid_new(), user = uuid_new();
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = open_before(f, 9);

    assert_done(store_run(s, "INSERT INTO tenants (id, name, created_at) VALUES ($1, 'T', 1)", NULL,
                          PARAMS(P_ID(&tenant))));
    assert_done(store_run(
        s,
        "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at,"
        " password_temporary, disabled, failed_logins, email_status, totp_active, totp_last_step,"
        " created_at, updated_at)"
        " VALUES ($1, $2, 'user@example.com', 'member', 'x', 1, 0, 0, 0, 'ok', 0, 0, 1, 1)",
        NULL, PARAMS(P_ID(&user), P_ID(&tenant))));
    insert_suppression_of_0006(s, &tenant, "a@example.com", "manual", NOW + 5);
    insert_suppression_of_0006(s, &other, "a@example.com", "unsubscribe", 0);
    insert_suppression_of_0006(s, &everywhere, "a@example.com", "bounce", 0);
    insert_suppression_of_0006(s, &everywhere, "user@example.com", "complaint", 0);
    insert_suppression_of_0006(s, &everywhere, "nobody@example.com", "provider", 0);
    for (int i = 0; i < 3; i++)
        insert_log_of_0006(s, i < 2 ? &tenant : &other, "a@example.com");
    store_close(s);
    s = NULL;
    assert_done(store_open(&o, &s));
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM suppressions WHERE source = 'api' AND"
                                       " note = 'a note' AND created_by = 'ann'"),
                     5);
    assert_int_equal(fixture_number(s, "SELECT SUM(created_at) FROM suppressions"), 5 * NOW);
    assert_int_equal(fixture_number(s, "SELECT expires_at FROM suppressions WHERE reason = 'manual'"
                                       " AND address = 'a@example.com'"),
                     NOW + 5);
    assert_int_equal(
        fixture_number(s, "SELECT COUNT(*) FROM suppressions WHERE expires_at IS NULL"), 4);
    assert_int_equal(fixture_number(s, "SELECT COUNT(*) FROM suppression_tenants"), 3);
    assert_int_equal(reached(s, "a@example.com", "bounce"), 2);
    assert_int_equal(reached(s, "user@example.com", "complaint"), 1);
    /* A second reason has a place beside the first; the same one has not. */
    insert_suppression_of_0006(s, &tenant, "a@example.com", "unsubscribe", 0);
    assert_int_equal(store_run(s,
                               "INSERT INTO suppressions SELECT * FROM suppressions"
                               " WHERE reason = 'provider'",
                               NULL, NO_PARAMS),
                     STORE_CONFLICT);
    store_close(s);
}

static void insert_event_of_0006(struct store *s, const char *feedback_id, const uint8_t dedupe[32])
{
    assert_done(store_run(
        s,
        "INSERT INTO email_events (provider_id, recipient, kind, subtype, code, feedback_id, state,"
        " counted, at, received_at, dedupe, detail) VALUES ('p', 'who@example.net', 'delivery', '',"
        " '', $1, 'delivered', 0, $2, 1, $3, '')",
        NULL, PARAMS(P_TEXT(str_of(feedback_id)), P_INT(0x0102030405ff), P_BLOB(dedupe, 32))));
}

/* Keys of events without a feedback_id begin with their time, and go on as they did. */
static void test_keys_of_events_are_carried_over(void **state)
{
    static const char by_key[] = "SELECT count(*) FROM email_events WHERE dedupe = ";
    struct fixture *f = *state;
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = open_before(f, 10);
    uint8_t old[2][32];
    char sql[200];

    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 32; k++)
            old[i][k] = (uint8_t)(255 - i - 7 * k);
    insert_event_of_0006(s, "", old[0]);
    insert_event_of_0006(s, "f", old[1]);
    store_close(s);
    s = NULL;
    assert_done(store_open(&o, &s));
    memcpy(old[0], "\1\2\3\4\5\377", 6);
    for (int i = 0; i < 2; i++) {
        char hex[65];
        hex_encode(old[i], sizeof old[i], hex);
        snprintf(sql, sizeof sql, f->postgres ? "%s'\\x%s'::bytea" : "%sx'%s'", by_key, hex);
        assert_int_equal(fixture_number(s, sql), 1);
    }
    store_close(s);
}

#define ONE_OF_TWO "0, 1, 0, 0, 0, 0, 1, 0, 1, 0)"
/* A bucket of an hour of 0011: two messages to a domain, of which one bounced. */
static void insert_figures_of_0011(struct store *s, const struct uuid *tenant, int64_t hour)
{
    static const char *const sql[] = {
        "INSERT INTO email_rollups_hourly VALUES ($1, $2, '', '', " ONE_OF_TWO,
        "INSERT INTO email_rollups_hourly VALUES ($1, $2, 'a.org', '', " ONE_OF_TWO,
        "INSERT INTO email_rollups_hourly VALUES ($1, $2, '*', '', " ONE_OF_TWO,
        "INSERT INTO email_rollups VALUES ($1, $2, '', '', " ONE_OF_TWO,
        "INSERT INTO email_errors VALUES ($1, $2, '5.1.1', 'a.org', 1)",
        "INSERT INTO email_errors VALUES ($1, $2, '5.1.1', 'b.org', 2)"};

    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        assert_done(store_run(s, sql[i], NULL, PARAMS(P_ID(tenant), P_INT(hour))));
}

static void insert_log_of_0011(struct store *s, const struct uuid *tenant, const char *state,
                               const char *code, int64_t at)
{
    struct uuid id = uuid_new();

    assert_done(store_run(
        s,
        "INSERT INTO email_logs (id, message_id, tenant_id, recipient, domain,"
        " template, subject, transport, state, counted, error_code, detail,"
        " created_at, state_at) VALUES ($1, $1, $2, 'x@a.org', 'a.org', '', '',"
        " 'ses', $3, 0, $4, '', $5, $5)",
        NULL,
        PARAMS(P_ID(&id), P_ID(tenant), P_TEXT(str_of(state)), P_TEXT(str_of(code)), P_INT(at))));
}

#define OF_DAY " FROM email_figures WHERE span = 86400000 AND kind = "
#define OF_HOUR " FROM email_figures WHERE span = 3600000 AND kind = "
#define OF_FINE " FROM email_figures WHERE span = 300000 AND kind = "

/* Days are those of the hours, and every figure is where it is looked for now. */
static void test_figures_of_mail_are_carried_over(void **state)
{
    const int64_t hour = 3600000, day = 24 * hour, midnight = NOW - NOW % day;
    struct fixture *f = *state;
    struct uuid tenant = uuid_new();
    struct store_options o = {.url = f->url, .pool = 2, .timeout_ms = 2000};
    struct store *s = open_before(f, 12);

    insert_figures_of_0011(s, &tenant, midnight - hour);
    insert_figures_of_0011(s, &tenant, midnight);
    insert_figures_of_0011(s, &tenant, midnight + 23 * hour);
    insert_log_of_0011(s, &tenant, "bounced", "5.1.1", midnight + 7 * 60000);
    insert_log_of_0011(s, &tenant, "bounced", "5.1.1", midnight + 9 * 60000);
    insert_log_of_0011(s, &tenant, "delayed", "", midnight + 9 * 60000);
    insert_log_of_0011(s, &tenant, "bounced", "5.1.1", midnight - day);
    store_close(s);
    s = NULL;
    assert_done(store_open(&o, &s));
    for (int kind = 1; kind <= 3; kind++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT sum(sent + bounced_counted)" OF_DAY "%d", kind);
        assert_int_equal(fixture_number(s, sql), 6);
        snprintf(sql, sizeof sql, "SELECT count(*)" OF_DAY "%d", kind);
        assert_int_equal(fixture_number(s, sql), 2);
        snprintf(sql, sizeof sql, "SELECT sum(bounced)" OF_HOUR "%d", kind);
        assert_int_equal(fixture_number(s, sql), 3);
    }
    assert_int_equal(fixture_number(s, "SELECT min(bucket)" OF_DAY "1"), midnight - day);
    assert_int_equal(fixture_number(s, "SELECT max(bounced)" OF_DAY "2 AND name = 'a.org'"), 2);
    assert_int_equal(fixture_number(s, "SELECT max(sent)" OF_DAY "3 AND name = ''"), 2);
    assert_int_equal(fixture_number(s, "SELECT count(*)" OF_FINE "1"), 3);
    assert_int_equal(fixture_number(s, "SELECT sum(bounced)" OF_HOUR "4 AND name = '5.1.1'"), 9);
    assert_int_equal(fixture_number(s, "SELECT max(bounced)" OF_DAY "4"), 6);
    /* Those that five minutes are kept of, in theirs. */
    assert_int_equal(fixture_number(s, "SELECT count(*)" OF_FINE "4"), 1);
    assert_int_equal(fixture_number(s, "SELECT bounced" OF_FINE "4"), 2);
    assert_int_equal(fixture_number(s, "SELECT bucket" OF_FINE "4"), midnight + 300000);
    assert_int_equal(store_run(s, "DELETE FROM email_rollups", NULL, NO_PARAMS), FAULT_STORE);
    store_close(s);
}

/* Before anything is written: a server without encoding keeps whatever bytes it is given. */
static void test_another_encoding_is_refused(void **state)
{
    static const char *const encodings[] = {"SQL_ASCII", "LATIN1"};
    const char *server = getenv("HOLDFAST_TEST_POSTGRES");
    struct store *s = NULL;
    char name[64], sql[200], url[300];

    if (!server)
        fail_msg("HOLDFAST_TEST_POSTGRES is not set");
    snprintf(name, sizeof name, "encoding_%d", (int)getpid());
    snprintf(url, sizeof url, "%.*s/%s", (int)(strrchr(server, '/') - server), server, name);
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        struct store_options o = {.url = url, .pool = 1, .timeout_ms = 5000};
        snprintf(sql, sizeof sql, "CREATE DATABASE %s ENCODING '%s' LOCALE 'C' TEMPLATE template0",
                 name, encodings[i]);
        fixture_admin(sql);
        int r = store_open(&o, &s);
        snprintf(sql, sizeof sql, "DROP DATABASE %s", name);
        fixture_admin(sql);
        assert_int_equal(r, FAULT_STORE);
        assert_null(s);
        assert_non_null(strstr(fault_message(), encodings[i]));
        assert_non_null(strstr(fault_message(), "has to be UTF8"));
    }
}

static void test_url(void **state)
{
    static const char *const wrong[] = {"", "sqlite:", "mysql://x", "postgresql:", "data/x.db"};
    struct store *s = NULL;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct store_options o = {.url = wrong[i], .pool = 1, .timeout_ms = 1000};
        assert_int_equal(store_open(&o, &s), FAULT_STORE);
    }
    struct store_options nobody = {
        .url = "postgresql://x:secret-word@127.0.0.1:1/x", .pool = 1, .timeout_ms = 1000};
    assert_int_equal(store_open(&nobody, &s), FAULT_UNAVAILABLE);
    assert_null(strstr(fault_message(), "secret-word"));
    struct store_options no_file = {.url = "sqlite:/dev/null/x.db", .pool = 1, .timeout_ms = 1000};
    assert_int_equal(store_open(&no_file, &s), FAULT_IO);
    assert_null(s);
}

static int mode_of(const struct fixture *f, const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", f->place, name);
    assert_int_equal(stat(path, &st), 0);
    return (int)(st.st_mode & 0777);
}

static void test_modes_of_files(void **state)
{
    struct fixture *f = *state;
    mode_t before = umask(0);
    struct store *s = NULL;

    assert_done(try_open(f, NULL, NULL, &s));
    assert_int_equal(mode_of(f, "sub"), 0700);
    assert_int_equal(mode_of(f, "sub/test.db"), 0600);
    assert_int_equal(mode_of(f, "sub/test.db-wal"), 0600);
    assert_int_equal(mode_of(f, "sub/test.db-shm"), 0600);
    umask(before);
    store_close(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_BOTH_EMPTY(test_older_binary_refuses_newer_schema),
        FIXTURE_BOTH(test_edited_migration_is_named),
        FIXTURE_BOTH(test_failing_migration_leaves_nothing),
        FIXTURE_BOTH(test_a_part_for_one_engine),
        FIXTURE_BOTH_EMPTY(test_concurrent_open_of_an_empty_database),
        FIXTURE_BOTH_EMPTY(test_the_embedded_schema),
        FIXTURE_BOTH_EMPTY(test_ends_of_sessions_are_carried_over),
        FIXTURE_BOTH_EMPTY(test_suppressions_are_carried_over),
        FIXTURE_BOTH_EMPTY(test_keys_of_events_are_carried_over),
        FIXTURE_BOTH_EMPTY(test_figures_of_mail_are_carried_over),
        FIXTURE_POSTGRES(test_another_encoding_is_refused),
        cmocka_unit_test(test_url),
        cmocka_unit_test_setup_teardown(test_modes_of_files, fixture_empty_sqlite,
                                        fixture_empty_release),
    };

    return FIXTURE_RUN(tests);
}
