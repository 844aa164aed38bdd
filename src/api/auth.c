/* Signing in and out, tokens, registration, passwords. */
#include "api/app.h"
#include "base/clock.h"
#include "base/fault.h"
#include "crypto/password.h"
#include "identity/notification.h"
#include "identity/tenant.h"
#include "sessions/login.h"
#include "sessions/refresh.h"
#include "sessions/revoke.h"

/* What the caller and others see of an account. */
struct account_view {
    struct uuid id, tenant_id;
    struct str email, role, email_status;
    bool mfa_enabled, password_change_required;
};

static const struct field account_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct account_view, id), 0, 0, NULL, NULL,
     "The user's id."},
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct account_view, email), 0, 0, NULL, NULL,
     "The address to sign in with."},
    {"role", FIELD_STR, FIELD_REQUIRED, offsetof(struct account_view, role), 0, 0, NULL, NULL,
     "member, admin or operator."},
    {"tenantId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct account_view, tenant_id), 0, 0, NULL,
     NULL, "The tenant the user belongs to."},
    {"emailStatus", FIELD_STR, FIELD_REQUIRED, offsetof(struct account_view, email_status), 0, 0,
     NULL, NULL, "ok, invalid or unsubscribed."},
    {"mfaEnabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct account_view, mfa_enabled), 0, 0,
     NULL, NULL, "Whether a second factor is active."},
    {"passwordChangeRequired", FIELD_BOOL, FIELD_REQUIRED,
     offsetof(struct account_view, password_change_required), 0, 0, NULL, NULL,
     "Whether the one-time password must be replaced before anything else."},
};
static const struct shape account_shape = SHAPE("Account", struct account_view, account_fields);

struct grant_view {
    struct str access_token, refresh_token, token_type;
    int64_t expires_in;
    struct uuid session_id;
    const struct account_view *user;
};

static const struct field grant_fields[] = {
    {"accessToken", FIELD_STR, FIELD_REQUIRED, offsetof(struct grant_view, access_token), 0, 0,
     NULL, NULL, "A JWT for the Authorization header."},
    {"refreshToken", FIELD_STR, FIELD_REQUIRED, offsetof(struct grant_view, refresh_token), 0, 0,
     NULL, NULL, "For POST /auth/refresh; each works once."},
    {"tokenType", FIELD_STR, FIELD_REQUIRED, offsetof(struct grant_view, token_type), 0, 0, NULL,
     NULL, "Always Bearer."},
    {"expiresIn", FIELD_INT, FIELD_REQUIRED, offsetof(struct grant_view, expires_in), 0, 0, NULL,
     NULL, "Seconds until the access token expires."},
    {"sessionId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct grant_view, session_id), 0, 0, NULL,
     NULL, "The token family: one sign-in on one device."},
    {"user", FIELD_OBJECT, FIELD_REQUIRED, offsetof(struct grant_view, user), 0, 0, NULL,
     &account_shape, "Who signed in."},
};
const struct shape api_grant_shape = SHAPE("Grant", struct grant_view, grant_fields);

int api_reply_grant(struct call *call, const struct session_grant *grant)
{
    const struct user *user = &grant->user;
    struct account_view account = {.id = user->id,
                                   .tenant_id = user->tenant_id,
                                   .email = user->email,
                                   .role = role_name(user->role),
                                   .email_status = email_status_name(user->email_status),
                                   .mfa_enabled = user->mfa_active,
                                   .password_change_required = user->password_temporary};
    struct grant_view view = {.access_token = grant->access_token,
                              .refresh_token = grant->refresh_token,
                              .token_type = STR("Bearer"),
                              .expires_in = grant->expires_in,
                              .session_id = grant->session_id,
                              .user = &account};

    return call_reply(call, &view);
}

struct login_body {
    uint64_t given;
    struct str email, password, totp;
};

