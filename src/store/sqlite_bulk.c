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
    sqlite_rows_clear(c, false);
    for (size_t i = 0; r == 0 && i < sizeof tables / sizeof *tables; i++) {
        r = sqlite_conn_run(c, tables[i].create);
        if (r == 0)
            r = sqlite_conn_run(c, tables[i].clear);
    }
    return r;
}
