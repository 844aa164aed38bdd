#include "deploy/sql_danger.h"

#include "deploy/sql_class.h"

/* One look through a statement. */
struct look {
    sql_danger_sink *take;
    void *context;
    struct sql_cursor c;
    struct str table;
};

static int tell(struct look *l, struct sql_danger danger)
{
    if (danger.table.n == 0)
        danger.table = l->table;
    return l->take(l->context, &danger);
}

static bool ends_action(const struct sql_cursor *c)
{
    return c->t.kind == SQL_END || (c->depth == 0 && sql_is_mark(c->t, ','));
}

static void skip_action(struct sql_cursor *c)
{
    while (!ends_action(c))
        sql_step(c);
}

/* Whether the words come in the action before it ends, outside parentheses. */
static bool action_has(struct sql_cursor c, const char *words)
{
    for (; !ends_action(&c); sql_step(&c)) {
        struct sql_cursor ahead = c;
        if (c.depth == 0 && sql_take(&ahead, words))
            return true;
    }
    return false;
}

static struct str take_column(struct look *l)
{
    sql_take(&l->c, "IF NOT EXISTS");
    sql_take(&l->c, "IF EXISTS");
    return sql_take_name(&l->c);
}

/* What stands from here to one of the words ("|" between them) or the end of the action. */
static struct str text_until(struct sql_cursor *c, const char *words)
{
    const char *begin = c->t.text.p, *end = begin;

    while (!ends_action(c)) {
        struct str rest = str_of(words), word;
        while (c->depth == 0 && str_next(&rest, '|', &word))
            if (c->t.kind == SQL_WORD && str_eq_ci(c->t.text, word))
                return (struct str){begin, (size_t)(end - begin)};
        sql_step(c);
        end = c->before;
    }
    return (struct str){begin, (size_t)(end - begin)};
}

/* The objects of DROP whose loss is a loss of data; cascade: only with what hangs on them. */
static const struct {
    const char *words;
    bool cascade_only;
} dropped[] = {
    {"TABLE", false},    {"FOREIGN TABLE", true}, {"SCHEMA", false},
    {"DATABASE", false}, {"SEQUENCE", false},     {"MATERIALIZED VIEW", true},
    {"EXTENSION", true}, {"OWNED", false},        {"TYPE", true},
    {"DOMAIN", true},    {"FUNCTION", true},      {"COLLATION", true},
};

static bool has_cascade(struct sql_cursor c)
{
    for (; c.t.kind != SQL_END; sql_step(&c))
        if (c.depth == 0 && sql_is(c.t, "CASCADE"))
            return true;
    return false;
}

/* A danger for each name of a list. */
static int tell_each(struct look *l, struct sql_danger danger)
{
    int result = 0;

    danger.cascade = has_cascade(l->c);
    while (result == 0) {
        sql_take(&l->c, "ONLY");
        danger.table = sql_take_name(&l->c);
        if (danger.table.n)
            result = tell(l, danger);
        skip_action(&l->c);
        if (l->c.t.kind == SQL_END)
            break;
        sql_step(&l->c);
    }
    return result;
}

static int look_at_drop(struct look *l)
{
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        if (!sql_take(&l->c, dropped[i].words))
            continue;
        if (dropped[i].cascade_only && !has_cascade(l->c))
            return 0;
        sql_take(&l->c, "BY");
        sql_take(&l->c, "IF EXISTS");
        return tell_each(l,
                         (struct sql_danger){.kind = SQL_DROP, .object = str_of(dropped[i].words)});
    }
    return 0;
}

static int look_at_truncate(struct look *l)
{
    sql_take(&l->c, "TABLE");
    return tell_each(l, (struct sql_danger){.kind = SQL_TRUNCATE});
}

/* Whether a WHERE belongs to the verb at c: it comes before its parentheses close. */
static bool has_where(struct sql_cursor c)
{
    int depth = c.depth;

    for (; c.t.kind != SQL_END && c.depth >= depth; sql_step(&c))
        if (c.depth == depth && sql_is(c.t, "WHERE"))
            return true;
    return false;
}

