/* What the outbox takes, tries, gives up, and never sends twice; turn by turn. */
#include "mail/outbox.h"

#include "base/fault.h"
#include "base/log.h"
#include "mail/outbox_content.h"
#include "mail/outbox_scene.h"
#include "mail/suppression.h"

#define assert_state(s, id, address, wanted)                                                       \
    assert_string_equal(outbox_scene_state(s, id, address), wanted)

static int64_t waiting(struct outbox_scene *s)
{
    return scene_number(s->f, "SELECT count(*) FROM email_outbox");
}

static int64_t next_at(struct outbox_scene *s)
{
    return scene_number(s->f, "SELECT next_at FROM email_outbox");
}

static void test_one_message(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid user = scene_member(s->f, "ann"), id;

    outbox_node_begin(&n, s);
    id = outbox_scene_send(s, "ann@example.com", NOW);
    assert_state(s, &id, "ann@example.com", "queued/");
    struct mail_log_entry e = mail_entry(s->f, &id);
    assert_true(uuid_eq(&e.user_id, &user));
    assert_true(str_eq(e.transport, STR("smtp")));
    outbox_node_run(&n, NOW + 10);
    assert_string_equal(n.handed, "ann@example.com ");
    e = mail_entry(s->f, &id);
    assert_int_equal(e.mark.state, MAIL_SENT);
    assert_int_equal(e.sent_at, NOW + 10);
    assert_true(str_has_prefix(e.provider_id, STR("p-")));
    assert_int_equal(waiting(s), 0);
    outbox_node_run(&n, NOW + CLOCK_DAY);
    assert_string_equal(n.handed, "ann@example.com ");
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

/* Each recipient has a fate, an id and further attempts of its own. */
static void test_recipients_fare_apart(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid id;

    outbox_node_begin(&n, s);
    id = outbox_scene_send(s, "a@x.org,later@x.org,no@x.org,z@x.org", NOW);
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "a@x.org later@x.org no@x.org z@x.org ");
    assert_state(s, &id, "a@x.org", "sent/");
    assert_state(s, &id, "later@x.org", "queued/");
    assert_state(s, &id, "no@x.org", "rejected/550");
    assert_state(s, &id, "z@x.org", "sent/");
    assert_int_equal(scene_number(s->f, "SELECT count(DISTINCT provider_id) FROM email_logs"), 2);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE last_error ="
                                        " '451 4.7.1 come back' AND attempts = 1 AND lease = ''"),
                     1);
    n.handed[0] = '\0';
    outbox_node_run(&n, next_at(s));
    assert_string_equal(n.handed, "later@x.org ");
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

static void test_waits_grow(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    int64_t now = NOW;
    struct uuid id;
    int attempts = 0;

    assert_int_equal(outbox_delay(1), 30 * CLOCK_SECOND);
    assert_int_equal(outbox_delay(2), CLOCK_MINUTE);
    assert_int_equal(outbox_delay(7), 32 * CLOCK_MINUTE);
    assert_int_equal(outbox_delay(8), CLOCK_HOUR);
    assert_int_equal(outbox_delay(1000), CLOCK_HOUR);
    outbox_node_begin(&n, s);
    id = outbox_scene_send(s, "later@x.org", NOW);
    while (waiting(s)) {
        outbox_node_run(&n, now);
        attempts++;
        if (waiting(s) == 0)
            break;
        int64_t wait = next_at(s) - now, mean = outbox_delay(attempts);
        assert_in_range(wait, mean - mean / 4, mean + mean / 4);
        outbox_node_run(&n, next_at(s) - 1);
        now = next_at(s);
        assert_true(now < NOW + OUTBOX_GIVE_UP_MS);
    }
    assert_true(now + OUTBOX_RETRY_MAX_MS + OUTBOX_RETRY_MAX_MS / 4 >= NOW + OUTBOX_GIVE_UP_MS);
    assert_int_equal(strlen(n.handed), (size_t)attempts * strlen("later@x.org "));
    assert_state(s, &id, "later@x.org", "rejected/expired");
    assert_int_equal(mail_number_of(s->f, "SELECT count(*) FROM email_logs WHERE detail LIKE $1",
                                    "given up after % attempts; the last: 451 4.7.1 come back"),
                     1);
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

static void test_asked_to_wait(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    outbox_scene_send(s, "slow@x.org", NOW);
    outbox_node_run(&n, NOW);
    assert_int_equal(next_at(s), NOW + CLOCK_HOUR);
    outbox_node_end(&n);
}

/* What nobody could be handed lengthens no message's waits, and ends its attempt. */
static void test_way_is_down(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    n.pause_ms = 8000;
    outbox_scene_send(s, "down@x.org,z@x.org", NOW);
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "down@x.org ");
    assert_in_range(next_at(s), NOW + 6000, NOW + 10000);
    assert_int_equal(scene_number(s->f, "SELECT attempts FROM email_outbox"), 0);
    /* For three days, no longer. */
    outbox_node_run(&n, NOW + OUTBOX_GIVE_UP_MS - 1);
    assert_int_equal(waiting(s), 0);
    assert_int_equal(
        scene_number(s->f, "SELECT count(*) FROM email_logs WHERE error_code = 'expired'"), 2);
    outbox_node_end(&n);
}

