/* A person's mail is given out whole, and taken out whole but for the counters. */
#include "mail/person.h"

#include "mail/fixture.h"

struct asking {
    struct scene *f;
    struct mail_person person;
    struct uuid after;
    struct mail_log_entry *items;
    struct mail_event_entry *events;
    size_t n, n_events;
    int64_t limit, rows;
    bool left;
};

static int logs_job(struct store_txn *t, void *arg)
{
    struct asking *a = arg;
    int r = mail_person_logs(t, &a->f->a, &a->person, &a->after, 10, &a->items, &a->n);

    if (r || a->n == 0)
        return r;
    return mail_event_list(t, &a->f->a, &a->items[0].id, 0, 10, &a->events, &a->n_events);
}

static int erase_job(struct store_txn *t, void *arg)
{
    struct asking *a = arg;

    return mail_person_erase(t, &a->person, a->limit, &a->rows);
}

static int left_job(struct store_txn *t, void *arg)
{
    struct asking *a = arg;

    return mail_person_is_left(t, &a->person, &a->left);
}

static bool is_left(struct asking *a)
{
    assert_done(store_read(a->f->node.store, left_job, a));
    return a->left;
}

static int64_t erase_all(struct asking *a)
{
    int64_t sum = 0;

    do {
        assert_done(store_write(a->f->node.store, erase_job, a));
        sum += a->rows;
    } while (a->rows);
    return sum;
}

static void test_person(void **state)
{
    struct scene *f = *state;
    const struct str both[] = {STR("a@x.org"), STR("b@x.org")};
    struct asking a = {.f = f, .person = {.address = STR("a@x.org")}, .limit = 1};
    struct uuid id = mail_queue_all(f, &f->tenant, "t", both, 2, NOW);
    struct uuid old = mail_queue(f, "old@x.org", NOW - 1);

    struct uuid foreign = mail_queue_all(f, &f->other, "t", both, 1, NOW + 1);
    assert_int_equal(scene_run(f, "UPDATE email_logs SET user_id = $2 WHERE message_id = $1",
                               PARAMS(P_ID(&old), P_ID(&f->other))),
                     1);
    a.person.user_id = f->other;
    mail_hand_over(f, &id, "p", NOW);
    mail_hand_over(f, &old, "p-old", NOW);
    mail_apply_one(f, mail_bounce("p", "a@x.org", NOW));
    mail_apply_one(f, mail_bounce("unknown", "a@x.org", NOW));
    mail_apply_one(f, mail_soft_bounce("p", "b@x.org", NOW));

    assert_done(store_read(f->node.store, logs_job, &a));
    assert_int_equal(a.n, 3);
    assert_true(uuid_eq(&a.items[0].message_id, &old));
    a.after = a.items[0].id;
    assert_done(store_read(f->node.store, logs_job, &a));
    assert_int_equal(a.n, 2);
    assert_int_equal(a.n_events, 1);
    assert_true(str_eq(a.events[0].kind, STR("bounce")));
    assert_true(str_eq(a.events[0].detail, STR("550 no such user")));

    a.person.tenant = &f->other;
    assert_int_equal(erase_all(&a), 0); /* it is still to be sent */
    assert_true(is_left(&a));
    mail_hand_over(f, &foreign, "p-foreign", NOW + 1);
    a.person.before = NOW + 1;
    assert_false(is_left(&a));
    assert_int_equal(erase_all(&a), 0);
    a.person.before = NOW + 2;
    assert_true(is_left(&a));
    assert_int_equal(erase_all(&a), 1);
    a.person.tenant = NULL;
    a.person.before = 0;
    assert_int_equal(erase_all(&a), 3); /* two rows and an event of none */
    assert_false(is_left(&a));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM email_logs WHERE recipient = 'erased'"
                                     " AND subject = '' AND user_id IS NULL AND detail = ''"),
                     3);
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM email_events WHERE recipient = $1"
                                    " OR (recipient = 'erased' AND detail <> '')",
                                    "a@x.org"),
                     0);
    assert_int_equal(
        mail_number_of(f, "SELECT count(*) FROM email_logs WHERE recipient = $1", "b@x.org"), 1);
    assert_int_equal(
        mail_number_of(f, "SELECT count(*) FROM suppressions WHERE address = $1", "a@x.org"), 1);
    mail_assert_counters(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_person)};

    return FIXTURE_RUN(tests);
}