/* DELETE and UPDATE, as the verb of the statement or within WITH. */
static int look_at_change(struct look *l)
{
    bool verb = true;

    for (; l->c.t.kind != SQL_END; sql_step(&l->c)) {
        struct sql_cursor c = l->c;
        bool removes = verb && sql_take(&c, "DELETE FROM");
        if (removes || (verb && sql_take(&c, "UPDATE"))) {
            sql_take(&c, "ONLY");
            l->table = sql_take_name(&c);
            int result = l->table.n && !has_where(l->c)
                             ? tell(l, (struct sql_danger){.kind = removes ? SQL_DELETE_ALL
                                                                           : SQL_UPDATE_ALL})
                             : 0;
            if (result)
                return result;
        }
        verb = sql_is_mark(l->c.t, '(') || sql_is_mark(l->c.t, ')');
    }
    return 0;
}

static bool is_serial(struct str type)
{
    static const char *const serials[] = {"SERIAL",  "BIGSERIAL", "SMALLSERIAL",
                                          "SERIAL4", "SERIAL8",   "SERIAL2"};

    for (size_t i = 0; i < sizeof serials / sizeof *serials; i++)
        if (str_eq_ci(type, str_of(serials[i])))
            return true;
    return false;
}

/* Whether a name is called in the expression. */
static bool calls(struct str expression)
{
    struct sql_token before = {SQL_END, {NULL, 0}};

    for (struct sql_cursor c = sql_cursor(expression); c.t.kind != SQL_END; sql_step(&c)) {
        if (sql_is_mark(c.t, '(') && (before.kind == SQL_WORD || before.kind == SQL_NAME))
            return true;
        before = c.t;
    }
    return false;
}

static struct str default_of(struct sql_cursor c)
{
    for (; !ends_action(&c); sql_step(&c))
        if (c.depth == 0 && sql_take(&c, "DEFAULT"))
            return text_until(&c, "NOT|NULL|UNIQUE|PRIMARY|REFERENCES|CHECK|CONSTRAINT|GENERATED");
    return (struct str){c.t.text.p, 0};
}

static int look_at_new_column(struct look *l)
{
    struct sql_danger danger = {.column = take_column(l)};
    struct sql_cursor c = l->c;
    struct str type = sql_take_name(&c), by_default = default_of(l->c);
    bool required = action_has(l->c, "NOT NULL") || action_has(l->c, "PRIMARY KEY");

    danger.text = type;
    danger.kind = SQL_REWRITE;
    if (is_serial(type) || action_has(l->c, "AS IDENTITY"))
        return tell(l, danger);
    if (action_has(l->c, "GENERATED ALWAYS AS")) {
        danger.text = STR("GENERATED … STORED");
        return tell(l, danger);
    }
    danger.text = by_default;
    danger.kind = SQL_ADD_COMPUTED;
    if (by_default.n && calls(by_default))
        return tell(l, danger);
    danger.kind = SQL_ADD_NOT_NULL;
    return required && by_default.n == 0 ? tell(l, danger) : 0; /* DEFAULT NULL is none */
}

static int look_at_add(struct look *l)
{
    static const char *const others[] = {"CONSTRAINT", "CHECK",   "UNIQUE",
                                         "PRIMARY",    "FOREIGN", "EXCLUDE"};

    if (sql_take(&l->c, "COLUMN"))
        return look_at_new_column(l);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (sql_is(l->c.t, others[i]))
            return 0;
    return look_at_new_column(l);
}

static int look_at_old_column(struct look *l)
{
    struct sql_danger danger = {.kind = SQL_COLUMN_TYPE};

    sql_take(&l->c, "COLUMN");
    danger.column = sql_take_name(&l->c);
    if (sql_take(&l->c, "TYPE") || sql_take(&l->c, "SET DATA TYPE")) {
        danger.by_expression = action_has(l->c, "USING");
        danger.text = text_until(&l->c, "USING|COLLATE");
        return tell(l, danger);
    }
    danger.kind = SQL_SET_NOT_NULL;
    return sql_take(&l->c, "SET NOT NULL") ? tell(l, danger) : 0;
}

static int look_at_rename(struct look *l)
{
    struct sql_danger danger = {.kind = SQL_RENAME};

    if (sql_take(&l->c, "CONSTRAINT"))
        return 0;
    sql_take(&l->c, "COLUMN");
    if (!sql_is(l->c.t, "TO"))
        danger.column = sql_take_name(&l->c);
    sql_take(&l->c, "TO");
    danger.text = sql_take_name(&l->c);
    return tell(l, danger);
}

