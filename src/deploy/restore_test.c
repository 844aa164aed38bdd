/* The product gets its backup back, loses nothing that it was not asked about, and is never left
 * fenced off: whatever fails, whenever the run is killed. */
#include "deploy/restore.h"

#include "base/clock.h"
#include "deploy/backup_scene.h"
#include "deploy/twin.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOOK_SAYS = 42 };

static int restore_with(struct scene *s, struct restore o, struct restore_report *report)
{
    return restore_run(&s->place, &o, &s->a, report);
}

static int64_t twins(struct scene *s)
{
    return scene_databases(s, "holdfast\\_restore\\_%");
}

static int64_t failed_ones(struct scene *s)
{
    return scene_databases(s, arena_printf(&s->a, "%s\\_failed\\_%%", s->p->database));
}

static void change(struct scene *s)
{
    product_run(s->p, "DELETE FROM customers WHERE id <= 10; UPDATE customers SET kind = 'b' WHERE"
                      " id = 11; INSERT INTO customers (name) VALUES ('late')");
}

static void assert_restored(struct scene *s)
{
    scene_reconnect(s);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM customers"), 1000);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM customers WHERE kind = 'b'"), 0);
    assert_int_equal(twins(s), 0);
}

static void assert_live(struct scene *s)
{
    scene_reconnect(s);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM customers WHERE name = 'late'"), 1);
}

static const char *text(struct scene *s, const char *sql)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    if (pg_query(s->p->pg, sql, NULL, 0, &rows))
        fail_msg("%s: %s", sql, fault_message());
    return arena_str(&s->a, str_of(pg_rows_count(rows) ? pg_text(rows, 0, 0) : "none")).p;
}

/* All that a database has besides its contents. */
static const char *properties(struct scene *s)
{
    return text(s,
                "SELECT concat_ws(' | ', pg_get_userbyid(datdba), encoding, datcollate, datctype,"
                " datconnlimit, (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM"
                " aclexplode(coalesce(datacl, acldefault('d', datdba))) x),"
                " shobj_description(oid, 'pg_database'),"
                " (SELECT string_agg(setrole::regrole || setconfig::text, ',' ORDER BY setrole)"
                " FROM pg_db_role_setting WHERE setdatabase = d.oid))"
                " FROM pg_database d WHERE datname = current_database()");
}

static void decorate(struct scene *s)
{
    const char *d = s->p->database;

    product_run(s->p, arena_printf(&s->a,
                                   "COMMENT ON DATABASE %s IS 'It''s the shop';"
                                   "ALTER DATABASE %s SET search_path = public, \"$user\";"
                                   "ALTER DATABASE %s SET work_mem = '5MB';"
                                   "ALTER DATABASE %s SET my.own = 'a, \"b\" ''c''';"
                                   "ALTER ROLE holdfast IN DATABASE %s SET DateStyle = 'SQL, DMY';"
                                   "ALTER DATABASE %s CONNECTION LIMIT 77;"
                                   "REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC;"
                                   "GRANT CREATE ON DATABASE %s TO pg_monitor WITH GRANT OPTION",
                                   d, d, d, d, d, d, d, d));
}

static void test_swap(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    decorate(s);
    const char *before = properties(s);
    change(s);
    assert_int_equal(
        restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report), 0);
    assert_true(report.swapped);
    assert_false(report.resumed);
    assert_true(report.interruption_us > 0);
    assert_false(report.writes.none);
    assert_string_equal(report.database, s->p->database);
    assert_restored(s);
    assert_string_equal(properties(s), before);
    assert_int_equal(failed_ones(s), 1);

    /* The failed database is there to be looked at, with all that was written. */
    struct pg *old _cleanup_pg_ = NULL;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    assert_int_equal(twin_open(&s->place, report.failed, "test", NULL, &old), 0);
    assert_int_equal(pg_query(old, "SELECT count(*) FROM customers", NULL, 0, &rows), 0);
    assert_int_equal(pg_int(rows, 0, 0), 991);
    assert_int_equal(product_number(s->p, "SELECT nextval('customers_id_seq')"), 1001);
}

