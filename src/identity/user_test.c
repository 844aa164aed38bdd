#include "identity/fixture.h"
#include "identity/mfa.h"
#include "identity/notification.h"
#include "identity/preferences.h"
#include "identity/tenant.h"

static const enum role to_member = ROLE_MEMBER, to_operator = ROLE_OPERATOR;
static const bool yes = true, no = false;

static int update(struct identity_fixture *f, const struct uuid *id, struct user_patch patch)
{
    struct user_change change;
    int r = user_update(identity_begin(f), &f->a, NULL, id, &patch, NOW + 1, &change);

    identity_end(f, r);
    return r;
}

static void test_tenants(void **state)
{
    struct identity_fixture *f = *state;
    struct store_txn *t = identity_begin(f);
    struct tenant tenant, again;
    struct uuid second, nil = {{0}};
    char text[UUID_TEXT_SIZE];

    assert_done(tenant_insert(t, STR("Example"), NOW + 5, &second));
    assert_false(uuid_eq(&second, &f->tenant));
    assert_done(tenant_find_by_name(t, &f->a, STR("Example"), &tenant));
    assert_true(uuid_eq(&tenant.id, &f->tenant));
    assert_true(str_eq(tenant.name, STR("Example")));
    assert_int_equal(tenant_find_by_name(t, &f->a, STR("example"), &tenant), TENANT_UNKNOWN);
    assert_int_equal(tenant_find(t, &f->a, &nil, &tenant), TENANT_UNKNOWN);
    uuid_format(&second, text);
    assert_done(tenant_find_or_insert(t, &f->a, str_of(text), NOW, &tenant));
    assert_true(uuid_eq(&tenant.id, &second));
    uuid_format(&nil, text);
    assert_int_equal(tenant_find_or_insert(t, &f->a, str_of(text), NOW, &tenant), TENANT_UNKNOWN);
    assert_done(tenant_find_or_insert(t, &f->a, STR("New"), NOW, &tenant));
    assert_done(tenant_find_or_insert(t, &f->a, STR("New"), NOW, &again));
    assert_true(uuid_eq(&tenant.id, &again.id));
    identity_end(f, 0);
}

static void test_insert_and_find(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_ADMIN), other = uuid_new(), fresh = other;
    struct user u = identity_read(f, &id);
    struct store_txn *t = identity_begin(f);

    assert_true(str_eq(u.email, STR("ada@example.com")));
    assert_true(uuid_eq(&u.tenant_id, &f->tenant));
    assert_int_equal(u.role, ROLE_ADMIN);
    assert_true(str_eq(u.password_hash, STR("hash")));
    assert_true(u.password_changed_at == NOW && u.created_at == NOW && u.updated_at == NOW);
    assert_true(u.locked_at == 0 && u.failed_logins == 0 && u.not_before == 0);
    assert_true(!u.disabled && !u.mfa_active && !u.password_temporary);
    assert_int_equal(u.email_status, EMAIL_OK);
    assert_done(user_find(t, &f->a, &f->tenant, &id, &u));
    assert_int_equal(user_find(t, &f->a, &other, &id, &u), USER_UNKNOWN);
    assert_int_equal(user_find(t, &f->a, NULL, &other, &u), USER_UNKNOWN);
    assert_done(user_find_by_email(t, &f->a, NULL, STR("ada@example.com"), &u));
    assert_int_equal(user_find_by_email(t, &f->a, &other, STR("ada@example.com"), &u),
                     USER_UNKNOWN);
    assert_int_equal(user_find_by_email(t, &f->a, NULL, STR("' OR 1=1 --"), &u), USER_UNKNOWN);
    /* The transaction stays usable. */
    struct user_new again = {f->tenant, STR("ada@example.com"), ROLE_MEMBER, STR("x"), true};
    assert_int_equal(user_insert(t, &again, NOW, &fresh), USER_EXISTS);
    assert_true(uuid_eq(&fresh, &other));
    again.email = STR("bob@example.com");
    assert_done(user_insert(t, &again, NOW, &fresh));
    identity_end(f, 0);
    assert_true(identity_read(f, &fresh).password_temporary);
}

