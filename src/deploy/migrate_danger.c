#include "deploy/migrate_danger.h"

#include "base/fault.h"
#include "deploy/migrate_session.h"
#include "deploy/sql_type.h"

enum { LOOK_LOCK_MS = 500, LOOK_MS = 2000, TYPE_MAX = 60 };

/* Names that the run itself makes: what is in them is not the product's yet. */
struct name {
    const struct name *next;
    struct str text;
};

struct survey {
    struct migrate *m;
    struct arena *a;
    struct migrate_plan *plan;
    struct migrate_danger **end;
    const struct migration *file;
    int line;
    const struct name *created, *renamed;
};

static int keep_name(struct survey *s, const struct name **list, struct str text)
{
    struct name *n = arena_alloc(s->a, sizeof *n);

    if (!n)
        return FAULT_MEMORY;
    *n = (struct name){*list, text};
    *list = n;
    return 0;
}

static bool is_among(const struct name *list, struct str text)
{
    for (; list; list = list->next)
        if (str_eq(list->text, text))
            return true;
    return false;
}

static int add(struct survey *s, const struct sql_danger *d, bool destroys, const char *facts,
               const char *what)
{
    struct migrate_danger *found = arena_alloc(s->a, sizeof *found);

    if (!found || !what || !facts)
        return FAULT_MEMORY;
    *found = (struct migrate_danger){.file = s->file,
                                     .line = s->line,
                                     .kind = d->kind,
                                     .destroys = destroys,
                                     .what = what,
                                     .facts = facts};
    *s->end = found;
    s->end = &found->next;
    s->plan->danger_count++;
    s->plan->destroying += destroys;
    return 0;
}

#define WHAT(...) arena_printf(s->a, __VA_ARGS__)

/* Columns are told with their table. */
#define COLUMN(d) STR_ARG((d)->table), STR_ARG((d)->column)

static int look_at_schema(struct survey *s, const struct sql_danger *d)
{
    int64_t tables;
    int result = migrate_schema_tables(s->m, s->a, d->table, &tables);

    if (result || tables < 0)
        return result;
    return add(s, d, true, WHAT("%lld table%s", (long long)tables, tables == 1 ? "" : "s"),
               WHAT("drops the schema %.*s", STR_ARG(d->table)));
}

