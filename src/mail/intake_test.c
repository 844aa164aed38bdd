/* Many requests in one transaction: each is told of its own, and none spoils another. */
#include "mail/intake.h"

#include "base/clock.h"
#include "mail/fixture.h"
#include "mail/ses_event.h"
#include "mail/sns.h"
#include "mail/sns_seen.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { REQUESTS_MAX = 64, ADDRESS_SIZE = 40 };

/* A request in line. */
struct sending {
    struct intake_ticket ticket; /* first */
    struct intake *intake;
    sem_t done;
};

/* Somebody who holds what all that changes mail takes, until they are let go. */
struct holding {
    struct store *store;
    pthread_t thread;
    sem_t held, let_go;
};

static int hold_job(struct store_txn *t, void *arg)
{
    struct holding *h = arg;
    int r = store_lock(t, STORE_LOCK_MAIL);

    sem_post(&h->held);
    while (r == 0 && sem_wait(&h->let_go))
        ;
    return r;
}

static void *hold_main(void *arg)
{
    struct holding *h = arg;

    assert_done(store_write(h->store, hold_job, h));
    return NULL;
}

static void hold(struct scene *f, struct holding *h)
{
    h->store = f->node.store;
    sem_init(&h->held, 0, 0);
    sem_init(&h->let_go, 0, 0);
    assert_int_equal(pthread_create(&h->thread, NULL, hold_main, h), 0);
    while (sem_wait(&h->held))
        ;
}

static void let_go(struct holding *h)
{
    sem_post(&h->let_go);
    pthread_join(h->thread, NULL);
    sem_destroy(&h->held);
    sem_destroy(&h->let_go);
}

static void note_done(struct intake_ticket *t)
{
    sem_post(&((struct sending *)t)->done);
}

static struct sending sending_of(struct intake *i, const struct mail_event *events, size_t n,
                                 const char *sns_message_id)
{
    return (struct sending){
        .ticket = {.request = {events, n, str_of(sns_message_id)}, .now = NOW, .done = note_done},
        .intake = i};
}

static void begin(struct sending *s)
{
    sem_init(&s->done, 0, 0);
    assert_done(intake_begin(s->intake, &s->ticket));
}

static void end(struct sending *s)
{
    while (sem_wait(&s->done))
        ;
    sem_destroy(&s->done);
}

/* Whether the holder and a batch are at the store. */
static bool is_writing(struct scene *f)
{
    struct store_stats stats;

    store_stats(f->node.store, &stats);
    return stats.writes_waiting + stats.connections_busy >= 2;
}

/* The first is being written, the others wait behind it in this order. */
static void line_up(struct scene *f, struct sending *all, size_t n)
{
    begin(&all[0]);
    fixture_await(is_writing(f));
    for (size_t i = 1; i < n; i++)
        begin(&all[i]);
}

/* The first alone, and the others in one batch. */
static void send_together(struct scene *f, struct sending *all, size_t n)
{
    struct holding h;

    hold(f, &h);
    line_up(f, all, n);
    let_go(&h);
    for (size_t i = 0; i < n; i++)
        end(&all[i]);
}

static struct intake_result submit(struct intake *i, const struct mail_event *events, size_t n,
                                   const char *sns_message_id)
{
    struct intake_request request = {events, n, str_of(sns_message_id)};
    struct intake_result result = {.accepted = -1};

    assert_done(intake_submit(i, &request, NOW, &result));
    return result;
}

static struct intake *new_intake(struct scene *f)
{
    struct intake *i = NULL;

    assert_done(intake_new(f->node.store, &i));
    return i;
}

#define assert_result(r, a, d, u)                                                                  \
    do {                                                                                           \
        assert_int_equal((r).accepted, a);                                                         \
        assert_int_equal((r).duplicates, d);                                                       \
        assert_int_equal((r).unmatched, u);                                                        \
    } while (0)

