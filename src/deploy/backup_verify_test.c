/* A backup that restores is told from one that does not, and no scratch database stays. */
#include "deploy/backup_verify.h"

#include "deploy/backup_file.h"
#include "deploy/backup_scene.h"
#include "deploy/twin.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
    int r;
    struct buf findings;
    struct backup_verified verified;
};

static struct result verify_with(struct scene *s, struct backup_verify options)
{
    struct result result = {.findings = buf_init(1 << 16)};

    result.r = backup_verify(&s->place, &options, &s->a, &result.findings, &result.verified);
    return result;
}

static bool finds(struct result *result, const char *line)
{
    return result->findings.p && memmem(result->findings.p, result->findings.n, line, strlen(line));
}

static int verify(struct scene *s, const char *path)
{
    struct result result = verify_with(s, (struct backup_verify){.path = path});

    if (result.r)
        print_message("%s\n%.*s", fault_message(), STR_ARG(buf_str(&result.findings)));
    buf_free(&result.findings);
    return result.r;
}

static int64_t scratches(struct scene *s)
{
    return scene_databases(s, "holdfast\\_scratch\\_%");
}

struct use {
    struct scene *s;
    int64_t rows;
    size_t swept;
    int answer;
};

static int use_it(void *context, const char *database)
{
    struct use *u = context;
    struct pg *c _cleanup_pg_ = NULL, *server _cleanup_pg_ = NULL;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    assert_int_equal(twin_open(&u->s->place, database, "test", NULL, &c), 0);
    assert_int_equal(pg_query(c, "SELECT count(*) FROM customers", NULL, 0, &rows), 0);
    u->rows = pg_int(rows, 0, 0);
    /* Another run takes nothing of a living one. */
    assert_int_equal(twin_open_server(&u->s->place, "test", NULL, &server), 0);
    assert_int_equal(twin_sweep(server, &u->swept), 0);
    assert_int_equal(scratches(u->s), 1);
    return u->answer;
}

static void test_whole(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s), after;
    struct use use = {.s = s, .swept = 99};
    struct result result =
        verify_with(s, (struct backup_verify){.path = b.path, .use = use_it, .context = &use});

    assert_int_equal(result.r, 0);
    assert_int_equal(result.findings.n, 0);
    assert_true(result.verified.restore_ms > 0);
    assert_int_equal(use.rows, 1000);
    assert_int_equal(use.swept, 0);
    assert_int_equal(scratches(s), 0);
    assert_int_equal(backup_open(b.path, &s->a, &after), 0);
    assert_true(after.manifest.verified_at > 0);
    assert_int_equal(b.manifest.verified_at, 0);
    assert_int_equal(scene_files(s, ""), 2);

    use.answer = 77; /* what the use says is forwarded, and the scratch database is gone */
    result = verify_with(s, (struct backup_verify){.path = b.path, .use = use_it, .context = &use});
    assert_int_equal(result.r, 77);
    assert_int_equal(scratches(s), 0);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    char c;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static void test_damage(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s), after;

    flip(b.path, b.manifest.bytes / 2);
    assert_int_equal(verify(s, b.path), BACKUP_DAMAGED);
    assert_non_null(strstr(fault_message(), "was changed since it was written"));
    assert_int_equal(backup_open(b.path, &s->a, &after), 0);
    assert_non_null(strstr(after.manifest.damage, "was changed"));
    flip(b.path, b.manifest.bytes / 2);
    assert_int_equal(verify(s, b.path), 0);
    assert_int_equal(backup_open(b.path, &s->a, &after), 0);
    assert_string_equal(after.manifest.damage, "");

    int fd = open(b.path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(verify(s, b.path), BACKUP_DAMAGED);
    assert_non_null(strstr(fault_message(), "is longer than it was written"));
    assert_int_equal(truncate(b.path, b.manifest.bytes / 2), 0);
    struct result quick = verify_with(s, (struct backup_verify){.path = b.path, .quick = true});
    assert_int_equal(quick.r, BACKUP_DAMAGED);
    assert_non_null(strstr(fault_message(), "is cut short"));
    assert_int_equal(unlink(b.path), 0);
    assert_int_equal(verify(s, b.path), FAULT_IO);
    assert_int_equal(verify(s, "/no/such.dump"), FAULT_IO);
    assert_non_null(strstr(fault_message(), "there is no manifest /no/such.dump.json"));
    assert_int_equal(scratches(s), 0);
}

