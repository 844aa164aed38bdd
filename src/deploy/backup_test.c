/* A backup is whole, or there is none: what is taken, what fails, what is left, what is removed. */
#include "deploy/backup_scene.h"

#include "base/clock.h"
#include "deploy/backup_file.h"
#include "deploy/backup_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_create(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s), read;
    const struct backup_manifest *m = &b.manifest;
    struct stat st;

    assert_int_equal(stat(b.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, m->bytes);
    assert_int_equal(scene_files(s, ""), 2);
    assert_string_equal(m->database, s->p->database);
    assert_int_equal(survey_table(&m->survey, "public.customers")->rows, 1000);
    assert_int_equal(survey_table(&m->survey, "public.\"Odd name\"")->rows, 50);
    assert_int_equal(survey_table(&m->survey, "public.parts_1")->rows, 20);
    assert_int_equal(m->survey.n_tables, 3);
    assert_int_equal(survey_sequence(&m->survey, "public.customers_id_seq")->value, 1000);
    assert_int_equal(survey_sequence(&m->survey, "public.down")->value, -2);
    assert_false(survey_sequence(&m->survey, "public.unused")->called);
    assert_int_equal(survey_kind(&m->survey, "functions")->count, 1);
    assert_non_null(strchr(m->snapshot, ':'));
    assert_non_null(strchr(m->wal, '/'));

    assert_int_equal(backup_open(b.path, &s->a, &read), 0);
    struct buf one _cleanup_buf_ = buf_init(1 << 20), two _cleanup_buf_ = buf_init(1 << 20);
    assert_int_equal(backup_manifest_write(m, &one), 0);
    assert_int_equal(backup_manifest_write(&read.manifest, &two), 0);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
}

static void test_empty_database(void **state)
{
    struct scene *s = *state;

    product_run(s->p, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    assert_int_equal(scene_backup(s).manifest.survey.n_tables, 0);
}

/* What does not read as a manifest says where, and is not taken for one. */
static void test_bad_manifests(void **state)
{
    struct scene *s = *state;
    struct backup b = scene_backup(s);
    struct buf json _cleanup_buf_ = buf_init(1 << 20);
    struct backup_manifest m;

    assert_int_equal(backup_manifest_read(STR("{"), &s->a, &m), MANIFEST_BAD);
    assert_int_equal(backup_manifest_read(STR("[]"), &s->a, &m), MANIFEST_BAD);
    assert_int_equal(backup_manifest_read(STR("{\"format\":2}"), &s->a, &m), MANIFEST_NEWER);
    assert_non_null(strstr(fault_message(), "format 2"));
    assert_int_equal(backup_manifest_read(STR("{\"format\":1}"), &s->a, &m), MANIFEST_BAD);
    b.manifest.file = "../elsewhere";
    assert_int_equal(backup_manifest_write(&b.manifest, &json), 0);
    assert_int_equal(backup_manifest_read(buf_str(&json), &s->a, &m), MANIFEST_BAD);
    assert_non_null(strstr(fault_message(), "\"file\""));
}

static int create(struct scene *s)
{
    struct backup b;

    return backup_create(&s->place, s->directory, NULL, &s->a, &b);
}

/* A pg_dump that says what the script prints stands first in PATH for as long as run() lasts. */
static int with_pg_dump(struct scene *s, const char *script)
{
    char *before = strdup(getenv("PATH"));
    const char *tool = arena_printf(&s->a, "%s/bin/pg_dump", s->directory);
    const char *path = arena_printf(&s->a, "%s/bin:%s", s->directory, before);

    assert_int_equal(mkdir(arena_printf(&s->a, "%s/bin", s->directory), 0700), 0);
    FILE *f = fopen(tool, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fchmod(fileno(f), 0700), 0);
    fclose(f);
    setenv("PATH", path, 1);
    int r = create(s);
    setenv("PATH", before, 1);
    free(before);
    return r;
}

static void test_older_tool(void **state)
{
    struct scene *s = *state;

    assert_int_equal(with_pg_dump(s, "echo 'pg_dump (PostgreSQL) 9.6.24'"), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "9.6.24"));
    assert_non_null(strstr(fault_message(), "PostgreSQL 15."));
    assert_int_equal(scene_files(s, ".json") + scene_files(s, ".partial"), 0);
}

static void test_tool_that_fails(void **state)
{
    struct scene *s = *state;

    assert_int_equal(with_pg_dump(s, "[ $1 = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && "
                                     "exit; echo half; echo 'pg_dump: error: no luck' >&2; exit 1"),
                     BACKUP_FAILED);
    assert_string_equal(fault_message(), "pg_dump: error: no luck");
    assert_int_equal(scene_files(s, ".json") + scene_files(s, ".partial"), 0);
    assert_true(scene_said(s, "no luck"));
}

