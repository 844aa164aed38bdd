/* Notices, preferences, devices. */
#include "identity/device.h"
#include "identity/fixture.h"
#include "identity/notification.h"
#include "identity/preferences.h"

static void test_preferences(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER);
    struct store_txn *t = identity_begin(f);
    struct preferences p, set = {false, true, NOW};

    assert_done(preferences_get(t, &id, &p));
    assert_true(p.email_security && p.email_product && p.updated_at == 0);
    assert_done(preferences_put(t, &id, &set));
    assert_done(preferences_get(t, &id, &p));
    assert_true(!p.email_security && p.email_product && p.updated_at == NOW);
    set = (struct preferences){true, false, NOW + 1};
    assert_done(preferences_put(t, &id, &set));
    assert_done(preferences_get(t, &id, &p));
    assert_true(p.email_security && !p.email_product && p.updated_at == NOW + 1);
    identity_end(f, 0);
}

static void test_list_and_read(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER),
                bob = identity_user(f, "bob", ROLE_MEMBER);
    struct store_txn *t = identity_begin(f);
    struct notification *items, one;
    size_t n;
    int64_t unread;

    for (int kind = 0; kind < NOTIFICATION_KINDS; kind++)
        assert_done(notification_add(t, &f->tenant, &id, (enum notification_kind)kind,
                                     kind % 2 ? STR("why") : STR(""), NOW + kind));
    struct notification_query q = {.limit = 100};
    assert_done(notification_list(t, &f->a, &id, &q, &items, &n));
    assert_int_equal(n, NOTIFICATION_KINDS);
    for (size_t i = 0; i < n; i++) {
        int kind = (int)(NOTIFICATION_KINDS - 1 - i);
        assert_true(str_eq(items[i].kind, notification_kind_name((enum notification_kind)kind)));
        assert_true(items[i].created_at == NOW + kind && items[i].read_at == 0);
        assert_true(items[i].title.n > 0 && items[i].body.n > 0);
        assert_int_equal(str_has_suffix(items[i].body, STR(": why")), kind % 2);
    }
    q = (struct notification_query){.limit = 2, .before = items[1].id};
    struct notification *page;
    assert_done(notification_list(t, &f->a, &id, &q, &page, &n));
    assert_true(n == 2 && page[0].id == items[2].id && page[1].id == items[3].id);
    assert_done(notification_list(t, &f->a, &bob, &q, &page, &n));
    assert_int_equal(n, 0);

    assert_done(notification_mark_read(t, &id, items[0].id, true, NOW + 50));
    assert_done(notification_mark_read(t, &id, items[0].id, true, NOW + 60));
    assert_int_equal(notification_mark_read(t, &bob, items[0].id, false, NOW),
                     NOTIFICATION_UNKNOWN);
    assert_int_equal(notification_mark_read(t, &id, -1, true, NOW), NOTIFICATION_UNKNOWN);
    assert_done(notification_find(t, &f->a, &id, items[0].id, &one));
    assert_true(one.read_at == NOW + 50 && str_eq(one.title, items[0].title));
    assert_int_equal(notification_find(t, &f->a, &bob, items[0].id, &one), NOTIFICATION_UNKNOWN);
    q = (struct notification_query){.limit = 1, .unread = true};
    assert_done(notification_list(t, &f->a, &id, &q, &page, &n));
    assert_true(n == 1 && page[0].id == items[1].id);
    assert_done(notification_unread(t, &id, &unread));
    assert_int_equal(unread, NOTIFICATION_KINDS - 1);
    assert_done(notification_mark_read(t, &id, items[0].id, false, NOW));
    assert_done(notification_unread(t, &id, &unread));
    assert_int_equal(unread, NOTIFICATION_KINDS);
    identity_end(f, 0);
}

