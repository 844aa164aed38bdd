/* Files are divided into statements where the server divides them. */
#include "deploy/sql_split.h"

#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { PIECES_MAX = 8 };

struct sample {
    const char *sql;
    const char *pieces[PIECES_MAX]; /* ends with NULL */
};

static const struct sample samples[] = {
    {"", {NULL}},
    {" ;;\n-- only a comment; and this\n/* ; */ ;", {NULL}},
    {"SELECT 1", {"SELECT 1"}},
    {"SELECT 1;SELECT 2 ;", {"SELECT 1", "SELECT 2"}},
    {"-- CreateTable\nCREATE TABLE \"a;b\" (x int);\n\n-- AddIndex\nCREATE INDEX i ON t (x);\n",
     {"CREATE TABLE \"a;b\" (x int)", "CREATE INDEX i ON t (x)"}},
    {"SELECT ';' ; SELECT ''';'''; SELECT \"a\"\";\"",
     {"SELECT ';'", "SELECT ''';'''", "SELECT \"a\"\";\""}},
    {"SELECT '\\'; SELECT 2", {"SELECT '\\'", "SELECT 2"}},
    {"SELECT E'\\';', e'\\\\'; SELECT 2", {"SELECT E'\\';', e'\\\\'", "SELECT 2"}},
    {"SELECT U&'\\'; SELECT u&\"\\\"; SELECT 3", {"SELECT U&'\\'", "SELECT u&\"\\\"", "SELECT 3"}},
    {"SELECT B'1;', X'F;', N';'; SELECT 2", {"SELECT B'1;', X'F;', N';'", "SELECT 2"}},
    {"SELECT E'a' -- on\n  '\\';'; SELECT 2", {"SELECT E'a' -- on\n  '\\';'", "SELECT 2"}},
    {"SELECT E'a' /* no */\n '\\'; SELECT 2", {"SELECT E'a' /* no */\n '\\'", "SELECT 2"}},
    {"SELECT E'a'  '\\'; SELECT 2", {"SELECT E'a'  '\\'", "SELECT 2"}},
    {"SELECT namee'\\'; SELECT 2", {"SELECT namee'\\'", "SELECT 2"}},
    {"SELECT 1 /* ; /* nested; */ ; */ ; SELECT 2", {"SELECT 1", "SELECT 2"}},
    {"SELECT 1 +/* ; */ 2; SELECT 3 -- ;\n, 4", {"SELECT 1 +/* ; */ 2", "SELECT 3 -- ;\n, 4"}},
    {"SELECT $$;$$; SELECT $a$;$$;$b$;$a$; SELECT 3",
     {"SELECT $$;$$", "SELECT $a$;$$;$b$;$a$", "SELECT 3"}},
    {"SELECT a$b$; SELECT $1; SELECT $1$$;$$", {"SELECT a$b$", "SELECT $1", "SELECT $1$$;$$"}},
    {"SELECT $delim$...$junk$delim$; SELECT 2", {"SELECT $delim$...$junk$delim$", "SELECT 2"}},
    {"SELECT $\xc3\xa4$;$\xc3\xa4$; SELECT 2", {"SELECT $\xc3\xa4$;$\xc3\xa4$", "SELECT 2"}},
    {"SELECT 1 $ 2; SELECT 3", {"SELECT 1 $ 2", "SELECT 3"}},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN "
     "1;\nEND;\n$$;\nSELECT 1",
     {"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND;\n$$",
      "SELECT 1"}},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN 1=1 THEN 2 END; END; "
     "SELECT 1",
     {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN 1=1 THEN 2 END; END",
      "SELECT 1"}},
    {"create or replace procedure p() begin atomic select 1 as end; select t.end from t; end; X",
     {"create or replace procedure p() begin atomic select 1 as end; select t.end from t; end",
      "X"}},
    {"CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1; BEGIN; SELECT 1; END",
     {"CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1", "BEGIN", "SELECT 1", "END"}},
    {"BEGIN ATOMIC; SELECT 1; END", {"BEGIN ATOMIC", "SELECT 1", "END"}},
    {"CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
     {"CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT 1"}},
    {"SELECT 1); SELECT 2", {"SELECT 1)", "SELECT 2"}},
    {"SET standard_conforming_strings = on; SET SESSION standard_conforming_strings TO 'on'",
     {"SET standard_conforming_strings = on", "SET SESSION standard_conforming_strings TO 'on'"}},
    {"COPY t TO STDOUT; COPY t FROM '/x'", {"COPY t TO STDOUT", "COPY t FROM '/x'"}},
    {"SELECT a FROM stdin", {"SELECT a FROM stdin"}},
};

