#include "store/postgres.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <poll.h>

/* An idle connection hears of its end as a notice; all others are of no interest. */
static void on_notice(void *arg, const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    struct pg_conn *c = arg;

    if (severity && strcmp(severity, "FATAL") == 0)
        c->broken = true;
}

/* Waits for the socket. Returns 0, or 1 past the deadline. */
static int wait_for(PGconn *pg, short events, int64_t deadline)
{
    struct pollfd p = {.fd = PQsocket(pg), .events = events};

    for (;;) {
        int64_t left = deadline - clock_mono();
        if (left <= 0)
            return 1;
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0 || (n < 0 && errno != EINTR))
            return 0;
    }
}

/* Ours come first, so that the URL may say otherwise; of the encoding it may not. */
static PGconn *start(const char *url)
{
    static const char *const keys[] = {
        "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",          "dbname",          "client_encoding",     NULL};
    const char *const values[] = {"holdfast", "30", "10", "3", "30000", url, "UTF8", NULL};

    return PQconnectStartParams(keys, values, 1);
}

static int connect_within(PGconn *pg, int64_t deadline)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    if (PQstatus(pg) == CONNECTION_BAD)
        return 1;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED)
            return 1;
        if (wait_for(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline) != 0)
            return 1;
        state = PQconnectPoll(pg);
    }
    return 0;
}

/*
 * An acknowledged write is on disk, whatever the server's default is; a stricter one stays.
 *
 * The plan of a prepared statement is kept until the table is analyzed, which may be a minute after
 * it grew. One that reads a table from end to end while it is small would do so a million rows
 * later, once a request; so none is made where there is an index.
 */
static int set_up(struct pg_conn *c)
{
    char sql[512];
    int lock_ms = c->statement_ms < STORE_LOCK_MS ? c->statement_ms : STORE_LOCK_MS;

    snprintf(sql, sizeof sql,
             "SET statement_timeout = %d; SET lock_timeout = %d;"
             "SET idle_in_transaction_session_timeout = %d; SET jit = off;"
             "SET enable_seqscan = off;"
             "SET default_transaction_isolation = 'read committed';"
             "SELECT set_config('synchronous_commit', 'on', false)"
             " WHERE current_setting('synchronous_commit') = 'off'",
             c->statement_ms, lock_ms, STORE_IDLE_MS);
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg))
        return fault_set(FAULT_INTERNAL, "libpq refuses its pipeline mode");
    return pg_script(c, sql);
}

/* In any other the server would refuse text that is in UTF-8, or keep it without looking at it. */
static int check_encoding(const struct pg_conn *c)
{
    const char *encoding = PQparameterStatus(c->pg, "server_encoding");

    if (encoding && strcmp(encoding, "UTF8") == 0)
        return 0;
    return fault_set(FAULT_STORE,
                     "postgresql: the database's encoding is %s, and has to be UTF8"
                     " (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)",
                     encoding ? encoding : "not told");
}

int pg_connect(const char *url, int timeout_ms, int statement_ms, struct pg_conn **ret)
{
    struct pg_conn *c = calloc(1, sizeof *c);
    int r = 0;

    if (!c || !(c->pg = start(url))) {
        free(c);
        return fault_set(FAULT_MEMORY, "no memory for a connection");
    }
    c->statement_ms = statement_ms;
    c->until = clock_mono() + timeout_ms;
    if (connect_within(c->pg, c->until) != 0) {
        const char *why = PQerrorMessage(c->pg);
        r = fault_set(FAULT_UNAVAILABLE, "postgresql: %.*s", (int)strcspn(why, "\n"),
                      *why ? why : "no answer in time");
    }
    if (r == 0)
        r = check_encoding(c);
    if (r == 0) {
        PQsetNoticeReceiver(c->pg, on_notice, c);
        r = set_up(c);
    }
    if (r != 0) {
        pg_conn_close(c);
        return r;
    }
    c->until = PG_NO_END;
    *ret = c;
    return 0;
}