static void test_hostile_details(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER);
    struct store_txn *t = identity_begin(f);
    char big[NOTIFICATION_DETAIL_MAX + 9];
    struct notification *items;
    size_t n;

    /* A character of two bytes lies across the limit. */
    memset(big, 'a', sizeof big);
    memcpy(big + NOTIFICATION_DETAIL_MAX - 1, "\xc3\xa9", 2);
    struct str details[] = {{big, sizeof big}, STR("a\0b\nc\x7f"), STR("\xff%s%n\xc3")};
    for (int i = 0; i < 3; i++)
        assert_done(notification_add(t, &f->tenant, &id, NOTIFICATION_NEW_DEVICE, details[i], NOW));
    struct notification_query q = {.limit = 3};
    assert_done(notification_list(t, &f->a, &id, &q, &items, &n));
    assert_int_equal(n, 3);
    assert_int_equal(items[2].detail.n, NOTIFICATION_DETAIL_MAX - 1);
    assert_true(str_eq(items[1].detail, STR("a b c ")));
    assert_true(str_eq(items[0].detail, STR(" %s%n ")));
    assert_true(str_has_suffix(items[0].body, STR("Seen from:  %s%n ")));
    identity_end(f, 0);
    /* Of a kind that this release does not know. */
    assert_done(store_run(f->s, "UPDATE notifications SET kind = 'later'", NULL, NO_PARAMS));
    assert_done(notification_list(identity_begin(f), &f->a, &id, &q, &items, &n));
    identity_end(f, 0);
    assert_true(str_eq(items[1].title, STR("later")) && str_eq(items[1].body, STR("a b c ")));
}

static void test_bulk_and_reap(void **state)
{
    enum { USERS = 5, EACH = 7, KEEP = 4, ROUND = 2 };
    struct identity_fixture *f = *state;
    struct notification_addressee to[USERS + 1];
    struct uuid cursor = {{0}};
    struct store_txn *t;
    char name[20];
    int64_t removed, all = 0;
    int rounds = 0;

    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof name, "user%d", i);
        to[i] = (struct notification_addressee){f->tenant, identity_user(f, name, ROLE_MEMBER)};
    }
    t = identity_begin(f);
    for (int i = 0; i < EACH; i++)
        assert_done(notification_add_many(t, NOTIFICATION_SESSIONS_REVOKED, STR("breach"), NOW + i,
                                          to, i == 0 ? 1 : USERS));
    identity_end(f, 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM notifications"),
                     USERS * (EACH - 1) + 1);
    do {
        assert_done(notification_reap(identity_begin(f), KEEP, ROUND, &cursor, &removed));
        identity_end(f, 0);
        assert_true(removed <= (int64_t)ROUND * (EACH - KEEP));
        all += removed;
        rounds++;
    } while (!uuid_is_nil(&cursor));
    assert_int_equal(rounds, 3);
    assert_int_equal(all, USERS * (EACH - 1 - KEEP) + 1);
    assert_int_equal(fixture_number(f->s, "SELECT min(n) * 100 + max(n) FROM (SELECT count(*) AS n"
                                          " FROM notifications GROUP BY user_id) counts"),
                     KEEP * 100 + KEEP);
    struct notification *items;
    struct notification_query q = {.limit = 50};
    size_t n;
    assert_done(notification_list(identity_begin(f), &f->a, &to[0].user_id, &q, &items, &n));
    identity_end(f, 0);
    assert_true(n == KEEP && items[0].created_at == NOW + EACH - 1);
}

/* Of what was told, one notice; others' of other kinds, details and times stay. */
static void test_bulk_taken_back(void **state)
{
    struct identity_fixture *f = *state;
    struct notification_addressee to[2] = {{f->tenant, identity_user(f, "ada", ROLE_MEMBER)},
                                           {f->tenant, identity_user(f, "eve", ROLE_MEMBER)}};
    const enum notification_kind kind = NOTIFICATION_SESSIONS_REVOKED;
    struct uuid ids[2] = {to[0].user_id, uuid_new()};
    struct store_txn *t = identity_begin(f);

    assert_done(store_bulk_ids(t, ids, 2)); /* first: on PostgreSQL it may start the job anew */
    for (int i = 0; i < 2; i++)
        assert_done(i == 0 ? notification_add_many(t, kind, STR("a\nb"), NOW, to, 2)
                           : notification_add_bulk(t, kind, STR("a\nb"), NOW));
    assert_done(notification_add_many(t, kind, STR("a b"), NOW + 1, to, 1));
    assert_done(notification_add_many(t, kind, STR("else"), NOW, to, 1));
    assert_done(notification_add_many(t, NOTIFICATION_PASSWORD_RESET, STR("a b"), NOW, to, 1));
    assert_done(notification_add_many(t, kind, STR("none"), NOW, NULL, 0));
    assert_done(notification_remove_bulk(t, kind, STR("a\nb"), NOW));
    identity_end(f, 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM notifications"), 5);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM notifications"
                                          " WHERE kind = 'sessions_revoked' AND detail = 'a b'"),
                     3);
}

