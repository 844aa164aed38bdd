/*
 * The parts of the PostgreSQL driver.
 *
 * Rooms: store only. Ownership: the store owns its connections. Threads: a connection is used by
 * one thread at a time: the one whose job borrowed it, or a watch's.
 *
 * Connections stay in libpq's pipeline mode: BEGIN travels with the first statement, and the
 * COMMIT of a reading job or a ROLLBACK is sent without waiting; its answer is read when the
 * connection is borrowed next.
 */
#ifndef HOLDFAST_STORE_POSTGRES_H
#define HOLDFAST_STORE_POSTGRES_H

#include "store/internal.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <semaphore.h>

enum {
    PG_GROUP_MAX = 32,                       /* statements that travel together */
    PG_GROUP_LEADERS = 4,                    /* groups of one kind under way at once: */
    PG_GROUP_STALL_MS = STORE_SINGLE_MS / 4, /* more than one where others wait for longer */
    PG_GROUP_RUN_MS = STORE_SINGLE_MS / 2,   /* until a group's connection is given up */
    PG_QUEUE_MAX = 2 * PG_GROUP_MAX + 4,     /* commands between two syncs */
    PG_PATIENCE_MS = 5000,    /* past the server's own limit a connection is given up */
    PG_MIGRATION_MS = 300000, /* how long a migration waits for another's lock */
    PG_BACKOFF_MIN_MS = 50,
    PG_BACKOFF_MAX_MS = 500, /* between two tries to connect while the server is down */
    PG_RETRIES = 6           /* runs of a job that meets serialization failures or deadlocks */
};

/* Why the last round failed, where running the job again can help. */
enum pg_why { PG_WHY_NONE, PG_WHY_SERIAL, PG_WHY_LOST, PG_WHY_STALE, PG_WHY_BULK, PG_WHY_GROUP };

/*
 * How long a group waits for a row that another transaction holds, how long who runs alone does
 * (a connection is held meanwhile), and how long the server runs one statement, in ms: a server
 * that works gives up before the connection is given up, and then its answer is known.
 */
#define PG_GROUP_LOCK_MS "100"
#define PG_ALONE_LOCK_MS "500"
#define PG_GROUP_STATEMENT_MS 1000

struct pg_conn {
    PGconn *pg;
    struct store_stmts stmts;
    unsigned names;
    int statement_ms;
    int64_t until;  /* monotonic ms; given up then, whatever its statements' limit */
    bool broken;    /* cannot be used again */
    bool unlimited; /* a migration runs */
    bool bulk;      /* the temporary tables are there */
    size_t held[3]; /* rows put into each since it was truncated: all but the present are dead */
    bool pending;   /* what was sent last was not yet answered */
    enum pg_why why;
    const char *sql;                        /* what was sent last, for messages */
    struct store_stmt *queue[PG_QUEUE_MAX]; /* commands sent: one that prepares this, or NULL */
    int queued;
    struct pg_conn *next;
};

struct pg_txn {
    struct store_txn base;
    struct pg_conn *conn;
    bool begun, wake, filled[3], looking_up;
};

/* One caller's statement that waits to travel with others (postgres_group.c); on its stack. */
struct pg_member {
    const struct store_call *call;
    int64_t until; /* monotonic ms; not run again past it */
    PGresult *result;
    int r;
    enum pg_why why;
    char message[STORE_MESSAGE_MAX];
    _Atomic bool done; /* else, when it moves, it is to lead */
    sem_t moved;       /* whoever waits touches nothing that is shared until then */
    struct pg_member *next;
};

/* Those that wait. */
struct pg_group {
    pthread_mutex_t lock; /* of what follows */
    struct pg_member *first, **last;
    int leaders;
    bool writing;
};

struct pg_store {
    struct store base;
    char *url;
    struct pg_group reading, writing;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t returned;
    struct pg_conn *idle;
    int opened, borrowed;
    bool down, probing; /* the last try to connect failed; one is being made */
    int backoff_ms;
    int64_t retry_at;
};

