/* A page of the log is read along an index, whatever its filters and however deep it is. */
#include "mail/log.h"

#include "mail/plan_fixture.h"

enum { ROWS = 9000, PAGE = 20 };

static struct uuid id_of(size_t i)
{
    return mail_log_id_from(NOW + (int64_t)i);
}

/* Every third row is the second tenant's; of either's, every 50th bounced. */
static void put(const void *context, size_t i, struct store_param *p)
{
    const struct scene *f = context;
    static struct uuid id;

    id = id_of(i);
    p[0] = p[1] = P_ID(&id);
    p[2] = i % 3 ? P_ID(&f->tenant) : P_ID(&f->other);
    p[3] = P_TEXT(STR("a@x.org"));
    p[4] = P_TEXT(STR("x.org"));
    p[5] = P_TEXT((i / 3) % 50 ? STR("delivered") : STR("bounced"));
    p[6] = p[7] = P_INT(NOW + (int64_t)i);
    p[8] = p[9] = p[10] = p[12] = p[13] = P_TEXT(STR(""));
    p[11] = P_INT(0);
}

#define COLUMNS                                                                                    \
    "id, message_id, tenant_id, recipient, domain, state, created_at, state_at,"                   \
    " template, subject, transport, counted, error_code, detail"

static int fill_job(struct store_txn *t, void *arg)
{
    struct store_addition rows = {
        STORE_INTO("email_logs", COLUMNS,
                   "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14"),
        .columns = 14, .put = put, .rows = arg, .n = ROWS};

    return store_add(t, &rows);
}

static const char *wanted; /* what SQLite is to search by */

static void take_search(void *context, struct str line)
{
    if (!memmem(line.p, line.n, wanted, strlen(wanted)))
        fail_msg("%.*s: not %s", STR_ARG(line), wanted);
}

static const struct {
    bool tenant;
    enum mail_state state;
    const char *search;
} filters[] = {
    {false, MAIL_NO_STATE, "(id>? AND id<?)"},
    {false, MAIL_BOUNCED, "email_logs_by_state ((state,id)>(?,?) AND (state,id)<(?,?))"},
    {false, MAIL_REJECTED, "email_logs_by_state "},
    {true, MAIL_NO_STATE, "email_logs_by_tenant ((tenant_id,id)>(?,?) AND (tenant_id,id)<(?,?))"},
    {true, MAIL_BOUNCED,
     "email_logs_by_tenant_state (tenant_id=? AND (state,id)>(?,?) AND (state,id)<(?,?))"},
    {true, MAIL_REJECTED, "email_logs_by_tenant_state "},
};

static void read_plans(struct scene *f)
{
    const size_t depths[] = {ROWS, ROWS / 2, ROWS / 10};

    for (size_t i = 0; i < 3 * (sizeof filters / sizeof *filters); i++) {
        size_t k = i / 3;
        struct mail_log_query q = {.tenant = filters[k].tenant ? &f->tenant : NULL,
                                   .state = filters[k].state,
                                   .before = id_of(depths[i % 3]),
                                   .limit = PAGE};
        struct plan plan = {.search = take_search};
        struct mail_log_statement s;
        wanted = filters[k].search;
        mail_log_statement(&q, &s);
        plan_explain(f, s.sql, s.params, s.n, &plan);
        if (plan.rows > PAGE)
            fail_msg("filter %zu, depth %zu: %lld rows are read", k, i % 3, (long long)plan.rows);
        if (plan.pages > 2 * PAGE)
            fail_msg("filter %zu, depth %zu: %lld pages", k, i % 3, (long long)plan.pages);
        if (f->base->postgres && filters[k].state == MAIL_NO_STATE)
            assert_int_equal(plan.rows, PAGE);
    }
}

static void test_plans(void **state)
{
    struct scene *f = *state;

    plan_hold_statistics(f, "email_logs");
    assert_done(store_write(f->node.store, fill_job, f));
    plan_take_statistics(f, "email_logs");
    read_plans(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_plans)};

    return FIXTURE_RUN(tests);
}