/* The suppression may come after the acceptance. */
static void test_suppressed_meanwhile(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid id;

    outbox_node_begin(&n, s);
    id = outbox_scene_send(s, "a@x.org,b@x.org,c@x.org", NOW);
    assert_int_equal(outbox_node_turn(&n, NOW), 1);
    outbox_scene_suppress(s, "b@x.org", SUPPRESSION_COMPLAINT);
    outbox_node_work(&n, NOW);
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "a@x.org c@x.org ");
    assert_state(s, &id, "b@x.org", "suppressed/complaint");
    assert_int_equal(waiting(s), 0);
    outbox_node_end(&n);
}

/* Who unsubscribed gets no product mail, and still what an account's safety depends on. */
static void test_purposes(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org,b@x.org");
    struct outbox_node n;
    struct uuid product, security;

    outbox_node_begin(&n, s);
    outbox_scene_suppress(s, "a@x.org", SUPPRESSION_UNSUBSCRIBE);
    outbox_scene_suppress(s, "b@x.org", SUPPRESSION_UNSUBSCRIBE);
    outbox_scene_suppress(s, "b@x.org", SUPPRESSION_BOUNCE);
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &product), OUTBOX_SUPPRESSED);
    assert_state(s, &product, "a@x.org", "suppressed/unsubscribe");
    assert_int_equal(waiting(s), 0);
    r.purpose = UNSUBSCRIBE_SECURITY;
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &security), 0);
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "a@x.org ");
    assert_state(s, &security, "a@x.org", "sent/");
    assert_true(
        str_has_prefix(str_of(outbox_scene_state(s, &security, "b@x.org")), STR("suppressed/")));
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

static void test_partly_suppressed(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid id;

    outbox_node_begin(&n, s);
    outbox_scene_suppress(s, "bad@x.org", SUPPRESSION_BOUNCE);
    id = outbox_scene_send(s, "bad@x.org,good@x.org", NOW);
    assert_state(s, &id, "bad@x.org", "suppressed/bounce");
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "good@x.org ");
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

/* The answer was lost, or the node died in the middle: no second copy. */
static void test_uncertain(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node dead, n;
    struct uuid lost, id;

    outbox_node_begin(&dead, s);
    outbox_node_begin(&n, s);
    lost = outbox_scene_send(s, "lost@x.org", NOW);
    outbox_node_run(&n, NOW);
    assert_state(s, &lost, "lost@x.org", "rejected/uncertain");
    assert_int_equal(waiting(s), 0);
    n.handed[0] = '\0';

    id = outbox_scene_send(s, "a@x.org,b@x.org,c@x.org", NOW);
    assert_int_equal(outbox_node_turn(&dead, NOW), 1);
    outbox_node_work(&dead, NOW);
    assert_int_equal(outbox_node_turn(&dead, NOW), 1); /* a is done, b is in flight */
    outbox_node_run(&n, NOW + OUTBOX_LEASE_MS - 1);
    assert_string_equal(n.handed, "");
    outbox_node_run(&n, NOW + OUTBOX_LEASE_MS);
    assert_string_equal(n.handed, "c@x.org ");
    assert_state(s, &id, "a@x.org", "sent/");
    assert_state(s, &id, "b@x.org", "rejected/uncertain");
    assert_state(s, &id, "c@x.org", "sent/");
    assert_int_equal(waiting(s), 0);

    /* It was not dead, but slow. What it learned comes too late, and changes nothing. */
    outbox_node_work(&dead, NOW);
    outbox_node_run(&dead, NOW + OUTBOX_LEASE_MS);
    assert_string_equal(dead.handed, "a@x.org b@x.org ");
    assert_state(s, &id, "b@x.org", "rejected/uncertain");
    mail_assert_counters(s->f);
    outbox_node_end(&n);
    outbox_node_end(&dead);
}

