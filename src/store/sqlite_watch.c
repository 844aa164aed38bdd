#include "base/clock.h"
#include "base/fault.h"
#include "store/sqlite.h"

#include <poll.h>

struct sqlite_watch {
    struct store_watch base;
    struct sqlite_conn *conn;
    sqlite3_stmt *look;
    int64_t version;
};

/* data_version changes with each commit of any other connection, of any process. */
static int look(struct sqlite_watch *w, int64_t *ret_version)
{
    int rc = sqlite3_step(w->look), r = 0;

    if (rc == SQLITE_ROW)
        *ret_version = sqlite3_column_int64(w->look, 0);
    else
        r = sqlite_failure(w->conn, rc, "PRAGMA data_version");
    sqlite3_reset(w->look);
    return r;
}

int sqlite_watch_open(struct store *s, struct store_watch **ret)
{
    struct sqlite_watch *w = calloc(1, sizeof *w);
    int rc, r;

    if (!w)
        return fault_set(FAULT_MEMORY, "no memory for a watch");
    r = sqlite_conn_open(((struct sqlite_store *)s)->path, false, &w->conn);
    if (r == 0) {
        rc = sqlite3_prepare_v2(w->conn->db, "PRAGMA data_version", -1, &w->look, NULL);
        r = rc == SQLITE_OK ? look(w, &w->version) : sqlite_failure(w->conn, rc, "data_version");
    }
    if (r != 0) {
        sqlite_watch_close(&w->base);
        return r;
    }
    *ret = &w->base;
    return 0;
}

void sqlite_watch_close(struct store_watch *base)
{
    struct sqlite_watch *w = (struct sqlite_watch *)base;

    sqlite3_finalize(w->look);
    sqlite_conn_close(w->conn);
    free(w);
}

int sqlite_watch_wait(struct store_watch *base, int timeout_ms)
{
    struct sqlite_watch *w = (struct sqlite_watch *)base;
    struct pollfd stop = {.fd = base->stop_fd, .events = POLLIN};
    int64_t version = w->version, until = clock_mono() + timeout_ms;

    for (;;) {
        int r = look(w, &version);
        if (r != 0)
            return r > 0 ? (int)FAULT_UNAVAILABLE : r;
        int64_t left = until - clock_mono();
        if (version != w->version || left <= 0) {
            w->version = version;
            return 0;
        }
        if (poll(&stop, 1, left < SQLITE_WATCH_MS ? (int)left : SQLITE_WATCH_MS) > 0)
            return 0;
    }
}