static void test_list(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid other_tenant, ids[5];
    struct user *users;
    size_t n;
    int64_t count;
    static const char *const names[] = {"a%b", "a_c", "b", "a1", "c"};

    assert_done(tenant_insert(identity_begin(f), STR("Other"), NOW, &other_tenant));
    identity_end(f, 0);
    struct store_txn *t = identity_begin(f);
    for (int i = 0; i < 5; i++) {
        struct user_new u = {i == 4 ? other_tenant : f->tenant, str_of(names[i]), ROLE_MEMBER,
                             STR("x"), false};
        assert_done(user_insert(t, &u, NOW, &ids[i]));
    }
    struct user_query q = {.limit = 2};
    struct uuid last;
    size_t seen = 0;
    do {
        assert_done(user_list(t, &f->a, &q, &users, &n));
        for (size_t i = 0; i < n; i++) {
            assert_true(seen == 0 || memcmp(last.b, users[i].id.b, 16) < 0);
            last = users[i].id;
            q.after = &last;
            seen++;
        }
    } while (n > 0);
    assert_int_equal(seen, 5);
    q = (struct user_query){.tenant = &f->tenant, .limit = 10};
    assert_done(user_list(t, &f->a, &q, &users, &n));
    assert_int_equal(n, 4);
    q.email_prefix = STR("a");
    assert_done(user_list(t, &f->a, &q, &users, &n));
    assert_int_equal(n, 3);
    q.email_prefix = STR("a%"); /* no pattern */
    assert_done(user_list(t, &f->a, &q, &users, &n));
    assert_int_equal(n, 1);
    assert_true(uuid_eq(&users[0].id, &ids[0]));
    q.limit = 0;
    assert_done(user_list(t, &f->a, &q, &users, &n));
    assert_int_equal(n, 0);
    assert_done(user_count(t, &f->tenant, &count));
    assert_int_equal(count, 4);
    assert_done(user_count(t, NULL, &count));
    assert_int_equal(count, 5);
    identity_end(f, 0);
}

static void test_update(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER), other = uuid_new();
    struct str email = STR("new@example.com");
    enum role role = ROLE_ADMIN;
    struct user_change c;
    struct user_patch patch = {&email, &role, &yes, &yes};
    struct store_txn *t = identity_begin(f);

    assert_done(user_set_email_status(t, &id, EMAIL_INVALID, NOW));
    assert_int_equal(user_update(t, &f->a, &other, &id, &patch, NOW + 1, &c), USER_UNKNOWN);
    assert_int_equal(user_update(t, &f->a, NULL, &other, &patch, NOW + 1, &c), USER_UNKNOWN);
    assert_done(user_update(t, &f->a, &f->tenant, &id, &patch, NOW + 1, &c));
    assert_true(str_eq(c.before.email, STR("ada@example.com")) && str_eq(c.after.email, email));
    assert_true(c.before.role == ROLE_MEMBER && c.after.role == ROLE_ADMIN);
    assert_true(!c.before.disabled && c.after.disabled && !user_may_sign_in(&c.after));
    assert_true(c.before.locked_at == 0 && c.after.locked_at == NOW + 1);
    assert_true(c.before.email_status == EMAIL_INVALID && c.after.email_status == EMAIL_OK);
    assert_true(c.after.updated_at == NOW + 1);
    patch = (struct user_patch){.disabled = &no, .locked = &yes};
    assert_done(user_set_email_status(t, &id, EMAIL_UNSUBSCRIBED, NOW));
    assert_done(user_update(t, &f->a, NULL, &id, &patch, NOW + 2, &c));
    assert_true(c.after.locked_at == NOW + 1); /* since when, is kept */
    assert_true(str_eq(c.after.email, email) && c.after.role == ROLE_ADMIN && !c.after.disabled);
    assert_int_equal(c.after.email_status, EMAIL_UNSUBSCRIBED);
    patch = (struct user_patch){.locked = &no};
    assert_done(user_update(t, &f->a, NULL, &id, &patch, NOW + 3, &c));
    assert_true(c.after.locked_at == 0 && user_may_sign_in(&c.after));
    identity_end(f, 0);
}

