/* Sessions: one's own, and their end by administrators. */
#include "api/app.h"
#include "base/fault.h"
#include "sessions/mass_list.h"
#include "sessions/overview.h"
#include "sessions/revoke.h"

static const struct field list_fields[] = {LIST_QUERY_FIELDS(struct list_query)};
static const struct shape list_shape = SHAPE("SessionQuery", struct list_query, list_fields);

struct session_view {
    struct uuid id;
    int64_t created_at, last_used_at, expires_at, generation;
    struct str ip, user_agent;
    bool current;
};

static const struct field session_fields[] = {
    {"id", FIELD_UUID, FIELD_REQUIRED, offsetof(struct session_view, id), 0, 0, NULL, NULL,
     "The session: a token family."},
    {"createdAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct session_view, created_at), 0, 0, NULL,
     NULL, "When the sign-in was."},
    {"lastUsedAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct session_view, last_used_at), 0, 0,
     NULL, NULL, "When its tokens were last renewed."},
    {"expiresAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct session_view, expires_at), 0, 0, NULL,
     NULL, "When it ends in any case."},
    {"generation", FIELD_INT, FIELD_REQUIRED, offsetof(struct session_view, generation), 0, 0, NULL,
     NULL, "How often its refresh token was rotated."},
    {"ip", FIELD_STR, FIELD_REQUIRED, offsetof(struct session_view, ip), 0, 0, NULL, NULL,
     "The address it was last renewed from."},
    {"userAgent", FIELD_STR, FIELD_REQUIRED, offsetof(struct session_view, user_agent), 0, 0, NULL,
     NULL, "The browser or program."},
    {"current", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct session_view, current), 0, 0, NULL,
     NULL, "Whether this request came with it."},
};
static const struct shape session_shape = SHAPE("Session", struct session_view, session_fields);

static int reply_sessions(struct call *call, const struct overview_family *families, size_t n,
                          size_t limit)
{
    struct session_view *views = arena_array(call->arena, n + 1, sizeof *views);
    char cursor[UUID_TEXT_SIZE] = "";

    if (!views)
        return FAULT_MEMORY;
    for (size_t i = 0; i < n; i++)
        views[i] =
            (struct session_view){.id = families[i].id,
                                  .created_at = families[i].created_at,
                                  .last_used_at = families[i].last_used_at,
                                  .expires_at = families[i].expires_at,
                                  .generation = families[i].generation,
                                  .ip = families[i].ip,
                                  .user_agent = families[i].user_agent,
                                  .current = uuid_eq(&families[i].id, &call->who.session_id)};
    if (n == limit && n > 0)
        uuid_format(&families[n - 1].id, cursor);
    return call_reply_list(call, views, n, str_of(cursor));
}

static int get_sessions(struct call *call)
{
    const struct list_query *query = call->query;
    struct overview_family *families;
    const struct uuid *before;
    struct uuid scratch;
    size_t n, limit = list_limit(query->limit);
    int r = api_cursor_id(call, query->cursor, &scratch, &before);

    if (r == 0)
        r = overview_sessions(app_of(call)->sessions, call->arena, &call->who.user_id, before,
                              limit, call->now, &families, &n);
    return r ? r : reply_sessions(call, families, n, limit);
}

static int delete_session(struct call *call)
{
    struct uuid id;
    int64_t ended;
    int r = call_param_id(call, 0, &id);

    if (r == 0)
        r = session_logout(app_of(call)->sessions, &call->actor, &id, call->now, &ended);
    if (r == REVOKE_UNKNOWN)
        return PROBLEM_NOT_FOUND;
    return r ? r : call_reply_empty(call);
}

struct reason_body {
    uint64_t given;
    struct str reason;
};

static const struct field reason_fields[] = {
    {"reason", FIELD_STR, FIELD_NULLABLE, offsetof(struct reason_body, reason), 1,
     SESSION_REASON_MAX, NULL, NULL, "Why; the user is told."},
};
static const struct shape reason_shape = SHAPE("ReasonRequest", struct reason_body, reason_fields);

static struct str reason_of(const struct call *call)
{
    const struct reason_body *body = call->body;

    return body->reason.n ? body->reason : STR("revoked by an administrator");
}

struct family_revoked {
    struct uuid family_id;
    int64_t sessions;
};

