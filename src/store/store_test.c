/* The same promises over both engines; PostgreSQL where HOLDFAST_TEST_POSTGRES names one. */
#include "store/fixture.h"

#include "base/clock.h"

#include <pthread.h>

static const char insert_thing[] = "INSERT INTO things (id, name, n, body) VALUES ($1, $2, $3, $4)";
static const char insert_log[] = "INSERT INTO log (n) VALUES ($1)";

static struct uuid number_id(int64_t n)
{
    struct uuid u = {{0}};

    memcpy(u.b, &n, sizeof n);
    return u;
}

static int put_thing(struct store *s, int64_t n, struct store_param name, struct store_param body)
{
    struct uuid id = number_id(n);

    return store_run(s, insert_thing, NULL, PARAMS(P_ID(&id), name, P_INT(n), body));
}

enum { BIG = 8 * 1024 * 1024 };

struct value_case {
    int64_t n;
    struct store_param name, body;
};

static int read_values_job(struct store_txn *t, void *arg)
{
    const struct value_case *c = arg;
    struct uuid id = number_id(c->n), read;
    _cleanup_rows_ struct store_rows *rows = NULL;

    assert_done(store_query(t, "SELECT id, name, n, body FROM things WHERE id = $1", &rows,
                            PARAMS(P_ID(&id))));
    assert_int_equal(store_rows_next(rows), 1);
    read = store_col_id(rows, 0);
    assert_true(uuid_eq(&read, &id));
    assert_true(uuid_is_nil(&(struct uuid){{0}}));
    assert_int_equal(store_col_is_null(rows, 1), c->name.type == STORE_NULL);
    assert_true(str_eq(store_col_text(rows, 1), c->name.s));
    assert_true(store_col_int(rows, 2) == c->n);
    assert_int_equal(store_col_is_null(rows, 3), c->body.type == STORE_NULL);
    assert_true(str_eq(store_col_blob(rows, 3), c->body.s));
    assert_int_equal(store_rows_next(rows), 0);
    assert_int_equal(store_rows_next(rows), 0);
    return 0;
}

static void test_values(void **state)
{
    struct fixture *f = *state;
    char *big = malloc(BIG);

    assert_non_null(big);
    for (int i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + i / 256);
    struct value_case cases[] = {
        {INT64_MIN, P_NULL, P_NULL},
        {INT64_MAX, P_TEXT(STR("")), P_BLOB(NULL, 0)},
        {-1, P_TEXT(STR("Zürich \xF0\x9F\x94\x92 'quoted' \\ $1 ?")), P_BLOB("\0\1\377", 3)},
        {0, P_TEXT(STR("x")), P_BLOB(big, BIG)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_done(put_thing(f->s, cases[i].n, cases[i].name, cases[i].body));
        assert_done(store_read(f->s, read_values_job, &cases[i]));
    }
    free(big);
}

static int order_job(struct store_txn *t, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL;

    assert_done(store_query(t,
                            "SELECT name, n FROM things WHERE n >= $2 AND name = $1 AND n <= $3"
                            " AND $2 < $3 AND n BETWEEN $2 AND $3",
                            &rows, PARAMS(P_TEXT(STR("b")), P_INT(1), P_INT(3))));
    assert_int_equal(store_rows_next(rows), 1);
    assert_int_equal(store_col_int(rows, 1), 2);
    assert_int_equal(store_rows_next(rows), 0);
    return 0;
}

static void test_parameters_in_any_order_and_repeated(void **state)
{
    struct fixture *f = *state;

    assert_done(put_thing(f->s, 1, P_TEXT(STR("a")), P_NULL));
    assert_done(put_thing(f->s, 2, P_TEXT(STR("b")), P_NULL));
    assert_done(put_thing(f->s, 4, P_TEXT(STR("b")), P_NULL));
    assert_done(store_read(f->s, order_job, NULL));
    assert_int_equal(
        store_run(f->s, "DELETE FROM things WHERE n = $1 AND name = $2", NULL, PARAMS(P_INT(1))),
        FAULT_STORE);
    /* The type of a NULL is inferred, and the same text takes another type later. */
    static const char sql[] = "UPDATE things SET body = $1 WHERE n = $2";
    assert_done(store_run(f->s, sql, NULL, PARAMS(P_NULL, P_INT(1))));
    assert_done(store_run(f->s, sql, NULL, PARAMS(P_BLOB("x", 1), P_INT(1))));
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things WHERE body IS NOT NULL"), 1);
}

static void test_text_is_utf8_without_nul(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_thing(f->s, 1, P_TEXT(((struct str){"a\0b", 3})), P_NULL), FAULT_STORE);
    assert_int_equal(put_thing(f->s, 1, P_TEXT(STR("\xC3")), P_NULL), FAULT_STORE);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"), 0);
}

