/* Users of one's tenant, or of all for operators. */
#include "api/app.h"
#include "base/fault.h"
#include "crypto/password.h"
#include "identity/notification.h"
#include "identity/tenant.h"
#include "sessions/revoke.h"

static const char *const role_choices[] = {"member", "admin", "operator", NULL};

struct user_view {
    struct uuid id, tenant_id;
    struct str email, role, email_status, password;
    bool disabled, locked, mfa_enabled;
    int64_t created_at, updated_at;
};

#define USER_VIEW_FIELDS                                                                           \
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct user_view, id), 0, 0, NULL, NULL,           \
     "The user's id."},                                                                            \
        {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct user_view, email), 0, 0, NULL, NULL,  \
         "The address to sign in with."},                                                          \
        {"role", FIELD_STR, FIELD_REQUIRED, offsetof(struct user_view, role), 0, 0, NULL, NULL,    \
         "member, admin or operator."},                                                            \
        {"tenantId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct user_view, tenant_id), 0, 0,      \
         NULL, NULL, "The tenant."},                                                               \
        {"disabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct user_view, disabled), 0, 0, NULL, \
         NULL, "Whether an administrator has disabled the account."},                              \
        {"locked", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct user_view, locked), 0, 0, NULL,     \
         NULL, "Whether too many failed sign-ins have locked it."},                                \
        {"mfaEnabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct user_view, mfa_enabled), 0, 0,  \
         NULL, NULL, "Whether a second factor is active."},                                        \
        {"emailStatus", FIELD_STR, FIELD_REQUIRED, offsetof(struct user_view, email_status), 0, 0, \
         NULL, NULL, "ok, invalid or unsubscribed."},                                              \
        {"createdAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct user_view, created_at), 0, 0,    \
         NULL, NULL, "When the account was made."},                                                \
    {                                                                                              \
        "updatedAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct user_view, updated_at), 0, 0,     \
            NULL, NULL, "When it was last changed."                                                \
    }

static const struct field user_fields[] = {USER_VIEW_FIELDS};
static const struct shape user_shape = SHAPE("User", struct user_view, user_fields);

static const struct field created_fields[] = {
    USER_VIEW_FIELDS,
    {"password", FIELD_STR, FIELD_OMIT, offsetof(struct user_view, password), 0, 0, NULL, NULL,
     "The password that was made where none was given; shown this once."},
};
static const struct shape created_shape = SHAPE("UserCreated", struct user_view, created_fields);

static struct user_view view_of(const struct user *u)
{
    return (struct user_view){.id = u->id,
                              .tenant_id = u->tenant_id,
                              .email = u->email,
                              .role = role_name(u->role),
                              .email_status = email_status_name(u->email_status),
                              .disabled = u->disabled,
                              .locked = u->locked_at != 0,
                              .mfa_enabled = u->mfa_active,
                              .created_at = u->created_at,
                              .updated_at = u->updated_at};
}

struct users_query {
    uint64_t given;
    int64_t limit;
    struct str cursor, email;
};

static const struct field query_fields[] = {
    LIST_QUERY_FIELDS(struct users_query),
    {"email", FIELD_STR, 0, offsetof(struct users_query, email), 1, 254, NULL, NULL,
     "Only addresses that begin so."},
};
static const struct shape query_shape = SHAPE("UserQuery", struct users_query, query_fields);

struct listing {
    struct call *call;
    struct user_query query;
    struct user *users;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return user_list(t, l->call->arena, &l->query, &l->users, &l->n);
}

static int reply_list(struct call *call, const struct listing *l)
{
    struct user_view *views = arena_array(call->arena, l->n + 1, sizeof *views);
    char cursor[UUID_TEXT_SIZE] = "";

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < l->n; i++)
        views[i] = view_of(&l->users[i]);
    if (l->n == l->query.limit)
        uuid_format(&l->users[l->n - 1].id, cursor);
    return call_reply_list(call, views, l->n, str_of(cursor));
}

static int get_users(struct call *call)
{
    const struct users_query *query = call->query;
    struct uuid scratch;
    struct listing l = {.call = call,
                        .query = {.tenant = app_bound(call),
                                  .email_prefix = query->email,
                                  .limit = list_limit(query->limit)}};
    int r = api_cursor_id(call, query->cursor, &scratch, &l.query.after);

    if (r == 0)
        r = store_read(app_of(call)->store, list_job, &l);
    return r ? r : reply_list(call, &l);
}

