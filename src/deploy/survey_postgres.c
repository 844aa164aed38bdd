/* The survey of a PostgreSQL database, from its catalogue and its tables. */
#include "deploy/survey.h"

#include "base/fault.h"
#include "deploy/pg.h"

enum { SQL_MAX = 1 << 20, SEQUENCES_AT_ONCE = 100 };

/* Who made it is no name of ours: pg_ names are the server's. */
#define OURS "nspname !~ '^pg_' AND nspname <> 'information_schema'"

/*
 * Each object as a line of what a dump and restore keeps, and as more, which it may write
 * otherwise: expressions come back with other parentheses and casts. Members of extensions are the
 * extensions' own; invalid indexes are not dumped; public is there already.
 */
static const char objects[] =
    "WITH n AS (SELECT oid, nspname, nspacl FROM pg_namespace WHERE " OURS "),"
    " e AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),"
    " r AS (SELECT c.*, format('%I.%I', nspname, relname) AS name"
    "  FROM pg_class c JOIN n ON n.oid = relnamespace"
    "  WHERE relpersistence <> 't' AND relkind IN ('r','p','v','m','S','f','c') AND"
    "   (CAST('pg_class'::regclass AS oid), c.oid) NOT IN (SELECT classid, objid FROM e)),"
    " lines (kind, line, more) AS ("
    " SELECT 'schemas', quote_ident(nspname), nspacl::text FROM n WHERE nspname <> 'public' AND"
    "  (CAST('pg_namespace'::regclass AS oid), oid) NOT IN (SELECT classid, objid FROM e)"
    " UNION ALL SELECT 'relations', format('%s %s %s', name, relkind, relpersistence),"
    "  concat_ws(' ', pg_get_userbyid(relowner), relacl::text, reloptions::text,"
    "   CASE WHEN relkind IN ('v','m') THEN pg_get_viewdef(oid) END) FROM r"
    " UNION ALL SELECT 'columns', format('%s.%I %s %s%s%s', name, attname,"
    "   format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated),"
    "  concat_ws(' ', pg_get_expr(adbin, adrelid), attacl::text)"
    "  FROM r JOIN pg_attribute ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped"
    "  LEFT JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum WHERE relkind <> 'S'"
    " UNION ALL SELECT 'constraints', format('%s %I %s %s', name, conname, contype, convalidated),"
    "  pg_get_constraintdef(k.oid) FROM r JOIN pg_constraint k ON conrelid = r.oid"
    "  WHERE contype IN ('c','f','p','u','x') AND conparentid = 0"
    " UNION ALL SELECT 'indexes', format('%s %I %s %s', name, i.relname, indisunique, indnkeyatts),"
    "  pg_get_indexdef(i.oid) FROM r JOIN pg_index ON indrelid = r.oid"
    "  JOIN pg_class i ON i.oid = indexrelid WHERE indisvalid OR i.relkind = 'I'"
    " UNION ALL SELECT 'functions', format('%I.%I(%s) %s %s', nspname, proname,"
    "   pg_get_function_identity_arguments(p.oid), prokind, md5(prosrc)),"
    "  concat_ws(' ', pg_get_userbyid(proowner), proacl::text, proconfig::text, provolatile,"
    "   prosecdef, pg_get_function_result(p.oid))"
    "  FROM pg_proc p JOIN n ON n.oid = pronamespace WHERE"
    "  (CAST('pg_proc'::regclass AS oid), p.oid) NOT IN (SELECT classid, objid FROM e)"
    " UNION ALL SELECT 'triggers', format('%s %I %s', name, tgname, tgenabled),"
    "  pg_get_triggerdef(t.oid) FROM r JOIN pg_trigger t ON tgrelid = r.oid"
    "  WHERE NOT tgisinternal AND tgparentid = 0"
    " UNION ALL SELECT 'types', format('%I.%I %s %s %s', nspname, typname, typtype, typnotnull,"
    "   (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum"
    "     WHERE enumtypid = t.oid)), concat_ws(' ', typdefault, typacl::text,"
    "   (SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint"
    "     WHERE contypid = t.oid))"
    "  FROM pg_type t JOIN n ON n.oid = typnamespace WHERE typtype IN ('e','d','r') AND"
    "  (CAST('pg_type'::regclass AS oid), t.oid) NOT IN (SELECT classid, objid FROM e)"
    " UNION ALL SELECT 'policies', format('%s %I %s', name, polname, polcmd),"
    "  concat_ws(' ', polroles::regrole[]::text, pg_get_expr(polqual, polrelid),"
    "   pg_get_expr(polwithcheck, polrelid)) FROM r JOIN pg_policy ON polrelid = r.oid"
    " UNION ALL SELECT 'rules', format('%s %I', name, rulename), pg_get_ruledef(w.oid)"
    "  FROM r JOIN pg_rewrite w ON ev_class = r.oid WHERE rulename <> '_RETURN')"
    " SELECT kind, count(*),"
    "  encode(sha256(convert_to(string_agg(line, chr(10) ORDER BY line COLLATE \"C\"), 'UTF8')),"
    "   'hex'),"
    "  encode(sha256(convert_to(string_agg(concat_ws(' ', line, more), chr(10)"
    "   ORDER BY line COLLATE \"C\", more COLLATE \"C\"), 'UTF8')), 'hex')"
    " FROM lines GROUP BY kind ORDER BY kind";

