#include "deploy/backup_sqlite.h"

#include "base/fault.h"

enum { WAIT_MS = 30000, PAGES = 512, PATH_SIZE = 4096 };

int backup_sqlite_failure(sqlite3 *db, const char *path)
{
    fault_keep("%s: %s", path, db ? sqlite3_errmsg(db) : "no memory");
    return BACKUP_FAILED;
}

int backup_sqlite_open(const char *path, int flags, sqlite3 **ret)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        backup_sqlite_failure(db, path);
        sqlite3_close(db);
        return BACKUP_UNREACHABLE;
    }
    sqlite3_busy_timeout(db, WAIT_MS);
    *ret = db;
    return 0;
}

static int step_all(const struct backup_place *place, sqlite3_backup *b, int64_t page_size)
{
    int rc;

    while ((rc = sqlite3_backup_step(b, PAGES)) == SQLITE_OK) {
        int64_t total = sqlite3_backup_pagecount(b), left = sqlite3_backup_remaining(b);
        progress_amount(place->progress, (total - left) * page_size, total * page_size);
        if (place->cancel && atomic_load(place->cancel)) {
            fault_keep("interrupted");
            return BACKUP_CANCELLED;
        }
    }
    return rc == SQLITE_DONE ? 0 : BACKUP_FAILED;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t n = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

int backup_sqlite_copy(const struct backup_place *place, sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int r;

    if (!b)
        return backup_sqlite_failure(to, "cannot begin to copy");
    r = step_all(place, b, number(from, "PRAGMA page_size"));
    if (sqlite3_backup_finish(b) != SQLITE_OK && r != BACKUP_CANCELLED)
        r = backup_sqlite_failure(to, "cannot copy");
    return r;
}

int backup_sqlite_check(sqlite3 *db, const char *path)
{
    sqlite3_stmt *s = NULL;
    const char *said = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &s, NULL), r = 0;

    if (rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(s, 0);
    if (!said || strcmp(said, "ok") != 0) {
        fault_keep("%s is damaged: %.200s", path, said ? said : sqlite3_errmsg(db));
        r = BACKUP_DAMAGED;
    }
    sqlite3_finalize(s);
    return r;
}

/* What is read from here on is of one moment; in WAL mode writers go on beside it. */
static int begin(sqlite3 *from, const char *path, struct arena *a, struct backup_manifest *m)
{
    if (sqlite3_exec(from, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return backup_sqlite_failure(from, path);
    int r = survey_sqlite(from, a, &m->survey);
    if (r)
        return r == FAULT_STORE ? backup_sqlite_failure(from, path) : r;
    m->database_bytes = number(from, "PRAGMA page_count") * number(from, "PRAGMA page_size");
    return 0;
}

int backup_sqlite_copy_into(const struct backup_place *place, sqlite3 *from, const char *path)
{
    sqlite3 *to;
    int r = backup_sqlite_open(path, SQLITE_OPEN_READWRITE, &to);

    if (r)
        return r;
    if (sqlite3_exec(to, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF", NULL, NULL,
                     NULL) != SQLITE_OK)
        r = backup_sqlite_failure(to, path);
    if (r == 0)
        r = backup_sqlite_copy(place, from, to);
    if (r == 0 && sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        r = backup_sqlite_failure(to, path);
    if (r == 0)
        r = backup_sqlite_check(to, path);
    sqlite3_close(to);
    return r;
}

int backup_take_sqlite(const struct backup_place *place, struct backup_file *f, struct arena *a,
                       struct backup_manifest *m)
{
    const char *path = place->url + strlen("sqlite:");
    char into[PATH_SIZE];
    sqlite3 *from;
    int r = backup_sqlite_open(path, SQLITE_OPEN_READWRITE, &from);

    if (r)
        return r;
    m->server = sqlite3_libversion();
    m->tool = arena_printf(a, "SQLite %s", sqlite3_libversion());
    snprintf(into, sizeof into, "%s/%s.partial", f->directory, f->name);
    r = begin(from, path, a, m);
    if (r == 0)
        r = backup_check_room(f->directory, m->database_bytes);
    if (r == 0)
        progress_say(place->progress, "Copying %lld rows of %s", (long long)survey_rows(&m->survey),
                     path);
    if (r == 0)
        r = backup_sqlite_copy_into(place, from, into);
    sqlite3_close(from);
    return r;
}