/* A notice of safety rather comes twice than not at all. */
static void test_uncertain_security(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org");
    struct outbox_node dead, n;
    struct uuid id;

    r.purpose = UNSUBSCRIBE_SECURITY;
    outbox_node_begin(&dead, s);
    outbox_node_begin(&n, s);
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &id), 0);
    assert_int_equal(outbox_node_turn(&dead, NOW), 1);
    outbox_node_run(&n, NOW + OUTBOX_LEASE_MS);
    assert_string_equal(n.handed, "");
    assert_state(s, &id, "a@x.org", "queued/");
    outbox_node_run(&n, next_at(s));
    assert_string_equal(n.handed, "a@x.org ");
    assert_state(s, &id, "a@x.org", "sent/");
    outbox_node_end(&n);
    outbox_node_end(&dead);
}

/* A turn that was committed though its answer was lost: nothing is taken for in flight. */
static void test_lost_commit(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid one, two;

    outbox_node_begin(&n, s);
    one = outbox_scene_send(s, "a@x.org,b@x.org", NOW);
    assert_int_equal(outbox_node_turn(&n, NOW), 1);
    outbox_node_work(&n, NOW);
    two = outbox_scene_send(s, "z@x.org", NOW);
    static struct outbox_slot before[OUTBOX_SENDERS_MAX];
    memcpy(before, n.slots, sizeof before);
    assert_int_equal(outbox_node_turn(&n, NOW), 2); /* marks b and z, and is forgotten */
    for (size_t i = 0; i < OUTBOX_SCENE_SLOTS; i++) {
        n.slots[i].state = before[i].state;
        n.slots[i].task = before[i].task;
    }
    n.in_doubt = true;
    assert_int_equal(outbox_node_turn(&n, NOW), 2);
    n.in_doubt = false;
    outbox_node_work(&n, NOW);
    outbox_node_run(&n, NOW);
    assert_int_equal(strlen(n.handed), strlen("a@x.org b@x.org z@x.org "));
    assert_state(s, &one, "a@x.org", "sent/");
    assert_state(s, &one, "b@x.org", "sent/");
    assert_state(s, &two, "z@x.org", "sent/");
    assert_int_equal(waiting(s), 0);
    outbox_node_end(&n);
}

/* A node that ends leaves the rest to others, at once. */
static void test_leaving(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n, other;

    outbox_node_begin(&n, s);
    outbox_node_begin(&other, s);
    outbox_scene_send(s, "a@x.org,b@x.org", NOW);
    assert_int_equal(outbox_node_turn(&n, NOW), 1);
    outbox_node_work(&n, NOW);
    n.leaves = true;
    assert_int_equal(outbox_node_turn(&n, NOW), 0);
    assert_int_equal(scene_number(s->f, "SELECT attempts FROM email_outbox"), 0);
    outbox_node_run(&other, NOW);
    assert_string_equal(other.handed, "b@x.org ");
    outbox_node_end(&other);
    outbox_node_end(&n);
}