static void test_update_to_a_taken_address(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER);
    struct str email = STR("bob@example.com");

    identity_user(f, "bob", ROLE_MEMBER);
    assert_int_equal(update(f, &id, (struct user_patch){.email = &email}), USER_EXISTS);
    assert_true(str_eq(identity_read(f, &id).email, STR("ada@example.com")));
    email = STR("ada@example.com"); /* one's own */
    assert_int_equal(update(f, &id, (struct user_patch){.email = &email}), 0);
}

static void test_last_operator(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid a = identity_user(f, "a", ROLE_OPERATOR), b = identity_user(f, "b", ROLE_ADMIN);
    struct user_patch disable = {.disabled = &yes}, demote = {.role = &to_member},
                      lock = {.locked = &yes}, promote = {.role = &to_operator};
    struct user gone;
    int64_t count;

    assert_int_equal(update(f, &a, disable), USER_LAST_OPERATOR);
    assert_int_equal(update(f, &a, demote), USER_LAST_OPERATOR);
    assert_int_equal(update(f, &a, lock), USER_LAST_OPERATOR);
    assert_int_equal(user_delete(identity_begin(f), &f->a, NULL, &a, &gone), USER_LAST_OPERATOR);
    identity_end(f, 0);
    assert_int_equal(update(f, &a, promote), 0);
    assert_int_equal(update(f, &b, promote), 0);
    assert_int_equal(update(f, &b, lock), 0); /* one who is locked out is no operator to count on */
    assert_int_equal(update(f, &a, disable), USER_LAST_OPERATOR);
    assert_int_equal(update(f, &b, (struct user_patch){.locked = &no}), 0);
    assert_int_equal(update(f, &a, disable), 0);
    assert_done(user_count_operators(identity_begin(f), &count));
    identity_end(f, 0);
    assert_int_equal(count, 1);
    assert_int_equal(update(f, &b, demote), USER_LAST_OPERATOR);
    assert_done(user_delete(identity_begin(f), &f->a, NULL, &a, &gone));
    identity_end(f, 0);
    assert_true(uuid_eq(&gone.id, &a));
}

struct race {
    struct identity_fixture *f;
    struct uuid ids[8];
    atomic_int next, done, refused, other;
};

struct race_step {
    struct arena a;
    struct uuid id;
    int kind;
};

static int drop_operator_job(struct store_txn *t, void *arg)
{
    struct race_step *s = arg;
    struct user_change change;
    struct user gone;
    struct user_patch patches[] = {{.disabled = &yes}, {.role = &to_member}, {.locked = &yes}};

    if (s->kind == 3)
        return user_delete(t, &s->a, NULL, &s->id, &gone);
    return user_update(t, &s->a, NULL, &s->id, &patches[s->kind], NOW, &change);
}

static void *drop_operator(void *arg)
{
    struct race *race = arg;
    int i = atomic_fetch_add(&race->next, 1);
    struct race_step step = {arena_init(65536), race->ids[i], i % 4};
    int r = store_write(race->f->s, drop_operator_job, &step);

    atomic_fetch_add(r == 0                    ? &race->done
                     : r == USER_LAST_OPERATOR ? &race->refused
                                               : &race->other,
                     1);
    arena_free(&step.a);
    return NULL;
}

static void test_last_operator_under_concurrency(void **state)
{
    struct identity_fixture *f = *state;

    for (int round = 0; round < 5; round++) {
        struct race race = {.f = f};
        char name[20];
        for (int i = 0; i < 8; i++) {
            snprintf(name, sizeof name, "op%d-%d", round, i);
            race.ids[i] = identity_user(f, name, ROLE_OPERATOR);
        }
        fixture_parallel(8, drop_operator, &race);
        /* In the rounds after the first there is one operator more: the one that was left. */
        assert_int_equal(race.other, 0);
        assert_int_equal(race.done, round == 0 ? 7 : race.done);
        assert_true(race.done >= 7 && race.done + race.refused == 8);
        assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM users WHERE role = 'operator'"
                                              " AND disabled = 0 AND locked_at IS NULL"),
                         1);
    }
}