struct create_body {
    uint64_t given;
    struct str email, password;
    int64_t role;
    struct uuid tenant_id;
};

static const struct field create_fields[] = {
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct create_body, email), 1, 254, NULL, NULL,
     "The address to sign in with."},
    {"role", FIELD_CHOICE, FIELD_REQUIRED, offsetof(struct create_body, role), 0, 0, role_choices,
     NULL, "What the user may do; only an operator makes operators."},
    {"password", FIELD_STR, FIELD_SECRET, offsetof(struct create_body, password), 1, 1024, NULL,
     NULL, "8 to 128 characters; without it one is made, to be replaced at the first sign-in."},
    {"tenantId", FIELD_UUID, 0, offsetof(struct create_body, tenant_id), 0, 0, NULL, NULL,
     "The tenant; one's own by default, another's for operators only."},
};
static const struct shape create_shape = SHAPE("UserRequest", struct create_body, create_fields);

struct creating {
    struct call *call;
    struct user_new new_user;
    struct uuid id;
    struct user user;
};

static int create_job(struct store_txn *t, void *arg)
{
    struct creating *c = arg;
    struct call *call = c->call;
    struct tenant tenant;
    int r = tenant_find(t, call->arena, &c->new_user.tenant_id, &tenant);

    if (r)
        return r == TENANT_UNKNOWN ? PROBLEM_NOT_FOUND : r;
    r = user_insert(t, &c->new_user, call->now, &c->id);
    if (r == USER_EXISTS)
        return PROBLEM_CONFLICT;
    if (r == 0)
        r = user_find(t, call->arena, NULL, &c->id, &c->user);
    if (r)
        return r;
    struct trail_event event = {.action = TRAIL_USER_CREATE,
                                .tenant_id = c->user.tenant_id,
                                .subject_id = c->id,
                                .subject = c->user.email};
    return trail_append(app_of(call)->trail, t, &call->actor, &event);
}

/* What the caller may not do: make operators, or reach into other tenants. */
static int check_create(struct call *call, const struct create_body *body, struct creating *c)
{
    c->new_user.role = (enum role)body->role;
    c->new_user.tenant_id =
        uuid_is_nil(&body->tenant_id) ? call->who.tenant_id : body->tenant_id;
    if (call->who.role != ROLE_OPERATOR && c->new_user.role > ROLE_ADMIN)
        return call_problem(call, PROBLEM_FORBIDDEN, "Only an operator makes operators.");
    if (call->who.role != ROLE_OPERATOR &&
        !uuid_eq(&c->new_user.tenant_id, &call->who.tenant_id))
        return call_problem(call, PROBLEM_NOT_FOUND, "There is no such tenant.");
    int r = api_email(call, body->email, &c->new_user.email);
    if (r == 0 && body->password.n)
        r = api_new_password(call, "password", body->password);
    return r;
}

static int post_user(struct call *call)
{
    const struct create_body *body = call->body;
    char hash[PASSWORD_HASH_SIZE], made[PASSWORD_GENERATED_SIZE] = "";
    struct str password = body->password;
    struct creating c = {.call = call};
    int r = check_create(call, body, &c);

    if (r)
        return r;
    if (password.n == 0) {
        password_generate(made);
        password = str_of(made);
        c.new_user.password_temporary = true;
    }
    r = password_hash(password, hash);
    if (r)
        return r;
    c.new_user.password_hash = str_of(hash);
    r = store_write(app_of(call)->store, create_job, &c);
    if (r == PROBLEM_CONFLICT)
        return call_problem(call, r, "There is an account with this address.");
    if (r == PROBLEM_NOT_FOUND)
        return call_problem(call, r, "There is no such tenant.");
    if (r)
        return r;
    call->trailed = true;
    struct user_view view = view_of(&c.user);
    view.password = str_of(made);
    r = call_reply(call, &view);
    explicit_bzero(made, sizeof made);
    return r;
}

struct finding {
    struct call *call;
    struct uuid id;
    struct user user;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    int r = user_find(t, f->call->arena, app_bound(f->call), &f->id, &f->user);

    return r == USER_UNKNOWN ? PROBLEM_NOT_FOUND : r;
}

