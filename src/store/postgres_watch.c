#include "base/clock.h"
#include "base/fault.h"
#include "store/postgres.h"

#include <poll.h>

struct pg_watch {
    struct store_watch base;
    struct pg_store *store;
    struct pg_conn *conn; /* NULL while the server is out of reach */
};

int pg_watch_open(struct store *s, struct store_watch **ret)
{
    struct pg_watch *w = calloc(1, sizeof *w);

    if (!w)
        return fault_set(FAULT_MEMORY, "no memory for a watch");
    w->store = (struct pg_store *)s;
    *ret = &w->base;
    return 0;
}

void pg_watch_close(struct store_watch *base)
{
    struct pg_watch *w = (struct pg_watch *)base;

    pg_conn_close(w->conn);
    free(w);
}

static void disconnect(struct pg_watch *w)
{
    pg_conn_close(w->conn);
    w->conn = NULL;
}

static int listen_anew(struct pg_watch *w, int timeout_ms)
{
    int limit = timeout_ms < w->store->base.timeout_ms ? timeout_ms : w->store->base.timeout_ms;
    int r = pg_connect(w->store->url, limit > 0 ? limit : 1, w->store->base.statement_ms, &w->conn);

    if (r != 0)
        return r;
    r = pg_script(w->conn, "LISTEN holdfast");
    if (r != 0)
        disconnect(w);
    return r;
}

/* Takes all that was notified. Returns 1 where there was something, 0, or a fault. */
static int take_notices(struct pg_watch *w)
{
    PGnotify *notice;
    int found = 0;

    if (!PQconsumeInput(w->conn->pg) || PQstatus(w->conn->pg) != CONNECTION_OK) {
        disconnect(w);
        return fault_set(FAULT_UNAVAILABLE, "postgresql: the watch lost its connection");
    }
    while ((notice = PQnotifies(w->conn->pg)) != NULL) {
        PQfreemem(notice);
        found = 1;
    }
    return found;
}

/* While the server is out of reach a caller's loop must not spin. */
static int rest(struct pg_watch *w, int64_t until, int fault)
{
    struct pollfd stop = {.fd = w->base.stop_fd, .events = POLLIN};
    int64_t left = until - clock_mono();

    if (left > 0)
        poll(&stop, 1, left < PG_BACKOFF_MAX_MS ? (int)left : PG_BACKOFF_MAX_MS);
    return fault;
}

int pg_watch_wait(struct store_watch *base, int timeout_ms)
{
    struct pg_watch *w = (struct pg_watch *)base;
    int64_t until = clock_mono() + timeout_ms;
    int r;

    if (!w->conn) {
        r = listen_anew(w, timeout_ms);
        /* What was committed while nobody listened is for the caller to find. */
        return r == 0 ? 0 : rest(w, until, r);
    }
    for (;;) {
        struct pollfd fds[] = {{.fd = base->stop_fd, .events = POLLIN},
                               {.fd = PQsocket(w->conn->pg), .events = POLLIN}};
        r = take_notices(w);
        if (r != 0)
            return r < 0 ? r : 0;
        int64_t left = until - clock_mono();
        if (left <= 0 || (poll(fds, 2, (int)left) > 0 && fds[0].revents))
            return 0;
    }
}
