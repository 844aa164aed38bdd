#include "deploy/sql_class.h"

/*
 * Words stand for themselves; A|B is one of both; [A] may be missing; * passes over what comes
 * before the next; . is the statement's end; @ is the name of a table that is locked, + of one that
 * is made, # of an index that is made, each behind IF (NOT) EXISTS and ONLY. The first that matches
 * counts.
 */
static const struct pattern {
    const char *words;
    enum sql_frame frame;
    enum sql_lock lock;
    bool concurrently;
} patterns[] = {
    {"BEGIN", SQL_OWN, SQL_LOCK_NONE, false},
    {"START TRANSACTION", SQL_OWN, SQL_LOCK_NONE, false},
    {"ROLLBACK [WORK|TRANSACTION] TO", SQL_INSIDE, SQL_LOCK_NONE, false},
    {"COMMIT|END|ABORT|ROLLBACK", SQL_OWN, SQL_LOCK_NONE, false},
    {"PREPARE TRANSACTION", SQL_OWN, SQL_LOCK_NONE, false},
    {"CALL", SQL_OWN, SQL_LOCK_NONE, false},
    {"CREATE [UNIQUE] INDEX CONCURRENTLY ON @", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, true},
    {"CREATE [UNIQUE] INDEX CONCURRENTLY # ON @", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, true},
    {"CREATE [UNIQUE] INDEX ON @", SQL_INSIDE, SQL_SHARE, false},
    {"CREATE [UNIQUE] INDEX # ON @", SQL_INSIDE, SQL_SHARE, false},
    {"DROP INDEX CONCURRENTLY", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, true},
    {"REINDEX * CONCURRENTLY", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, true},
    {"REINDEX", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"VACUUM * FULL", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"VACUUM", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, false},
    {"CLUSTER [VERBOSE] .", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"CLUSTER [VERBOSE] @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"ALTER SYSTEM", SQL_OUTSIDE, SQL_LOCK_NONE, false},
    {"CREATE|DROP DATABASE|TABLESPACE|SUBSCRIPTION", SQL_OUTSIDE, SQL_LOCK_NONE, false},
    {"ALTER SUBSCRIPTION", SQL_OUTSIDE, SQL_LOCK_NONE, false},
    {"ALTER DATABASE * SET TABLESPACE", SQL_OUTSIDE, SQL_LOCK_NONE, false},
    {"DISCARD ALL", SQL_OUTSIDE, SQL_LOCK_NONE, false},
    {"ALTER TABLE @ DETACH PARTITION * CONCURRENTLY", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE,
     true},
    {"ALTER TABLE @ ATTACH PARTITION", SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, false},
    {"ALTER TABLE @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"ALTER FOREIGN TABLE @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"ALTER MATERIALIZED VIEW @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"ALTER VIEW|SEQUENCE|INDEX @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"DROP [FOREIGN] TABLE @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"DROP MATERIALIZED VIEW @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"DROP VIEW|SEQUENCE|INDEX @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"DROP TRIGGER|POLICY|RULE * ON @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"DROP SCHEMA|TYPE|DOMAIN|EXTENSION|OWNED", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"TRUNCATE [TABLE] @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"CREATE [OR] [REPLACE] [CONSTRAINT] TRIGGER * ON @", SQL_INSIDE, SQL_SHARE_ROW_EXCLUSIVE,
     false},
    {"CREATE [OR] [REPLACE] RULE * TO @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"CREATE POLICY * ON @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"CREATE STATISTICS * FROM @", SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, false},
    {"CREATE [GLOBAL|LOCAL] [TEMPORARY|TEMP|UNLOGGED|FOREIGN] TABLE + * REFERENCES @", SQL_INSIDE,
     SQL_SHARE_ROW_EXCLUSIVE, false},
    {"CREATE [GLOBAL|LOCAL] [TEMPORARY|TEMP|UNLOGGED|FOREIGN] TABLE +", SQL_INSIDE, SQL_LOCK_NONE,
     false},
    {"CREATE MATERIALIZED VIEW +", SQL_INSIDE, SQL_ACCESS_SHARE, false},
    {"REFRESH MATERIALIZED VIEW CONCURRENTLY @", SQL_INSIDE, SQL_EXCLUSIVE, false},
    {"REFRESH MATERIALIZED VIEW @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"LOCK [TABLE] @", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, false},
    {"COMMENT ON TABLE|COLUMN @", SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, false},
    {"ANALYZE|ANALYSE [VERBOSE] @", SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, false},
    {"INSERT|MERGE INTO @", SQL_INSIDE, SQL_ROW_EXCLUSIVE, false},
    {"DELETE FROM @", SQL_INSIDE, SQL_ROW_EXCLUSIVE, false},
    {"UPDATE|COPY @", SQL_INSIDE, SQL_ROW_EXCLUSIVE, false},
    {"WITH", SQL_INSIDE, SQL_ROW_EXCLUSIVE, false},
    {"SELECT|TABLE|VALUES", SQL_INSIDE, SQL_ACCESS_SHARE, false},
};

static struct str name_of(struct sql_cursor *c)
{
    if (!sql_take(c, "IF NOT EXISTS"))
        sql_take(c, "IF EXISTS");
    sql_take(c, "ONLY");
    struct str name = sql_take_name(c);
    if (name.n && sql_is_mark(c->t, '*'))
        sql_step(c);
    return name;
}

/* Takes one of the words of "A|B". */
static bool take_one(struct sql_cursor *c, struct str words)
{
    struct str word;

    while (str_next(&words, '|', &word))
        if (c->t.kind == SQL_WORD && str_eq_ci(c->t.text, word)) {
            sql_step(c);
            return true;
        }
    return false;
}

static bool take_part(struct sql_cursor *c, struct str part, struct sql_class *class)
{
    struct str *name = *part.p == '@'   ? &class->table
                       : *part.p == '+' ? &class->creates
                       : *part.p == '#' ? &class->index
                                        : NULL;

    if (name) {
        *name = name_of(c);
        return name->n > 0;
    }
    if (*part.p == '[') {
        take_one(c, (struct str){part.p + 1, part.n - 2});
        return true;
    }
    return *part.p == '.' ? c->t.kind == SQL_END : take_one(c, part);
}

static bool matches(struct sql_cursor c, const char *words, struct sql_class *class)
{
    struct str rest = str_of(words), part;
    bool anywhere = false;

    while (str_next(&rest, ' ', &part)) {
        if (*part.p == '*') {
            anywhere = true;
            continue;
        }
        while (!take_part(&c, part, class)) {
            if (!anywhere || c.t.kind == SQL_END)
                return false;
            sql_step(&c);
        }
        anywhere = false;
    }
    return true;
}

/* The strongest of ALTER TABLE's locks is that of all its actions but for these. */
static bool is_light(struct sql_cursor *c)
{
    static const char *const light[] = {"VALIDATE CONSTRAINT", "CLUSTER ON", "SET WITHOUT CLUSTER"};

    for (size_t i = 0; i < sizeof light / sizeof *light; i++)
        if (sql_take(c, light[i]))
            return true;
    if (sql_take(c, "SET") || sql_take(c, "RESET"))
        return sql_is_mark(c->t, '(');
    if (!sql_take(c, "ALTER"))
        return false;
    sql_take(c, "COLUMN");
    sql_take_name(c);
    return sql_take(c, "SET STATISTICS") ||
           ((sql_take(c, "SET") || sql_take(c, "RESET")) && sql_is_mark(c->t, '('));
}

static bool adds_reference(struct sql_cursor c)
{
    if (!sql_take(&c, "ADD"))
        return false;
    if (sql_take(&c, "CONSTRAINT"))
        sql_take_name(&c);
    return sql_take(&c, "FOREIGN KEY");
}

static enum sql_lock lock_of_action(struct sql_cursor c)
{
    if (adds_reference(c))
        return SQL_SHARE_ROW_EXCLUSIVE;
    return is_light(&c) ? SQL_SHARE_UPDATE_EXCLUSIVE : SQL_ACCESS_EXCLUSIVE;
}

static enum sql_lock lock_of_actions(struct str statement)
{
    struct sql_cursor c = sql_cursor(statement);
    enum sql_lock strongest = SQL_LOCK_NONE, lock;

    if (!sql_take(&c, "ALTER TABLE") || name_of(&c).n == 0)
        return SQL_ACCESS_EXCLUSIVE;
    for (;;) {
        lock = lock_of_action(c);
        strongest = lock > strongest ? lock : strongest;
        while (c.t.kind != SQL_END && (c.depth > 0 || !sql_is_mark(c.t, ',')))
            sql_step(&c);
        if (c.t.kind == SQL_END)
            return strongest;
        sql_step(&c);
    }
}

/* COMMIT, or WORK or TRANSACTION behind it, and no more. */
static bool is_plain(struct sql_cursor c, const char *word)
{
    if (!sql_take(&c, word))
        return false;
    if (!sql_take(&c, "WORK"))
        sql_take(&c, "TRANSACTION");
    return c.t.kind == SQL_END;
}

static void note_value(struct sql_cursor c, struct sql_class *class)
{
    if (!sql_take(&c, "ALTER TYPE"))
        return;
    struct str type = sql_take_name(&c);
    if (!sql_take(&c, "ADD VALUE"))
        return;
    sql_take(&c, "IF NOT EXISTS");
    if (c.t.kind != SQL_STRING)
        return;
    class->enum_type = type;
    class->enum_value = c.t.text;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

bool sql_body_has(struct str body, const char *words)
{
    for (size_t i = 0; i < body.n;) {
        size_t end = i;
        while (end < body.n && is_word_byte(body.p[end]))
            end++;
        struct str rest = str_of(words), word;
        while (end > i && str_next(&rest, '|', &word))
            if (str_eq_ci(word, (struct str){body.p + i, end - i}))
                return true;
        i = end > i ? end : i + 1;
    }
    return false;
}

void sql_classify(struct str statement, struct sql_class *ret)
{
    struct sql_cursor c = sql_cursor(statement);
    struct sql_class class = {0};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        class = (struct sql_class){0};
        if (!matches(c, patterns[i].words, &class))
            continue;
        class.frame = patterns[i].frame;
        class.lock = patterns[i].lock;
        class.concurrently = patterns[i].concurrently;
        break;
    }
    if (class.lock == SQL_ACCESS_EXCLUSIVE && sql_is(c.t, "ALTER") && class.table.n)
        class.lock = lock_of_actions(statement);
    class.begins = is_plain(c, "BEGIN") || is_plain(c, "START");
    class.ends = is_plain(c, "COMMIT") || is_plain(c, "END");
    if (sql_is(c.t, "DO") && sql_body_has(statement, "COMMIT|ROLLBACK"))
        class.frame = SQL_OWN;
    note_value(c, &class);
    *ret = class;
}

static const char *const names[] = {
    "",      "ACCESS SHARE",        "ROW SHARE", "ROW EXCLUSIVE",   "SHARE UPDATE EXCLUSIVE",
    "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"};

const char *sql_lock_name(enum sql_lock lock)
{
    return names[lock];
}

/* pg_locks writes AccessExclusiveLock. */
static bool is_mode(const char *mode, const char *name)
{
    for (; *name; name++) {
        if (*name == ' ')
            continue;
        if ((*mode | 0x20) != (*name | 0x20))
            return false;
        mode++;
    }
    return strcmp(mode, "Lock") == 0;
}

enum sql_lock sql_lock_of_mode(const char *mode)
{
    for (int lock = SQL_ACCESS_SHARE; lock <= SQL_ACCESS_EXCLUSIVE; lock++)
        if (is_mode(mode, names[lock]))
            return (enum sql_lock)lock;
    return SQL_LOCK_NONE;
}
