#include "store/postgres.h"

#include "base/buf.h"
#include "base/fault.h"

#include <endian.h>

enum { CHUNK = 64 * 1024 };

/* COPY's binary format (PostgreSQL manual, COPY): signature, flags, length of the extension. */
static const char copy_head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
enum { COPY_HEAD = sizeof copy_head - 1 };

/*
 * What fills a table, in one go: the server answers to all of it at the end. Of these tables the
 * planner knows the size, and may choose: see set_up in postgres_conn.c.
 */
#define FILL(before, table, analyzed, after)                                                       \
    before "COPY " table " FROM STDIN (FORMAT binary); ANALYZE " analyzed after
#define CHOOSE "; SET LOCAL enable_seqscan = on"
#define CLEAR(table) "DELETE FROM " table
#define TABLE(table, analyzed)                                                                     \
    {                                                                                              \
        CLEAR(table), "TRUNCATE " table,                                                           \
            {{FILL("", table, analyzed, CHOOSE), FILL("", table, analyzed, "")},                   \
             {FILL(CLEAR(table) ";", table, analyzed, CHOOSE),                                     \
              FILL(CLEAR(table) ";", table, analyzed, "")}},                                       \
    }

static const struct {
    const char *clear, *truncate;
    const char *fill[2][2]; /* whether it was filled before; whether store_look_up was called */
} tables[] = {
    [STORE_BULK_IDS] = TABLE("bulk_ids", "bulk_ids"),
    [STORE_BULK_TEXTS] = TABLE("bulk_texts", "bulk_texts"),
    [STORE_BULK_ROWS] = TABLE("bulk_rows", "bulk_rows (n, i1, t1, t2, b1)"),
};

/*
 * A table is emptied by deleting its rows, and by truncating it once it holds more dead ones than
 * this. To truncate is to change files, which takes ten times as long as the rest of a small
 * commit; ON COMMIT DELETE ROWS would do it to each of the tables with every commit.
 */
enum { HELD_MAX = 2000 };

/* Reads all results; those of the first failure count. */
static int read_results(struct pg_conn *c, bool copying)
{
    int64_t deadline = pg_deadline(c);
    int r, failure = 0;
    PGresult *result;

    while ((r = pg_result(c, deadline, &result)) == 0 && result) {
        ExecStatusType status = PQresultStatus(result);
        bool in_copy = status == PGRES_COPY_IN;
        if (failure == 0 && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            !(in_copy && copying))
            failure = pg_failure(c, result);
        PQclear(result);
        if (in_copy)
            break;
    }
    return r != 0 ? r : failure;
}

/* Outside of the pipeline; only between two rounds. */
static int leave_pipeline(struct pg_conn *c, const char *sql)
{
    c->why = PG_WHY_NONE;
    c->sql = sql;
    if (!PQexitPipelineMode(c->pg) || !PQsendQuery(c->pg, sql)) {
        c->broken = true;
        return pg_failure(c, NULL);
    }
    return pg_flush(c, pg_deadline(c));
}

static int enter_pipeline(struct pg_conn *c, int r)
{
    if (!c->broken && !PQenterPipelineMode(c->pg))
        c->broken = true;
    return r;
}

int pg_script(struct pg_conn *c, const char *sql)
{
    int r = leave_pipeline(c, sql);

    if (r == 0)
        r = read_results(c, false);
    return enter_pipeline(c, r);
}

static int put(struct pg_conn *c, struct buf *chunk)
{
    int n;

    while ((n = PQputCopyData(c->pg, chunk->p, (int)chunk->n)) == 0) {
        int r = pg_flush(c, pg_deadline(c));
        if (r != 0)
            return r;
    }
    buf_reset(chunk);
    if (n < 0)
        return pg_failure(c, NULL);
    return pg_flush(c, pg_deadline(c));
}

/* What is copied: n rows of so many columns, each written by put. */
struct source {
    const void *rows;
    size_t n;
    uint16_t columns;
    void (*put)(struct buf *chunk, const void *rows, size_t i);
};

static void put_view(struct buf *chunk, struct str s)
{
    uint32_t length = htobe32((uint32_t)s.n);

    buf_add(chunk, &length, sizeof length);
    buf_add_str(chunk, s);
}

static void put_value(struct buf *chunk, const void *rows, size_t i)
{
    put_view(chunk, ((const struct str *)rows)[i]);
}

static void put_int(struct buf *chunk, int64_t i)
{
    const uint64_t value = htobe64((uint64_t)i);

    put_view(chunk, (struct str){(const char *)&value, sizeof value});
}

static void put_views(struct buf *chunk, const struct str *views, int n)
{
    const uint32_t null = UINT32_MAX;

    for (int i = 0; i < n; i++) {
        if (views[i].p)
            put_view(chunk, views[i]);
        else
            buf_add(chunk, &null, sizeof null);
    }
}

static void put_row(struct buf *chunk, const void *rows, size_t i)
{
    const struct store_bulk_row *row = (const struct store_bulk_row *)rows + i;

    put_int(chunk, (int64_t)i);
    for (int k = 0; k < STORE_ROW_INTS; k++)
        put_int(chunk, row->i[k]);
    put_views(chunk, row->t, STORE_ROW_TEXTS);
    put_views(chunk, row->b, STORE_ROW_BLOBS);
}