static const struct field login_fields[] = {
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct login_body, email), 1, 254, NULL, NULL,
     "The address."},
    {"password", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct login_body, password), 1,
     PASSWORD_MAX, NULL, NULL, "The password."},
    {"totp", FIELD_STR, FIELD_SECRET | FIELD_NULLABLE, offsetof(struct login_body, totp), 1, 64,
     NULL, NULL, "A one-time or recovery code, where a second factor is active."},
};
static const struct shape login_shape = SHAPE("LoginRequest", struct login_body, login_fields);

static struct login_input login_input_of(const struct call *call, struct str email,
                                         struct str password, struct str code)
{
    return (struct login_input){.email = email,
                                .password = password,
                                .code = code,
                                .address = call->client,
                                .ip = call->client_ip,
                                .user_agent = call->user_agent,
                                .request_id = call->request->id,
                                .now = call->now};
}

static int post_login(struct call *call)
{
    const struct login_body *body = call->body;
    struct sessions *s = app_of(call)->sessions;
    struct limiter_state state;
    struct session_grant grant;
    struct str email;
    int r = api_email(call, body->email, &email);

    if (r)
        return r;
    r = login_admit(s, &call->client, email, &state);
    if (r == 0) {
        struct login_input input = login_input_of(call, email, body->password, body->totp);
        r = login_run(s, call->arena, &input, &grant);
    }
    switch (r) {
    case 0:
        return api_reply_grant(call, &grant);
    case LOGIN_REFUSED:
        return call_problem(call, PROBLEM_INVALID_CREDENTIALS,
                            "The address, the password or the code is not right.");
    case LOGIN_MFA_REQUIRED:
        return call_problem(call, PROBLEM_MFA_REQUIRED, "Send a one-time code as \"totp\" too.");
    case LOGIN_LIMITED:
        return api_limited(call, &state);
    default:
        return r;
    }
}

struct refresh_body {
    uint64_t given;
    struct str refresh_token;
};

static const struct field refresh_fields[] = {
    {"refreshToken", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET,
     offsetof(struct refresh_body, refresh_token), 1, 512, NULL, NULL,
     "The newest refresh token of the session."},
};
static const struct shape refresh_shape =
    SHAPE("RefreshRequest", struct refresh_body, refresh_fields);

static int post_refresh(struct call *call)
{
    const struct refresh_body *body = call->body;
    struct refresh_input input = {.token = body->refresh_token,
                                  .ip = call->client_ip,
                                  .user_agent = call->user_agent,
                                  .request_id = call->request->id,
                                  .now = call->now,
                                  .rotate_at = clock_now()};
    struct session_grant grant;
    int r = session_refresh(app_of(call)->sessions, call->arena, &input, &grant);

    switch (r) {
    case 0:
        return api_reply_grant(call, &grant);
    case REFRESH_INVALID:
        return call_problem(call, PROBLEM_TOKEN_INVALID, "This is not a refresh token of ours.");
    case REFRESH_EXPIRED:
        return call_problem(call, PROBLEM_TOKEN_EXPIRED, "The session has expired.");
    case REFRESH_REVOKED:
        return call_problem(call, PROBLEM_TOKEN_REVOKED, "The session was ended.");
    case REFRESH_REUSED:
        return call_problem(call, PROBLEM_TOKEN_REUSED,
                            "This token was used before, so its session has been ended.");
    default:
        return r;
    }
}

static int post_logout(struct call *call)
{
    int64_t ended;
    int r = session_logout(app_of(call)->sessions, &call->actor, &call->who.session_id, call->now,
                           &ended);

    if (r)
        return r == REVOKE_UNKNOWN ? PROBLEM_TOKEN_REVOKED : r;
    return call_reply_empty(call);
}

struct me_view {
    struct uuid id, tenant_id, session_id;
    struct str email, role, email_status;
    bool mfa_enabled;
};

