#include "mail/outbox.h"

#include "base/fault.h"
#include "base/log.h"
#include "mail/outbox_content.h"
#include "mail/outbox_turn.h"

#include <pthread.h>

enum {
    TICK_MS = CLOCK_SECOND,
    COUNT_MS = 10 * CLOCK_SECOND,  /* between looks at how much waits */
    PAUSE_MS = CLOCK_SECOND,       /* the first; doubled for each further */
    ENDING_MS = 10 * CLOCK_SECOND, /* how long the end tries to write what was handed over */
    FAULTS_MAX = 10
};

static const char due_sql[] = "SELECT 1 FROM email_outbox WHERE next_at <= $1 LIMIT 1";
static const char count_sql[] = "SELECT count(*), min(created_at) FROM email_outbox";

struct worker {
    struct outbox *o;
    pthread_t thread;
    bool running;
    enum outbox_slot_state state; /* the slot's is how the other thread last saw it */
    struct outbox_slot slot;      /* the sender's while it works, else the other thread's */
};

struct outbox {
    struct mail *m;
    struct transport *transport;
    char node[OUTBOX_NODE_SIZE];
    pthread_t thread; /* gives the senders work */
    bool running;

    pthread_mutex_t lock; /* over what follows, and the states of the senders */
    pthread_cond_t work;  /* for the senders */
    pthread_cond_t news;  /* for the thread above: a report, a wake, an end */
    bool awake, draining, over;

    struct worker *workers;
    size_t n;

    /* Of the thread above. */
    bool in_doubt, failing, paused;
    int64_t pause_ms, paused_until, count_at; /* by the monotonic clock */

    struct metric_counter handovers[OUTBOX_RESULTS];
    _Atomic uint64_t in_flight, waiting;
    _Atomic int64_t oldest_at;
};

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

