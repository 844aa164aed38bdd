/* The feed: numbers in the order of the commits, followed by every node, never begun again. */
#include "sessions/feed.h"

#include "base/clock.h"
#include "sessions/scene.h"

#include <stdatomic.h>

enum { THREADS = 6, APPENDS = 25 };

struct appending {
    struct scene *f;
    const struct uuid *id;
    int64_t expires_at;
    int (*append)(struct store_txn *t, const struct uuid *id, int64_t now, int64_t expires_at);
};

static int append_job(struct store_txn *t, void *arg)
{
    struct appending *a = arg;

    if (!a->append)
        return feed_all(t, NOW, a->expires_at);
    return a->append(t, a->id, NOW, a->expires_at);
}

static void append(struct scene *f, const struct uuid *id, int64_t expires_at,
                   int (*how)(struct store_txn *, const struct uuid *, int64_t, int64_t))
{
    struct appending a = {f, id, expires_at, how};

    assert_done(store_write(f->node.store, append_job, &a));
}

/* The numbers of one reader's look at the feed. */
struct looking {
    int64_t after, count, last;
};

static int look_job(struct store_txn *t, void *arg)
{
    struct looking *l = arg;
    struct store_rows *rows _cleanup_rows_ = NULL;
    int r = store_query(t, "SELECT seq FROM feed WHERE seq > $1 ORDER BY seq", &rows,
                        PARAMS(P_INT(l->after)));

    l->count = 0;
    l->last = l->after;
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        l->count++;
        l->last = store_col_int(rows, 0);
        r = 0;
    }
    return r;
}

static void *append_many(void *arg)
{
    struct scene *f = arg;

    for (int i = 0; i < APPENDS; i++) {
        struct uuid id = uuid_new();
        struct appending a = {f, &id, NOW + 1000, feed_family};
        if (store_write(f->node.store, append_job, &a))
            abort();
    }
    return NULL;
}

struct reader {
    struct scene *f;
    atomic_bool stop;
    int64_t seen;
};

static void *read_along(void *arg)
{
    struct reader *reader = arg;
    struct looking l = {0};
    bool last_look;

    do {
        last_look = atomic_load(&reader->stop);
        if (store_read(reader->f->node.store, look_job, &l))
            abort();
        reader->seen += l.count;
        l.after = l.last;
    } while (!last_look);
    return NULL;
}

/* Who has seen a number has seen all before it: a reader that goes by numbers misses nothing. */
static void test_order_is_that_of_commits(void **state)
{
    struct scene *f = *state;
    struct reader reader = {.f = f};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, read_along, &reader), 0);
    fixture_parallel(THREADS, append_many, f);
    atomic_store(&reader.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(reader.seen, THREADS * APPENDS);
}

/* What a listener was told. */
struct heard {
    _Atomic int families, users, all;
    struct uuid family, user;
};

static void hear_family(void *context, const struct uuid *id)
{
    struct heard *h = context;

    h->family = *id;
    atomic_fetch_add(&h->families, 1);
}

static void hear_user(void *context, const struct uuid *id)
{
    struct heard *h = context;

    if (!id) {
        atomic_fetch_add(&h->all, 1);
        return;
    }
    h->user = *id;
    atomic_fetch_add(&h->users, 1);
}

static void put_account(struct gate *g, const struct uuid *id)
{
    struct gate_account a = {.user_id = *id};

    assert_done(gate_account_put(g, gate_account_ticket(g, id), &a));
}

static bool holds_account(struct gate *g, const struct uuid *id)
{
    struct gate_account a;

    return gate_account_find(g, id, &a) == 0;
}

