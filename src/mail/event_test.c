/* The order of events and of their logging makes no difference, and nothing counts twice. */
#include "mail/event.h"

#include "base/encode.h"
#include "crypto/sha256.h"
#include "mail/fixture.h"

#include <stdatomic.h>

/* What can happen to one message: the handover, then events. */
enum { STEPS = 6 };

struct permuting {
    struct scene *f;
    struct uuid message;
    char provider[32];
    int order[STEPS];
    bool used[STEPS];
    int n, runs;
    struct mail_log_entry first;
};

static struct mail_event step_event(const struct permuting *p, int step)
{
    const char *to = "who@example.net";

    switch (step) {
    case 1:
        return mail_delay(p->provider, to, NOW + 1000);
    case 2:
        return mail_delivery(p->provider, to, NOW + 5000);
    case 3:
    case 4: /* the same again */
        return mail_bounce(p->provider, to, NOW + 4000);
    default:
        return mail_complaint(p->provider, to, NOW + 3000);
    }
}

static int step_job(struct store_txn *t, void *arg)
{
    struct permuting *p = arg;
    struct mail_settlement sent = {
        .state = MAIL_SENT, .provider_id = str_of(p->provider), .at = NOW + 500};
    struct mail_recipient to = {.address = STR("who@example.net")};
    struct mail_message message = {.id = p->message,
                                   .tenant_id = p->f->tenant,
                                   .template_name = STR("t"),
                                   .subject = STR("s"),
                                   .transport = STR("ses"),
                                   .recipients = &to,
                                   .n = 1};
    struct mail_event_result result;
    int r = mail_log_create(t, &message, NOW);

    for (int i = 0; r == 0 && i < p->n; i++) {
        struct mail_event event = step_event(p, p->order[i]);
        r = p->order[i] == 0
                ? mail_settle_message(t, &p->message, "", &sent, NULL)
                : mail_event_apply(t, &event, 1, &mail_test_policy, NOW, &result, NULL);
    }
    return r;
}

static void run_order(struct permuting *p)
{
    p->message = uuid_new();
    snprintf(p->provider, sizeof p->provider, "%d-%d", p->n, p->runs);
    assert_done(store_write(p->f->node.store, step_job, p));
    struct mail_log_entry e = mail_entry(p->f, &p->message);
    if (p->runs++ == 0)
        p->first = e;
    assert_int_equal(e.mark.state, p->first.mark.state);
    assert_int_equal(e.mark.counted, p->first.mark.counted);
    assert_int_equal(e.mark.at, p->first.mark.at);
    assert_int_equal(e.sent_at, NOW + 500);
    assert_true(str_eq(e.mark.code, p->first.mark.code));
    assert_true(str_eq(e.mark.detail, p->first.mark.detail));
}

/* All orders of the steps, of which there are so many. */
static void permute(struct permuting *p, const int *steps, int of, int place)
{
    if (place == of) {
        run_order(p);
        return;
    }
    for (int i = 0; i < of; i++) {
        if (p->used[i])
            continue;
        p->used[i] = true;
        p->order[place] = steps[i];
        permute(p, steps, of, place + 1);
        p->used[i] = false;
    }
}

#define SHOWING_A_CODE                                                                             \
    "SELECT coalesce(sum(queued + sent + delayed + delivered + suppressed + rejected + bounced"    \
    " + complained), 0) FROM email_figures WHERE kind = 4 AND span = 3600000"

static enum mail_state state_after(struct scene *f, const int *steps, int n)
{
    struct permuting p = {.f = f, .n = n};
    int64_t before = scene_number(f, SHOWING_A_CODE);

    permute(&p, steps, n, 0);
    mail_assert_counters(f);
    if (p.first.mark.code.n)
        assert_int_equal(scene_number(f, SHOWING_A_CODE), before + p.runs);
    return p.first.mark.state;
}

static void test_orders(void **state)
{
    static const int all[] = {0, 1, 2, 3, 4, 5}, doubled[] = {0, 2, 3, 4}, once[] = {0, 1, 2, 3, 5};

    assert_int_equal(state_after(*state, once, 5), MAIL_COMPLAINED);
    assert_int_equal(state_after(*state, doubled, 4), MAIL_BOUNCED);
    assert_int_equal(state_after(*state, all, 3), MAIL_DELIVERED);
    assert_int_equal(state_after(*state, all, 2), MAIL_DELAYED);
    assert_int_equal(state_after(*state, all, 1), MAIL_SENT);
}