static int look_at_drop(struct survey *s, const struct sql_danger *d,
                        const struct migrate_table *table)
{
    bool relation = str_eq(d->object, STR("TABLE")) || str_eq(d->object, STR("SEQUENCE"));
    char object[32];

    if (str_eq(d->object, STR("SCHEMA")))
        return look_at_schema(s, d);
    if (relation && !table->is_there && !is_among(s->renamed, d->table))
        return 0; /* there is nothing to drop */
    snprintf(object, sizeof object, "%.*s", STR_ARG(d->object));
    for (char *p = object; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    return add(s, d, true, table->facts,
               WHAT("drops the %s %.*s%s", object, STR_ARG(d->table),
                    d->cascade ? " and what depends on it" : ""));
}

static int look_at_column(struct survey *s, const struct sql_danger *d,
                          const struct migrate_table *table)
{
    struct migrate_column column;
    int result = migrate_column(s->m, s->a, d->table, d->column, &column);

    if (result || (!column.is_there && !is_among(s->renamed, d->column)))
        return result;
    return add(s, d, true, table->facts,
               WHAT("drops the column %.*s.%.*s%s", COLUMN(d),
                    d->cascade ? " and what depends on it" : ""));
}

static const char *change_text(enum sql_change change, bool rewrite, bool by_expression)
{
    if (by_expression)
        return "by an expression that may lose values; rewrites the table";
    if (change == SQL_TYPE_NARROWER)
        return rewrite ? "which holds less; rewrites the table" : "which holds less";
    return change == SQL_TYPE_OTHER ? "which may not hold every value; rewrites the table"
                                    : "rewrites the table";
}

static int look_at_type(struct survey *s, const struct sql_danger *d,
                        const struct migrate_table *table)
{
    struct migrate_column column;
    bool rewrite = false;
    int result = migrate_column(s->m, s->a, d->table, d->column, &column);

    if (result || !column.is_there)
        return result;
    enum sql_change change = sql_type_change(str_of(column.type), d->text, &rewrite);
    if (change == SQL_TYPE_SAME || (change == SQL_TYPE_WIDER && !rewrite))
        return 0;
    struct str type = str_cut(d->text, TYPE_MAX);
    return add(s, d, true, table->facts,
               WHAT("changes %.*s.%.*s from %s to %.*s: %s", COLUMN(d), column.type, STR_ARG(type),
                    change_text(change, rewrite, d->by_expression && change != SQL_TYPE_WIDER)));
}

static int look_at_not_null(struct survey *s, const struct sql_danger *d,
                            const struct migrate_table *table)
{
    struct migrate_column column;
    bool has_null = false;
    int result = migrate_column(s->m, s->a, d->table, d->column, &column);

    if (result || !column.is_there || column.is_required)
        return result;
    result = migrate_has_null(s->m, s->a, d->table, d->column, &has_null);
    if (result || !has_null)
        return result;
    return add(s, d, true, table->facts,
               WHAT("requires %.*s.%.*s, which is NULL in some rows: fails unless they are filled "
                    "before",
                    COLUMN(d)));
}

static int look_at_default(struct survey *s, const struct sql_danger *d,
                           const struct migrate_table *table)
{
    bool is_volatile = false;
    int result = migrate_is_volatile(s->m, s->a, d->text, &is_volatile);

    if (result || !is_volatile)
        return result;
    return add(
        s, d, true, table->facts,
        WHAT("adds %.*s.%.*s with a default that differs by row: rewrites the table", COLUMN(d)));
}

static int look_at_rewrite(struct survey *s, const struct sql_danger *d,
                           const struct migrate_table *table)
{
    if (d->column.n)
        return add(s, d, true, table->facts,
                   WHAT("adds %.*s.%.*s as %.*s: rewrites the table", COLUMN(d),
                        STR_ARG(str_cut(d->text, TYPE_MAX))));
    return add(s, d, true, table->facts,
               d->table.n
                   ? WHAT("rewrites the table %.*s (%.*s)", STR_ARG(d->table), STR_ARG(d->text))
                   : WHAT("rewrites all tables (%.*s)", STR_ARG(d->text)));
}

static int look_at_rename(struct survey *s, const struct sql_danger *d,
                          const struct migrate_table *table)
{
    int fault = keep_name(s, &s->renamed, d->text);

    if (fault || !table->is_there)
        return fault;
    return add(s, d, false, "the release that serves does not find it any more",
               d->column.n ? WHAT("renames %.*s.%.*s to %.*s", COLUMN(d), STR_ARG(d->text))
                           : WHAT("renames %.*s to %.*s", STR_ARG(d->table), STR_ARG(d->text)));
}

/* Those that concern the rows of a table that is there and has some. */
static int look_at_rows(struct survey *s, const struct sql_danger *d,
                        const struct migrate_table *table)
{
    switch (d->kind) {
    case SQL_TRUNCATE:
        return add(s, d, true, table->facts,
                   WHAT("empties the table %.*s%s", STR_ARG(d->table),
                        d->cascade ? " and those that refer to it" : ""));
    case SQL_DELETE_ALL:
        return add(s, d, true, table->facts, WHAT("deletes every row of %.*s", STR_ARG(d->table)));
    case SQL_UPDATE_ALL:
        return add(s, d, false, table->facts, WHAT("changes every row of %.*s", STR_ARG(d->table)));
    case SQL_COLUMN_TYPE:
        return look_at_type(s, d, table);
    case SQL_SET_NOT_NULL:
        return look_at_not_null(s, d, table);
    case SQL_ADD_NOT_NULL:
        return add(s, d, true, table->facts,
                   WHAT("adds %.*s.%.*s, required and without a default: fails where there are "
                        "rows",
                        COLUMN(d)));
    case SQL_ADD_COMPUTED:
        return look_at_default(s, d, table);
    case SQL_REWRITE:
        return look_at_rewrite(s, d, table);
    case SQL_DROP:
    case SQL_DROP_COLUMN:
    case SQL_RENAME:
    case SQL_HIDDEN:
    case SQL_DANGER_KINDS:
        break;
    }
    return 0;
}

static int look(void *context, const struct sql_danger *d)
{
    struct survey *s = context;
    struct migrate_table table = {.facts = ""};
    int result = 0;

    if (d->kind == SQL_HIDDEN)
        return add(s, d, true, "", "runs code that holds DROP, TRUNCATE or DELETE");
    if (is_among(s->created, d->table))
        return 0;
    if (d->table.n)
        result = migrate_table(s->m, s->a, d->table, &table);
    if (result)
        return result;
    if (d->kind == SQL_DROP)
        return look_at_drop(s, d, &table);
    if (d->kind == SQL_DROP_COLUMN)
        return look_at_column(s, d, &table);
    if (d->kind == SQL_RENAME)
        return look_at_rename(s, d, &table);
    bool all = d->table.n == 0, renamed = is_among(s->renamed, d->table);
    return all || renamed || (table.is_there && !table.is_empty) ? look_at_rows(s, d, &table) : 0;
}

static int look_at_file(struct survey *s, const struct migrate_planned *p)
{
    int result = 0;

    s->file = p->file;
    for (size_t i = 0; i < p->script.count && result == 0; i++) {
        const struct script_statement *statement = &p->script.all[i];
        s->line = statement->at.line;
        if (statement->class.creates.n)
            result = keep_name(s, &s->created, statement->class.creates);
        if (result == 0)
            result = sql_dangers(statement->at.text, look, s);
    }
    return result;
}

int migrate_dangers(struct migrate *m, struct arena *a, struct migrate_plan *plan)
{
    struct survey s = {.m = m, .a = a, .plan = plan, .end = &plan->dangers};
    char sql[100];

    snprintf(sql, sizeof sql, "SET lock_timeout = %d; SET statement_timeout = %d", LOOK_LOCK_MS,
             LOOK_MS);
    int result = pg_run(m->pg, sql);
    for (size_t i = 0; i < plan->count && result == 0; i++)
        result = look_at_file(&s, &plan->all[i]);
    return result ? result : pg_run(m->pg, m->settings);
}
