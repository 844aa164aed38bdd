/*
 * What the store's tests share: a fresh store of either engine for each test.
 *
 * Rooms: tests of store. Ownership: fixture_release removes all that fixture_init made.
 * Threads: one.
 */
#ifndef HOLDFAST_STORE_FIXTURE_H
#define HOLDFAST_STORE_FIXTURE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fault.h"
#include "store/internal.h"

struct fixture {
    bool postgres;
    char url[512], place[128]; /* the directory, or the schema */
    struct store *s;
};

/* things(id, name, n, body), log(seq, n) */
extern const struct store_schema fixture_schema;

/* cmocka's setup and teardown for the two engines; the state is a struct fixture. */
int fixture_sqlite(void **state);
int fixture_postgres(void **state);
int fixture_release(void **state);

/* A fixture without an open store. */
int fixture_sqlite_empty(void **state);
int fixture_postgres_empty(void **state);

/* Opens the fixture's database (once more); fails the test where it cannot. */
struct store *fixture_open(const struct fixture *f, int pool, int timeout_ms);

/* Runs a statement on PostgreSQL beside the store. */
void fixture_admin(const char *sql);

/* The first column of the first row of a query without parameters, in a reading job. */
int64_t fixture_number(struct store *s, const char *sql);

/* Whether PostgreSQL is there to be tested. */
bool fixture_has_postgres(void);

/* Rows of cmocka's table. */
#define FIXTURE_SQLITE(f)                                                                          \
    {                                                                                              \
#f " on sqlite", f, fixture_sqlite, fixture_release, NULL                                  \
    }
#define FIXTURE_POSTGRES(f)                                                                        \
    {                                                                                              \
#f " on postgresql", f, fixture_postgres, fixture_release, NULL                            \
    }
#define FIXTURE_BOTH(f) FIXTURE_SQLITE(f), FIXTURE_POSTGRES(f)
#define FIXTURE_BOTH_EMPTY(f)                                                                      \
    {#f " on sqlite", f, fixture_sqlite_empty, fixture_release, NULL},                             \
    {                                                                                              \
#f " on postgresql", f, fixture_postgres_empty, fixture_release, NULL                      \
    }

/* Fails with the fault's message unless expression is 0. */
#define assert_done(expression)                                                                    \
    do {                                                                                           \
        int done = (expression);                                                                   \
        if (done != 0)                                                                             \
            fail_msg("%s: %d (%s)", #expression, done, done < 0 ? fault_message() : "outcome");    \
    } while (0)

#endif
