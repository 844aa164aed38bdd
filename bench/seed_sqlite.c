#include "bench/seed.h"

#include "base/fault.h"

#include <sqlite3.h>

struct sink {
    sqlite3 *db;
    sqlite3_stmt *user, *family;
};

static const char insert_user[] =
    "INSERT INTO users (id, tenant_id, email, role, password_hash, password_changed_at,"
    " password_temporary, disabled, failed_logins, email_status, totp_active,"
    " totp_last_step, created_at, updated_at)"
    " SELECT ?1, tenant_id, ?2, 'member', password_hash, ?3, 0, 0, 0, 'ok', 0, 0, ?3, ?3"
    " FROM users WHERE email = ?4";

static const char insert_family[] =
    "INSERT INTO families (id, tenant_id, user_id, generation, seed, amr, created_at, rotated_at,"
    " expires_at, idle_expires_at, ip, user_agent)"
    " SELECT ?1, tenant_id, ?2, 0, ?3, 1, ?4, ?4, ?5, ?6, '127.0.0.1', 'bench'"
    " FROM users WHERE email = ?7";

static int fail(const struct sink *s, const char *doing)
{
    return fault_set(FAULT_STORE, "%s: %s", doing, sqlite3_errmsg(s->db));
}

static int exec(const struct sink *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? fail(s, sql) : 0;
}

static int prepare(struct sink *s, const char *like_email)
{
    if (sqlite3_prepare_v2(s->db, insert_user, -1, &s->user, NULL) ||
        sqlite3_prepare_v2(s->db, insert_family, -1, &s->family, NULL) ||
        sqlite3_bind_text(s->user, 4, like_email, -1, SQLITE_STATIC) ||
        sqlite3_bind_text(s->family, 7, like_email, -1, SQLITE_STATIC))
        return fail(s, "prepare");
    return 0;
}

static int sink_open(const char *url, const char *like_email, void **ret_state)
{
    static struct sink s;
    const char *path = url + sizeof "sqlite:" - 1;
    if (sqlite3_open_v2(path, &s.db, SQLITE_OPEN_READWRITE, NULL))
        return fault_set(FAULT_STORE, "%s cannot be opened", path);
    int r = exec(&s, "PRAGMA busy_timeout = 10000; PRAGMA cache_size = -262144; BEGIN IMMEDIATE");
    if (r == 0)
        r = prepare(&s, like_email);
    if (r == 0)
        *ret_state = &s;
    return r;
}

static int insert(struct sink *s, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_changes(s->db) != 1)
        return fail(s, "insert");
    return sqlite3_reset(statement) ? fail(s, "insert") : 0;
}

static int sink_user(void *state, const struct seed_row *row)
{
    struct sink *s = state;
    sqlite3_bind_blob(s->user, 1, row->user.b, 16, SQLITE_STATIC);
    sqlite3_bind_text(s->user, 2, row->email, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s->user, 3, row->now);
    return insert(s, s->user);
}

static int sink_family(void *state, const struct seed_row *row)
{
    struct sink *s = state;
    sqlite3_bind_blob(s->family, 1, row->family.b, 16, SQLITE_STATIC);
    sqlite3_bind_blob(s->family, 2, row->user.b, 16, SQLITE_STATIC);
    sqlite3_bind_blob(s->family, 3, row->seed, sizeof row->seed, SQLITE_STATIC);
    sqlite3_bind_int64(s->family, 4, row->now);
    sqlite3_bind_int64(s->family, 5, row->expires_at);
    sqlite3_bind_int64(s->family, 6, row->idle_expires_at);
    return insert(s, s->family);
}

static int sink_turn(void *state)
{
    return 0;
}

static int sink_finish(void *state)
{
    struct sink *s = state;
    sqlite3_finalize(s->user);
    sqlite3_finalize(s->family);
    int r = exec(s, "COMMIT; PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(s->db);
    return r;
}

const struct seed_sink seed_sqlite = {sink_open, sink_user, sink_family, sink_turn, sink_finish};
