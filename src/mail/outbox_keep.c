#include "base/fault.h"
#include "base/log.h"
#include "mail/outbox_internal.h"
#include "mail/outbox_round.h"

enum {
    TICK_MS = CLOCK_SECOND,
    COUNT_MS = 10 * CLOCK_SECOND,  /* between looks at how much waits */
    PAUSE_MS = CLOCK_SECOND,       /* the first; doubled for each further */
    GATHER_MAX_MS = 100,           /* for reports to come in together */
    ENDING_MS = 10 * CLOCK_SECOND, /* how long the end tries to write what was handed over */
};

static const char due_sql[] = "SELECT 1 FROM email_outbox WHERE next_at <= $1 LIMIT 1";
static const char count_sql[] = "SELECT count(*), min(created_at) FROM email_outbox";

static struct timespec after_ms(int64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* How many slots are in this state; the lock is held. */
static size_t count_slots(const struct outbox *o, enum outbox_slot_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < o->n; i++)
        n += o->workers[i].state == state;
    return n;
}

/* What the way looks like, by what was just tried: once it fails for all, it is looked at rarely.
 */
static void look_at_way(struct outbox *o)
{
    const struct transport_fate *bad = NULL;
    bool good = false;

    for (size_t i = 0; i < o->n; i++) {
        const struct outbox_slot *s = &o->workers[i].slot;
        if (s->state != OUTBOX_SLOT_REPORTED || s->task.lost)
            continue;
        if (s->report.fate.result == TRANSPORT_TEMPORARY && s->report.fate.general)
            bad = &s->report.fate;
        else
            good = true;
    }
    if (good && o->paused)
        log_info("mail can be handed over again");
    if (good) {
        o->paused = false;
        o->pause_ms = 0;
    } else if (bad) {
        if (!o->paused)
            log_warn("mail cannot be handed over: %s %s", bad->code, bad->text);
        o->paused = true;
        o->pause_ms = o->pause_ms ? o->pause_ms * 2 : PAUSE_MS;
        if (o->pause_ms > OUTBOX_PAUSE_MAX_MS)
            o->pause_ms = OUTBOX_PAUSE_MAX_MS;
        o->paused_until = clock_mono() + o->pause_ms;
    }
}

/* The next turn, of the slots as they are now. Senders that are at work go on meanwhile. */
static struct outbox_turn plan_turn(struct outbox *o, struct outbox_slot **slots)
{
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->n; i++) {
        slots[i] = &o->workers[i].slot;
        slots[i]->state = o->workers[i].state;
    }
    bool draining = o->draining;
    pthread_mutex_unlock(&o->lock);
    if (!o->in_doubt) /* else the reports were looked at already */
        look_at_way(o);
    bool goes_on = !draining && clock_mono() >= o->paused_until;
    return (struct outbox_turn){.node = o->node,
                                .sandbox = str_eq(str_of(o->transport->kind->name), STR("sandbox")),
                                .claims = goes_on ? o->n : 0,
                                .leaves = !goes_on,
                                .in_doubt = o->in_doubt,
                                .now = clock_now(),
                                .pause_ms = o->pause_ms ? o->pause_ms : PAUSE_MS,
                                .slots = slots,
                                .n = o->n};
}

/* Gives the senders what the round chose for them. */
static void hand_out(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->n; i++) {
        struct worker *s = &o->workers[i];
        if (s->slot.state == OUTBOX_SLOT_WORKING || s->slot.state == OUTBOX_SLOT_REPORTED)
            continue;
        s->state = s->slot.state == OUTBOX_SLOT_GIVEN ? OUTBOX_SLOT_WORKING : OUTBOX_SLOT_IDLE;
        atomic_fetch_add(&o->in_flight, s->state == OUTBOX_SLOT_WORKING);
    }
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
}

static int find_any(struct store_rows *rows, void *arg)
{
    int r = store_rows_next(rows);

    *(bool *)arg = r == 1;
    return r < 0 ? r : 0;
}

/* Whether a turn is worth its commit. */
static int has_work(struct outbox *o, bool *ret)
{
    pthread_mutex_lock(&o->lock);
    size_t reported = count_slots(o, OUTBOX_SLOT_REPORTED), idle = count_slots(o, OUTBOX_SLOT_IDLE);
    bool goes_on = !o->draining && clock_mono() >= o->paused_until;
    o->awake = false;
    pthread_mutex_unlock(&o->lock);
    *ret = reported > 0 || o->in_doubt;
    if (*ret || idle == 0 || !goes_on)
        return 0;
    return store_find(o->m->store, due_sql, find_any, ret, PARAMS(P_INT(clock_now())));
}