static void test_refused(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    change(s);
    assert_int_equal(restore_with(s, (struct restore){.path = b.path}, &report), BACKUP_WRITTEN);
    assert_non_null(strstr(fault_message(), "was written to since the backup"));
    assert_int_equal(report.writes.n_tables, 1);
    assert_int_equal(report.writes.tables[0].now, 991);
    assert_int_equal(report.writes.tables[0].newer, 2);
    assert_false(report.swapped);
    assert_int_equal(twins(s) + failed_ones(s), 0);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM customers"), 991); /* undisturbed */
}

/* Where nothing was written there is nothing to accept. */
static void test_nothing_written(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    scene_reconnect(s);
    assert_int_equal(restore_with(s, (struct restore){.path = b.path}, &report), 0);
    assert_true(report.writes.none);
    assert_restored(s);
}

struct hook {
    struct scene *s;
    enum restore_stage at;
    bool kill, write;
    int says, calls, calls_ahead, says_ahead;
    const char *other;
};

static int on_stage(void *context, enum restore_stage stage)
{
    struct hook *h = context;
    struct restore_report report;

    h->calls++;
    if (stage != h->at)
        return 0;
    if (h->kill)
        kill(getpid(), SIGKILL);
    if (h->write)
        change(h->s);
    if (h->other) {
        assert_int_equal(restore_with(h->s, (struct restore){.path = h->other}, &report),
                         BACKUP_LOCKED);
        assert_non_null(strstr(fault_message(), "is being restored already: holdfast restore"));
    }
    return h->says;
}

/* The server takes a moment to see that its client is gone. */
static void await_end(struct scene *s)
{
    struct pg *server _cleanup_pg_ = NULL;
    struct pg_rows *rows = NULL;
    int64_t left = 1;

    assert_int_equal(twin_open_server(&s->place, "test", NULL, &server), 0);
    for (int i = 0; left && i < 1000; i++) {
        assert_int_equal(pg_query(server,
                                  "SELECT count(*) FROM pg_stat_activity WHERE application_name IN"
                                  " ('holdfast restore', 'holdfast backup')",
                                  NULL, 0, &rows),
                         0);
        left = pg_int(rows, 0, 0);
        pg_rows_free(rows);
        if (left)
            usleep(10000);
    }
    assert_int_equal(left, 0);
}

static void kill_at(struct scene *s, const char *path, enum restore_stage stage)
{
    struct hook hook = {.s = s, .at = stage, .kill = true};
    struct restore_report report;
    pid_t child = fork();
    int status;

    if (child == 0) {
        restore_with(
            s,
            (struct restore){
                .path = path, .accept_data_loss = true, .on_stage = on_stage, .context = &hook},
            &report);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    await_end(s);
}

/* Killed before each stage: the product serves after the next command, whichever it is, and the
 * next restore completes. */
static void test_killed(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    for (enum restore_stage stage = RESTORE_CREATE; stage < RESTORE_DONE; stage++) {
        bool fenced = stage > RESTORE_FENCE, lifted = !fenced, whole = stage > RESTORE_READY;
        if (failed_ones(s) == 0)
            change(s);
        else
            product_run(s->p, "INSERT INTO customers (name) VALUES ('late')");
        kill_at(s, b.path, stage);
        assert_int_equal(restore_recover(&s->place, &s->a, &lifted), 0);
        assert_int_equal(lifted, fenced);
        assert_live(s);
        assert_int_equal(twins(s), whole);
        assert_int_equal(
            restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report),
            0);
        assert_int_equal(report.resumed, whole);
        assert_restored(s);
    }
    /* Once the names have changed it is done, whoever is killed then. */
    product_run(s->p, "INSERT INTO customers (name) VALUES ('late')");
    kill_at(s, b.path, RESTORE_DONE);
    assert_restored(s);
    assert_int_equal(failed_ones(s), RESTORE_DONE + 1);
}

/* The next restore sees by itself to what a killed one left; one of another backup drops it. */
static void test_killed_and_again(void **state)
{
    struct scene *s = *state;
    struct backup first = scene_backup(s);
    struct restore_report report;

    product_run(s->p, "DELETE FROM parts");
    struct backup second = scene_backup(s);
    change(s);
    kill_at(s, first.path, RESTORE_SWAP);
    assert_int_equal(
        restore_with(s, (struct restore){.path = second.path, .accept_data_loss = true}, &report),
        0);
    assert_true(scene_said(s, "it accepts connections again"));
    assert_false(report.resumed);
    assert_restored(s);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM parts"), 0);
}

