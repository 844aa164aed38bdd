/* What the log holds, how it is read, and what goes with time. */
#include "mail/log.h"

#include "base/clock.h"
#include "mail/fixture.h"

struct listing {
    struct scene *f;
    struct mail_log_query query;
    struct mail_log_entry *items;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return mail_log_list(t, &l->f->a, &l->query, &l->items, &l->n);
}

/* All pages of a query, as the recipients' first letters. */
static const char *letters(struct scene *f, struct mail_log_query query)
{
    static char out[100];
    struct listing l = {.f = f, .query = query};
    size_t n = 0;

    l.query.limit = 2;
    do {
        assert_done(store_read(f->node.store, list_job, &l));
        for (size_t i = 0; i < l.n; i++) {
            out[n++] = l.items[i].recipient.p[0];
            l.query.before = l.items[i].id;
        }
    } while (l.n == 2);
    out[n] = 0;
    return out;
}

static struct uuid queue_in(struct scene *f, const struct uuid *tenant, const char *address,
                            int64_t now)
{
    struct str to = str_of(address);

    return mail_queue_all(f, tenant, "t", &to, 1, now);
}

static void test_list(void **state)
{
    struct scene *f = *state;
    const struct uuid *tenants[] = {&f->tenant, &f->tenant, &f->other, &f->tenant, &f->other};
    const char *addresses[] = {"a@x.org", "b@x.org", "a@x.org", "d@x.org", "e@x.org"};
    struct mail_log_query all = {.state = MAIL_NO_STATE}, q;

    for (int i = 0; i < 5; i++) {
        char provider[] = {'p', (char)('0' + i), 0};
        struct uuid id = queue_in(f, tenants[i], addresses[i], NOW + i * 10);
        if (i != 3)
            mail_hand_over(f, &id, provider, NOW + 100);
    }
    mail_apply_one(f, mail_bounce("p1", "b@x.org", NOW + 200));
    mail_apply_one(f, mail_bounce("p4", "e@x.org", NOW + 200));
    assert_string_equal(letters(f, all), "edaba");
    q = all;
    q.tenant = &f->tenant;
    assert_string_equal(letters(f, q), "dba");
    q.state = MAIL_BOUNCED;
    assert_string_equal(letters(f, q), "b");
    q.tenant = NULL;
    assert_string_equal(letters(f, q), "eb");
    q = all;
    q.recipient = STR("a@x.org");
    assert_string_equal(letters(f, q), "aa");
    q.tenant = &f->other;
    assert_string_equal(letters(f, q), "a");
    q.state = MAIL_BOUNCED;
    assert_string_equal(letters(f, q), "");
    q = all;
    q.since = NOW + 10;
    q.until = NOW + 30;
    assert_string_equal(letters(f, q), "ab");
    q.state = MAIL_SENT;
    q.tenant = &f->other;
    assert_string_equal(letters(f, q), "a");
}

static int create_job(struct store_txn *t, void *arg)
{
    return mail_log_create(t, arg, NOW);
}

static void test_create(void **state)
{
    struct scene *f = *state;
    struct mail_recipient to[MAIL_RECIPIENTS_MAX + 1] = {
        {.address = STR("a@x.org"), .user_id = f->tenant},
        {.address = STR("b@x.org"), .state = MAIL_SUPPRESSED, .code = STR("complaint")},
        {.address = STR("c@y.org"), .state = MAIL_REJECTED, .code = STR("5.0.0")}};
    struct mail_message message = {.id = uuid_new(),
                                   .tenant_id = f->tenant,
                                   .template_name = STR("t"),
                                   .subject = STR("Hello"),
                                   .transport = STR("ses"),
                                   .recipients = to,
                                   .n = MAIL_RECIPIENTS_MAX + 1};
    struct store *s = f->node.store;

    assert_int_equal(store_write(s, create_job, &message), FAULT_INTERNAL);
    message.n = 4;
    assert_int_equal(store_write(s, create_job, &message), FAULT_INTERNAL); /* no address */
    to[3] = (struct mail_recipient){.address = STR("d@x.org"), .state = MAIL_DELIVERED};
    assert_int_equal(store_write(s, create_job, &message), FAULT_INTERNAL);
    message.n = 3;
    assert_done(store_write(s, create_job, &message));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs WHERE state = 'queued'"
                                     " AND user_id IS NOT NULL AND provider_id IS NULL"),
                     1);
    assert_int_equal(mail_hand_over(f, &message.id, "p", NOW + 7), 1);
    assert_int_equal(mail_hand_over(f, &message.id, "q", NOW + 8), 0);
    mail_apply_one(f, mail_bounce("p", "b@x.org", NOW));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs WHERE state = 'suppressed'"
                                     " AND error_code = 'complaint'"),
                     1);
    assert_int_equal(
        scene_number(f, "SELECT sum(suppressed) FROM email_figures WHERE kind = 2 AND span = 300000"
                        " AND name = 'x.org'"),
        1);
    mail_assert_counters(f);
}

struct refusing {
    struct uuid message_id;
    const char *recipient;
    struct mail_settlement what;
    int64_t rows;
};