static const struct field me_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct me_view, id), 0, 0, NULL, NULL,
     "The user's id."},
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct me_view, email), 0, 0, NULL, NULL,
     "The address."},
    {"role", FIELD_STR, FIELD_REQUIRED, offsetof(struct me_view, role), 0, 0, NULL, NULL,
     "member, admin or operator."},
    {"tenantId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct me_view, tenant_id), 0, 0, NULL, NULL,
     "The tenant."},
    {"sessionId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct me_view, session_id), 0, 0, NULL,
     NULL, "The session of the token."},
    {"emailStatus", FIELD_STR, FIELD_REQUIRED, offsetof(struct me_view, email_status), 0, 0, NULL,
     NULL, "ok, invalid or unsubscribed."},
    {"mfaEnabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct me_view, mfa_enabled), 0, 0, NULL,
     NULL, "Whether a second factor is active."},
};
static const struct shape me_shape = SHAPE("Me", struct me_view, me_fields);

static int get_me(struct call *call)
{
    const struct principal *who = &call->who;
    struct me_view view = {.id = who->user_id,
                           .tenant_id = who->tenant_id,
                           .session_id = who->session_id,
                           .email = who->email,
                           .role = role_name(who->role),
                           .email_status = who->email_status,
                           .mfa_enabled = who->mfa_enabled};

    return call_reply(call, &view);
}

static int add_id_header(struct call *call, const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    return http_reply_header(call->reply, name, (struct str){text, UUID_TEXT});
}

static int get_verify(struct call *call)
{
    const struct principal *who = &call->who;
    int r = add_id_header(call, "X-Auth-User", &who->user_id);

    if (r == 0)
        r = add_id_header(call, "X-Auth-Tenant", &who->tenant_id);
    if (r == 0)
        r = add_id_header(call, "X-Auth-Session", &who->session_id);
    if (r == 0)
        r = http_reply_header(call->reply, "X-Auth-Role", role_name(who->role));
    return r ? r : call_reply_empty(call);
}

struct register_body {
    uint64_t given;
    struct str email, password, tenant_name;
};

static const struct field register_fields[] = {
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct register_body, email), 1, 254, NULL, NULL,
     "The address to sign in with."},
    {"password", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct register_body, password),
     1, 1024, NULL, NULL, "8 to 128 characters, not a common one."},
    {"tenantName", FIELD_STR, FIELD_REQUIRED, offsetof(struct register_body, tenant_name), 1,
     TENANT_NAME_MAX, NULL, NULL, "What the new tenant is called."},
};
static const struct shape register_shape =
    SHAPE("RegisterRequest", struct register_body, register_fields);

struct tenant_view {
    struct uuid id;
    struct str name;
};

static const struct field tenant_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct tenant_view, id), 0, 0, NULL, NULL,
     "The tenant's id."},
    {"name", FIELD_STR, FIELD_REQUIRED, offsetof(struct tenant_view, name), 0, 0, NULL, NULL,
     "Its name."},
};
static const struct shape tenant_shape = SHAPE("Tenant", struct tenant_view, tenant_fields);

struct registered_view {
    const struct account_view *user;
    const struct tenant_view *tenant;
};

static const struct field registered_fields[] = {
    {"user", FIELD_OBJECT, FIELD_REQUIRED, offsetof(struct registered_view, user), 0, 0, NULL,
     &account_shape, "The new tenant's first administrator."},
    {"tenant", FIELD_OBJECT, FIELD_REQUIRED, offsetof(struct registered_view, tenant), 0, 0, NULL,
     &tenant_shape, "The new tenant."},
};
static const struct shape registered_shape =
    SHAPE("Registered", struct registered_view, registered_fields);

struct registering {
    struct call *call;
    struct user_new user;
    struct str tenant_name;
    struct uuid user_id;
};

static int register_job(struct store_txn *t, void *arg)
{
    struct registering *g = arg;
    int r = tenant_insert(t, g->tenant_name, g->call->now, &g->user.tenant_id);

    if (r == 0)
        r = user_insert(t, &g->user, g->call->now, &g->user_id);
    if (r)
        return r;
    struct trail_actor actor = g->call->actor;
    actor.tenant_id = g->user.tenant_id;
    actor.user_id = g->user_id;
    actor.label = g->user.email;
    struct trail_event event = {.action = TRAIL_TENANT_CREATE,
                                .tenant_id = g->user.tenant_id,
                                .subject_id = g->user_id,
                                .subject = g->user.email};
    return trail_append(app_of(g->call)->trail, t, &actor, &event);
}

