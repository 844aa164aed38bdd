#include "bench/seed_mail.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/fault.h"

#include <libpq-fe.h>
#include <stdlib.h>

enum { INDEXES_MAX = 16, CHUNK = 1 << 20, LINES_MAX = 2 << 20 };

/* Lines, of which those of figures follow when the log is there. */
struct sink {
    PGconn *db;
    struct buf log, figures;
    char *indexes[INDEXES_MAX];
    int n_indexes;
};

static const char copy_log[] =
    "COPY email_logs (id, message_id, tenant_id, user_id, provider_id, recipient, domain,"
    " template, subject, transport, state, counted, error_code, detail, created_at, sent_at,"
    " state_at) FROM STDIN";

static const char copy_figures[] =
    "COPY email_figures (tenant_id, kind, span, bucket, name, queued, sent, delayed, delivered,"
    " suppressed, rejected, bounced, complained, bounced_counted, complained_counted) FROM STDIN";

static int exec(const struct sink *s, const char *sql, ExecStatusType wanted)
{
    PGresult *result = PQexec(s->db, sql);
    int r = PQresultStatus(result) == wanted
                ? 0
                : fault_set(FAULT_STORE, "%s: %s", sql, PQerrorMessage(s->db));

    PQclear(result);
    return r;
}

static int drop_indexes(struct sink *s)
{
    PGresult *result =
        PQexec(s->db, "SELECT indexdef, indexname FROM pg_indexes WHERE tablename = 'email_logs'"
                      " AND indexname NOT LIKE '%_pkey'");
    int r = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) <= INDEXES_MAX
                ? 0
                : fault_set(FAULT_STORE, "indexes: %s", PQerrorMessage(s->db));

    for (int i = 0; r == 0 && i < PQntuples(result); i++) {
        char sql[200];
        s->indexes[s->n_indexes] = strdup(PQgetvalue(result, i, 0));
        if (!s->indexes[s->n_indexes++])
            r = fault_set(FAULT_MEMORY, "no memory for an index");
        snprintf(sql, sizeof sql, "DROP INDEX %s", PQgetvalue(result, i, 1));
        if (r == 0)
            r = exec(s, sql, PGRES_COMMAND_OK);
    }
    PQclear(result);
    return r;
}

static int sink_open(const char *url, void **ret_state)
{
    static struct sink s;

    s.db = PQconnectdb(url);
    s.log = buf_init(LINES_MAX);
    s.figures = buf_init((size_t)1 << 31);
    if (PQstatus(s.db) != CONNECTION_OK)
        return fault_set(FAULT_UNAVAILABLE, "%s", PQerrorMessage(s.db));
    int r = exec(&s, "SET maintenance_work_mem = '1GB'", PGRES_COMMAND_OK);
    if (r == 0)
        r = drop_indexes(&s);
    if (r == 0)
        r = exec(&s, copy_log, PGRES_COPY_IN);
    if (r == 0)
        *ret_state = &s;
    return r;
}

static int put(struct sink *s, struct buf *lines)
{
    if (buf_fault(lines))
        return buf_fault(lines);
    if (lines->n && PQputCopyData(s->db, lines->p, (int)lines->n) != 1)
        return fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    buf_reset(lines);
    return 0;
}

static void add_id(struct buf *out, const struct uuid *id)
{
    char text[2 * sizeof id->b + 1];

    hex_encode(id->b, sizeof id->b, text);
    buf_printf(out, "\\\\x%s\t", text);
}

static int sink_log(void *state, const struct seed_log *row)
{
    struct sink *s = state;
    struct buf *out = &s->log;
    long long at = (long long)row->at;

    add_id(out, &row->id);
    add_id(out, &row->message);
    add_id(out, &row->tenant);
    if (uuid_is_nil(&row->user))
        buf_add_str(out, STR("\\N\t"));
    else
        add_id(out, &row->user);
    buf_printf(out, "%s\t%s\t%s\t%s\tYour weekly summary\tses\t%s\t%d\t%s\t\t%lld\t%lld\t%lld\n",
               row->provider, row->recipient, row->domain, row->template_name, row->state,
               row->counted, row->code, at, at, at);
    return out->n > CHUNK ? put(s, out) : buf_fault(out);
}

static int copy_end(struct sink *s)
{
    int r = 0;

    if (PQputCopyEnd(s->db, NULL) != 1)
        return fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    for (PGresult *result; (result = PQgetResult(s->db)); PQclear(result))
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            r = fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    return r;
}

static int sink_turn(void *state)
{
    struct sink *s = state;
    int r = put(s, &s->log);

    return r ? r : copy_end(s);
}

static int sink_figure(void *state, const struct seed_figure *row)
{
    struct sink *s = state;
    struct buf *out = &s->figures;

    add_id(out, &row->tenant);
    buf_printf(out, "%d\t%lld\t%lld\t%s", row->kind, (long long)row->span, (long long)row->bucket,
               row->name);
    for (int k = 0; k < SEED_COUNTS; k++)
        buf_printf(out, "\t%lld", (long long)row->counts[k]);
    return buf_add_char(out, '\n');
}

static int copy_lines(struct sink *s)
{
    struct buf *lines = &s->figures;
    int r = exec(s, copy_figures, PGRES_COPY_IN);

    for (size_t at = 0; r == 0 && at < lines->n; at += CHUNK) {
        size_t n = lines->n - at < CHUNK ? lines->n - at : CHUNK;
        if (PQputCopyData(s->db, lines->p + at, (int)n) != 1)
            r = fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    }
    buf_free(lines);
    return r ? r : copy_end(s);
}

static int sink_finish(void *state)
{
    struct sink *s = state;
    int r = copy_lines(s);

    for (int i = 0; r == 0 && i < s->n_indexes; i++)
        r = exec(s, s->indexes[i], PGRES_COMMAND_OK);
    for (int i = 0; i < s->n_indexes; i++)
        free(s->indexes[i]);
    buf_free(&s->log);
    if (r == 0)
        r = exec(s, "VACUUM (ANALYZE) email_logs, email_figures", PGRES_COMMAND_OK);
    PQfinish(s->db);
    return r;
}

const struct seed_mail_sink seed_mail_postgres = {sink_open, sink_log, sink_turn, sink_figure,
                                                  sink_finish};
