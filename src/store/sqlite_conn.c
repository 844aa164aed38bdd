#include "store/sqlite.h"

#include "base/clock.h"
#include "base/fault.h"

#include <unistd.h>

/* Another process holds the lock for a commit or for a long job; short naps keep us in the race. */
static int on_busy(void *arg, int tries)
{
    struct sqlite_conn *c = arg;

    if (tries == 0)
        c->waiting_since = clock_mono();
    else if (clock_mono() - c->waiting_since > SQLITE_WAIT_MS)
        return 0;
    usleep(tries < 50 ? 500 : 2000);
    return 1;
}

static int set_up(struct sqlite_conn *c, bool writing)
{
    static const char writer[] = "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                                 "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-65536;"
                                 "PRAGMA trusted_schema=OFF";
    static const char reader[] = "PRAGMA cache_size=-1024; PRAGMA trusted_schema=OFF";
    int rc = sqlite3_exec(c->db, writing ? writer : reader, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sqlite_failure(c, rc, "PRAGMA");
}

/* Entering WAL mode needs the file for itself for a moment, and does not ask the busy handler. */
static int enter_wal(struct sqlite_conn *c)
{
    int64_t begun = clock_mono();
    int rc;

    while ((rc = sqlite3_exec(c->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL)) == SQLITE_BUSY &&
           clock_mono() - begun < SQLITE_WAIT_MS)
        usleep(1000);
    return rc == SQLITE_OK ? 0 : sqlite_failure(c, rc, "PRAGMA journal_mode=WAL");
}

int sqlite_conn_open(const char *path, bool writing, struct sqlite_conn **ret)
{
    struct sqlite_conn *c = calloc(1, sizeof *c);
    int flags = SQLITE_OPEN_NOMUTEX | (writing ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int r, rc;

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for a connection");
    rc = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (rc != SQLITE_OK) {
        r = sqlite_failure(c, rc, path);
        sqlite_conn_close(c);
        return r;
    }
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, on_busy, c);
    r = writing ? enter_wal(c) : 0;
    if (r == 0)
        r = set_up(c, writing);
    if (r == 0)
        r = sqlite_rows_register(c);
    if (r != 0) {
        sqlite_conn_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

static void finalize(void *handle)
{
    sqlite3_finalize(handle);
}

void sqlite_conn_close(struct sqlite_conn *c)
{
    if (!c)
        return;
    store_stmts_free(&c->stmts, finalize);
    sqlite3_close(c->db);
    sqlite_rows_clear(c, true);
    free(c);
}

int sqlite_failure(struct sqlite_conn *c, int code, const char *sql)
{
    const char *why = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code);
    enum fault fault;

    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
        code == SQLITE_CONSTRAINT_ROWID)
        return STORE_CONFLICT;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        fault = FAULT_UNAVAILABLE;
        break;
    case SQLITE_NOMEM:
        fault = FAULT_MEMORY;
        break;
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_PERM:
        fault = FAULT_IO;
        break;
    default:
        fault = FAULT_STORE;
    }
    return fault_set(fault, "sqlite: %s (%d): %.160s", why, code, sql);
}

int sqlite_conn_run(struct sqlite_conn *c, const char *sql)
{
    struct store_call call = {.sql = sql};
    int64_t changed;

    return sqlite_exec_on(c, &call, &changed);
}
