#include "http/problem.h"

static const struct problem_row rows[PROBLEMS] = {
    [PROBLEM_BAD_REQUEST] = {400, "bad_request", "The request is malformed"},
    [PROBLEM_INVALID_FIELD] = {400, "invalid_field", "A field of the request is not acceptable"},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {415, "unsupported_media_type",
                                        "The body's media type is not accepted here"},
    [PROBLEM_UNAUTHENTICATED] = {401, "unauthenticated", "Authentication is needed"},
    [PROBLEM_INVALID_CREDENTIALS] = {401, "invalid_credentials",
                                     "The address or the password is wrong"},
    [PROBLEM_MFA_REQUIRED] = {401, "mfa_required", "A one-time code is needed"},
    [PROBLEM_TOKEN_INVALID] = {401, "token_invalid", "The token is not valid"},
    [PROBLEM_TOKEN_EXPIRED] = {401, "token_expired", "The token has expired"},
    [PROBLEM_TOKEN_REVOKED] = {401, "token_revoked", "The session has been ended"},
    [PROBLEM_TOKEN_REUSED] = {401, "token_reused", "The token was used before; its session ended"},
    [PROBLEM_INVALID_CLIENT] = {401, "invalid_client", "The client's credentials are wrong"},
    [PROBLEM_SIGNATURE_INVALID] = {401, "signature_invalid", "The signature is not valid"},
    [PROBLEM_FORBIDDEN] = {403, "forbidden", "Your role does not allow this"},
    [PROBLEM_SECOND_FACTOR_NEEDED] = {403, "second_factor_needed",
                                      "A session with a second factor is needed"},
    [PROBLEM_PASSWORD_CHANGE_REQUIRED] = {403, "password_change_required",
                                          "The temporary password must be replaced first"},
    [PROBLEM_REVOCATION_DISABLED] = {403, "revocation_disabled",
                                     "Administrative revocation is turned off"},
    [PROBLEM_REGISTRATION_DISABLED] = {403, "registration_disabled", "Registration is turned off"},
    [PROBLEM_EMAIL_MONITORING_DISABLED] = {403, "email_monitoring_disabled",
                                           "Events of mail are not taken here"},
    [PROBLEM_TOPIC_NOT_ALLOWED] = {403, "topic_not_allowed",
                                   "Messages of this topic are not taken here"},
    [PROBLEM_NOT_FOUND] = {404, "not_found", "There is no such thing"},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed",
                                    "The path does not take this method"},
    [PROBLEM_CONFLICT] = {409, "conflict", "The request conflicts with what is there"},
    [PROBLEM_IDEMPOTENCY_CONFLICT] = {409, "idempotency_conflict",
                                      "Another request was made under this idempotency key"},
    [PROBLEM_SUPPRESSED] = {409, "suppressed", "None of the recipients may be written to"},
    [PROBLEM_TIMEOUT] = {408, "timeout", "The request took too long to arrive"},
    [PROBLEM_TOO_LARGE] = {413, "too_large", "The body is too large"},
    [PROBLEM_URI_TOO_LONG] = {414, "uri_too_long", "The request target is too long"},
    [PROBLEM_EXPECTATION_FAILED] = {417, "expectation_failed", "The expectation cannot be met"},
    [PROBLEM_HEADERS_TOO_LARGE] = {431, "headers_too_large", "The headers are too large"},
    [PROBLEM_RATE_LIMITED] = {429, "rate_limited", "Too many requests"},
    [PROBLEM_INTERNAL] = {500, "internal", "Something went wrong here"},
    [PROBLEM_NOT_IMPLEMENTED] = {501, "not_implemented", "This is not implemented"},
    [PROBLEM_UNAVAILABLE] = {503, "unavailable", "A service this depends on is out of reach"},
    [PROBLEM_OVERLOADED] = {503, "overloaded", "Too much is waiting already"},
    [PROBLEM_MAIL_OFF] = {503, "mail_off", "This installation sends no mail"},
    [PROBLEM_OUTBOX_FULL] = {429, "outbox_full", "Too much of the tenant's mail is waiting"},
    [PROBLEM_LIST_FULL] = {409, "list_full", "The list has no room for this"},
    [PROBLEM_VERSION] = {505, "version_not_supported", "This version of HTTP is not supported"},
};

const struct problem_row *problem_row(int problem)
{
    bool known = problem > 0 && problem < PROBLEMS;

    return &rows[known ? problem : PROBLEM_INTERNAL];
}

enum problem problem_of_status(int status)
{
    if (status == 503)
        return PROBLEM_OVERLOADED;
    for (int i = 1; i < PROBLEMS; i++)
        if (rows[i].status == status)
            return (enum problem)i;
    return status >= 400 && status < 500 ? PROBLEM_BAD_REQUEST : PROBLEM_INTERNAL;
}

static void write_text(struct json_writer *w, const char *key, struct str value)
{
    if (value.n == 0)
        return;
    json_key(w, key);
    json_str(w, value);
}

void problem_write(struct buf *out, int problem, struct str detail, struct str field,
                   const struct uuid *request_id)
{
    const struct problem_row *row = problem_row(problem);
    struct json_writer w = json_writer(out);
    char type[96];

    snprintf(type, sizeof type, PROBLEM_TYPE_PREFIX "%s", row->code);
    json_object_begin(&w);
    write_text(&w, "type", str_of(type));
    write_text(&w, "title", str_of(row->title));
    json_key(&w, "status");
    json_int(&w, row->status);
    write_text(&w, "code", str_of(row->code));
    write_text(&w, "detail", detail);
    write_text(&w, "field", field);
    if (request_id) {
        json_key(&w, "requestId");
        json_uuid(&w, request_id);
    }
    json_object_end(&w);
}