static int take_turn(struct outbox *o)
{
    struct outbox_slot *slots[OUTBOX_SENDERS_MAX];
    bool worth;
    int r = has_work(o, &worth);

    if (r || !worth)
        return r;
    struct outbox_turn turn = plan_turn(o, slots);
    int64_t began = clock_mono();
    size_t aside = 0;
    r = outbox_round(o->m->store, &turn, &aside);
    o->turn_ms = clock_mono() - began;
    o->in_doubt = turn.in_doubt;
    metric_add(&o->put_aside, aside);
    hand_out(o);
    if (turn.ret_expired)
        log_warn("%lld messages were not taken within %d days and are given up",
                 (long long)turn.ret_expired, OUTBOX_GIVE_UP_MS / CLOCK_DAY);
    return r;
}

struct counting {
    int64_t waiting, oldest_at;
};

static int read_count(struct store_rows *rows, void *arg)
{
    struct counting *c = arg;
    int r = store_rows_next(rows);

    *c = (struct counting){0};
    if (r == 1)
        *c = (struct counting){store_col_int(rows, 0), store_col_int(rows, 1)};
    return r < 0 ? r : 0;
}

static int count_waiting(struct outbox *o)
{
    struct counting c;

    if (clock_mono() < o->count_at)
        return 0;
    o->count_at = clock_mono() + COUNT_MS;
    int r = store_find(o->m->store, count_sql, read_count, &c, NO_PARAMS);
    if (r == 0) {
        atomic_store(&o->waiting, (uint64_t)c.waiting);
        atomic_store(&o->oldest_at, c.oldest_at);
    }
    return r;
}

/* A store that fails is told of when it begins to, and when it works again. */
static void tell(struct outbox *o, int r)
{
    if (r && !o->failing)
        log_fault("the outbox cannot be worked on", r);
    if (r == 0 && o->failing)
        log_info("the outbox is worked on again");
    o->failing = r != 0;
}

/* Whether there may be something to do; the lock is held. */
static bool has_news(const struct outbox *o)
{
    return o->awake || count_slots(o, OUTBOX_SLOT_REPORTED) > 0 ||
           (o->draining && count_slots(o, OUTBOX_SLOT_WORKING) == 0);
}

/*
 * Until there may be something to do; only until time is over where the store just failed. Then
 * the others' reports are waited for, for as long as a turn takes: those that just miss one turn
 * wait for all of it and the next.
 */
static void wait_for_news(struct outbox *o)
{
    struct timespec until = after_ms(TICK_MS);
    int r = 0;

    pthread_mutex_lock(&o->lock);
    while (r == 0 && (o->failing || !has_news(o)))
        r = pthread_cond_timedwait(&o->news, &o->lock, &until);
    until = after_ms(o->turn_ms < GATHER_MAX_MS ? o->turn_ms : GATHER_MAX_MS);
    while (r == 0 && count_slots(o, OUTBOX_SLOT_REPORTED) > 0 &&
           count_slots(o, OUTBOX_SLOT_WORKING) > 0)
        r = pthread_cond_timedwait(&o->news, &o->lock, &until);
    pthread_mutex_unlock(&o->lock);
}

/* Whether all is done; what cannot be written in time stays in flight, as after a crash. */
static bool is_over(struct outbox *o, int64_t *end_at)
{
    pthread_mutex_lock(&o->lock);
    bool draining = o->draining;
    bool idle = count_slots(o, OUTBOX_SLOT_IDLE) == o->n;
    bool working = count_slots(o, OUTBOX_SLOT_WORKING) > 0;
    pthread_mutex_unlock(&o->lock);
    if (!draining || working || !o->failing)
        *end_at = clock_mono() + ENDING_MS;
    if (draining && !idle && clock_mono() >= *end_at)
        log_error("what became of the last messages could not be written");
    return draining && (idle || clock_mono() >= *end_at);
}

void *outbox_keep_main(void *arg)
{
    struct outbox *o = arg;
    int64_t end_at = 0;

    while (!is_over(o, &end_at)) {
        int r = take_turn(o);
        if (r == 0)
            r = count_waiting(o);
        tell(o, r);
        wait_for_news(o);
    }
    return NULL;
}
