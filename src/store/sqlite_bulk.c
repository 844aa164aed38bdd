#include "store/sqlite.h"

/*
 * The table belongs to the connection. Its creation is undone with a transaction that fails, so
 * it is asked for each time.
 */
static const struct {
    const char *create, *clear, *insert;
} tables[] = {
    [STORE_BULK_IDS] = {"CREATE TEMP TABLE IF NOT EXISTS bulk_ids"
                        " (id BYTEA NOT NULL PRIMARY KEY) WITHOUT ROWID",
                        "DELETE FROM bulk_ids", "INSERT INTO bulk_ids (id) VALUES ($1)"},
    [STORE_BULK_TEXTS] = {"CREATE TEMP TABLE IF NOT EXISTS bulk_texts"
                          " (value TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
                          "DELETE FROM bulk_texts", "INSERT INTO bulk_texts (value) VALUES ($1)"},
    [STORE_BULK_ROWS] = {"CREATE TEMP TABLE IF NOT EXISTS bulk_rows (n INTEGER PRIMARY KEY,"
                         " i1 BIGINT, i2 BIGINT, i3 BIGINT, i4 BIGINT, i5 BIGINT, i6 BIGINT,"
                         " i7 BIGINT, i8 BIGINT, i9 BIGINT, i10 BIGINT, i11 BIGINT, i12 BIGINT,"
                         " t1 TEXT, t2 TEXT, t3 TEXT, t4 TEXT, t5 TEXT, t6 TEXT, t7 TEXT, t8 TEXT,"
                         " b1 BYTEA, b2 BYTEA, b3 BYTEA, b4 BYTEA)",
                         "DELETE FROM bulk_rows",
                         "INSERT INTO bulk_rows VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
                         " $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,"
                         " $25)"},
};

static int empty(struct sqlite_conn *c, enum store_bulk kind)
{
    int r = sqlite_conn_run(c, tables[kind].create);

    c->bulk = true;
    return r ? r : sqlite_conn_run(c, tables[kind].clear);
}

int sqlite_bulk(struct store_txn *t, enum store_bulk kind, const struct str *values, size_t n)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    struct store_param param = {kind == STORE_BULK_IDS ? STORE_BLOB : STORE_TEXT, 0, {NULL, 0}};
    struct store_call call = {tables[kind].insert, &param, 1};
    int64_t changed;
    int r = empty(c, kind);

    for (size_t i = 0; r == 0 && i < n; i++) {
        param.s = values[i];
        r = sqlite_exec_on(c, &call, &changed);
    }
    return r;
}

static void put_views(struct store_param *to, const struct str *views, int n, int type)
{
    for (int i = 0; i < n; i++)
        to[i] = (struct store_param){.type = views[i].p ? type : STORE_NULL, .s = views[i]};
}

int sqlite_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    struct store_param params[STORE_ROW_COLUMNS];
    struct store_call call = {tables[STORE_BULK_ROWS].insert, params, STORE_ROW_COLUMNS};
    struct store_param *texts = params + 1 + STORE_ROW_INTS, *blobs = texts + STORE_ROW_TEXTS;
    int64_t changed;
    int r = empty(c, STORE_BULK_ROWS);

    for (size_t i = 0; r == 0 && i < n; i++) {
        params[0] = P_INT((int64_t)i);
        for (int k = 0; k < STORE_ROW_INTS; k++)
            params[1 + k] = P_INT(rows[i].i[k]);
        put_views(texts, rows[i].t, STORE_ROW_TEXTS, STORE_TEXT);
        put_views(blobs, rows[i].b, STORE_ROW_BLOBS, STORE_BLOB);
        r = sqlite_exec_on(c, &call, &changed);
    }
    return r;
}

int sqlite_add(struct store_txn *t, const struct store_addition *rows)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    struct store_param params[STORE_PARAMS_MAX];
    struct store_call call = {rows->insert, params, rows->columns};
    int64_t changed;
    int r = 0;

    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        rows->put(rows->rows, i, params);
        r = sqlite_exec_on(c, &call, &changed);
    }
    return r;
}

/* CROSS JOIN says it, in each statement. */
int sqlite_look_up(struct store_txn *t)
{
    return 0;
}

int sqlite_bulk_clear(struct sqlite_conn *c)
{
    int r = 0;

    if (!c->bulk)
        return 0;
    c->bulk = false;
    for (size_t i = 0; r == 0 && i < sizeof tables / sizeof *tables; i++) {
        r = sqlite_conn_run(c, tables[i].create);
        if (r == 0)
            r = sqlite_conn_run(c, tables[i].clear);
    }
    return r;
}
