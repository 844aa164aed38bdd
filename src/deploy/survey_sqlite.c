/* The survey of an SQLite database, from its schema and its tables. */
#include "deploy/survey.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/sha256.h"

#include <sqlite3.h>

enum { ROWS_MAX = 100000 };

static int failure(sqlite3 *db)
{
    return fault_set(FAULT_STORE, "SQLite: %s", sqlite3_errmsg(db));
}

static const char *text(sqlite3_stmt *s, int column, struct arena *a)
{
    return arena_str(a, str_of((const char *)sqlite3_column_text(s, column))).p;
}

/* Runs each(context, statement, i) over the rows. *ret_n counts them. */
static int each_row(sqlite3 *db, const char *sql,
                    int (*each)(void *context, sqlite3_stmt *s, size_t i), void *context,
                    size_t *ret_n)
{
    sqlite3_stmt *s = NULL;
    size_t n = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL), r = 0;

    while (rc == SQLITE_OK && r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        r = n == ROWS_MAX ? fault_set(FAULT_LIMIT, "over %d objects", ROWS_MAX)
                          : each(context, s, n);
        n++;
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = failure(db);
    sqlite3_finalize(s);
    if (r == 0)
        *ret_n = n;
    return r;
}

struct reading {
    sqlite3 *db;
    struct arena *a;
    struct survey *s;
    struct sha256_stream digest;
};

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static int on_table(void *context, sqlite3_stmt *s, size_t i)
{
    struct reading *r = context;
    struct survey_table *t = &r->s->tables[i];

    t->name = text(s, 0, r->a);
    if (!t->name)
        return FAULT_MEMORY;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", t->name);
    t->rows = sql ? number_of(r->db, sql) : -1;
    sqlite3_free(sql);
    return t->rows < 0 ? failure(r->db) : 0;
}

static int on_sequence(void *context, sqlite3_stmt *s, size_t i)
{
    struct reading *r = context;
    int64_t value = sqlite3_column_int64(s, 1);

    r->s->sequences[i] = (struct survey_sequence){
        .name = text(s, 0, r->a), .value = value, .later = value, .step = 1, .called = true};
    return r->s->sequences[i].name ? 0 : FAULT_MEMORY;
}

static int on_object(void *context, sqlite3_stmt *s, size_t i)
{
    struct reading *r = context;
    int result = sha256_add(&r->digest, str_of((const char *)sqlite3_column_text(s, 0)));

    return result ? result : sha256_add(&r->digest, STR("\n"));
}

static int read_kind(struct reading *r, const char *type, const char *name)
{
    struct survey_kind *k = &r->s->kinds[r->s->n_kinds];
    uint8_t digest[SHA256_SIZE];
    char *hex = arena_alloc(r->a, HEX_LENGTH(SHA256_SIZE) + 1);
    char *sql = sqlite3_mprintf("SELECT coalesce(sql, name) FROM sqlite_master WHERE type = %Q"
                                " ORDER BY name",
                                type);
    size_t n = 0;
    int result = sql && hex ? sha256_begin(&r->digest) : FAULT_MEMORY;

    if (result == 0)
        result = each_row(r->db, sql, on_object, r, &n);
    sqlite3_free(sql);
    if (result == 0)
        result = sha256_end(&r->digest, digest);
    if (result || n == 0)
        return result;
    hex_encode(digest, sizeof digest, hex);
    *k = (struct survey_kind){name, (int64_t)n, hex, hex};
    r->s->n_kinds++;
    return 0;
}

static int read_kinds(struct reading *r)
{
    static const char *const kinds[][2] = {
        {"index", "indexes"}, {"table", "tables"}, {"trigger", "triggers"}, {"view", "views"}};
    int result = 0;

    r->s->kinds = arena_array(r->a, 4, sizeof *r->s->kinds);
    if (!r->s->kinds)
        return FAULT_MEMORY;
    for (size_t i = 0; result == 0 && i < 4; i++)
        result = read_kind(r, kinds[i][0], kinds[i][1]);
    return result;
}

int survey_sqlite(sqlite3 *db, struct arena *a, struct survey *ret)
{
    /* The rows of a virtual table are in tables of its own. */
    static const char tables[] = "FROM sqlite_master WHERE type = 'table' AND name NOT LIKE"
                                 " 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    struct survey s = {0};
    struct reading r = {.db = db, .a = a, .s = &s};
    char sql[256];
    int result = read_kinds(&r);

    if (result)
        return result;
    snprintf(sql, sizeof sql, "SELECT count(*) %s", tables);
    int64_t n = number_of(db, sql);
    if (n < 0)
        return failure(db);
    s.tables = arena_array(a, (size_t)n, sizeof *s.tables);
    s.sequences = arena_array(a, (size_t)n, sizeof *s.sequences);
    if (!s.tables || !s.sequences)
        return FAULT_MEMORY;
    snprintf(sql, sizeof sql, "SELECT name %s ORDER BY name", tables);
    result = each_row(db, sql, on_table, &r, &s.n_tables);
    if (result == 0 && number_of(db, "SELECT count(*) FROM sqlite_master WHERE name ="
                                     " 'sqlite_sequence'") > 0)
        /* One may be named there that is gone, if somebody wrote there. */
        result = each_row(db,
                          "SELECT name, seq FROM sqlite_sequence WHERE name IN (SELECT name FROM"
                          " sqlite_master WHERE type = 'table') GROUP BY name ORDER BY name",
                          on_sequence, &r, &s.n_sequences);
    if (result == 0)
        *ret = s;
    return result;
}