/* The file is as it was written, and yet holds something else than the manifest says. */
static void test_differences(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct backup_manifest *m = &b.manifest;
    struct buf json _cleanup_buf_ = buf_init(1 << 20);

    ((struct survey_table *)(uintptr_t)survey_table(&m->survey, "public.customers"))->rows = 1001;
    ((struct survey_table *)(uintptr_t)survey_table(&m->survey, "public.parts_1"))->name =
        "public.gone";
    struct survey_sequence *q =
        (struct survey_sequence *)(uintptr_t)survey_sequence(&m->survey, "public.down");
    q->value = q->later = -7;
    ((struct survey_kind *)(uintptr_t)survey_kind(&m->survey, "indexes"))->structure = "0";
    assert_int_equal(backup_manifest_write(m, &json), 0);
    assert_int_equal(backup_file_remark(b.path, buf_str(&json)), 0);
    struct result result = verify_with(s, (struct backup_verify){.path = b.path});
    assert_int_equal(result.r, BACKUP_DAMAGED);
    assert_non_null(strstr(fault_message(), "5 differences"));
    assert_true(finds(&result, "table public.customers: 1000 rows instead of 1001\n"));
    assert_true(finds(&result, "table public.gone: missing\n"));
    assert_true(finds(&result, "table public.parts_1: not in the manifest\n"));
    assert_true(finds(&result, "sequence public.down: at -2 instead of -7\n"));
    assert_true(finds(&result, "indexes: differ"));
    buf_free(&result.findings);
    assert_int_equal(scratches(s), 0);
}

struct writer {
    struct scene *s;
    atomic_bool stop;
    int64_t rows;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct pg_options options = {.url = w->s->p->url};
    struct pg *c _cleanup_pg_ = NULL;

    if (pg_open(&options, &c))
        return NULL;
    while (!atomic_load(&w->stop) &&
           pg_run(c, "INSERT INTO customers (name) VALUES ('w' || nextval('customers_id_seq'));"
                     "DELETE FROM parts WHERE id = (SELECT min(id) FROM parts);"
                     "SELECT nextval('down')") == 0)
        w->rows++;
    return NULL;
}

/* What is written while it is taken is in neither the dump nor the counts. */
static void test_under_writes(void **state)
{
    struct scene *s = *state;
    struct writer w = {.s = s};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(verify(s, scene_backup(s).path), 0);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_true(w.rows > 10);
}

static int die(void *context, const char *database)
{
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_killed(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    pid_t child = fork();

    if (child == 0) {
        verify_with(s, (struct backup_verify){.path = b.path, .use = die});
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(scratches(s), 1);
    /* The server takes a moment to see that its client is gone. */
    for (int i = 0; i < 1000 && product_number(s->p, "SELECT count(*) FROM pg_stat_activity WHERE"
                                                     " application_name = 'holdfast verify'");
         i++)
        usleep(10000);
    assert_int_equal(verify(s, b.path), 0);
    assert_true(scene_said(s, "Dropped 1 scratch database that a killed run had left"));
    assert_int_equal(scratches(s), 0);
}

static atomic_int cancel;

static void cancel_at_restore(void *context, const char *line)
{
    if (strstr(line, "Restoring into"))
        atomic_store(&cancel, 1);
}

static void test_cancelled(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct progress progress = {.say = cancel_at_restore};

    s->place.progress = &progress;
    s->place.cancel = &cancel;
    assert_int_equal(verify(s, b.path), BACKUP_CANCELLED);
    assert_int_equal(scratches(s), 0);
}

/* Settings that the database has for its sessions do not show as differences. */
static void test_settings(void **state)
{
    struct scene *s = *state;

    product_run(s->p, arena_printf(&s->a,
                                   "CREATE SCHEMA app; CREATE TABLE app.t (n int);"
                                   "ALTER DATABASE %s SET search_path = app, public;"
                                   "ALTER DATABASE %s SET row_security = off;"
                                   "ALTER DATABASE %s SET DateStyle = 'SQL, DMY'",
                                   s->p->database, s->p->database, s->p->database));
    assert_int_equal(verify(s, scene_backup(s).path), 0);
}

static void test_sqlite(void **state)
{
    struct scene *s = *state;
    const char *path = arena_printf(&s->a, "%s/shop.db", s->directory);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode = WAL; CREATE TABLE t (x TEXT); INSERT INTO"
                                  " t VALUES ('a'), ('b'); CREATE TABLE \"o'dd \"\"one\" (n INT)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    s->place.url = arena_printf(&s->a, "sqlite:%s", path);
    struct backup b = scene_backup(s);
    sqlite3_close(db);
    assert_int_equal(verify(s, b.path), 0);
    flip(b.path, b.manifest.bytes - 100);
    assert_int_equal(verify(s, b.path), BACKUP_DAMAGED);
    assert_non_null(strstr(fault_message(), "was changed"));

    s->place.url = s->p->url;
    b = scene_backup(s);
    s->place.url = "sqlite:x";
    assert_int_equal(verify(s, b.path), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "is of PostgreSQL"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_whole),        SCENE_TEST(test_damage), SCENE_TEST(test_differences),
        SCENE_TEST(test_under_writes), SCENE_TEST(test_killed), SCENE_TEST(test_cancelled),
        SCENE_TEST(test_settings),     SCENE_TEST(test_sqlite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