/* What was meant for the sandbox goes to nobody, and what was not waits. */
static void test_change_of_transport(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid real, tried;

    outbox_node_begin(&n, s);
    real = outbox_scene_send(s, "a@x.org", NOW);
    n.sandbox = true;
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "");
    s->f->config->email_transport = EMAIL_SANDBOX;
    tried = outbox_scene_send(s, "b@x.org", NOW);
    n.sandbox = false;
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "a@x.org ");
    assert_state(s, &real, "a@x.org", "sent/");
    assert_state(s, &tried, "b@x.org", "rejected/sandbox");
    assert_int_equal(waiting(s), 0);
    outbox_node_end(&n);
}

/* A log that is gone leaves nothing to send. */
static void test_reaped_log(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;

    outbox_node_begin(&n, s);
    outbox_scene_send(s, "a@x.org,b@x.org", NOW);
    assert_int_equal(outbox_node_turn(&n, NOW), 1);
    scene_run(s->f, "DELETE FROM email_logs", NO_PARAMS);
    outbox_scene_send(s, "c@x.org", NOW);
    scene_run(s->f, "DELETE FROM email_logs", NO_PARAMS);
    outbox_node_work(&n, NOW);
    outbox_node_run(&n, NOW);
    assert_string_equal(n.handed, "a@x.org ");
    assert_int_equal(waiting(s), 0);
    outbox_node_end(&n);
}

static char many_to[OUTBOX_SENDERS_MAX][40];

static void send_many(struct outbox_scene *s, size_t n, int64_t now)
{
    for (size_t i = 0; i < n; i++) {
        snprintf(many_to[i], sizeof many_to[i], "u%zu@x.org", i);
        outbox_scene_send(s, many_to[i], now);
    }
}

/* Statements of a turn that begins n messages, and of one that ends these and begins n more. */
static void count_turns(struct outbox_scene *s, size_t n, int64_t ret[2])
{
    struct outbox_node *node = calloc(1, sizeof *node);

    assert_non_null(node);
    outbox_node_begin(node, s);
    store_close(node->store);
    node->store = s->f->node.store;
    node->senders = n;
    send_many(s, n, NOW);
    scene_count_statements(s->f);
    assert_int_equal(outbox_node_turn(node, NOW), n);
    ret[0] = scene_statements();
    send_many(s, n, NOW);
    outbox_node_work(node, NOW);
    scene_count_statements(s->f);
    assert_int_equal(outbox_node_turn(node, NOW), n);
    ret[1] = scene_statements();
    outbox_node_work(node, NOW);
    outbox_node_run(node, NOW);
    assert_int_equal(waiting(s), 0);
    node->store = fixture_node(s->f->base);
    outbox_node_end(node);
    free(node);
}

/* However many messages a turn is about, it takes as many statements. */
static void test_statements(void **state)
{
    struct outbox_scene *s = *state;
    int64_t few[2], many[2];

    count_turns(s, 8, few); /* a store's first turn may be taken twice */
    count_turns(s, 8, few);
    count_turns(s, 25, many);
    assert_int_equal(few[0], many[0]);
    assert_int_equal(few[1], many[1]);
    assert_in_range(many[1], 1, 20);
    /* Suppressions are asked about 25 at a time. */
    count_turns(s, 50, many);
    assert_int_equal(many[0], few[0] + 1);
    assert_int_equal(many[1], few[1] + 1);
    mail_assert_counters(s->f);
}

static int64_t aside(struct outbox_scene *s)
{
    return scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE last_error"
                              " = '" OUTBOX_ASIDE_ERROR "'");
}

/* Too large to be read. */
static void spoil(struct outbox_scene *s, const struct uuid *id)
{
    char *body = calloc(1, OUTBOX_BODY_MAX + 1);

    assert_non_null(body);
    scene_run(s->f, "UPDATE email_outbox SET body = $2 WHERE message_id = $1",
              PARAMS(P_ID(id), P_BLOB(body, OUTBOX_BODY_MAX + 1)));
    free(body);
}