static void test_changed(void **state)
{
    struct fixture *f = *state;
    int64_t changed = -1;

    for (int n = 0; n < 3; n++)
        assert_done(put_thing(f->s, n, P_NULL, P_NULL));
    assert_done(store_run(f->s, "UPDATE things SET name = $1 WHERE n > 0", &changed,
                          PARAMS(P_TEXT(STR("x")))));
    assert_int_equal(changed, 2);
    assert_done(store_run(f->s, "DELETE FROM things WHERE n > 10", &changed, NO_PARAMS));
    assert_int_equal(changed, 0);
}

/* What a job does before it fails is undone, whether it says so or not. */
static int conflicting_job(struct store_txn *t, void *arg)
{
    struct uuid id = number_id(1);

    assert_done(store_exec(t, insert_log, NULL, PARAMS(P_INT(1))));
    int r = store_exec(t, insert_thing, NULL, PARAMS(P_ID(&id), P_NULL, P_INT(1), P_NULL));
    assert_int_equal(r, STORE_CONFLICT);
    assert_int_equal(store_exec(t, insert_log, NULL, PARAMS(P_INT(2))), STORE_CONFLICT);
    return arg ? 0 : r;
}

static int own_outcome_job(struct store_txn *t, void *arg)
{
    assert_done(store_exec(t, insert_log, NULL, PARAMS(P_INT(1))));
    return 7;
}

static void test_conflicts_and_outcomes(void **state)
{
    struct fixture *f = *state;

    assert_done(put_thing(f->s, 1, P_NULL, P_NULL));
    assert_int_equal(put_thing(f->s, 1, P_NULL, P_NULL), STORE_CONFLICT);
    assert_int_equal(store_write(f->s, conflicting_job, NULL), STORE_CONFLICT);
    assert_int_equal(store_write(f->s, conflicting_job, f), STORE_CONFLICT);
    assert_int_equal(store_write(f->s, own_outcome_job, NULL), 7);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 0);
    /* NOT NULL is no conflict: it is a defect. */
    assert_int_equal(store_run(f->s, insert_log, NULL, PARAMS(P_NULL)), FAULT_STORE);
    assert_done(put_thing(f->s, 2, P_NULL, P_NULL));
}

static int returning_job(struct store_txn *t, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL, *unread = NULL;

    assert_done(store_query(t, "INSERT INTO log (n) VALUES ($1) RETURNING seq, n = 5", &rows,
                            PARAMS(P_INT(5))));
    assert_int_equal(store_rows_next(rows), 1);
    *(int64_t *)arg = store_col_int(rows, 0);
    assert_int_equal(store_col_int(rows, 1), 1);
    return store_query(t, "INSERT INTO log (n) VALUES ($1) RETURNING seq", &unread,
                       PARAMS(P_INT(6)));
}

static void test_returning_and_serial(void **state)
{
    struct fixture *f = *state;
    int64_t first = 0, second = 0;

    assert_done(store_write(f->s, returning_job, &first));
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 2);
    assert_int_equal(fixture_number(f->s, "SELECT SUM(n) - 100000 FROM log"), -99989);
    /* A number is never given twice, even when all rows are gone: nodes follow it. */
    assert_done(store_run(f->s, "DELETE FROM log", NULL, NO_PARAMS));
    assert_done(store_write(f->s, returning_job, &second));
    assert_int_equal(second, first + 2);
}

static int nested_statement_job(struct store_txn *t, void *arg)
{
    static const char sql[] = "SELECT n FROM log WHERE n >= $1 ORDER BY n";
    _cleanup_rows_ struct store_rows *outer = NULL, *inner = NULL;

    assert_done(store_query(t, sql, &outer, PARAMS(P_INT(1))));
    assert_int_equal(store_rows_next(outer), 1);
    assert_done(store_query(t, sql, &inner, PARAMS(P_INT(3))));
    assert_int_equal(store_rows_next(inner), 1);
    assert_int_equal(store_col_int(inner, 0), 3);
    assert_int_equal(store_rows_next(outer), 1);
    assert_int_equal(store_col_int(outer, 0), 2);
    return 0;
}

