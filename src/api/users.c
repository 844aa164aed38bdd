/* Users of one's tenant, or of all for operators. */
#include "api/app.h"
#include "base/fault.h"
#include "crypto/password.h"
#include "sessions/account.h"

static const char *const role_choices[] = {"member", "admin", "operator", NULL};

struct user_view {
    struct uuid id, tenant_id;
    struct str email, role, email_status, password;
    bool disabled, locked, mfa_enabled;
    int64_t created_at, updated_at;
};

#define USER_VIEW_FIELDS                                                                           \
    {"id", FIELD_UUID, FIELD_REQUIRED,  offsetof(struct user_view, id), 0, 0,                      \
     NULL, NULL,       "The user's id."},                                                          \
        {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct user_view, email), 0,                 \
         0,       NULL,      NULL,           "The address to sign in with."},                      \
        {"role", FIELD_STR, FIELD_REQUIRED, offsetof(struct user_view, role), 0,                   \
         0,      NULL,      NULL,           "member, admin or operator."},                         \
        {"tenantId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct user_view, tenant_id), 0, 0,      \
         NULL,       NULL,       "The tenant."},                                                   \
        {"disabled",                                                                               \
         FIELD_BOOL,                                                                               \
         FIELD_REQUIRED,                                                                           \
         offsetof(struct user_view, disabled),                                                     \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "Whether an administrator has disabled the account."},                                    \
        {"locked",                                                                                 \
         FIELD_BOOL,                                                                               \
         FIELD_REQUIRED,                                                                           \
         offsetof(struct user_view, locked),                                                       \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "Whether it is locked: for 15 minutes by failed sign-ins, or by an administrator."},      \
        {"mfaEnabled",                                                                             \
         FIELD_BOOL,                                                                               \
         FIELD_REQUIRED,                                                                           \
         offsetof(struct user_view, mfa_enabled),                                                  \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "Whether a second factor is active."},                                                    \
        {"emailStatus",                                                                            \
         FIELD_STR,                                                                                \
         FIELD_REQUIRED,                                                                           \
         offsetof(struct user_view, email_status),                                                 \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "ok, invalid or unsubscribed."},                                                          \
        {"createdAt",                                                                              \
         FIELD_TIME,                                                                               \
         FIELD_REQUIRED,                                                                           \
         offsetof(struct user_view, created_at),                                                   \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "When the account was made."},                                                            \
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

static struct account_power power_of(const struct call *call)
{
    return (struct account_power){.actor = &call->actor,
                                  .tenant = app_bound(call),
                                  .operator_ = call->who.role == ROLE_OPERATOR};
}

static int problem_of(struct call *call, int outcome)
{
    switch ((enum account_outcome)outcome) {
    case ACCOUNT_UNKNOWN:
        return PROBLEM_NOT_FOUND;
    case ACCOUNT_EXISTS:
        return call_problem(call, PROBLEM_CONFLICT, "There is an account with this address.");
    case ACCOUNT_FORBIDDEN:
        return call_problem(call, PROBLEM_FORBIDDEN,
                            "Operators are made and changed by operators.");
    case ACCOUNT_LAST_OPERATOR:
        return call_problem(call, PROBLEM_CONFLICT, "One enabled operator always stays.");
    case ACCOUNT_NO_TENANT:
        return call_problem(call, PROBLEM_NOT_FOUND, "There is no such tenant.");
    }
    return outcome;
}

static int create(struct call *call, const struct create_body *body, struct str password,
                  bool temporary, struct user *ret)
{
    char hash[PASSWORD_HASH_SIZE];
    struct account_power power = power_of(call);
    struct user_new user = {.role = (enum role)body->role,
                            .tenant_id = uuid_is_nil(&body->tenant_id) ? call->who.tenant_id
                                                                       : body->tenant_id,
                            .password_temporary = temporary};
    int r = api_email(call, body->email, &user.email);

    if (r == 0)
        r = password_hash(password, hash);
    if (r)
        return r;
    user.password_hash = str_of(hash);
    r = account_create(app_of(call)->sessions, call->arena, &power, &user, call->now, ret);
    return problem_of(call, r);
}

static int post_user(struct call *call)
{
    const struct create_body *body = call->body;
    char made[PASSWORD_GENERATED_SIZE] = "";
    struct str password = body->password;
    struct user user;
    int r = password.n ? api_new_password(call, "password", password) : 0;

    if (r)
        return r;
    if (password.n == 0) {
        password_generate(made);
        password = str_of(made);
    }
    r = create(call, body, password, made[0] != '\0', &user);
    if (r)
        return r;
    call->trailed = true;
    struct user_view view = view_of(&user);
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
                      NULL, "true locks until it is lifted; false lifts any lock."},
};
static const struct shape patch_shape = SHAPE("UserPatch", struct patch_body, patch_fields);

static int update(struct call *call, const struct uuid *id, struct str *email, struct user *ret)
{
    const struct patch_body *body = call->body;
    struct account_power power = power_of(call);
    enum role role = (enum role)body->role;
    struct user_patch patch = {.email = shape_given(body, GIVEN_EMAIL) ? email : NULL,
                               .role = shape_given(body, GIVEN_ROLE) ? &role : NULL,
                               .disabled =
                                   shape_given(body, GIVEN_DISABLED) ? &body->disabled : NULL,
                               .locked = shape_given(body, GIVEN_LOCKED) ? &body->locked : NULL};
    int r = account_update(app_of(call)->sessions, call->arena, &power, id, &patch, call->now, ret);

    return problem_of(call, r);
}

static int patch_user(struct call *call)
{
    const struct patch_body *body = call->body;
    struct str email;
    struct uuid id;
    struct user user;
    int r = call_param_id(call, 0, &id);

    if (r == 0 && shape_given(body, GIVEN_EMAIL))
        r = api_email(call, body->email, &email);
    if (r == 0)
        r = update(call, &id, &email, &user);
    if (r)
        return r;
    call->trailed = true;
    struct user_view view = view_of(&user);
    return call_reply(call, &view);
}

static int delete_user(struct call *call)
{
    struct account_power power = power_of(call);
    struct uuid id;
    int r = call_param_id(call, 0, &id);

    if (r)
        return r;
    r = account_delete(app_of(call)->sessions, call->arena, &power, &id, call->now);
    if (r)
        return problem_of(call, r);
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
