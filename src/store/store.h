/*
 * The store: one SQL text over SQLite or PostgreSQL. Nothing outside src/store speaks a dialect.
 *
 * Rooms: trail and below (never base, config or crypto).
 * Ownership: a struct store is the process's; a transaction and its rows live inside a job.
 * Threads: store_read, store_write, store_run and store_find may be called from any worker thread
 * and block; never from an event thread. A job runs on the caller's thread (PostgreSQL; SQLite
 * reads) or on the writer thread (SQLite writes), so it touches only its argument, and it may run
 * more than once (a serialization failure, a deadlock or a connection lost before the commit is met
 * with another run), so it sets its outputs anew each time. A job that calls store_read,
 * store_write or store_run gets FAULT_INTERNAL. Once a statement of a job has failed, all that
 * follow return the same failure, and the job cannot commit.
 *
 * SQL: parameters are $1, $2, ..., 32 at most; ids and digests are BYTEA, times BIGINT
 * milliseconds, flags BIGINT 0 or 1; text is UTF-8 without NUL, anything else FAULT_STORE. A
 * statement's text is a constant: it is prepared once a connection and found by its address. On
 * PostgreSQL its plan may be as old, so rows are read by an index where there is one, however small
 * the table is; but in a job that fills a bulk table the planner is free to choose.
 *
 * PostgreSQL out of reach: calls fail at once with FAULT_UNAVAILABLE, but for one that tries the
 * server anew, each half second at the most. Its prepared statements, session settings and LISTEN
 * need a connection of one's own: a pooler must be in session mode.
 */
#ifndef HOLDFAST_STORE_H
#define HOLDFAST_STORE_H

#include "base/metrics.h"
#include "base/str.h"
#include "base/uuid.h"

struct store;
struct store_txn;
struct store_rows;

/* Outcomes. */
enum {
    STORE_CONFLICT = 1, /* a unique key exists already; the job must return (it rolls back) */
    STORE_NEWER = 2     /* store_open: the schema is newer than this binary */
};

struct store_options {
    const char *url;  /* "sqlite:PATH" or "postgresql://..." */
    int pool;         /* connections to PostgreSQL, or readers of SQLite, at most */
    int timeout_ms;   /* to connect, and to wait for a free connection */
    int statement_ms; /* limit of one statement on PostgreSQL; 0 is 30,000 */
};

/*
 * Opens the store and brings its schema up to date under a lock. Returns 0, STORE_NEWER, or a
 * fault (FAULT_UNAVAILABLE where PostgreSQL cannot be reached, FAULT_STORE where its database is
 * not in UTF-8). The directory of an SQLite path is created (0700), the file with mode 0600.
 */
int store_open(const struct store_options *options, struct store **ret);

/* Waits for running jobs and closes; none may be begun any more. NULL is allowed. */
void store_close(struct store *s);

/* "sqlite" or "postgresql". */
const char *store_engine(const struct store *s);

/* Whether writing jobs run beside each other; else those that wait share one transaction. */
bool store_writes_in_parallel(const struct store *s);

/* What of the schema is there, and what this binary brings. */
int store_schema_version(const struct store *s);

/* Whether a statement gets through now. Returns 0 or FAULT_UNAVAILABLE. */
int store_ping(struct store *s);

/*
 * A job: returns 0 to commit; a fault, or a positive outcome of its own, to roll back. Either is
 * forwarded to the caller.
 */
typedef int store_job(struct store_txn *t, void *arg);

/*
 * Runs job over one snapshot; a statement that writes is FAULT_STORE. On PostgreSQL a round trip
 * for each statement, and none besides.
 */
int store_read(struct store *s, store_job *job, void *arg);

/*
 * Runs job in a transaction; when 0 is returned its writes are on disk. A connection lost during
 * the commit is FAULT_UNAVAILABLE: whether it took effect is then unknown.
 *
 * On PostgreSQL each statement sees what was committed before it began (READ COMMITTED): what
 * must hold from one to the next is guarded by store_lock, or by a condition in the UPDATE
 * itself. A round trip for each statement and one for the commit. On SQLite writing jobs run one
 * at a time, so a long one holds up all others.
 */
int store_write(struct store *s, store_job *job, void *arg);