void pg_conn_close(struct pg_conn *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->queued; i++)
        store_stmt_free(c->queue[i]);
    store_stmts_free(&c->stmts, NULL);
    PQfinish(c->pg);
    free(c);
}

bool pg_conn_alive(struct pg_conn *c)
{
    struct pollfd p = {.fd = PQsocket(c->pg), .events = POLLIN};

    c->why = PG_WHY_NONE;
    if (c->pending && pg_answer(c, NULL) != 0)
        return false;
    while (!c->broken && poll(&p, 1, 0) > 0) {
        if (!PQconsumeInput(c->pg))
            return false;
        (void)PQisBusy(c->pg); /* parses what came */
    }
    return !c->broken && PQstatus(c->pg) == CONNECTION_OK &&
           PQtransactionStatus(c->pg) == PQTRANS_IDLE;
}

int64_t pg_deadline(const struct pg_conn *c)
{
    int64_t own = c->unlimited ? PG_NO_END : clock_mono() + c->statement_ms + PG_PATIENCE_MS;

    return own < c->until ? own : c->until;
}

static int lost(struct pg_conn *c, const char *why)
{
    c->broken = true;
    c->why = PG_WHY_LOST;
    return fault_set(FAULT_UNAVAILABLE, "postgresql: %.*s", (int)strcspn(why, "\n"), why);
}

static int gave_up(struct pg_conn *c)
{
    c->broken = true;
    return fault_set(FAULT_UNAVAILABLE, "postgresql: no answer in time");
}

static bool has_prefix(const char *state, const char *prefix)
{
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* SQLSTATE classes (PostgreSQL manual, appendix A) of a server that cannot serve just now. */
static bool means_unavailable(const char *state)
{
    static const char *const classes[] = {"08", "53", "57", "55P03", "25P03", "25P02"};

    /* Of class 08, this one says that parameters are missing. */
    if (strcmp(state, "08P01") == 0)
        return false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (has_prefix(state, classes[i]))
            return true;
    return false;
}

int pg_failure(struct pg_conn *c, const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = state ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    enum fault fault = FAULT_STORE;

    if (!state)
        return lost(c, PQerrorMessage(c->pg));
    if (strcmp(state, "23505") == 0)
        return STORE_CONFLICT;
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0) {
        c->why = PG_WHY_SERIAL;
        fault = FAULT_UNAVAILABLE;
    } else if (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0) {
        /* What was prepared is gone, or no longer fits the schema: a new connection knows. */
        c->why = PG_WHY_STALE;
        c->broken = true;
    } else if (means_unavailable(state)) {
        /* 57P0x: the server ends the session. */
        if (has_prefix(state, "57P0") || has_prefix(state, "08")) {
            c->why = PG_WHY_LOST;
            c->broken = true;
        }
        fault = FAULT_UNAVAILABLE;
    }
    return fault_set(fault, "postgresql: %s (%s): %.160s", text ? text : "", state,
                     c->sql ? c->sql : "");
}

int pg_flush(struct pg_conn *c, int64_t deadline)
{
    int n;

    while ((n = PQflush(c->pg)) > 0) {
        if (wait_for(c->pg, POLLIN | POLLOUT, deadline) != 0)
            return gave_up(c);
        /* The server may stop reading until we have read what it wrote. */
        if (!PQconsumeInput(c->pg))
            return lost(c, PQerrorMessage(c->pg));
    }
    return n == 0 ? 0 : lost(c, PQerrorMessage(c->pg));
}

int pg_result(struct pg_conn *c, int64_t deadline, PGresult **ret)
{
    while (PQisBusy(c->pg)) {
        if (wait_for(c->pg, POLLIN, deadline) != 0)
            return gave_up(c);
        if (!PQconsumeInput(c->pg))
            return lost(c, PQerrorMessage(c->pg));
    }
    *ret = PQgetResult(c->pg);
    return 0;
}