static const struct field family_revoked_fields[] = {
    {"familyId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct family_revoked, family_id), 0, 0, NULL,
     NULL, "The session."},
    {"revokedSessions", FIELD_INT, FIELD_REQUIRED, offsetof(struct family_revoked, sessions), 0, 0,
     NULL, NULL, "1, or 0 where it had ended before."},
};
static const struct shape family_revoked_shape =
    SHAPE("FamilyRevoked", struct family_revoked, family_revoked_fields);

static int delete_family(struct call *call)
{
    struct family_revoked view;
    int r = call_param_id(call, 0, &view.family_id);

    if (r == 0)
        r = session_revoke_family(app_of(call)->sessions, &call->actor, app_bound(call),
                                  &view.family_id, reason_of(call), call->now, &view.sessions);
    if (r == REVOKE_UNKNOWN)
        return PROBLEM_NOT_FOUND;
    if (r)
        return r;
    call->trailed = view.sessions > 0;
    return call_reply(call, &view);
}

struct user_revoked {
    struct uuid user_id;
    int64_t sessions;
};

static const struct field user_revoked_fields[] = {
    {"userId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct user_revoked, user_id), 0, 0, NULL, NULL,
     "The user."},
    {"revokedSessions", FIELD_INT, FIELD_REQUIRED, offsetof(struct user_revoked, sessions), 0, 0,
     NULL, NULL, "How many active sessions were ended."},
};
static const struct shape user_revoked_shape =
    SHAPE("UserRevoked", struct user_revoked, user_revoked_fields);

static int delete_user_sessions(struct call *call)
{
    struct user_revoked view;
    int r = call_param_id(call, 0, &view.user_id);

    if (r == 0)
        r = session_revoke_user(app_of(call)->sessions, &call->actor, app_bound(call),
                                &view.user_id, reason_of(call), call->now, &view.sessions);
    if (r == REVOKE_UNKNOWN)
        return PROBLEM_NOT_FOUND;
    if (r)
        return r;
    call->trailed = true;
    return call_reply(call, &view);
}

struct users_body {
    uint64_t given;
    struct str_list user_ids;
    struct str reason;
    bool dry_run;
};

static const struct field users_fields[] = {
    {"userIds", FIELD_STRS, FIELD_REQUIRED, offsetof(struct users_body, user_ids), 1,
     SHAPE_LIST_MAX, NULL, NULL, "Ids or addresses; repetitions count once."},
    {"reason", FIELD_STR, FIELD_REQUIRED, offsetof(struct users_body, reason), 1,
     SESSION_REASON_MAX, NULL, NULL, "Why; the users are told."},
    {"dryRun", FIELD_BOOL, 0, offsetof(struct users_body, dry_run), 0, 0, NULL, NULL,
     "Count only, and change nothing."},
};
static const struct shape users_shape =
    SHAPE("RevokeUsersRequest", struct users_body, users_fields);

struct users_revoked {
    int64_t requested, matched, sessions;
    struct str_list unknown;
    bool dry_run;
};

static const struct field users_revoked_fields[] = {
    {"requested", FIELD_INT, FIELD_REQUIRED, offsetof(struct users_revoked, requested), 0, 0, NULL,
     NULL, "How many different users were named."},
    {"matched", FIELD_INT, FIELD_REQUIRED, offsetof(struct users_revoked, matched), 0, 0, NULL,
     NULL, "How many of them there are."},
    {"revokedSessions", FIELD_INT, FIELD_REQUIRED, offsetof(struct users_revoked, sessions), 0, 0,
     NULL, NULL, "How many sessions were, or with dryRun would be, ended."},
    {"unknown", FIELD_STRS, FIELD_REQUIRED, offsetof(struct users_revoked, unknown), 0, 0, NULL,
     NULL, "What was named and is no user, as it was named."},
    {"dryRun", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct users_revoked, dry_run), 0, 0, NULL,
     NULL, "Whether nothing was changed."},
};
static const struct shape users_revoked_shape =
    SHAPE("UsersRevoked", struct users_revoked, users_revoked_fields);

static int reply_users(struct call *call, const struct mass_list *list,
                       const struct mass_totals *totals, bool dry_run)
{
    struct str *unknown = arena_array(call->arena, list->n + 1, sizeof *unknown);
    size_t n = 0;

    if (!unknown)
        return FAULT_MEMORY;
    for (size_t i = 0; i < list->n; i++) {
        const struct mass_entry *e = &list->entries[i];
        if (e->state == MASS_UNKNOWN || e->state == MASS_MALFORMED)
            unknown[n++] = e->text;
    }
    struct users_revoked view = {.requested = totals->requested,
                                 .matched = totals->matched,
                                 .sessions = totals->sessions,
                                 .unknown = {unknown, n},
                                 .dry_run = dry_run};
    return call_reply(call, &view);
}

