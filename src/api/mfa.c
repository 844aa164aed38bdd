/* The second factor of one's own account. */
#include "api/app.h"
#include "base/fault.h"
#include "identity/notification.h"
#include "sessions/login.h"
#include "sessions/revoke.h"

struct enrolment_view {
    struct str secret, uri, qr_svg;
    struct str_list codes;
};

static const struct field enrolment_fields[] = {
    {"secret", FIELD_STR, FIELD_REQUIRED, offsetof(struct enrolment_view, secret), 0, 0, NULL, NULL,
     "The secret in base32, for typing into an authenticator app."},
    {"otpauthUri", FIELD_STR, FIELD_REQUIRED, offsetof(struct enrolment_view, uri), 0, 0, NULL,
     NULL, "The same as an otpauth URI."},
    {"qrSvg", FIELD_STR, FIELD_REQUIRED, offsetof(struct enrolment_view, qr_svg), 0, 0, NULL, NULL,
     "The URI as a QR code, an SVG image."},
    {"recoveryCodes", FIELD_STRS, FIELD_REQUIRED, offsetof(struct enrolment_view, codes), 0, 0,
     NULL, NULL, "Ten codes that each work once; shown now and never again."},
};
static const struct shape enrolment_shape =
    SHAPE("MfaEnrolment", struct enrolment_view, enrolment_fields);

struct code_body {
    uint64_t given;
    struct str code;
};

static const struct field code_fields[] = {
    {"code", FIELD_STR, FIELD_REQUIRED | FIELD_SECRET, offsetof(struct code_body, code), 1,
     MFA_CODE_MAX, NULL, NULL, "A one-time code; to remove the factor, a recovery code too."},
};
static const struct shape code_shape = SHAPE("CodeRequest", struct code_body, code_fields);

/* Marks the session as begun with a second factor: its owner has just proved to hold it. */
static const char raise_sql[] =
    "UPDATE families SET amr = $2 WHERE id = $1 AND " SESSION_NOT_ENDED("families");

struct factor {
    struct call *call;
    struct user user;
    struct mfa_enrolment enrolment;
};

static int load(struct store_txn *t, struct factor *f)
{
    struct call *call = f->call;
    int r = user_find(t, call->arena, NULL, &call->who.user_id, &f->user);

    return r == USER_UNKNOWN ? PROBLEM_TOKEN_REVOKED : r;
}

static int announce(struct store_txn *t, struct factor *f, enum notification_kind kind,
                    enum trail_action action)
{
    struct call *call = f->call;
    const struct user *user = &f->user;
    int r = notification_add(t, &user->tenant_id, &user->id, kind, STR(""), call->now);

    if (r == 0)
        r = feed_user(t, &user->id, call->now, session_access_horizon(call->now));
    if (r)
        return r;
    struct trail_event event = {.action = action,
                                .tenant_id = user->tenant_id,
                                .subject_id = user->id,
                                .subject = user->email};
    return trail_append(app_of(call)->trail, t, &call->actor, &event);
}

static int enroll_job(struct store_txn *t, void *arg)
{
    struct factor *f = arg;
    struct call *call = f->call;
    int r = load(t, f);

    if (r)
        return r;
    r = mfa_enroll(t, call->arena, &app_of(call)->sessions->mfa, &f->user,
                   str_of(config_current()->mfa_issuer), call->now, &f->enrolment);
    return r == MFA_ACTIVE ? PROBLEM_CONFLICT : r;
}

static int post_enroll(struct call *call)
{
    struct factor f = {.call = call};
    int r = store_write(app_of(call)->store, enroll_job, &f);

    if (r == PROBLEM_CONFLICT)
        return call_problem(call, r, "A second factor is active; remove it first.");
    if (r)
        return r;
    struct enrolment_view view = {.secret = f.enrolment.secret,
                                  .uri = f.enrolment.uri,
                                  .qr_svg = f.enrolment.qr_svg,
                                  .codes = {f.enrolment.codes, MFA_RECOVERY_CODES}};
    return call_reply(call, &view);
}