/* A failure behind the fence lifts it. */
static void test_failures(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    change(s);
    for (enum restore_stage stage = RESTORE_CREATE; stage < RESTORE_DONE; stage++) {
        struct hook hook = {.s = s, .at = stage, .says = HOOK_SAYS};
        assert_int_equal(restore_with(s,
                                      (struct restore){.path = b.path,
                                                       .accept_data_loss = true,
                                                       .on_stage = on_stage,
                                                       .context = &hook},
                                      &report),
                         HOOK_SAYS);
        assert_live(s);
        assert_false(report.swapped);
        assert_int_equal(twins(s) + failed_ones(s), 0);
    }
}

/* A write between the look and the fence is not lost either. */
static void test_late_write(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct hook hook = {.s = s, .at = RESTORE_FENCE, .write = true};
    struct restore_report report;

    scene_reconnect(s);
    assert_int_equal(
        restore_with(s, (struct restore){.path = b.path, .on_stage = on_stage, .context = &hook},
                     &report),
        BACKUP_WRITTEN);
    assert_string_equal(report.late, "public.customers");
    assert_live(s);
    assert_int_equal(twins(s) + failed_ones(s), 0);
}

static void test_locked(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct hook hook = {.s = s, .at = RESTORE_FILL, .other = b.path};
    struct restore_report report;

    change(s);
    assert_int_equal(restore_with(s,
                                  (struct restore){.path = b.path,
                                                   .accept_data_loss = true,
                                                   .on_stage = on_stage,
                                                   .context = &hook},
                                  &report),
                     0);
    assert_restored(s);
}

static int carry(void *context, struct pg *live, struct pg *restored, bool fenced)
{
    struct hook *h = context;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct pg *other = NULL;

    if (!fenced) {
        assert_int_equal(twin_open(&h->s->place, h->s->p->database, "test", NULL, &other), 0);
        pg_close(other);
        h->calls_ahead++;
        return h->says_ahead;
    }
    h->calls++;
    assert_int_equal(
        pg_query(live, "SELECT name FROM customers WHERE name = 'late'", NULL, 0, &rows), 0);
    const char *name = pg_text(rows, 0, 0);
    assert_int_equal(pg_query(restored, "INSERT INTO \"Odd name\" VALUES (-1, $1)", &name, 1, NULL),
                     0);
    /* Nobody else is there, and nobody comes. */
    assert_int_equal(twin_open(&h->s->place, h->s->p->database, "test", NULL, &other),
                     BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "not currently accepting connections"));
    return h->says;
}

static void test_carry_over(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct hook hook = {.s = s, .says = HOOK_SAYS, .says_ahead = HOOK_SAYS + 1};
    struct restore o = {
        .path = b.path, .accept_data_loss = true, .carry_over = carry, .context = &hook};
    struct restore_report report;

    change(s);
    /* What cannot be carried over is found before the product notices. */
    assert_int_equal(restore_with(s, o, &report), HOOK_SAYS + 1);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM customers WHERE name = 'late'"), 1);
    assert_int_equal(hook.calls, 0);
    hook.says_ahead = 0;
    assert_int_equal(restore_with(s, o, &report), HOOK_SAYS);
    assert_live(s);
    hook.says = 0;
    assert_int_equal(restore_with(s, o, &report), 0);
    assert_int_equal(hook.calls, 2);
    assert_int_equal(hook.calls_ahead, 3);
    assert_restored(s);
    assert_int_equal(product_number(s->p, "SELECT count(*) FROM \"Odd name\" WHERE n = -1"), 1);
}

/* A prepared transaction would be lost, or hold up the swap. */
static void test_prepared(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    product_run(s->p, "BEGIN; INSERT INTO customers (name) VALUES ('late');"
                      "PREPARE TRANSACTION 'holdfast test'");
    int r = restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report);
    char said[400];
    snprintf(said, sizeof said, "%s", fault_message());
    product_run(s->p, "COMMIT PREPARED 'holdfast test'");
    assert_int_equal(r, BACKUP_FAILED);
    assert_non_null(strstr(said, "holdfast test"));
    assert_live(s);
    assert_int_equal(twins(s), 0);
}

