#include "bench/seed.h"

#include "base/encode.h"
#include "base/fault.h"

#include <libpq-fe.h>
#include <stdio.h>

struct sink {
    PGconn *db;
    char tenant[2 * 16 + 1];
    char hash[256];
};

static const char copy_users[] =
    "COPY users (id, tenant_id, email, role, password_hash, password_changed_at,"
    " password_temporary, disabled, failed_logins, email_status, totp_active,"
    " totp_last_step, created_at, updated_at) FROM STDIN";

static const char copy_families[] =
    "COPY families (id, tenant_id, user_id, generation, seed, amr, created_at, rotated_at,"
    " expires_at, idle_expires_at, ip, user_agent) FROM STDIN";

static int exec(const struct sink *s, const char *sql, ExecStatusType wanted)
{
    PGresult *result = PQexec(s->db, sql);
    int r = PQresultStatus(result) == wanted
                ? 0
                : fault_set(FAULT_STORE, "%s: %s", sql, PQerrorMessage(s->db));
    PQclear(result);
    return r;
}

static int read_like(struct sink *s, const char *email)
{
    PGresult *result = PQexecParams(s->db,
                                    "SELECT encode(tenant_id, 'hex'), password_hash FROM users"
                                    " WHERE email = $1",
                                    1, NULL, &email, NULL, NULL, 0);
    int r = 0;
    if (PQntuples(result) != 1 || PQgetlength(result, 0, 0) != 32 ||
        PQgetlength(result, 0, 1) >= (int)sizeof s->hash) {
        r = fault_set(FAULT_STORE, "%s: no such user: %s", email, PQerrorMessage(s->db));
    } else {
        snprintf(s->tenant, sizeof s->tenant, "%s", PQgetvalue(result, 0, 0));
        snprintf(s->hash, sizeof s->hash, "%s", PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    return r;
}

static int sink_open(const char *url, const char *like_email, void **ret_state)
{
    static struct sink s;
    s.db = PQconnectdb(url);
    if (PQstatus(s.db) != CONNECTION_OK)
        return fault_set(FAULT_UNAVAILABLE, "%s", PQerrorMessage(s.db));
    int r = read_like(&s, like_email);
    if (r == 0)
        r = exec(&s, "BEGIN", PGRES_COMMAND_OK);
    if (r == 0)
        r = exec(&s, copy_users, PGRES_COPY_IN);
    if (r == 0)
        *ret_state = &s;
    return r;
}

static int put(struct sink *s, const char *line, int n, size_t size)
{
    if (n < 0 || (size_t)n >= size)
        return fault_set(FAULT_LIMIT, "a row of %d bytes", n);
    return PQputCopyData(s->db, line, n) == 1
               ? 0
               : fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
}

static int sink_user(void *state, const struct seed_row *row)
{
    struct sink *s = state;
    char line[1024], id[2 * 16 + 1];
    hex_encode(row->user.b, 16, id);
    int n = snprintf(line, sizeof line,
                     "\\\\x%s\t\\\\x%s\t%s\tmember\t%s\t%lld\t0\t0\t0\tok\t0\t0\t%lld\t%lld\n", id,
                     s->tenant, row->email, s->hash, (long long)row->now, (long long)row->now,
                     (long long)row->now);
    return put(s, line, n, sizeof line);
}

static int sink_family(void *state, const struct seed_row *row)
{
    struct sink *s = state;
    char line[1024], id[2 * 16 + 1], user[2 * 16 + 1], seed[2 * sizeof row->seed + 1];
    hex_encode(row->family.b, 16, id);
    hex_encode(row->user.b, 16, user);
    hex_encode(row->seed, sizeof row->seed, seed);
    int n = snprintf(line, sizeof line,
                     "\\\\x%s\t\\\\x%s\t\\\\x%s\t0\t\\\\x%s\t1\t%lld\t%lld\t%lld\t%lld\t"
                     "127.0.0.1\tbench\n",
                     id, s->tenant, user, seed, (long long)row->now, (long long)row->now,
                     (long long)row->expires_at, (long long)row->idle_expires_at);
    return put(s, line, n, sizeof line);
}

static int copy_end(struct sink *s)
{
    if (PQputCopyEnd(s->db, NULL) != 1)
        return fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    int r = 0;
    for (PGresult *result; (result = PQgetResult(s->db)); PQclear(result))
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            r = fault_set(FAULT_STORE, "copy: %s", PQerrorMessage(s->db));
    return r;
}

static int sink_turn(void *state)
{
    struct sink *s = state;
    int r = copy_end(s);
    return r ? r : exec(s, copy_families, PGRES_COPY_IN);
}

static int sink_finish(void *state)
{
    struct sink *s = state;
    int r = copy_end(s);
    if (r == 0)
        r = exec(s, "COMMIT", PGRES_COMMAND_OK);
    if (r == 0)
        r = exec(s, "ANALYZE users, families", PGRES_COMMAND_OK);
    PQfinish(s->db);
    return r;
}

const struct seed_sink seed_postgres = {sink_open, sink_user, sink_family, sink_turn, sink_finish};
