/* The carry-over between two databases of PostgreSQL: what is younger than the backup is copied
 * into temporary tables of the restored one. */
#include "deploy/carry.h"

#include "base/clock.h"
#include "base/fault.h"
#include "deploy/backup_internal.h"
#include "deploy/carry_internal.h"
#include "deploy/writes.h"

enum { ARENA_MAX = 1 << 20 };

struct postgres {
    struct carrying g; /* first: what its calls are given */
    struct pg *live, *restored;
    struct arena a;
    const char *younger; /* a condition; NULL: which rows are cannot be told */
    const char *schema;  /* quoted */
    char since[CARRY_SINCE_SIZE];
};

static int run(struct carrying *g, const char *sql, int64_t *ret_changed)
{
    struct postgres *p = (struct postgres *)g;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = backup_pg(pg_query(p->restored, sql, NULL, 0, &rows), "the carry-over");

    if (r == 0)
        *ret_changed = pg_changed(rows);
    return r;
}

static int number(struct carrying *g, const char *sql, int64_t *ret)
{
    struct postgres *p = (struct postgres *)g;
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = backup_pg(pg_query(p->restored, sql, NULL, 0, &rows), "the carry-over");

    if (r == 0)
        *ret = pg_rows_count(rows) ? pg_int(rows, 0, 0) : 0;
    return r;
}

/* Which of the tables the schema has. */
static int read_tables(struct pg *c, const char *name, bool has[CARRY_TABLES_MAX])
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *params[] = {name};
    int r = backup_pg(pg_query(c,
                               "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid ="
                               " relnamespace WHERE nspname = $1 AND relkind IN ('r', 'p')",
                               params, 1, &rows),
                      "the carry-over");

    for (size_t i = 0; r == 0 && i < carry_tables_count; i++) {
        has[i] = false;
        for (int j = 0; j < pg_rows_count(rows); j++)
            has[i] = has[i] || strcmp(pg_text(rows, j, 0), carry_tables[i].name) == 0;
    }
    return r;
}

static bool has_all(const bool has[CARRY_TABLES_MAX])
{
    for (size_t i = 0; i < carry_tables_count; i++)
        if (!has[i] && !carry_tables[i].optional)
            return false;
    return true;
}

static int check_schema(struct postgres *p, struct pg *c, const char *which)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    const char *sql =
        arena_printf(&p->a, "SELECT max(version) FROM %s.schema_migrations", p->schema);
    int r = sql ? backup_pg(pg_query(c, sql, NULL, 0, &rows), "the version of Holdfast's tables")
                : FAULT_MEMORY;

    return r ? r : carry_check_schema(which, pg_int(rows, 0, 0));
}

/* Temporary tables for the live rows, of the restored columns' types. */
static int make_room(struct postgres *p)
{
    struct buf *b = &p->g.text;

    buf_reset(b);
    for (size_t i = 0; i < carry_tables_count; i++)
        if (p->g.came[i] >= 0)
            buf_printf(b,
                       "CREATE TEMPORARY TABLE carry_%s ON COMMIT DROP AS SELECT %s FROM %s.%s"
                       " WITH NO DATA; ",
                       carry_tables[i].name, carry_tables[i].columns, p->schema,
                       carry_tables[i].name);
    const char *sql = buf_cstr(b);
    return sql ? backup_pg(pg_run(p->restored, sql), "the carry-over") : buf_fault(b);
}

/* For the next installation in the same database. */
static int clear_room(struct postgres *p)
{
    struct buf *b = &p->g.text;

    buf_reset(b);
    for (size_t i = 0; i < carry_tables_count; i++)
        if (p->g.came[i] >= 0)
            buf_printf(b, "DROP TABLE pg_temp.carry_%s; ", carry_tables[i].name);
    const char *sql = buf_cstr(b);
    return sql ? backup_pg(pg_run(p->restored, sql), "the carry-over") : buf_fault(b);
}

static int copy_table(struct postgres *p, size_t i)
{
    const struct carry_table *t = &carry_tables[i];
    const char *where = t->where     ? carry_expand(&p->g.words, t->where, &p->g.sql)
                        : p->younger ? p->younger
                                     : "true";
    const char *out = arena_printf(&p->a,
                                   "COPY (SELECT %s FROM %s.%s WHERE %s) TO STDOUT (FORMAT"
                                   " binary)",
                                   t->columns, p->schema, t->name, where);
    const char *in =
        arena_printf(&p->a, "COPY pg_temp.carry_%s FROM STDIN (FORMAT binary)", t->name);

    if (!where || !out || !in)
        return FAULT_MEMORY;
    int r = backup_pg(pg_copy(p->live, out, p->restored, in, &p->g.came[i]), t->name);
    if (r || p->g.came[i] == 0)
        return r;
    const char *analyze = arena_printf(&p->a, "ANALYZE pg_temp.carry_%s", t->name);
    return analyze ? backup_pg(pg_run(p->restored, analyze), "the carry-over") : FAULT_MEMORY;
}

static int carry_rows(struct postgres *p)
{
    int r = check_schema(p, p->live, "the live database");

    if (r == 0)
        r = carry_find_head(&p->g);
    if (r == 0)
        r = make_room(p);
    for (size_t i = 0; r == 0 && i < carry_tables_count; i++)
        if (p->g.came[i] >= 0)
            r = copy_table(p, i);
    if (r == 0)
        r = carry_apply(&p->g);
    return r ? r : clear_room(p);
}

/* The live rows of this installation are not there: an export of the trail stands in, or nothing
 * does. */
