/*
 * The order in which acts on one account take what they change: the same in all, or two of them at
 * once would wait for each other.
 */
#include "sessions/account.h"
#include "sessions/mass.h"
#include "sessions/revoke.h"
#include "sessions/scene.h"
#include "store/internal.h"

enum place { OPERATORS, USERS, FAMILIES, EPOCHS, TRAIL, PLACES };

/* When each was first taken, counted from 1; 0: never. */
static const struct store_driver *inner;
static int taken[PLACES], steps;

static void take(enum place place)
{
    steps++;
    if (taken[place] == 0)
        taken[place] = steps;
}

static void note(const char *sql)
{
    if (strstr(sql, "UPDATE users") || strstr(sql, "DELETE FROM users"))
        take(USERS);
    if (strstr(sql, "UPDATE families"))
        take(FAMILIES);
    if (strstr(sql, "INSERT INTO epochs"))
        take(EPOCHS);
}

static int noting_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    note(call->sql);
    return inner->exec(t, call, ret_changed);
}

static int noting_query(struct store_txn *t, const struct store_call *call, struct store_rows **ret)
{
    note(call->sql);
    return inner->query(t, call, ret);
}

static int noting_add(struct store_txn *t, const struct store_addition *rows)
{
    note(rows->insert);
    return inner->add(t, rows);
}

static int noting_lock(struct store_txn *t, int64_t number)
{
    if (number == STORE_LOCK_OPERATORS)
        take(OPERATORS);
    if (number == STORE_LOCK_TRAIL)
        take(TRAIL);
    return inner->lock(t, number);
}

static void watch(struct scene *f)
{
    static struct store_driver driver;

    inner = f->node.store->driver;
    driver = *inner;
    driver.exec = noting_exec;
    driver.query = noting_query;
    driver.add = noting_add;
    driver.lock = noting_lock;
    f->node.store->driver = &driver;
}

static void begin(void)
{
    memset(taken, 0, sizeof taken);
    steps = 0;
}

/* What was taken ascends, and from first on all of it was. */
static void check(const char *what, enum place first)
{
    int before = 0;

    for (int place = 0; place < PLACES; place++) {
        if (taken[place] == 0 && place < (int)first)
            continue;
        if (taken[place] <= before)
            fail_msg("%s takes %d out of order", what, place);
        before = taken[place];
    }
}

static void test_order(void **state)
{
    struct scene *f = *state;
    struct uuid ada = scene_member(f, "ada");
    struct account_power power = {.actor = &f->actor, .operator_ = true};
    const bool yes = true, no = false;
    struct mass_result result;
    struct mass_totals totals = {0};
    struct user user;
    int64_t n;

    scene_begin(f, &ada, NOW);
    watch(f);
    begin();
    assert_done(session_revoke_user(f->s, &f->actor, NULL, &ada, STR("x"), NOW, &n));
    check("revoking", USERS);
    begin();
    assert_done(account_reset_password(f->s, &f->a, &power, &ada, STR("hash"), NOW));
    check("a new password", USERS);
    begin();
    assert_done(account_update(f->s, &f->a, &power, &ada, &(struct user_patch){.disabled = &yes},
                               NOW, &user));
    check("disabling", USERS);
    assert_true(taken[OPERATORS] > 0);
    assert_done(account_update(f->s, &f->a, &power, &ada, &(struct user_patch){.disabled = &no},
                               NOW, &user));
    scene_begin(f, &ada, NOW + 1);
    begin();
    assert_done(mass_revoke(f->s, &f->actor,
                            &(struct mass_options){.reason = STR("x"), .now = NOW + 2}, &ada, 1,
                            &result, &totals));
    check("a mass revocation", EPOCHS);
    assert_true(taken[USERS] == 0 && taken[FAMILIES] == 0); /* it waits for no one of them */
    begin();
    assert_done(account_delete(f->s, &f->a, &power, &ada, NOW));
    check("deleting", USERS);
    assert_true(taken[OPERATORS] > 0);
    f->node.store->driver = inner;
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENE_BOTH(test_order)};

    return FIXTURE_RUN(tests);
}
