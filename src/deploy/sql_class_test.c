/* Statements are told by their words: transaction, lock, what they destroy. */
#include "deploy/sql_class.h"

#include "deploy/sql_danger.h"
#include "deploy/sql_type.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *sql;
    enum sql_frame frame;
    enum sql_lock lock;
    const char *table, *creates, *index;
} classes[] = {
    {"CREATE TABLE \"User\" (id int)", SQL_INSIDE, SQL_LOCK_NONE, "", "\"User\"", ""},
    {"create unlogged table if not exists a.b (id int references c.d (x))", SQL_INSIDE,
     SQL_SHARE_ROW_EXCLUSIVE, "c.d", "a.b", ""},
    {"CREATE TEMP TABLE x AS SELECT 1", SQL_INSIDE, SQL_LOCK_NONE, "", "x", ""},
    {"CREATE UNIQUE INDEX \"i\" ON \"t\"(\"a\")", SQL_INSIDE, SQL_SHARE, "\"t\"", "", "\"i\""},
    {"CREATE INDEX ON ONLY t (a)", SQL_INSIDE, SQL_SHARE, "t", "", ""},
    {"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE,
     "t", "", "i"},
    {"create unique index concurrently on t (a)", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "t", "",
     ""},
    {"DROP INDEX CONCURRENTLY i", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "", "", ""},
    {"DROP INDEX IF EXISTS i", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, "i", "", ""},
    {"REINDEX (VERBOSE) TABLE CONCURRENTLY t", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "", "", ""},
    {"REINDEX INDEX i", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, "", "", ""},
    {"VACUUM (FULL, ANALYZE) t", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, "", "", ""},
    {"VACUUM ANALYZE t", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "", "", ""},
    {"CLUSTER", SQL_OUTSIDE, SQL_ACCESS_EXCLUSIVE, "", "", ""},
    {"CLUSTER t USING i", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, "t", "", ""},
    {"ALTER SYSTEM SET work_mem = '1MB'", SQL_OUTSIDE, SQL_LOCK_NONE, "", "", ""},
    {"DROP DATABASE d", SQL_OUTSIDE, SQL_LOCK_NONE, "", "", ""},
    {"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", SQL_OUTSIDE, SQL_LOCK_NONE, "", "", ""},
    {"ALTER DATABASE d SET TABLESPACE x", SQL_OUTSIDE, SQL_LOCK_NONE, "", "", ""},
    {"ALTER DATABASE d SET work_mem = '1MB'", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
    {"REFRESH MATERIALIZED VIEW CONCURRENTLY v", SQL_INSIDE, SQL_EXCLUSIVE, "v", "", ""},
    {"BEGIN", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"START TRANSACTION ISOLATION LEVEL SERIALIZABLE", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"COMMIT AND CHAIN", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"ROLLBACK", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"ROLLBACK TO SAVEPOINT s", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
    {"SAVEPOINT s", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
    {"CALL p(1)", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"DO $$ BEGIN UPDATE t SET a = 1; COMMIT; END $$", SQL_OWN, SQL_LOCK_NONE, "", "", ""},
    {"DO $$ BEGIN PERFORM committed(); END $$", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
    {"ALTER TABLE t ADD COLUMN a int, ALTER b SET STATISTICS 5", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE,
     "t", "", ""},
    {"ALTER TABLE IF EXISTS ONLY s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id)",
     SQL_INSIDE, SQL_SHARE_ROW_EXCLUSIVE, "s.t", "", ""},
    {"ALTER TABLE t VALIDATE CONSTRAINT f, SET (fillfactor = 70), ALTER a SET STATISTICS 5",
     SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "t", "", ""},
    {"ALTER TABLE t VALIDATE CONSTRAINT f, DROP a", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, "t", "", ""},
    {"ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)", SQL_INSIDE, SQL_SHARE_UPDATE_EXCLUSIVE,
     "t", "", ""},
    {"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", SQL_OUTSIDE, SQL_SHARE_UPDATE_EXCLUSIVE, "t",
     "", ""},
    {"CREATE OR REPLACE TRIGGER g BEFORE UPDATE OF a ON t EXECUTE FUNCTION f()", SQL_INSIDE,
     SQL_SHARE_ROW_EXCLUSIVE, "t", "", ""},
    {"TRUNCATE TABLE t, u", SQL_INSIDE, SQL_ACCESS_EXCLUSIVE, "t", "", ""},
    {"UPDATE ONLY t SET a = 1", SQL_INSIDE, SQL_ROW_EXCLUSIVE, "t", "", ""},
    {"SELECT 1", SQL_INSIDE, SQL_ACCESS_SHARE, "", "", ""},
    {"GRANT SELECT ON t TO u", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
    {"\"BEGIN\"", SQL_INSIDE, SQL_LOCK_NONE, "", "", ""},
};

static void test_classes(void **state)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        struct sql_class class;
        sql_classify(str_of(classes[i].sql), &class);
        if (class.frame != classes[i].frame || class.lock != classes[i].lock ||
            !str_eq(class.table, str_of(classes[i].table)) ||
            !str_eq(class.creates, str_of(classes[i].creates)) ||
            !str_eq(class.index, str_of(classes[i].index)))
            fail_msg("%s: %d, %s on %.*s, creates %.*s %.*s", classes[i].sql, class.frame,
                     sql_lock_name(class.lock), STR_ARG(class.table), STR_ARG(class.creates),
                     STR_ARG(class.index));
    }
}

static struct sql_class class_of(const char *sql)
{
    struct sql_class class;

    sql_classify(str_of(sql), &class);
    return class;
}

static void test_frames(void **state)
{
    struct sql_class class = class_of("ALTER TYPE \"Role\" ADD VALUE IF NOT EXISTS 'OWNER'");

    assert_true(str_eq(class.enum_type, STR("\"Role\"")));
    assert_true(str_eq(class.enum_value, STR("'OWNER'")));
    assert_true(class_of("BEGIN").begins && class_of("begin work").begins);
    assert_true(class_of("START TRANSACTION").begins);
    assert_false(class_of("BEGIN READ ONLY").begins);
    assert_true(class_of("COMMIT").ends && class_of("END TRANSACTION").ends);
    assert_false(class_of("COMMIT PREPARED 'x'").ends || class_of("ROLLBACK").ends);
    assert_true(class_of("DROP INDEX CONCURRENTLY i").concurrently);
    assert_int_equal(sql_lock_of_mode("ShareUpdateExclusiveLock"), SQL_SHARE_UPDATE_EXCLUSIVE);
    assert_int_equal(sql_lock_of_mode("AccessExclusiveLock"), SQL_ACCESS_EXCLUSIVE);
    assert_int_equal(sql_lock_of_mode("SIReadLock"), SQL_LOCK_NONE);
}

static const char *const kinds[SQL_DANGER_KINDS] = {
    [SQL_DROP] = "drop",         [SQL_DROP_COLUMN] = "column", [SQL_TRUNCATE] = "truncate",
    [SQL_DELETE_ALL] = "delete", [SQL_UPDATE_ALL] = "update",  [SQL_COLUMN_TYPE] = "type",
    [SQL_SET_NOT_NULL] = "set",  [SQL_ADD_NOT_NULL] = "add",   [SQL_ADD_COMPUTED] = "computed",
    [SQL_REWRITE] = "rewrite",   [SQL_RENAME] = "rename",      [SQL_HIDDEN] = "hidden",
};

static int write_danger(void *context, const struct sql_danger *d)
{
    struct buf *out = context;

    buf_printf(out, "%s%s", out->n ? "; " : "", kinds[d->kind]);
    const struct str parts[] = {d->object, d->table, d->column, d->text};
    for (size_t i = 0; i < 4; i++)
        if (parts[i].n)
            buf_printf(out, " %.*s", STR_ARG(parts[i]));
    return buf_printf(out, "%s%s", d->by_expression ? " using" : "", d->cascade ? " cascade" : "");
}

static const char *const dangers[][2] = {
    {"DROP TABLE a", "drop TABLE a"},
    {"drop table if exists \"A\", s.b cascade", "drop TABLE \"A\" cascade; drop TABLE s.b cascade"},
    {"DROP SCHEMA s", "drop SCHEMA s"},
    {"DROP TYPE t", ""},
    {"DROP TYPE t, u CASCADE", "drop TYPE t cascade; drop TYPE u cascade"},
    {"DROP FUNCTION f(int, text)", ""},
    {"DROP INDEX i", ""},
    {"DROP OWNED BY joe", "drop OWNED joe"},
    {"TRUNCATE a, ONLY b RESTART IDENTITY CASCADE", "truncate a cascade; truncate b cascade"},
    {"DELETE FROM t", "delete t"},
    {"DELETE FROM t USING u WHERE u.a = t.a", ""},
    {"DELETE FROM t USING (SELECT 1 WHERE true) u", "delete t"},
    {"UPDATE t SET a = (SELECT 1 WHERE true)", "update t"},
    {"UPDATE t SET a = 1 WHERE b", ""},
    {"WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d WHERE true", "delete t"},
    {"WITH d AS (SELECT 1) UPDATE t SET a = 1", "update t"},
    {"INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", ""},
    {"SELECT 1 FROM t FOR UPDATE", ""},
    {"ALTER TABLE t DROP COLUMN IF EXISTS a, DROP b CASCADE, DROP CONSTRAINT c",
     "column t a; column t b cascade"},
    {"ALTER TABLE t ALTER COLUMN a TYPE varchar(10) USING left(a, 10), ALTER b SET DATA TYPE "
     "numeric(3, 1)",
     "type t a varchar(10) using; type t b numeric(3, 1)"},
    {"ALTER TABLE t ALTER a DROP NOT NULL, ALTER b SET NOT NULL, ALTER c SET DEFAULT 1", "set t b"},
    {"ALTER TABLE t ADD COLUMN a int", ""},
    {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a int NOT NULL", "add t a"},
    {"ALTER TABLE t ADD a int NOT NULL DEFAULT NULL", "add t a"},
    {"ALTER TABLE t ADD a int NOT NULL DEFAULT 1 CHECK (a IS NOT NULL)", ""},
    {"ALTER TABLE t ADD a int CHECK (a IS NOT NULL)", ""},
    {"ALTER TABLE t ADD a uuid NOT NULL DEFAULT gen_random_uuid()",
     "computed t a gen_random_uuid()"},
    {"ALTER TABLE t ADD a timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP", ""},
    {"ALTER TABLE t ADD a bigserial", "rewrite t a bigserial"},
    {"ALTER TABLE t ADD a int GENERATED BY DEFAULT AS IDENTITY", "rewrite t a int"},
    {"ALTER TABLE t ADD a int GENERATED ALWAYS AS (b + 1) STORED",
     "rewrite t a GENERATED … STORED"},
    {"ALTER TABLE t ADD CONSTRAINT c UNIQUE (a), ADD PRIMARY KEY (b)", ""},
    {"ALTER TABLE t RENAME a TO b", "rename t a b"},
    {"ALTER TABLE t RENAME TO u", "rename t u"},
    {"ALTER TABLE t RENAME CONSTRAINT a TO b", ""},
    {"ALTER TABLE t SET SCHEMA s", "rename t s"},
    {"ALTER TABLE t SET UNLOGGED", "rewrite t UNLOGGED"},
    {"ALTER TABLE t SET (fillfactor = 70)", ""},
    {"VACUUM FULL t", "rewrite t VACUUM FULL"},
    {"VACUUM (FULL, VERBOSE) t", "rewrite t VACUUM FULL"},
    {"VACUUM t", ""},
    {"CLUSTER t USING i", "rewrite t CLUSTER"},
    {"DO $$ BEGIN EXECUTE 'drop table x'; END $$", "hidden"},
    {"DO $$ BEGIN PERFORM 1; END $$", ""},
    {"CREATE TABLE t (a int)", ""},
};

static void test_dangers(void **state)
{
    for (size_t i = 0; i < sizeof dangers / sizeof *dangers; i++) {
        struct buf out _cleanup_buf_ = buf_init(1000);
        assert_int_equal(sql_dangers(str_of(dangers[i][0]), write_danger, &out), 0);
        if (!str_eq(buf_str(&out), str_of(dangers[i][1])))
            fail_msg("%s: %.*s", dangers[i][0], STR_ARG(buf_str(&out)));
    }
}

static int stop(void *context, const struct sql_danger *d)
{
    return 7 + (*(int *)context)++;
}

static void test_a_sink_stops(void **state)
{
    int count = 0;

    assert_int_equal(sql_dangers(STR("DROP TABLE a, b"), stop, &count), 7);
    assert_int_equal(count, 1);
}

static const struct {
    const char *from, *to;
    enum sql_change change;
    bool rewrite;
} changes[] = {
    {"character varying(20)", "varchar(20)", SQL_TYPE_SAME, false},
    {"text", "character varying", SQL_TYPE_SAME, false},
    {"timestamp(3) without time zone", "TIMESTAMP(3)", SQL_TYPE_SAME, false},
    {"integer", "int4", SQL_TYPE_SAME, false},
    {"\"Role\"", "\"Role\"", SQL_TYPE_SAME, false},
    {"character varying(20)", "VARCHAR(30)", SQL_TYPE_WIDER, false},
    {"character varying(20)", "text", SQL_TYPE_WIDER, false},
    {"text", "varchar(20)", SQL_TYPE_NARROWER, true},
    {"character varying(20)", "varchar(10)", SQL_TYPE_NARROWER, true},
    {"integer", "bigint", SQL_TYPE_WIDER, true},
    {"bigint", "int", SQL_TYPE_NARROWER, true},
    {"integer", "text", SQL_TYPE_WIDER, true},
    {"text", "integer", SQL_TYPE_OTHER, true},
    {"numeric(10,2)", "decimal(12, 2)", SQL_TYPE_WIDER, false},
    {"numeric(10,2)", "numeric", SQL_TYPE_WIDER, false},
    {"numeric(10,2)", "numeric(12,4)", SQL_TYPE_WIDER, true},
    {"numeric(10,2)", "numeric(10,4)", SQL_TYPE_NARROWER, true},
    {"numeric", "numeric(10,2)", SQL_TYPE_NARROWER, true},
    {"integer", "numeric(12,2)", SQL_TYPE_WIDER, true},
    {"bigint", "numeric(12,2)", SQL_TYPE_NARROWER, true},
    {"double precision", "real", SQL_TYPE_NARROWER, true},
    {"real", "double precision", SQL_TYPE_WIDER, true},
    {"timestamp(6) without time zone", "timestamp(3)", SQL_TYPE_NARROWER, true},
    {"timestamp(3) without time zone", "timestamp", SQL_TYPE_WIDER, false},
    {"timestamp without time zone", "timestamptz(6)", SQL_TYPE_OTHER, true},
    {"timestamp with time zone", "timestamp(6) with time zone", SQL_TYPE_SAME, false},
    {"character(5)", "char(6)", SQL_TYPE_WIDER, true},
    {"character(5)", "varchar(5)", SQL_TYPE_WIDER, true},
    {"character varying(5)", "char(10)", SQL_TYPE_NARROWER, true},
    {"json", "jsonb", SQL_TYPE_WIDER, true},
    {"\"Role\"", "\"Role_new\"", SQL_TYPE_OTHER, true},
    {"text[]", "text", SQL_TYPE_OTHER, true},
    {"integer[]", "bigint[]", SQL_TYPE_WIDER, true},
    {"integer[]", "int4[3]", SQL_TYPE_SAME, false},
};

static void test_types(void **state)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        bool rewrite;
        enum sql_change change =
            sql_type_change(str_of(changes[i].from), str_of(changes[i].to), &rewrite);
        if (change != changes[i].change || rewrite != changes[i].rewrite)
            fail_msg("%s to %s: %d, rewrite %d", changes[i].from, changes[i].to, change, rewrite);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes), cmocka_unit_test(test_frames),
        cmocka_unit_test(test_dangers), cmocka_unit_test(test_a_sink_stops),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
