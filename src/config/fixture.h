/*
 * What the tests of settings share: a directory of their own, and a load that is told from a list.
 * Rooms: tests of config. Ownership: fixture_release removes all. Threads: one.
 */
#ifndef HOLDFAST_CONFIG_FIXTURE_H
#define HOLDFAST_CONFIG_FIXTURE_H

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    char place[64], file[100], data_dir[80]; /* data_dir: an assignment, for the environment */
    struct buf problems;
    struct config *config; /* of the latest load that succeeded */
};

/* cmocka's setup and teardown; the process works in the fixture's directory meanwhile. */
int fixture_init(void **state);
int fixture_release(void **state);

/* Writes text to the fixture's file. */
void fixture_write(struct fixture *f, const char *text);

/*
 * Loads from up to eight assignments ending with NULL and from the file (NULL: none is named).
 * Returns as config_load; *problems and config are of this load.
 */
int fixture_load(struct fixture *f, const char *file, int for_server, ...);

/* The problems as text, and how many lines they have. */
const char *fixture_problems(struct fixture *f);
int fixture_problem_count(struct fixture *f);

/* Secrets that pass: 128 and 64 hexadecimal digits. */
#define SECRET_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SECRET_128 SECRET_64 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define JWT_SECRET "JWT_SECRET=" SECRET_128
#define ENCRYPTION_KEY "ENCRYPTION_KEY=" SECRET_64
#define PRODUCTION "HOLDFAST_ENV=production"

#define assert_problem(f, text)                                                                    \
    do {                                                                                           \
        if (!strstr(fixture_problems(f), text))                                                    \
            fail_msg("not among the problems: %s\n%s", text, fixture_problems(f));                 \
    } while (0)

#endif