static int carry_from_none(void *context, struct pg *live, struct pg *restored, bool fenced)
{
    int *calls = context;

    assert_null(live);
    assert_non_null(restored);
    *calls += fenced;
    return 0;
}

/* The database may be gone altogether. */
static void test_without_live(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    pg_close(s->p->pg);
    s->p->pg = NULL;
    product_admin(arena_printf(&s->a, "DROP DATABASE %s", s->p->database));
    int calls = 0;
    assert_int_equal(
        restore_with(
            s, (struct restore){.path = b.path, .carry_over = carry_from_none, .context = &calls},
            &report),
        0);
    assert_int_equal(calls, 1);
    assert_string_equal(report.failed, "");
    assert_restored(s);
    assert_string_equal(text(s, "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
                                " WHERE datname = current_database()"),
                        "");
}

/* An operator's own fence is not ours to lift. */
static void test_closed_by_others(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    product_admin(arena_printf(&s->a, "ALTER DATABASE %s ALLOW_CONNECTIONS false", s->p->database));
    assert_int_equal(
        restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report),
        BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "no restore of ours"));
    product_admin(arena_printf(&s->a, "ALTER DATABASE %s ALLOW_CONNECTIONS true", s->p->database));
}

static void test_damaged(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct restore_report report;

    assert_int_equal(truncate(b.path, b.manifest.bytes - 1), 0);
    assert_int_equal(
        restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report),
        BACKUP_DAMAGED);
    assert_int_equal(twins(s) + failed_ones(s), 0);
}

/* Whoever owns the database and may make others needs no more. */
static void test_owner(void **state)
{
    struct scene *s = *state;
    const char *d = s->p->database, *at = strchr(s->p->url, '@');
    struct restore_report report;

    product_run(s->p,
                arena_printf(&s->a,
                             "CREATE ROLE owner_%s LOGIN CREATEDB; DROP SCHEMA public CASCADE;"
                             "ALTER DATABASE %s OWNER TO owner_%s;"
                             "GRANT ALL ON DATABASE %s TO owner_%s",
                             d, d, d, d, d));
    s->place.url = arena_printf(&s->a, "postgresql://owner_%s%s", d, at);
    struct pg *own;
    struct pg_options options = {.url = s->place.url};
    assert_int_equal(pg_open(&options, &own), 0);
    assert_int_equal(pg_run(own, "CREATE SCHEMA public; CREATE TABLE customers (id int, name text,"
                                 " kind text DEFAULT 'a'); INSERT INTO customers SELECT i, i"
                                 " FROM generate_series(1, 1000) i"),
                     0);
    struct backup b = scene_backup(s);
    assert_int_equal(pg_run(own, "DELETE FROM customers"), 0);
    pg_close(s->p->pg); /* a superuser's session is not the owner's to end */
    s->p->pg = NULL;
    int r = restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report);
    if (r)
        print_message("%s\n", fault_message());
    pg_close(own);
    scene_reconnect(s);
    assert_int_equal(r, 0);
    assert_restored(s);
    product_run(s->p, arena_printf(&s->a, "REASSIGN OWNED BY owner_%s TO holdfast", d));
    struct pg *old;
    assert_int_equal(twin_open(&s->place, report.failed, "test", NULL, &old), 0);
    s->place.url = s->p->url;
    pg_close(old);
    assert_int_equal(twin_open(&s->place, report.failed, "test", NULL, &old), 0);
    assert_int_equal(pg_run(old, arena_printf(&s->a, "REASSIGN OWNED BY owner_%s TO holdfast", d)),
                     0);
    pg_close(old);
    product_admin(arena_printf(&s->a, "DROP ROLE owner_%s", d));
}

struct writer {
    struct scene *s;
    atomic_bool stop;
    int64_t acknowledged, longest_us;
};

/* As a product does: writes, and connects again where it lost its connection. */
static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct pg_options options = {.url = w->s->p->url};
    struct pg *c = NULL;
    int64_t last = clock_mono_us();

    while (!atomic_load(&w->stop)) {
        if ((!c && pg_open(&options, &c)) ||
            pg_run(c, "INSERT INTO \"Odd name\" VALUES (1, 'w')")) {
            pg_close(c);
            c = NULL;
            continue;
        }
        int64_t now = clock_mono_us();
        w->acknowledged++;
        if (now - last > w->longest_us)
            w->longest_us = now - last;
        last = now;
    }
    pg_close(c);
    return NULL;
}

