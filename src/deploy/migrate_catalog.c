/* What the database knows of tables and columns that statements name. */
#include "base/fault.h"
#include "deploy/migrate_danger.h"
#include "deploy/migrate_session.h"

enum { NUMBER_SIZE = 32 };

/* Names as written go to the server, which understands them; an answer that is a refusal says that
 * nothing is known. */
static int ask(struct migrate *m, const char *sql, const char *const *params, int n,
               struct pg_rows **ret)
{
    int result = pg_query(m->pg, sql, params, n, ret);

    return result == PG_REFUSED ? 0 : result;
}

static const char *text_of(struct arena *a, struct str s)
{
    return arena_str(a, s).p;
}

/* 1234567 as "1,234,567". */
static void write_number(int64_t n, char ret[NUMBER_SIZE])
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;

    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            ret[at++] = ',';
        ret[at++] = digits[i];
    }
    ret[at] = '\0';
}

/* Whether the table is empty, and how large: what takes a lock on it, if a weak one. */
static int look_into(struct migrate *m, struct arena *a, struct str name, bool *ret_empty,
                     const char **ret_size)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql = arena_printf(a,
                                   "SELECT (NOT EXISTS (SELECT 1 FROM %.*s))::int,"
                                   " pg_size_pretty(pg_total_relation_size($1::regclass))",
                                   STR_ARG(name)),
               *param = text_of(a, name);
    int result = sql && param ? ask(m, sql, &param, 1, &rows) : FAULT_MEMORY;

    if (result || !rows)
        return result;
    *ret_empty = pg_int(rows, 0, 0) != 0;
    *ret_size = text_of(a, str_of(pg_text(rows, 0, 1)));
    return *ret_size ? 0 : FAULT_MEMORY;
}

static const char *write_facts(struct arena *a, bool is_empty, int64_t count, const char *size)
{
    char number[NUMBER_SIZE];

    write_number(count, number);
    if (is_empty)
        return "the table is empty";
    if (count > 0)
        return arena_printf(a, "about %s rows%s%s", number, *size ? ", " : "", size);
    return arena_printf(a, "rows not counted%s%s", *size ? ", " : "", size);
}

int migrate_table(struct migrate *m, struct arena *a, struct str name, struct migrate_table *ret)
{
    static const char sql[] = "SELECT reltuples::bigint, (relkind IN ('r', 'p', 'm', 'f'))::int"
                              " FROM pg_class WHERE oid = to_regclass($1)";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct migrate_table table = {.facts = ""};
    const char *param = text_of(a, name), *size = "";
    int result = param ? ask(m, sql, &param, 1, &rows) : FAULT_MEMORY;

    if (result == 0 && rows && pg_rows_count(rows) > 0) {
        table.is_there = true;
        if (pg_int(rows, 0, 1))
            result = look_into(m, a, name, &table.is_empty, &size);
        if (result == 0 && pg_int(rows, 0, 1))
            table.facts = write_facts(a, table.is_empty, pg_int(rows, 0, 0), size);
    }
    if (result)
        return result;
    if (!table.facts)
        return FAULT_MEMORY;
    *ret = table;
    return 0;
}

int migrate_column(struct migrate *m, struct arena *a, struct str table, struct str column,
                   struct migrate_column *ret)
{
    static const char sql[] = "SELECT format_type(atttypid, atttypmod), attnotnull::int"
                              " FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname ="
                              " (parse_ident($2))[1] AND NOT attisdropped AND attnum > 0";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {text_of(a, table), text_of(a, column)};
    int result = params[0] && params[1] ? ask(m, sql, params, 2, &rows) : FAULT_MEMORY;

    if (result)
        return result;
    struct migrate_column found = {.is_there = rows && pg_rows_count(rows) > 0, .type = ""};
    if (found.is_there) {
        found.type = text_of(a, str_of(pg_text(rows, 0, 0)));
        found.is_required = pg_int(rows, 0, 1) != 0;
    }
    if (!found.type)
        return FAULT_MEMORY;
    *ret = found;
    return 0;
}

int migrate_has_null(struct migrate *m, struct arena *a, struct str table, struct str column,
                     bool *ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql = arena_printf(a, "SELECT EXISTS (SELECT 1 FROM %.*s WHERE %.*s IS NULL)::int",
                                   STR_ARG(table), STR_ARG(column));
    int result = sql ? ask(m, sql, NULL, 0, &rows) : FAULT_MEMORY;

    if (result == 0)
        *ret = !rows || pg_int(rows, 0, 0) != 0;
    return result;
}

int migrate_is_volatile(struct migrate *m, struct arena *a, struct str expression, bool *ret)
{
    static const char sql[] = "SELECT coalesce(bool_or(provolatile = 'v'), false)::int FROM pg_proc"
                              " WHERE proname = ANY(string_to_array(lower($1), ' '))";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct buf names _cleanup_buf_ = buf_init(4096);
    struct sql_token before = {SQL_END, {NULL, 0}};

    for (struct sql_cursor c = sql_cursor(expression); c.t.kind != SQL_END; sql_step(&c)) {
        if (sql_is_mark(c.t, '(') && before.kind == SQL_WORD)
            buf_printf(&names, "%s%.*s", names.n ? " " : "", STR_ARG(before.text));
        before = c.t;
    }
    const char *param = arena_str(a, buf_str(&names)).p;
    int result = param ? ask(m, sql, &param, 1, &rows) : FAULT_MEMORY;
    if (result == 0)
        *ret = !rows || pg_int(rows, 0, 0) != 0;
    return result;
}

int migrate_schema_tables(struct migrate *m, struct arena *a, struct str schema, int64_t *ret)
{
    static const char sql[] = "SELECT (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid"
                              " AND c.relkind IN ('r', 'p', 'f', 'm')) FROM pg_namespace n"
                              " WHERE n.oid = to_regnamespace($1)";
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *param = text_of(a, schema);
    int result = param ? ask(m, sql, &param, 1, &rows) : FAULT_MEMORY;

    if (result == 0)
        *ret = rows && pg_rows_count(rows) > 0 ? pg_int(rows, 0, 0) : -1;
    return result;
}