static int look_at_set(struct look *l)
{
    static const char *const rewrites[] = {"LOGGED", "UNLOGGED", "TABLESPACE", "ACCESS METHOD"};

    for (size_t i = 0; i < sizeof rewrites / sizeof *rewrites; i++)
        if (sql_take(&l->c, rewrites[i]))
            return tell(l, (struct sql_danger){.kind = SQL_REWRITE, .text = str_of(rewrites[i])});
    return sql_take(&l->c, "SCHEMA")
               ? tell(l, (struct sql_danger){.kind = SQL_RENAME, .text = sql_take_name(&l->c)})
               : 0;
}

static int look_at_action(struct look *l)
{
    if (sql_take(&l->c, "ADD"))
        return look_at_add(l);
    if (sql_take(&l->c, "ALTER"))
        return look_at_old_column(l);
    if (sql_take(&l->c, "RENAME"))
        return look_at_rename(l);
    if (sql_take(&l->c, "SET"))
        return look_at_set(l);
    if (!sql_take(&l->c, "DROP") || sql_take(&l->c, "CONSTRAINT"))
        return 0;
    sql_take(&l->c, "COLUMN");
    struct sql_danger danger = {.kind = SQL_DROP_COLUMN, .column = take_column(l)};
    danger.cascade = action_has(l->c, "CASCADE");
    return tell(l, danger);
}

static int look_at_table(struct look *l)
{
    int result = 0;

    sql_take(&l->c, "IF EXISTS");
    sql_take(&l->c, "ONLY");
    l->table = sql_take_name(&l->c);
    if (sql_is_mark(l->c.t, '*'))
        sql_step(&l->c);
    while (result == 0 && l->table.n) {
        result = look_at_action(l);
        skip_action(&l->c);
        if (l->c.t.kind == SQL_END)
            break;
        sql_step(&l->c);
    }
    return result;
}

static int look_at_code(struct look *l, struct str statement)
{
    struct sql_danger danger = {.kind = SQL_HIDDEN};

    return sql_body_has(statement, "DROP|TRUNCATE|DELETE") ? tell(l, danger) : 0;
}

/* VACUUM FULL, CLUSTER: a table of its own, or all there are. */
static int look_at_upkeep(struct look *l)
{
    struct sql_danger danger = {.kind = SQL_REWRITE, .text = STR("CLUSTER")};

    if (sql_take(&l->c, "VACUUM")) {
        danger.text = STR("VACUUM FULL");
        while (l->c.t.kind != SQL_END && !sql_take(&l->c, "FULL"))
            sql_step(&l->c);
        if (l->c.t.kind == SQL_END)
            return 0;
        while (l->c.depth > 0 && l->c.t.kind != SQL_END)
            sql_step(&l->c);
        if (sql_is_mark(l->c.t, ')'))
            sql_step(&l->c);
    } else {
        sql_take(&l->c, "CLUSTER");
    }
    sql_take(&l->c, "VERBOSE");
    sql_take(&l->c, "ANALYZE");
    danger.table = sql_take_name(&l->c);
    return tell(l, danger);
}

int sql_dangers(struct str statement, sql_danger_sink *take, void *context)
{
    struct look l = {.take = take, .context = context, .c = sql_cursor(statement)};

    if (sql_is(l.c.t, "WITH") || sql_is(l.c.t, "DELETE") || sql_is(l.c.t, "UPDATE"))
        return look_at_change(&l);
    if (sql_is(l.c.t, "VACUUM") || sql_is(l.c.t, "CLUSTER"))
        return look_at_upkeep(&l);
    if (sql_is(l.c.t, "DO"))
        return look_at_code(&l, statement);
    if (sql_take(&l.c, "TRUNCATE"))
        return look_at_truncate(&l);
    if (sql_take(&l.c, "DROP"))
        return look_at_drop(&l);
    if (sql_take(&l.c, "ALTER TABLE") || sql_take(&l.c, "ALTER MATERIALIZED VIEW") ||
        sql_take(&l.c, "ALTER VIEW"))
        return look_at_table(&l);
    return 0;
}