static void test_follower_sees_others(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct heard heard = {0};
    struct feed_listener listener = {&heard, hear_family, hear_user};
    struct uuid before = uuid_new(), family = uuid_new(), user = uuid_new(), third = uuid_new();
    int64_t later = clock_now() + CLOCK_HOUR;

    append(f, &before, later, feed_family);
    assert_false(sessions_fresh(other.s));
    assert_done(sessions_follow(other.s, &listener));
    assert_true(sessions_fresh(other.s));
    assert_true(gate_family_ended(other.s->gate, &before));

    append(f, &family, later, feed_family);
    fixture_await(atomic_load(&heard.families) == 2);
    assert_true(gate_family_ended(other.s->gate, &family));
    assert_true(uuid_eq(&heard.family, &family));

    put_account(other.s->gate, &user);
    put_account(other.s->gate, &third);
    append(f, &user, later, feed_user);
    fixture_await(atomic_load(&heard.users) == 1);
    assert_false(holds_account(other.s->gate, &user));
    assert_true(holds_account(other.s->gate, &third));

    append(f, NULL, later, NULL);
    fixture_await(atomic_load(&heard.all) == 1);
    assert_false(holds_account(other.s->gate, &third));
    scene_node_close(&other);
}

/* An entry of a kind that a newer node writes makes us look at all again. */
static void test_unknown_kind(void **state)
{
    struct scene *f = *state;
    struct uuid user = uuid_new();
    struct heard heard = {0};
    struct feed_listener listener = {&heard, hear_family, hear_user};

    put_account(f->s->gate, &user);
    scene_run(f, "INSERT INTO feed (at, kind, expires_at) VALUES (1, 'moon', 9999999999999)",
              NO_PARAMS);
    assert_done(sessions_follow(f->s, &listener));
    assert_int_equal(atomic_load(&heard.all), 1);
    assert_false(holds_account(f->s->gate, &user));
}

/* Entries of the test are from NOW; limit 0 is 100. */
static int64_t reap(struct scene *f, struct feed_reaper *reaper, int64_t after, int64_t mono,
                    int64_t limit)
{
    struct feed_reaping what = {NOW + after, mono, 100, limit ? limit : 100};
    int64_t deleted = -1;

    assert_done(feed_reap(f->node.store, reaper, &what, &deleted));
    return deleted;
}

static void test_reaping(void **state)
{
    struct scene *f = *state;
    struct uuid id = uuid_new();
    struct feed_reaper reaper = {false};

    assert_int_equal(reap(f, &reaper, 0, 5, 0), 0);
    for (int i = 1; i <= 10; i++)
        append(f, &id, NOW + i, feed_family);
    int64_t newest = scene_number(f, "SELECT max(seq) FROM feed");
    reaper.begun = false;
    assert_int_equal(reap(f, &reaper, 0, 1000, 0), 0);
    assert_int_equal(reap(f, &reaper, 0, 1050, 0), 0);
    assert_int_equal(reap(f, &reaper, 3, 1050, 2), 2);
    assert_int_equal(reap(f, &reaper, 3, 1050, 2), 1);
    /* However old, the newest stays: numbers never begin again. */
    assert_int_equal(reap(f, &reaper, 1000, 1050, 0), 6);
    assert_int_equal(scene_number(f, "SELECT max(seq) FROM feed"), newest);
    append(f, &id, NOW, feed_family);
    assert_true(scene_number(f, "SELECT max(seq) FROM feed") > newest);
    assert_int_equal(reap(f, &reaper, 1000, 1050, 0), 1);
}

/* A clock that leaps ahead makes no time pass: what an entry lives for has to be seen to pass. */
static void test_reaping_by_a_clock_that_leaps(void **state)
{
    struct scene *f = *state;
    const int64_t day = CLOCK_DAY;
    struct uuid id = uuid_new();
    struct feed_reaper reaper = {false};

    append(f, &id, NOW + 100, feed_family);
    append(f, &id, NOW + 300, feed_family);
    append(f, &id, NOW + 100, feed_family);
    assert_int_equal(reap(f, &reaper, day, 1000, 0), 0); /* a process that has just begun */
    assert_int_equal(reap(f, &reaper, day, 1099, 0), 0);
    append(f, &id, NOW + 50, feed_family); /* nobody has seen it yet */
    append(f, &id, NOW + 50, feed_family);
    assert_int_equal(reap(f, &reaper, day, 1100, 0), 2);
    assert_int_equal(reap(f, &reaper, day, 1101, 0), 0); /* but now */
    assert_int_equal(reap(f, &reaper, day, 1150, 0), 0);
    assert_int_equal(reap(f, &reaper, day, 1151, 0), 1);
    /* What lives for longer than is usual today is reaped by who has been there for as long. */
    assert_int_equal(reap(f, &reaper, day, 1299, 0), 0);
    assert_int_equal(reap(f, &reaper, 0, 1300, 0), 0); /* the clock is right again */
    assert_int_equal(reap(f, &reaper, day, 1300, 0), 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), 1);
}