/* A message that cannot be begun holds up no other, and is not tried again at once. */
static void test_bad_message(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid bad[2], good[5];

    outbox_node_begin(&n, s);
    n.senders = 8;
    for (int i = 0; i < 5; i++) {
        if (i == 0 || i == 3) {
            bad[i / 3] = outbox_scene_send(s, "bad@x.org", NOW);
            spoil(s, &bad[i / 3]);
        }
        char to[] = {(char)('a' + i), '@', 'x', '.', 'o', 'r', 'g', 0};
        good[i] = outbox_scene_send(s, to, NOW);
    }
    log_configure(LOG_ERROR + 1, LOG_JSON);
    assert_int_equal(outbox_node_try(&n, NOW), 5);
    assert_int_equal(n.outcome, 0);
    assert_int_equal(n.aside, 2);
    assert_int_equal(aside(s), 2);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_outbox WHERE attempts = 1"
                                        " AND lease = ''"),
                     2);
    outbox_node_work(&n, NOW);
    outbox_node_run(&n, NOW);
    for (int i = 0; i < 5; i++) {
        char to[] = {(char)('a' + i), '@', 'x', '.', 'o', 'r', 'g', 0};
        assert_state(s, &good[i], to, "sent/");
    }
    /* Alone it is put aside too, for longer. */
    int64_t now = next_at(s);
    assert_int_equal(now, NOW + outbox_delay(1));
    scene_run(s->f, "DELETE FROM email_outbox WHERE message_id = $1", PARAMS(P_ID(&bad[1])));
    assert_int_equal(outbox_node_try(&n, now), 0);
    assert_int_equal(n.aside, 1);
    assert_int_equal(next_at(s), now + outbox_delay(2));
    log_configure(LOG_INFO, LOG_AUTO);
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

/* What became of a copy cannot be written: the others' fates are, and it gets no second copy. */
static void test_bad_report(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node n;
    struct uuid bad, good[5];

    outbox_node_begin(&n, s);
    n.senders = 8;
    outbox_scene_send(s, "first@bad.org", NOW);
    outbox_node_run(&n, NOW);
    scene_run(s->f,
              "CREATE UNIQUE INDEX one_sent ON email_logs (domain) WHERE state = 'sent'"
              " AND domain = 'bad.org'",
              NO_PARAMS);
    bad = outbox_scene_send(s, "second@bad.org", NOW);
    for (int i = 0; i < 5; i++)
        good[i] = outbox_scene_send(s, "a@x.org,b@x.org", NOW);
    assert_int_equal(outbox_node_turn(&n, NOW), 6);
    outbox_node_work(&n, NOW);
    log_configure(LOG_ERROR + 1, LOG_JSON);
    assert_int_equal(outbox_node_try(&n, NOW), 5);
    log_configure(LOG_INFO, LOG_AUTO);
    assert_int_equal(n.outcome, 0);
    assert_int_equal(n.aside, 1);
    assert_int_equal(aside(s), 1);
    outbox_node_work(&n, NOW);
    outbox_node_run(&n, NOW);
    for (int i = 0; i < 5; i++) {
        assert_state(s, &good[i], "a@x.org", "sent/");
        assert_state(s, &good[i], "b@x.org", "sent/");
    }
    assert_state(s, &bad, "second@bad.org", "queued/");
    /* A turn that is in doubt does not let go of it either. */
    n.in_doubt = true;
    outbox_node_run(&n, NOW + 1);
    n.in_doubt = false;
    outbox_node_run(&n, NOW + OUTBOX_ASIDE_MS - 1);
    assert_int_equal(waiting(s), 1);
    n.handed[0] = '\0';
    outbox_node_run(&n, NOW + OUTBOX_ASIDE_MS);
    assert_string_equal(n.handed, "");
    assert_state(s, &bad, "second@bad.org", "rejected/uncertain");
    assert_int_equal(waiting(s), 0);
    mail_assert_counters(s->f);
    outbox_node_end(&n);
}

