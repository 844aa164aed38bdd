#include "http/openapi_sample.h"

struct login {
    uint64_t given;
    struct str email, password, totp;
};

static const struct field login_fields[] = {
    {"email", FIELD_STR, FIELD_REQUIRED, offsetof(struct login, email), 3, 254,
     .help = "The address of the account."},
    {"password", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct login, password), 1,
     128},
    {"totp", FIELD_STR, FIELD_NULLABLE | FIELD_SECRET, offsetof(struct login, totp), 6, 20,
     .help = "A code of the authenticator, or a recovery code."},
};
static const struct shape login_shape = SHAPE("Login", struct login, login_fields);

struct user {
    struct uuid id;
    struct str email;
    int64_t role, created_at;
    bool disabled;
};

static const char *const roles[] = {"member", "admin", "operator", NULL};

static const struct field user_fields[] = {
    {"id", FIELD_UUID, 0, offsetof(struct user, id)},
    {"email", FIELD_STR, 0, offsetof(struct user, email)},
    {"role", FIELD_CHOICE, 0, offsetof(struct user, role), .choices = roles,
     .help = "What the user may do."},
    {"disabled", FIELD_BOOL, 0, offsetof(struct user, disabled)},
    {"createdAt", FIELD_TIME, 0, offsetof(struct user, created_at)},
};
static const struct shape user_shape = SHAPE("User", struct user, user_fields);

struct signed_in {
    struct str access, refresh;
    int64_t expires_in;
    const struct user *user;
};

static const struct field signed_in_fields[] = {
    {"accessToken", FIELD_STR, FIELD_SECRET, offsetof(struct signed_in, access)},
    {"refreshToken", FIELD_STR, FIELD_SECRET, offsetof(struct signed_in, refresh),
     .help = "Good for one refresh, which gives its successor."},
    {"expiresIn", FIELD_INT, 0, offsetof(struct signed_in, expires_in), .help = "In seconds."},
    {"user", FIELD_OBJECT, FIELD_NULLABLE, offsetof(struct signed_in, user), .shape = &user_shape,
     .help = "Who signed in."},
};
static const struct shape signed_in_shape = SHAPE("SignedIn", struct signed_in, signed_in_fields);

struct page {
    uint64_t given;
    int64_t limit, role, since;
    struct str cursor;
};

static const struct field page_fields[] = {
    {"limit", FIELD_INT, 0, offsetof(struct page, limit), 1, 200,
     .help = "How many; 50 if unsaid."},
    {"cursor", FIELD_STR, 0, offsetof(struct page, cursor), .help = "nextCursor of the last page."},
    {"role", FIELD_CHOICE, 0, offsetof(struct page, role), .choices = roles},
    {"since", FIELD_TIME, 0, offsetof(struct page, since)},
};
static const struct shape page_shape = SHAPE("Page", struct page, page_fields);

struct revoke {
    uint64_t given;
    struct str_list users;
    struct str reason;
    bool dry_run;
};

static const struct field revoke_fields[] = {
    {"userIds", FIELD_STRS, FIELD_REQUIRED, offsetof(struct revoke, users), 1, 10000,
     .help = "Ids or addresses."},
    {"reason", FIELD_STR, FIELD_REQUIRED, offsetof(struct revoke, reason), 1, 200,
     .help = "Told to the users, and kept in the trail."},
    {"dryRun", FIELD_BOOL, 0, offsetof(struct revoke, dry_run),
     .help = "Change nothing and predict the counts."},
};
static const struct shape revoke_shape = SHAPE("RevokeUsers", struct revoke, revoke_fields);

struct revoked {
    int64_t requested, matched;
    struct str_list unknown;
    struct shape_list users;
    struct str extra;
};

static const struct field revoked_fields[] = {
    {"requested", FIELD_INT, 0, offsetof(struct revoked, requested)},
    {"matched", FIELD_INT, FIELD_OMIT, offsetof(struct revoked, matched)},
    {"unknown", FIELD_STRS, 0, offsetof(struct revoked, unknown)},
    {"users", FIELD_LIST, 0, offsetof(struct revoked, users), .shape = &user_shape},
    {"extra", FIELD_JSON, FIELD_OMIT, offsetof(struct revoked, extra)},
};
static const struct shape revoked_shape = SHAPE("RevokedUsers", struct revoked, revoked_fields);