static int insert_job(struct store_txn *t, void *arg)
{
    struct identity_fixture *f = arg;
    struct user_new u = {f->tenant, STR("same@example.com"), ROLE_MEMBER, STR("x"), false};
    struct uuid id;

    return user_insert(t, &u, NOW, &id);
}

static void *insert_same(void *arg)
{
    struct race *race = arg;
    int r = store_write(race->f->s, insert_job, race->f);

    atomic_fetch_add(r == 0 ? &race->done : r == USER_EXISTS ? &race->refused : &race->other, 1);
    return NULL;
}

static void test_one_address_many_inserts(void **state)
{
    struct identity_fixture *f = *state;
    struct race race = {.f = f};

    fixture_parallel(16, insert_same, &race);
    assert_int_equal(race.done, 1);
    assert_int_equal(race.refused, 15);
}

static void test_passwords(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER), nobody = uuid_new();
    struct store_txn *t = identity_begin(f);

    assert_done(user_set_password(t, &id, STR("second"), true, NOW + 9));
    assert_int_equal(user_set_password(t, &nobody, STR("x"), true, NOW), USER_UNKNOWN);
    assert_done(user_rehash(t, &id, STR("hash"), STR("too late")));
    identity_end(f, 0);
    struct user u = identity_read(f, &id);
    assert_true(str_eq(u.password_hash, STR("second")) && u.password_temporary);
    assert_true(u.password_changed_at == NOW + 9);
    assert_done(user_rehash(identity_begin(f), &id, STR("second"), STR("third")));
    identity_end(f, 0);
    u = identity_read(f, &id);
    assert_true(str_eq(u.password_hash, STR("third")) && u.password_changed_at == NOW + 9);
}

static void test_locks(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER);
    static const char lock[] = "UPDATE users SET locked_at = 5, locked_until = 9, failed_logins = 4"
                               " WHERE id = $1";

    assert_done(store_run(f->s, lock, NULL, PARAMS(P_ID(&id))));
    assert_done(user_clear_failures(identity_begin(f), &id));
    identity_end(f, 0);
    struct user u = identity_read(f, &id); /* a right password does not unlock */
    assert_true(u.locked_at == 5 && u.locked_until == 9 && u.failed_logins == 4);
    assert_int_equal(update(f, &id, (struct user_patch){.role = &(enum role){ROLE_ADMIN}}), 0);
    assert_int_equal(identity_read(f, &id).locked_until, 9);
    assert_int_equal(update(f, &id, (struct user_patch){.locked = &yes}), 0);
    u = identity_read(f, &id); /* what an administrator locks does not pass */
    assert_true(u.locked_at == 5 && u.locked_until == 0 && u.failed_logins == 4);
    assert_done(store_run(f->s, lock, NULL, PARAMS(P_ID(&id))));
    assert_int_equal(update(f, &id, (struct user_patch){.locked = &no}), 0);
    u = identity_read(f, &id);
    assert_true(u.locked_at == 0 && u.locked_until == 0 && u.failed_logins == 0);
}

static int end_epoch(struct store_txn *t, const struct uuid *id, int64_t not_before)
{
    return user_end_epoch(t, id, &(struct user_epoch){not_before, NOW, STR("x")}, NULL);
}

static int64_t end_epoch_bulk(struct store_txn *t, const struct uuid *tenant, int64_t not_before)
{
    int64_t added = -1;

    assert_done(
        user_end_epoch_bulk(t, tenant, &(struct user_epoch){not_before, NOW, STR("x")}, &added));
    return added;
}

