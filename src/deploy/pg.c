#include "deploy/pg.h"

#include "base/clock.h"
#include "base/fault.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

enum { CONNECT_MS = 10000, LOOK_MS = 100, CANCEL_ERROR = 256 };

struct pg {
    PGconn *connection;
    PGresult *refused; /* the last answer that was an error */
    const atomic_int *cancel;
    void (*wait)(void *context);
    void *wait_context;
    void (*notice)(void *context, const char *message);
    void *notice_context;
};

static bool is_cancelled(const struct pg *c)
{
    return c->cancel && atomic_load(c->cancel);
}

/* libpq's texts end with a line break. */
static int say(int outcome, const char *text)
{
    size_t n = strlen(text);

    while (n > 0 && text[n - 1] == '\n')
        n--;
    fault_keep("%.*s", (int)(n < 380 ? n : 380), text);
    return outcome;
}

/* Waits until the socket is ready, or a look at the flag is due. */
static void await_socket(const struct pg *c, bool writing)
{
    struct pollfd fd = {PQsocket(c->connection), (short)(writing ? POLLOUT | POLLIN : POLLIN), 0};

    if (poll(&fd, 1, LOOK_MS) == 0 && c->wait)
        c->wait(c->wait_context);
}

static int connect_in_time(struct pg *c, int64_t deadline)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
        struct pollfd fd = {PQsocket(c->connection),
                            (short)(state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN), 0};
        if (is_cancelled(c))
            return say(PG_CANCELLED, "interrupted");
        if (clock_mono() >= deadline)
            return say(PG_UNREACHABLE, "no answer from the database in time");
        if (poll(&fd, 1, LOOK_MS) > 0)
            state = PQconnectPoll(c->connection);
    }
    if (state == PGRES_POLLING_OK)
        return 0;
    /* Who is spoken to and refuses is there. */
    bool answered = PQserverVersion(c->connection) > 0 ||
                    strstr(PQerrorMessage(c->connection), "FATAL:") != NULL;
    return say(answered ? PG_REFUSED : PG_UNREACHABLE, PQerrorMessage(c->connection));
}

