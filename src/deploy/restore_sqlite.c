/*
 * A restore of SQLite: under the live database's write lock it is copied aside, and the backup's
 * pages are written over it as one transaction. Whoever has it open sees the old rows or the new.
 */
#include "base/fault.h"
#include "deploy/backup_sqlite.h"
#include "deploy/child.h"
#include "deploy/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 1 << 15 };

struct overwriting {
    struct restoring *r;
    const char *path;
    sqlite3 *live, *from;
    sqlite3_backup *pages;
    const char *directory; /* of the live database */
    struct backup_file aside, prepared;
    char name[NAME_MAX + 1], partial[PATH_MAX];
    char prepared_name[NAME_MAX + 1], prepared_path[PATH_MAX];
    bool wal;
};

static bool is_wal(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &s, NULL) == SQLITE_OK &&
               sqlite3_step(s) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(s, 0), "wal") == 0;

    sqlite3_finalize(s);
    return wal;
}

/* From here on nobody writes to the live database but us. */
static int lock(struct overwriting *o)
{
    int r = backup_sqlite_open(o->path, SQLITE_OPEN_READWRITE, &o->live);

    if (r == 0)
        r = backup_sqlite_open(o->r->options->carry_over_sqlite ? o->prepared_path
                                                                : o->r->options->path,
                               SQLITE_OPEN_READONLY, &o->from);
    if (r)
        return r;
    o->wal = is_wal(o->live);
    o->pages = sqlite3_backup_init(o->live, "main", o->from, "main");
    if (!o->pages || sqlite3_backup_step(o->pages, 0) != SQLITE_OK)
        return backup_sqlite_failure(o->live, o->path);
    return 0;
}

/* Beside the live database, as parts that a later run removes if this one is killed. */
static int choose_names(struct overwriting *o)
{
    const char *slash = strrchr(o->path, '/'), *base = slash ? slash + 1 : o->path;
    struct uuid id = uuid_new();
    char id8[BACKUP_ID8_SIZE];

    o->directory = slash == o->path ? "/"
                   : slash          ? arena_printf(o->r->a, "%.*s", (int)(slash - o->path), o->path)
                                    : ".";
    if (!o->directory)
        return FAULT_MEMORY;
    backup_id8(&id, id8);
    snprintf(o->name, sizeof o->name, "%.200s_failed_%s", base, id8);
    snprintf(o->partial, sizeof o->partial, "%s/%.220s.partial", o->directory, o->name);
    snprintf(o->prepared_name, sizeof o->prepared_name, "%.200s_restore_%s", base, id8);
    snprintf(o->prepared_path, sizeof o->prepared_path, "%s/%.220s.partial", o->directory,
             o->prepared_name);
    return 0;
}

/* A copy of the backup for the carry-over to change: the live database becomes both at once. */
static int prepare(struct overwriting *o)
{
    sqlite3 *backup;
    int r = backup_file_begin(o->directory, o->prepared_name, &o->prepared);

    if (r == 0)
        r = backup_sqlite_open(o->r->options->path, SQLITE_OPEN_READONLY, &backup);
    if (r)
        return r;
    r = backup_sqlite_copy_into(o->r->place, backup, o->prepared_path);
    sqlite3_close(backup);
    return r;
}

static int begin_files(struct overwriting *o)
{
    int r = choose_names(o);

    if (r)
        return r;
    backup_file_sweep(o->directory);
    if (o->r->options->carry_over_sqlite)
        r = prepare(o);
    return r ? r : backup_file_begin(o->directory, o->name, &o->aside);
}

static int carry_over(struct overwriting *o)
{
    const struct restore *options = o->r->options;

    return options->carry_over_sqlite
               ? options->carry_over_sqlite(options->context, o->partial, o->prepared_path)
               : 0;
}

/* In WAL mode one may read beside the lock. Else nobody may, but the file is as it was committed;
 * another process copies it, because to close a file here would give up our lock on it. */
static int copy_aside(struct overwriting *o)
{
    const char *const argv[] = {"cp", "--", o->path, o->partial, NULL};
    struct child cp = {.argv = argv, .cancel = o->r->place->cancel};
    sqlite3 *beside;
    int r;

    if (!o->wal) {
        r = child_run(&cp, NULL);
        return r == CHILD_CANCELLED ? BACKUP_CANCELLED : r > 0 ? BACKUP_FAILED : r;
    }
    r = backup_sqlite_open(o->path, SQLITE_OPEN_READWRITE, &beside);
    if (r)
        return r;
    r = backup_sqlite_copy_into(o->r->place, beside, o->partial);
    sqlite3_close(beside);
    return r;
}

/* Bytes of the first page that a copy has its own: mode, counter of changes, version. */
static bool is_own(int64_t at)
{
    return at == 18 || at == 19 || (at >= 24 && at < 28) || (at >= 92 && at < 100);
}