static void test_statement_within_itself(void **state)
{
    struct fixture *f = *state;

    for (int n = 1; n <= 3; n++)
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(n))));
    assert_done(store_read(f->s, nested_statement_job, NULL));
}

static void *insert_from_elsewhere(void *arg)
{
    return store_run(arg, insert_log, NULL, PARAMS(P_INT(1))) == 0 ? NULL : arg;
}

static int64_t count_log(struct store_txn *t)
{
    _cleanup_rows_ struct store_rows *rows = NULL;

    assert_done(store_query(t, "SELECT COUNT(*) FROM log", &rows, NO_PARAMS));
    assert_int_equal(store_rows_next(rows), 1);
    return store_col_int(rows, 0);
}

static int snapshot_job(struct store_txn *t, void *arg)
{
    pthread_t thread;
    void *failed;

    assert_int_equal(count_log(t), 0);
    assert_int_equal(pthread_create(&thread, NULL, insert_from_elsewhere, arg), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(count_log(t), 0);
    return 0;
}

static void test_read_sees_one_snapshot(void **state)
{
    struct fixture *f = *state;

    assert_done(store_read(f->s, snapshot_job, f->s));
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 1);
}

static int write_job(struct store_txn *t, void *arg)
{
    return store_exec(t, insert_log, NULL, PARAMS(P_INT(1)));
}

static int lock_job(struct store_txn *t, void *arg)
{
    return store_lock(t, STORE_LOCK_TRAIL);
}

static int nesting_job(struct store_txn *t, void *arg)
{
    assert_int_equal(store_read(arg, write_job, NULL), FAULT_INTERNAL);
    assert_int_equal(store_write(arg, write_job, NULL), FAULT_INTERNAL);
    assert_int_equal(store_run(arg, insert_log, NULL, PARAMS(P_INT(1))), FAULT_INTERNAL);
    return 0;
}

static void test_misuse_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(store_read(f->s, write_job, NULL), FAULT_STORE);
    assert_int_equal(store_read(f->s, lock_job, NULL), FAULT_INTERNAL);
    assert_done(store_write(f->s, nesting_job, f->s));
    assert_done(store_read(f->s, nesting_job, f->s));
    assert_int_equal(store_run(f->s, "DELETE FROM log; DELETE FROM things", NULL, NO_PARAMS),
                     FAULT_STORE);
    assert_int_equal(store_run(f->s, "DELETE FROM nowhere", NULL, NO_PARAMS), FAULT_STORE);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), 0);
}

enum { BATCH_THREADS = 16, BATCH_JOBS = 24 };

struct batch {
    struct store *s;
    int64_t base;
    int wrong;
};

static int batch_job(struct store_txn *t, void *arg)
{
    int64_t n = *(int64_t *)arg;
    struct uuid id = number_id(n % 3 == 0 ? -1 : n);
    int r = store_exec(t, insert_log, NULL, PARAMS(P_INT(n)));

    if (r != 0)
        return r;
    if (n % 5 == 0)
        return fault_set(FAULT_INTERNAL, "job %d", (int)n);
    return store_exec(t, insert_thing, NULL, PARAMS(P_ID(&id), P_NULL, P_INT(n), P_NULL));
}

static void *batch_thread(void *arg)
{
    struct batch *b = arg;
    char message[32];

    for (int64_t n = b->base; n < b->base + BATCH_JOBS; n++) {
        int r = store_write(b->s, batch_job, &n);
        snprintf(message, sizeof message, "job %d", (int)n);
        if (n % 5 == 0)
            b->wrong += r != FAULT_INTERNAL || strcmp(fault_message(), message) != 0;
        else
            b->wrong += r != (n % 3 == 0 ? STORE_CONFLICT : 0);
    }
    return NULL;
}

/* Each of many jobs at once gets its own result, and only the good ones leave a trace. */
static void test_batch_with_failing_jobs(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[BATCH_THREADS];
    struct batch batches[BATCH_THREADS];
    int64_t good = 0;

    assert_done(put_thing(f->s, -1, P_NULL, P_NULL));
    for (int i = 0; i < BATCH_THREADS; i++) {
        batches[i] = (struct batch){f->s, i * BATCH_JOBS, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, batch_thread, &batches[i]), 0);
    }
    for (int i = 0; i < BATCH_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(batches[i].wrong, 0);
    }
    for (int n = 0; n < BATCH_THREADS * BATCH_JOBS; n++)
        good += n % 5 != 0 && n % 3 != 0;
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM log"), good);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things"), good + 1);
}