static void test_not_before(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid ids[3] = {identity_user(f, "a", ROLE_MEMBER), identity_user(f, "b", ROLE_MEMBER),
                          uuid_new()};
    struct uuid elsewhere = uuid_new();
    struct store_txn *t = identity_begin(f);

    assert_done(store_bulk_ids(t, ids, 3)); /* first: on PostgreSQL it may start the job anew */
    assert_done(end_epoch(t, &ids[0], NOW + 5));
    assert_done(end_epoch(t, &ids[0], NOW));
    assert_done(end_epoch(t, &ids[0], NOW)); /* as it was */
    assert_int_equal(end_epoch_bulk(t, NULL, NOW + 2), 2);
    assert_int_equal(end_epoch_bulk(t, &f->tenant, NOW + 3), 2);
    assert_int_equal(end_epoch_bulk(t, &f->tenant, NOW + 5), 1); /* one was there */
    assert_int_equal(end_epoch_bulk(t, &elsewhere, NOW + 9), 0);
    identity_end(f, 0);
    assert_true(identity_read(f, &ids[0]).not_before == NOW + 5);
    assert_true(identity_read(f, &ids[1]).not_before == NOW + 5);
}

/* No epoch of before the lock is one of behind it, and each is the next to the time. */
static void test_epochs_and_the_lock(void **state)
{
    for (int64_t ms = NOW; ms < NOW + 4; ms++) {
        int64_t before = user_epoch_before_lock(ms), behind = user_epoch_behind_lock(ms);
        assert_int_equal(before % 2, 0);
        assert_int_equal(behind % 2, 1);
        assert_in_range(before, ms, ms + 1);
        assert_in_range(behind, ms, ms + 1);
    }
}

static void test_epochs_of_many(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid ids[2] = {identity_user(f, "a", ROLE_MEMBER), identity_user(f, "b", ROLE_MEMBER)};
    const struct user_epoch epoch = {NOW + 2, NOW, STR("x")};

    assert_done(user_add_epochs(identity_begin(f), ids, 2, &epoch));
    identity_end(f, 0);
    assert_true(identity_read(f, &ids[0]).not_before == NOW + 2);
    assert_true(identity_read(f, &ids[1]).not_before == NOW + 2);
    assert_int_equal(user_add_epochs(identity_begin(f), ids + 1, 1, &epoch), STORE_CONFLICT);
    identity_end(f, STORE_CONFLICT);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM epochs"), 2);
}

static void test_delete_takes_all_along(void **state)
{
    struct identity_fixture *f = *state;
    struct uuid id = identity_user(f, "ada", ROLE_MEMBER), other = uuid_new();
    struct preferences p = {true, false, NOW};
    struct user gone;
    struct store_txn *t = identity_begin(f);

    assert_done(preferences_put(t, &id, &p));
    assert_done(notification_add(t, &f->tenant, &id, NOTIFICATION_NEW_DEVICE, STR("x"), NOW));
    assert_done(end_epoch(t, &id, NOW));
    assert_int_equal(user_delete(t, &f->a, &other, &id, &gone), USER_UNKNOWN);
    assert_done(user_delete(t, &f->a, &f->tenant, &id, &gone));
    assert_true(str_eq(gone.email, STR("ada@example.com")));
    assert_int_equal(user_delete(t, &f->a, NULL, &id, &gone), USER_UNKNOWN);
    identity_end(f, 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM notifications"), 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM preferences"), 0);
    assert_int_equal(fixture_number(f->s, "SELECT count(*) FROM epochs"), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IDENTITY_BOTH(test_tenants),
        IDENTITY_BOTH(test_insert_and_find),
        IDENTITY_BOTH(test_list),
        IDENTITY_BOTH(test_update),
        IDENTITY_BOTH(test_update_to_a_taken_address),
        IDENTITY_BOTH(test_last_operator),
        IDENTITY_BOTH(test_last_operator_under_concurrency),
        IDENTITY_BOTH(test_one_address_many_inserts),
        IDENTITY_BOTH(test_passwords),
        IDENTITY_BOTH(test_locks),
        IDENTITY_BOTH(test_not_before),
        cmocka_unit_test(test_epochs_and_the_lock),
        IDENTITY_BOTH(test_epochs_of_many),
        IDENTITY_BOTH(test_delete_takes_all_along),
    };

    return FIXTURE_RUN(tests);
}
