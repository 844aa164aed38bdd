#include "deploy/twin.h"

#include "base/fault.h"

enum { LOCK_CLASS = 0x686f6c64, FORMAT_PARAMS = 8, SQL_SIZE = 4096 };

/* The number that eight digits are, as PostgreSQL's lock functions take it. */
#define DIGITS(text) "('x' || " text ")::bit(32)"

int twin_open(const struct backup_place *place, const char *database, const char *name,
              const atomic_int *cancel, struct pg **ret)
{
    struct pg_options options = {.url = place->admin_url ? place->admin_url : place->url,
                                 .database = database,
                                 .name = name,
                                 .cancel = cancel};

    return backup_pg(pg_open(&options, ret), database ? database : "the server");
}

int twin_open_server(const struct backup_place *place, const char *name, const atomic_int *cancel,
                     struct pg **ret)
{
    struct arena a _cleanup_arena_ = arena_init(1 << 16);
    const char *own = "", *maintenance = NULL;

    if (!place->admin_url) {
        int r = backup_pg(pg_database_name(&a, place->url, &own), "the database");
        if (r)
            return r;
        maintenance = strcmp(own, "postgres") == 0 ? "template1" : "postgres";
    }
    return twin_open(place, maintenance, name, cancel, ret);
}

static int say_holder(struct pg *server, const char *id8)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char sql[SQL_SIZE];
    const char *params[] = {id8};

    snprintf(sql, sizeof sql,
             "SELECT application_name, coalesce(host(client_addr), 'the server itself'),"
             " backend_start::timestamptz(0) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE"
             " locktype = 'advisory' AND classid = %d AND objsubid = 2 AND granted AND"
             " objid = " DIGITS("$1") "::bigint::oid",
             LOCK_CLASS);
    int r = backup_pg(pg_query(server, sql, params, 1, &rows), "the lock");
    if (r)
        return r;
    if (pg_rows_count(rows))
        fault_keep("%s, from %s, since %s", pg_text(rows, 0, 0), pg_text(rows, 0, 1),
                   pg_text(rows, 0, 2));
    else
        fault_keep("somebody who has just ended");
    return BACKUP_LOCKED;
}

int twin_lock(struct pg *server, const char *id8)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char sql[SQL_SIZE];
    const char *params[] = {id8};

    /* It may be held by way of another maintenance database, where ours is another lock. */
    snprintf(sql, sizeof sql,
             "SELECT pg_try_advisory_lock(%d, " DIGITS(
                 "$1") "::int) AND NOT EXISTS (SELECT FROM"
                       " pg_locks WHERE locktype = 'advisory' AND classid = %d AND objsubid = 2 "
                       "AND granted"
                       " AND objid = " DIGITS("$1") "::bigint::oid AND pid <> pg_backend_pid())",
             LOCK_CLASS, LOCK_CLASS);
    int r = backup_pg(pg_query(server, sql, params, 1, &rows), "the lock");
    if (r)
        return r;
    if (pg_text(rows, 0, 0)[0] == 't')
        return 0;
    twin_unlock(server, id8);
    return say_holder(server, id8);
}

int twin_unlock(struct pg *server, const char *id8)
{
    char sql[SQL_SIZE];
    const char *params[] = {id8};

    snprintf(sql, sizeof sql, "SELECT pg_advisory_unlock(%d, " DIGITS("$1") "::int)", LOCK_CLASS);
    return backup_pg(pg_query(server, sql, params, 1, NULL), "the lock");
}

int twin_run(struct pg *server, const char *doing, const char *format, const char *const *names,
             int n)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[FORMAT_PARAMS] = {format};
    static const char ask[] = "SELECT format($1, VARIADIC ARRAY[$2::text, $3::text, $4::text,"
                              " $5::text, $6::text, $7::text, $8::text])";

    for (int i = 0; i < n; i++)
        params[1 + i] = names[i];
    int r = pg_query(server, ask, params, FORMAT_PARAMS, &rows);
    if (r == 0)
        r = pg_run(server, pg_text(rows, 0, 0));
    return backup_pg(r, doing);
}

/* Reads one text, a statement, and runs it. */
static int make_and_run(struct pg *server, const char *doing, const char *sql,
                        const char *const *params, int n, bool *ret_made)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(server, sql, params, n, &rows);

    *ret_made = r == 0 && pg_rows_count(rows) > 0;
    for (int i = 0; r == 0 && i < pg_rows_count(rows); i++)
        r = pg_run(server, pg_text(rows, i, 0));
    return backup_pg(r, doing);
}