static int carry_blind(struct postgres *p)
{
    if (p->g.c->trail_export)
        return carry_from_export(&p->g, p->restored);
    fault_keep(
        "the backup has Holdfast's tables in the schema %s, and the live database has not: "
        "what was revoked since cannot be carried over. With --trail-export it is, as far as "
        "an export of the trail tells, and everybody is signed out",
        p->schema);
    return BACKUP_FAILED;
}

static int carry_installation(struct postgres *p, const char *name, const char *schema)
{
    bool there[CARRY_TABLES_MAX] = {false}, live[CARRY_TABLES_MAX] = {false};

    p->schema = schema;
    p->g.words.live = "pg_temp.carry_";
    p->g.words.overriding = "OVERRIDING SYSTEM VALUE";
    p->g.words.nil = "'\\x00000000000000000000000000000000'::bytea";
    p->g.words.restored = arena_printf(&p->a, "%s.", schema);
    if (!p->g.words.restored)
        return FAULT_MEMORY;
    int r = check_schema(p, p->restored, "the backup");
    if (r == 0)
        r = read_tables(p->restored, name, there);
    if (r == 0 && p->live)
        r = read_tables(p->live, name, live);
    if (r)
        return r;
    p->g.report.installations++;
    for (size_t i = 0; i < carry_tables_count; i++)
        p->g.came[i] = there[i] && live[i] ? 0 : -1;
    return has_all(live) ? carry_rows(p) : carry_blind(p);
}

/* Schemas that hold what only Holdfast has: name, quoted name, and the feed's name as a literal. */
static const char installations[] =
    "SELECT nspname, quote_ident(nspname), quote_literal(quote_ident(nspname) || '.feed')"
    " FROM pg_namespace n WHERE (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid AND"
    " relkind IN ('r', 'p') AND relname IN ('schema_migrations', 'families', 'trail_head',"
    " 'feed')) = 4 ORDER BY 1";

static int count_alone(struct postgres *p, const struct pg_rows *restored)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r =
        p->live ? backup_pg(pg_query(p->live, installations, NULL, 0, &rows), "the carry-over") : 0;

    for (int i = 0; r == 0 && p->live && i < pg_rows_count(rows); i++) {
        bool both = false;
        for (int j = 0; j < pg_rows_count(restored); j++)
            both = both || strcmp(pg_text(rows, i, 0), pg_text(restored, j, 0)) == 0;
        p->g.report.alone += !both;
    }
    return r;
}

/* Behind the fence: what the call before it has not seen. */
static int find_younger(struct postgres *p)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    struct carry *c = p->g.c;
    const char *since;

    if (p->g.fenced && *c->since) {
        p->younger = c->since;
        return 0;
    }
    int r = writes_younger(p->live, c->manifest, &p->a, &p->younger);
    if (r == 0 && !p->g.fenced)
        r = backup_pg(pg_query(p->live, "SELECT pg_current_snapshot()", NULL, 0, &rows),
                      "the server's transactions");
    if (r || p->g.fenced)
        return r;
    r = writes_younger_than(pg_text(rows, 0, 0), &p->a, &since);
    if (r == 0)
        snprintf(p->since, sizeof p->since, "%s", since);
    return r;
}

static int carry_all(struct postgres *p)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int r = backup_pg(pg_query(p->restored, installations, NULL, 0, &rows), "the carry-over");

    if (r == 0)
        r = count_alone(p, rows);
    if (r == 0 && p->live && pg_rows_count(rows))
        r = find_younger(p);
    for (int i = 0; r == 0 && i < pg_rows_count(rows); i++) {
        p->g.words.feed = pg_text(rows, i, 2);
        r = carry_installation(p, pg_text(rows, i, 0), pg_text(rows, i, 1));
    }
    return r;
}

/* Names of operators and functions are the server's own, whatever the databases' settings say; one
 * whose writes are kept out during a deployment says so to us as well. */
static int begin(struct postgres *p)
{
    int r = pg_run(p->restored, "BEGIN READ WRITE; SET LOCAL search_path = pg_catalog;"
                                " SET LOCAL synchronous_commit = on");

    if (r == 0 && p->live)
        r = pg_run(p->live, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                            " SET LOCAL search_path = pg_catalog");
    return backup_pg(r, "the carry-over");
}

/* What went wrong is told, not that a connection has no transaction any more. */
static void end_quietly(struct pg *c)
{
    char why[400];

    snprintf(why, sizeof why, "%s", fault_message());
    if (c && pg_run(c, "ROLLBACK"))
        fault_keep("%s", why);
}

int carry_over(void *context, struct pg *live, struct pg *restored, bool fenced)
{
    struct carry *c = context;
    int64_t began = clock_mono();

    struct postgres p = {.g = carry_begin(c, CARRY_POSTGRESQL, fenced),
                         .live = live,
                         .restored = restored,
                         .a = arena_init(ARENA_MAX)};
    p.g.run = run;
    p.g.number = number;
    if (!fenced) {
        c->report = (struct carry_report){.ms = 0};
        *c->since = '\0';
    }
    int r = begin(&p);
    if (r == 0)
        r = carry_all(&p);
    if (r == 0)
        r = backup_pg(pg_run(restored, "COMMIT"), "the carry-over");
    if (r)
        end_quietly(restored);
    else
        snprintf(c->since, sizeof c->since, "%s", p.since);
    end_quietly(live);
    carry_end(&p.g, r, clock_mono() - began);
    arena_free(&p.a);
    return r;
}
