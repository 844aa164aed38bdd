/* What is kept is what would be read, whatever happens meanwhile; and little is read again. */
#include "mail/share_cache.h"

#include "mail/fixture.h"
#include "mail/moves.h"

#define HOUR ((int64_t)CLOCK_HOUR)
#define START (NOW - NOW % HOUR)

struct comparing {
    struct scene *f;
    struct share_cache *cache;
    struct mail_window window;
    enum mail_group group;
    size_t limit;
};

static int compare_job(struct store_txn *t, void *arg)
{
    struct comparing *c = arg;
    struct arena *a = &c->f->a;
    struct mail_share *kept = NULL, *read = NULL;
    size_t n_kept = 0, n_read = 0;
    int r = share_cache_read(c->cache, t, a, &c->window, c->group, c->limit, &kept, &n_kept);

    if (r == 0)
        r = mail_metrics_shares(t, a, &c->window, c->group, MAIL_MOST_SENT, c->limit, &read,
                                &n_read);
    if (r)
        return r;
    assert_int_equal(n_kept, n_read);
    for (size_t i = 0; i < n_kept; i++) {
        assert_true(str_eq(kept[i].name, read[i].name));
        assert_memory_equal(&kept[i].counts, &read[i].counts, sizeof kept[i].counts);
    }
    return 0;
}

/* Each tenant's and all, by both groups, over windows that begin and end anywhere in an hour. */
static void compare(struct scene *f, struct share_cache *cache)
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

static uint64_t read_so_far(struct share_cache *cache)
{
    uint64_t kept, read;

    share_cache_stats(cache, &kept, &read);
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
    struct share_cache *cache;

    assert_done(share_cache_new(&cache));
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
    share_cache_free(cache);
}

/* A window over more than is kept is read as ever. */
static void test_long(void **state)
{
    struct scene *f = *state;
    struct comparing c = {.f = f, .limit = 10};

    assert_done(share_cache_new(&c.cache));
    send_one(f, 1, START);
    c.window = mail_window(NULL, START - 40 * 24 * HOUR, START + HOUR, 0, START);
    assert_done(store_read(f->node.store, compare_job, &c));
    assert_int_equal(read_so_far(c.cache), 0);
    c.window = mail_window(NULL, START - 30 * 24 * HOUR, START + HOUR, 0, START);
    assert_done(store_read(f->node.store, compare_job, &c));
    assert_int_equal(read_so_far(c.cache), 1);
    share_cache_free(c.cache);
    share_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_same), SCENE_BOTH(test_long)};

    return FIXTURE_RUN(tests);
}