/* On PostgreSQL no reference takes notices along. */
static void test_reap_of_nobody(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid ada = identity_user(f, "ada", ROLE_MEMBER), cursor = {{0}}, past;
    struct notification_addressee to[3] = {{f->tenant, ada}, {f->tenant, {{0}}}, {f->tenant, ada}};
    int64_t removed;

    to[1].user_id.b[15] = 1;
    memset(past.b, 0xff, sizeof past.b);
    to[2].user_id = past;
    assert_done(notification_add_many(identity_begin(f), NOTIFICATION_SESSIONS_REVOKED, STR("x"),
                                      NOW, to, 3));
    identity_end(f, 0);
    assert_done(notification_reap(identity_begin(f), 1, 10, &cursor, &removed));
    identity_end(f, 0);
    assert_int_equal(removed, 2);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM notifications"), 1);
}

static struct device_prints number_print(int i)
{
    struct device_prints device = {.n = 1};

    memcpy(device.prints[0].b, &i, sizeof i);
    return device;
}

static void test_devices(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER);
    struct store_txn *t = identity_begin(f);
    enum device_novelty novelty;

    for (int i = 0; i < DEVICE_KEEP + 10; i++) {
        struct device_prints print = number_print(i), first = number_print(0);
        assert_done(device_seen(t, &id, &print, NOW, &novelty));
        assert_int_equal(novelty, i == 0 ? DEVICE_FIRST : DEVICE_NEW);
        assert_done(device_seen(t, &id, &print, NOW, &novelty));
        assert_int_equal(novelty, DEVICE_KNOWN);
        assert_done(device_seen(t, &id, &first, NOW + 1, &novelty)); /* stays in use */
        assert_int_equal(novelty, DEVICE_KNOWN);
    }
    identity_end(f, 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM devices"), DEVICE_KEEP);
}

static enum device_novelty seen_by(struct identity_fixture *f, const struct uuid *user,
                                   const char *const *secrets, size_t n)
{
    struct str list[MAC_RING_MAX];
    struct mac_ring ring;
    struct device_prints device;
    enum device_novelty novelty;

    for (size_t i = 0; i < n; i++)
        list[i] = str_of(secrets[i]);
    assert_done(mac_ring_derive(list, n, DEVICE_LABEL, &ring));
    assert_done(device_fingerprints(&ring, STR("Firefox"), STR("192.0.2.1"), &device));
    assert_done(device_seen(identity_begin(f), user, &device, NOW, &novelty));
    identity_end(f, 0);
    return novelty;
}

/* A device that is known under a retired key is no new one. */
static void test_devices_and_a_change_of_key(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid ada = identity_user(f, "ada", ROLE_MEMBER), bob = identity_user(f, "bob", 0);
    static const char *const first[] = {"1st"}, *const second[] = {"2nd", "1st"},
                             *const third[] = {"3rd"}, *const all[] = {"3rd", "9", "8",   "7",  "6",
                                                                       "5",   "4", "1st", "2nd"};

    assert_int_equal(seen_by(f, &ada, first, 1), DEVICE_FIRST);
    assert_int_equal(seen_by(f, &ada, second, 2), DEVICE_KNOWN);
    assert_int_equal(seen_by(f, &ada, second, 1), DEVICE_KNOWN); /* it went over */
    assert_int_equal(seen_by(f, &ada, all, 9), DEVICE_KNOWN);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM devices"), 1);
    assert_int_equal(seen_by(f, &ada, third, 1), DEVICE_KNOWN);
    assert_int_equal(seen_by(f, &ada, first, 1), DEVICE_NEW);
    /* The active key among the retired ones is no harm. */
    assert_int_equal(seen_by(f, &ada, (const char *const[]){"a", "3rd", "a"}, 3), DEVICE_KNOWN);
    assert_int_equal(seen_by(f, &ada, (const char *const[]){"a", "a"}, 2), DEVICE_KNOWN);
    /* Whoever has rows under several keys keeps one of them; others' rows are theirs. */
    assert_int_equal(seen_by(f, &bob, first, 1), DEVICE_FIRST);
    assert_int_equal(seen_by(f, &bob, &second[0], 1), DEVICE_NEW);
    assert_int_equal(seen_by(f, &bob, all, 9), DEVICE_KNOWN);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM devices"), 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IDENTITY_BOTH(test_preferences),     IDENTITY_BOTH(test_list_and_read),
        IDENTITY_BOTH(test_hostile_details), IDENTITY_BOTH(test_bulk_and_reap),
        IDENTITY_BOTH(test_bulk_taken_back), FIXTURE_ON_POSTGRES(test_reap_of_nobody, identity),
        IDENTITY_BOTH(test_devices),         IDENTITY_BOTH(test_devices_and_a_change_of_key),
    };

    return FIXTURE_RUN(tests);
}