/* Columns that only some versions have are taken by way of JSON. */
static const char like_live[] =
    "SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L"
    " LC_CTYPE %L', $2::text, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate,"
    " datctype) || CASE spcname WHEN 'pg_default' THEN '' ELSE format(' TABLESPACE %I', spcname) "
    "END"
    " || CASE j ->> 'datlocprovider' WHEN 'c' THEN"
    " ' LOCALE_PROVIDER libc' WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L',"
    " coalesce(j ->> 'datlocale', j ->> 'daticulocale')) WHEN 'b' THEN"
    " format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', j ->> 'datlocale') ELSE '' END ||"
    " coalesce(' ICU_RULES ' || quote_literal(nullif(j ->> 'daticurules', '')), '')"
    " FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace, to_jsonb(d) j"
    " WHERE datname = $1";

int twin_create(struct pg *server, const char *live, const struct backup_manifest *m,
                const char *name)
{
    const char *params[] = {live, name};
    bool made;
    int r = make_and_run(server, "a database could not be made", like_live, params, 2, &made);

    if (r)
        return r;
    if (!made) {
        const char *names[] = {name, m->encoding, m->collate, m->ctype};
        r = twin_run(server, "a database could not be made",
                     "CREATE DATABASE %1$I TEMPLATE template0 ENCODING %2$L LC_COLLATE %3$L"
                     " LC_CTYPE %4$L",
                     names, 4);
    }
    return r ? r
             : twin_run(server, "a database could not be closed to others",
                        "REVOKE ALL ON DATABASE %1$I FROM PUBLIC", &name, 1);
}

/* Settings that are lists stand in the catalogue as they would in a statement. */
static const char dress[] =
    "WITH d AS (SELECT * FROM pg_database WHERE datname = $1), s AS ("
    " SELECT setrole, left(c, strpos(c, '=') - 1) AS name, substr(c, strpos(c, '=') + 1) AS value"
    " FROM d JOIN pg_db_role_setting ON setdatabase = d.oid, unnest(setconfig) c), v AS ("
    " SELECT setrole, (SELECT string_agg(quote_ident(part), '.') FROM"
    " unnest(string_to_array(name, '.')) part) || ' TO ' || CASE WHEN value <> '' AND name IN"
    " ('local_preload_libraries', 'search_path', 'session_preload_libraries', 'temp_tablespaces')"
    " THEN value ELSE quote_literal(value) END AS set FROM s)"
    " SELECT sql FROM ("
    " SELECT 1, format('ALTER DATABASE %I OWNER TO %I', $2::text, pg_get_userbyid(datdba)) FROM d"
    " UNION ALL SELECT 2, format('ALTER DATABASE %I CONNECTION LIMIT %s', $2::text, datconnlimit)"
    " FROM d"
    " UNION ALL SELECT 3, format('ALTER DATABASE %I IS_TEMPLATE true', $2::text) FROM d"
    " WHERE datistemplate"
    " UNION ALL SELECT 4, format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', $2::text)"
    " FROM d WHERE datacl IS NULL"
    " UNION ALL SELECT 5, format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, $2::text,"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,"
    " CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM d, aclexplode(datacl)"
    " UNION ALL SELECT 6, format('ALTER DATABASE %I RESET ALL', $2::text)"
    " UNION ALL SELECT 7, format('ALTER DATABASE %I SET %s', $2::text, set) FROM v"
    " WHERE setrole = 0"
    " UNION ALL SELECT 7, format('ALTER ROLE %I IN DATABASE %I SET %s', pg_get_userbyid(setrole),"
    " $2::text, set) FROM v WHERE setrole <> 0) o (turn, sql) ORDER BY turn";

int twin_dress(struct pg *server, const char *live, const char *name)
{
    const char *params[] = {live, name};
    bool made;

    return make_and_run(server, "the database's settings could not be copied", dress, params, 2,
                        &made);
}

int twin_drop(struct pg *server, const char *name)
{
    return twin_run(server, "a database could not be dropped",
                    "DROP DATABASE IF EXISTS %1$I WITH (FORCE)", &name, 1);
}

int twin_sweep(struct pg *server, size_t *ret_n)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    char sql[SQL_SIZE];
    size_t n = 0;

    snprintf(sql, sizeof sql,
             "SELECT datname FROM pg_database WHERE datname ~ '^" TWIN_SCRATCH "[0-9a-f]{8}$' AND"
             " NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %d AND"
             " objsubid = 2 AND objid = " DIGITS("right(datname, 8)") "::bigint::oid)",
             LOCK_CLASS);
    int r = backup_pg(pg_query(server, sql, NULL, 0, &rows), "the databases");
    for (int i = 0; r == 0 && i < pg_rows_count(rows); i++) {
        r = twin_drop(server, pg_text(rows, i, 0));
        n += r == 0;
    }
    if (r == 0)
        *ret_n = n;
    return r;
}

void twin_failed_name(const char *database, const char *id8, char ret[TWIN_NAME_SIZE])
{
    size_t rest = strlen("_failed_") + strlen(id8);
    struct str base = str_cut(str_of(database), TWIN_NAME_MAX - rest);

    snprintf(ret, TWIN_NAME_SIZE, "%.*s_failed_%s", STR_ARG(base), id8);
}