static const char tables[] =
    "SELECT format('%I.%I', nspname, relname), EXISTS (SELECT FROM pg_depend WHERE deptype = 'e'"
    "  AND classid = 'pg_class'::regclass AND objid = c.oid)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE relkind = 'r' AND relpersistence <> 't' AND " OURS " ORDER BY nspname, relname";

static const char sequences[] =
    "SELECT format('%I.%I', nspname, relname), seqincrement, seqcycle"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_sequence ON seqrelid ="
    " c.oid WHERE relpersistence <> 't' AND " OURS " AND NOT EXISTS (SELECT FROM pg_depend"
    "  WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid = c.oid)"
    " ORDER BY nspname, relname";

static const char *copy(struct arena *a, const struct pg_rows *rows, int i, int j)
{
    return arena_str(a, str_of(pg_text(rows, i, j))).p;
}

static bool is_true(const struct pg_rows *rows, int i, int j)
{
    return pg_text(rows, i, j)[0] == 't';
}

int survey_begin(struct pg *c)
{
    /* Nothing is to end the transaction but us; names come with their schemas; a policy that hides
     * rows is an error, as it is for pg_dump. */
    int r = pg_run(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                      "SET LOCAL idle_in_transaction_session_timeout = 0;"
                      "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off;"
                      "SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres");

    return r == 0 && pg_server_version(c) >= 170000 ? pg_run(c, "SET LOCAL transaction_timeout = 0")
                                                    : r;
}

static int count_table(struct pg *c, struct arena *a, struct survey_table *t)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql = arena_printf(a, "SELECT count(*) FROM ONLY %s", t->name);
    int r = sql ? pg_query(c, sql, NULL, 0, &rows) : FAULT_MEMORY;

    if (r)
        return r;
    t->rows = pg_int(rows, 0, 0);
    return 0;
}

static int read_tables(struct pg *c, struct arena *a,
                       void (*on_table)(void *context, size_t i, size_t n), void *context,
                       struct survey *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c, tables, NULL, 0, &rows);

    if (r)
        return r;
    s->n_tables = (size_t)pg_rows_count(rows);
    s->tables = arena_array(a, s->n_tables, sizeof *s->tables);
    if (!s->tables)
        return FAULT_MEMORY;
    for (size_t i = 0; r == 0 && i < s->n_tables; i++) {
        struct survey_table *t = &s->tables[i];
        t->name = copy(a, rows, (int)i, 0);
        t->extension = is_true(rows, (int)i, 1);
        if (!t->name)
            return FAULT_MEMORY;
        if (on_table)
            on_table(context, i, s->n_tables);
        r = count_table(c, a, t);
    }
    return r;
}

