/*
 * What all tests over a store share: a fresh database of either engine for each test, and threads
 * and waits. The fixtures of rooms below are built on this one.
 *
 * Rooms: tests of store and below. Ownership: fixture_release and fixture_free remove all that was
 * made. Threads: the test's.
 */
#ifndef HOLDFAST_STORE_FIXTURE_H
#define HOLDFAST_STORE_FIXTURE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fault.h"
#include "store/internal.h"

/* A time for tests, in the middle of an hour. */
#define NOW ((int64_t)1700000000 * 1000)

struct fixture {
    bool postgres;
    char place[64];  /* a directory of the test's own */
    char schema[64]; /* of PostgreSQL */
    char url[512];   /* of the database, which is empty at first */
    struct store *s; /* closed with the fixture; may be NULL */
};

/* What the fixtures of other rooms begin and end with: a database, and no store yet. */
struct fixture *fixture_new(bool postgres);
void fixture_free(struct fixture *f);

/* Another handle of the fixture's database, with the product's schema, as another node has it. */
struct store *fixture_node(const struct fixture *f);

/* things(id, name, n, body), log(seq, n) */
extern const struct store_schema fixture_schema;

/* cmocka's setup and teardown; the state is a struct fixture whose store has the schema above. */
int fixture_sqlite(void **state);
int fixture_postgres(void **state);
int fixture_release(void **state);

/* A fixture without an open store. */
int fixture_empty_sqlite(void **state);
int fixture_empty_postgres(void **state);
int fixture_empty_release(void **state);

/* Opens the fixture's database (once more) with the schema above. */
struct store *fixture_open(const struct fixture *f, int pool, int timeout_ms);

/* Runs a statement on PostgreSQL beside the store. */
void fixture_admin(const char *sql);

/* The first column of the first row of a query without parameters, in a reading job. */
int64_t fixture_number(struct store *s, const char *sql);

/* Runs a statement past all that guards it. Returns how many rows it changed. */
int64_t fixture_run(struct store *s, const char *sql, const struct store_param *params, size_t n);

/* Runs thread(arg) on n threads at once. */
void fixture_parallel(size_t n, void *(*thread)(void *arg), void *arg);

/* Waits until expression holds; fails the test after ten seconds. */
#define fixture_await(expression)                                                                  \
    do {                                                                                           \
        for (int tries = 0; !(expression); tries++) {                                              \
            if (tries == 10000)                                                                    \
                fail_msg("never: %s", #expression);                                                \
            fixture_pause();                                                                       \
        }                                                                                          \
    } while (0)
void fixture_pause(void);

/* Whether PostgreSQL is there to be tested. */
bool fixture_has_postgres(void);

/* Rows of cmocka's table for test f, whose setups are kind_sqlite and kind_postgres. */
#define FIXTURE_ON_SQLITE(f, kind)                                                                 \
    {                                                                                              \
#f " on sqlite", f, kind##_sqlite, kind##_release, NULL                                    \
    }
#define FIXTURE_ON_POSTGRES(f, kind)                                                               \
    {                                                                                              \
#f " on postgresql", f, kind##_postgres, kind##_release, NULL                              \
    }
#define FIXTURE_EACH(f, kind) FIXTURE_ON_SQLITE(f, kind), FIXTURE_ON_POSTGRES(f, kind)
#define FIXTURE_SQLITE(f) FIXTURE_ON_SQLITE(f, fixture)
#define FIXTURE_POSTGRES(f) FIXTURE_ON_POSTGRES(f, fixture)
#define FIXTURE_BOTH(f) FIXTURE_EACH(f, fixture)
#define FIXTURE_BOTH_EMPTY(f) FIXTURE_EACH(f, fixture_empty)

/* Runs the tests; those on PostgreSQL where there is one. */
#define FIXTURE_RUN(tests)                                                                         \
    (fixture_has_postgres() ? (void)0 : cmocka_set_skip_filter("*on postgresql"),                  \
     cmocka_run_group_tests(tests, NULL, NULL))

/* Fails with the fault's message unless expression is 0. */
#define assert_done(expression)                                                                    \
    do {                                                                                           \
        int done = (expression);                                                                   \
        if (done != 0)                                                                             \
            fail_msg("%s: %d (%s)", #expression, done, done < 0 ? fault_message() : "outcome");    \
    } while (0)

#endif