/* A parameter. */
struct store_param {
    enum { STORE_NULL, STORE_INT, STORE_TEXT, STORE_BLOB } type;
    int64_t i;
    struct str s;
};

#define P_NULL ((struct store_param){STORE_NULL, 0, {NULL, 0}})
#define P_INT(v) ((struct store_param){STORE_INT, (v), {NULL, 0}})
#define P_TEXT(v) ((struct store_param){STORE_TEXT, 0, (v)})
#define P_BLOB(p, n) ((struct store_param){STORE_BLOB, 0, {(const char *)(p), (n)}})
#define P_ID(u) P_BLOB((u)->b, 16)

/* The parameters of one call, as its last two arguments. */
#define PARAMS(...)                                                                                \
    (struct store_param[]){__VA_ARGS__},                                                           \
        sizeof((struct store_param[]){__VA_ARGS__}) / sizeof(struct store_param)
#define NO_PARAMS NULL, 0

/*
 * Runs a statement that returns no rows. ret_changed (may be NULL) gets the number of rows it
 * changed. Returns 0, STORE_CONFLICT or a fault.
 */
int store_exec(struct store_txn *t, const char *sql, int64_t *ret_changed,
               const struct store_param *params, size_t n);

/*
 * Runs a statement that returns rows, such as INSERT ... RETURNING; *ret_rows is freed by the
 * caller within the job. Same returns. PostgreSQL's rows are all held in memory: what may be many
 * is read in pages.
 */
int store_query(struct store_txn *t, const char *sql, struct store_rows **ret_rows,
                const struct store_param *params, size_t n);

/*
 * Runs one writing statement as a transaction of its own. On PostgreSQL those that wait at the
 * same time share a round trip and a durable commit, as writing jobs do on SQLite. Same returns;
 * of a lost connection as store_write says.
 *
 * It is for what is short, and does not take effect later than three seconds after the call, a
 * commit that the disk holds up excepted: who is not served by then gets FAULT_UNAVAILABLE. On
 * PostgreSQL that is known by then, too; a row that another transaction holds is waited for for
 * half a second, and on a connection that says nothing the outcome is unknown. On SQLite the
 * caller waits until the writer is free, and then nothing happens.
 */
int store_run(struct store *s, const char *sql, int64_t *ret_changed,
              const struct store_param *params, size_t n);

/*
 * Reads a statement's rows, which it may move through once; 0, an outcome of its own, or a fault.
 * As a job: on the caller's thread, perhaps more than once, without another call of the store.
 */
typedef int store_reader(struct store_rows *rows, void *arg);

/*
 * Runs one reading statement over a snapshot of its own and has its rows read. On PostgreSQL
 * those that wait at the same time share a round trip, and three seconds are the limit as above.
 * Returns what reader does, or a fault.
 */
int store_find(struct store *s, const char *sql, store_reader *reader, void *arg,
               const struct store_param *params, size_t n);

/*
 * Runs a statement that returns one row and reads its first column into *ret, 0 where there is no
 * row. Returns 0, STORE_CONFLICT of a statement that writes, or a fault.
 */
int store_number(struct store_txn *t, const char *sql, int64_t *ret,
                 const struct store_param *params, size_t n);

/* Moves to the next row: 1 where there is one, 0 at the end, or a fault. */
int store_rows_next(struct store_rows *rows);
void store_rows_free(struct store_rows *rows);
void store_rows_cleanup(struct store_rows **rows);
#define _cleanup_rows_ __attribute__((cleanup(store_rows_cleanup)))

/*
 * Columns of the current row, from 0. A view is valid until the next row. NULL reads as 0, "".
 * Integers are read from BIGINT, comparisons, COUNT and SUM.
 */
bool store_col_is_null(struct store_rows *rows, int column);
int64_t store_col_int(struct store_rows *rows, int column);
struct str store_col_text(struct store_rows *rows, int column);
struct str store_col_blob(struct store_rows *rows, int column);

/* A 16-byte column; the nil id where it is NULL or of another length. */
struct uuid store_col_id(struct store_rows *rows, int column);

