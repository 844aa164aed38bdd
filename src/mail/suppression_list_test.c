/* A page of the list: in order and without a gap, and no more is read than it holds. */
#include "mail/suppression_list.h"

#include "mail/plan_fixture.h"

enum { PAGE = 20, OTHERS = 3000, OWN = 60, SEARCHES = 3 };

static const struct uuid everywhere;

/* $1 rows of the tenant $2 for the reason $3, at each $4th address. */
#define NUMBERS                                                                                    \
    "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < "   \
    "$1)"
#define ADDRESS "'a' || CAST(1000000 + n * $4 AS TEXT) || '@x.org'"

static const char fill_sql[] =
    "INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by,"
    " expires_at) " NUMBERS " SELECT $2, " ADDRESS ", $3, 'import', '', 1, 'tester', NULL"
    " FROM numbers";
static const char reach_sql[] =
    "INSERT INTO suppression_tenants (tenant_id, address, reason) " NUMBERS " SELECT $2, " ADDRESS
    ", $3 FROM numbers";

static void fill(struct scene *f, const char *sql, const struct uuid *tenant,
                 enum suppression_reason reason, int64_t n, int64_t step)
{
    assert_int_equal(scene_run(f, sql,
                               PARAMS(P_INT(n), P_ID(tenant),
                                      P_TEXT(suppression_reason_name(reason)), P_INT(step))),
                     n);
}

/* Between all that others have, here and there an entry that is the tenant's or concerns it. */
static void fill_all(struct scene *f, int64_t others)
{
    fill(f, fill_sql, &everywhere, SUPPRESSION_BOUNCE, others, 1);
    fill(f, fill_sql, &everywhere, SUPPRESSION_COMPLAINT, others, 1);
    fill(f, fill_sql, &f->other, SUPPRESSION_MANUAL, others, 1);
    fill(f, reach_sql, &f->other, SUPPRESSION_BOUNCE, others, 1);
    fill(f, reach_sql, &f->other, SUPPRESSION_COMPLAINT, others, 1);
    fill(f, fill_sql, &f->tenant, SUPPRESSION_MANUAL, OWN, others / OWN);
    fill(f, fill_sql, &f->tenant, SUPPRESSION_BOUNCE, OWN, others / OWN);
    fill(f, reach_sql, &f->tenant, SUPPRESSION_BOUNCE, OWN, others / OWN);
    fill(f, reach_sql, &f->tenant, SUPPRESSION_COMPLAINT, OWN / 2, others / OWN);
}

struct reading {
    struct scene *f;
    struct suppression_query query;
    struct suppression *items;
    size_t n;
    const char *const *searches; /* that SQLite is to make, in their order */
    int64_t made;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct reading *r = arg;

    return suppression_list(t, &r->f->a, &r->query, &r->items, &r->n);
}

static int compare(const struct suppression *a, const struct suppression *b)
{
    int c = str_compare(a->address, b->address);

    if (c == 0)
        c = memcmp(&a->tenant_id, &b->tenant_id, sizeof a->tenant_id);
    return c ? c
             : str_compare(suppression_reason_name(a->reason), suppression_reason_name(b->reason));
}

/* How many a query gives, page by page. */
static size_t count(struct scene *f, const struct uuid *tenant, int reason)
{
    struct reading r = {.f = f, .query = {.tenant = tenant, .reason = reason, .limit = 7}};
    struct suppression last = {.address = STR("")};
    size_t n = 0;

    do {
        assert_done(store_read(f->node.store, list_job, &r));
        for (size_t i = 0; i < r.n; i++, n++) {
            assert_true(compare(&last, &r.items[i]) < 0);
            assert_true(reason < 0 || r.items[i].reason == (enum suppression_reason)reason);
            last = r.items[i];
        }
        r.query.after = &last;
    } while (r.n == 7);
    return n;
}

static void test_pages(void **state)
{
    struct scene *f = *state;

    fill_all(f, OWN * 2);
    assert_int_equal(count(f, &f->tenant, -1), OWN * 3 + OWN / 2);
    assert_int_equal(count(f, &f->tenant, SUPPRESSION_BOUNCE), OWN * 2);
    assert_int_equal(count(f, &f->tenant, SUPPRESSION_COMPLAINT), OWN / 2);
    assert_int_equal(count(f, &f->tenant, SUPPRESSION_PROVIDER), 0);
    assert_int_equal(count(f, &f->other, -1), OWN * 6);
    assert_int_equal(count(f, NULL, -1), OWN * 8);
    assert_int_equal(count(f, NULL, SUPPRESSION_MANUAL), OWN * 3);
}