/* Where everything fails it is not the rows: nothing is put aside, and all goes on afterwards. */
static void test_all_fail(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_node *n = calloc(1, sizeof *n);

    assert_non_null(n);
    outbox_node_begin(n, s);
    n->senders = OUTBOX_SENDERS_MAX;
    send_many(s, OUTBOX_SENDERS_MAX, NOW);
    assert_int_equal(outbox_node_turn(n, NOW), OUTBOX_SENDERS_MAX);
    outbox_node_work(n, NOW);
    scene_run(s->f, "ALTER TABLE email_figures RENAME TO email_figures_away", NO_PARAMS);
    assert_int_equal(outbox_node_try(n, NOW), 0);
    assert_int_equal(n->outcome, FAULT_STORE);
    assert_int_equal(n->aside, 0);
    assert_int_equal(aside(s), 0);
    scene_run(s->f, "ALTER TABLE email_figures_away RENAME TO email_figures", NO_PARAMS);
    n->handed[0] = '\0';
    outbox_node_run(n, NOW);
    assert_string_equal(n->handed, "");
    assert_int_equal(waiting(s), 0);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_logs WHERE state = 'sent'"),
                     OUTBOX_SENDERS_MAX);
    mail_assert_counters(s->f);
    outbox_node_end(n);
    free(n);
}

static void test_keys(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org,b@x.org"), other;
    struct uuid first, again;

    r.key = STR("order-1");
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &first), 0);
    assert_int_equal(outbox_scene_accept(s, &r, NOW + 1, &again), OUTBOX_REPEATED);
    assert_true(uuid_eq(&first, &again));
    struct str *const changed[] = {&other.subject, &other.text, &other.html, &other.template_name,
                                   &other.to[1]};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        other = r;
        *changed[i] = STR("c@x.org");
        assert_int_equal(outbox_scene_accept(s, &other, NOW, NULL), OUTBOX_CONFLICT);
    }
    other = r;
    other.purpose = UNSUBSCRIBE_SECURITY;
    assert_int_equal(outbox_scene_accept(s, &other, NOW, NULL), OUTBOX_CONFLICT);
    other = r;
    other.n = 1;
    assert_int_equal(outbox_scene_accept(s, &other, NOW, NULL), OUTBOX_CONFLICT);
    /* Text and html are not one text. */
    other = r;
    other.html = r.text;
    other.text = STR("");
    assert_int_equal(outbox_scene_accept(s, &other, NOW, NULL), OUTBOX_CONFLICT);
    other = r;
    other.tenant_id = s->f->other;
    assert_int_equal(outbox_scene_accept(s, &other, NOW, &again), 0);
    assert_false(uuid_eq(&first, &again));
    assert_int_equal(waiting(s), 2);
    /* Known for longer than a day and than a message is tried; then it is as any other. */
    assert_int_equal(outbox_scene_accept(s, &r, NOW + OUTBOX_KEY_MS - 1, &again), OUTBOX_REPEATED);
    assert_int_equal(outbox_scene_accept(s, &r, NOW + OUTBOX_KEY_MS, &again), 0);
    assert_false(uuid_eq(&first, &again));
    assert_int_equal(outbox_scene_accept(s, &r, NOW + OUTBOX_KEY_MS, &first), OUTBOX_REPEATED);
    assert_true(uuid_eq(&first, &again));
}

static void test_key_of_suppressed(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org");
    struct uuid first, again;

    r.key = STR("k");
    outbox_scene_suppress(s, "a@x.org", SUPPRESSION_BOUNCE);
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &first), OUTBOX_SUPPRESSED);
    assert_int_equal(outbox_scene_accept(s, &r, NOW, &again), OUTBOX_REPEATED);
    assert_true(uuid_eq(&first, &again));
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_logs"), 1);
}

struct reaping {
    int64_t now, removed;
};

static int reap_job(struct store_txn *t, void *arg)
{
    struct reaping *r = arg;

    return outbox_reap(t, r->now, 2, &r->removed);
}

static void test_reaping(void **state)
{
    static const struct str keys[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("c"), STR_INIT("d")};
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org");
    struct reaping reaping = {.now = NOW + OUTBOX_KEY_MS};

    for (int i = 0; i < 4; i++) {
        r.key = keys[i];
        assert_int_equal(outbox_scene_accept(s, &r, NOW + (i == 3), NULL), 0);
    }
    for (int64_t wanted = 2; wanted >= 0; wanted--) {
        assert_done(store_write(s->f->node.store, reap_job, &reaping));
        assert_int_equal(reaping.removed, wanted);
    }
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_requests"), 1);
}

struct racing {
    struct outbox_scene *s;
    struct outbox_request request;
    atomic_int accepted, repeated;
};