static void test_one(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    struct uuid id = mail_queue(f, "who@example.net", NOW);
    struct mail_event events[2] = {mail_bounce("p", "who@example.net", NOW),
                                   mail_bounce("elsewhere", "other@example.net", NOW)};
    struct intake_request many = {events, SES_RECIPIENTS_MAX + 1, STR("")};
    struct intake_result r;

    mail_hand_over(f, &id, "p", NOW);
    r = submit(i, events, 2, NULL);
    assert_result(r, 2, 0, 1);
    r = submit(i, events, 2, NULL);
    assert_result(r, 0, 2, 0);
    r = submit(i, NULL, 0, NULL);
    assert_result(r, 0, 0, 0);
    assert_int_equal(intake_submit(i, &many, NOW, &r), FAULT_LIMIT);
    assert_int_equal(mail_entry(f, &id).mark.state, MAIL_BOUNCED);
    assert_int_equal(metric_value(&intake_counters(i)->accepted), 2);
    assert_int_equal(metric_value(&intake_counters(i)->unmatched), 1);
    assert_int_equal(metric_value(&intake_counters(i)->duplicates), 2);
    assert_int_equal(metric_value(&intake_counters(i)->suppressed), 2);
    mail_assert_counters(f);
    intake_free(i);
}

/* Each is told of its own events, also where another of the batch has the same. */
static void test_together(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    struct uuid id = mail_queue(f, "who@example.net", NOW);
    struct mail_event a = mail_delivery("p", "who@example.net", NOW),
                      b = mail_bounce("p", "who@example.net", NOW),
                      c = mail_bounce("q", "other@example.net", NOW);
    struct mail_event ab[] = {a, b}, abc[] = {a, b, c};
    struct sending all[4] = {sending_of(i, &a, 1, ""), sending_of(i, ab, 2, ""),
                             sending_of(i, abc, 3, ""), sending_of(i, NULL, 0, "")};

    mail_hand_over(f, &id, "p", NOW);
    send_together(f, all, 4);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(all[k].ticket.outcome, 0);
    assert_result(all[0].ticket.result, 1, 0, 0);
    assert_result(all[1].ticket.result, 1, 1, 0);
    assert_result(all[2].ticket.result, 1, 2, 1);
    assert_result(all[3].ticket.result, 0, 0, 0);
    assert_int_equal(metric_value(&intake_counters(i)->batches), 2);
    assert_int_equal(mail_entry(f, &id).mark.state, MAIL_BOUNCED);
    mail_assert_counters(f);
    intake_free(i);
}

/* However many wait, a batch takes as many statements as a single request does. */
static void test_statements(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    static struct sending all[REQUESTS_MAX];
    static struct mail_event events[REQUESTS_MAX];
    static char ids[REQUESTS_MAX][16];
    int64_t of_two;

    for (size_t k = 0; k < REQUESTS_MAX; k++) {
        snprintf(ids[k], sizeof ids[k], "p%zu", k);
        events[k] = mail_delivery(ids[k], "who@example.net", NOW);
        all[k] = sending_of(i, &events[k], 1, "");
    }
    scene_count_statements(f);
    send_together(f, all, 2);
    of_two = scene_statements();
    for (size_t k = 0; k < REQUESTS_MAX; k++)
        events[k].at++;
    scene_count_statements(f);
    send_together(f, all, REQUESTS_MAX);
    assert_int_equal(scene_statements(), of_two);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_events"), REQUESTS_MAX + 2);
    intake_free(i);
}

struct flood {
    struct intake *intake;
    struct mail_event event;
    _Atomic int64_t accepted, duplicates;
};

static void *flood_main(void *arg)
{
    struct flood *flood = arg;
    struct intake_result r = submit(flood->intake, &flood->event, 1, NULL);

    atomic_fetch_add(&flood->accepted, r.accepted);
    atomic_fetch_add(&flood->duplicates, r.duplicates);
    return NULL;
}

static void test_parallel_duplicates(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "who");
    struct flood flood = {.intake = new_intake(f),
                          .event = mail_bounce("p", "who@example.com", NOW)};

    fixture_parallel(20, flood_main, &flood);
    assert_int_equal(flood.accepted, 1);
    assert_int_equal(flood.duplicates, 19);
    assert_int_equal(scene_notices(f, "email_bounced"), 1);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_INVALID);
    intake_free(flood.intake);
}

