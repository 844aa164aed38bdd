/*
 * What the trail's tests share: a trail in a fresh store of either engine for each test.
 * Rooms: tests of trail. Ownership: fixture_release removes all that was made. Threads: one.
 */
#ifndef HOLDFAST_TRAIL_FIXTURE_H
#define HOLDFAST_TRAIL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "trail/verify.h"

struct fixture {
    bool postgres;
    char place[64], url[512], logs[128], path[160]; /* path: of the checkpoints */
    struct store *s;
    struct trail *trail;
    struct trail_finding last; /* of the latest verification */
};

extern const uint8_t fixture_secrets[3][TRAIL_SECRET_SIZE];

/* cmocka's setup and teardown; the state is a struct fixture. */
int fixture_sqlite(void **state);
int fixture_postgres(void **state);
int fixture_release(void **state);

/* Another handle of the same database, as another node has it. */
struct store *fixture_open(const struct fixture *f);

/* A trail under the given secrets; logs_dir as in the fixture. */
struct trail *fixture_trail(const struct fixture *f, struct store *s, const uint8_t *active,
                            const uint8_t (*retired)[TRAIL_SECRET_SIZE], size_t n_retired);

/* Appends n records that differ from each other, in one transaction. */
void fixture_fill(const struct trail *trail, struct store *s, int n);

/* Runs a statement past the trail, as someone with the database's password would. */
void fixture_run(const struct fixture *f, const char *sql);

/* Keeps the trail's two tables as they are, and puts them back. */
void fixture_keep(const struct fixture *f);
void fixture_put_back(const struct fixture *f);

/* Verifies; the latest finding stays in the fixture. */
struct trail_report fixture_verify(struct fixture *f, const struct trail *trail,
                                   const char *against);

/* How many findings there are in all. */
int64_t fixture_findings(const struct trail_report *report);

/* Run the tests of a group on SQLite, and on PostgreSQL where HOLDFAST_TEST_POSTGRES names one. */
#define FIXTURE_BOTH(f)                                                                            \
    {#f " on sqlite", f, fixture_sqlite, fixture_release, NULL},                                   \
    {                                                                                              \
#f " on postgresql", f, fixture_postgres, fixture_release, NULL                            \
    }
int fixture_run_tests(const char *name, struct CMUnitTest *tests, size_t n);

/* Fails with the fault's message unless expression is 0. */
#define assert_done(expression)                                                                    \
    do {                                                                                           \
        int done = (expression);                                                                   \
        if (done != 0)                                                                             \
            fail_msg("%s: %d (%s)", #expression, done, done < 0 ? fault_message() : "outcome");    \
    } while (0)

#endif