static void *race(void *arg)
{
    struct racing *r = arg;
    int outcome = outbox_scene_accept(r->s, &r->request, NOW, NULL);

    atomic_fetch_add(&r->accepted, outcome == 0);
    atomic_fetch_add(&r->repeated, outcome == OUTBOX_REPEATED);
    return NULL;
}

/* However many ask at once under one key, there is one message. */
static void test_key_raced(void **state)
{
    struct outbox_scene *s = *state;
    struct racing r = {.s = s, .request = outbox_scene_request(s, "a@x.org")};

    r.request.key = STR("one");
    fixture_parallel(8, race, &r);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.repeated, 7);
    assert_int_equal(waiting(s), 1);
}

static void test_off(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org");

    s->f->config->email_transport = EMAIL_NONE;
    assert_int_equal(outbox_scene_accept(s, &r, NOW, NULL), OUTBOX_OFF);
    assert_int_equal(scene_number(s->f, "SELECT count(*) FROM email_logs"), 0);
}

static void test_check(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org,not an address");
    struct mime_problem problem;

    assert_int_equal(outbox_check(s->m, &r, &problem), MIME_MALFORMED);
    assert_string_equal(problem.field, "to[1].address");
    r.n = 1;
    assert_int_equal(outbox_check(s->m, &r, &problem), 0);
    r.subject = STR("a\nBcc: b@x.org");
    assert_int_equal(outbox_check(s->m, &r, &problem), MIME_CONTROL);
    assert_string_equal(problem.field, "subject");
    r.subject = STR("s");
    r.text = STR("");
    assert_int_equal(outbox_check(s->m, &r, &problem), MIME_EMPTY);
    assert_string_equal(problem.field, "text");
}

/* Whoever reads the database reads no message. */
static void test_sealed(void **state)
{
    struct outbox_scene *s = *state;
    struct outbox_request r = outbox_scene_request(s, "a@x.org");

    r.text = STR("needle");
    r.html = STR("<p>needle</p>");
    assert_int_equal(outbox_scene_accept(s, &r, NOW, NULL), 0);
    assert_int_equal(
        scene_number(s->f, strcmp(store_engine(s->f->node.store), "sqlite") == 0
                               ? "SELECT instr(body, X'6E6565646C65') FROM email_outbox"
                               : "SELECT position('\\x6E6565646C65'::bytea IN body)"
                                 " FROM email_outbox"),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_one_message),
        OUTBOX_SCENE_BOTH(test_recipients_fare_apart),
        OUTBOX_SCENE_BOTH(test_waits_grow),
        OUTBOX_SCENE_BOTH(test_asked_to_wait),
        OUTBOX_SCENE_BOTH(test_way_is_down),
        OUTBOX_SCENE_BOTH(test_suppressed_meanwhile),
        OUTBOX_SCENE_BOTH(test_purposes),
        OUTBOX_SCENE_BOTH(test_partly_suppressed),
        OUTBOX_SCENE_BOTH(test_uncertain),
        OUTBOX_SCENE_BOTH(test_uncertain_security),
        OUTBOX_SCENE_BOTH(test_lost_commit),
        OUTBOX_SCENE_BOTH(test_leaving),
        OUTBOX_SCENE_BOTH(test_change_of_transport),
        OUTBOX_SCENE_BOTH(test_reaped_log),
        OUTBOX_SCENE_BOTH(test_statements),
        OUTBOX_SCENE_BOTH(test_bad_message),
        OUTBOX_SCENE_BOTH(test_bad_report),
        OUTBOX_SCENE_BOTH(test_all_fail),
        OUTBOX_SCENE_BOTH(test_keys),
        OUTBOX_SCENE_BOTH(test_key_of_suppressed),
        OUTBOX_SCENE_BOTH(test_reaping),
        OUTBOX_SCENE_BOTH(test_key_raced),
        OUTBOX_SCENE_BOTH(test_off),
        OUTBOX_SCENE_BOTH(test_check),
        OUTBOX_SCENE_BOTH(test_sealed),
    };

    return FIXTURE_RUN(tests);
}