static int refuse_job(struct store_txn *t, void *arg)
{
    struct refusing *r = arg;

    return mail_settle_message(t, &r->message_id, r->recipient, &r->what, &r->rows);
}

static void test_refuse(void **state)
{
    struct scene *f = *state;
    const struct str to[] = {STR("a@x.org"), STR("b@x.org"), STR("c@x.org")};
    struct uuid id = mail_queue_all(f, &f->tenant, "t", to, 3, NOW);
    struct refusing r = {
        .message_id = id,
        .recipient = "b@x.org",
        .what = {
            .state = MAIL_REJECTED, .code = STR("5.7.1"), .detail = STR("550 no"), .at = NOW + 3}};

    assert_done(store_write(f->node.store, refuse_job, &r));
    assert_int_equal(r.rows, 1);
    r.recipient = "";
    r.what.state = MAIL_BOUNCED;
    assert_int_equal(store_write(f->node.store, refuse_job, &r), FAULT_INTERNAL);
    r.what.state = MAIL_SUPPRESSED;
    assert_done(store_write(f->node.store, refuse_job, &r));
    assert_int_equal(r.rows, 2);
    assert_int_equal(mail_hand_over(f, &id, "p", NOW), 0);
    assert_int_equal(
        scene_number(f, "SELECT sum(bounced + rejected + suppressed + delayed) FROM email_figures"
                        " WHERE kind = 4 AND span = 86400000"),
        3);
    mail_assert_counters(f);
}

struct reaping {
    int64_t before, limit, removed;
};

static int reap_job(struct store_txn *t, void *arg)
{
    struct reaping *r = arg;

    return mail_log_reap(t, r->before, r->limit, &r->removed);
}

static void test_reap(void **state)
{
    struct scene *f = *state;
    struct reaping r = {.before = NOW + 3, .limit = 2};

    for (int i = 0; i < 5; i++) {
        char provider[] = {'p', (char)('0' + i), 0};
        struct uuid id = mail_queue(f, "a@x.org", NOW + i);
        mail_hand_over(f, &id, provider, NOW);
        mail_apply_one(f, mail_delivery(provider, "a@x.org", NOW)); /* which came at NOW */
    }
    assert_done(store_write(f->node.store, reap_job, &r));
    assert_int_equal(r.removed, 4);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs"), 3);
    assert_done(store_write(f->node.store, reap_job, &r));
    assert_int_equal(r.removed, 3);
    r.before = NOW;
    assert_done(store_write(f->node.store, reap_job, &r));
    assert_int_equal(r.removed, 0);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs"), 2);
    assert_int_equal(
        scene_number(f,
                     "SELECT sum(delivered) FROM email_figures WHERE kind = 1 AND span = 300000"),
        5);
}

/* How many counters were not written in the order that all keep, where each was written once. */
static const char misplaced_sql[] =
    "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY ctid) AS written,"
    " row_number() OVER (ORDER BY tenant_id, kind, name COLLATE \"C\", bucket - bucket % 86400000,"
    " CASE span WHEN 86400000 THEN 0 ELSE bucket - bucket % 3600000 END,"
    " CASE span WHEN 300000 THEN bucket ELSE 0 END) AS wanted FROM email_figures) o"
    " WHERE written <> wanted";

enum { MESSAGES = 5 };

static int create_all_job(struct store_txn *t, void *arg)
{
    const int64_t at[MESSAGES] = {NOW + 3 * CLOCK_HOUR, NOW, NOW + CLOCK_HOUR, NOW - 2 * CLOCK_DAY,
                                  NOW};

    return mail_log_create_all(t, arg, at, MESSAGES);
}

/* A day before its hours, an hour before its five minutes, and the next when those are done. */
static void test_order_of_counters(void **state)
{
    struct scene *f = *state;
    struct mail_recipient to[] = {
        {.address = STR("a@z.org")}, {.address = STR("a@b.org")}, {.address = STR("c@b.org")}};
    struct mail_message messages[MESSAGES];

    mail_queue(f, "a@x.org", NOW);
    assert_int_equal(scene_number(f, misplaced_sql), 0);
    scene_run(f, "DELETE FROM email_figures", NO_PARAMS);
    for (int i = 0; i < MESSAGES; i++)
        messages[i] = (struct mail_message){.id = uuid_new(),
                                            .tenant_id = i % 2 ? f->other : f->tenant,
                                            .template_name = i ? STR("b") : STR("a"),
                                            .subject = STR(""),
                                            .transport = STR("ses"),
                                            .recipients = to,
                                            .n = 3};
    assert_done(store_write(f->node.store, create_all_job, messages));
    /* Two days each, of which one has two hours of the first tenant's. */
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_figures WHERE kind = 1"), 8 + 6);
    assert_int_equal(scene_number(f, misplaced_sql), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_list),
        SCENE_BOTH(test_create),
        FIXTURE_ON_POSTGRES(test_order_of_counters, scene),
        SCENE_BOTH(test_refuse),
        SCENE_BOTH(test_reap),
    };

    return FIXTURE_RUN(tests);
}
