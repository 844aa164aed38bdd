#include "sessions/account.h"

#include "base/fault.h"
#include "base/json.h"
#include "identity/notification.h"
#include "identity/tenant.h"
#include "sessions/revoke.h"

struct work {
    struct sessions *s;
    struct arena *arena;
    const struct account_power *power;
    const struct uuid *id;
    int64_t now;
    const struct user_new *new_user;
    const struct user_patch *patch;
    struct str hash;
    struct user_change change;
    struct user user;
};

static int outcome_of(int user_outcome)
{
    switch (user_outcome) {
    case USER_UNKNOWN:
        return ACCOUNT_UNKNOWN;
    case USER_EXISTS:
        return ACCOUNT_EXISTS;
    case USER_LAST_OPERATOR:
        return ACCOUNT_LAST_OPERATOR;
    default:
        return user_outcome;
    }
}

static int record(struct store_txn *t, const struct work *w, enum trail_action action,
                  const struct user *user, struct str detail)
{
    struct trail_event event = {.action = action,
                                .tenant_id = user->tenant_id,
                                .subject_id = user->id,
                                .subject = user->email,
                                .detail = detail};

    return trail_append(w->s->trail, t, w->power->actor, &event);
}

int account_create_in(struct sessions *s, struct store_txn *t, struct arena *a,
                      const struct account_power *power, const struct user_new *user, int64_t now,
                      struct user *ret)
{
    struct work w = {.s = s, .arena = a, .power = power, .now = now};
    struct tenant tenant;
    struct uuid id;
    int r = tenant_find(t, a, &user->tenant_id, &tenant);

    if (r)
        return r == TENANT_UNKNOWN ? ACCOUNT_NO_TENANT : r;
    r = user_insert(t, user, now, &id);
    if (r == 0)
        r = user_find(t, a, NULL, &id, ret);
    if (r)
        return outcome_of(r);
    return record(t, &w, TRAIL_USER_CREATE, ret, STR(""));
}

static int create_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return account_create_in(w->s, t, w->arena, w->power, w->new_user, w->now, &w->user);
}

int account_create(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct user_new *user, int64_t now, struct user *ret)
{
    struct work w = {.s = s, .arena = a, .power = power, .now = now, .new_user = user};

    if (!power->operator_ && user->role == ROLE_OPERATOR)
        return ACCOUNT_FORBIDDEN;
    if (power->tenant && !uuid_eq(power->tenant, &user->tenant_id))
        return ACCOUNT_NO_TENANT;
    int r = store_write(s->store, create_job, &w);
    if (r == 0)
        *ret = w.user;
    return r;
}

/* An administrator of a tenant has no power over an operator, nor to make one. */
static int check_role(const struct work *w, enum role role)
{
    return role == ROLE_OPERATOR && !w->power->operator_ ? ACCOUNT_FORBIDDEN : 0;
}

static int check_power(struct store_txn *t, struct work *w)
{
    int r = user_find(t, w->arena, w->power->tenant, w->id, &w->user);

    if (r)
        return outcome_of(r);
    r = check_role(w, w->user.role);
    return r || !w->patch || !w->patch->role ? r : check_role(w, *w->patch->role);
}

/* Of who was no operator when the power was checked, and may have become one since. */
static int update_user(struct store_txn *t, struct work *w, const struct user_patch *patch)
{
    int r =
        outcome_of(user_update(t, w->arena, w->power->tenant, w->id, patch, w->now, &w->change));

    return r ? r : check_role(w, w->change.before.role);
}

static int tell(struct store_txn *t, const struct work *w)
{
    const struct user *before = &w->change.before, *after = &w->change.after;
    const struct uuid *tenant = &after->tenant_id, *id = &after->id;
    int r = 0;

    if (before->role != after->role)
        r = notification_add(t, tenant, id, NOTIFICATION_ROLE_CHANGED, role_name(after->role),
                             w->now);
    if (r == 0 && !str_eq(before->email, after->email))
        r = notification_add(t, tenant, id, NOTIFICATION_EMAIL_CHANGED, after->email, w->now);
    if (r == 0 && !before->locked_at != !after->locked_at)
        r = notification_add(t, tenant, id,
                             after->locked_at ? NOTIFICATION_ACCOUNT_LOCKED
                                              : NOTIFICATION_ACCOUNT_UNLOCKED,
                             STR(""), w->now);
    return r;
}

static enum trail_action action_of(const struct user_change *c)
{
    if (!c->before.disabled && c->after.disabled)
        return TRAIL_USER_DISABLE;
    if (c->before.disabled && !c->after.disabled)
        return TRAIL_USER_ENABLE;
    if (c->before.locked_at && !c->after.locked_at)
        return TRAIL_USER_UNLOCK;
    return TRAIL_USER_UPDATE;
}

static void write_pair(struct json_writer *w, const char *key, struct str before, struct str after)
{
    if (str_eq(before, after))
        return;
    json_key(w, key);
    json_array_begin(w);
    json_str(w, before);
    json_str(w, after);
    json_array_end(w);
}

static struct str lock_text(const struct user *u)
{
    return u->locked_at == 0 ? STR("no") : u->locked_until ? STR("for a time") : STR("yes");
}