/* All of them together, where it takes no minute. */
static void test_every_order(void **state)
{
    static const int all[] = {0, 1, 2, 3, 4, 5};

    assert_int_equal(state_after(*state, all, STEPS), MAIL_COMPLAINED);
}

/* Equal states: the counted one stands, then the earlier. */
static void test_equal_states(void **state)
{
    struct scene *f = *state;
    struct mail_event events[3] = {mail_soft_bounce("p", "who@example.net", NOW),
                                   mail_bounce("p", "who@example.net", NOW + 20),
                                   mail_bounce("p", "who@example.net", NOW + 10)};

    events[1].feedback_id = STR("later");
    events[2].code = STR("5.2.1");
    for (int turn = 0; turn < 3; turn++) {
        struct uuid id = mail_queue(f, "who@example.net", NOW);
        char provider[16];
        snprintf(provider, sizeof provider, "p%d", turn);
        mail_hand_over(f, &id, provider, NOW);
        for (int i = 0; i < 3; i++) {
            struct mail_event e = events[(i + turn) % 3];
            e.provider_id = str_of(provider);
            e.feedback_id = STR("");
            assert_int_equal(mail_apply_one(f, e).accepted, 1);
        }
        struct mail_log_entry entry = mail_entry(f, &id);
        assert_true(entry.mark.counted);
        assert_int_equal(entry.mark.at, NOW + 10);
        assert_true(str_eq(entry.mark.code, STR("5.2.1")));
    }
    mail_assert_counters(f);
}

struct flood {
    struct scene *f;
    struct mail_event events[3];
    _Atomic int64_t accepted, duplicates, invalidated;
};

static void *flood_main(void *arg)
{
    struct flood *flood = arg;
    struct mail_event_result result = mail_apply(flood->f, flood->events, 3);

    atomic_fetch_add(&flood->accepted, result.accepted);
    atomic_fetch_add(&flood->duplicates, result.duplicates);
    atomic_fetch_add(&flood->invalidated, result.invalidated);
    return NULL;
}

static void test_parallel_duplicates(void **state)
{
    struct scene *f = *state;
    struct uuid user = scene_member(f, "who"), id = mail_queue(f, "who@example.com", NOW);
    struct flood flood = {.f = f,
                          .events = {mail_bounce("p", "who@example.com", NOW),
                                     mail_delivery("p", "who@example.com", NOW),
                                     mail_soft_bounce("p", "who@example.com", NOW + 1)}};

    mail_hand_over(f, &id, "p", NOW);
    flood.events[2].kind = STR("soft");
    fixture_parallel(20, flood_main, &flood);
    assert_int_equal(flood.accepted, 3);
    assert_int_equal(flood.duplicates, 57);
    assert_int_equal(flood.invalidated, 1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_events"), 3);
    assert_int_equal(scene_notices(f, "email_bounced"), 1);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_INVALID);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM soft_bounces"), 1);
    assert_int_equal(
        scene_number(
            f, "SELECT sum(bounced_counted) FROM email_figures WHERE kind = 1 AND span = 300000"),
        1);
    mail_assert_counters(f);
}

/* A generator whose numbers a test can repeat. */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

enum { STORM_MESSAGES = 120, STORM_BATCHES = 12, STORM_BATCH = 40, STORM_THREADS = 4 };

struct storm {
    struct scene *f;
    struct uuid messages[STORM_MESSAGES];
    char providers[STORM_MESSAGES][16], addresses[STORM_MESSAGES][40];
    _Atomic uint64_t seeds;
};

static struct mail_event storm_event(struct storm *s, uint64_t *seed)
{
    uint64_t which = next(seed) % STORM_MESSAGES;
    const char *provider = s->providers[which], *to = s->addresses[which];
    int64_t at = NOW + (int64_t)(next(seed) % 5);

    switch (next(seed) % 5) {
    case 0:
        return mail_delay(provider, to, at);
    case 1:
        return mail_delivery(provider, to, at);
    case 2:
        return mail_bounce(provider, to, at);
    case 3:
        return mail_soft_bounce(provider, to, at);
    default:
        return mail_complaint(provider, to, at);
    }
}

