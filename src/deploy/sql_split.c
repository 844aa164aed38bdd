#include "deploy/sql_split.h"

#include "base/fault.h"

struct sql_splitter sql_splitter(struct str sql)
{
    return (struct sql_splitter){
        .lexer = sql_lexer(sql), .begin = sql.p, .counted = sql.p, .line = 1, .column = 1};
}

/* Counts lines and columns on to p. A line ends with LF, CR LF or CR. */
static void count_to(struct sql_splitter *s, const char *p)
{
    for (; s->counted < p; s->counted++) {
        char c = *s->counted;
        bool ends =
            c == '\n' || (c == '\r' && !(s->counted + 1 < s->lexer.end && s->counted[1] == '\n'));
        if (ends) {
            s->line++;
            s->column = 1;
        } else if (((unsigned char)c & 0xC0) != 0x80) {
            s->column++;
        }
    }
}

static int refuse(struct sql_splitter *s, struct sql_token t, const char *what)
{
    count_to(s, t.text.p);
    fault_keep("line %d: %s", s->line, what);
    return SQL_SPLIT_REFUSED;
}

/* Why no statement can hold the token; NULL: it can. */
static const char *wrong(struct sql_token t)
{
    if (t.kind == SQL_BACKSLASH)
        return "a backslash begins a command of psql's, which is not SQL";
    if (t.kind != SQL_UNENDED)
        return NULL;
    if (*t.text.p == '/')
        return "a comment that begins here does not end";
    if (*t.text.p == '"' || ((*t.text.p | 0x20) == 'u' && t.text.p[2] == '"'))
        return "a quoted name that begins here does not end";
    return "a string that begins here does not end";
}

/* What is known of a statement while it is read. */
struct reading {
    struct sql_token first, before;
    int parentheses, blocks; /* that are open */
    int words;               /* of its beginning, up to 4 */
    bool routine;            /* CREATE FUNCTION or PROCEDURE */
};

static void note_beginning(struct reading *r, struct sql_token t)
{
    static const char *const may[] = {"CREATE", "OR", "REPLACE"};

    if (r->words > 3 || t.kind != SQL_WORD) {
        r->words = 4;
        return;
    }
    if (r->words > 0 && (sql_is(t, "FUNCTION") || sql_is(t, "PROCEDURE")) && r->words != 2)
        r->routine = true;
    r->words = r->words < 3 && sql_is(t, may[r->words]) ? r->words + 1 : 4;
}

/* Behind AS and a dot stand names, even those that are keywords elsewhere. */
static bool is_name_place(const struct reading *r)
{
    return sql_is(r->before, "AS") || sql_is_mark(r->before, '.');
}

static void note_blocks(struct reading *r, struct sql_token t)
{
    if (!r->routine || r->parentheses > 0)
        return;
    bool opens = sql_is(t, "ATOMIC") ? sql_is(r->before, "BEGIN")
                                     : r->blocks > 0 && sql_is(t, "CASE") && !is_name_place(r);
    if (opens)
        r->blocks++;
    else if (r->blocks > 0 && sql_is(t, "END") && !is_name_place(r))
        r->blocks--;
}

static void note(struct reading *r, struct sql_token t)
{
    if (r->first.kind == SQL_END)
        r->first = t;
    note_beginning(r, t);
    note_blocks(r, t);
    if (sql_is_mark(t, '('))
        r->parentheses++;
    else if (sql_is_mark(t, ')') && r->parentheses > 0)
        r->parentheses--;
    r->before = t;
}

static bool has_words(struct str text, const char *words)
{
    for (struct sql_cursor c = sql_cursor(text); c.t.kind != SQL_END; sql_step(&c)) {
        struct sql_cursor ahead = c;
        if (c.depth == 0 && sql_take(&ahead, words))
            return true;
    }
    return false;
}

/* Statements that would change how what follows is to be read. */
static const char *unfit(struct str text)
{
    struct sql_cursor c = sql_cursor(text);

    if (sql_take(&c, "COPY") && has_words(text, "FROM STDIN"))
        return "COPY FROM STDIN takes data that only psql gives; use INSERT";
    c = sql_cursor(text);
    if (!sql_take(&c, "SET"))
        return NULL;
    if (!sql_take(&c, "LOCAL"))
        sql_take(&c, "SESSION");
    if (!sql_take(&c, "standard_conforming_strings"))
        return NULL;
    sql_step(&c); /* = or TO */
    return sql_is(c.t, "ON") || str_eq_ci(c.t.text, STR("'on'"))
               ? NULL
               : "standard_conforming_strings is to stay on";
}

static int finish(struct sql_splitter *s, const struct reading *r, struct sql_statement *ret)
{
    const char *begin = r->first.text.p, *end = r->before.text.p + r->before.text.n;
    struct sql_statement statement = {.text = {begin, (size_t)(end - begin)},
                                      .begin = (size_t)(begin - s->begin)};
    const char *why = unfit(statement.text);

    if (why)
        return refuse(s, r->first, why);
    count_to(s, begin);
    statement.line = s->line;
    statement.column = s->column;
    *ret = statement;
    return 0;
}

int sql_split_next(struct sql_splitter *s, struct sql_statement *ret)
{
    struct reading r = {0};

    for (;;) {
        struct sql_token t = sql_next(&s->lexer);
        const char *why = wrong(t);
        if (why)
            return refuse(s, t, why);
        bool ends =
            t.kind == SQL_END || (sql_is_mark(t, ';') && r.parentheses == 0 && r.blocks == 0);
        if (!ends)
            note(&r, t);
        else if (r.first.kind != SQL_END)
            return finish(s, &r, ret);
        else if (t.kind == SQL_END)
            return SQL_SPLIT_END;
    }
}
