/*
 * The parts of the SQLite driver.
 *
 * Rooms: store only. Ownership: the store owns its connections. Threads: a connection is used by
 * one thread at a time: the writer thread, a reader that borrowed it, or a watch.
 */
#ifndef HOLDFAST_STORE_SQLITE_H
#define HOLDFAST_STORE_SQLITE_H

#include "store/internal.h"

#include <pthread.h>
#include <sqlite3.h>

enum {
    SQLITE_WAIT_MS = 30000, /* for another process that holds the file's lock */
    SQLITE_BATCH_MAX = 256, /* jobs that share one commit, */
    SQLITE_BATCH_US = 5000, /* and how long one that has begun takes up further ones */
    SQLITE_WATCH_MS = 100
};

/* What bulk_rows holds; the views point behind the items. */
struct sqlite_bulk_rows {
    struct store_bulk_row *items;
    size_t n, cap; /* rows, and bytes of all */
};

struct sqlite_conn {
    sqlite3 *db;
    struct store_stmts stmts;
    int64_t waiting_since; /* monotonic ms; when the current wait for a lock began */
    bool bulk;             /* a temporary table, or rows, hold values */
    struct sqlite_bulk_rows rows;
    struct sqlite_conn *next;
};

struct sqlite_txn {
    struct store_txn base;
    struct sqlite_conn *conn;
};

struct sqlite_job;

struct sqlite_writer {
    struct store *store;
    struct sqlite_conn *conn;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct sqlite_job *first, **end;
    bool stopping;
};

struct sqlite_store {
    struct store base;
    char *path;
    struct sqlite_writer writer;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t returned;
    struct sqlite_conn *idle;
    int opened, borrowed;
};

/* Opens a connection to an existing file. Returns 0 or a fault. */
int sqlite_conn_open(const char *path, bool writing, struct sqlite_conn **ret);
void sqlite_conn_close(struct sqlite_conn *c);

/* Runs a statement without parameters or rows, such as BEGIN. */
int sqlite_conn_run(struct sqlite_conn *c, const char *sql);

/* The fault or outcome for a result code; keeps what SQLite says of it. */
int sqlite_failure(struct sqlite_conn *c, int code, const char *sql);

/* The driver's functions on statements; sqlite_exec_on needs no transaction of ours. */
int sqlite_exec_on(struct sqlite_conn *c, const struct store_call *call, int64_t *ret_changed);
int sqlite_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret);
int sqlite_rows_next(struct store_rows *rows);
void sqlite_rows_free(struct store_rows *rows);
bool sqlite_col_is_null(struct store_rows *rows, int column);
int64_t sqlite_col_int(struct store_rows *rows, int column);
struct str sqlite_col_bytes(struct store_rows *rows, int column, bool text);

/* Fills, and empties where need be, the connection's temporary tables. */
int sqlite_bulk(struct store_txn *t, enum store_bulk kind, const struct str *values, size_t n);
int sqlite_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n);
int sqlite_add(struct store_txn *t, const struct store_addition *rows);
int sqlite_look_up(struct store_txn *t);
int sqlite_bulk_clear(struct sqlite_conn *c);

/* The table bulk_rows of a connection; to empty it, all: with the memory that it keeps. */
int sqlite_rows_register(struct sqlite_conn *c);
void sqlite_rows_clear(struct sqlite_conn *c, bool all);

/* The writer thread takes c over. */
int sqlite_writer_start(struct sqlite_writer *w, struct store *s, struct sqlite_conn *c);
void sqlite_writer_stop(struct sqlite_writer *w);

/* Hand a job, or one statement, to the writer and wait until it is durable. */
int sqlite_writer_job(struct sqlite_writer *w, store_job *job, void *arg);
int sqlite_writer_call(struct sqlite_writer *w, const struct store_call *call,
                       int64_t *ret_changed);

int sqlite_watch_open(struct store *s, struct store_watch **ret);
void sqlite_watch_close(struct store_watch *w);
int sqlite_watch_wait(struct store_watch *w, int timeout_ms);

#endif
