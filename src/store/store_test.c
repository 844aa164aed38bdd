#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fault.h"
#include "store/internal.h"

#include <unistd.h>

static struct store *s;

static int count_job(struct store_txn *t, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, "SELECT COUNT(*) FROM tenants", &rows, NO_PARAMS);

    if (r != 0)
        return r;
    r = store_rows_next(rows);
    if (r == 1)
        *(int64_t *)arg = store_col_int(rows, 0);
    return r < 0 ? r : 0;
}

static void basics(void **state)
{
    struct store_options o = {.url = getenv("HOLDFAST_TEST_POSTGRES")
                                         ? getenv("HOLDFAST_TEST_POSTGRES")
                                         : "sqlite:/tmp/x-store-test/a.db",
                              .pool = 2,
                              .timeout_ms = 1000};
    int64_t n = -1;
    struct uuid id = uuid_new();

    if (store_open(&o, &s) != 0)
        fail_msg("%s", fault_message());
    assert_int_equal(store_run(s, "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)",
                               &n, PARAMS(P_ID(&id), P_TEXT(STR("x")), P_INT(3))),
                     0);
    assert_int_equal(n, 1);
    assert_int_equal(store_run(s, "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)",
                               &n, PARAMS(P_ID(&id), P_TEXT(STR("x")), P_INT(3))),
                     STORE_CONFLICT);
    assert_int_equal(store_read(s, count_job, &n), 0);
    assert_int_equal(n, 1);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(basics)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