static int put_rows(struct pg_conn *c, const struct source *from)
{
    _cleanup_buf_ struct buf chunk = buf_init(SIZE_MAX / 4);
    const uint16_t columns = htobe16(from->columns);
    int r = 0;

    buf_add(&chunk, copy_head, COPY_HEAD);
    for (size_t i = 0; r == 0 && i < from->n; i++) {
        buf_add(&chunk, &columns, sizeof columns);
        from->put(&chunk, from->rows, i);
        r = buf_fault(&chunk);
        if (r == 0 && chunk.n >= CHUNK)
            r = put(c, &chunk);
    }
    buf_add(&chunk, "\377\377", 2);
    if (r == 0)
        r = buf_fault(&chunk);
    return r == 0 ? put(c, &chunk) : r;
}

static void put_addition(struct buf *chunk, const void *rows, size_t i)
{
    const struct store_addition *from = rows;
    const uint32_t null = UINT32_MAX;
    struct store_param params[STORE_PARAMS_MAX];

    from->put(from->rows, i, params);
    for (size_t k = 0; k < from->columns; k++) {
        if (params[k].type == STORE_NULL)
            buf_add(chunk, &null, sizeof null);
        else if (params[k].type == STORE_INT)
            put_int(chunk, params[k].i);
        else
            put_view(chunk, params[k].s);
    }
}

static int copy(struct pg_conn *c, const char *sql, const struct source *from)
{
    int r = leave_pipeline(c, sql);

    if (r == 0)
        r = read_results(c, true);
    if (r == 0) {
        r = put_rows(c, from);
        if (!c->broken && PQputCopyEnd(c->pg, r == 0 ? NULL : "given up") != 1)
            r = pg_failure(c, NULL);
        int ended = c->broken ? r : pg_flush(c, pg_deadline(c));
        if (ended == 0)
            ended = read_results(c, false);
        r = r != 0 ? r : ended;
    }
    return enter_pipeline(c, r);
}

int pg_bulk_prepare(struct pg_conn *c)
{
    if (c->bulk)
        return 0;
    int r = pg_script(c, "CREATE TEMP TABLE bulk_ids (id BYTEA PRIMARY KEY);"
                         "CREATE TEMP TABLE bulk_texts (value TEXT PRIMARY KEY);"
                         "CREATE TEMP TABLE bulk_rows (n BIGINT PRIMARY KEY, i1 BIGINT, i2 BIGINT,"
                         " i3 BIGINT, i4 BIGINT, i5 BIGINT, i6 BIGINT, i7 BIGINT, i8 BIGINT,"
                         " i9 BIGINT, i10 BIGINT, i11 BIGINT, i12 BIGINT, t1 TEXT, t2 TEXT,"
                         " t3 TEXT, t4 TEXT, t5 TEXT, t6 TEXT, t7 TEXT, t8 TEXT, b1 BYTEA,"
                         " b2 BYTEA, b3 BYTEA, b4 BYTEA)");
    c->bulk = r == 0;
    return r;
}

/*
 * The tables must be made before the transaction: a reading one may not make them, and with a
 * failing one they would go. A job that has begun without them is run again.
 */
static int demand_tables(struct pg_txn *t)
{
    if (t->conn->bulk)
        return 0;
    if (!t->begun)
        return pg_bulk_prepare(t->conn);
    t->conn->why = PG_WHY_BULK;
    return fault_set(FAULT_UNAVAILABLE, "the temporary tables are not there yet");
}

static int begin(struct pg_txn *t)
{
    if (t->begun)
        return 0;
    int r = pg_begin(t);
    return r ? r : pg_round(t->conn, NULL);
}

static int fill(struct store_txn *base, enum store_bulk kind, const struct source *from)
{
    struct pg_txn *t = (struct pg_txn *)base;
    int r = demand_tables(t);

    if (r == 0)
        r = begin(t);
    const char *sql = tables[kind].fill[t->filled[kind]][t->looking_up];
    t->filled[kind] = true;
    t->conn->held[kind] += from->n;
    return r ? r : copy(t->conn, sql, from);
}

int pg_bulk_empty(struct pg_txn *t)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof tables / sizeof *tables; i++) {
        bool truncates = t->conn->held[i] > HELD_MAX;
        if (!t->filled[i])
            continue;
        r = pg_send_sql(t->conn, truncates ? tables[i].truncate : tables[i].clear);
        if (truncates)
            t->conn->held[i] = 0;
    }
    return r;
}

int pg_bulk(struct store_txn *t, enum store_bulk kind, const struct str *values, size_t n)
{
    struct source from = {values, n, 1, put_value};

    return fill(t, kind, &from);
}

int pg_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n)
{
    struct source from = {rows, n, STORE_ROW_COLUMNS, put_row};

    return fill(t, STORE_BULK_ROWS, &from);
}

int pg_add(struct store_txn *base, const struct store_addition *rows)
{
    struct pg_txn *t = (struct pg_txn *)base;
    struct source from = {rows, rows->n, (uint16_t)rows->columns, put_addition};
    int r = begin(t);

    return r ? r : copy(t->conn, rows->copy, &from);
}

/*
 * No table is read from end to end, neither to hash it nor once a row. What is left are loops with
 * an index within, and merging with an index.
 */
int pg_look_up(struct store_txn *base)
{
    struct pg_txn *t = (struct pg_txn *)base;
    int r = begin(t);

    t->looking_up = true;
    return r ? r
             : pg_script(t->conn, "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
                                  "SET LOCAL enable_material = off");
}
