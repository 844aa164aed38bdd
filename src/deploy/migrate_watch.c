/* Who is in the way of a statement that waits for a lock. */
#include "base/clock.h"
#include "base/fault.h"
#include "deploy/migrate_session.h"

enum { EVERY_MS = 250, QUERY_MAX = 80 };

/* Of each process: pid, application, user, host, state, seconds, query. */
#define WHO                                                                                        \
    "b.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),"                            \
    " coalesce(host(a.client_addr), ''), coalesce(a.state, ''),"                                   \
    " extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start))::bigint,"      \
    " coalesce(a.query, '') "

static const char blocking[] =
    "SELECT " WHO ", (SELECT coalesce(l.relation::regclass::text, '') FROM pg_locks l"
    " WHERE l.pid = $1::int AND NOT l.granted LIMIT 1)"
    " FROM unnest((SELECT pg_blocking_pids(w.pid) FROM pg_stat_activity w"
    " WHERE w.pid = $1::int AND w.wait_event_type = 'Lock')) b(pid)"
    " LEFT JOIN pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid LIMIT 5";

/* An advisory lock's key of 64 bits is kept as two halves. */
static const char holding[] =
    "SELECT " WHO ", '' FROM pg_locks b LEFT JOIN pg_stat_activity a ON a.pid = b.pid"
    " WHERE b.locktype = 'advisory' AND b.classid = 0 AND b.objid = 72707369 AND b.objsubid = 1"
    " AND b.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND b.granted AND b.pid <> $1::int LIMIT 1";

static void write_process(const struct pg_rows *rows, int i, struct buf *out)
{
    const char *application = pg_text(rows, i, 1), *user = pg_text(rows, i, 2),
               *host = pg_text(rows, i, 3), *state = pg_text(rows, i, 4),
               *query = pg_text(rows, i, 6);

    if (pg_int(rows, i, 0) == 0) {
        buf_add_str(out, STR("a prepared transaction"));
        return;
    }
    buf_printf(out, "process %s (", pg_text(rows, i, 0));
    if (*application)
        buf_printf(out, "%s, ", application);
    buf_printf(out, "user %s", user);
    if (*host)
        buf_printf(out, " at %s", host);
    if (*state)
        buf_printf(out, ", %s", state);
    if (!pg_is_null(rows, i, 5))
        buf_printf(out, " for %s s", pg_text(rows, i, 5));
    buf_add_char(out, ')');
    if (*query) {
        buf_add_str(out, strncmp(state, "idle", 4) == 0 ? STR("; its last: ") : STR(": "));
        sql_brief(str_of(query), QUERY_MAX, true, out);
    }
}

/* Asks for processes, of the session's backend; text is empty where there are none. */
static void ask(struct migrate *m, const char *sql, char text[MIGRATE_TEXT_MAX])
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct buf out _cleanup_buf_ = buf_init(MIGRATE_TEXT_MAX - 1);
    struct pg *clerk;
    char pid[16];
    const char *params[] = {pid};

    snprintf(pid, sizeof pid, "%d", m->backend);
    *text = '\0';
    if (migrate_clerk(m, &clerk) || pg_query(clerk, sql, params, 1, &rows))
        return;
    for (int i = 0; i < pg_rows_count(rows); i++) {
        if (i == 0 && *pg_text(rows, 0, 7))
            buf_printf(&out, "%s is locked by ", pg_text(rows, 0, 7));
        else if (i > 0)
            buf_add_str(&out, STR("; and by "));
        write_process(rows, i, &out);
    }
    for (size_t i = 0; i < out.n; i++)
        for (size_t n = str_control_length(buf_str(&out), i); n > 0; n--)
            out.p[i + n - 1] = ' ';
    snprintf(text, MIGRATE_TEXT_MAX, "%.*s", STR_ARG(buf_str(&out)));
}

void migrate_holder(struct migrate *m, char text[MIGRATE_TEXT_MAX])
{
    ask(m, holding, text);
}

void migrate_forget(struct migrate *m)
{
    *m->blockers = '\0';
    m->waits = false;
    m->looked = 0;
}

/* Where another waits in the line for the same lock, it is named too: it is one that blocks. */
void migrate_watch(void *session)
{
    struct migrate *m = session;
    char text[MIGRATE_TEXT_MAX];
    int64_t now = clock_mono();

    if (now - m->looked < EVERY_MS)
        return;
    ask(m, blocking, text);
    m->looked = clock_mono();
    bool waits = *text != '\0';
    if (waits && !m->waits)
        progress_say(m->options.progress, "waiting for a lock: %s", text);
    m->waits = waits;
    if (waits)
        snprintf(m->blockers, sizeof m->blockers, "%s", text);
}