struct introspect {
    uint64_t given;
    struct str token;
};

static const struct field introspect_fields[] = {
    {"token", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct introspect, token)},
};
static const struct shape introspect_shape =
    SHAPE("Introspect", struct introspect, introspect_fields);

static int handle(struct call *call)
{
    return 0;
}

static const struct route auth_routes[] = {
    {HTTP_POST, "/auth/login", PERMIT_ANYONE, LANE_PASSWORD, 0, 200, NULL, &login_shape,
     &signed_in_shape, "Sign in", handle,
     ROUTE_PROBLEM(PROBLEM_INVALID_CREDENTIALS) | ROUTE_PROBLEM(PROBLEM_MFA_REQUIRED)},
    {HTTP_POST, "/auth/logout", PERMIT_USER, LANE_WORKER, ROUTE_TEMPORARY, 204, NULL, NULL, NULL,
     "End this session", handle},
    {HTTP_GET, "/auth/me", PERMIT_USER, LANE_EVENT, ROUTE_TEMPORARY, 200, NULL, NULL, &user_shape,
     "Tell who the caller is", handle},
};

static const struct route session_routes[] = {
    {HTTP_DELETE, "/v1/sessions/revoke-user/:userId", PERMIT_ADMIN, LANE_WORKER,
     ROUTE_REVOCATION | ROUTE_BODY_OPTIONAL, 200, NULL, &revoke_shape, &revoked_shape,
     "End all sessions of a user", handle},
    {HTTP_POST, "/v1/sessions/revoke-users", PERMIT_OPERATOR, LANE_WORKER, ROUTE_REVOCATION, 200,
     NULL, &revoke_shape, &revoked_shape, "End the sessions of many users", handle,
     ROUTE_PROBLEM(PROBLEM_CONFLICT)},
};

static const struct route user_routes[] = {
    {HTTP_GET, "/v1/users", PERMIT_ADMIN, LANE_WORKER, ROUTE_LIST, 200, &page_shape, NULL,
     &user_shape, "List the tenant's users", handle},
    {HTTP_GET, "/v1/users/:id", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, NULL, &user_shape,
     "Show a user", handle},
    {HTTP_PATCH, "/v1/users/:id", PERMIT_ADMIN, LANE_WORKER, 0, 200, NULL, &login_shape,
     &user_shape, "Change a user", handle},
    {HTTP_PUT, "/v1/:kind/notes/:name", PERMIT_USER, LANE_WORKER, 0, 204, NULL, &login_shape, NULL,
     "Put a note", handle},
};

static const struct route oauth_routes[] = {
    {HTTP_POST, "/oauth/introspect", PERMIT_CLIENT, LANE_WORKER, ROUTE_FORM, 200, NULL,
     &introspect_shape, &user_shape, "Tell whether a token is good (RFC 7662)", handle},
};

static const struct route service_routes[] = {
    {HTTP_GET, "/", PERMIT_ANYONE, LANE_EVENT, 0, 200, NULL, NULL, NULL, "Greet", handle},
    {HTTP_GET, "/metrics", PERMIT_METRICS, LANE_WORKER, 0, 200, NULL, NULL, NULL,
     "Counters for Prometheus", handle},
    {HTTP_GET, "/.well-known/jwks.json", PERMIT_ANYONE, LANE_EVENT, 0, 200, NULL, NULL, NULL,
     "Public keys of the access tokens", handle},
};

const struct route_table openapi_sample[OPENAPI_SAMPLE_TABLES] = {
    ROUTE_TABLE("Sign-in", auth_routes),    ROUTE_TABLE("Sessions", session_routes),
    ROUTE_TABLE("Users", user_routes),      ROUTE_TABLE("OAuth", oauth_routes),
    ROUTE_TABLE("Service", service_routes),
};
