#include "bench/seed_mail.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { INDEXES_MAX = 16 };

struct sink {
    sqlite3 *db;
    sqlite3_stmt *log, *figure;
    char *indexes[INDEXES_MAX];
    int n_indexes;
};

static const char insert_log[] =
    "INSERT INTO email_logs (id, message_id, tenant_id, user_id, provider_id, recipient, domain,"
    " template, subject, transport, state, counted, error_code, detail, created_at, sent_at,"
    " state_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'Your weekly summary', 'ses', ?9, ?10,"
    " ?11, '', ?12, ?12, ?12)";

static const char insert_figure[] =
    "INSERT INTO email_figures (tenant_id, kind, span, bucket, name, queued, sent, delayed,"
    " delivered, suppressed, rejected, bounced, complained, bounced_counted, complained_counted)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

static int fail(const struct sink *s, const char *doing)
{
    return fault_set(FAULT_STORE, "%s: %s", doing, sqlite3_errmsg(s->db));
}

static int exec(const struct sink *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? fail(s, sql) : 0;
}

static int take_index(void *context, int n, char **values, char **names)
{
    struct sink *s = context;

    if (s->n_indexes == INDEXES_MAX)
        return 1;
    s->indexes[s->n_indexes] = strdup(values[1]);
    return s->indexes[s->n_indexes++] ? 0 : 1;
}

static int drop_indexes(struct sink *s)
{
    static const char list[] = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
                               " AND tbl_name = 'email_logs' AND sql IS NOT NULL";
    int r = 0;

    if (sqlite3_exec(s->db, list, take_index, s, NULL))
        return fail(s, "indexes");
    for (int i = 0; r == 0 && i < s->n_indexes; i++) {
        char sql[200], name[100];
        if (sscanf(s->indexes[i], "CREATE INDEX %99s", name) != 1)
            return fail(s, s->indexes[i]);
        snprintf(sql, sizeof sql, "DROP INDEX %s", name);
        r = exec(s, sql);
    }
    return r;
}

static int prepare(struct sink *s)
{
    if (sqlite3_prepare_v2(s->db, insert_log, -1, &s->log, NULL) ||
        sqlite3_prepare_v2(s->db, insert_figure, -1, &s->figure, NULL))
        return fail(s, "prepare");
    return 0;
}

static int sink_open(const char *url, void **ret_state)
{
    static struct sink s;
    const char *path = url + sizeof "sqlite:" - 1;

    if (sqlite3_open_v2(path, &s.db, SQLITE_OPEN_READWRITE, NULL))
        return fault_set(FAULT_STORE, "%s cannot be opened", path);
    /* What is lost in a crash is seeded again. */
    int r = exec(&s, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -1048576;"
                     "PRAGMA temp_store = MEMORY; PRAGMA threads = 2");
    if (r == 0)
        r = drop_indexes(&s);
    if (r == 0)
        r = exec(&s, "BEGIN EXCLUSIVE");
    if (r == 0)
        r = prepare(&s);
    if (r == 0)
        *ret_state = &s;
    return r;
}

static int step(struct sink *s, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement))
        return fail(s, "insert");
    return 0;
}

static void bind_id(sqlite3_stmt *statement, int at, const struct uuid *id)
{
    sqlite3_bind_blob(statement, at, id->b, sizeof id->b, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static int sink_log(void *state, const struct seed_log *row)
{
    struct sink *s = state;

    bind_id(s->log, 1, &row->id);
    bind_id(s->log, 2, &row->message);
    bind_id(s->log, 3, &row->tenant);
    if (uuid_is_nil(&row->user))
        sqlite3_bind_null(s->log, 4);
    else
        bind_id(s->log, 4, &row->user);
    bind_text(s->log, 5, row->provider);
    bind_text(s->log, 6, row->recipient);
    bind_text(s->log, 7, row->domain);
    bind_text(s->log, 8, row->template_name);
    bind_text(s->log, 9, row->state);
    sqlite3_bind_int(s->log, 10, row->counted);
    bind_text(s->log, 11, row->code);
    sqlite3_bind_int64(s->log, 12, row->at);
    return step(s, s->log);
}

static int sink_turn(void *state)
{
    return 0;
}

static int sink_figure(void *state, const struct seed_figure *row)
{
    struct sink *s = state;

    bind_id(s->figure, 1, &row->tenant);
    sqlite3_bind_int(s->figure, 2, row->kind);
    sqlite3_bind_int64(s->figure, 3, row->span);
    sqlite3_bind_int64(s->figure, 4, row->bucket);
    bind_text(s->figure, 5, row->name);
    for (int k = 0; k < SEED_COUNTS; k++)
        sqlite3_bind_int64(s->figure, 6 + k, row->counts[k]);
    return step(s, s->figure);
}

static int sink_finish(void *state)
{
    struct sink *s = state;
    int r = exec(s, "COMMIT");

    sqlite3_finalize(s->log);
    sqlite3_finalize(s->figure);
    for (int i = 0; r == 0 && i < s->n_indexes; i++)
        r = exec(s, s->indexes[i]);
    for (int i = 0; i < s->n_indexes; i++)
        free(s->indexes[i]);
    sqlite3_close(s->db);
    return r;
}

const struct seed_mail_sink seed_mail_sqlite = {sink_open, sink_log, sink_turn, sink_figure,
                                                sink_finish};
