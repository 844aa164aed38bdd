#include "base/fault.h"
#include "crypto/init.h"
#include "http/dispatch_internal.h"

#include <sodium.h>

enum { CREDENTIALS_MAX = 1024 };

/* The credentials of an Authorization header of this scheme; the empty view where there are none.
 */
static struct str credentials(const struct http_request *r, struct str scheme)
{
    size_t count;
    struct str value = http_header_find(r, STR("Authorization"), &count);

    if (count != 1 || !str_has_prefix_ci(value, scheme) || value.n <= scheme.n ||
        value.p[scheme.n] != ' ')
        return STR("");
    return str_trim((struct str){value.p + scheme.n + 1, value.n - scheme.n - 1});
}

/*
 * Tells a client whose token was looked at that another one is needed (RFC 6750, section 3.1);
 * where there was none, the plain challenge says enough.
 */
static void challenge_token(struct call *call)
{
    buf_add_str(&call->reply->headers,
                STR("WWW-Authenticate: Bearer realm=\"holdfast\", error=\"invalid_token\"\r\n"));
}

static int refuse_token(struct call *call, int outcome)
{
    if (outcome != ACCESS_STALE)
        challenge_token(call);
    switch ((enum access_outcome)outcome) {
    case ACCESS_EXPIRED:
        return call_problem(call, PROBLEM_TOKEN_EXPIRED, "The access token has expired.");
    case ACCESS_REVOKED:
        return call_problem(call, PROBLEM_TOKEN_REVOKED, "The session was ended.");
    case ACCESS_STALE:
        return call_problem(call, PROBLEM_UNAVAILABLE,
                            "Revocations cannot be read just now, so no token is trusted.");
    case ACCESS_INVALID:
    case ACCESS_MISS:
        break;
    }
    return call_problem(call, PROBLEM_TOKEN_INVALID, "The access token is not valid.");
}

static int identify(struct call *call, const struct access *access)
{
    const struct gate_account *account = &access->account;

    call->who =
        (struct principal){.present = true,
                           .user_id = account->user_id,
                           .tenant_id = account->tenant_id,
                           .session_id = access->claims.sid,
                           .role = account->role,
                           .amr = access->claims.amr,
                           .email = arena_str(call->arena, str_of(account->email)),
                           .email_status = arena_str(call->arena, str_of(account->email_status)),
                           .mfa_enabled = account->mfa_enabled,
                           .password_temporary = account->password_temporary};
    call->actor.tenant_id = account->tenant_id;
    call->actor.user_id = account->user_id;
    call->actor.label = call->who.email;
    return call->who.email.p && call->who.email_status.p ? 0 : FAULT_MEMORY;
}

static int authenticate(struct dispatch *d, struct call *call, bool may_block)
{
    struct access access;
    struct str token = credentials(call->request, STR("Bearer"));

    if (token.n == 0)
        return call_problem(call, PROBLEM_UNAUTHENTICATED, "A bearer token is needed.");
    int r = may_block ? access_check_blocking(d->sessions, token, call->now, &access)
                      : access_check(d->sessions, token, call->now, &access);
    if (r == ACCESS_MISS)
        return CALL_DEFER;
    if (r)
        return r < 0 ? r : refuse_token(call, r);
    return identify(call, &access);
}

/* The role that a permission needs. */
static enum role needed_role(const struct config *config, enum permission permission)
{
    if (permission == PERMIT_OPERATOR)
        return ROLE_OPERATOR;
    return permission >= PERMIT_ADMIN && config->admin_role_required ? ROLE_ADMIN : ROLE_MEMBER;
}

static int authorise(struct call *call)
{
    const struct config *config = config_current();
    const struct route *route = call->route;
    bool administrative = route->permission >= PERMIT_ADMIN;

    if (call->who.role < needed_role(config, route->permission))
        return call_problem(call, PROBLEM_FORBIDDEN, "This needs the role %s.",
                            route->permission == PERMIT_OPERATOR ? "operator" : "admin");
    if (call->who.password_temporary && !(route->flags & ROUTE_TEMPORARY))
        return call_problem(call, PROBLEM_PASSWORD_CHANGE_REQUIRED,
                            "The one-time password must be replaced first: POST /auth/password.");
    /* A session that was begun with a factor has no more power than the factor itself. */
    bool second_factor = call->who.mfa_enabled && (call->who.amr & JWT_AMR_OTP);
    if (administrative && config->admin_mfa_required && !second_factor)
        return call_problem(call, PROBLEM_SECOND_FACTOR_NEEDED,
                            "Administrative routes need a session begun with a second factor.");
    if ((route->flags & ROUTE_REVOCATION) && !config->session_revocation_enabled)
        return call_problem(call, PROBLEM_REVOCATION_DISABLED,
                            "SESSION_REVOCATION_ENABLED is false on this installation.");
    return 0;
}