static int run_list(struct call *call, struct mass_list *list)
{
    const struct users_body *body = call->body;
    struct sessions *s = app_of(call)->sessions;
    struct mass_options options = {.tenant = app_bound(call),
                                   .reason = body->reason,
                                   .dry_run = body->dry_run,
                                   .now = call->now};
    struct mass_totals totals;
    int r = 0;

    for (size_t i = 0; r == 0 && i < body->user_ids.n; i++)
        r = mass_list_add(list, body->user_ids.items[i], i + 1);
    if (r == 0)
        r = mass_list_resolve(s, options.tenant, list);
    if (r == 0)
        r = mass_list_run(s, &call->actor, &options, list, NULL, NULL, &totals);
    if (r)
        return r;
    call->trailed = !body->dry_run;
    return reply_users(call, list, &totals, body->dry_run);
}

static int post_users(struct call *call)
{
    struct mass_list list = {0};
    int r = run_list(call, &list);

    mass_list_free(&list);
    return r;
}

struct family_view {
    struct uuid id;
    int64_t created_at, last_used_at, generation, revoked_at;
    struct str ip, user_agent, revoked_reason;
};

static const struct field family_fields[] = {
    {"familyId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct family_view, id), 0, 0, NULL, NULL,
     "The session."},
    {"createdAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct family_view, created_at), 0, 0, NULL,
     NULL, "When the sign-in was."},
    {"lastUsedAt", FIELD_TIME, FIELD_REQUIRED, offsetof(struct family_view, last_used_at), 0, 0,
     NULL, NULL, "When its tokens were last renewed."},
    {"ip", FIELD_STR, FIELD_REQUIRED, offsetof(struct family_view, ip), 0, 0, NULL, NULL,
     "The address it was last renewed from."},
    {"userAgent", FIELD_STR, FIELD_REQUIRED, offsetof(struct family_view, user_agent), 0, 0, NULL,
     NULL, "The browser or program."},
    {"generation", FIELD_INT, FIELD_REQUIRED, offsetof(struct family_view, generation), 0, 0, NULL,
     NULL, "How often its refresh token was rotated."},
    {"revokedAt", FIELD_TIME, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct family_view, revoked_at), 0, 0, NULL, NULL, "When it was ended."},
    {"revokedReason", FIELD_STR, FIELD_REQUIRED | FIELD_NULLABLE,
     offsetof(struct family_view, revoked_reason), 0, 0, NULL, NULL, "Why."},
};
static const struct shape family_shape = SHAPE("Family", struct family_view, family_fields);

static const struct field event_fields[] = {
    {"at", FIELD_TIME, FIELD_REQUIRED, offsetof(struct overview_event, at), 0, 0, NULL, NULL,
     "When."},
    {"action", FIELD_STR, FIELD_REQUIRED, offsetof(struct overview_event, action), 0, 0, NULL, NULL,
     "What, as the audit log names it."},
    {"actor", FIELD_STR, FIELD_REQUIRED, offsetof(struct overview_event, actor), 0, 0, NULL, NULL,
     "Who."},
    {"ip", FIELD_STR, FIELD_REQUIRED, offsetof(struct overview_event, ip), 0, 0, NULL, NULL,
     "Where from."},
    {"detail", FIELD_JSON, FIELD_REQUIRED, offsetof(struct overview_event, detail), 0, 0, NULL,
     NULL, "More, by the action."},
};
static const struct shape event_shape = SHAPE("SecurityEvent", struct overview_event, event_fields);

struct audit_view {
    struct uuid user_id;
    int64_t active_sessions, failed_logins, reuse_detections;
    struct shape_list families, events;
    struct str email_status;
    bool mfa_enabled, locked, disabled;
};