enum { BULK = 100000 };

static int64_t bulk_count(struct store_txn *t, const char *sql)
{
    _cleanup_rows_ struct store_rows *rows = NULL;

    if (store_query(t, sql, &rows, NO_PARAMS) != 0 || store_rows_next(rows) != 1)
        return -1;
    return store_col_int(rows, 0);
}

/* A statement first: the tables must also be had in the midst of a job. */
static int bulk_job(struct store_txn *t, void *arg)
{
    struct str texts[] = {STR("b"), STR("a"), STR("b"), STR(""), STR("ä\t\n\\N")};
    int64_t present = count_log(t);
    int r = store_bulk_ids(t, arg, BULK);

    if (r != 0)
        return r;
    assert_int_equal(present, 2);
    assert_int_equal(bulk_count(t, "SELECT COUNT(*) FROM bulk_ids"), BULK / 2);
    assert_int_equal(
        bulk_count(t, "SELECT COUNT(*) FROM things WHERE id IN (SELECT id FROM bulk_ids)"), 1);
    assert_done(store_bulk_ids(t, arg, 3));
    assert_int_equal(bulk_count(t, "SELECT COUNT(*) FROM bulk_ids"), 3);
    assert_done(store_bulk_texts(t, texts, sizeof texts / sizeof *texts));
    assert_int_equal(bulk_count(t, "SELECT COUNT(*) FROM bulk_texts"), 4);
    assert_done(store_bulk_texts(t, NULL, 0));
    assert_int_equal(bulk_count(t, "SELECT COUNT(*) FROM bulk_texts"), 0);
    return 0;
}

static int bulk_bad_text_job(struct store_txn *t, void *arg)
{
    struct str bad = STR("\xff");

    return store_bulk_texts(t, &bad, 1);
}

static void test_bulk(void **state)
{
    struct fixture *f = *state;
    struct uuid *ids = calloc(BULK, sizeof *ids);

    assert_non_null(ids);
    for (int i = 0; i < BULK; i++)
        ids[i] = number_id((i * 7919 % BULK) / 2);
    assert_done(put_thing(f->s, 5, P_NULL, P_NULL));
    assert_done(put_thing(f->s, BULK, P_NULL, P_NULL));
    for (int i = 0; i < 2; i++)
        assert_done(store_run(f->s, insert_log, NULL, PARAMS(P_INT(1))));
    for (int i = 0; i < 2; i++) {
        assert_done(store_read(f->s, bulk_job, ids));
        assert_done(store_write(f->s, bulk_job, ids));
    }
    assert_int_equal(store_write(f->s, bulk_bad_text_job, NULL), FAULT_STORE);
    free(ids);
}

/* Much that was there is changed twice in a job, and then it is to be as it was, or is not. */
static int undoing_job(struct store_txn *t, void *arg)
{
    const int *outcome = arg;
    int r = store_exec(t, "UPDATE things SET name = 'first'", NULL, NO_PARAMS);

    if (r == 0)
        r = store_exec(t, "UPDATE things SET name = 'second', body = NULL", NULL, NO_PARAMS);
    return r ? r : *outcome;
}

static void test_much_to_undo(void **state)
{
    enum { THINGS = 12, BODY = 1024 * 1024 };
    struct fixture *f = *state;
    char *body = calloc(1, BODY);
    int rolled_back = 7, kept = 0;

    assert_non_null(body);
    for (int i = 0; i < THINGS; i++)
        assert_done(put_thing(f->s, i, P_TEXT(STR("before")), P_BLOB(body, BODY)));
    assert_int_equal(store_write(f->s, undoing_job, &rolled_back), rolled_back);
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things WHERE name = 'before'"
                                          " AND length(body) = 1048576"),
                     THINGS);
    assert_done(store_write(f->s, undoing_job, &kept));
    assert_int_equal(fixture_number(f->s, "SELECT COUNT(*) FROM things WHERE name = 'second'"),
                     THINGS);
    free(body);
}

struct leaving {
    const struct uuid *ids;
    size_t n;
    int outcome;
    bool looks;
};