static void test_missing_tool(void **state)
{
    struct scene *s = *state;
    char *before = strdup(getenv("PATH"));

    setenv("PATH", s->directory, 1);
    assert_int_equal(create(s), BACKUP_FAILED);
    setenv("PATH", before, 1);
    free(before);
    assert_non_null(strstr(fault_message(), "pg_dump"));
    assert_int_equal(scene_files(s, ""), 0);
}

static void test_unreachable(void **state)
{
    struct scene *s = *state;

    s->place.url = "postgresql://u:secret@127.0.0.1:1/d";
    assert_int_equal(create(s), BACKUP_UNREACHABLE);
    assert_null(strstr(fault_message(), "secret"));
    assert_int_equal(scene_files(s, ""), 0);
}

/* The disk takes no more than a part of it. */
static void test_full_disk(void **state)
{
    struct scene *s = *state;

    product_run(s->p, "CREATE TABLE big AS SELECT i, md5(i::text) || md5(i::text || 'x') AS t FROM"
                      " generate_series(1, 20000) i");
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {100000, 100000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        int r = create(s);
        _exit(r == BACKUP_FAILED && strstr(fault_message(), "pg_dump") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(scene_files(s, ""), 0);

    int64_t room;
    assert_int_equal(backup_file_room("/proc/../tmp/none/such", &room), 0);
    assert_true(room > 0);
    assert_int_equal(backup_check_room("/tmp", room / 2), 0);
    assert_int_equal(backup_check_room("/tmp", INT64_MAX / 2), BACKUP_FAILED);
    assert_non_null(strstr(fault_message(), "has room for"));
}

/* What a killed run leaves is removed by the next; what a living one writes is not. */
static void test_left_parts(void **state)
{
    struct scene *s = *state;
    struct backup_file alive, dead;
    pid_t child = fork();

    if (child == 0) {
        if (backup_file_begin(s->directory, "x-20260101T000000Z-0123abcd.dump", &dead) == 0 &&
            write(dead.fd, "half", 4) == 4)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    FILE *manifest =
        fopen(arena_printf(&s->a, "%s/x-20260101T000000Z-0123abcd.dump.json", s->directory), "w");
    assert_non_null(manifest);
    fclose(manifest);
    assert_int_equal(backup_file_begin(s->directory, "y-20260101T000000Z-0123abcd.dump", &alive),
                     0);
    FILE *others = fopen(arena_printf(&s->a, "%s/others.dump.partial", s->directory), "w");
    assert_non_null(others);
    fclose(others);
    assert_int_equal(scene_files(s, ".partial"), 3);
    scene_backup(s);
    assert_int_equal(scene_files(s, "y-20260101T000000Z-0123abcd.dump.partial"), 1);
    assert_int_equal(scene_files(s, "others.dump.partial"), 1);
    assert_int_equal(scene_files(s, ".partial"), 2);
    assert_int_equal(scene_files(s, "x-20260101T000000Z-0123abcd.dump.json"), 0);
    assert_int_equal(scene_files(s, ""), 4);
    assert_int_equal(write(alive.fd, "whole", 5), 5);
    assert_int_equal(backup_file_finish(&alive, STR("{}")), 0);
    backup_file_end(&alive);
    assert_int_equal(scene_files(s, "y-20260101T000000Z-0123abcd.dump"), 1);
    assert_int_equal(backup_file_sweep(s->directory), 0);
    assert_int_equal(scene_files(s, "y-20260101T000000Z-0123abcd.dump.json"), 1);
}

static void test_cancelled(void **state)
{
    struct scene *s = *state;
    atomic_int cancel = 1;

    s->place.cancel = &cancel;
    assert_int_equal(create(s), BACKUP_CANCELLED);
    assert_int_equal(scene_files(s, ""), 0);
}

/* The backup is cancelled before pg_dump begins, and after its file was. */
static atomic_int cancel_later;

static void on_line(void *context, const char *line)
{
    if (strstr(line, "Dumping"))
        atomic_store(&cancel_later, 1);
}

static void test_cancelled_in_dump(void **state)
{
    struct scene *s = *state;
    struct progress progress = {.say = on_line};

    s->place.progress = &progress;
    s->place.cancel = &cancel_later;
    atomic_store(&cancel_later, 0);
    assert_int_equal(create(s), BACKUP_CANCELLED);
    assert_int_equal(scene_files(s, ""), 0);
}

static void run_sqlite(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_sqlite(void **state)
{
    struct scene *s = *state;
    const char *path = arena_printf(&s->a, "%s/shop.db", s->directory);
    sqlite3 *writer;

    run_sqlite(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY"
                     " AUTOINCREMENT, x TEXT); CREATE INDEX i ON t (x);"
                     "INSERT INTO t (x) VALUES ('a'), ('b'), ('c')");
    /* A writer in the middle of a transaction neither holds it up nor gets into it. */
    assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(writer, "BEGIN; INSERT INTO t (x) VALUES ('d')", NULL, NULL, NULL), SQLITE_OK);
    s->place.url = arena_printf(&s->a, "sqlite:%s", path);
    struct backup b = scene_backup(s);
    sqlite3_close(writer);
    assert_string_equal(b.manifest.engine, "sqlite");
    assert_true(str_has_suffix(str_of(b.path), STR(".sqlite")));
    assert_int_equal(survey_table(&b.manifest.survey, "t")->rows, 3);
    assert_int_equal(survey_sequence(&b.manifest.survey, "t")->value, 3);
    assert_int_equal(scene_files(s, ".sqlite"), 1);
    assert_int_equal(scene_files(s, ".partial"), 0);

    s->place.url = arena_printf(&s->a, "sqlite:%s/none.db", s->directory);
    assert_int_equal(create(s), BACKUP_UNREACHABLE);
    FILE *f = fopen(path, "w");
    fputs("this is no database, however long it may be, and it is longer than a header", f);
    fclose(f);
    s->place.url = arena_printf(&s->a, "sqlite:%s", path);
    assert_int_equal(create(s), BACKUP_FAILED);
    assert_int_equal(scene_files(s, ".partial"), 0);
}

/* A backup of these properties, without a database behind it. */
static void place_backup(struct scene *s, const char *name, int64_t days_old, bool verified,
                         const char *kept, const char *damage)
{
    struct backup_file f;
    struct buf json _cleanup_buf_ = buf_init(1 << 16);
    struct backup_manifest m = {.id = uuid_new(),
                                .file = name,
                                .engine = "postgresql",
                                .database = "shop",
                                .bytes = 4,
                                .kept = kept,
                                .damage = damage,
                                .taken_at = clock_now() - days_old * CLOCK_DAY - 1000};

    memset(m.sha256, '0', 64);
    m.verified_at = verified ? m.taken_at + 1 : 0;
    assert_int_equal(backup_manifest_write(&m, &json), 0);
    assert_int_equal(backup_file_begin(s->directory, name, &f), 0);
    assert_int_equal(write(f.fd, "dump", 4), 4);
    assert_int_equal(backup_file_finish(&f, buf_str(&json)), 0);
    backup_file_end(&f);
}

static size_t thin_out(struct scene *s, int64_t keep, int64_t days)
{
    size_t n = 99;

    assert_int_equal(backup_thin_out(s->directory, "shop", keep, days, clock_now(), &n), 0);
    return n;
}

static void test_thin_out(void **state)
{
    struct scene *s = *state;

    place_backup(s, "0", 0, false, "", "its SHA-256");
    place_backup(s, "1", 1, false, "", "");
    place_backup(s, "2", 2, false, "", "");
    place_backup(s, "3", 3, true, "", "");
    place_backup(s, "4", 4, true, "", "");
    place_backup(s, "5", 5, false, "before the big change", "");
    place_backup(s, "6", 6, false, "", "");
    assert_int_equal(thin_out(s, 0, 0), 0);
    assert_int_equal(thin_out(s, 0, 5), 1); /* 6 */
    assert_int_equal(scene_files(s, "6"), 0);
    assert_int_equal(thin_out(s, 1, 0),
                     2); /* 2 and 4: 1 is the newest, 3 was verified, 5 is kept */
    assert_int_equal(scene_files(s, "1") + scene_files(s, "3") + scene_files(s, "5"), 3);
    assert_int_equal(scene_files(s, ""), 8);
    clock_shift(CLOCK_DAY * 100LL);
    assert_int_equal(thin_out(s, 0, 1), 1); /* the damaged one alone */
    clock_shift(-CLOCK_DAY * 100LL);
    assert_int_equal(scene_files(s, ""), 6);

    struct backup_entry *entries;
    size_t n;
    assert_int_equal(truncate(arena_printf(&s->a, "%s/1", s->directory), 3), 0);
    assert_int_equal(backup_list(s->directory, &s->a, &entries, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(entries[0].backup.manifest.file, "1");
    assert_false(entries[0].there);
    assert_string_equal(entries[0].note, "the file has another size");
    assert_int_equal(backup_list("/no/such/place", &s->a, &entries, &n), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_create),
        SCENE_TEST(test_empty_database),
        SCENE_TEST(test_bad_manifests),
        SCENE_TEST(test_older_tool),
        SCENE_TEST(test_tool_that_fails),
        SCENE_TEST(test_missing_tool),
        SCENE_TEST(test_unreachable),
        SCENE_TEST(test_full_disk),
        SCENE_TEST(test_left_parts),
        SCENE_TEST(test_cancelled),
        SCENE_TEST(test_cancelled_in_dump),
        SCENE_TEST(test_sqlite),
        SCENE_TEST(test_thin_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