/* What cannot be written is told so; the others of the batch are on disk. */
static void test_one_bad_request(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    static struct sending all[9];
    static struct mail_event events[9];
    static char ids[9][16];

    for (size_t k = 0; k < 9; k++) {
        snprintf(ids[k], sizeof ids[k], "p%zu", k);
        events[k] = mail_delivery(ids[k], "who@example.net", NOW);
        all[k] = sending_of(i, &events[k], 1, "");
    }
    events[4].recipient = (struct str){"a\0b@example.net", 15};
    events[7].detail = STR("\xff");
    send_together(f, all, 9);
    for (size_t k = 0; k < 9; k++) {
        assert_int_equal(all[k].ticket.outcome, k == 4 || k == 7 ? FAULT_STORE : 0);
        if (k != 4 && k != 7)
            assert_result(all[k].ticket.result, 1, 0, 1);
    }
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_events"), 7);
    intake_free(i);
}

/* A message that could not be written is not one that was seen. */
static void test_a_store_that_fails(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    struct mail_event event = mail_delivery("p", "who@example.net", NOW);
    struct intake_request request = {&event, 1, STR("m")};
    struct intake_result r = {.accepted = -1};

    scene_run(f, "ALTER TABLE email_events RENAME TO email_events_away", NO_PARAMS);
    assert_int_equal(intake_submit(i, &request, NOW, &r), FAULT_STORE);
    assert_int_equal(r.accepted, -1);
    assert_int_equal(sns_seen_find(f->node.store, STR("m")), 0);
    scene_run(f, "ALTER TABLE email_events_away RENAME TO email_events", NO_PARAMS);
    r = submit(i, &event, 1, "m");
    assert_result(r, 1, 0, 1);
    assert_int_equal(sns_seen_find(f->node.store, STR("m")), SNS_SEEN);
    intake_free(i);
}

/* Where nothing can be written, that is found out without asking for each. */
static void test_all_fail(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    static struct sending all[4 * REQUESTS_MAX];
    static struct mail_event events[4 * REQUESTS_MAX];

    for (size_t k = 0; k < 4 * REQUESTS_MAX; k++) {
        events[k] = mail_delivery("p", "who@example.net", NOW + (int64_t)k);
        all[k] = sending_of(i, &events[k], 1, "");
    }
    scene_run(f, "ALTER TABLE email_events RENAME TO email_events_away", NO_PARAMS);
    scene_count_statements(f);
    send_together(f, all, 4 * REQUESTS_MAX);
    assert_true(scene_statements() < 8 * REQUESTS_MAX);
    for (size_t k = 0; k < 4 * REQUESTS_MAX; k++)
        assert_int_equal(all[k].ticket.outcome, FAULT_STORE);
    scene_run(f, "ALTER TABLE email_events_away RENAME TO email_events", NO_PARAMS);
    intake_free(i);
}

