#include "deploy/carry_scene.h"

#include "base/clock.h"
#include "crypto/init.h"

#include <stdlib.h>
#include <unistd.h>

static const uint8_t secret[TRAIL_SECRET_SIZE] = "of these tests";

struct store *carry_scene_open(const char *url)
{
    struct store_options options = {.url = url, .pool = 2, .timeout_ms = 10000};
    struct store *s = NULL;
    int r = store_open(&options, &s);

    if (r)
        fail_msg("%s: %d %s", url, r, fault_message());
    return s;
}

void carry_scene_close(struct carry_scene *s)
{
    store_close(s->live);
    store_close(s->restored);
    s->live = s->restored = NULL;
}

/* #7f stands for the id of sixteen such bytes. */
static const char *expand(struct carry_scene *s, const char *sql)
{
    buf_reset(&s->text);
    for (; *sql; sql++) {
        if (*sql != '#') {
            buf_add_char(&s->text, *sql);
            continue;
        }
        buf_add_str(&s->text, s->postgres ? STR("'\\x") : STR("x'"));
        for (int i = 0; i < 16; i++)
            buf_add(&s->text, sql + 1, 2);
        buf_add_str(&s->text, s->postgres ? STR("'::bytea") : STR("'"));
        sql += 2;
    }
    const char *text = buf_cstr(&s->text);
    assert_non_null(text);
    return text;
}

struct statement {
    const char *sql;
    int64_t number;
};

static int exec_job(struct store_txn *t, void *arg)
{
    struct statement *st = arg;

    return store_exec(t, st->sql, &st->number, NO_PARAMS);
}

static int number_job(struct store_txn *t, void *arg)
{
    struct statement *st = arg;

    return store_number(t, st->sql, &st->number, NO_PARAMS);
}

void carry_scene_run(struct carry_scene *s, struct store *store, const char *sql)
{
    struct statement st = {.sql = expand(s, sql)};
    int r = store_write(store, exec_job, &st);

    if (r)
        fail_msg("%s: %d %s", st.sql, r, fault_message());
}

static int statements_job(struct store_txn *t, void *arg)
{
    struct carry_statements *all = arg;
    int r = 0;

    for (size_t i = 0; r == 0 && i < all->n; i++)
        r = store_exec(t, expand(all->s, all->sql[i]), NULL, NO_PARAMS);
    return r;
}

/* All in one transaction. */
void carry_scene_run_all(struct store *store, struct carry_statements *all)
{
    int r = store_write(store, statements_job, all);

    if (r)
        fail_msg("%d %s", r, fault_message());
}

int64_t carry_scene_number(struct carry_scene *s, struct store *store, const char *sql)
{
    struct statement st = {.sql = expand(s, sql)};
    int r = store_read(store, number_job, &st);

    if (r)
        fail_msg("%s: %d %s", st.sql, r, fault_message());
    return st.number;
}

static struct uuid id_of(uint8_t byte)
{
    struct uuid id;

    memset(id.b, byte, sizeof id.b);
    return id;
}

static struct trail *trail_of(struct store *store)
{
    struct trail_options options = {.logs_dir = NULL};
    struct trail *trail = NULL;

    assert_int_equal(trail_new(store, secret, NULL, 0, &options, &trail), 0);
    return trail;
}

void carry_scene_record(struct store *store, enum trail_action action, uint8_t subject)
{
    struct trail *trail = trail_of(store);
    struct trail_actor actor = {.label = STR("test")};
    struct trail_event event = {.action = action, .subject_id = id_of(subject), .subject = STR("")};
    int r = trail_append_now(trail, &actor, &event);

    trail_free(trail);
    if (r)
        fail_msg("%s", fault_message());
}

struct trail_report carry_scene_verify(struct store *store)
{
    struct trail *trail = trail_of(store);
    struct trail_verify_options options = {.against = NULL};
    struct trail_report report;

    assert_int_equal(trail_verify(trail, &options, &report), 0);
    trail_free(trail);
    return report;
}

/* Both databases begin as one. */
void carry_scene_copy(struct carry_scene *s)
{
    char command[1200];

    carry_scene_close(s);
    if (s->postgres) {
        pg_close(s->p->pg);
        s->p->pg = NULL;
        snprintf(command, sizeof command, "CREATE DATABASE %s_r TEMPLATE %s", s->p->database,
                 s->p->database);
        product_admin(command);
    } else {
        snprintf(command, sizeof command, "cp %s/live.db %s/restored.db", s->directory,
                 s->directory);
        assert_int_equal(system(command), 0);
    }
    s->live = carry_scene_open(s->live_url);
    s->restored = carry_scene_open(s->restored_url);
}