static int get_user(struct call *call)
{
    struct finding f = {.call = call};
    int r = call_param_id(call, 0, &f.id);

    if (r == 0)
        r = store_read(app_of(call)->store, find_job, &f);
    if (r)
        return r;
    struct user_view view = view_of(&f.user);
    return call_reply(call, &view);
}

struct patch_body {
    uint64_t given;
    struct str email;
    int64_t role;
    bool disabled, locked;
};

enum { GIVEN_EMAIL, GIVEN_ROLE, GIVEN_DISABLED, GIVEN_LOCKED };

static const struct field patch_fields[] = {
    [GIVEN_EMAIL] = {"email", FIELD_STR, 0, offsetof(struct patch_body, email), 1, 254, NULL, NULL,
                     "A new address."},
    [GIVEN_ROLE] = {"role", FIELD_CHOICE, 0, offsetof(struct patch_body, role), 0, 0, role_choices,
                    NULL, "A new role; holds at once, also for tokens that are out."},
    [GIVEN_DISABLED] = {"disabled", FIELD_BOOL, 0, offsetof(struct patch_body, disabled), 0, 0,
                        NULL, NULL, "true ends all sessions and refuses sign-in."},
    [GIVEN_LOCKED] = {"locked", FIELD_BOOL, 0, offsetof(struct patch_body, locked), 0, 0, NULL,
                      NULL, "false lifts what failed sign-ins have locked."},
};
static const struct shape patch_shape = SHAPE("UserPatch", struct patch_body, patch_fields);

struct patching {
    struct call *call;
    struct uuid id;
    struct str email;
    struct user_change change;
    bool ends;
};

/* An administrator of a tenant has no power over an operator, nor to make one. */
static int check_power(struct store_txn *t, struct patching *p)
{
    struct call *call = p->call;
    const struct patch_body *body = call->body;
    struct user user;
    int r = user_find(t, call->arena, app_bound(call), &p->id, &user);

    if (r)
        return r == USER_UNKNOWN ? PROBLEM_NOT_FOUND : r;
    bool raises = body && shape_given(body, GIVEN_ROLE) && body->role > ROLE_ADMIN;
    if (call->who.role != ROLE_OPERATOR && (user.role == ROLE_OPERATOR || raises))
        return PROBLEM_FORBIDDEN;
    return 0;
}