/* Asks for the values of n sequences in one statement; they come in their order. */
static int ask_values(struct pg *c, const struct survey_sequence *s, size_t n, struct pg_rows **ret)
{
    struct buf sql _cleanup_buf_ = buf_init(SQL_MAX);

    for (size_t i = 0; i < n; i++)
        buf_printf(&sql, "%sSELECT %zu, last_value, is_called FROM %s",
                   i ? " UNION ALL " : "SELECT * FROM (", i, s[i].name);
    buf_add_str(&sql, STR(") v (i) ORDER BY i"));
    const char *text = buf_cstr(&sql);
    return text ? pg_query(c, text, NULL, 0, ret) : buf_fault(&sql);
}

static int read_values(struct pg *c, struct survey *s, bool later)
{
    for (size_t from = 0; from < s->n_sequences; from += SEQUENCES_AT_ONCE) {
        struct pg_rows *rows _cleanup_pg_rows_ = NULL;
        size_t left = s->n_sequences - from,
               n = left < SEQUENCES_AT_ONCE ? left : SEQUENCES_AT_ONCE;
        int r = ask_values(c, s->sequences + from, n, &rows);
        if (r)
            return r;
        for (size_t i = 0; i < n; i++) {
            struct survey_sequence *q = &s->sequences[from + i];
            q->later = pg_int(rows, (int)i, 1);
            if (!later) {
                q->value = q->later;
                q->called = is_true(rows, (int)i, 2);
            }
        }
    }
    return 0;
}

static int read_sequences(struct pg *c, struct arena *a, struct survey *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c, sequences, NULL, 0, &rows);

    if (r)
        return r;
    s->n_sequences = (size_t)pg_rows_count(rows);
    s->sequences = arena_array(a, s->n_sequences, sizeof *s->sequences);
    if (!s->sequences)
        return FAULT_MEMORY;
    for (size_t i = 0; i < s->n_sequences; i++) {
        struct survey_sequence *q = &s->sequences[i];
        q->name = copy(a, rows, (int)i, 0);
        q->step = pg_int(rows, (int)i, 1);
        q->cycles = is_true(rows, (int)i, 2);
        if (!q->name)
            return FAULT_MEMORY;
    }
    return read_values(c, s, false);
}

int survey_sequences_later(struct pg *c, struct survey *s)
{
    return read_values(c, s, true);
}

static int read_extensions(struct pg *c, struct arena *a, struct survey *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c, "SELECT extname, extversion FROM pg_extension ORDER BY 1", NULL, 0, &rows);

    if (r)
        return r;
    s->n_extensions = (size_t)pg_rows_count(rows);
    s->extensions = arena_array(a, s->n_extensions, sizeof *s->extensions);
    if (!s->extensions)
        return FAULT_MEMORY;
    for (size_t i = 0; i < s->n_extensions; i++) {
        s->extensions[i] =
            (struct survey_extension){copy(a, rows, (int)i, 0), copy(a, rows, (int)i, 1)};
        if (!s->extensions[i].name || !s->extensions[i].version)
            return FAULT_MEMORY;
    }
    return 0;
}

static int read_kinds(struct pg *c, struct arena *a, struct survey *s)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = pg_query(c, objects, NULL, 0, &rows);

    if (r)
        return r;
    s->n_kinds = (size_t)pg_rows_count(rows);
    s->kinds = arena_array(a, s->n_kinds, sizeof *s->kinds);
    if (!s->kinds)
        return FAULT_MEMORY;
    for (size_t i = 0; i < s->n_kinds; i++) {
        s->kinds[i] = (struct survey_kind){copy(a, rows, (int)i, 0), pg_int(rows, (int)i, 1),
                                           copy(a, rows, (int)i, 2), copy(a, rows, (int)i, 3)};
        if (!s->kinds[i].name || !s->kinds[i].structure || !s->kinds[i].definitions)
            return FAULT_MEMORY;
    }
    return 0;
}

int survey_postgres(struct pg *c, struct arena *a,
                    void (*on_table)(void *context, size_t i, size_t n), void *context,
                    struct survey *ret)
{
    struct survey s = {0};
    int r = read_kinds(c, a, &s);

    if (r == 0)
        r = read_extensions(c, a, &s);
    if (r == 0)
        r = read_sequences(c, a, &s);
    if (r == 0)
        r = read_tables(c, a, on_table, context, &s);
    if (r == 0)
        *ret = s;
    return r;
}