static int record_change(struct store_txn *t, const struct work *w)
{
    const struct user *before = &w->change.before, *after = &w->change.after;
    struct buf detail _cleanup_buf_ = buf_init(4096);
    struct json_writer j = json_writer(&detail);

    json_object_begin(&j);
    write_pair(&j, "role", role_name(before->role), role_name(after->role));
    write_pair(&j, "email", before->email, after->email);
    write_pair(&j, "locked", lock_text(before), lock_text(after));
    json_object_end(&j);
    int r = buf_fault(&detail);
    return r ? r : record(t, w, action_of(&w->change), after, buf_str(&detail));
}

static int update_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;
    int64_t ended;
    int r = check_power(t, w);

    if (r == 0)
        r = update_user(t, w, w->patch);
    if (r == 0)
        r = tell(t, w);
    if (r)
        return r;
    if (!w->change.before.disabled && w->change.after.disabled)
        r = session_end_all(t, w->id, NULL, STR("account disabled"), w->now, &ended);
    else
        r = feed_user(t, w->id, w->now, session_access_horizon(w->now));
    return r ? r : record_change(t, w);
}

/* Runs a job about one user, and then this node follows it at once. */
static int run(struct work *w, store_job *job)
{
    int r = store_write(w->s->store, job, w);

    return r ? r : session_settle_user(w->s, w->id, w->now);
}

int account_update(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct uuid *id, const struct user_patch *patch, int64_t now,
                   struct user *ret)
{
    struct work w = {.s = s, .arena = a, .power = power, .id = id, .patch = patch, .now = now};
    int r = run(&w, update_job);

    if (r)
        return r;
    if (patch->locked && !*patch->locked)
        failures_forget(s->failures, id);
    *ret = w.change.after;
    return 0;
}

static int delete_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;
    int64_t ended;
    /* Before any row, as a change that takes power has it. */
    int r = store_lock(t, STORE_LOCK_OPERATORS);

    if (r == 0)
        r = check_power(t, w);
    if (r == 0)
        r = session_end_all(t, w->id, NULL, STR("account deleted"), w->now, &ended);
    if (r == 0)
        r = outcome_of(user_delete(t, w->arena, w->power->tenant, w->id, &w->user));
    if (r == 0)
        r = check_role(w, w->user.role);
    return r ? r : record(t, w, TRAIL_USER_DELETE, &w->user, STR(""));
}

int account_delete(struct sessions *s, struct arena *a, const struct account_power *power,
                   const struct uuid *id, int64_t now)
{
    struct work w = {.s = s, .arena = a, .power = power, .id = id, .now = now};

    return run(&w, delete_job);
}

static int reset_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;
    static const bool unlocked = false;
    const struct user_patch patch = {.locked = &unlocked};
    int64_t ended;
    int r = check_power(t, w);

    if (r == 0)
        r = update_user(t, w, &patch);
    if (r == 0)
        r = user_set_password(t, w->id, w->hash, true, w->now);
    if (r == 0)
        r = notification_add(t, &w->user.tenant_id, w->id, NOTIFICATION_PASSWORD_RESET, STR(""),
                             w->now);
    if (r == 0)
        r = session_end_all(t, w->id, NULL, STR("password reset"), w->now, &ended);
    return r ? r : record(t, w, TRAIL_PASSWORD_RESET, &w->user, STR(""));
}

int account_reset_password(struct sessions *s, struct arena *a, const struct account_power *power,
                           const struct uuid *id, struct str hash, int64_t now)
{
    struct work w = {.s = s, .arena = a, .power = power, .id = id, .hash = hash, .now = now};

    int r = run(&w, reset_job);

    if (r == 0)
        failures_forget(s->failures, id);
    return r;
}

struct bootstrapping {
    struct sessions *s;
    struct arena *arena;
    struct str tenant_name, email, hash;
    int64_t now;
    bool made;
};

static int bootstrap_job(struct store_txn *t, void *arg)
{
    struct bootstrapping *b = arg;
    struct trail_actor actor = {.label = STR("system")};
    struct account_power power = {.actor = &actor, .operator_ = true};
    struct user_new user = {.email = b->email,
                            .role = ROLE_OPERATOR,
                            .password_hash = b->hash,
                            .password_temporary = true};
    struct user made;
    int64_t users;
    int r = store_lock(t, STORE_LOCK_OPERATORS);

    b->made = false;
    if (r == 0)
        r = user_count(t, NULL, &users);
    if (r || users)
        return r;
    r = tenant_insert(t, b->tenant_name, b->now, &user.tenant_id);
    if (r == 0)
        r = account_create_in(b->s, t, b->arena, &power, &user, b->now, &made);
    b->made = r == 0;
    return r > 0 ? fault_set(FAULT_INTERNAL, "the first operator could not be made") : r;
}

int account_bootstrap(struct sessions *s, struct arena *a, struct str tenant_name, struct str email,
                      struct str hash, int64_t now, bool *ret_made)
{
    struct bootstrapping b = {
        .s = s, .arena = a, .tenant_name = tenant_name, .email = email, .hash = hash, .now = now};
    int r = store_write(s->store, bootstrap_job, &b);

    if (r == 0)
        *ret_made = b.made;
    return r;
}