/* What a provider said goes into the store, which takes text alone. */
static void clean(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* A copy that was not even tried: nothing of it is on its way. */
static void report_fault(struct outbox_report *report, const char *code, const char *text)
{
    transport_fates_set(&report->fate, 1, TRANSPORT_TEMPORARY, str_of(code), str_of(text));
    report->fate.general = true;
}

static int hand_over(struct outbox *o, const struct outbox_task *task, struct str mime,
                     struct str message_id, struct outbox_report *report)
{
    struct str to = str_of(task->recipient);
    struct transport_message message = {.id = task->message_id,
                                        .tenant_id = task->tenant_id,
                                        .message_id = message_id,
                                        .template_name = str_of(task->template_name),
                                        .from = str_of(o->m->sender.address),
                                        .recipients = &to,
                                        .n = 1,
                                        .mime = mime};

    return o->transport->kind->send(o->transport, &message, report->provider_id, &report->fate);
}

/* Returns 0 with the report, or a fault: then nothing was handed over. */
static int send_copy(struct outbox *o, struct outbox_slot *slot, struct outbox_report *report)
{
    struct buf plain _cleanup_buf_ = buf_secret(OUTBOX_BODY_MAX);
    struct buf mime _cleanup_buf_ = buf_secret(MIME_MESSAGE_MAX);
    const struct outbox_task *task = &slot->task;
    char message_id[OUTBOX_MESSAGE_ID_SIZE];
    struct outbox_content content;
    struct mime_problem problem;
    int r =
        outbox_content_open(&o->m->seal, &task->message_id, buf_str(&slot->body), &plain, &content);

    if (r > 0) {
        transport_fates_set(&report->fate, 1, TRANSPORT_TEMPORARY, STR("sealed"),
                            STR("sealed under a key that is not among ENCRYPTION_RETIRED_KEYS"));
        return 0;
    }
    struct outbox_copy copy = {.tenant_id = task->tenant_id,
                               .log_id = task->log_id,
                               .to = str_of(task->recipient),
                               .accepted_at = task->accepted_at,
                               .content = &content};
    if (r == 0)
        r = outbox_content_write(o->m, &copy, &mime, message_id, &problem);
    if (r > 0) {
        transport_fates_set(&report->fate, 1, TRANSPORT_PERMANENT, STR("malformed"),
                            str_of(problem.field));
        return 0;
    }
    return r ? r : hand_over(o, task, buf_str(&mime), str_of(message_id), report);
}

static void count_fate(struct outbox *o, const struct transport_fate *fate)
{
    static const enum outbox_result results[] = {
        [TRANSPORT_ACCEPTED] = OUTBOX_ACCEPTED,
        [TRANSPORT_TEMPORARY] = OUTBOX_TEMPORARY,
        [TRANSPORT_PERMANENT] = OUTBOX_PERMANENT,
        [TRANSPORT_UNCERTAIN] = OUTBOX_UNCERTAIN,
    };

    metric_add(&o->handovers[results[fate->result]], 1);
}

static void work_on(struct outbox *o, struct outbox_slot *slot)
{
    struct outbox_report report = {{0}};

    if (slot->task.lost) {
        transport_fates_set(&report.fate, 1, TRANSPORT_UNCERTAIN, STR(OUTBOX_CODE_UNCERTAIN),
                            STR("the server ended in the middle of the handover"));
    } else {
        int r = send_copy(o, slot, &report);
        if (r)
            report_fault(&report, fault_name(r), fault_message());
    }
    clean(report.fate.code);
    clean(report.fate.text);
    clean(report.provider_id);
    report.at = clock_now();
    count_fate(o, &report.fate);
    slot->report = report;
}

static void *send_all(void *arg)
{
    struct worker *s = arg;
    struct outbox *o = s->o;

    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (s->state != OUTBOX_SLOT_WORKING && !o->over)
            pthread_cond_wait(&o->work, &o->lock);
        if (s->state != OUTBOX_SLOT_WORKING)
            break;
        pthread_mutex_unlock(&o->lock);
        work_on(o, &s->slot);
        pthread_mutex_lock(&o->lock);
        s->state = OUTBOX_SLOT_REPORTED;
        atomic_fetch_sub(&o->in_flight, 1);
        pthread_cond_signal(&o->news);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
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

/* Gives the senders what the turn chose for them. */
static void hand_out(struct outbox *o, const struct outbox_turn *turn)
{
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->n; i++) {
        struct worker *s = &o->workers[i];
        if (s->slot.state == OUTBOX_SLOT_WORKING)
            continue;
        s->state = outbox_slot_advance(&s->slot) ? OUTBOX_SLOT_WORKING : OUTBOX_SLOT_IDLE;
        atomic_fetch_add(&o->in_flight, s->state == OUTBOX_SLOT_WORKING);
    }
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
    if (turn->ret_expired)
        log_warn("%lld messages were not taken within %d days and are given up",
                 (long long)turn->ret_expired, OUTBOX_GIVE_UP_MS / CLOCK_DAY);
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
    r = store_write(o->m->store, outbox_turn_job, &turn);
    o->in_doubt = r != 0;
    if (r == 0)
        hand_out(o, &turn);
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

/* Until there may be something to do; only until time is over where the store just failed. */
static void wait_for_news(struct outbox *o)
{
    struct timespec until = after_ms(TICK_MS);
    int r = 0;

    pthread_mutex_lock(&o->lock);
    while (r == 0 && (o->failing || (!o->awake && count_slots(o, OUTBOX_SLOT_REPORTED) == 0 &&
                                     !(o->draining && count_slots(o, OUTBOX_SLOT_WORKING) == 0))))
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

static void *keep_going(void *arg)
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

static int start_threads(struct outbox *o)
{
    for (size_t i = 0; i < o->n; i++) {
        struct worker *s = &o->workers[i];
        s->o = o;
        outbox_slot_init(&s->slot);
        s->running = pthread_create(&s->thread, NULL, send_all, s) == 0;
        if (!s->running)
            return fault_set(FAULT_INTERNAL, "no thread for the outbox");
    }
    o->running = pthread_create(&o->thread, NULL, keep_going, o) == 0;
    return o->running ? 0 : fault_set(FAULT_INTERNAL, "no thread for the outbox");
}

static void set_up_locks(struct outbox *o)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&o->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int outbox_start(struct mail *m, struct transport *transport, size_t senders, struct outbox **ret)
{
    struct outbox *o = calloc(1, sizeof *o);
    struct uuid node = uuid_new();

    if (!o)
        return fault_set(FAULT_MEMORY, "no memory for the outbox");
    o->m = m;
    o->transport = transport;
    o->n = senders < OUTBOX_SENDERS_MAX ? senders : OUTBOX_SENDERS_MAX;
    uuid_format(&node, o->node);
    set_up_locks(o);
    o->workers = calloc(o->n, sizeof *o->workers);
    int r = o->workers ? start_threads(o) : fault_set(FAULT_MEMORY, "no memory for the outbox");
    if (r) {
        outbox_stop(o);
        return r;
    }
    *ret = o;
    return 0;
}

void outbox_wake(struct outbox *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->awake = true;
    pthread_cond_signal(&o->news);
    pthread_mutex_unlock(&o->lock);
}

void outbox_drain(struct outbox *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->draining = true;
    pthread_cond_signal(&o->news);
    pthread_mutex_unlock(&o->lock);
}

void outbox_stop(struct outbox *o)
{
    if (!o)
        return;
    outbox_drain(o);
    if (o->running)
        pthread_join(o->thread, NULL);
    pthread_mutex_lock(&o->lock);
    o->over = true;
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
    for (size_t i = 0; o->workers && i < o->n; i++) {
        if (o->workers[i].running)
            pthread_join(o->workers[i].thread, NULL);
        outbox_slot_release(&o->workers[i].slot);
    }
    pthread_cond_destroy(&o->news);
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o->workers);
    free(o);
}

void outbox_stats(struct outbox *o, struct outbox_stats *ret_stats)
{
    for (int i = 0; i < OUTBOX_RESULTS; i++)
        ret_stats->handovers[i] = metric_value(&o->handovers[i]);
    ret_stats->in_flight = atomic_load(&o->in_flight);
    ret_stats->waiting = atomic_load(&o->waiting);
    ret_stats->oldest_at = atomic_load(&o->oldest_at);
}