/* Each table is searched by the index that it should be, and none is read from end to end. */
static void take_search(void *context, struct str line)
{
    struct reading *r = context;

    if (str_has_prefix(line, STR("SCAN of_tenant")) || str_has_prefix(line, STR("SCAN of_all")))
        return;
    assert_true(r->made < SEARCHES && r->searches[r->made]);
    if (!memmem(line.p, line.n, r->searches[r->made], strlen(r->searches[r->made])))
        fail_msg("%.*s: not %s", STR_ARG(line), r->searches[r->made]);
    r->made++;
}

#define BY_KEY "USING INDEX sqlite_autoindex_suppressions_1 ((address,tenant_id"

/* What reads a page, without a bound and within one, of all reasons and of one. */
static const struct {
    bool bound;
    int reason;
    const char *searches[SEARCHES];
} plans[] = {
    {false, -1, {BY_KEY ",reason)>(?,?,?))"}},
    {false,
     SUPPRESSION_BOUNCE,
     {"suppressions_by_reason ((reason,address,tenant_id)>(?,?,?) AND reason<?)"}},
    {true,
     -1,
     {"suppressions_by_tenant ((tenant_id,address)>(?,?) AND tenant_id<?)",
      "c USING PRIMARY KEY ((tenant_id,address)>(?,?) AND tenant_id<?)",
      BY_KEY ")>(?,?) AND (address,tenant_id)<(?,?))"}},
    {true,
     SUPPRESSION_BOUNCE,
     {"suppressions_by_tenant_reason ((tenant_id,reason,address)>(?,?,?)"
      " AND (tenant_id,reason)<(?,?))",
      "suppression_tenants_by_reason ((tenant_id,reason,address)>(?,?,?)"
      " AND (tenant_id,reason)<(?,?))",
      BY_KEY ")>(?,?) AND (address,tenant_id)<(?,?))"}},
    {true,
     SUPPRESSION_PROVIDER,
     {"suppressions_by_tenant_reason ", "suppression_tenants_by_reason ", BY_KEY}},
};

static void read_plans(struct scene *f)
{
    struct suppression middle = {.address = STR("a1001500@x.org"), .reason = SUPPRESSION_BOUNCE},
                       end = {.address = STR("a1002990@x.org"), .reason = SUPPRESSION_BOUNCE};
    const struct suppression *const depths[] = {NULL, &middle, &end};

    for (size_t i = 0; i < 3 * (sizeof plans / sizeof *plans); i++) {
        size_t k = i / 3;
        struct reading r = {.f = f,
                            .query = {.tenant = plans[k].bound ? &f->tenant : NULL,
                                      .reason = plans[k].reason,
                                      .valid_at = NOW,
                                      .after = depths[i % 3],
                                      .limit = PAGE},
                            .searches = plans[k].searches};
        struct suppression_statement s = suppression_statement(&r.query);
        struct plan plan = {.search = take_search, .context = &r};
        plan_explain(f, s.sql, s.params, s.n, &plan);
        if (plan.rows > SEARCHES * PAGE + 5)
            fail_msg("plan %zu, depth %zu: %lld rows are read", k, i % 3, (long long)plan.rows);
        if (!f->base->postgres)
            assert_true(r.made == SEARCHES || !plans[k].searches[r.made]);
        else if (i % 3 == 0 && plans[k].reason != SUPPRESSION_PROVIDER)
            assert_true(plan.rows >= PAGE);
    }
}

/* Whether the planner knows how much there is or not. */
static void test_plans(void **state)
{
    struct scene *f = *state;

    plan_hold_statistics(f, "suppressions");
    plan_hold_statistics(f, "suppression_tenants");
    fill_all(f, OTHERS);
    read_plans(f);
    if (!f->base->postgres)
        return;
    plan_take_statistics(f, "suppressions");
    plan_take_statistics(f, "suppression_tenants");
    read_plans(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_pages),
        SCENE_BOTH(test_plans),
    };

    return FIXTURE_RUN(tests);
}
