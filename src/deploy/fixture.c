#include "deploy/fixture.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static const char *server(void)
{
    const char *url = getenv("HOLDFAST_TEST_POSTGRES");

    if (!url)
        fail_msg("HOLDFAST_TEST_POSTGRES is not set: script/with-postgres sets it");
    return url;
}

static struct pg *connect_to(const char *database)
{
    struct pg_options options = {.url = server(), .database = database, .name = "test"};
    struct pg *pg = NULL;

    if (pg_open(&options, &pg))
        fail_msg("%s", fault_message());
    return pg;
}

static void run(struct pg *pg, const char *sql)
{
    if (pg_run(pg, sql))
        fail_msg("%s: %s", sql, fault_message());
}

void product_admin(const char *sql)
{
    struct pg *pg _cleanup_pg_ = connect_to(NULL);

    run(pg, sql);
}

int product_new(void **state)
{
    struct product *p = calloc(1, sizeof *p);
    uint64_t number;
    char sql[128];
    const char *url = server();
    size_t path = strlen(url);

    assert_non_null(p);
    assert_int_equal(getrandom(&number, sizeof number, 0), sizeof number);
    snprintf(p->database, sizeof p->database, "product_%016llx", (unsigned long long)number);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", p->database);
    product_admin(sql);
    while (url[path - 1] != '/')
        path--;
    snprintf(p->url, sizeof p->url, "%.*s%s", (int)path, url, p->database);
    p->pg = connect_to(p->database);
    p->a = arena_init(1 << 24);
    *state = p;
    return 0;
}

int product_release(void **state)
{
    struct product *p = *state;
    char sql[128];

    pg_close(p->pg);
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", p->database);
    product_admin(sql);
    arena_free(&p->a);
    free(p);
    return 0;
}

void product_run(struct product *p, const char *sql)
{
    run(p->pg, sql);
}

int64_t product_number(struct product *p, const char *sql)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;

    if (pg_query(p->pg, sql, NULL, 0, &rows))
        fail_msg("%s: %s", sql, fault_message());
    assert_true(pg_rows_count(rows) > 0);
    return pg_int(rows, 0, 0);
}
