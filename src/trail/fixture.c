#include "trail/fixture.h"

#include "crypto/init.h"

#include <libpq-fe.h>
#include <unistd.h>

const uint8_t fixture_secrets[3][TRAIL_SECRET_SIZE] = {"first", "second", "third"};

static const char *server(void)
{
    return getenv("HOLDFAST_TEST_POSTGRES");
}

static void admin(const char *verb, const char *schema, const char *rest)
{
    PGconn *pg = PQconnectdb(server());
    char sql[200];

    snprintf(sql, sizeof sql, "%s SCHEMA %s %s", verb, schema, rest);
    PQclear(PQexec(pg, "SET client_min_messages = warning"));
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
}

struct store *fixture_open(const struct fixture *f)
{
    struct store_options o = {.url = f->url, .pool = 8, .timeout_ms = 10000};
    struct store *s = NULL;

    assert_done(store_open(&o, &s));
    return s;
}

struct trail *fixture_trail(const struct fixture *f, struct store *s, const uint8_t *active,
                            const uint8_t (*retired)[TRAIL_SECRET_SIZE], size_t n_retired)
{
    struct trail_options o = {.logs_dir = f->logs};
    struct trail *t = NULL;

    assert_done(trail_new(s, active, retired, n_retired, &o, &t));
    return t;
}

static int fixture_init(void **state, bool postgres)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_done(crypto_init());
    f->postgres = postgres;
    snprintf(f->place, sizeof f->place, "/tmp/holdfast-trail.XXXXXX");
    assert_non_null(mkdtemp(f->place));
    snprintf(f->logs, sizeof f->logs, "%s/logs", f->place);
    snprintf(f->path, sizeof f->path, "%s/trail/checkpoints.jsonl", f->logs);
    snprintf(f->url, sizeof f->url, "sqlite:%s/test.db", f->place);
    if (postgres) {
        snprintf(f->url, sizeof f->url, "%s?options=-csearch_path%%3Dtrail_%d", server(),
                 (int)getpid());
        snprintf(f->logs, sizeof f->logs, "trail_%d", (int)getpid());
        admin("CREATE", f->logs, "");
        snprintf(f->logs, sizeof f->logs, "%s/logs", f->place);
    }
    f->s = fixture_open(f);
    f->trail = fixture_trail(f, f->s, fixture_secrets[0], NULL, 0);
    *state = f;
    return 0;
}

int fixture_sqlite(void **state)
{
    return fixture_init(state, false);
}

int fixture_postgres(void **state)
{
    return fixture_init(state, true);
}

int fixture_release(void **state)
{
    struct fixture *f = *state;
    char text[200];

    trail_free(f->trail);
    store_close(f->s);
    if (f->postgres) {
        snprintf(text, sizeof text, "trail_%d", (int)getpid());
        admin("DROP", text, "CASCADE");
    }
    snprintf(text, sizeof text, "rm -rf '%s'", f->place);
    assert_int_equal(system(text), 0);
    free(f);
    return 0;
}

struct fill {
    const struct trail *trail;
    int n;
};

static int fill_job(struct store_txn *txn, void *arg)
{
    const struct fill *fill = arg;
    struct uuid id = {{7}};
    int e = 0;

    for (int i = 0; !e && i < fill->n; i++) {
        char detail[64];
        int length = snprintf(detail, sizeof detail, "{\"i\":%d}", i);
        struct trail_actor actor = {.tenant_id = id,
                                    .user_id = id,
                                    .label = STR("ada@example.com"),
                                    .ip = STR("192.0.2.7"),
                                    .request_id = uuid_new()};
        struct trail_event event = {.action = TRAIL_USER_UPDATE,
                                    .tenant_id = id,
                                    .subject_id = id,
                                    .subject = STR("bob@example.com"),
                                    .detail = {detail, (size_t)length}};
        e = trail_append(fill->trail, txn, &actor, &event);
    }
    return e;
}

void fixture_fill(const struct trail *trail, struct store *s, int n)
{
    struct fill fill = {trail, n};

    assert_done(store_write(s, fill_job, &fill));
}

void fixture_run(const struct fixture *f, const char *sql)
{
    int64_t changed = 0;

    assert_done(store_run(f->s, sql, &changed, NO_PARAMS));
}

void fixture_keep(const struct fixture *f)
{
    fixture_run(f, "CREATE TABLE kept AS SELECT * FROM trail");
    fixture_run(f, "CREATE TABLE kept_head AS SELECT * FROM trail_head");
}

void fixture_put_back(const struct fixture *f)
{
    fixture_run(f, "DELETE FROM trail");
    fixture_run(f, "DELETE FROM trail_head");
    fixture_run(f, "INSERT INTO trail SELECT * FROM kept");
    fixture_run(f, "INSERT INTO trail_head SELECT * FROM kept_head");
}

static void found(const struct trail_finding *finding, void *arg)
{
    struct fixture *f = arg;

    f->last = *finding;
}

struct trail_report fixture_verify(struct fixture *f, const struct trail *trail,
                                   const char *against)
{
    struct trail_verify_options o = {.against = against, .found = found, .arg = f};
    struct trail_report report;

    f->last = (struct trail_finding){.kind = FINDING_KINDS};
    assert_done(trail_verify(trail, &o, &report));
    assert_int_equal(report.intact, fixture_findings(&report) == 0);
    return report;
}

int64_t fixture_findings(const struct trail_report *report)
{
    int64_t n = 0;

    for (int i = 0; i < FINDING_KINDS; i++)
        n += report->findings[i];
    return n;
}

int fixture_run_tests(const char *name, struct CMUnitTest *tests, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (tests[i].setup_func != fixture_postgres || server())
            tests[kept++] = tests[i];
    return _cmocka_run_group_tests(name, tests, kept, NULL, NULL);
}
