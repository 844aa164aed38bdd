/*
 * The product's own PostgreSQL database, over which deployments, migrations and backups work.
 * Rooms: deploy, cli. Ownership: a connection and its rows are the caller's until pg_close and
 * pg_rows_free. Threads: a connection serves one at a time, and its calls wait.
 *
 * It is not the store (store/store.h): there Holdfast keeps its own tables, on either engine. Here
 * are somebody else's, on PostgreSQL, through statements that no other engine knows.
 */
#ifndef HOLDFAST_DEPLOY_PG_H
#define HOLDFAST_DEPLOY_PG_H

#include "base/arena.h"

#include <stdatomic.h>

struct pg;
struct pg_rows;

struct pg_options {
    const char *url;          /* postgresql://..., or a keyword string */
    const char *database;     /* another database of that server; NULL: the one of the URL */
    const char *name;         /* application_name: how pg_stat_activity shows the connection */
    int64_t connect_ms;       /* 0: 10 s */
    int64_t statement_ms;     /* statement_timeout; 0: none */
    int64_t lock_ms;          /* lock_timeout; 0: none */
    bool through_fence;       /* writes, though the database is fenced (deployment_fence.c) */
    const atomic_int *cancel; /* a statement is cancelled once this is not 0; NULL: never */
    /* Called each 100 ms or so while a statement runs, such as to look at what it waits for over
     * another connection; NULL: nothing. */
    void (*wait)(void *context);
    void *wait_context;
};

/* Outcomes. fault_message() says more, without a password. */
enum pg_outcome {
    PG_REFUSED = 1, /* the server's answer is an error: pg_error */
    PG_UNREACHABLE, /* no connection, or it was lost; whether a statement took effect is unknown */
    PG_CANCELLED    /* by options.cancel; the statement had no effect, unless it was a COMMIT */
};

/*
 * Connects, with client_connection_check_interval at a second where the server knows it, so that a
 * killed client's statement does not go on and keep its locks. Returns 0, PG_REFUSED (such as a
 * wrong password), PG_UNREACHABLE, PG_CANCELLED, FAULT_MEMORY.
 */
int pg_open(const struct pg_options *options, struct pg **ret);
void pg_close(struct pg *c);
void pg_cleanup(struct pg **c);
#define _cleanup_pg_ __attribute__((cleanup(pg_cleanup)))

/* What the server said was wrong with the last statement that it refused. */
struct pg_error {
    char sqlstate[6];
    const char *message, *detail, *hint; /* "" where there is none; valid until the next call */
    int64_t position;                    /* in the statement, in characters from 1; 0: none */
};
struct pg_error pg_error(const struct pg *c);

/* The number of the server's version, such as 150018. */
int pg_server_version(const struct pg *c);

/* The process id of the connection's backend. */
int pg_backend(const struct pg *c);

/* A transaction's state as the client knows it. */
bool pg_in_transaction(const struct pg *c);

/*
 * Runs one statement with text parameters ($1, $2, ...; a NULL entry is NULL), or, without any, as
 * many as sql holds. ret_rows (may be NULL) gets the rows of the last. Returns 0 or an outcome.
 */
int pg_query(struct pg *c, const char *sql, const char *const *params, int n,
             struct pg_rows **ret_rows);

/* As pg_query, for what returns no rows that anyone wants. */
int pg_run(struct pg *c, const char *sql);

/*
 * Streams what COPY ... TO STDOUT gives on one connection into COPY ... FROM STDIN on another, in
 * bounded memory and without looking at cancel. *ret_rows counts the rows. Returns 0 or an outcome;
 * what failed, and on which, is in fault_message().
 */
int pg_copy(struct pg *from, const char *out, struct pg *to, const char *in, int64_t *ret_rows);

int pg_rows_count(const struct pg_rows *rows);
/* Of row i, column j from 0; "" where it is NULL. Valid as long as the rows. */
const char *pg_text(const struct pg_rows *rows, int i, int j);
int64_t pg_int(const struct pg_rows *rows, int i, int j);
bool pg_is_null(const struct pg_rows *rows, int i, int j);
/* How many rows the statement changed. */
int64_t pg_changed(const struct pg_rows *rows);
void pg_rows_free(struct pg_rows *rows);
void pg_rows_cleanup(struct pg_rows **rows);
#define _cleanup_pg_rows_ __attribute__((cleanup(pg_rows_cleanup)))

/* Receives what the server says beside its answers: NOTICE, WARNING. */
void pg_on_notice(struct pg *c, void (*take)(void *context, const char *message), void *context);

/* name as an SQL identifier, quoted. NULL without memory. */
const char *pg_identifier(struct arena *a, const char *name);

/*
 * What a program of PostgreSQL's (pg_dump, psql) needs to reach the same database: PGHOST,
 * PGPASSWORD and their like as "KEY=VALUE", ending with NULL; so that nothing of it stands in
 * arguments. database as in pg_options. Returns 0, PG_REFUSED for a URL that is none, FAULT_MEMORY.
 */
int pg_environment(struct arena *a, const char *url, const char *database, const char *const **ret);

/* The name of the URL's database, of its user where it names none. Same returns. */
int pg_database_name(struct arena *a, const char *url, const char **ret);

/* The URL's host, port, user and database for people: without a password. Same returns. */
int pg_describe(struct arena *a, const char *url, const char **ret);

#endif
