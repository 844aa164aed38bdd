#include "store/postgres.h"

#include "base/clock.h"
#include "base/fault.h"

struct timespec pg_timespec(int64_t ms)
{
    return (struct timespec){ms / 1000, ms % 1000 * 1000000L};
}

void pg_pool_init(struct pg_store *s)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->returned, &attr);
    pthread_condattr_destroy(&attr);
}

void pg_pool_release(struct pg_store *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->borrowed)
        pthread_cond_wait(&s->returned, &s->lock);
    pthread_mutex_unlock(&s->lock);
    while (s->idle) {
        struct pg_conn *c = s->idle;
        s->idle = c->next;
        pg_conn_close(c);
    }
    pthread_cond_destroy(&s->returned);
    pthread_mutex_destroy(&s->lock);
}

/*
 * While the server is down one caller at a time tries it, and not too often; all others are
 * turned away at once. Called with the lock held.
 */
static int may_connect(struct pg_store *s)
{
    if (s->down && (s->probing || clock_mono() < s->retry_at))
        return fault_set(FAULT_UNAVAILABLE, "postgresql is out of reach");
    s->probing = s->down;
    return 0;
}

static void connect_ended(struct pg_store *s, bool ok)
{
    pthread_mutex_lock(&s->lock);
    s->down = !ok;
    s->probing = false;
    if (ok) {
        s->backoff_ms = 0;
    } else {
        int twice = s->backoff_ms * 2;
        s->backoff_ms = twice < PG_BACKOFF_MIN_MS   ? PG_BACKOFF_MIN_MS
                        : twice > PG_BACKOFF_MAX_MS ? PG_BACKOFF_MAX_MS
                                                    : twice;
        s->retry_at = clock_mono() + s->backoff_ms;
        s->opened--;
        s->borrowed--;
        pthread_cond_signal(&s->returned);
    }
    pthread_mutex_unlock(&s->lock);
}

/* An idle connection, or NULL for leave to open one. */
static int reserve(struct pg_store *s, const struct timespec *until, struct pg_conn **ret)
{
    int error = 0, r = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->idle && s->opened >= s->base.pool && error == 0)
        error = pthread_cond_timedwait(&s->returned, &s->lock, until);
    struct pg_conn *c = s->idle;
    if (c)
        s->idle = c->next;
    else if (s->opened >= s->base.pool)
        r = fault_set(FAULT_UNAVAILABLE, "all %d connections are busy", s->base.pool);
    else
        r = may_connect(s);
    if (r == 0) {
        s->opened += !c;
        s->borrowed++;
    }
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        *ret = c;
    return r;
}

/* How long may be waited now, in ms. */
static int patience(const struct pg_store *s, int64_t until)
{
    int64_t left = until - clock_mono();

    return left < 0 ? 0 : left < s->base.timeout_ms ? (int)left : s->base.timeout_ms;
}

static int open_one(struct pg_store *s, int64_t until, struct pg_conn **ret)
{
    int r = pg_connect(s->url, patience(s, until), s->base.statement_ms, ret);

    connect_ended(s, r == 0);
    if (r == 0)
        atomic_fetch_add_explicit(&s->base.open, 1, memory_order_relaxed);
    return r;
}

static void put_back(struct pg_store *s, struct pg_conn *c)
{
    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = c;
    s->borrowed--;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
}

/*
 * Closes c, and with it those that are idle. What broke it has most likely broken them, and where a
 * silent network did, each would hold up whoever tries it for as long as this one did.
 */
static void discard(struct pg_store *s, struct pg_conn *c)
{
    int n = 1;

    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = NULL;
    for (const struct pg_conn *i = c->next; i; i = i->next)
        n++;
    s->opened -= n;
    s->borrowed--;
    atomic_fetch_sub_explicit(&s->base.open, (uint64_t)n, memory_order_relaxed);
    pthread_cond_broadcast(&s->returned);
    pthread_mutex_unlock(&s->lock);
    while (c) {
        struct pg_conn *next = c->next;
        pg_conn_close(c);
        c = next;
    }
}

void pg_pool_return(struct pg_store *s, struct pg_conn *c)
{
    atomic_fetch_sub_explicit(&s->base.busy, 1, memory_order_relaxed);
    if (c->broken)
        discard(s, c);
    else
        put_back(s, c);
}

int pg_pool_borrow(struct pg_store *s, int64_t until, struct pg_conn **ret)
{
    struct timespec by = pg_timespec(clock_mono() + patience(s, until));
    struct pg_conn *c;

    for (;;) {
        int r = reserve(s, &by, &c);
        if (r == 0 && !c)
            r = open_one(s, until, &c);
        if (r != 0)
            return r;
        c->until = until;
        atomic_fetch_add_explicit(&s->base.busy, 1, memory_order_relaxed);
        if (pg_conn_alive(c)) {
            *ret = c;
            return 0;
        }
        c->broken = true;
        pg_pool_return(s, c);
    }
}