/* Finds the table empty, whatever the job before left there. SQLite has one a connection. */
static int leave_job(struct store_txn *t, void *arg)
{
    const struct leaving *l = arg;
    int r = store_bulk_texts(t, NULL, 0);

    if (r)
        return r;
    if (l->looks)
        assert_int_equal(bulk_count(t, "SELECT count(*) FROM bulk_ids"), 0);
    assert_done(store_bulk_ids(t, l->ids, l->n));
    assert_int_equal(bulk_count(t, "SELECT count(*) FROM bulk_ids"), l->n);
    return l->outcome;
}

static void test_bulk_emptied(void **state)
{
    enum { MANY = 5000, TIMES = 12 };
    static const struct leaving ways[] = {{.n = MANY}, {.n = 3}, {.n = MANY / 4}};
    struct fixture *f = *state;
    struct uuid *ids = calloc(MANY, sizeof *ids);

    assert_non_null(ids);
    for (size_t i = 0; i < MANY; i++)
        ids[i] = uuid_new();
    for (int i = 0; i < TIMES; i++) {
        struct leaving l = ways[i % 3];
        l.ids = ids;
        l.outcome = i % 4 == 3;
        l.looks = strcmp(store_engine(f->s), "postgresql") == 0;
        assert_int_equal(store_write(f->s, leave_job, &l), l.outcome);
        if (i % 2)
            assert_int_equal(store_read(f->s, leave_job, &l), l.outcome);
    }
    free(ids);
}

static struct store_bulk_row row_of(int64_t number, struct str text, struct str blob)
{
    struct store_bulk_row row = {0};

    row.i[0] = row.i[STORE_ROW_INTS - 1] = number;
    row.t[0] = row.t[STORE_ROW_TEXTS - 1] = text;
    row.b[0] = row.b[STORE_ROW_BLOBS - 1] = blob;
    return row;
}

/* Repeated rows stay; what is NULL and what is empty are told apart. */
static int bulk_rows_job(struct store_txn *t, void *arg)
{
    struct str none = {NULL, 0};
    struct store_bulk_row rows[] = {row_of(-5, STR("\t\\N"), STR("\0\xff")),
                                    row_of(INT64_MAX, STR(""), STR("")), row_of(7, none, none),
                                    row_of(7, none, none)};
    int r = store_bulk_rows(t, rows, 4);

    if (r != 0)
        return r;
    assert_int_equal(bulk_count(t, "SELECT count(*) FROM bulk_rows WHERE i1 = i12 AND i2 = 0"), 4);
    assert_int_equal(bulk_count(t, "SELECT i12 FROM bulk_rows WHERE n = 0"), -5);
    assert_true(bulk_count(t, "SELECT i12 FROM bulk_rows WHERE t8 = ''") == INT64_MAX);
    assert_int_equal(bulk_count(t, "SELECT max(n) FROM bulk_rows WHERE t1 IS NULL AND t8 IS NULL"
                                   " AND b1 IS NULL AND b4 IS NULL"),
                     3);
    assert_int_equal(bulk_count(t, "SELECT length(b4) + length(t8) FROM bulk_rows WHERE n = 0"), 5);
    assert_int_equal(bulk_count(t, "SELECT length(b1) + length(t1) FROM bulk_rows WHERE n = 1"), 0);
    assert_done(store_bulk_rows(t, rows + 1, 1));
    assert_int_equal(bulk_count(t, "SELECT count(*) FROM bulk_rows WHERE n = 0"), 1);
    assert_done(store_bulk_rows(t, NULL, 0));
    return (int)bulk_count(t, "SELECT count(*) FROM bulk_rows");
}

struct thing {
    int64_t n;
    struct str text, blob;
};

static void put_added(const void *rows, size_t i, struct store_param *params)
{
    const struct thing *thing = (const struct thing *)rows + i;

    params[0] = P_INT(thing->n);
    params[1] = thing->text.p ? P_TEXT(thing->text) : P_NULL;
    params[2] = P_BLOB(thing->blob.p, thing->blob.n);
}

static struct store_addition additions(const struct thing *things, size_t n)
{
    return (struct store_addition){STORE_INTO("added", "n, t, b", "$1, $2, $3"), .columns = 3,
                                   .put = put_added, .rows = things, .n = n};
}

static int add_job(struct store_txn *t, void *arg)
{
    const struct store_addition *rows = arg;

    assert_done(store_look_up(t));
    return store_add(t, rows);
}