static int reply_registered(struct call *call, const struct registering *g)
{
    struct account_view account = {.id = g->user_id,
                                   .tenant_id = g->user.tenant_id,
                                   .email = g->user.email,
                                   .role = role_name(g->user.role),
                                   .email_status = email_status_name(EMAIL_OK)};
    struct tenant_view tenant = {g->user.tenant_id, g->tenant_name};
    struct registered_view view = {&account, &tenant};

    return call_reply(call, &view);
}

static int check_registration(struct call *call, const struct register_body *body,
                              struct str *ret_email)
{
    struct limiter_state state;
    int r = api_email(call, body->email, ret_email);

    if (r == 0)
        r = api_new_password(call, "password", body->password);
    if (r == 0 && !tenant_name_valid(body->tenant_name))
        r = call_problem_field(call, "tenantName",
                               "A name has no control characters and no blanks at its ends.");
    if (r)
        return r;
    r = login_admit(app_of(call)->sessions, &call->client, *ret_email, &state);
    return r == LOGIN_LIMITED ? api_limited(call, &state) : r;
}

static int post_register(struct call *call)
{
    const struct register_body *body = call->body;
    char hash[PASSWORD_HASH_SIZE];
    struct registering g = {
        .call = call, .user = {.role = ROLE_ADMIN}, .tenant_name = body->tenant_name};

    if (!config_current()->registration_enabled)
        return call_problem(call, PROBLEM_REGISTRATION_DISABLED,
                            "REGISTRATION_ENABLED is false on this installation.");
    int r = check_registration(call, body, &g.user.email);
    if (r == 0)
        r = password_hash(body->password, hash);
    if (r)
        return r;
    g.user.password_hash = str_of(hash);
    r = store_write(app_of(call)->store, register_job, &g);
    if (r == USER_EXISTS)
        return call_problem(call, PROBLEM_CONFLICT, "There is an account with this address.");
    return r ? r : reply_registered(call, &g);
}

struct password_body {
    uint64_t given;
    struct str current, chosen;
};

static const struct field password_fields[] = {
    {"currentPassword", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET,
     offsetof(struct password_body, current), 1, PASSWORD_MAX, NULL, NULL,
     "The password that is valid now."},
    {"newPassword", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET,
     offsetof(struct password_body, chosen), 1, 1024, NULL, NULL,
     "8 to 128 characters, not a common one."},
};
static const struct shape password_shape =
    SHAPE("PasswordRequest", struct password_body, password_fields);

struct changing {
    struct call *call;
    struct user user;
    struct str hash;
};

static int load_job(struct store_txn *t, void *arg)
{
    struct changing *c = arg;

    return user_find(t, c->call->arena, NULL, &c->call->who.user_id, &c->user);
}

/* Hashing took its time: another change, or the end of the session, may have come first. */
static int recheck_change(struct store_txn *t, struct changing *c)
{
    const struct principal *who = &c->call->who;
    struct user now;
    int r = user_hold(t, &who->user_id);

    if (r == 0)
        r = user_find(t, c->call->arena, NULL, &who->user_id, &now);
    if (r == 0)
        r = session_check_alive(t, &who->session_id);
    if (r)
        return r < 0 ? r : PROBLEM_TOKEN_REVOKED;
    if (now.disabled || now.not_before >= uuid_time(&who->session_id))
        return PROBLEM_TOKEN_REVOKED;
    return now.password_changed_at == c->user.password_changed_at ? 0 : PROBLEM_INVALID_CREDENTIALS;
}