/* In an older feed that was put in place, numbers that were seen are those of other entries. */
static void test_reaping_after_a_restore(void **state)
{
    struct scene *f = *state;
    struct uuid id = uuid_new();
    struct feed_reaper reaper = {false};

    for (int i = 0; i < 3; i++)
        append(f, &id, NOW + 100, feed_family);
    assert_int_equal(reap(f, &reaper, 0, 1000, 0), 0);
    scene_run(f, "DELETE FROM feed WHERE seq = (SELECT max(seq) FROM feed)", NO_PARAMS);
    assert_int_equal(reap(f, &reaper, 1000, 1500, 0), 0);
    assert_int_equal(reap(f, &reaper, 1000, 1599, 0), 0);
    assert_int_equal(reap(f, &reaper, 1000, 1600, 0), 1);
}

/* A node that starts while the clock is ahead forgets nothing when it is put back. */
static void test_follower_that_starts_ahead(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct uuid id = uuid_new();
    int64_t now = clock_now();

    append(f, &id, NOW + 15 * CLOCK_MINUTE, feed_family);
    scene_run(f, "UPDATE feed SET at = $1, expires_at = $2",
              PARAMS(P_INT(now), P_INT(now + 15 * CLOCK_MINUTE)));
    clock_shift(CLOCK_DAY);
    int r = sessions_follow(other.s, NULL);
    gate_reap(other.s->gate, clock_now());
    bool ahead = gate_family_ended(other.s->gate, &id);
    clock_shift(0);
    gate_reap(other.s->gate, clock_now());
    assert_done(r);
    assert_true(ahead);
    assert_true(gate_family_ended(other.s->gate, &id));
    scene_node_close(&other);
}

static void test_follower_over_a_reaping(void **state)
{
    struct scene *f = *state;
    struct scene_node other = scene_node_open(f);
    struct uuid first = uuid_new(), second = uuid_new();
    struct feed_reaper reaper = {false};
    int64_t later = clock_now() + CLOCK_HOUR;

    append(f, &first, 1, feed_family);
    append(f, &first, 1, feed_family);
    assert_done(sessions_follow(other.s, NULL));
    assert_int_equal(reap(f, &reaper, 0, 1000, 0), 0);
    assert_int_equal(reap(f, &reaper, 0, 1000, 0), 1);
    append(f, &second, later, feed_family);
    fixture_await(gate_family_ended(other.s->gate, &second));
    scene_node_close(&other);
}

/* A transaction that is given up leaves nothing to follow. */
static int abandoned_job(struct store_txn *t, void *arg)
{
    int r = feed_family(t, arg, NOW, NOW + 1);

    return r ? r : 7;
}

static void test_rolled_back(void **state)
{
    struct scene *f = *state;
    struct uuid id = uuid_new();

    assert_int_equal(store_write(f->node.store, abandoned_job, &id), 7);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM feed"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_order_is_that_of_commits),
        SCENE_BOTH(test_follower_sees_others),
        SCENE_BOTH(test_unknown_kind),
        SCENE_BOTH(test_reaping),
        SCENE_BOTH(test_reaping_by_a_clock_that_leaps),
        SCENE_BOTH(test_reaping_after_a_restore),
        SCENE_BOTH(test_follower_that_starts_ahead),
        SCENE_BOTH(test_follower_over_a_reaping),
        SCENE_BOTH(test_rolled_back),
    };
    return FIXTURE_RUN(tests);
}
