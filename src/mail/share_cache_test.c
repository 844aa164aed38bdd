/* What is kept is what would be read, whatever happens meanwhile; and little is read again. */
#include "mail/share_cache.h"

#include "mail/fixture.h"
#include "mail/moves.h"
#include "mail/share_merge.h"

#define HOUR ((int64_t)CLOCK_HOUR)
#define START (NOW - NOW % HOUR)

struct comparing {
    struct scene *f;
    struct share_kept *cache;
    struct mail_window window;
    enum mail_group group;
    size_t limit, n;
};

static int compare_job(struct store_txn *t, void *arg)
{
    struct comparing *c = arg;
    _cleanup_arena_ struct arena a = arena_init(32 << 20);
    const struct mail_ranking by = {c->group, MAIL_MOST_SENT, c->limit};
    struct mail_share *kept = NULL, *read = NULL;
    size_t n_kept = 0, n_read = 0;
    int r = share_cache_read(c->cache, t, &a, &c->window, &by, &kept, &n_kept);

    if (r == 0)
        r = mail_metrics_shares(t, &a, &c->window, &by, &read, &n_read);
    if (r)
        return r;
    assert_int_equal(n_kept, n_read);
    c->n = n_kept;
    for (size_t i = 0; i < n_kept; i++) {
        assert_true(str_eq(kept[i].name, read[i].name));
        assert_memory_equal(&kept[i].counts, &read[i].counts, sizeof kept[i].counts);
    }
    return 0;
}

/* Each tenant's and all, by both groups, over windows that begin and end anywhere in an hour. */
static void compare(struct scene *f, struct share_kept *cache)
{
    const struct uuid *tenants[] = {&f->tenant, &f->other, NULL};
    struct comparing c = {.f = f, .cache = cache, .limit = 3};

    for (int i = 0; i < 12; i++) {
        int64_t since = START - 3 * HOUR + i % 4 * MAIL_BUCKET_MS;
        c.group = i % 2 ? MAIL_BY_TEMPLATE : MAIL_BY_DOMAIN;
        c.window =
            mail_window(tenants[i % 3], since, since + (i + 1) * HOUR / 2, 0, START + 3 * HOUR);
        assert_done(store_read(f->node.store, compare_job, &c));
    }
}

static uint64_t read_so_far(struct share_kept *cache)
{
    uint64_t kept, read;

    share_kept_stats(cache, &kept, &read);
    return read;
}

static void send_one(struct scene *f, int i, int64_t at)
{
    static const char *const templates[] = {"", "a", "b"};
    char address[64], provider[32];
    struct str to = {address, 0};

    to.n = (size_t)snprintf(address, sizeof address, "u@d%d.org", i % 5);
    snprintf(provider, sizeof provider, "p%d", i);
    struct uuid id =
        mail_queue_all(f, i % 3 ? &f->tenant : &f->other, templates[i % 3], &to, 1, at);
    mail_hand_over(f, &id, provider, at);
}

static void test_same(void **state)
{
    struct scene *f = *state;
    struct share_kept *cache;

    assert_done(share_kept_new(&cache));
    compare(f, cache);
    for (int i = 0; i < 40; i++)
        send_one(f, i, START - 3 * HOUR + i * 7 * (int64_t)CLOCK_MINUTE);
    compare(f, cache);
    uint64_t read = read_so_far(cache);
    compare(f, cache);
    assert_int_equal(read_so_far(cache), read);
    /* Two changes of one bucket that cancel out in no sum, one that is told again, and a new row.
     */
    mail_apply_one(f, mail_bounce("p7", "u@d2.org", NOW));
    compare(f, cache);
    assert_true(read_so_far(cache) > read);
    mail_apply_one(f, mail_delivery("p8", "u@d3.org", NOW));
    mail_apply_one(f, mail_complaint("p7", "u@d2.org", NOW + 1));
    compare(f, cache);
    read = read_so_far(cache);
    mail_apply_one(f, mail_complaint("p7", "u@d2.org", NOW + 1));
    compare(f, cache);
    assert_int_equal(read_so_far(cache), read);
    send_one(f, 100, START);
    compare(f, cache);
    share_kept_free(cache);
}

/* Of a long window, whole days are kept. */
static void test_long(void **state)
{
    struct scene *f = *state;
    struct comparing c = {.f = f, .limit = 10};

    assert_done(share_kept_new(&c.cache));
    for (int day = 0; day < 3; day++)
        for (int i = 0; i < 3; i++)
            send_one(f, day * 3 + i, START - day * 24 * HOUR + i * HOUR);
    c.window = mail_window(NULL, START - 700 * 24 * HOUR, START - START % (24 * HOUR), 0, START);
    for (int i = 0; i < 2; i++) {
        assert_done(store_read(f->node.store, compare_job, &c));
        assert_int_equal(read_so_far(c.cache), 2);
    }
    share_kept_free(c.cache);
    share_kept_free(NULL);
}

/* So many groups are summed by the store, as they are too many to be put together here. */
static void test_many(void **state)
{
    struct scene *f = *state;
    struct comparing c = {.f = f, .limit = 10};
    int64_t hour = START - HOUR;

    assert_done(share_kept_new(&c.cache));
    for (int more = 0; more < 2; more++) {
        scene_run(
            f,
            "WITH RECURSIVE s(n) AS (SELECT $3 UNION ALL SELECT n + 1 FROM s WHERE n < $4)"
            " INSERT INTO email_figures SELECT $1, 2, 3600000, $2, 'd' || n, n, 0, 0, 0, 0, 0,"
            " 0, 0, 0, 0 FROM s",
            PARAMS(P_ID(&f->tenant), P_INT(hour), P_INT(more ? SHARE_MERGE_MAX : 1),
                   P_INT(SHARE_MERGE_MAX - 1 + more)));
        scene_run(
            f,
            "INSERT INTO email_figures SELECT $1, 1, 3600000, $2, '', sum(queued), 0, 0, 0, 0,"
            " 0, 0, 0, 0, 0 FROM email_figures WHERE kind = 2 ON CONFLICT (tenant_id, kind,"
            " span, bucket, name) DO UPDATE SET queued = excluded.queued",
            PARAMS(P_ID(&f->tenant), P_INT(hour)));
        c.window = mail_window(&f->tenant, hour, START, 0, START + 9 * 24 * HOUR);
        assert_int_equal(c.window.span, HOUR);
        assert_done(store_read(f->node.store, compare_job, &c));
        assert_int_equal(c.n, 10);
    }
    share_kept_free(c.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_same), SCENE_BOTH(test_long),
                                       SCENE_BOTH(test_many)};

    return FIXTURE_RUN(tests);
}