static void test_samples(void **state)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct sql_splitter s = sql_splitter(str_of(samples[i].sql));
        const char *const *piece = samples[i].pieces;
        struct sql_statement statement;
        int result;
        while ((result = sql_split_next(&s, &statement)) == 0) {
            if (!*piece || !str_eq(statement.text, str_of(*piece)))
                fail_msg("sample %zu: %.*s", i, STR_ARG(statement.text));
            assert_ptr_equal(samples[i].sql + statement.begin, statement.text.p);
            piece++;
        }
        if (result != SQL_SPLIT_END || *piece)
            fail_msg("sample %zu ends with %d before %s", i, result, *piece ? *piece : "(none)");
    }
}

static void test_refusals(void **state)
{
    static const char *const refused[][2] = {
        {"SELECT 1;\n\\connect other", "line 2: a backslash begins a command of psql's"},
        {"SELECT 1 \\g", "line 1: a backslash"},
        {"SELECT 1;\r\n\r\nSELECT 'a", "line 3: a string that begins here does not end"},
        {"\rSELECT E'a\\'", "line 2: a string"},
        {"SELECT $a$ $b$", "line 1: a string"},
        {"SELECT \"a", "line 1: a quoted name"},
        {"SELECT U&\"a", "line 1: a quoted name"},
        {"SELECT 1; /* /* */", "line 1: a comment that begins here does not end"},
        {"SELECT 1;\nCOPY t (a, b)\nFROM stdin;\n1\t2\n\\.\n", "line 2: COPY FROM STDIN"},
        {"set local standard_conforming_strings to off", "line 1: standard_conforming_strings"},
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct sql_splitter s = sql_splitter(str_of(refused[i][0]));
        struct sql_statement statement;
        int result;
        while ((result = sql_split_next(&s, &statement)) == 0)
            ;
        if (result != SQL_SPLIT_REFUSED || !strstr(fault_message(), refused[i][1]))
            fail_msg("%zu: %d, %s", i, result, fault_message());
    }
}

static void test_places(void **state)
{
    struct str sql = STR("-- \xc3\xa4\r\n  A;\r  \xc3\xa4 ;\n\n\tB");
    struct sql_splitter s = sql_splitter(sql);
    struct sql_statement a, b, c;

    assert_int_equal(sql_split_next(&s, &a), 0);
    assert_int_equal(sql_split_next(&s, &b), 0);
    assert_int_equal(sql_split_next(&s, &c), 0);
    assert_int_equal(a.line, 2);
    assert_int_equal(a.column, 3);
    assert_int_equal(b.line, 3);
    assert_int_equal(b.column, 3);
    assert_int_equal(c.line, 5);
    assert_int_equal(c.column, 2);
    assert_int_equal(c.begin, sql.n - 1);
}

static void brief_is(const char *sql, size_t max, bool masked, const char *expected)
{
    struct buf out _cleanup_buf_ = buf_init(1000);

    assert_int_equal(sql_brief(str_of(sql), max, masked, &out), 0);
    assert_string_equal(buf_cstr(&out), expected);
}

static void test_brief(void **state)
{
    brief_is("SELECT  a -- x\n\t, 'b;' /* y */ FROM t", 80, false, "SELECT a , 'b;' FROM t");
    brief_is("UPDATE u SET p='secret', q=$$more$$ WHERE id=42", 80, true,
             "UPDATE u SET p=…, q=… WHERE id=…");
    brief_is("SELECT 'torn secret", 80, true, "SELECT …");
    brief_is("SELECT abcdefgh", 10, false, "SELECT abc…");
    brief_is("SELECT \xc3\xa4\xc3\xa4", 8, false, "SELECT …");
    brief_is("SELECT abc", 10, false, "SELECT abc");
    brief_is("SELECT 'a\nb\x1b[31m'", 80, false, "SELECT 'a b [31m'");
}

static void test_cursor(void **state)
{
    struct sql_cursor c = sql_cursor(STR("drop Table IF exists a . \"B\" , (x)"));

    assert_false(sql_take(&c, "DROP TABLE IF NOT"));
    assert_true(sql_take(&c, "DROP TABLE"));
    assert_true(sql_take(&c, "IF EXISTS"));
    assert_true(str_eq(sql_take_name(&c), STR("a . \"B\"")));
    assert_true(sql_is_mark(c.t, ','));
    assert_int_equal(sql_take_name(&c).n, 0);
    sql_step(&c);
    assert_int_equal(c.depth, 0);
    sql_step(&c);
    assert_int_equal(c.depth, 1);
    sql_step(&c);
    assert_int_equal(c.depth, 0);
    sql_step(&c);
    sql_step(&c);
    assert_int_equal(c.t.kind, SQL_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_places),  cmocka_unit_test(test_brief),
        cmocka_unit_test(test_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