/* Each thread hands over a share of the messages between its events. */
static void *storm_main(void *arg)
{
    struct storm *s = arg;
    uint64_t number = atomic_fetch_add(&s->seeds, 1), seed = 88172645463325252 + number * 7919;
    struct mail_event events[STORM_BATCH];

    for (size_t batch = 0; batch < STORM_BATCHES; batch++) {
        size_t n = 1 + next(&seed) % STORM_BATCH;
        for (size_t i = 0; i < n; i++)
            events[i] = storm_event(s, &seed);
        mail_apply(s->f, events, n);
        mail_queue(s->f, s->addresses[batch], NOW + (int64_t)batch * 100000);
        for (size_t i = batch; i < STORM_MESSAGES; i += STORM_BATCHES)
            if (i % STORM_THREADS == number % STORM_THREADS)
                mail_hand_over(s->f, &s->messages[i], s->providers[i], NOW + 1);
    }
    return NULL;
}

static void test_storm(void **state)
{
    struct scene *f = *state;
    struct storm *s = calloc(1, sizeof *s);
    static const char *const templates[] = {"", "welcome", "reset"};

    assert_non_null(s);
    s->f = f;
    for (int i = 0; i < STORM_MESSAGES; i++) {
        snprintf(s->providers[i], sizeof s->providers[i], "p%d", i);
        snprintf(s->addresses[i], sizeof s->addresses[i], "u%d@d%d.example.com", i % 40, i % 7);
        struct str to = str_of(s->addresses[i]);
        s->messages[i] = mail_queue_all(f, i % 2 ? &f->tenant : &f->other, templates[i % 3], &to, 1,
                                        NOW + i * (int64_t)100000);
    }
    mail_assert_counters(f);
    fixture_parallel(STORM_THREADS, storm_main, s);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs WHERE state = 'queued'"),
                     STORM_THREADS * STORM_BATCHES);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_events WHERE log_id IS NULL"), 0);
    mail_assert_counters(f);
    free(s);
}

enum { MANY = 5000, GROUPS = MANY / MAIL_RECIPIENTS_MAX };

static int64_t statements_of(struct scene *f, const struct mail_event *events, size_t n,
                             struct mail_event_result *ret)
{
    scene_count_statements(f);
    *ret = mail_apply(f, events, n);
    return scene_statements();
}

/* One event of SES names up to 5,000 recipients. */
static void test_many_recipients(void **state)
{
    struct scene *f = *state;
    struct mail_event *events = calloc(MANY, sizeof *events);
    char(*addresses)[32] = calloc(MANY, sizeof *addresses);
    struct mail_event_result few, result;

    assert_non_null(events);
    assert_non_null(addresses);
    struct uuid user = scene_member(f, "u4999");
    for (int i = 0; i < MANY; i++) {
        snprintf(addresses[i], sizeof addresses[i], "u%d@example.com", i);
        events[i] = mail_bounce("p", addresses[i], NOW);
    }
    for (int g = 0; g < GROUPS; g++) {
        struct str to[MAIL_RECIPIENTS_MAX];
        for (int i = 0; i < MAIL_RECIPIENTS_MAX; i++)
            to[i] = str_of(addresses[g * MAIL_RECIPIENTS_MAX + i]);
        struct uuid id = mail_queue_all(f, &f->tenant, "t", to, MAIL_RECIPIENTS_MAX, NOW);
        assert_int_equal(mail_hand_over(f, &id, "p", NOW), MAIL_RECIPIENTS_MAX);
    }
    int64_t statements = statements_of(f, events, 10, &few);
    assert_int_equal(few.accepted, 10);
    /* Of the larger batch a user is met: the feed, the notice, the preferences besides. */
    int64_t more = statements_of(f, events, MANY, &result);
    assert_true(more <= statements + 8);
    assert_int_equal(result.accepted, MANY - 10);
    assert_int_equal(result.duplicates, 10);
    assert_int_equal(result.unmatched, 0);
    assert_int_equal(result.suppressed, MANY - 10);
    assert_int_equal(result.invalidated, 1);
    assert_int_equal(scene_read_user(f, &user).email_status, EMAIL_INVALID);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs WHERE state = 'bounced'"),
                     MANY);
    mail_assert_counters(f);
    free(events);
    free(addresses);
}

static int too_many_job(struct store_txn *t, void *arg)
{
    struct mail_event_result result;

    return mail_event_apply(t, arg, MAIL_EVENTS_MAX + 1, &mail_test_policy, NOW, &result, NULL);
}

