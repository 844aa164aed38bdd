#include "store/sqlite.h"

#include "base/fault.h"

struct sqlite_rows {
    struct store_rows base;
    struct sqlite_conn *conn;
    struct store_stmt *st;
    bool stepped, ended; /* a row was fetched but not handed out; there are no more */
};

/* SQLite numbers named parameters in the order of their appearance; $2 may come before $1. */
static int map_params(struct store_stmt *st)
{
    st->count = sqlite3_bind_parameter_count(st->handle);
    if (st->count > STORE_PARAMS_MAX)
        return fault_set(FAULT_STORE, "%d parameters, %d at most", st->count, STORE_PARAMS_MAX);
    for (int i = 0; i < st->count; i++) {
        const char *name = sqlite3_bind_parameter_name(st->handle, i + 1);
        uint64_t number;
        if (!name || name[0] != '$' ||
            str_to_u64(str_of(name + 1), STORE_PARAMS_MAX, &number) != 0 || number == 0)
            return fault_set(FAULT_STORE, "parameters are $1 to $%d: %.160s", STORE_PARAMS_MAX,
                             st->text);
        st->map[i] = (uint8_t)number;
    }
    return 0;
}

static void discard(struct store_stmt *st)
{
    sqlite3_finalize(st->handle);
    store_stmt_free(st);
}

static int prepare(struct sqlite_conn *c, const char *sql, struct store_stmt **ret)
{
    struct store_stmt *st = store_stmt_new(sql, 0);
    sqlite3_stmt *handle = NULL;
    const char *tail = "";
    int r;

    if (!st)
        return fault_set(FAULT_MEMORY, "no memory for a statement");
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    st->handle = handle;
    if (rc != SQLITE_OK)
        r = sqlite_failure(c, rc, sql);
    else if (!handle || *tail)
        r = fault_set(FAULT_STORE, "not exactly one statement: %.160s", sql);
    else
        r = map_params(st);
    if (r != 0) {
        discard(st);
        return r;
    }
    *ret = st;
    return 0;
}

static int acquire(struct sqlite_conn *c, const char *sql, struct store_stmt **ret)
{
    struct store_stmt *st = store_stmts_find(&c->stmts, sql, 0);
    bool taken = st && st->busy;
    int r;

    if (!st || taken) {
        r = prepare(c, sql, &st);
        if (r != 0)
            return r;
        r = taken ? 1 : store_stmts_add(&c->stmts, st);
        st->loose = r != 0;
        if (r < 0) {
            discard(st);
            return r;
        }
    }
    st->busy = true;
    *ret = st;
    return 0;
}

static void release(struct store_stmt *st)
{
    if (st->loose) {
        discard(st);
        return;
    }
    sqlite3_reset(st->handle);
    sqlite3_clear_bindings(st->handle);
    st->busy = false;
}

/* An empty value must not have a null pointer: SQLite would take it for NULL. */
static int bind_one(struct store_stmt *st, int i, const struct store_param *p,
                    sqlite3_destructor_type lifetime)
{
    const char *bytes = p->s.p ? p->s.p : "";

    switch (p->type) {
    case STORE_INT:
        return sqlite3_bind_int64(st->handle, i, p->i);
    case STORE_TEXT:
        return sqlite3_bind_text64(st->handle, i, bytes, p->s.n, lifetime, SQLITE_UTF8);
    case STORE_BLOB:
        return sqlite3_bind_blob64(st->handle, i, bytes, p->s.n, lifetime);
    case STORE_NULL:
        break;
    }
    return sqlite3_bind_null(st->handle, i);
}

static int bind(struct sqlite_conn *c, struct store_stmt *st, const struct store_call *call,
                sqlite3_destructor_type lifetime)
{
    for (int i = 0; i < st->count; i++) {
        if (st->map[i] > call->n)
            return fault_set(FAULT_STORE, "parameter $%d of %zu: %.160s", st->map[i], call->n,
                             call->sql);
        int rc = bind_one(st, i + 1, &call->params[st->map[i] - 1], lifetime);
        if (rc != SQLITE_OK)
            return sqlite_failure(c, rc, call->sql);
    }
    return 0;
}

int sqlite_exec_on(struct sqlite_conn *c, const struct store_call *call, int64_t *ret_changed)
{
    struct store_stmt *st;
    int64_t before = sqlite3_total_changes64(c->db);
    int rc, r = acquire(c, call->sql, &st);

    if (r != 0)
        return r;
    r = bind(c, st, call, SQLITE_STATIC);
    if (r == 0) {
        while ((rc = sqlite3_step(st->handle)) == SQLITE_ROW)
            ;
        if (rc != SQLITE_DONE)
            r = sqlite_failure(c, rc, call->sql);
        /* Of a statement that changes nothing, sqlite3_changes64 tells what an earlier one did. */
        else
            *ret_changed = sqlite3_total_changes64(c->db) == before ? 0 : sqlite3_changes64(c->db);
    }
    release(st);
    return r;
}

static int step(struct sqlite_rows *rows)
{
    int rc = sqlite3_step(rows->st->handle);

    rows->stepped = rc == SQLITE_ROW;
    rows->ended = rc != SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0
                                                 : sqlite_failure(rows->conn, rc, rows->st->text);
}

/* The first step is made here: a statement with RETURNING does all its work in it. */
int sqlite_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret)
{
    struct sqlite_conn *c = ((struct sqlite_txn *)t)->conn;
    struct sqlite_rows *rows = calloc(1, sizeof *rows);
    int r;

    if (!rows)
        return fault_set(FAULT_MEMORY, "no memory for rows");
    *rows = (struct sqlite_rows){.base.txn = t, .conn = c};
    r = acquire(c, call->sql, &rows->st);
    if (r != 0) {
        free(rows);
        return r;
    }
    /* Rows may outlive the caller's parameters. */
    r = bind(c, rows->st, call, SQLITE_TRANSIENT);
    if (r == 0)
        r = step(rows);
    if (r != 0) {
        sqlite_rows_free(&rows->base);
        return r;
    }
    *ret = &rows->base;
    return 0;
}

int sqlite_rows_next(struct store_rows *base)
{
    struct sqlite_rows *rows = (struct sqlite_rows *)base;
    int r = 0;

    if (!rows->stepped && !rows->ended)
        r = step(rows);
    if (r != 0)
        return r > 0 ? fault_set(FAULT_STORE, "a conflict among later rows") : r;
    if (rows->ended)
        return 0;
    rows->stepped = false;
    return 1;
}

void sqlite_rows_free(struct store_rows *base)
{
    struct sqlite_rows *rows = (struct sqlite_rows *)base;

    release(rows->st);
    free(rows);
}

static sqlite3_stmt *handle_of(struct store_rows *base)
{
    return ((struct sqlite_rows *)base)->st->handle;
}

bool sqlite_col_is_null(struct store_rows *rows, int column)
{
    return sqlite3_column_type(handle_of(rows), column) == SQLITE_NULL;
}

int64_t sqlite_col_int(struct store_rows *rows, int column)
{
    return sqlite3_column_int64(handle_of(rows), column);
}

struct str sqlite_col_bytes(struct store_rows *rows, int column, bool text)
{
    sqlite3_stmt *handle = handle_of(rows);
    const void *p = text ? (const void *)sqlite3_column_text(handle, column)
                         : sqlite3_column_blob(handle, column);

    if (!p)
        return STR("");
    return (struct str){p, (size_t)sqlite3_column_bytes(handle, column)};
}
