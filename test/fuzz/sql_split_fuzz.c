/*
 * Files of SQL: statements and what lies between give the file back; between them is nothing but
 * white space, comments and semicolons; a statement by itself is one statement, the same; what
 * follows a semicolon that ends one changes nothing before it; and what is told of a statement
 * points into it.
 */
#include "deploy/sql_class.h"
#include "deploy/sql_danger.h"
#include "deploy/sql_split.h"

#include "fuzz.h"

enum { LIMIT = 1 << 16, BRIEF = 40 };

static bool lies_in(struct str part, struct str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static int check_danger(void *context, const struct sql_danger *d)
{
    const struct str *statement = context;

    FUZZ_CHECK(d->kind >= 0 && d->kind < SQL_DANGER_KINDS);
    FUZZ_CHECK(lies_in(d->table, *statement) && lies_in(d->column, *statement));
    return 0;
}

static void check_told(struct str statement)
{
    _cleanup_buf_ struct buf brief = buf_init(LIMIT);
    struct sql_class class;

    sql_classify(statement, &class);
    FUZZ_CHECK(lies_in(class.table, statement) && lies_in(class.creates, statement));
    FUZZ_CHECK(lies_in(class.index, statement) && lies_in(class.enum_value, statement));
    FUZZ_CHECK(sql_dangers(statement, check_danger, &statement) == 0);
    FUZZ_CHECK(sql_brief(statement, BRIEF, false, &brief) == 0);
    FUZZ_CHECK(brief.n > 0 && brief.n <= BRIEF + 3);
}

static void check_gap(struct str gap)
{
    struct sql_lexer l = sql_lexer(gap);
    struct sql_token t = sql_next(&l);

    while (sql_is_mark(t, ';'))
        t = sql_next(&l);
    FUZZ_CHECK(t.kind == SQL_END);
}

static void check_alone(struct str text)
{
    struct sql_splitter s = sql_splitter(text);
    struct sql_statement alone;

    FUZZ_CHECK(sql_split_next(&s, &alone) == 0);
    FUZZ_CHECK(str_eq(alone.text, text) && alone.begin == 0);
    FUZZ_CHECK(sql_split_next(&s, &alone) == SQL_SPLIT_END);
}

/* The first count statements of a file that ends behind them. */
static void check_beginning(struct str sql, size_t end, int count)
{
    struct sql_splitter whole = sql_splitter(sql), part = sql_splitter((struct str){sql.p, end});
    struct sql_statement a, b;

    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(sql_split_next(&whole, &a) == 0 && sql_split_next(&part, &b) == 0);
        FUZZ_CHECK(a.begin == b.begin && a.text.n == b.text.n);
        FUZZ_CHECK(a.line == b.line && a.column == b.column);
    }
    FUZZ_CHECK(sql_split_next(&part, &b) == SQL_SPLIT_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str sql = {(const char *)data, size};
    struct sql_splitter s = sql_splitter(sql);
    struct sql_statement statement;
    size_t end = 0;
    int result, count = 0, line = 1;

    if (size == 0 || size > LIMIT / 16)
        return 0;
    while ((result = sql_split_next(&s, &statement)) == 0) {
        FUZZ_CHECK(statement.begin >= end && statement.text.p == sql.p + statement.begin);
        FUZZ_CHECK(statement.text.n > 0 && lies_in(statement.text, sql));
        FUZZ_CHECK(statement.line >= line && statement.column >= 1);
        line = statement.line;
        check_gap((struct str){sql.p + end, statement.begin - end});
        end = statement.begin + statement.text.n;
        check_alone(statement.text);
        check_told(statement.text);
        if (++count <= 4)
            check_beginning(sql, (size_t)(s.lexer.p - sql.p), count);
    }
    FUZZ_CHECK(result == SQL_SPLIT_END || result == SQL_SPLIT_REFUSED);
    if (result == SQL_SPLIT_END)
        check_gap((struct str){sql.p + end, size - end});
    return 0;
}