/* A message of SNS counts once, whatever is in it, alone and within a batch. */
static void test_messages_seen(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    static struct mail_event events[3];
    struct sending all[3];
    struct intake_result r;

    for (size_t k = 0; k < 3; k++) {
        static const char *const ids[] = {"p", "q", "r"};
        events[k] = mail_delivery(ids[k], "who@example.net", NOW);
        all[k] = sending_of(i, &events[k], 1, "twice");
    }
    all[0].ticket.request.sns_message_id = STR("first");
    send_together(f, all, 3);
    assert_result(all[0].ticket.result, 1, 0, 1);
    assert_result(all[1].ticket.result, 1, 0, 1);
    assert_result(all[2].ticket.result, 0, 1, 0);
    assert_false(all[1].ticket.result.seen);
    assert_true(all[2].ticket.result.seen);
    r = submit(i, &events[2], 1, "first");
    assert_result(r, 0, 1, 0);
    assert_true(r.seen);
    r = submit(i, &events[2], 1, "third");
    assert_result(r, 1, 0, 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM sns_seen"), 3);
    intake_free(i);
}

/* Messages are known for as long as their signature would be accepted, and no longer than needed.
 */
static void test_messages_forgotten(void **state)
{
    struct scene *f = *state;
    struct store *s = f->node.store;
    struct intake *i = new_intake(f);
    const int64_t window = SNS_WINDOW_MS + 2 * SNS_SKEW_MS;
    int64_t n;

    submit(i, NULL, 0, "m");
    assert_done(sns_seen_reap(s, NOW + window, 10, &n));
    assert_int_equal(n, 0);
    assert_done(sns_seen_reap(s, NOW + 3 * (int64_t)CLOCK_HOUR, 0, &n));
    assert_int_equal(n, 0);
    assert_done(sns_seen_reap(s, NOW + 3 * (int64_t)CLOCK_HOUR, 10, &n));
    assert_int_equal(n, 1);
    assert_int_equal(sns_seen_find(s, STR("m")), 0);
    intake_free(i);
}

/* Past the bound a request is told to come again, and what waits is not touched. */
static void test_too_many_wait(void **state)
{
    enum { FULL = INTAKE_WAITING_MAX / SES_RECIPIENTS_MAX + 1 };
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    static struct mail_event events[SES_RECIPIENTS_MAX];
    static char addresses[SES_RECIPIENTS_MAX][ADDRESS_SIZE];
    static struct sending all[FULL];
    struct intake_request one = {events, 1, STR("")};
    struct intake_result r;
    struct holding h;

    for (size_t k = 0; k < SES_RECIPIENTS_MAX; k++) {
        snprintf(addresses[k], ADDRESS_SIZE, "u%zu@example.net", k);
        events[k] = mail_delivery("p", addresses[k], NOW);
    }
    for (size_t k = 0; k < FULL; k++)
        all[k] = sending_of(i, events, SES_RECIPIENTS_MAX, "");
    hold(f, &h);
    line_up(f, all, FULL);
    assert_int_equal(intake_submit(i, &one, NOW, &r), INTAKE_BUSY);
    assert_int_equal(metric_value(&intake_counters(i)->busy), 1);
    let_go(&h);
    for (size_t k = 0; k < FULL; k++) {
        end(&all[k]);
        assert_int_equal(all[k].ticket.outcome, 0);
        assert_int_equal(all[k].ticket.result.accepted, k == 0 ? SES_RECIPIENTS_MAX : 0);
    }
    assert_result(submit(i, events, 1, NULL), 0, 1, 0);
    intake_free(i);
}

/* What waits long behind a batch that seems stuck goes ahead. */
static void test_a_stuck_batch(void **state)
{
    struct scene *f = *state;
    struct intake *i = new_intake(f);
    struct mail_event events[2] = {mail_delivery("p", "who@example.net", NOW),
                                   mail_delivery("q", "who@example.net", NOW)};
    struct sending all[2] = {sending_of(i, &events[0], 1, ""), sending_of(i, &events[1], 1, "")};
    struct holding h;

    hold(f, &h);
    line_up(f, all, 2);
    fixture_await(intake_waiting(i) == 0);
    let_go(&h);
    for (size_t k = 0; k < 2; k++) {
        end(&all[k]);
        assert_int_equal(all[k].ticket.outcome, 0);
        assert_result(all[k].ticket.result, 1, 0, 1);
    }
    assert_int_equal(metric_value(&intake_counters(i)->batches), 2);
    intake_free(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_one),
        SCENE_BOTH(test_together),
        SCENE_BOTH(test_statements),
        SCENE_BOTH(test_parallel_duplicates),
        SCENE_BOTH(test_one_bad_request),
        SCENE_BOTH(test_a_store_that_fails),
        SCENE_BOTH(test_all_fail),
        SCENE_BOTH(test_messages_seen),
        SCENE_BOTH(test_messages_forgotten),
        SCENE_BOTH(test_too_many_wait),
        SCENE_BOTH(test_a_stuck_batch),
    };

    return FIXTURE_RUN(tests);
}
