/*
 * What tests of deployments share: a product's database, empty at first.
 * Rooms: tests of deploy. Ownership: product_release drops the database. Threads: the test's.
 */
#ifndef HOLDFAST_DEPLOY_FIXTURE_H
#define HOLDFAST_DEPLOY_FIXTURE_H

#include "deploy/pg.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fault.h"

struct product {
    char database[64];
    char url[512];
    struct pg *pg; /* a connection to it, closed with it */
    struct arena a;
};

/* cmocka's setup and teardown; the state is a struct product. HOLDFAST_TEST_POSTGRES names the
 * server. */
int product_new(void **state);
int product_release(void **state);

/* Runs a statement on the product's database, or on the server's own; it must succeed. */
void product_run(struct product *p, const char *sql);
void product_admin(const char *sql);

/* The first column of the first row. */
int64_t product_number(struct product *p, const char *sql);

#define PRODUCT_TEST(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, product_new, product_release)

#endif
