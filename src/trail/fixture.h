/*
 * What the trail's tests share: a trail in a fresh store of either engine for each test.
 * Rooms: tests of trail. Ownership: trail_fixture_release removes all that was made. Threads: one.
 */
#ifndef HOLDFAST_TRAIL_FIXTURE_H
#define HOLDFAST_TRAIL_FIXTURE_H

#include "store/fixture.h"
#include "trail/verify.h"

struct trail_fixture {
    struct fixture *base;
    char logs[128], path[160]; /* path: of the checkpoints */
    struct store *s;
    struct trail *trail;
    struct trail_finding last; /* of the latest verification */
};

extern const uint8_t trail_fixture_secrets[3][TRAIL_SECRET_SIZE];

/* cmocka's setup and teardown; the state is a struct trail_fixture. */
int trail_fixture_sqlite(void **state);
int trail_fixture_postgres(void **state);
int trail_fixture_release(void **state);

/* A trail under the given secrets; logs_dir as in the fixture. */
struct trail *trail_fixture_new(const struct trail_fixture *f, struct store *s,
                                const uint8_t *active, const uint8_t (*retired)[TRAIL_SECRET_SIZE],
                                size_t n_retired);

/* Appends n records that differ from each other, in one transaction. */
void trail_fixture_fill(const struct trail *trail, struct store *s, int n);

/* Runs a statement past the trail, as someone with the database's password would. */
void trail_fixture_alter(const struct trail_fixture *f, const char *sql);

/* Keeps the trail's two tables as they are, and puts them back. */
void trail_fixture_keep(const struct trail_fixture *f);
void trail_fixture_put_back(const struct trail_fixture *f);

/* Verifies; the latest finding stays in the fixture. */
struct trail_report trail_fixture_verify(struct trail_fixture *f, const struct trail *trail,
                                         const char *against);

/* How many findings there are in all. */
int64_t trail_fixture_findings(const struct trail_report *report);

#define TRAIL_BOTH(f) FIXTURE_EACH(f, trail_fixture)

#endif
