/*
 * What the store's common half and its two drivers know of each other.
 *
 * Rooms: store only. Ownership: each driver embeds struct store, store_txn and store_rows as the
 * first member of its own. Threads: as store.h says; the counters here are atomic.
 */
#ifndef HOLDFAST_STORE_INTERNAL_H
#define HOLDFAST_STORE_INTERNAL_H

#include "store/store.h"

enum {
    STORE_PARAMS_MAX = 32,
    STORE_STATEMENTS_MAX = 1024, /* cached by a connection; what is beyond is prepared each time */
    STORE_STATEMENT_MS = 30000,  /* the default limit of one statement on PostgreSQL */
    STORE_IDLE_MS = 5000,   /* how long a stalled node may hold its locks: less than the next */
    STORE_LOCK_MS = 10000,  /* how long a statement waits for another's lock */
    STORE_SINGLE_MS = 3000, /* until a store_run or store_find is given up, its waits included */
    STORE_MESSAGE_MAX = 400 /* of a fault that crosses from one thread to another */
};

/* A file of schema/, embedded when the program is built. */
struct store_migration {
    int version;
    const char *name;
    const char *checksum; /* SHA-256 of the file, in hexadecimal */
    const char *sql;      /* with {{serial}} and the parts for one engine still in it */
};

extern const struct store_migration store_migrations[];
extern const int store_migrations_count;

/* What store_open brings the schema up to. */
struct store_schema {
    const struct store_migration *migrations;
    int count;
};

struct store {
    const struct store_driver *driver;
    int pool, timeout_ms, statement_ms, schema_version;
    struct metric_histogram read, write;
    _Atomic uint64_t waiting, busy, open, errors;
};

struct store_txn {
    struct store *store;
    bool writing;
    int failed;     /* what the first failing statement returned; all that follow return it too */
    unsigned locks; /* held already, a bit a number: another round trip for one would be idle */
};

struct store_rows {
    struct store_txn *txn;
};

struct store_watch {
    const struct store_driver *driver;
    int stop_fd; /* an eventfd, readable once the watch is stopped */
};

/* One statement with its parameters, as it goes to a driver. */
struct store_call {
    const char *sql;
    const struct store_param *params;
    size_t n;
};

enum store_bulk { STORE_BULK_IDS, STORE_BULK_TEXTS, STORE_BULK_ROWS };

/* Columns of bulk_rows, with its n. */
enum { STORE_ROW_COLUMNS = 1 + STORE_ROW_INTS + STORE_ROW_TEXTS + STORE_ROW_BLOBS };

struct store_driver {
    const char *name;
    const char *serial; /* what {{serial}} stands for */
    bool parallel;      /* writing jobs run beside each other */
    int (*open)(const struct store_options *options, struct store **ret);
    void (*close)(struct store *s);
    int (*read)(struct store *s, store_job *job, void *arg);
    int (*write)(struct store *s, store_job *job, void *arg);
    int (*run)(struct store *s, const struct store_call *call, int64_t *ret_changed);
    int (*find)(struct store *s, const struct store_call *call, store_reader *reader, void *arg);

    int (*exec)(struct store_txn *t, const struct store_call *call, int64_t *ret_changed);
    int (*query)(struct store_txn *t, const struct store_call *call, struct store_rows **ret);
    int (*script)(struct store_txn *t, const char *sql);
    int (*lock)(struct store_txn *t, int64_t number);
    int (*wake)(struct store_txn *t);
    int (*migrating)(struct store_txn *t); /* lifts the limits of time, keeps others out */

    /* The values are sorted and distinct. */
    int (*bulk)(struct store_txn *t, enum store_bulk kind, const struct str *values, size_t n);
    int (*bulk_rows)(struct store_txn *t, const struct store_bulk_row *rows, size_t n);

    int (*add)(struct store_txn *t, const struct store_addition *rows);
    int (*look_up)(struct store_txn *t);

    int (*rows_next)(struct store_rows *rows);
    void (*rows_free)(struct store_rows *rows);
    bool (*col_is_null)(struct store_rows *rows, int column);
    int64_t (*col_int)(struct store_rows *rows, int column);
    struct str (*col_bytes)(struct store_rows *rows, int column, bool text);

    int (*watch_open)(struct store *s, struct store_watch **ret);
    void (*watch_close)(struct store_watch *w);
    int (*watch_wait)(struct store_watch *w, int timeout_ms);
};

extern const struct store_driver store_sqlite, store_postgres;

/* As store_open, with another schema than the embedded one. */
int store_open_schema(const struct store_options *options, const struct store_schema *schema,
                      struct store **ret);

/* Applies what is missing. Returns 0, STORE_NEWER or a fault. */
int store_migrate(struct store *s, const struct store_schema *schema);

/*
 * Calls the job and refuses calls of store_read, store_write and store_run from within. A job
 * that returns 0 although one of its statements failed gets that statement's failure.
 */
int store_call_job(struct store_txn *t, store_job *job, void *arg);

/* Prepared statements of one connection, found by the address of their text. */
struct store_stmt {
    const char *address;
    char *text;
    uint64_t types; /* of the parameters, two bits each; PostgreSQL only */
    void *handle;   /* sqlite3_stmt */
    bool busy;      /* rows of it are being read */
    bool loose;     /* not in the cache: freed after use */
    int count;
    uint8_t map[STORE_PARAMS_MAX]; /* SQLite: which parameter the engine's i-th is */
};

struct store_stmts {
    struct store_stmt **slots;
    size_t cap, n;
};

/* The statement, or NULL. The text is compared, so an address may come to hold another text. */
struct store_stmt *store_stmts_find(const struct store_stmts *c, const char *sql, uint64_t types);

/* Takes st over and returns 0; 1 where the cache is full; a fault. */
int store_stmts_add(struct store_stmts *c, struct store_stmt *st);

/* Frees the cache; finish (may be NULL) is called with each handle first. */
void store_stmts_free(struct store_stmts *c, void (*finish)(void *handle));

/* A new entry for sql without a handle; NULL without memory. */
struct store_stmt *store_stmt_new(const char *sql, uint64_t types);
void store_stmt_free(struct store_stmt *st);

#endif
