/*
 * bulk_rows on SQLite: a virtual table over memory. A statement reads the rows from where they lie;
 * to write each into a temporary table first took as long as what was then done with it.
 */
#include "base/fault.h"
#include "store/sqlite.h"

enum { KEEP_MAX = 1024 * 1024 /* bytes of memory that are kept for the next rows */ };

enum {
    FIRST_INT = 1,
    FIRST_TEXT = FIRST_INT + STORE_ROW_INTS,
    FIRST_BLOB = FIRST_TEXT + STORE_ROW_TEXTS
};

struct table {
    sqlite3_vtab base; /* first */
    const struct sqlite_bulk_rows *rows;
};

struct cursor {
    sqlite3_vtab_cursor base; /* first */
    const struct sqlite_bulk_rows *rows;
    size_t at;
};

static const char declaration[] =
    "CREATE TABLE bulk_rows (n INTEGER,"
    " i1 BIGINT, i2 BIGINT, i3 BIGINT, i4 BIGINT, i5 BIGINT, i6 BIGINT, i7 BIGINT, i8 BIGINT,"
    " i9 BIGINT, i10 BIGINT, i11 BIGINT, i12 BIGINT, t1 TEXT, t2 TEXT, t3 TEXT, t4 TEXT, t5 TEXT,"
    " t6 TEXT, t7 TEXT, t8 TEXT, b1 BYTEA, b2 BYTEA, b3 BYTEA, b4 BYTEA)";

static int on_connect(sqlite3 *db, void *rows, int argc, const char *const *argv,
                      sqlite3_vtab **ret, char **ret_error)
{
    struct table *t = sqlite3_malloc(sizeof *t);
    int rc = t ? sqlite3_declare_vtab(db, declaration) : SQLITE_NOMEM;

    if (rc != SQLITE_OK) {
        sqlite3_free(t);
        return rc;
    }
    *t = (struct table){.rows = rows};
    *ret = &t->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

/*
 * It is always read from its first row to its last, and said to be short, so that what it is joined
 * with is looked up by an index, row by row.
 */
static int on_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    info->estimatedCost = 20;
    info->estimatedRows = 20;
    info->orderByConsumed =
        info->nOrderBy == 1 && info->aOrderBy[0].iColumn == 0 && !info->aOrderBy[0].desc;
    return SQLITE_OK;
}

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    struct cursor *c = sqlite3_malloc(sizeof *c);

    if (!c)
        return SQLITE_NOMEM;
    *c = (struct cursor){.rows = ((struct table *)table)->rows};
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
                     sqlite3_value **argv)
{
    ((struct cursor *)cursor)->at = 0;
    return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
    ((struct cursor *)cursor)->at++;
    return SQLITE_OK;
}

static int on_eof(sqlite3_vtab_cursor *cursor)
{
    const struct cursor *c = (struct cursor *)cursor;

    return c->at >= c->rows->n;
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *to, int column)
{
    const struct cursor *c = (struct cursor *)cursor;
    const struct store_bulk_row *row = &c->rows->items[c->at];

    if (column < FIRST_INT) {
        sqlite3_result_int64(to, (sqlite3_int64)c->at);
    } else if (column < FIRST_TEXT) {
        sqlite3_result_int64(to, row->i[column - FIRST_INT]);
    } else if (column < FIRST_BLOB) {
        struct str s = row->t[column - FIRST_TEXT];
        /* A NULL pointer is NULL. */
        sqlite3_result_text64(to, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
    } else {
        struct str s = row->b[column - FIRST_BLOB];
        sqlite3_result_blob64(to, s.p, s.n, SQLITE_STATIC);
    }
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)((struct cursor *)cursor)->at;
    return SQLITE_OK;
}

int sqlite_rows_register(struct sqlite_conn *c)
{
    /* Without xCreate it is there in each connection, and in no schema. */
    static const sqlite3_module module = {.xConnect = on_connect,
                                          .xBestIndex = on_best_index,
                                          .xDisconnect = on_disconnect,
                                          .xOpen = on_open,
                                          .xClose = on_close,
                                          .xFilter = on_filter,
                                          .xNext = on_next,
                                          .xEof = on_eof,
                                          .xColumn = on_column,
                                          .xRowid = on_rowid};
    int rc = sqlite3_create_module(c->db, "bulk_rows", &module, &c->rows);

    return rc == SQLITE_OK ? 0 : sqlite_failure(c, rc, "bulk_rows");
}

static size_t size_of(const struct store_bulk_row *rows, size_t n)
{
    size_t size = n * sizeof *rows;

    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < STORE_ROW_TEXTS; k++)
            size += rows[i].t[k].n;
        for (int k = 0; k < STORE_ROW_BLOBS; k++)
            size += rows[i].b[k].n;
    }
    return size;
}

/* "" is an empty text, though nothing of it is copied. */
static char *move(struct str *views, int n, char *to)
{
    for (int k = 0; k < n; k++) {
        if (!views[k].p)
            continue;
        if (views[k].n)
            memcpy(to, views[k].p, views[k].n);
        views[k].p = to;
        to += views[k].n;
    }
    return to;
}

static int reserve(struct sqlite_bulk_rows *r, size_t size)
{
    if (size <= r->cap)
        return 0;
    free(r->items);
    *r = (struct sqlite_bulk_rows){.items = malloc(size)};
    if (!r->items)
        return fault_set(FAULT_MEMORY, "no memory for %zu bytes of rows", size);
    r->cap = size;
    return 0;
}

/* Copied, because the caller's may be gone before the job is. */
int sqlite_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    /* One byte more, so that the last text is within even where it is empty. */
    int r = reserve(&c->rows, size_of(rows, n) + 1);

    if (r)
        return r;
    c->bulk = true;
    c->rows.n = n;
    if (n)
        memcpy(c->rows.items, rows, n * sizeof *rows);
    char *to = (char *)(c->rows.items + n);
    for (size_t i = 0; i < n; i++) {
        to = move(c->rows.items[i].t, STORE_ROW_TEXTS, to);
        to = move(c->rows.items[i].b, STORE_ROW_BLOBS, to);
    }
    return 0;
}

void sqlite_rows_clear(struct sqlite_conn *c, bool all)
{
    c->rows.n = 0;
    if (!all && c->rows.cap <= KEEP_MAX)
        return;
    free(c->rows.items);
    c->rows = (struct sqlite_bulk_rows){0};
}