/*
 * Fills the transaction's temporary table bulk_ids(id BYTEA PRIMARY KEY) or bulk_texts(value TEXT
 * PRIMARY KEY) with the given values in place of what it held; repeated values count once. So a
 * set of any size takes part in one statement: a million take a second or two. The tables are
 * empty again when the job ends. On SQLite other writing jobs wait meanwhile.
 */
int store_bulk_ids(struct store_txn *t, const struct uuid *ids, size_t n);
int store_bulk_texts(struct store_txn *t, const struct str *texts, size_t n);

/* A row of bulk_rows. A view whose p is NULL is NULL; "" is an empty text. */
enum { STORE_ROW_INTS = 12, STORE_ROW_TEXTS = 8, STORE_ROW_BLOBS = 4 };
struct store_bulk_row {
    int64_t i[STORE_ROW_INTS];
    struct str t[STORE_ROW_TEXTS], b[STORE_ROW_BLOBS];
};

/*
 * As above for bulk_rows(n BIGINT PRIMARY KEY, i1 to i12 BIGINT, t1 to t8 TEXT, b1 to b4 BYTEA):
 * rows of several columns, whose n is their place from 0. Nothing is sorted or left out. Not to be
 * called while rows of a statement that reads them are open.
 */
int store_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n);

/*
 * Rows for a table. put writes the columns of the i-th, in the order in which STORE_INTO names
 * them, as integers, texts and blobs; their views stay valid until the next.
 */
struct store_addition {
    const char *copy, *insert; /* STORE_INTO */
    size_t columns;
    void (*put)(const void *rows, size_t i, struct store_param *params);
    const void *rows;
    size_t n;
};

/* The table, its columns, and "$1, $2, ..." for them. */
#define STORE_INTO(table, names, values)                                                           \
    .copy = "COPY " table " (" names ") FROM STDIN (FORMAT binary)",                               \
    .insert = "INSERT INTO " table " (" names ") VALUES (" values ")"

/*
 * Adds rows as fast as the engine can (COPY on PostgreSQL, with one line of the log a page), in
 * their order. Returns 0, STORE_CONFLICT or a fault.
 */
int store_add(struct store_txn *t, const struct store_addition *rows);

/*
 * From here to the end of the transaction, what a bulk table is joined with is reached by an index,
 * row by row or in order, however large or small the statistics take it for: it may have grown a
 * thousandfold since, or be growing meanwhile. On SQLite CROSS JOIN does that.
 */
int store_look_up(struct store_txn *t);

/* The locks there are, so that two purposes never share a number. */
enum store_lock_number {
    STORE_LOCK_SCHEMA = 0, /* migrations of the store's own schema */
    STORE_LOCK_TRAIL = 1,  /* the trail and the revocation feed: their order is that of commits */
    STORE_LOCK_OPERATORS,  /* counting the operators that are left */
    STORE_LOCK_FAILURES,   /* writing failed sign-ins of many users at once */
    STORE_LOCK_MAIL        /* what becomes of mail; taken before a user and before the trail's */
};

/*
 * Serialises the transactions of all nodes that take this lock, until they end. Taken before
 * anything that the lock guards is read; taking it again in one transaction does nothing more.
 */
int store_lock(struct store_txn *t, enum store_lock_number number);

/* Wakes every watch of every process when the transaction commits; sent with the commit. */
int store_wake(struct store_txn *t);

/*
 * Waiting for others' commits: LISTEN on a connection of its own (PostgreSQL), or a look at
 * data_version each 100 ms (SQLite). One thread uses a watch; store_watch_stop may be called from
 * another and makes the wait return. A watch is closed before its store.
 */
struct store_watch;
int store_watch_open(struct store *s, struct store_watch **ret);
void store_watch_close(struct store_watch *w);
void store_watch_stop(struct store_watch *w);

/*
 * Returns 0 when something may have been committed, when timeout_ms are over, and each time it
 * has (re)connected: what was committed before is for the caller to find. FAULT_UNAVAILABLE while
 * the server is out of reach, then with a pause of at most half a second.
 */
int store_watch_wait(struct store_watch *w, int timeout_ms);

/* For /metrics: statements' and commits' times, queue depth of writers, connections in use. */
struct store_stats {
    const struct metric_histogram *read, *write;
    uint64_t writes_waiting, connections_busy, connections_open, errors;
};
void store_stats(struct store *s, struct store_stats *ret);

#endif
