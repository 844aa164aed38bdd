/* The carry-over between two files of SQLite: the live one is attached to the restored one. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_sqlite.h"
#include "deploy/carry_internal.h"

struct files {
    struct carrying g; /* first: what its calls are given */
    sqlite3 *db;
};

static int run(struct carrying *g, const char *sql, int64_t *ret_changed)
{
    struct files *f = (struct files *)g;

    if (sqlite3_exec(f->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return backup_sqlite_failure(f->db, "the carry-over");
    *ret_changed = sqlite3_changes64(f->db);
    return 0;
}

static int number(struct carrying *g, const char *sql, int64_t *ret)
{
    struct files *f = (struct files *)g;
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return backup_sqlite_failure(f->db, "the carry-over");
    *ret = n;
    return 0;
}

/* How many of these tables, of which there are four, a database has. */
#define SIGNATURE(database)                                                                        \
    "SELECT count(*) FROM " database ".sqlite_schema WHERE type = 'table' AND name IN"             \
    " ('schema_migrations', 'families', 'trail_head', 'feed')"

static int attach(struct files *f, const char *live)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(f->db, "ATTACH ?1 AS live", -1, &s, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(s, 1, live, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? 0 : backup_sqlite_failure(f->db, live);
}

/* Which tables both have. Returns BACKUP_FAILED where one is missing that must be there. */
static int find_tables(struct files *f)
{
    char sql[CARRY_TEXT_SIZE];
    int r = 0;

    for (size_t i = 0; r == 0 && i < carry_tables_count; i++) {
        int64_t n = 0;
        const char *name = carry_tables[i].name;
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM main.sqlite_schema WHERE name = '%s') +"
                 " (SELECT count(*) FROM live.sqlite_schema WHERE name = '%s')",
                 name, name);
        r = number(&f->g, sql, &n);
        f->g.came[i] = n == 2 ? 1 : -1;
        if (r == 0 && n != 2 && !carry_tables[i].optional) {
            fault_keep("Holdfast's table %s is not in both databases: what was revoked since the "
                       "backup cannot be carried over",
                       name);
            r = BACKUP_FAILED;
        }
    }
    return r;
}

static int check_schema(struct files *f, const char *sql, const char *which)
{
    int64_t version = 0;
    int r = number(&f->g, sql, &version);

    return r ? r : carry_check_schema(which, version);
}

static int carry_rows(struct files *f)
{
    int64_t none;
    int r = run(&f->g, "BEGIN IMMEDIATE", &none);

    if (r == 0)
        r = check_schema(f, "SELECT max(version) FROM main.schema_migrations", "the backup");
    if (r == 0)
        r = find_tables(f);
    if (r == 0)
        r = check_schema(f, "SELECT max(version) FROM live.schema_migrations", "the live database");
    if (r == 0)
        r = carry_find_head(&f->g);
    if (r == 0)
        r = carry_apply(&f->g);
    return r ? r : run(&f->g, "COMMIT", &none);
}

static int carry_files(struct files *f, const char *live)
{
    struct carry_report *report = &f->g.report;
    int64_t here = 0, there = 0;
    int r = attach(f, live);

    /* Deleting an account takes along what is the account's. Whoever is killed begins anew. */
    if (r == 0)
        r = run(&f->g,
                "PRAGMA foreign_keys = ON; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF",
                &here);
    if (r == 0)
        r = number(&f->g, SIGNATURE("main"), &here);
    if (r == 0)
        r = number(&f->g, SIGNATURE("live"), &there);
    if (r)
        return r;
    report->installations = here == 4;
    report->alone = there == 4 && here != 4;
    return here == 4 ? carry_rows(f) : 0;
}

int carry_over_sqlite(void *context, const char *live, const char *restored)
{
    struct carry *c = context;
    int64_t began = clock_mono();

    struct files f = {.g = carry_begin(c, CARRY_SQLITE, true)};
    f.g.run = run;
    f.g.number = number;
    f.g.words.live = "live.";
    f.g.words.restored = "main.";
    f.g.words.nil = "x'00000000000000000000000000000000'";
    f.g.words.feed = f.g.words.overriding = "";
    int r = backup_sqlite_open(restored, SQLITE_OPEN_READWRITE, &f.db);
    if (r == 0)
        r = carry_files(&f, live);
    sqlite3_close(f.db); /* what was not committed is rolled back */
    carry_end(&f.g, r, clock_mono() - began);
    return r;
}