static int change_job(struct store_txn *t, void *arg)
{
    struct changing *c = arg;
    struct call *call = c->call;
    const struct principal *who = &call->who;
    int64_t ended;
    int r = recheck_change(t, c);

    if (r == 0)
        r = user_set_password(t, &who->user_id, c->hash, false, call->now);
    if (r == 0)
        r = notification_add(t, &who->tenant_id, &who->user_id, NOTIFICATION_PASSWORD_CHANGED,
                             STR(""), call->now);
    if (r == 0)
        r = session_end_all(t, &who->user_id, &who->session_id, STR("password changed"), call->now,
                            &ended);
    if (r)
        return r;
    struct trail_event event = {.action = TRAIL_PASSWORD_CHANGE,
                                .tenant_id = who->tenant_id,
                                .subject_id = who->user_id,
                                .subject = who->email};
    r = trail_append(app_of(call)->trail, t, &call->actor, &event);
    /* Again, behind the lock of the trail: a mass revocation does not wait for who holds the user.
     */
    if (r == 0)
        r = session_check_alive(t, &who->session_id);
    return r > 0 ? PROBLEM_TOKEN_REVOKED : r;
}

static int check_change(struct call *call, struct changing *c)
{
    const struct password_body *body = call->body;
    struct limiter_state state;
    int r = api_new_password(call, "newPassword", body->chosen);

    if (r)
        return r;
    if (str_eq(body->current, body->chosen))
        return call_problem_field(call, "newPassword", "This is the present password.");
    r = store_read(app_of(call)->store, load_job, c);
    if (r)
        return r == USER_UNKNOWN ? PROBLEM_TOKEN_REVOKED : r;
    r = login_verify_password(app_of(call)->sessions, &c->user, body->current, &call->client,
                              &state);
    if (r == LOGIN_LIMITED)
        return api_limited(call, &state);
    if (r == LOGIN_REFUSED)
        return call_problem(call, PROBLEM_INVALID_CREDENTIALS,
                            "The present password is not right.");
    return r;
}

static int post_password(struct call *call)
{
    const struct password_body *body = call->body;
    char hash[PASSWORD_HASH_SIZE];
    struct changing c = {.call = call};
    int r = check_change(call, &c);

    if (r == 0)
        r = password_hash(body->chosen, hash);
    if (r)
        return r;
    c.hash = str_of(hash);
    r = store_write(app_of(call)->store, change_job, &c);
    if (r == 0)
        r = session_settle_user(app_of(call)->sessions, &call->who.user_id, call->now);
    return r ? r : call_reply_empty(call);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_POST, "/auth/register", PERMIT_ANYONE, LANE_PASSWORD, 0, 201, NULL, &register_shape,
     &registered_shape, "Create a tenant and its first administrator", post_register},
    {HTTP_POST, "/auth/login", PERMIT_ANYONE, LANE_PASSWORD, 0, 200, NULL, &login_shape,
     &api_grant_shape, "Sign in", post_login},
    {HTTP_POST, "/auth/refresh", PERMIT_ANYONE, LANE_WORKER, 0, 200, NULL, &refresh_shape,
     &api_grant_shape, "Exchange a refresh token for new tokens", post_refresh},
    {HTTP_POST, "/auth/logout", PERMIT_USER, LANE_WORKER, ROUTE_TEMPORARY, 204, NULL, NULL, NULL,
     "End the session of the token", post_logout},
    {HTTP_GET, "/auth/me", PERMIT_USER, LANE_EVENT, ROUTE_TEMPORARY, 200, NULL, NULL, &me_shape,
     "Who the token belongs to", get_me},
    {HTTP_GET, "/auth/verify", PERMIT_USER, LANE_EVENT, ROUTE_TEMPORARY, 200, NULL, NULL, NULL,
     "Check a token for a proxy: nginx auth_request, Traefik ForwardAuth, Envoy ext_authz",
     get_verify},
    {HTTP_POST, "/auth/password", PERMIT_USER, LANE_PASSWORD, ROUTE_TEMPORARY, 204, NULL,
     &password_shape, NULL, "Change the password; ends one's other sessions", post_password},
};
/* clang-format on */

const struct route_table api_auth = ROUTE_TABLE("Authentication", routes);
