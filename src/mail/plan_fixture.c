#include "mail/plan_fixture.h"

struct explaining {
    struct scene *f;
    const char *sql;
    const struct store_param *params;
    size_t n;
    struct plan *plan;
    struct str searches[16]; /* looked at behind the job: a test that fails must not leave it */
    size_t made;
};

/* The number behind a word of a line; 0 where it is not there. */
static int64_t number_behind(struct str line, const char *word)
{
    size_t at = 0;
    uint64_t n = 0;

    while (at < line.n && !str_has_prefix((struct str){line.p + at, line.n - at}, str_of(word)))
        at++;
    for (at += strlen(word); at < line.n && line.p[at] >= '0' && line.p[at] <= '9'; at++)
        n = n * 10 + (uint64_t)(line.p[at] - '0');
    return (int64_t)n;
}

static bool holds(struct str line, const char *word)
{
    return memmem(line.p, line.n, word, strlen(word)) != NULL;
}

/* "Index Scan using ... (actual rows=20 loops=1)", then perhaps "Rows Removed by Filter: 2". */
static void take_postgres(struct plan *p, struct str line, int64_t *loops)
{
    if (holds(line, " Scan ") && !holds(line, "Subquery Scan ") && !holds(line, "Bitmap Index ")) {
        *loops = number_behind(line, "loops=");
        p->rows += number_behind(line, "actual rows=") * *loops;
    } else if (holds(line, "Buffers: ") && p->pages == 0) { /* of the whole, which comes first */
        p->pages = number_behind(line, "hit=") + number_behind(line, "read=");
    } else if (holds(line, "Rows Removed by ")) {
        p->rows += number_behind(line, ": ") * *loops;
    }
}

static int explain_job(struct store_txn *t, void *arg)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct explaining *e = arg;
    bool postgres = e->f->base->postgres;
    const char *text =
        arena_printf(&e->f->a, "%s %s",
                     postgres ? "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)"
                              : "EXPLAIN QUERY PLAN",
                     e->sql);
    int64_t loops = 1;

    e->plan->rows = e->plan->pages = 0;
    e->made = 0;
    int result = text ? store_query(t, text, &rows, e->params, e->n) : FAULT_MEMORY;
    while (result == 0 && (result = store_rows_next(rows)) == 1) {
        struct str line = store_col_text(rows, postgres ? 0 : 3);
        if (postgres)
            take_postgres(e->plan, line, &loops);
        else if (!holds(line, "CONSTANT ROW") && (holds(line, "SEARCH ") || holds(line, "SCAN ")))
            e->searches[e->made++ % 16] = arena_str(&e->f->a, line);
        result = 0;
    }
    return result;
}

void plan_explain(struct scene *f, const char *sql, const struct store_param *params, size_t n,
                  struct plan *plan)
{
    struct explaining e = {.f = f, .sql = sql, .params = params, .n = n, .plan = plan};

    assert_done(store_read(f->node.store, explain_job, &e));
    assert_in_range(e.made, f->base->postgres ? 0 : 1, 16);
    for (size_t i = 0; i < e.made; i++)
        plan->search(plan->context, e.searches[i]);
}

static void administer(const struct scene *f, const char *before, const char *table,
                       const char *behind)
{
    char sql[200];

    if (!f->base->postgres)
        return;
    snprintf(sql, sizeof sql, "%s %s.%s%s", before, f->base->schema, table, behind);
    fixture_admin(sql);
}

void plan_hold_statistics(const struct scene *f, const char *table)
{
    administer(f, "ALTER TABLE", table, " SET (autovacuum_enabled = off)");
}

void plan_take_statistics(const struct scene *f, const char *table)
{
    administer(f, "ANALYZE", table, "");
}
