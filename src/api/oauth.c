/* Token introspection (RFC 7662) and revocation (RFC 7009) for resource servers. */
#include "api/app.h"
#include "base/fault.h"
#include "sessions/access.h"
#include "sessions/refresh.h"
#include "sessions/revoke.h"

struct token_body {
    struct route_client_body client;
    struct str token;
    int64_t hint;
};

static const char *const hints[] = {"access_token", "refresh_token", NULL};

static const struct field token_fields[] = {
    {"client_id", FIELD_STR, 0, offsetof(struct token_body, client.client_id), 1, 200, NULL, NULL,
     "The client's id, where it does not authenticate by HTTP Basic."},
    {"client_secret", FIELD_STR, FIELD_SECRET, offsetof(struct token_body, client.client_secret), 1,
     500, NULL, NULL, "Its secret, likewise."},
    {"token", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct token_body, token), 1,
     JWT_MAX, NULL, NULL, "An access or refresh token."},
    {"token_type_hint", FIELD_CHOICE, 0, offsetof(struct token_body, hint), 0, 0, hints, NULL,
     "What it may be; the token itself tells."},
};
static const struct shape token_shape = SHAPE("TokenRequest", struct token_body, token_fields);

struct introspection {
    bool active;
    struct str token_type, sub, sid, tid, role, username, iss, aud, scope;
    int64_t iat, exp;
};

static const struct field introspection_fields[] = {
    {"active", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct introspection, active), 0, 0, NULL, NULL,
     "Whether the token is of use now."},
    {"token_type", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, token_type), 0, 0, NULL,
     NULL, "access_token or refresh_token."},
    {"sub", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, sub), 0, 0, NULL, NULL,
     "The user."},
    {"sid", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, sid), 0, 0, NULL, NULL,
     "The session."},
    {"tid", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, tid), 0, 0, NULL, NULL,
     "The tenant."},
    {"role", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, role), 0, 0, NULL, NULL,
     "The user's role now."},
    {"username", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, username), 0, 0, NULL, NULL,
     "The user's address."},
    {"iss", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, iss), 0, 0, NULL, NULL,
     "The issuer."},
    {"aud", FIELD_STR, FIELD_OMIT, offsetof(struct introspection, aud), 0, 0, NULL, NULL,
     "The audience."},
    {"iat", FIELD_INT, FIELD_OMIT, offsetof(struct introspection, iat), 0, 0, NULL, NULL,
     "When it was issued, in seconds since 1970."},
    {"exp", FIELD_INT, FIELD_OMIT, offsetof(struct introspection, exp), 0, 0, NULL, NULL,
     "When it expires, in seconds since 1970."},
};
static const struct shape introspection_shape =
    SHAPE("Introspection", struct introspection, introspection_fields);

static struct str id_text(struct call *call, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    struct str copy = arena_str(call->arena, (struct str){text, UUID_TEXT});
    return copy.p ? copy : STR("");
}

static int introspect_access(struct call *call, struct str token, struct introspection *ret)
{
    const struct config *config = config_current();
    struct access access;
    int r = access_check_blocking(app_of(call)->sessions, token, call->now, &access);

    if (r == ACCESS_STALE)
        return PROBLEM_UNAVAILABLE;
    if (r)
        return r < 0 ? r : 0;
    const struct jwt_claims *claims = &access.claims;
    *ret = (struct introspection){.active = true,
                                  .token_type = STR("access_token"),
                                  .sub = id_text(call, &claims->sub),
                                  .sid = id_text(call, &claims->sid),
                                  .tid = id_text(call, &claims->tid),
                                  .role = role_name(access.account.role),
                                  .username = arena_str(call->arena, str_of(access.account.email)),
                                  .iss = str_of(config->jwt_issuer),
                                  .aud = str_of(config->jwt_audience),
                                  .iat = claims->iat,
                                  .exp = claims->exp};
    return ret->username.p ? 0 : FAULT_MEMORY;
}

static bool is_refresh_token(struct str token)
{
    return str_has_prefix(token, STR("hfr_"));
}

static int introspect_refresh(struct call *call, struct str token, struct introspection *ret)
{
    struct refresh_status status;
    int r = session_refresh_inspect(app_of(call)->sessions, call->arena, token, call->now, &status);

    if (r)
        return r < 0 ? r : 0;
    *ret = (struct introspection){.active = true,
                                  .token_type = STR("refresh_token"),
                                  .sub = id_text(call, &status.user.id),
                                  .sid = id_text(call, &status.family.id),
                                  .tid = id_text(call, &status.user.tenant_id),
                                  .role = role_name(status.user.role),
                                  .username = status.user.email,
                                  .iss = str_of(config_current()->jwt_issuer),
                                  .iat = status.family.rotated_at / 1000,
                                  .exp = status.family.idle_expires_at / 1000};
    return 0;
}

static int post_introspect(struct call *call)
{
    const struct token_body *body = call->body;
    struct introspection view = {.active = false};
    int r = is_refresh_token(body->token) ? introspect_refresh(call, body->token, &view)
                                          : introspect_access(call, body->token, &view);

    return r ? r : call_reply(call, &view);
}

/* Which session a token belongs to, if it is one of ours; else the nil id. */
static int find_session(struct call *call, struct str token, struct uuid *ret_family,
                        struct trail_actor *ret_actor)
{
    struct sessions *s = app_of(call)->sessions;
    struct refresh_status status;
    struct access access;
    int r;

    *ret_family = (struct uuid){{0}};
    if (is_refresh_token(token)) {
        r = session_refresh_inspect(s, call->arena, token, call->now, &status);
        if (r == 0) {
            *ret_family = status.family.id;
            ret_actor->tenant_id = status.user.tenant_id;
        }
    } else {
        r = access_check_blocking(s, token, call->now, &access);
        if (r == ACCESS_STALE)
            return PROBLEM_UNAVAILABLE;
        if (r == 0) {
            *ret_family = access.claims.sid;
            ret_actor->tenant_id = access.claims.tid;
        }
    }
    return r < 0 ? r : 0;
}

static int post_revoke(struct call *call)
{
    const struct token_body *body = call->body;
    struct trail_actor actor = call->actor;
    struct uuid family;
    int64_t ended;
    int r = find_session(call, body->token, &family, &actor);

    if (r)
        return r;
    actor.label = str_of(config_current()->oauth_client_id);
    /* An unknown token is answered like a revoked one (RFC 7009, section 2.2). */
    if (!uuid_is_nil(&family))
        r = session_revoke_family(app_of(call)->sessions, &actor, NULL, &family,
                                  STR("revoked by the OAuth client"), call->now, &ended);
    return r < 0 ? r : call_reply_empty(call);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_POST, "/oauth/introspect", PERMIT_CLIENT, LANE_WORKER, ROUTE_FORM, 200, NULL,
     &token_shape, &introspection_shape, "Whether a token is active (RFC 7662)", post_introspect},
    {HTTP_POST, "/oauth/revoke", PERMIT_CLIENT, LANE_WORKER, ROUTE_FORM, 200, NULL, &token_shape,
     NULL, "End a token's session (RFC 7009)", post_revoke},
};
/* clang-format on */

const struct route_table api_oauth = ROUTE_TABLE("OAuth", routes);
