#include "store/postgres.h"

#include "base/buf.h"
#include "base/fault.h"

#include <endian.h>

enum { CHUNK = 64 * 1024 };

/* COPY's binary format (PostgreSQL manual, COPY): signature, flags, length of the extension. */
static const char copy_head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
enum { COPY_HEAD = sizeof copy_head - 1 };

static const struct {
    const char *clear, *copy, *analyze;
} tables[] = {
    [STORE_BULK_IDS] = {"DELETE FROM bulk_ids", "COPY bulk_ids FROM STDIN (FORMAT binary)",
                        "ANALYZE bulk_ids"},
    [STORE_BULK_TEXTS] = {"DELETE FROM bulk_texts", "COPY bulk_texts FROM STDIN (FORMAT binary)",
                          "ANALYZE bulk_texts"},
};

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

static int put_values(struct pg_conn *c, const struct str *values, size_t n)
{
    _cleanup_buf_ struct buf chunk = buf_init(SIZE_MAX / 4);
    const uint16_t fields = htobe16(1);
    int r = 0;

    buf_add(&chunk, copy_head, COPY_HEAD);
    for (size_t i = 0; r == 0 && i < n; i++) {
        uint32_t length = htobe32((uint32_t)values[i].n);
        buf_add(&chunk, &fields, sizeof fields);
        buf_add(&chunk, &length, sizeof length);
        buf_add_str(&chunk, values[i]);
        r = buf_fault(&chunk);
        if (r == 0 && chunk.n >= CHUNK)
            r = put(c, &chunk);
    }
    buf_add(&chunk, "\377\377", 2);
    if (r == 0)
        r = buf_fault(&chunk);
    return r == 0 ? put(c, &chunk) : r;
}

int pg_copy(struct pg_conn *c, const char *copy, const struct str *values, size_t n)
{
    int r = leave_pipeline(c, copy);

    if (r == 0)
        r = read_results(c, true);
    if (r == 0) {
        r = put_values(c, values, n);
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
    int r = pg_script(c, "CREATE TEMP TABLE bulk_ids (id BYTEA PRIMARY KEY) ON COMMIT DELETE ROWS;"
                         "CREATE TEMP TABLE bulk_texts (value TEXT PRIMARY KEY)"
                         " ON COMMIT DELETE ROWS");
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

int pg_bulk(struct store_txn *base, enum store_bulk kind, const struct str *values, size_t n)
{
    struct pg_txn *t = (struct pg_txn *)base;
    int r = demand_tables(t);

    if (r == 0 && !t->begun) {
        r = pg_begin(t);
        if (r == 0)
            r = pg_round(t->conn, NULL);
    }
    if (r == 0 && t->filled[kind]) {
        r = pg_send_sql(t->conn, tables[kind].clear);
        if (r == 0)
            r = pg_round(t->conn, NULL);
    }
    t->filled[kind] = true;
    if (r == 0)
        r = pg_copy(t->conn, tables[kind].copy, values, n);
    if (r == 0)
        r = pg_script(t->conn, tables[kind].analyze);
    return r;
}