/* Each write that was acknowledged is in one of the two databases, and no more. */
static void test_under_writes(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct writer w = {.s = s};
    struct restore_report report;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    while (product_number(s->p, "SELECT count(*) FROM \"Odd name\"") < 60)
        ;
    int refused = restore_with(s, (struct restore){.path = b.path}, &report);
    int r = restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report);
    scene_reconnect(s);
    while (r == 0 && product_number(s->p, "SELECT count(*) FROM \"Odd name\"") < 60)
        ;
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(refused, BACKUP_WRITTEN);
    assert_int_equal(r, 0);
    struct pg *old _cleanup_pg_ = NULL;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    assert_int_equal(twin_open(&s->place, report.failed, "test", NULL, &old), 0);
    assert_int_equal(pg_query(old, "SELECT count(*) FROM \"Odd name\"", NULL, 0, &rows), 0);
    assert_int_equal(pg_int(rows, 0, 0) - 50 +
                         product_number(s->p, "SELECT count(*) FROM \"Odd name\"") - 50,
                     w.acknowledged);
    print_message("interrupted for %lld us, and a writer for %lld us\n",
                  (long long)report.interruption_us, (long long)w.longest_us);
}

static void run_sqlite(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t count_sqlite(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *q;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

static void restore_sqlite_in(struct scene *s, const char *mode)
{
    const char *path = arena_printf(&s->a, "%s/%s.db", s->directory, mode);
    struct restore_report report;
    sqlite3 *open;

    run_sqlite(path, arena_printf(&s->a,
                                  "PRAGMA journal_mode = %s; CREATE TABLE t (x TEXT);"
                                  "INSERT INTO t VALUES ('a'), ('b'), ('c')",
                                  mode));
    s->place.url = arena_printf(&s->a, "sqlite:%s", path);
    struct backup b = scene_backup(s);
    assert_int_equal(restore_with(s, (struct restore){.path = b.path}, &report), 0);
    assert_true(report.writes.none);
    assert_int_equal(sqlite3_open(path, &open), SQLITE_OK); /* the product has it open throughout */
    assert_int_equal(sqlite3_exec(open, "DELETE FROM t WHERE x = 'a'", NULL, NULL, NULL),
                     SQLITE_OK);
    int files = scene_files(s, "");
    assert_int_equal(restore_with(s, (struct restore){.path = b.path}, &report), BACKUP_WRITTEN);
    assert_int_equal(report.writes.n_tables, 1);
    assert_int_equal(report.writes.tables[0].now, 2);
    assert_int_equal(scene_files(s, ".partial"), 0);
    assert_int_equal(scene_files(s, ""), files);
    assert_int_equal(count_sqlite(path), 2);
    assert_int_equal(
        restore_with(s, (struct restore){.path = b.path, .accept_data_loss = true}, &report), 0);
    assert_int_equal(count_sqlite(path), 3);
    assert_int_equal(count_sqlite(report.failed), 2);
    assert_int_equal(sqlite3_exec(open, "INSERT INTO t VALUES ('d')", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(open);
    assert_int_equal(count_sqlite(path), 4);
    assert_int_equal(scene_files(s, ".partial"), 0);
}

static void test_sqlite(void **state)
{
    restore_sqlite_in(*state, "WAL");
    restore_sqlite_in(*state, "DELETE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_swap),
        SCENE_TEST(test_refused),
        SCENE_TEST(test_nothing_written),
        SCENE_TEST(test_killed),
        SCENE_TEST(test_killed_and_again),
        SCENE_TEST(test_failures),
        SCENE_TEST(test_late_write),
        SCENE_TEST(test_locked),
        SCENE_TEST(test_carry_over),
        SCENE_TEST(test_prepared),
        SCENE_TEST(test_without_live),
        SCENE_TEST(test_closed_by_others),
        SCENE_TEST(test_damaged),
        SCENE_TEST(test_owner),
        SCENE_TEST(test_under_writes),
        SCENE_TEST(test_sqlite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