static const struct field audit_fields[] = {
    {"userId", FIELD_UUID, FIELD_REQUIRED, offsetof(struct audit_view, user_id), 0, 0, NULL, NULL,
     "The user."},
    {"activeSessions", FIELD_INT, FIELD_REQUIRED, offsetof(struct audit_view, active_sessions), 0,
     0, NULL, NULL, "Sessions that are neither ended nor over."},
    {"families", FIELD_LIST, FIELD_REQUIRED, offsetof(struct audit_view, families), 0, 0, NULL,
     &family_shape, "The newest 200 sessions, ended ones too."},
    {"recentEvents", FIELD_LIST, FIELD_REQUIRED, offsetof(struct audit_view, events), 0, 0, NULL,
     &event_shape, "The newest 50 records of the audit log about the user."},
    {"failedLogins24h", FIELD_INT, FIELD_REQUIRED, offsetof(struct audit_view, failed_logins), 0, 0,
     NULL, NULL, "Failed sign-ins in the last 24 hours."},
    {"reuseDetections", FIELD_INT, FIELD_REQUIRED, offsetof(struct audit_view, reuse_detections), 0,
     0, NULL, NULL, "How often a used refresh token came back."},
    {"mfaEnabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct audit_view, mfa_enabled), 0, 0, NULL,
     NULL, "Whether a second factor is active."},
    {"emailStatus", FIELD_STR, FIELD_REQUIRED, offsetof(struct audit_view, email_status), 0, 0,
     NULL, NULL, "ok, invalid or unsubscribed."},
    {"locked", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct audit_view, locked), 0, 0, NULL, NULL,
     "Whether failed sign-ins or an administrator have locked the account."},
    {"disabled", FIELD_BOOL, FIELD_REQUIRED, offsetof(struct audit_view, disabled), 0, 0, NULL,
     NULL, "Whether an administrator has disabled it."},
};
static const struct shape audit_shape = SHAPE("SecurityAudit", struct audit_view, audit_fields);

static int reply_audit(struct call *call, const struct overview *o)
{
    struct family_view *families = arena_array(call->arena, o->n_families + 1, sizeof *families);

    if (!families)
        return FAULT_MEMORY;
    for (size_t i = 0; i < o->n_families; i++)
        families[i] = (struct family_view){.id = o->families[i].id,
                                           .created_at = o->families[i].created_at,
                                           .last_used_at = o->families[i].last_used_at,
                                           .generation = o->families[i].generation,
                                           .revoked_at = o->families[i].revoked_at,
                                           .ip = o->families[i].ip,
                                           .user_agent = o->families[i].user_agent,
                                           .revoked_reason = o->families[i].revoked_reason};
    struct audit_view view = {.user_id = o->user.id,
                              .active_sessions = o->active_sessions,
                              .failed_logins = o->failed_logins_24h,
                              .reuse_detections = o->reuse_detections,
                              .families = {families, o->n_families},
                              .events = {o->events, o->n_events},
                              .email_status = email_status_name(o->user.email_status),
                              .mfa_enabled = o->user.mfa_active,
                              .locked = o->user.locked_at != 0,
                              .disabled = o->user.disabled};
    return call_reply(call, &view);
}

static int get_audit(struct call *call)
{
    struct overview overview;
    struct uuid id;
    int r = call_param_id(call, 0, &id);

    if (r == 0)
        r = overview_audit(app_of(call)->sessions, call->arena, app_bound(call), &id, call->now,
                           &overview);
    if (r == OVERVIEW_UNKNOWN)
        return PROBLEM_NOT_FOUND;
    return r ? r : reply_audit(call, &overview);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/sessions", PERMIT_USER, LANE_WORKER, ROUTE_LIST, 200, &list_shape, NULL,
     &session_shape, "One's own active sessions", get_sessions},
    {HTTP_DELETE, "/v1/sessions/:familyId", PERMIT_USER, LANE_WORKER, 0, 204, NULL, NULL, NULL,
     "End a session of one's own", delete_session},
    {HTTP_DELETE, "/v1/sessions/revoke-family/:familyId", PERMIT_ADMIN, LANE_WORKER,
     ROUTE_REVOCATION | ROUTE_BODY_OPTIONAL, 200, NULL, &reason_shape, &family_revoked_shape,
     "End one session", delete_family},
    {HTTP_DELETE, "/v1/sessions/revoke-user/:userId", PERMIT_ADMIN, LANE_WORKER,
     ROUTE_REVOCATION | ROUTE_BODY_OPTIONAL, 200, NULL, &reason_shape, &user_revoked_shape,
     "End all sessions of a user", delete_user_sessions},
    {HTTP_POST, "/v1/sessions/revoke-users", PERMIT_ADMIN, LANE_WORKER, ROUTE_REVOCATION, 200, NULL,
     &users_shape, &users_revoked_shape, "End the sessions of many users", post_users},
    {HTTP_GET, "/v1/sessions/security-audit/:userId", PERMIT_ADMIN, LANE_WORKER, ROUTE_TRAIL, 200,
     NULL, NULL, &audit_shape, "What is known of a user's security", get_audit},
};
/* clang-format on */

const struct route_table api_sessions = ROUTE_TABLE("Sessions", routes);