/* As the first act of a job, and behind others; a row that is there already undoes all. */
static void test_add(void **state)
{
    struct fixture *f = *state;
    const struct thing things[] = {{-5, STR("\t\\N"), STR("\0\xff")},
                                   {INT64_MAX, {NULL, 0}, STR("")},
                                   {7, STR(""), STR("x")}},
                       bad = {8, STR("a\0b"), STR("")},
                       twice[] = {{9, STR("x"), STR("")}, {7, STR("x"), STR("")}};
    struct store_addition rows = additions(things, 3), none = additions(NULL, 0),
                          no_text = additions(&bad, 1), again = additions(twice, 2);

    assert_done(store_run(f->s, "CREATE TABLE added (n BIGINT PRIMARY KEY, t TEXT, b BYTEA)", NULL,
                          NO_PARAMS));
    assert_done(store_write(f->s, add_job, &rows));
    assert_done(store_write(f->s, add_job, &none));
    assert_int_equal(store_write(f->s, add_job, &no_text), FAULT_STORE);
    assert_int_equal(store_write(f->s, add_job, &again), STORE_CONFLICT);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM added"), 3);
    assert_int_equal(fixture_number(f->s, "SELECT length(t) * 10 + length(b) FROM added"
                                          " WHERE n = -5"),
                     32);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM added WHERE n > 7 AND t IS NULL"
                                          " AND length(b) = 0"),
                     1);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM added WHERE t = ''"), 1);
}

static int bulk_bad_row_job(struct store_txn *t, void *arg)
{
    struct store_bulk_row row = row_of(0, STR("a\0b"), STR(""));

    return store_bulk_rows(t, &row, 1);
}

/* They are a copy, read in either order and joined with themselves; arg: what the job ends with. */
static int bulk_kept_job(struct store_txn *t, void *arg)
{
    char text[] = "kept", blob[] = "too";
    struct store_bulk_row rows[3] = {row_of(1, str_of(text), str_of(blob)),
                                     row_of(2, str_of(text), str_of(blob)),
                                     row_of(3, str_of(text), str_of(blob))};

    assert_done(store_bulk_texts(t, NULL, 0));
    assert_int_equal(bulk_count(t, "SELECT count(*) FROM bulk_rows"), 0);
    assert_done(store_bulk_rows(t, rows, 3));
    memset(text, 'x', sizeof text);
    memset(blob, 'x', sizeof blob);
    memset(rows, 0, sizeof rows);
    assert_int_equal(bulk_count(t, "SELECT sum(i1) FROM bulk_rows WHERE t1 = 'kept'"), 6);
    assert_int_equal(bulk_count(t, "SELECT i1 FROM bulk_rows ORDER BY n DESC LIMIT 1"), 3);
    assert_int_equal(bulk_count(t, "SELECT i1 FROM bulk_rows ORDER BY n LIMIT 1"), 1);
    assert_int_equal(bulk_count(t, "SELECT sum(a.i1 * b.i1) FROM bulk_rows a JOIN bulk_rows b"
                                   " ON b.n = a.n + 1 AND b.b1 = a.b4"),
                     8);
    return *(int *)arg;
}

static void test_bulk_rows(void **state)
{
    struct fixture *f = *state;
    int outcomes[] = {0, 7, FAULT_STORE, 0};

    for (int i = 0; i < 4; i++)
        assert_int_equal(store_write(f->s, bulk_kept_job, &outcomes[i]), outcomes[i]);

    for (int i = 0; i < 2; i++) {
        assert_done(store_read(f->s, bulk_rows_job, NULL));
        assert_done(store_write(f->s, bulk_rows_job, NULL));
    }
    assert_int_equal(store_write(f->s, bulk_bad_row_job, NULL), FAULT_STORE);
}

struct hold {
    struct store *s;
    pthread_barrier_t *begun, *end;
};

static int hold_job(struct store_txn *t, void *arg)
{
    struct hold *h = arg;

    count_log(t);
    pthread_barrier_wait(h->begun);
    pthread_barrier_wait(h->end);
    return 0;
}

static void *hold_thread(void *arg)
{
    struct hold *h = arg;

    return store_read(h->s, hold_job, h) == 0 ? NULL : arg;
}

