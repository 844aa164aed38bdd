#include "trail/fixture.h"

#include "crypto/init.h"

const uint8_t trail_fixture_secrets[3][TRAIL_SECRET_SIZE] = {"first", "second", "third"};

struct trail *trail_fixture_new(const struct trail_fixture *f, struct store *s,
                                const uint8_t *active, const uint8_t (*retired)[TRAIL_SECRET_SIZE],
                                size_t n_retired)
{
    struct trail_options o = {.logs_dir = f->logs};
    struct trail *t = NULL;

    assert_done(trail_new(s, active, retired, n_retired, &o, &t));
    return t;
}

static int make(void **state, bool postgres)
{
    struct trail_fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_done(crypto_init());
    f->base = fixture_new(postgres);
    snprintf(f->logs, sizeof f->logs, "%s/logs", f->base->place);
    snprintf(f->path, sizeof f->path, "%s/trail/checkpoints.jsonl", f->logs);
    f->s = f->base->s = fixture_node(f->base);
    f->trail = trail_fixture_new(f, f->s, trail_fixture_secrets[0], NULL, 0);
    *state = f;
    return 0;
}

int trail_fixture_sqlite(void **state)
{
    return make(state, false);
}

int trail_fixture_postgres(void **state)
{
    return make(state, true);
}

int trail_fixture_release(void **state)
{
    struct trail_fixture *f = *state;

    trail_free(f->trail);
    fixture_free(f->base);
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

void trail_fixture_fill(const struct trail *trail, struct store *s, int n)
{
    struct fill fill = {trail, n};

    assert_done(store_write(s, fill_job, &fill));
}

void trail_fixture_alter(const struct trail_fixture *f, const char *sql)
{
    fixture_run(f->s, sql, NO_PARAMS);
}

void trail_fixture_keep(const struct trail_fixture *f)
{
    trail_fixture_alter(f, "CREATE TABLE kept AS SELECT * FROM trail");
    trail_fixture_alter(f, "CREATE TABLE kept_head AS SELECT * FROM trail_head");
}

void trail_fixture_put_back(const struct trail_fixture *f)
{
    trail_fixture_alter(f, "DELETE FROM trail");
    trail_fixture_alter(f, "DELETE FROM trail_head");
    trail_fixture_alter(f, "INSERT INTO trail SELECT * FROM kept");
    trail_fixture_alter(f, "INSERT INTO trail_head SELECT * FROM kept_head");
}

static void found(const struct trail_finding *finding, void *arg)
{
    struct trail_fixture *f = arg;

    f->last = *finding;
}

struct trail_report trail_fixture_verify(struct trail_fixture *f, const struct trail *trail,
                                         const char *against)
{
    struct trail_verify_options o = {.against = against, .found = found, .arg = f};
    struct trail_report report;

    f->last = (struct trail_finding){.kind = FINDING_KINDS};
    assert_done(trail_verify(trail, &o, &report));
    assert_int_equal(report.intact, trail_fixture_findings(&report) == 0);
    return report;
}

int64_t trail_fixture_findings(const struct trail_report *report)
{
    int64_t n = 0;

    for (int i = 0; i < FINDING_KINDS; i++)
        n += report->findings[i];
    return n;
}
