#include "store/postgres.h"

#include "base/fault.h"

#include <endian.h>

/* pg_type.dat; fixed for ever. */
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 };

/* The parameters of one call as libpq takes them. */
struct wire {
    const char *values[STORE_PARAMS_MAX];
    int lengths[STORE_PARAMS_MAX], formats[STORE_PARAMS_MAX];
    Oid types[STORE_PARAMS_MAX];
    uint64_t integers[STORE_PARAMS_MAX];
};

static uint64_t types_of(const struct store_call *call)
{
    uint64_t types = 0;

    for (size_t i = 0; i < call->n; i++)
        types |= (uint64_t)call->params[i].type << (2 * i);
    return types;
}

/* NULL has no type of its own: the server infers it. */
static void encode(const struct store_call *call, struct wire *w)
{
    static const Oid oids[] = {[STORE_NULL] = 0,
                               [STORE_INT] = OID_INT8,
                               [STORE_TEXT] = OID_TEXT,
                               [STORE_BLOB] = OID_BYTEA};

    for (size_t i = 0; i < call->n; i++) {
        const struct store_param *p = &call->params[i];
        w->types[i] = oids[p->type];
        w->formats[i] = 1;
        if (p->type == STORE_INT) {
            w->integers[i] = htobe64((uint64_t)p->i);
            w->values[i] = (const char *)&w->integers[i];
            w->lengths[i] = sizeof w->integers[i];
        } else {
            w->values[i] = p->type == STORE_NULL ? NULL : p->s.p ? p->s.p : "";
            w->lengths[i] = (int)p->s.n;
        }
    }
}

static int queue(struct pg_conn *c, struct store_stmt *preparing, int sent)
{
    if (c->queued == PG_QUEUE_MAX || !sent) {
        store_stmt_free(preparing);
        c->broken = true;
        return PQstatus(c->pg) == CONNECTION_BAD
                   ? pg_failure(c, NULL)
                   : fault_set(FAULT_INTERNAL, "libpq: %.200s", PQerrorMessage(c->pg));
    }
    c->queue[c->queued++] = preparing;
    return 0;
}

static void name_of(const struct store_stmt *st, char ret_name[16])
{
    if (st->count)
        snprintf(ret_name, 16, "h%d", st->count);
    else
        *ret_name = 0;
}

/* Prepares under a name never used before; past the cache's bound under none. */
static int prepare(struct pg_conn *c, const struct store_call *call, uint64_t types,
                   const struct wire *w, char ret_name[16])
{
    struct store_stmt *st = store_stmt_new(call->sql, types);

    if (!st)
        return fault_set(FAULT_MEMORY, "no memory for a statement");
    st->count = c->stmts.n < STORE_STATEMENTS_MAX - PG_QUEUE_MAX ? (int)++c->names : 0;
    name_of(st, ret_name);
    return queue(c, st, PQsendPrepare(c->pg, ret_name, call->sql, (int)call->n, w->types));
}

/* A statement whose preparing is under way in this very pipeline. */
static const struct store_stmt *find_queued(const struct pg_conn *c, const char *sql,
                                            uint64_t types)
{
    for (int i = 0; i < c->queued; i++) {
        const struct store_stmt *st = c->queue[i];
        if (st && st->count && st->address == sql && st->types == types)
            return st;
    }
    return NULL;
}

int pg_send(struct pg_conn *c, const struct store_call *call)
{
    struct wire w;
    uint64_t types = types_of(call);
    const struct store_stmt *st = store_stmts_find(&c->stmts, call->sql, types);
    char name[16];
    int r = 0;

    c->why = PG_WHY_NONE;
    c->sql = call->sql;
    encode(call, &w);
    if (!st)
        st = find_queued(c, call->sql, types);
    if (st)
        name_of(st, name);
    else
        r = prepare(c, call, types, &w, name);
    if (r != 0)
        return r;
    return queue(c, NULL,
                 PQsendQueryPrepared(c->pg, name, (int)call->n, w.values, w.lengths, w.formats, 1));
}

int pg_send_sql(struct pg_conn *c, const char *sql)
{
    struct store_call call = {.sql = sql};

    return pg_send(c, &call);
}

int pg_sync(struct pg_conn *c)
{
    if (!PQpipelineSync(c->pg))
        return pg_failure(c, NULL);
    c->pending = true;
    return pg_flush(c, pg_deadline(c));
}

/* The answer to the command at the head of the queue; a statement that was prepared is kept. */
static int take_answer(struct pg_conn *c, int at, bool ok)
{
    struct store_stmt *st = at < c->queued ? c->queue[at] : NULL;
    int r = 1;

    if (!st)
        return 0;
    c->queue[at] = NULL;
    if (ok && st->count)
        r = store_stmts_add(&c->stmts, st);
    if (r != 0)
        store_stmt_free(st);
    return r < 0 ? r : 0;
}

static bool is_ok(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* How many of the commands that were sent are statements that run, not such as prepare one. */
static int count_running(const struct pg_conn *c)
{
    int n = 0;

    for (int i = 0; i < c->queued; i++)
        n += !c->queue[i];
    return n;
}

/* Keeps the answer to the last statements only: results has room for n. */
static void keep(PGresult *result, int at, PGresult **results)
{
    if (at < 0) {
        PQclear(result);
        return;
    }
    PQclear(results[at]);
    results[at] = result;
}

/* Reads results until the sync. The first failure is returned. */
static int read_answers(struct pg_conn *c, PGresult **results, int n)
{
    int64_t deadline = pg_deadline(c);
    int failure = 0, at = 0, running = n - count_running(c);
    PGresult *result = NULL;

    for (;;) {
        int r = pg_result(c, deadline, &result);
        if (r == 0 && !result && PQstatus(c->pg) == CONNECTION_BAD)
            r = pg_failure(c, NULL);
        if (r != 0)
            return failure != 0 ? failure : r;
        if (!result)
            continue;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return failure;
        }
        bool preparing = at < c->queued && c->queue[at];
        r = take_answer(c, at++, is_ok(result));
        if (is_ok(result)) {
            keep(result, preparing ? -1 : running++, results);
        } else {
            if (r == 0 && failure == 0)
                r = pg_failure(c, result);
            PQclear(result);
        }
        failure = failure != 0 ? failure : r;
    }
}

int pg_answers(struct pg_conn *c, PGresult **ret_results, int n)
{
    int r = read_answers(c, ret_results, n);

    for (int i = 0; i < c->queued; i++)
        store_stmt_free(c->queue[i]);
    c->queued = 0;
    c->pending = false;
    for (int i = 0; r != 0 && i < n; i++) {
        PQclear(ret_results[i]);
        ret_results[i] = NULL;
    }
    return r;
}

int pg_answer(struct pg_conn *c, PGresult **ret_result)
{
    PGresult *last = NULL;
    int r = pg_answers(c, &last, 1);

    if (ret_result && r == 0)
        *ret_result = last;
    else
        PQclear(last);
    return r;
}

int pg_round(struct pg_conn *c, PGresult **ret_result)
{
    int r = pg_sync(c);

    return r != 0 ? r : pg_answer(c, ret_result);
}