/*
 * Connects within timeout_ms and sets the session up. Returns 0, FAULT_UNAVAILABLE, or FAULT_STORE
 * where the database is not in UTF-8.
 */
int pg_connect(const char *url, int timeout_ms, int statement_ms, struct pg_conn **ret);
void pg_conn_close(struct pg_conn *c);

/* Whether an idle connection is still there; reads what is left of its last answer. */
bool pg_conn_alive(struct pg_conn *c);

/* Queues a statement; nothing is waited for. */
int pg_send(struct pg_conn *c, const struct store_call *call);
int pg_send_sql(struct pg_conn *c, const char *sql);

/* Ends what was queued and sends it, without an answer. */
int pg_sync(struct pg_conn *c);

/* Reads the answers up to the sync. ret_results, n of them and NULL, get the last statements'. */
int pg_answers(struct pg_conn *c, PGresult **ret_results, int n);

/* The same of one. *ret_result (may be NULL) gets the last statement's. */
int pg_answer(struct pg_conn *c, PGresult **ret_result);

/* pg_sync, then pg_answer. */
int pg_round(struct pg_conn *c, PGresult **ret_result);

/* Runs several statements at once, outside of the pipeline. */
int pg_script(struct pg_conn *c, const char *sql);

/* Waits for the next result outside of the pipeline, NULL at the end. */
int pg_result(struct pg_conn *c, int64_t deadline, PGresult **ret);

/* Sends what libpq holds. */
int pg_flush(struct pg_conn *c, int64_t deadline);

/* When the current command is given up, in monotonic ms. */
int64_t pg_deadline(const struct pg_conn *c);

/* The outcome or fault of a result, or of the connection where result is NULL; sets why. */
int pg_failure(struct pg_conn *c, const PGresult *result);

/*
 * The pool. Returns 0 or FAULT_UNAVAILABLE; a broken connection is closed when it is returned, and
 * the idle ones with it. Nothing is waited for past until (monotonic ms, or PG_NO_END), neither
 * here nor on the connection.
 */
#define PG_NO_END INT64_MAX
int pg_pool_borrow(struct pg_store *s, int64_t until, struct pg_conn **ret);
void pg_pool_return(struct pg_store *s, struct pg_conn *c);
void pg_pool_init(struct pg_store *s);
void pg_pool_release(struct pg_store *s);

/*
 * Runs one statement as a transaction of its own, together with others that wait. Returns 0 with
 * *ret for the caller to clear, STORE_CONFLICT or a fault.
 */
int pg_group_run(struct pg_store *s, struct pg_group *g, const struct store_call *call,
                 PGresult **ret);
void pg_group_init(struct pg_group *g, bool writing);
void pg_group_release(struct pg_group *g);

/* A time of the monotonic clock in ms, as pthread and semaphores take it. */
struct timespec pg_timespec(int64_t ms);

/* Two that collided come apart by waiting for times of their own. */
void pg_nap(int tries);

/* The driver's functions on statements. */
int64_t postgres_changed(PGresult *result);
int pg_find(struct store *s, const struct store_call *call, store_reader *reader, void *arg);
int pg_begin(struct pg_txn *t);
int pg_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed);
int postgres_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret);
int pg_rows_next(struct store_rows *rows);
void postgres_rows_free(struct store_rows *rows);
bool pg_col_is_null(struct store_rows *rows, int column);
int64_t pg_col_int(struct store_rows *rows, int column);
struct str pg_col_bytes(struct store_rows *rows, int column, bool text);

int pg_bulk(struct store_txn *t, enum store_bulk kind, const struct str *values, size_t n);
int pg_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n);
int pg_add(struct store_txn *t, const struct store_addition *rows);
int pg_look_up(struct store_txn *t);
int pg_bulk_prepare(struct pg_conn *c);

/* Sends what empties the tables that the job filled, in front of the commit. */
int pg_bulk_empty(struct pg_txn *t);

int pg_watch_open(struct store *s, struct store_watch **ret);
void pg_watch_close(struct store_watch *w);
int pg_watch_wait(struct store_watch *w, int timeout_ms);

#endif