static int wrong_code(int outcome)
{
    switch ((enum mfa_outcome)outcome) {
    case MFA_NONE:
    case MFA_ACTIVE:
        return PROBLEM_CONFLICT;
    case MFA_WRONG:
        return PROBLEM_INVALID_CREDENTIALS;
    }
    return outcome;
}

static int activate_job(struct store_txn *t, void *arg)
{
    struct factor *f = arg;
    struct call *call = f->call;
    const struct code_body *body = call->body;
    int r = load(t, f);

    if (r)
        return r;
    r = mfa_activate(t, &app_of(call)->sessions->mfa, &f->user, body->code, call->now);
    if (r)
        return r < 0 ? r : wrong_code(r);
    r = store_exec(t, raise_sql, NULL,
                   PARAMS(P_ID(&call->who.session_id), P_INT(JWT_AMR_PWD | JWT_AMR_OTP)));
    return r ? r : announce(t, f, NOTIFICATION_MFA_ENABLED, TRAIL_MFA_ENABLE);
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct factor *f = arg;
    struct call *call = f->call;
    const struct code_body *body = call->body;
    enum mfa_method method;
    int r = load(t, f);

    if (r)
        return r;
    r = mfa_check(t, &app_of(call)->sessions->mfa, &f->user, body->code, call->now, &method);
    if (r == 0)
        r = mfa_remove(t, &f->user.id, call->now);
    if (r)
        return r < 0 ? r : wrong_code(r);
    return announce(t, f, NOTIFICATION_MFA_DISABLED, TRAIL_MFA_DISABLE);
}

static int load_job(struct store_txn *t, void *arg)
{
    return load(t, arg);
}

/*
 * Runs the job as an attempt to sign in would run, for a wrong code counts as much as one there; a
 * right one proves the factor alone, and so forgives nothing.
 */
static int attempt(struct call *call, store_job *job)
{
    struct failures *failures = app_of(call)->sessions->failures;
    struct factor f = {.call = call};
    int r = store_read(app_of(call)->store, load_job, &f);

    if (r)
        return r;
    r = failures_admit(failures, &f.user);
    if (r)
        return r == FAILURES_LOCKED ? PROBLEM_INVALID_CREDENTIALS : r;
    r = store_write(app_of(call)->store, job, &f);
    failures_settle(failures, &call->who.user_id,
                    r == PROBLEM_INVALID_CREDENTIALS ? FAILURES_FAILURE : FAILURES_ABANDONED);
    return r;
}

/* Codes are short: guessing them is limited as sign-ins are. */
static int change_factor(struct call *call, store_job *job)
{
    struct sessions *s = app_of(call)->sessions;
    struct limiter_state state;
    int r = login_admit(s, &call->client, call->who.email, &state);

    if (r)
        return r == LOGIN_LIMITED ? api_limited(call, &state) : r;
    r = attempt(call, job);
    if (r == PROBLEM_INVALID_CREDENTIALS)
        return call_problem(call, r, "The code is not right, or was used already.");
    if (r == PROBLEM_CONFLICT)
        return call_problem(call, r,
                            "There is no second factor in the state that this needs: enroll, "
                            "activate, remove.");
    if (r)
        return r;
    gate_account_forget(s->gate, &call->who.user_id);
    return call_reply_empty(call);
}

static int post_activate(struct call *call)
{
    return change_factor(call, activate_job);
}

static int delete_mfa(struct call *call)
{
    return change_factor(call, remove_job);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_POST, "/auth/mfa/enroll", PERMIT_USER, LANE_WORKER, 0, 200, NULL, NULL, &enrolment_shape,
     "Begin with a second factor: secret, QR code, recovery codes", post_enroll},
    {HTTP_POST, "/auth/mfa/activate", PERMIT_USER, LANE_WORKER, 0, 204, NULL, &code_shape, NULL,
     "Activate it by a first code; refresh to carry it in the access token", post_activate},
    {HTTP_DELETE, "/auth/mfa", PERMIT_USER, LANE_WORKER, 0, 204, NULL, &code_shape, NULL,
     "Remove the second factor", delete_mfa},
};
/* clang-format on */

const struct route_table api_mfa = ROUTE_TABLE("Second factor", routes);