static void test_pool_exhaustion(void **state)
{
    struct fixture *f = *state;
    struct store *s = fixture_open(f, 2, 20000);
    pthread_barrier_t begun, end;
    struct hold hold = {s, &begun, &end};
    struct store_stats stats;
    pthread_t threads[2];
    void *failed;

    pthread_barrier_init(&begun, NULL, 3);
    pthread_barrier_init(&end, NULL, 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_thread, &hold), 0);
    pthread_barrier_wait(&begun);
    s->timeout_ms = 100; /* of the wait alone: connecting may take longer on a busy machine */
    int64_t from = clock_mono();
    assert_int_equal(store_ping(s), FAULT_UNAVAILABLE);
    assert_in_range(clock_mono() - from, 95, 1500);
    store_stats(s, &stats);
    assert_int_equal(stats.connections_busy, 2);
    assert_int_equal(stats.errors, 1);
    pthread_barrier_wait(&end);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_done(store_ping(s));
    store_stats(s, &stats);
    assert_int_equal(stats.connections_busy, 0);
    assert_int_equal(stats.writes_waiting, 0);
    pthread_barrier_destroy(&begun);
    pthread_barrier_destroy(&end);
    store_close(s);
}

/* A text that is built anew at an address that held another must not get the other's statement. */
static void test_address_with_another_text(void **state)
{
    struct fixture *f = *state;
    char sql[64];

    for (int n = 0; n < 5; n++) {
        snprintf(sql, sizeof sql, "INSERT INTO log (n) VALUES (%d)", n);
        assert_done(store_run(f->s, sql, NULL, NO_PARAMS));
    }
    assert_int_equal(fixture_number(f->s, "SELECT SUM(n) FROM log"), 10);
}

static void test_more_statements_than_are_kept(void **state)
{
    struct fixture *f = *state;
    static char sql[STORE_STATEMENTS_MAX + 20][40];

    for (int n = 0; n < STORE_STATEMENTS_MAX + 20; n++) {
        snprintf(sql[n], sizeof sql[n], "DELETE FROM log WHERE n = %d", n);
        assert_done(store_run(f->s, sql[n], NULL, NO_PARAMS));
    }
    assert_int_equal(store_run(f->s, insert_log, NULL, PARAMS(P_INT(1))), 0);
    assert_int_equal(fixture_number(f->s, "SELECT n FROM log"), 1);
}

static int explain_job(struct store_txn *t, void *arg)
{
    struct store_rows *rows _cleanup_rows_ = NULL;
    int *scans = arg, r;

    *scans = 0;
    r = store_query(t, "EXPLAIN SELECT n FROM things WHERE id = $1", &rows, PARAMS(P_BLOB("x", 1)));
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        struct str line = store_col_text(rows, 0);
        *scans += memmem(line.p, line.n, "Seq Scan", 8) != NULL;
        r = 0;
    }
    return r;
}

/* The plan would be kept while the table grows. */
static void test_plan_of_an_empty_table(void **state)
{
    struct fixture *f = *state;
    int scans = -1;
    char sql[200];

    snprintf(sql, sizeof sql, "VACUUM ANALYZE %s.things", f->schema);
    fixture_admin(sql);
    assert_done(store_read(f->s, explain_job, &scans));
    assert_int_equal(scans, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_BOTH(test_values),
        FIXTURE_BOTH(test_parameters_in_any_order_and_repeated),
        FIXTURE_BOTH(test_text_is_utf8_without_nul),
        FIXTURE_BOTH(test_changed),
        FIXTURE_BOTH(test_conflicts_and_outcomes),
        FIXTURE_BOTH(test_returning_and_serial),
        FIXTURE_BOTH(test_statement_within_itself),
        FIXTURE_BOTH(test_read_sees_one_snapshot),
        FIXTURE_BOTH(test_misuse_is_refused),
        FIXTURE_BOTH(test_batch_with_failing_jobs),
        FIXTURE_BOTH(test_bulk),
        FIXTURE_BOTH(test_much_to_undo),
        FIXTURE_BOTH(test_bulk_emptied),
        FIXTURE_BOTH(test_bulk_rows),
        FIXTURE_BOTH(test_add),
        FIXTURE_BOTH(test_pool_exhaustion),
        FIXTURE_BOTH(test_address_with_another_text),
        FIXTURE_BOTH(test_more_statements_than_are_kept),
        FIXTURE_POSTGRES(test_plan_of_an_empty_table),
    };

    return FIXTURE_RUN(tests);
}