static void test_limits(void **state)
{
    struct scene *f = *state;
    struct mail_event *events = calloc(MAIL_EVENTS_MAX + 1, sizeof *events);
    struct mail_event_result nothing = mail_apply(f, events, 0);
    struct mail_event long_one = mail_bounce("p", "who@example.net", NOW);
    struct uuid id = mail_queue(f, "who@example.net", NOW);
    char text[MAIL_DETAIL_MAX + 2];

    assert_non_null(events);
    assert_int_equal(nothing.accepted + nothing.duplicates, 0);
    assert_int_equal(store_write(f->node.store, too_many_job, events), FAULT_LIMIT);
    memset(text, 'x', sizeof text);
    memcpy(text + MAIL_DETAIL_MAX - 1, "\xc3\xa4", 2);
    long_one.detail = (struct str){text, MAIL_DETAIL_MAX + 1};
    long_one.code = (struct str){text, MAIL_CODE_MAX + 1};
    mail_hand_over(f, &id, "p", NOW);
    mail_apply_one(f, long_one);
    assert_int_equal(mail_entry(f, &id).mark.detail.n, MAIL_DETAIL_MAX - 1);
    assert_int_equal(mail_entry(f, &id).mark.code.n, MAIL_CODE_MAX);
    free(events);
}

/* What is said of mail is read on terminals and in files of lines. */
static void test_controls(void **state)
{
    struct scene *f = *state;
    struct mail_event e = mail_bounce("p", "who@example.net", NOW);
    struct uuid id = mail_queue(f, "who@example.net", NOW);

    e.detail = STR("550 n\xc3\xb6\r\n\x1b[2J\xc2\x9b\xe2\x80\xa8.");
    e.code = STR("5.1.1\n");
    mail_hand_over(f, &id, "p", NOW);
    mail_apply_one(f, e);
    assert_true(str_eq(mail_entry(f, &id).mark.detail, STR("550 n\xc3\xb6   [2J     .")));
    assert_true(str_eq(mail_entry(f, &id).mark.code, STR("5.1.1 ")));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_events WHERE code = '5.1.1 '"
                                     " AND detail LIKE '550 n%   [2J     .'"),
                     1);
}

/* A digest with the time in front, as the migration has made of those that came before. */
static void test_keys(void **state)
{
    static const struct str end = STR_INIT("\0");
    struct scene *f = *state;
    struct mail_event event = mail_delivery("p", "who@example.net", NOW), later = event;
    const struct str parts[] = {event.kind,
                                end,
                                event.recipient,
                                end,
                                STR("message"),
                                end,
                                event.provider_id,
                                end,
                                {(const char *)&event.at, sizeof event.at}};
    uint8_t key[SHA256_SIZE];
    char hex[HEX_LENGTH(SHA256_SIZE) + 1], sql[200];

    event.feedback_id = later.feedback_id = STR("");
    later.at++;
    assert_done(sha256_parts(STR("holdfast mail event v1"), parts, 9, key));
    for (int i = 0; i < 6; i++)
        key[i] = (uint8_t)(NOW >> (40 - 8 * i));
    hex_encode(key, sizeof key, hex);
    snprintf(sql, sizeof sql,
             strcmp(store_engine(f->node.store), "sqlite") == 0 ? "%s x'%s'" : "%s '\\x%s'::bytea",
             "SELECT count(*) FROM email_events WHERE dedupe =", hex);
    assert_int_equal(mail_apply_one(f, event).accepted, 1);
    assert_int_equal(scene_number(f, sql), 1);
    assert_int_equal(mail_apply_one(f, event).accepted, 0);
    assert_int_equal(mail_apply_one(f, later).accepted, 1);
    later.recipient = STR("other@example.net");
    assert_int_equal(mail_apply_one(f, later).accepted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_orders),       FIXTURE_ON_SQLITE(test_every_order, scene),
        SCENE_BOTH(test_equal_states), SCENE_BOTH(test_parallel_duplicates),
        SCENE_BOTH(test_storm),        SCENE_BOTH(test_many_recipients),
        SCENE_BOTH(test_controls),     SCENE_BOTH(test_limits),
        SCENE_BOTH(test_keys),
    };

    return FIXTURE_RUN(tests);
}