static void fill(struct carry_scene *s)
{
    char sql[2 * CARRY_SCENE_USERS][600];
    struct carry_statements all = {
        .s = s, .sql = {"INSERT INTO tenants VALUES (#ee, 'Acme', 1)"}, .n = 1};

    for (int i = 1; i <= CARRY_SCENE_USERS; i++) {
        char *user = sql[2 * i - 2], *family = sql[2 * i - 1];
        snprintf(
            user, sizeof *sql,
            "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at,"
            " password_temporary, disabled, failed_logins, email_status, totp_active,"
            " totp_last_step, created_at, updated_at) VALUES (#%02x, #ee, 'u%d@example.com',"
            " 'admin', 'old', 100, 0, 0, 0, 'ok', 0, 0, 1, 1)",
            i, i);
        snprintf(family, sizeof *sql,
                 "INSERT INTO families (id, tenant_id, user_id, generation, seed, amr, created_at,"
                 " rotated_at, expires_at, idle_expires_at, ip, user_agent, issued_at) VALUES"
                 " (#%02x, #ee, #%02x, 5, #01, 1, 1, 1, 9000000000000, 9000000000000, '', '', 10)",
                 0x80 + i, i);
        all.sql[all.n++] = user;
        all.sql[all.n++] = family;
    }
    carry_scene_run_all(s->live, &all);
    carry_scene_record(s->live, TRAIL_SERVER_START, 0);
    carry_scene_record(s->live, TRAIL_USER_LOGIN, 1);
}

static int make(void **state, bool postgres)
{
    struct carry_scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(crypto_init(), 0);
    s->postgres = postgres;
    s->text = buf_init(CARRY_SCENE_TEXT_MAX);
    snprintf(s->directory, sizeof s->directory, "/tmp/holdfast-carry.XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    if (postgres) {
        product_new((void **)&s->p);
        snprintf(s->live_url, sizeof s->live_url, "%s", s->p->url);
        snprintf(s->restored_url, sizeof s->restored_url, "%.500s_r", s->p->url);
    } else {
        snprintf(s->live_url, sizeof s->live_url, "sqlite:%s/live.db", s->directory);
        snprintf(s->restored_url, sizeof s->restored_url, "sqlite:%s/restored.db", s->directory);
    }
    s->manifest = (struct backup_manifest){
        .taken_at = clock_now(), .snapshot = "1:1:", .system = "", .oid = ""};
    s->carry.manifest = &s->manifest;
    s->live = carry_scene_open(s->live_url);
    fill(s);
    *state = s;
    return 0;
}

int carry_scene_postgres(void **state)
{
    return make(state, true);
}

int carry_scene_sqlite(void **state)
{
    return make(state, false);
}

int carry_scene_release(void **state)
{
    struct carry_scene *s = *state;
    char command[200];

    carry_scene_close(s);
    if (s->postgres) {
        snprintf(command, sizeof command, "DROP DATABASE IF EXISTS %s_r WITH (FORCE)",
                 s->p->database);
        product_admin(command);
        product_release((void **)&s->p);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", s->directory);
    assert_int_equal(system(command), 0);
    buf_free(&s->text);
    free(s);
    return 0;
}

struct pg *carry_scene_connect(const char *url)
{
    struct pg_options options = {.url = url, .name = "test"};
    struct pg *pg = NULL;

    if (pg_open(&options, &pg))
        fail_msg("%s", fault_message());
    return pg;
}

static int carry_pg(struct carry_scene *s)
{
    struct pg *live _cleanup_pg_ = carry_scene_connect(s->live_url);
    struct pg *restored _cleanup_pg_ = carry_scene_connect(s->restored_url);
    int r = carry_over(&s->carry, live, restored, !s->ahead);

    assert_false(pg_in_transaction(live));
    assert_false(pg_in_transaction(restored));
    return r;
}

int carry_scene_carry_closed(struct carry_scene *s)
{
    char live[128], restored[128];

    carry_scene_close(s);
    snprintf(live, sizeof live, "%s/live.db", s->directory);
    snprintf(restored, sizeof restored, "%s/restored.db", s->directory);
    return s->postgres ? carry_pg(s) : carry_over_sqlite(&s->carry, live, restored);
}

int carry_scene_carry(struct carry_scene *s)
{
    int r = carry_scene_carry_closed(s);

    s->live = carry_scene_open(s->live_url);
    s->restored = carry_scene_open(s->restored_url);
    return r;
}

void carry_scene_carry_well(struct carry_scene *s)
{
    int r = carry_scene_carry(s);

    if (r)
        fail_msg("%d %s", r, fault_message());
}

int64_t carry_scene_told(const struct carry_scene *s, const char *name)
{
    for (size_t i = 0; i < carry_rules_count; i++)
        if (carry_rules[i].name && strcmp(carry_rules[i].name, name) == 0)
            return s->carry.report.rows[i];
    fail_msg("no rule is called %s", name);
    return -1;
}