/* Whether the bearer is a program that acts for a tenant. Every token is compared. */
static bool identify_service(struct call *call)
{
    const struct config *config = config_current();
    struct str token = credentials(call->request, STR("Bearer"));
    const struct config_service_token *found = NULL;

    for (size_t i = 0; i < config->service_token_count; i++)
        if (crypto_str_eq(token, config->service_tokens[i].token))
            found = &config->service_tokens[i];
    if (!found)
        return false;
    call->who = (struct principal){.present = true,
                                   .service = true,
                                   .tenant_id = found->tenant_id,
                                   .role = ROLE_MEMBER,
                                   .email = STR(""),
                                   .email_status = STR("")};
    call->actor.tenant_id = found->tenant_id;
    call->actor.label = STR("service token");
    return true;
}

static bool is_loopback(const struct in6_addr *address)
{
    static const uint8_t v4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127};

    return IN6_IS_ADDR_LOOPBACK(address) || memcmp(address->s6_addr, v4, sizeof v4) == 0;
}

/* Loopback means the peer itself: what a proxy on this machine forwards, trusted or not, is not. */
static bool is_forwarded(const struct http_request *r)
{
    static const struct str names[] = {STR_INIT("X-Forwarded-For"), STR_INIT("X-Real-IP"),
                                       STR_INIT("Forwarded"), STR_INIT("Via")};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t count;
        http_header_find(r, names[i], &count);
        if (count)
            return true;
    }
    return false;
}

static int guard_metrics(struct call *call)
{
    const struct config *config = config_current();
    struct str token = credentials(call->request, STR("Bearer"));
    struct str expected = str_of(config->metrics_token);

    if (expected.n && token.n && crypto_str_eq(token, expected))
        return 0;
    if (is_loopback(&call->request->peer) && is_loopback(&call->client) && token.n == 0 &&
        !is_forwarded(call->request))
        return 0;
    if (token.n)
        challenge_token(call);
    return call_problem(call, PROBLEM_UNAUTHENTICATED,
                        "Metrics are for loopback or the bearer of the metrics token.");
}

int dispatch_guard(struct dispatch *d, struct call *call, bool may_block)
{
    switch (call->route->permission) {
    case PERMIT_ANYONE:
    case PERMIT_CLIENT:
        return 0;
    case PERMIT_WEBHOOK:
        return call->route->admit(call);
    case PERMIT_METRICS:
        return guard_metrics(call);
    case PERMIT_USER:
    case PERMIT_ADMIN:
    case PERMIT_OPERATOR:
    case PERMIT_SENDER: {
        if (call->route->permission == PERMIT_SENDER && identify_service(call))
            return 0;
        int r = authenticate(d, call, may_block);
        return r ? r : authorise(call);
    }
    case PERMISSIONS:
        break;
    }
    return fault_set(FAULT_INTERNAL, "a route has no permission");
}

/* "id:secret" in base64, each form-encoded (RFC 6749, section 2.3.1). */
static int parse_basic(struct call *call, struct str encoded, struct str *ret_id,
                       struct str *ret_secret)
{
    char *plain = arena_alloc(call->arena, CREDENTIALS_MAX);
    size_t n;

    if (!plain)
        return FAULT_MEMORY;
    if (sodium_base642bin((unsigned char *)plain, CREDENTIALS_MAX, encoded.p, encoded.n, NULL, &n,
                          NULL, sodium_base64_VARIANT_ORIGINAL))
        return PROBLEM_INVALID_CLIENT;
    struct str text = {plain, n};
    size_t colon = str_find(text, ':');
    if (colon == n)
        return PROBLEM_INVALID_CLIENT;
    int r = percent_decode((struct str){plain, colon}, true, call->arena, ret_id);
    if (r == 0)
        r = percent_decode((struct str){plain + colon + 1, n - colon - 1}, true, call->arena,
                           ret_secret);
    return r > 0 ? PROBLEM_INVALID_CLIENT : r;
}

int dispatch_guard_client(struct call *call)
{
    const struct config *config = config_current();
    const struct route_client_body *body = call->body;
    struct str id = body->client_id, secret = body->client_secret;
    struct str basic = credentials(call->request, STR("Basic"));

    if (basic.n) {
        int r = parse_basic(call, basic, &id, &secret);
        if (r)
            return r;
    }
    bool known = *config->oauth_client_id && crypto_str_eq(id, str_of(config->oauth_client_id));
    bool right = crypto_str_eq(secret, str_of(config->oauth_client_secret));
    if (known && right && secret.n)
        return 0;
    return call_problem(call, PROBLEM_INVALID_CLIENT, "The client's id or secret is not right.");
}