/* Whether two files hold the same pages. */
static int compare_pages(int a, int b, bool *ret_same)
{
    char x[PAGE], y[PAGE];
    int64_t at = 0;
    ssize_t n = 0, m = 0;
    bool same = true;

    while (same && (n = pread(a, x, sizeof x, at)) >= 0 && (m = pread(b, y, sizeof y, at)) >= 0) {
        same = n == m;
        for (ssize_t i = 0; same && at == 0 && i < 100 && i < n; i++)
            if (is_own(i))
                x[i] = y[i] = 0;
        same = same && memcmp(x, y, (size_t)n) == 0;
        at += n;
        if (n == 0)
            break;
    }
    if (n < 0 || m < 0)
        return fault_errno(FAULT_IO, errno, "cannot read the databases");
    *ret_same = same;
    return 0;
}

static int list_tables(struct overwriting *o, const struct survey *now, struct writes *w)
{
    const struct survey *then = &o->r->report->backup.manifest.survey;

    w->tables = arena_array(o->r->a, then->n_tables + now->n_tables, sizeof *w->tables);
    w->others = arena_array(o->r->a, 1, sizeof *w->others);
    if (!w->tables || !w->others)
        return FAULT_MEMORY;
    for (size_t i = 0; i < now->n_tables; i++) {
        const struct survey_table *n = &now->tables[i], *t = survey_table(then, n->name);
        if (!t || t->rows != n->rows)
            w->tables[w->n_tables++] =
                (struct writes_table){n->name, t ? t->rows : 0, n->rows, -1, !t, false};
    }
    for (size_t i = 0; i < then->n_tables; i++)
        if (!survey_table(now, then->tables[i].name))
            w->tables[w->n_tables++] = (struct writes_table){
                then->tables[i].name, then->tables[i].rows, 0, 0, false, true};
    w->others[w->n_others++] = "its pages are not those of the backup any more";
    return 0;
}

/* What would be lost: nothing, where the copy has the backup's pages. */
static int check_writes(struct overwriting *o, int backup_fd)
{
    struct writes *w = &o->r->report->writes;
    struct survey now;
    sqlite3 *db;
    int r = compare_pages(o->aside.fd, backup_fd, &w->none);

    if (r || w->none)
        return r;
    r = backup_sqlite_open(o->partial, SQLITE_OPEN_READONLY, &db);
    if (r)
        return r;
    r = survey_sqlite(db, o->r->a, &now);
    sqlite3_close(db);
    if (r == 0)
        r = list_tables(o, &now, w);
    if (r || o->r->options->accept_data_loss)
        return r;
    fault_keep("%s was written to since the backup; restoring it would lose that", o->path);
    return BACKUP_WRITTEN;
}

static int overwrite(struct overwriting *o)
{
    int rc = sqlite3_backup_step(o->pages, -1);

    if (rc == SQLITE_DONE)
        rc = sqlite3_backup_finish(o->pages);
    else
        sqlite3_backup_finish(o->pages);
    o->pages = NULL;
    return rc == SQLITE_OK ? 0 : backup_sqlite_failure(o->live, o->path);
}

static int set_aside_and_overwrite(struct overwriting *o, int backup_fd)
{
    struct restore_report *report = o->r->report;
    int r = begin_files(o);

    if (r == 0)
        r = lock(o);
    if (r)
        return r;
    progress_say(o->r->place->progress, "Copying %s aside", o->path);
    r = copy_aside(o);
    if (r == 0)
        r = check_writes(o, backup_fd);
    if (r == 0)
        r = carry_over(o);
    if (r == 0)
        r = backup_file_keep(&o->aside);
    if (r == 0) {
        report->failed = arena_printf(o->r->a, "%s/%s", o->aside.directory, o->name);
        r = report->failed ? overwrite(o) : FAULT_MEMORY;
        report->swapped = r == 0;
        if (r && report->failed && unlink(report->failed) == 0)
            report->failed = "";
    }
    return r;
}

int restore_run_sqlite(const struct backup_place *place, const struct restore *options,
                       struct arena *a, struct restore_report *report)
{
    struct restoring r = {.place = place, .options = options, .a = a, .report = report};
    struct overwriting o = {.r = &r,
                            .path = place->url + strlen("sqlite:"),
                            .aside = {.fd = -1},
                            .prepared = {.fd = -1}};
    int fd, result = backup_check_file(place, &report->backup, &fd);

    o.aside.directory_fd = o.prepared.directory_fd = -1;
    report->database = o.path;
    if (result)
        return result;
    result = set_aside_and_overwrite(&o, fd);
    backup_file_end(&o.aside);
    backup_file_end(&o.prepared);
    if (o.pages)
        sqlite3_backup_finish(o.pages);
    sqlite3_close(o.live);
    sqlite3_close(o.from);
    close(
        fd); /* not before: the locks that this process has on a file go with any of its handles */
    return result;
}
