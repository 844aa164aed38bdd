#include "store/postgres.h"

#include "base/fault.h"

#include <endian.h>

struct pg_rows {
    struct store_rows base;
    PGresult *result;
    int row;
};

/* Queues BEGIN in front of the first statement. */
int pg_begin(struct pg_txn *t)
{
    if (t->begun)
        return 0;
    t->begun = true;
    return pg_send_sql(t->conn, t->base.writing
                                    ? "BEGIN ISOLATION LEVEL READ COMMITTED"
                                    : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

static int run(struct pg_txn *t, const struct store_call *call, PGresult **ret)
{
    int r = pg_begin(t);

    if (r == 0)
        r = pg_send(t->conn, call);
    return r != 0 ? r : pg_round(t->conn, ret);
}

/* Of a statement that changes nothing the count is "". */
int64_t postgres_changed(PGresult *result)
{
    uint64_t changed;
    struct str count = str_of(PQcmdTuples(result));

    return str_to_u64(count, INT64_MAX, &changed) == 0 ? (int64_t)changed : 0;
}

int pg_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    PGresult *result;
    int r = run((struct pg_txn *)t, call, &result);

    if (r != 0)
        return r;
    *ret_changed = postgres_changed(result);
    PQclear(result);
    return 0;
}

int postgres_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret)
{
    struct pg_rows *rows = calloc(1, sizeof *rows);

    if (!rows)
        return fault_set(FAULT_MEMORY, "no memory for rows");
    *rows = (struct pg_rows){.base.txn = t, .row = -1};
    int r = run((struct pg_txn *)t, call, &rows->result);
    if (r != 0) {
        free(rows);
        return r;
    }
    *ret = &rows->base;
    return 0;
}

struct finding {
    PGresult *result;
    store_reader *reader;
    void *arg;
};

static int found_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    struct pg_rows rows = {.base.txn = t, .result = f->result, .row = -1};

    return f->reader(&rows.base, f->arg);
}

/* The rows are read on the caller's thread, when the connection is another's again. */
int pg_find(struct store *base, const struct store_call *call, store_reader *reader, void *arg)
{
    struct pg_store *s = (struct pg_store *)base;
    struct finding f = {.reader = reader, .arg = arg};
    struct store_txn t = {.store = base};
    int r = pg_group_run(s, &s->reading, call, &f.result);

    if (r == 0) {
        r = store_call_job(&t, found_job, &f);
        PQclear(f.result);
    }
    return r;
}

int pg_rows_next(struct store_rows *base)
{
    struct pg_rows *rows = (struct pg_rows *)base;

    if (rows->row < PQntuples(rows->result))
        rows->row++;
    return rows->row < PQntuples(rows->result);
}

void postgres_rows_free(struct store_rows *base)
{
    struct pg_rows *rows = (struct pg_rows *)base;

    PQclear(rows->result);
    free(rows);
}

bool pg_col_is_null(struct store_rows *base, int column)
{
    struct pg_rows *rows = (struct pg_rows *)base;

    return PQgetisnull(rows->result, rows->row, column);
}

struct str pg_col_bytes(struct store_rows *base, int column, bool text)
{
    struct pg_rows *rows = (struct pg_rows *)base;

    if (PQgetisnull(rows->result, rows->row, column))
        return STR("");
    return (struct str){PQgetvalue(rows->result, rows->row, column),
                        (size_t)PQgetlength(rows->result, rows->row, column)};
}

static uint64_t big_endian(struct str s)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n && i < sizeof v; i++)
        v = v << 8 | (uint8_t)s.p[i];
    return v;
}

/* SUM of a BIGINT is NUMERIC: digits of base 10,000, the first of which weighs 10,000^weight. */
static int64_t numeric(struct str s)
{
    uint64_t v = 0;

    if (s.n < 8)
        return 0;
    int digits = (int)big_endian((struct str){s.p, 2});
    int weight = (int16_t)big_endian((struct str){s.p + 2, 2});
    bool negative = big_endian((struct str){s.p + 4, 2}) == 0x4000;
    for (int i = 0; i <= weight; i++) {
        size_t at = 8 + 2 * (size_t)i;
        v *= 10000;
        if (i < digits && at + 2 <= s.n)
            v += big_endian((struct str){s.p + at, 2});
    }
    return (int64_t)(negative ? 0 - v : v);
}

/* By the column's type (pg_type.dat). */
int64_t pg_col_int(struct store_rows *base, int column)
{
    enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_NUMERIC = 1700 };
    struct pg_rows *rows = (struct pg_rows *)base;
    struct str s = pg_col_bytes(base, column, false);

    switch (PQftype(rows->result, column)) {
    case OID_INT8:
    case OID_BOOL:
        return (int64_t)big_endian(s);
    case OID_INT4:
        return (int32_t)big_endian(s);
    case OID_INT2:
        return (int16_t)big_endian(s);
    case OID_NUMERIC:
        return numeric(s);
    default:
        return 0;
    }
}