static int tell(struct store_txn *t, const struct patching *p)
{
    const struct user *before = &p->change.before, *after = &p->change.after;
    const struct uuid *tenant = &after->tenant_id, *id = &after->id;
    int64_t now = p->call->now;
    int r = 0;

    if (before->role != after->role)
        r = notification_add(t, tenant, id, NOTIFICATION_ROLE_CHANGED, role_name(after->role), now);
    if (r == 0 && !str_eq(before->email, after->email))
        r = notification_add(t, tenant, id, NOTIFICATION_EMAIL_CHANGED, after->email, now);
    if (r == 0 && !before->locked_at != !after->locked_at)
        r = notification_add(t, tenant, id,
                             after->locked_at ? NOTIFICATION_ACCOUNT_LOCKED
                                              : NOTIFICATION_ACCOUNT_UNLOCKED,
                             STR(""), now);
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

static int record(struct store_txn *t, const struct patching *p)
{
    const struct user *before = &p->change.before, *after = &p->change.after;
    struct buf detail _cleanup_buf_ = buf_init(4096);
    struct json_writer w = json_writer(&detail);

    json_object_begin(&w);
    write_pair(&w, "role", role_name(before->role), role_name(after->role));
    write_pair(&w, "email", before->email, after->email);
    json_object_end(&w);
    if (buf_fault(&detail))
        return buf_fault(&detail);
    struct trail_event event = {.action = action_of(&p->change),
                                .tenant_id = after->tenant_id,
                                .subject_id = after->id,
                                .subject = after->email,
                                .detail = buf_str(&detail)};
    return trail_append(app_of(p->call)->trail, t, &p->call->actor, &event);
}

static int apply_patch(struct store_txn *t, struct patching *p)
{
    struct call *call = p->call;
    const struct patch_body *body = call->body;
    enum role role = (enum role)body->role;
    struct user_patch patch = {
        .email = shape_given(body, GIVEN_EMAIL) ? &p->email : NULL,
        .role = shape_given(body, GIVEN_ROLE) ? &role : NULL,
        .disabled = shape_given(body, GIVEN_DISABLED) ? &body->disabled : NULL,
        .locked = shape_given(body, GIVEN_LOCKED) ? &body->locked : NULL};
    int r = user_update(t, call->arena, app_bound(call), &p->id, &patch, call->now, &p->change);

    switch (r) {
    case USER_UNKNOWN:
        return PROBLEM_NOT_FOUND;
    case USER_EXISTS:
        return PROBLEM_CONFLICT;
    case USER_LAST_OPERATOR:
        return PROBLEM_FORBIDDEN;
    default:
        return r;
    }
}

static int patch_job(struct store_txn *t, void *arg)
{
    struct patching *p = arg;
    struct call *call = p->call;
    int64_t ended, now = call->now;
    int r = check_power(t, p);

    if (r == 0)
        r = apply_patch(t, p);
    if (r)
        return r;
    r = tell(t, p);
    p->ends = !p->change.before.disabled && p->change.after.disabled;
    if (r == 0 && p->ends)
        r = session_end_all(t, &p->id, NULL, STR("account disabled"), now, &ended);
    else if (r == 0)
        r = feed_user(t, &p->id, now, session_access_horizon(now));
    return r ? r : record(t, p);
}

static int patch_user(struct call *call)
{
    const struct patch_body *body = call->body;
    struct patching p = {.call = call};
    int r = call_param_id(call, 0, &p.id);

    if (r == 0 && shape_given(body, GIVEN_EMAIL))
        r = api_email(call, body->email, &p.email);
    if (r == 0)
        r = store_write(app_of(call)->store, patch_job, &p);
    if (r == PROBLEM_CONFLICT)
        return call_problem(call, r, "There is an account with this address.");
    if (r == PROBLEM_FORBIDDEN)
        return call_problem(call, r, "Operators are changed by operators, and one always stays.");
    if (r == 0)
        r = session_settle_user(app_of(call)->sessions, &p.id, call->now);
    if (r)
        return r;
    call->trailed = true;
    struct user_view view = view_of(&p.change.after);
    return call_reply(call, &view);
}

static int delete_job(struct store_txn *t, void *arg)
{
    struct patching *p = arg;
    struct call *call = p->call;
    struct user user;
    int64_t ended, now = call->now;
    int r = check_power(t, p);

    if (r)
        return r;
    r = session_end_all(t, &p->id, NULL, STR("account deleted"), now, &ended);
    if (r == 0)
        r = user_delete(t, call->arena, app_bound(call), &p->id, &user);
    if (r)
        return r == USER_LAST_OPERATOR ? PROBLEM_FORBIDDEN : r;
    struct trail_event event = {.action = TRAIL_USER_DELETE,
                                .tenant_id = user.tenant_id,
                                .subject_id = user.id,
                                .subject = user.email};
    return trail_append(app_of(call)->trail, t, &call->actor, &event);
}

static int delete_user(struct call *call)
{
    struct patching p = {.call = call};
    int r = call_param_id(call, 0, &p.id);

    call->body = NULL;
    if (r == 0)
        r = store_write(app_of(call)->store, delete_job, &p);
    if (r == PROBLEM_FORBIDDEN)
        return call_problem(call, r, "Operators are deleted by operators, and one always stays.");
    if (r == 0)
        r = session_settle_user(app_of(call)->sessions, &p.id, call->now);
    if (r)
        return r;
    call->trailed = true;
    return call_reply_empty(call);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/users", PERMIT_ADMIN, LANE_WORKER, ROUTE_LIST, 200, &query_shape, NULL,
     &user_shape, "Users of the tenant; of all tenants for operators", get_users},
    {HTTP_POST, "/v1/users", PERMIT_ADMIN, LANE_PASSWORD, 0, 201, NULL, &create_shape,
     &created_shape, "Create a user", post_user},
    {HTTP_GET, "/v1/users/:id", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, NULL, &user_shape,
     "One user", get_user},
    {HTTP_PATCH, "/v1/users/:id", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, &patch_shape,
     &user_shape, "Change a user; disabling ends the sessions", patch_user},
    {HTTP_DELETE, "/v1/users/:id", PERMIT_ADMIN, LANE_WORKER, 0, 204, NULL, NULL, NULL,
     "Delete a user and all that is theirs", delete_user},
};
/* clang-format on */

const struct route_table api_users = ROUTE_TABLE("Users", routes);