static void on_notice(void *context, const PGresult *result)
{
    struct pg *c = context;

    if (c->notice)
        c->notice(c->notice_context, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

/* The settings of a session, which the server knows from its start. */
static int prepare(struct pg *c, const struct pg_options *o)
{
    char sql[200];

    if (PQserverVersion(c->connection) >= 140000 &&
        pg_run(c, "SET client_connection_check_interval = 1000") == PG_UNREACHABLE)
        return PG_UNREACHABLE;
    snprintf(sql, sizeof sql, "SET statement_timeout = %lld; SET lock_timeout = %lld%s",
             (long long)o->statement_ms, (long long)o->lock_ms,
             o->through_fence ? "; SET default_transaction_read_only = off" : "");
    return pg_run(c, sql);
}

int pg_open(const struct pg_options *o, struct pg **ret)
{
    /* dbname is expanded first, what follows is put over it. */
    const char *keys[] = {"dbname", "application_name", o->database ? "dbname" : NULL, NULL};
    const char *values[] = {o->url, o->name ? o->name : "holdfast", o->database, NULL};
    struct pg *c = calloc(1, sizeof *c);

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for a connection");
    c->cancel = o->cancel;
    c->wait = o->wait;
    c->wait_context = o->wait_context;
    c->connection = PQconnectStartParams(keys, values, 1);
    if (!c->connection || PQstatus(c->connection) == CONNECTION_BAD) {
        int result = c->connection ? say(PG_UNREACHABLE, PQerrorMessage(c->connection))
                                   : fault_set(FAULT_MEMORY, "no memory for a connection");
        pg_close(c);
        return result;
    }
    int64_t wait = o->connect_ms ? o->connect_ms : CONNECT_MS;
    int result = connect_in_time(c, clock_mono() + wait);
    if (result == 0) {
        PQsetNoticeReceiver(c->connection, on_notice, c);
        result = prepare(c, o);
    }
    if (result) {
        pg_close(c);
        return result;
    }
    *ret = c;
    return 0;
}

void pg_close(struct pg *c)
{
    if (!c)
        return;
    PQclear(c->refused);
    PQfinish(c->connection);
    free(c);
}

void pg_cleanup(struct pg **c)
{
    pg_close(*c);
}

static const char *field(const PGresult *result, int which)
{
    const char *text = result ? PQresultErrorField(result, which) : NULL;

    return text ? text : "";
}

struct pg_error pg_error(const struct pg *c)
{
    struct pg_error e = {.message = field(c->refused, PG_DIAG_MESSAGE_PRIMARY),
                         .detail = field(c->refused, PG_DIAG_MESSAGE_DETAIL),
                         .hint = field(c->refused, PG_DIAG_MESSAGE_HINT),
                         .position =
                             strtoll(field(c->refused, PG_DIAG_STATEMENT_POSITION), NULL, 10)};

    snprintf(e.sqlstate, sizeof e.sqlstate, "%s", field(c->refused, PG_DIAG_SQLSTATE));
    return e;
}

int pg_server_version(const struct pg *c)
{
    return PQserverVersion(c->connection);
}

int pg_backend(const struct pg *c)
{
    return PQbackendPID(c->connection);
}

bool pg_in_transaction(const struct pg *c)
{
    PGTransactionStatusType s = PQtransactionStatus(c->connection);

    return s == PQTRANS_INTRANS || s == PQTRANS_INERROR;
}

static void ask_to_cancel(const struct pg *c)
{
    char error[CANCEL_ERROR];
    PGcancel *cancel = PQgetCancel(c->connection);

    if (cancel)
        PQcancel(cancel, error, sizeof error); /* where it fails the statement ends by itself */
    PQfreeCancel(cancel);
}

/* Waits for the next answer, asking once that there be none any more if that is wanted. */
static PGresult *next_answer(struct pg *c, bool *asked)
{
    while (PQisBusy(c->connection)) {
        if (is_cancelled(c) && !*asked) {
            *asked = true;
            ask_to_cancel(c);
        }
        await_socket(c, PQflush(c->connection) == 1);
        if (!PQconsumeInput(c->connection))
            break;
    }
    return PQgetResult(c->connection);
}

/* There is nobody to serve a COPY: one from us fails, what one gives us is dropped. */
static void end_copy(struct pg *c, ExecStatusType s)
{
    char *row;

    if (s == PGRES_COPY_IN || s == PGRES_COPY_BOTH)
        PQputCopyEnd(c->connection, "there is no input for COPY FROM STDIN");
    else
        while (PQgetCopyData(c->connection, &row, 0) > 0)
            PQfreemem(row);
}

/* Takes all answers: the last good one, or the first bad one, behind which none is good. */
static PGresult *all_answers(struct pg *c, bool *asked)
{
    PGresult *kept = NULL, *next;

    while ((next = next_answer(c, asked))) {
        ExecStatusType s = PQresultStatus(next);
        if (s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH)
            end_copy(c, s);
        if (kept && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(next);
        } else {
            PQclear(kept);
            kept = next;
        }
    }
    return kept;
}

/* Keeps the answer as the last that was refused, and says what it was. */
static int refuse(struct pg *c, PGresult *answer, bool asked)
{
    PQclear(c->refused);
    c->refused = answer;
    if (PQstatus(c->connection) == CONNECTION_BAD)
        return say(PG_UNREACHABLE, PQerrorMessage(c->connection));
    if (asked && strcmp(field(answer, PG_DIAG_SQLSTATE), "57014") == 0)
        return say(PG_CANCELLED, "interrupted");
    return say(PG_REFUSED, field(answer, PG_DIAG_MESSAGE_PRIMARY));
}

int pg_query(struct pg *c, const char *sql, const char *const *params, int n,
             struct pg_rows **ret_rows)
{
    bool asked = false;
    int sent;

    if (is_cancelled(c))
        return say(PG_CANCELLED, "interrupted");
    sent = n ? PQsendQueryParams(c->connection, sql, n, NULL, params, NULL, NULL, 0)
             : PQsendQuery(c->connection, sql);
    if (!sent)
        return say(PG_UNREACHABLE, PQerrorMessage(c->connection));
    PGresult *answer = all_answers(c, &asked);
    ExecStatusType s = PQresultStatus(answer);
    if (s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK && s != PGRES_EMPTY_QUERY)
        return refuse(c, answer, asked);
    if (ret_rows)
        *ret_rows = (struct pg_rows *)answer;
    else
        PQclear(answer);
    return 0;
}

int pg_run(struct pg *c, const char *sql)
{
    return pg_query(c, sql, NULL, 0, NULL);
}

static PGresult *result_of(const struct pg_rows *rows)
{
    return (PGresult *)(uintptr_t)rows;
}

int pg_rows_count(const struct pg_rows *rows)
{
    return PQntuples(result_of(rows));
}

const char *pg_text(const struct pg_rows *rows, int i, int j)
{
    return PQgetvalue(result_of(rows), i, j);
}

int64_t pg_int(const struct pg_rows *rows, int i, int j)
{
    return strtoll(pg_text(rows, i, j), NULL, 10);
}

bool pg_is_null(const struct pg_rows *rows, int i, int j)
{
    return PQgetisnull(result_of(rows), i, j);
}

int64_t pg_changed(const struct pg_rows *rows)
{
    return strtoll(PQcmdTuples(result_of(rows)), NULL, 10);
}

void pg_rows_free(struct pg_rows *rows)
{
    PQclear(result_of(rows));
}

void pg_rows_cleanup(struct pg_rows **rows)
{
    pg_rows_free(*rows);
}

void pg_on_notice(struct pg *c, void (*take)(void *context, const char *message), void *context)
{
    c->notice = take;
    c->notice_context = context;
}

/* Begins a COPY. Returns 0 or an outcome. */
static int begin_copy(struct pg *c, const char *sql, ExecStatusType wanted)
{
    bool asked = false;
    PGresult *answer = PQexec(c->connection, sql);

    if (PQresultStatus(answer) != wanted)
        return refuse(c, answer, asked);
    PQclear(answer);
    return 0;
}

/* What the server says of a COPY that has ended. */
static int end_of_copy(struct pg *c, int64_t *ret_rows)
{
    bool asked = false;
    PGresult *answer = all_answers(c, &asked);

    if (PQresultStatus(answer) != PGRES_COMMAND_OK)
        return refuse(c, answer, asked);
    *ret_rows = strtoll(PQcmdTuples(answer), NULL, 10);
    PQclear(answer);
    return 0;
}

/* Returns 0 at the end, or an outcome of either. */
static int pump(struct pg *from, struct pg *to)
{
    char *row;
    int n;

    while ((n = PQgetCopyData(from->connection, &row, 0)) > 0) {
        int sent = PQputCopyData(to->connection, row, n);
        PQfreemem(row);
        if (sent != 1)
            return say(PG_UNREACHABLE, PQerrorMessage(to->connection));
    }
    return 0;
}

int pg_copy(struct pg *from, const char *out, struct pg *to, const char *in, int64_t *ret_rows)
{
    int64_t rows = 0, read = 0;
    int result = begin_copy(to, in, PGRES_COPY_IN);

    if (result)
        return result;
    result = begin_copy(from, out, PGRES_COPY_OUT);
    bool begun = result == 0;
    if (result == 0)
        result = pump(from, to);
    if (begun && result == 0)
        result = end_of_copy(from, &read);
    if (PQputCopyEnd(to->connection, result ? "what was to be copied cannot be read" : NULL) != 1 &&
        result == 0)
        return say(PG_UNREACHABLE, PQerrorMessage(to->connection));
    if (result) {
        PQclear(all_answers(to, &(bool){false}));
        return result;
    }
    result = end_of_copy(to, &rows);
    if (result == 0)
        *ret_rows = rows;
    return result;
}
